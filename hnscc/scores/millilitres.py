"""Sizes of a predicted and a true mask in ml, how much of them is wrong, and their uptake.

The size of a mask in ml is also known as MTV. Where PET is in SUV, the total lesion glycolysis (TLG) is this size times
the mean uptake in the mask, in SUV ml. The rule for empty masks is that of `empty_masks`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hnscc.base.arrays import Bools, Spacing
from hnscc.scores.empty_masks import check_masks, voxel_ml


@dataclass(frozen=True)
class Millilitres:
    """The sizes of two masks in ml: truth_ml of the truth, pred_ml of the prediction, overlap_ml of their overlap,
    fp_ml of the prediction outside of the truth, fn_ml of the truth outside of the prediction.

    tlg_truth, tlg_pred: the total lesion glycolysis within the truth and within the prediction, in SUV ml; None where
    no uptake was given. Sizes of several scans add up (`millilitres_together`).
    """

    truth_ml: float
    pred_ml: float
    overlap_ml: float
    fp_ml: float
    fn_ml: float
    tlg_truth: float | None = None
    tlg_pred: float | None = None


def millilitres_of(pred: Bools, truth: Bools, spacing_mm: Spacing) -> Millilitres:
    """Return the millilitres of two masks, bool (Z, H, W) of one scan.

    spacing_mm: between voxels along z, y, x. Their glycolysis comes from `stored.with_glycolysis`. Raises ValueError
    for other masks, or a spacing that is not above 0.
    """
    check_masks(pred, truth, spacing_mm)
    voxel = voxel_ml(spacing_mm)
    true, predicted, both = (int(np.count_nonzero(each)) for each in (truth, pred, truth & pred))
    # Each is a whole number times the voxel: rounding in a difference of two sizes would look like a false positive.
    return Millilitres(*(each * voxel for each in (true, predicted, both, predicted - both, true - both)))


def millilitres_together(scans: Sequence[Millilitres]) -> Millilitres:
    """Return the millilitres of several scans as one; the glycolysis is None if that of any scan is."""
    return Millilitres(
        truth_ml=math.fsum(each.truth_ml for each in scans),
        pred_ml=math.fsum(each.pred_ml for each in scans),
        overlap_ml=math.fsum(each.overlap_ml for each in scans),
        fp_ml=math.fsum(each.fp_ml for each in scans),
        fn_ml=math.fsum(each.fn_ml for each in scans),
        tlg_truth=_sum([each.tlg_truth for each in scans]),
        tlg_pred=_sum([each.tlg_pred for each in scans]),
    )


def precision(measured: Millilitres) -> float:
    """Return the share, 0..1, of the predicted ml that lies in the truth.

    For an empty prediction it is 1 if the truth is empty too, and else 0.
    """
    if measured.pred_ml == 0:
        return float(measured.truth_ml == 0)
    return measured.overlap_ml / measured.pred_ml


def volume_sensitivity(measured: Millilitres) -> float | None:
    """Return the share, 0..1, of the true ml that is predicted; None where the truth is empty."""
    return measured.overlap_ml / measured.truth_ml if measured.truth_ml else None


def _sum(values: list[float | None]) -> float | None:
    given = [each for each in values if each is not None]
    return math.fsum(given) if len(given) == len(values) else None
