"""The prediction for one new scan: what a variant's models predict, its measures and scores, and whether the scan is
like those of the study."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.manifest.ids import alike, may_be_one
from data_prep.manifest.manifest import Row
from data_prep.new_scans import NewScan, Own
from data_prep.oddities.fields import other_lengths
from data_prep.oddities.odd import odd_beside
from data_prep.placing.way_back import back_as_drawn, lesion_back, sent_back, values_back
from data_prep.registering.judged import registrations_told
from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.models import Models, mean_probabilities
from hnscc.base.arrays import StoredProbabilities
from hnscc.base.in_words import count_of
from hnscc.cohort.placement import WHY_UNSEEN
from hnscc.cohort.slices import Bounds
from hnscc.scores.counts import ONE, positive
from hnscc.scores.empty_masks import voxel_ml
from hnscc.scores.metrics import dice
from hnscc.scores.uptake import MarkedLesion, Uptake, marked_lesions, uptake_of

BEYOND_BOUNDS = 0.01  # the user is told if this share of a modality's stored pixels lies beyond the bounds
REACH = 0.05  # the user is told if the highest value of a modality does not get this far between the bounds
ABSENT = 0.1  # the user is told if this share of most slices of a modality shows nothing
SUV = ("suv_max", "suv_mean", "suv_peak", "tlg")


@dataclass(frozen=True)
class ScanPrediction:
    """What models predict on one scan.

    stored: bool (Z, H, W) on its stored slices. lesion: bool (Z, Y, X) on its own grid turned to LPS. probability and
    disagreement, of the same shape: the mean of the models' probabilities and their standard deviation, where asked
    for. pictured: bool (Z, H, W), the pixels of `stored` from which the lesion on the grid was made.
    """

    stored: NDArray[np.bool_]
    lesion: NDArray[np.bool_]
    probability: NDArray[np.float32] | None
    disagreement: NDArray[np.float32] | None
    pictured: NDArray[np.bool_]


def combine(
    scan: NewScan,
    probabilities: Iterable[StoredProbabilities],
    k: int,
    *,
    unseen: Sequence[int],
    with_probability: bool,
    with_disagreement: bool,
) -> ScanPrediction:
    """Combine the models' predictions, uint16 (Z, H, W) each, into one: lesion where their mean reaches k / 1000.

    unseen: slices (z) that a modality does not show, where the models saw no image: everything is 0 there.
    with_probability, with_disagreement: whether these are made too.
    """
    total = squares = np.zeros(())
    models = 0
    for each in probabilities:
        p = each.astype(np.float64)
        total, squares, models = total + p, squares + p * p, models + 1
    mean = mean_probabilities(total, models)
    mean[list(unseen)] = 0
    stored = positive(mean, k)
    spread = np.sqrt(np.maximum(squares / models - (total / models) ** 2, 0)) / ONE
    spread[list(unseen)] = 0
    lesion = lesion_back(stored, scan.placement)
    return ScanPrediction(
        stored,
        lesion,
        values_back(mean / ONE, scan.placement) if with_probability else None,
        values_back(spread, scan.placement) if with_disagreement else None,
        sent_back(stored, lesion, scan.placement),
    )


def rows_of_lesions(
    scan: NewScan, predicted: ScanPrediction, modalities: Sequence[str], suv: str | None
) -> list[TableRow]:
    """Return a row for each predicted lesion: where it is in mm (x to right, y to anterior, z to superior), its size in
    ml, and the values of each modality within it, on that modality's own voxels; None where the lesion lies outside.
    suv: the modality that is in SUV; its measures are added by their names."""
    images = {name: scan.own(name) for name in modalities} if predicted.lesion.any() else {}
    found = marked_lesions(predicted.lesion, scan.spacing_mm)
    return [_lesion_row(scan, each, _uptake(scan, each, predicted, images), suv) for each in found]


def _uptake(
    scan: NewScan, lesion: MarkedLesion, predicted: ScanPrediction, images: Mapping[str, Own]
) -> dict[str, Uptake | None]:
    voxels = lesion.on_grid(predicted.lesion.shape)
    return {
        name: uptake_of(image.values, image.covered(voxels, scan.grid), image.spacing_mm)
        for name, image in images.items()
    }


def lesion_columns(modalities: Sequence[str], rows: Sequence[TableRow]) -> list[str]:
    """Return the names of the columns in rows of `rows_of_lesions`, in their order; those of SUV are included if any
    row has them."""
    columns = ["scan_id", "lesion", "voxels", "volume_ml", "x_mm", "y_mm", "z_mm"]
    columns += [f"{name}_{measure}" for name in modalities for measure in ("max", "mean")]
    return [*columns, *(SUV if any("suv_max" in row for row in rows) else ())]


def _lesion_row(
    scan: NewScan, lesion: MarkedLesion, uptake: Mapping[str, Uptake | None], suv: str | None
) -> TableRow:
    z, y, x = lesion.centre
    at = (scan.grid.affine @ [x, y, z, 1.0])[:3]
    place = {f"{axis}_mm": round(float(each), 2) for axis, each in zip("xyz", at, strict=True)}
    row = {"scan_id": scan.row.scan_id, "lesion": lesion.lesion, "voxels": lesion.voxels}
    row |= {"volume_ml": round(lesion.volume_ml, 4), **place}
    for name, of in uptake.items():
        row |= {f"{name}_max": of and _rounded(of.highest), f"{name}_mean": of and _rounded(of.mean)}
    if suv is not None:
        of = uptake[suv]
        values = (of.highest, of.mean, of.peak, of.mean * lesion.volume_ml) if of else ()
        row |= dict.fromkeys(SUV) | dict(zip(SUV, map(_rounded, values), strict=False))
    return row


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


SCORES = (
    *("scan_id", "patient_id", "truth_ml", "pred_ml", "overlap_ml", "dice"),
    *("dice_stored", "dice_of_mask_sent_back"),
)


def scores_of_scan(scan: NewScan, predicted: ScanPrediction) -> TableRow | None:
    """Return how the prediction overlaps the given mask: on the grid on which the mask was drawn, as in table
    `drawn_scans`, and on the stored slices; None without a mask.

    dice_of_mask_sent_back is the Dice of the given mask with itself, after it was placed on the stored slices and
    brought back: what a perfect model would reach.
    """
    if scan.drawn is None:
        return None
    ml = voxel_ml(scan.drawn.spacing_mm)
    pred, truth = back_as_drawn(predicted.stored, scan.placement, scan.drawn), scan.drawn.voxels
    overlap = int((pred & truth).sum())
    back = back_as_drawn(scan.stored_truth, scan.placement, scan.drawn)
    return {
        "scan_id": scan.row.scan_id,
        "patient_id": scan.row.patient_id,
        "truth_ml": round(int(truth.sum()) * ml, 4),
        "pred_ml": round(int(pred.sum()) * ml, 4),
        "overlap_ml": round(overlap * ml, 4),
        "dice": _dice(pred, truth),
        "dice_stored": _dice(predicted.stored, scan.stored_truth == 1),
        "dice_of_mask_sent_back": _dice(back, truth),
    }


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the Dice, 0..1, of two masks of one shape."""
    return round(float(dice((one & other).sum(), one.sum(), other.sum())), 6)


