"""The scores of whole scans, or of all scans of a patient, at one threshold: sizes in ml, distances of
surfaces, lesions.

The rule for empty masks is that of `empty_masks`, which also says when missing more lesions may improve a score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np

from hnscc.base.arrays import Bools, Integers, Spacing, StoredProbabilities
from hnscc.scores import lesions
from hnscc.scores.counts import positive
from hnscc.scores.lesions import Lesion, Lesions, find_lesions
from hnscc.scores.millilitres import Millilitres, millilitres_of, millilitres_together
from hnscc.scores.surface import SCAN_METRICS, surface_distances

_COUNTS = ("slices", "truth_px", "pred_px", "overlap_px")
_SURFACES = tuple(each.name for each in SCAN_METRICS)
_STORED_AS = {"millilitres": "volumes"}  # the name under which trials store a field


@dataclass(frozen=True)
class ScanScore:
    """The scores of one scan, or of several as one (`scans_together`).

    slices: how many there are. truth_px, pred_px, overlap_px: how many voxels. surface: the value of each of
    SCAN_METRICS, by its name. millilitres: the sizes of truth and prediction. lesions: the true lesions, found or not,
    and how many predicted ones are false.
    """

    slices: int
    truth_px: int
    pred_px: int
    overlap_px: int
    surface: Mapping[str, float]
    millilitres: Millilitres
    lesions: Lesions


def score_scan(pred: Bools, truth: Bools, spacing_mm: Spacing, tolerance_mm: float) -> ScanScore:
    """Return the scores of a predicted and a true mask, both bool (Z, H, W), of one scan.

    spacing_mm: between voxels along z, y, x. tolerance_mm: for the surface Dice. Raises ValueError for other masks, a
    spacing that is not above 0, or a negative tolerance.
    """
    distances = surface_distances(pred, truth, spacing_mm)
    return ScanScore(
        slices=len(truth),
        truth_px=int(np.count_nonzero(truth)),
        pred_px=int(np.count_nonzero(pred)),
        overlap_px=int(np.count_nonzero(truth & pred)),
        surface={metric.name: metric.function(distances, tolerance_mm) for metric in SCAN_METRICS},
        millilitres=millilitres_of(pred, truth, spacing_mm),
        lesions=find_lesions(pred, truth, spacing_mm),
    )


def score_scans(
    probabilities: StoredProbabilities,
    masks: Bools,
    rows: Mapping[str, Integers],
    spacing_mm: Mapping[str, Spacing],
    k: int,
    tolerance_mm: float,
) -> dict[str, ScanScore]:
    """Return the scores of each whole scan, from stored probabilities, uint16 (N, H, W), at the threshold k / 1000.

    masks: bool (N, H, W). rows: for each scan, the positions of its slices among the N, int (n,), from its first slice
    to its last. spacing_mm: of each of these scans.
    """
    return {
        scan: score_scan(positive(probabilities[at], k), masks[at], spacing_mm[scan], tolerance_mm)
        for scan, at in rows.items()
    }


def scans_together(scans: Sequence[ScanScore]) -> ScanScore:
    """Return a patient's scans as one. Voxels, ml and lesions add up. Distances and surface Dice are means over the
    scans with lesion (over all, if none has one): a scan with nothing to find must not make a mean distance smaller."""
    with_lesion = [each for each in scans if each.truth_px] or scans
    return ScanScore(
        slices=sum(each.slices for each in scans),
        truth_px=sum(each.truth_px for each in scans),
        pred_px=sum(each.pred_px for each in scans),
        overlap_px=sum(each.overlap_px for each in scans),
        surface={name: fmean(each.surface[name] for each in with_lesion) for name in _SURFACES},
        millilitres=millilitres_together([each.millilitres for each in scans]),
        lesions=lesions.lesions_together([each.lesions for each in scans]),
    )


def as_json(score: ScanScore) -> dict[str, Any]:
    """Return the score as JSON values, with those of surfaces on the same level as the others."""
    found: dict[str, Any] = {}
    for name, value in asdict(score).items():
        found |= value if name == "surface" else {_STORED_AS.get(name, name): value}
    return found


def is_of_these_metrics(value: Mapping[str, Any]) -> bool:
    """Return whether a value of `as_json` has each of SCAN_METRICS, and no other metric of surfaces."""
    return value.keys() - {*_COUNTS, *_STORED_AS.values(), "lesions"} == {each.name for each in SCAN_METRICS}


def score_from_json(value: Mapping[str, Any]) -> ScanScore:
    """Return the score from which `as_json` made this value. Raises KeyError or TypeError for anything else."""
    found = tuple(Lesion(**each) for each in value["lesions"]["lesions"])
    return ScanScore(
        **{name: value[name] for name in _COUNTS},
        surface={each.name: value[each.name] for each in SCAN_METRICS},
        millilitres=Millilitres(**value[_STORED_AS["millilitres"]]),
        lesions=Lesions(**{**value["lesions"], "lesions": found}),
    )
