"""Calls of scans and patients, by hand and against scikit-learn."""

import numpy as np
import pytest

from hnscc.scores.detection import (
    Calls,
    auc,
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


def test_scores_of_two_models_are_not_compared():
    """The second model's scores are all higher: in one order, one of four pairs would be wrong."""
    found = calls([1, 0, 1, 0], [1, 0, 1, 1], [0.4, 0.1, 0.9, 0.6])
    assert (auc(found), auc(found, np.array([0, 0, 1, 1]))) == (0.75, 1.0)
    # Two pairs of one model, of which one is in order, and one of another; a third has none with lesion.
    found = calls([1, 0, 0, 1, 0, 0], [1] * 6, [0.5, 0.7, 0.1, 0.3, 0.2, 0.9])
    assert auc(found, np.array([0, 0, 0, 1, 1, 2])) == 2 / 3
    assert auc(calls([1, 1, 0], [1] * 3, [0.5, 0.7, 0.1]), np.array([4, 4, 7])) is None


@pytest.mark.quick(2)
@pytest.mark.parametrize("seed", range(5))
def test_rates_and_auc_are_scikit_learn_s(sklearn, seed):
    """Of 100 cohorts each, with few different scores, so that most are tied."""
    rng = np.random.default_rng(seed)
    for n in (2, 5, 12, 40) * 25:
        truth, called = rng.random((2, n)) < 0.5
        truth[:2] = True, False
        found = Calls(truth, called, rng.integers(0, 4, n) / 3)
        assert auc(found) == pytest.approx(sklearn.metrics.roc_auc_score(truth, found.score), abs=1e-12)
        assert sensitivity(found) == pytest.approx(sklearn.metrics.recall_score(truth, called), abs=1e-12)
        assert specificity(found) == pytest.approx(sklearn.metrics.recall_score(~truth, ~called), abs=1e-12)


def test_patients_of_scans():
    """Any scan makes the patient positive, and the highest score stands."""
    scans = calls([0, 1, 0, 0], [1, 0, 0, 0], [0.7, 0.2, 0.1, 0.4])
    found = scans.by_patient(np.array([0, 0, 1, 1]), 2)
    assert (found.truth.tolist(), found.called.tolist(), found.score.tolist()) == (
        [True, False],
        [True, False],
        [0.7, 0.4],
    )
    below = Calls(scans.truth, scans.called, -scans.score).by_patient(np.array([0, 0, 1, 1]), 2)
    assert below.score.tolist() == [-0.2, -0.1]
    with pytest.raises(ValueError, match="each of the 3 patients has a scan"):
        scans.by_patient(np.array([0, 0, 2, 2]), 3)


def test_calls_of_other_types_are_refused():
    with pytest.raises(ValueError, match="called is bool"):
        Calls(np.ones(2, bool), np.ones(3, bool), np.ones(2))
    with pytest.raises(ValueError, match="truth is bool"):
        Calls(np.ones(2), np.ones(2, bool), np.ones(2))
    with pytest.raises(ValueError, match="finite"):
        calls([1, 0], [1, 0], [0.5, np.nan])
