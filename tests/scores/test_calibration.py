"""The Brier score and the reliability curve of stored probabilities, by hand and against scikit-learn."""

import numpy as np
import pytest

from hnscc.scores.calibration import brier, calibration, reliability


def test_brier_by_hand():
    counts = calibration(np.array([0, 65535, 13107, 65535], np.uint16), np.array([0, 1, 1, 0], bool))
    assert brier(counts) == pytest.approx((0 + 0 + 0.8**2 + 1) / 4)
    assert brier(counts + counts) == brier(counts)
    nothing = calibration(np.zeros(0, np.uint16), np.zeros(0, bool))
    assert brier(nothing) is None


def test_no_voxel_is_left_out_of_a_large_scan():
    """They are counted in parts of 65,536."""
    levels, truth = (np.arange(200_000) % 65536).astype(np.uint16), np.arange(200_000) % 3 == 0
    found = calibration(levels, truth)
    assert (sum(found.n), sum(found.lesion)) == (200_000, 66_667)
    assert sum(found.total) == levels.sum(dtype=np.int64)
    assert brier(found) == pytest.approx(np.mean((levels / 65535 - truth) ** 2), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_brier_and_reliability_are_scikit_learn_s(sklearn, seed):
    """Levels on the edges of bins among them: a fifth is level 13107, and belongs to the lower bin."""
    rng = np.random.default_rng(seed)
    levels = np.concatenate(
        [rng.integers(0, 65536, 3000), np.arange(0, 65536, 13107), rng.integers(0, 9, 99)]
    ).astype(np.uint16)
    truth = rng.random(len(levels)) < levels / 65535
    assert brier(calibration(levels, truth)) == pytest.approx(
        sklearn.metrics.brier_score_loss(truth, levels / 65535), abs=1e-12
    )
    filled = [each for each in reliability(calibration(levels, truth)) if each.n]
    observed, predicted = sklearn.calibration.calibration_curve(truth, levels / 65535, n_bins=10)
    assert [each.observed for each in filled] == pytest.approx(observed.tolist(), abs=1e-12)
    assert [each.predicted for each in filled] == pytest.approx(predicted.tolist(), abs=1e-12)


def test_bins_without_voxels_have_no_values():
    curve = reliability(calibration(np.array([0, 65535], np.uint16), np.array([0, 1], bool)))
    found = [(each.n, each.predicted, each.observed) for each in curve]
    assert found == [(1, 0, 0), *[(0, None, None)] * 8, (1, 1, 1)]
    assert (curve[0].low, curve[9].high) == (0, 1)


def test_other_probabilities_are_refused():
    with pytest.raises(ValueError, match="uint16"):
        calibration(np.zeros(3), np.zeros(3, bool))
    with pytest.raises(ValueError, match="one shape"):
        calibration(np.zeros(3, np.uint16), np.zeros(4, bool))
    with pytest.raises(ValueError, match="the truth is bool"):
        calibration(np.zeros(3, np.uint16), np.zeros(3, np.uint8))
