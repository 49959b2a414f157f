"""Millilitres, their errors and uptake, by hand."""

import numpy as np
import pytest

from hnscc.scores.millilitres import (
    millilitres_of,
    millilitres_together,
    precision,
)

SPACING = (5.0, 10.0, 20.0)  # a voxel is 1 ml


def masks():
    """Truth of 4 voxels, prediction of 5, both in 3 of them."""
    truth, pred = np.zeros((2, 2, 3, 4), bool)
    truth[0, 0, :4] = True
    pred[0, 0, 1:4], pred[1, 2, :2] = True, True
    return pred, truth


def test_volumes_by_hand():
    found = millilitres_of(*masks(), SPACING)
    assert (found.truth_ml, found.pred_ml, found.overlap_ml, found.fp_ml, found.fn_ml) == (4, 5, 3, 2, 1)
    assert precision(found) == 0.6
    assert (found.tlg_truth, found.tlg_pred) == (None, None)


def test_glycolysis_is_volume_times_mean_uptake():
    pred, truth = masks()
    uptake = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    found = millilitres_of(pred, truth, SPACING, uptake)
    assert found.tlg_truth == pytest.approx(4 * (0 + 1 + 2 + 3) / 4)
    assert found.tlg_pred == pytest.approx(5 * (1 + 2 + 3 + 20 + 21) / 5)
    empty = millilitres_of(np.zeros_like(pred), truth, SPACING, uptake)
    assert (empty.tlg_pred, empty.tlg_truth) == (0.0, 6.0)


def test_uptake_outside_of_the_masks_may_be_missing():
    pred, truth = masks()
    uptake = np.ones(truth.shape)
    uptake[1, 0, 0] = np.nan
    assert millilitres_of(pred, truth, SPACING, uptake).tlg_truth == 4
    uptake[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        millilitres_of(pred, truth, SPACING, uptake)
    with pytest.raises(ValueError, match="shape of the masks"):
        millilitres_of(pred, truth, SPACING, uptake[:1])


def test_volumes_of_scans_add_up():
    pred, truth = masks()
    one, other = (
        millilitres_of(pred, truth, SPACING, np.ones(truth.shape)),
        millilitres_of(truth, pred, SPACING),
    )
    both = millilitres_together([one, one])
    assert (both.truth_ml, both.fp_ml, both.fn_ml, both.tlg_pred) == (8, 4, 2, 10)
    assert millilitres_together([one, other]).tlg_truth is None
    assert (millilitres_together([one, other]).fp_ml, millilitres_together([]).truth_ml) == (3, 0)


def test_no_rounding_is_left_for_a_false_positive():
    """0.3 x 0.3 x 0.3 mm: differences of volumes would leave 1e-19 ml."""
    truth = np.zeros((1, 9, 9), bool)
    truth.ravel()[:67] = True
    pred = truth.copy()
    pred.ravel()[:31] = False
    assert millilitres_of(pred, truth, (0.3, 0.3, 0.3)).fp_ml == 0