def intensities_of(scan: NewScan, models: Models) -> dict[str, TableRow]:
    """Return, for each modality that the models use, the bounds within which it was trained, and how this scan compares
    with them.

    low, high: the bounds of the fold that the most stored pixels lie beyond. outside: the share of these pixels. reach:
    how far the highest pixel gets on the way from low to high, as a share.
    """
    found = {}
    for channel, name in enumerate(models.variant.modalities):
        image = scan.images[:, channel]
        bounds = dict.fromkeys(member.bounds[channel] for member in models.members)
        found[name] = max((_within(image, each) for each in bounds), key=_beyond_bounds)
    return found


def _within(image: NDArray[np.float32], bounds: Bounds) -> TableRow:
    """Return how an image (Z, H, W) compares with the bounds of a training, both in raw values, as
    `intensities_of` says."""
    low, high = np.float32(bounds[0]), np.float32(bounds[1])
    beyond = float(((image < low) | (image > high)).mean())
    reach = (float(image.max()) - bounds[0]) / (bounds[1] - bounds[0])
    return {"low": bounds[0], "high": bounds[1], "outside": round(beyond, 6), "reach": float(f"{reach:.4g}")}


def _beyond_bounds(intensities: TableRow) -> float:
    """Return the share, 0..1, of a modality's pixels that lie beyond the bounds."""
    return float(intensities["outside"])


