"""Calls of scans and patients, and stored probabilities, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, recall_score, roc_auc_score

from hnscc.scores.detection import (
    Calls,
    auc,
    brier,
    count_levels,
    reliability,
    sensitivity,
    specificity,
)


def calls(truth, called, score):
    return Calls(np.array(truth, bool), np.array(called, bool), np.array(score, float))


def test_rates_and_auc_by_hand():
    found = calls([1, 1, 1, 0, 0], [1, 0, 1, 0, 1], [0.9, 0.2, 0.5, 0.1, 0.5])
    assert (sensitivity(found), specificity(found)) == (2 / 3, 0.5)
    # Of six pairs four are in order, one is tied, and one (0.2 below 0.5) is not.
    assert auc(found) == 4.5 / 6


def test_one_kind_of_cases_has_no_auc():
    found = calls([1, 1], [1, 0], [3, 4])
    assert (sensitivity(found), specificity(found), auc(found)) == (0.5, None, None)
    assert sensitivity(calls([0], [1], [0])) is None
    assert [each(calls([], [], [])) for each in (sensitivity, specificity, auc)] == [None] * 3


@pytest.mark.parametrize("seed", range(5))
def test_rates_and_auc_are_scikit_learn_s(seed):
    """With few different scores, so that most are tied."""
    draw = np.random.default_rng(seed)
    for n in (2, 5, 40):
        truth, called = draw.random((2, n)) < 0.5
        truth[:2] = True, False
        found = Calls(truth, called, draw.integers(0, 4, n) / 3)
        assert auc(found) == pytest.approx(roc_auc_score(truth, found.score), abs=1e-12)
        assert sensitivity(found) == pytest.approx(recall_score(truth, called), abs=1e-12)
        assert specificity(found) == pytest.approx(recall_score(~truth, ~called), abs=1e-12)


def test_patients_of_scans():
    """Any scan makes the patient positive, and the highest score stands."""
    scans = calls([0, 1, 0, 0], [1, 0, 0, 0], [0.7, 0.2, 0.1, 0.4])
    found = scans.by_group(np.array([0, 0, 1, 1]), 2)
    assert (found.truth.tolist(), found.called.tolist(), found.score.tolist()) == (
        [True, False],
        [True, False],
        [0.7, 0.4],
    )
    with pytest.raises(ValueError, match="group"):
        scans.by_group(np.array([0, 0, 2, 2]), 3)


def test_calls_of_other_types_are_refused():
    with pytest.raises(ValueError, match="called is bool"):
        Calls(np.ones(2, bool), np.ones(3, bool), np.ones(2))
    with pytest.raises(ValueError, match="truth is bool"):
        Calls(np.ones(2), np.ones(2, bool), np.ones(2))
    with pytest.raises(ValueError, match="finite"):
        calls([1, 0], [1, 0], [0.5, np.nan])


def test_brier_by_hand():
    counts = count_levels(np.array([0, 65535, 13107, 65535], np.uint16), np.array([0, 1, 1, 0], bool))
    assert brier(counts) == pytest.approx((0 + 0 + 0.8**2 + 1) / 4)
    assert brier(counts + counts) == brier(counts)
    nothing = count_levels(np.zeros(0, np.uint16), np.zeros(0, bool))
    assert brier(nothing) is None


@pytest.mark.parametrize("seed", range(5))
def test_brier_and_reliability_are_scikit_learn_s(seed):
    """Levels on the edges of bins among them: a fifth is level 13107, and belongs to the lower bin."""
    draw = np.random.default_rng(seed)
    levels = np.concatenate(
        [draw.integers(0, 65536, 3000), np.arange(0, 65536, 13107), draw.integers(0, 9, 99)]
    ).astype(np.uint16)
    truth = draw.random(len(levels)) < levels / 65535
    counts = count_levels(levels, truth)
    assert brier(counts) == pytest.approx(brier_score_loss(truth, levels / 65535), abs=1e-12)
    for bins in (1, 5, 10):
        filled = [each for each in reliability(counts, bins) if each.n]
        observed, predicted = calibration_curve(truth, levels / 65535, n_bins=bins)
        assert [each.observed for each in filled] == pytest.approx(observed.tolist(), abs=1e-12)
        assert [each.predicted for each in filled] == pytest.approx(predicted.tolist(), abs=1e-12)


def test_bins_without_voxels_have_no_values():
    curve = reliability(count_levels(np.array([0, 65535], np.uint16), np.array([0, 1], bool)), 3)
    assert [(each.n, each.predicted, each.observed) for each in curve] == [
        (1, 0, 0),
        (0, None, None),
        (1, 1, 1),
    ]
    assert (curve[0].low, curve[2].high) == (0, 1)
    with pytest.raises(ValueError, match="bin"):
        reliability(count_levels(np.zeros(1, np.uint16), np.zeros(1, bool)), 0)


def test_other_probabilities_are_refused():
    with pytest.raises(ValueError, match="uint16"):
        count_levels(np.zeros(3), np.zeros(3, bool))
    with pytest.raises(ValueError, match="one shape"):
        count_levels(np.zeros(3, np.uint16), np.zeros(4, bool))
