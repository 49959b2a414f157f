"""Volumes of a predicted and a true mask in ml, what is wrong in them, and the uptake that they hold.

The metabolic tumour volume (MTV) is the volume of a mask; the total lesion glycolysis (TLG) is that volume times its
mean uptake, in SUV ml, where PET is in SUV. The rule for empty masks is that of `quantities`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from hnscc.scores.arrays import Bools
from hnscc.scores.masks import Spacing, check, voxel_ml
from hnscc.scores.quantities import Quantity


@dataclass(frozen=True)
class Volumes:
    """What two masks hold, in ml: truth_ml and pred_ml each, overlap_ml both, fp_ml the prediction outside of the
    truth, fn_ml the truth outside of the prediction.

    tlg_truth, tlg_pred: the total lesion glycolysis within the truth and within the prediction, in SUV ml; None where
    no uptake was given. Volumes of several scans add up (`pooled`).
    """

    truth_ml: float
    pred_ml: float
    overlap_ml: float
    fp_ml: float
    fn_ml: float
    tlg_truth: float | None = None
    tlg_pred: float | None = None


def volumes(
    pred: Bools, truth: Bools, spacing_mm: Spacing, uptake: NDArray[np.floating] | None = None
) -> Volumes:
    """The volumes of two masks, bool (Z, H, W) of one scan.

    spacing_mm: between voxels along z, y, x. uptake: SUV of each voxel, of the masks' shape. Raises ValueError for
    other masks, a spacing that is not positive, or an uptake of another shape or not finite where a mask is.
    """
    check(pred, truth, spacing_mm)
    voxel = voxel_ml(spacing_mm)
    true, predicted, both = (int(np.count_nonzero(each)) for each in (truth, pred, truth & pred))
    # Each a whole number times the voxel: a difference of two volumes would leave its rounding for a false positive.
    counted = (each * voxel for each in (true, predicted, both, predicted - both, true - both))
    if uptake is None:
        return Volumes(*counted)
    return Volumes(*counted, *(_glycolysis(each, uptake, voxel) for each in (truth, pred)))


def pooled(scans: Sequence[Volumes]) -> Volumes:
    """The volumes of several scans as those of one; its glycolysis is None if that of any scan is."""
    return Volumes(
        truth_ml=math.fsum(each.truth_ml for each in scans),
        pred_ml=math.fsum(each.pred_ml for each in scans),
        overlap_ml=math.fsum(each.overlap_ml for each in scans),
        fp_ml=math.fsum(each.fp_ml for each in scans),
        fn_ml=math.fsum(each.fn_ml for each in scans),
        tlg_truth=_sum([each.tlg_truth for each in scans]),
        tlg_pred=_sum([each.tlg_pred for each in scans]),
    )


def wrong_ml(case: Volumes) -> float:
    """False positives and misses together, in ml: the error of the volume in which the two do not cancel."""
    return case.fp_ml + case.fn_ml


def precision(case: Volumes) -> float:
    """The part of the predicted volume that lies in the truth, 0..1.

    Of an empty prediction 1 if the truth is empty too, and 0 if it is not.
    """
    if case.pred_ml == 0:
        return float(case.truth_ml == 0)
    return case.overlap_ml / case.pred_ml


def volume_error_ml(case: Volumes) -> float:
    """Predicted minus true volume, in ml: above 0 where too much is predicted. A description, not a score."""
    return case.pred_ml - case.truth_ml


def glycolysis_error(case: Volumes) -> float | None:
    """Predicted minus true glycolysis, in SUV ml; None where no uptake was given. A description, not a score."""
    if case.tlg_pred is None or case.tlg_truth is None:
        return None
    return case.tlg_pred - case.tlg_truth


def _glycolysis(mask: Bools, uptake: NDArray[np.floating], voxel: float) -> float:
    """Volume times mean uptake is the sum of uptake times the volume of a voxel: 0 of an empty mask."""
    if uptake.shape != mask.shape:
        raise ValueError(f"the uptake has the shape of the masks, {mask.shape}, not {uptake.shape}")
    inside = uptake[mask].astype(np.float64)
    if not np.isfinite(inside).all():
        raise ValueError("the uptake within a mask is a finite number everywhere")
    return float(inside.sum()) * voxel


def _sum(values: list[float | None]) -> float | None:
    given = [each for each in values if each is not None]
    return math.fsum(given) if len(given) == len(values) else None


_NO_UPTAKE = "PET is not in SUV"


def _description(
    name: str, label: str, unit: str, values: tuple[str, str], low: float | None
) -> Quantity[Volumes]:
    """A field of Volumes that is no score; values: its own for an empty prediction and for an empty truth."""
    return Quantity(
        name=name,
        label=label,
        unit=unit,
        range=(low, None),
        better=None,
        both_empty="0",
        no_prediction=values[0],
        no_truth=values[1],
        function=attrgetter(name),
        absent=_NO_UPTAKE,
        decimals=1,
    )


VOLUMES: tuple[Quantity[Volumes], ...] = (
    _description("truth_ml", "true volume", "ml", ("the true volume", "0"), 0.0),
    _description("pred_ml", "predicted volume", "ml", ("0", "the predicted volume"), 0.0),
    _description("tlg_truth", "true glycolysis", "SUV ml", ("the true glycolysis", "0"), None),
    _description("tlg_pred", "predicted glycolysis", "SUV ml", ("0", "the predicted glycolysis"), None),
    Quantity(
        name="volume_error_ml",
        label="error of the volume",
        unit="ml",
        range=(None, None),
        better=None,
        both_empty="0",
        no_prediction="minus the true volume",
        no_truth="the predicted volume",
        function=volume_error_ml,
        decimals=1,
    ),
    Quantity(
        name="tlg_error",
        label="error of the glycolysis",
        unit="SUV ml",
        range=(None, None),
        better=None,
        both_empty="0",
        no_prediction="minus the true glycolysis",
        no_truth="the predicted glycolysis",
        function=glycolysis_error,
        absent=_NO_UPTAKE,
        decimals=1,
    ),
    Quantity(
        name="fp_ml",
        label="volume of false positives",
        unit="ml",
        range=(0.0, None),
        better="lower",
        both_empty="0",
        no_prediction="0: it tells of alarms alone, and fn_ml of misses",
        no_truth="the predicted volume",
        function=attrgetter("fp_ml"),
        decimals=1,
    ),
    Quantity(
        name="fn_ml",
        label="volume of misses",
        unit="ml",
        range=(0.0, None),
        better="lower",
        both_empty="0",
        no_prediction="the true volume",
        no_truth="0: it tells of misses alone, and fp_ml of alarms",
        function=attrgetter("fn_ml"),
        decimals=1,
    ),
    Quantity(
        name="wrong_ml",
        label="volume of false positives and misses",
        unit="ml",
        range=(0.0, None),
        better="lower",
        both_empty="0",
        no_prediction="the true volume",
        no_truth="the predicted volume",
        function=wrong_ml,
        decimals=1,
    ),
    Quantity(
        name="precision",
        label="precision",
        unit=None,
        range=(0.0, 1.0),
        better="higher",
        both_empty="1",
        no_prediction="0",
        no_truth="0",
        function=precision,
    ),
)