def told_of(scan: NewScan, models: Models, found: dict[str, TableRow]) -> list[str]:
    """Return what the user should know of a scan before trusting its mask, a sentence each.

    found: its `intensities`.
    """
    told = [
        f"{name}: {_beyond_bounds(each):.1%} of the pixels lie outside of {each['low']:.4g} to {each['high']:.4g}, the "
        "values that the model was trained on"
        for name, each in found.items()
        if _beyond_bounds(each) > BEYOND_BOUNDS
    ]
    told += [
        f"{name}: the highest value reaches {each['reach']:.2%} of the way from {each['low']:.4g} to "
        f"{each['high']:.4g}, the values that the model was trained on: is it another unit of values?"
        for name, each in found.items()
        if each["reach"] < REACH
    ]
    told += odd_beside(
        scan.images,
        scan.placement,
        models.variant.modalities,
        models.usual,
        lesion_known=scan.drawn is not None,
    )
    told += other_lengths((scan.spacing_mm[0], *scan.pixel_mm), models.spacings_mm)
    told += [f"{name}: {of.text}" for name, of in scan.units_of_values.items() if of.text]
    told += [f"{name}: its orientation is assumed, since its file states none" for name in scan.assumed]
    told += registrations_told(scan.placement.get("registered", {}))
    told += _unseen(scan, models.variant.modalities)
    told += [f"mask: {sentence}" for sentence in scan.mask_told]
    told += scan.row.told
    return told + ([] if _id_made_up(scan.row) else _no_new_patient(scan.row.patient_id, models.trained_on))


def told_of_ids(rows: Sequence[Row]) -> list[str]:
    """Return what the user should know of all scans before trusting their scores: that nobody could look for their
    patients in the study, if no manifest names them."""
    if not any(_id_made_up(row) for row in rows):
        return []
    return [
        "no manifest names these patients, so nobody could check whether a scan is of a patient that the models were "
        "trained on; give a manifest that names each patient by the study's patient_id, and it is checked"
    ]


def _id_made_up(row: Row) -> bool:
    """Return whether no manifest names the patient of a scan: a made-up id may be that of another patient in
    the study."""
    return not row.line


def _no_new_patient(patient: str, trained_on: Mapping[str, str]) -> list[str]:
    """Return a warning that the models were trained, or may have been trained, on this patient: scores would be
    too good.

    Ids that `hnscc scan` made up are alike by chance, and count as alike only where nothing but capitals tells
    them apart.
    """
    if where := trained_on.get(patient):
        return [f"patient {patient} is one of the study's ({where}): no new patient"]
    ids, made_up = [*trained_on, patient], re.fullmatch(r"p\d{3,}|patient-\d+", patient)
    near = [
        first
        for later, first in (*alike(ids), *may_be_one(ids))
        if later == patient and (not made_up or first.casefold() == patient)
    ]
    return [
        f"patient {patient} may be the study's {each} ({trained_on[each]}), whose id is much like it: if so, it is no "
        "new patient"
        for each in near
    ]


def _unseen(scan: NewScan, modalities: Sequence[str]) -> list[str]:
    """Return what the modalities that the models use do not show."""
    told, depth = [], len(scan.images)
    for name in modalities:
        if unseen := scan.unseen([name]):
            told.append(
                f"{name}: {len(unseen)} of {count_of(depth, 'slice')} ({min(unseen)} to {max(unseen)}, counted from "
                f"0 at the feet) are not shown, since {WHY_UNSEEN}: no lesion is predicted there"
            )
        if (share := scan.placement["absent"][name]) > ABSENT:
            told.append(f"{name}: {share:.0%} of most slices show nothing (cut off, or padding)")
    return told
