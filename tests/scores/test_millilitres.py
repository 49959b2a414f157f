"""Millilitres and their errors, by hand."""

from dataclasses import replace

import numpy as np

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


def test_volumes_of_scans_add_up():
    pred, truth = masks()
    one = replace(millilitres_of(pred, truth, SPACING), tlg_truth=4.0, tlg_pred=5.0)
    other = millilitres_of(truth, pred, SPACING)
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
