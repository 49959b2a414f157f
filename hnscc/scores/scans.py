"""The scores of whole scans at one threshold: sizes in ml, distances of surfaces, lesions; of a patient's scans.

The rule for empty masks is that of `empty_masks`, which also says when missing more lesions may improve a score.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
_STORED_AS = {"millilitres": "volumes"}  # by field: trials keep it under this name


@dataclass(frozen=True)
class ScanScore:
    """One scan, or several as one (`scans_together`).

    slices: how many. truth_px, pred_px, overlap_px: voxels. surface: the value of each of SCAN_METRICS, by its name.
    millilitres: of truth and prediction. lesions: the true ones, found or not, and how many predicted ones are false.
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

    spacing_mm: between voxels along z, y, x. tolerance_mm: of the surface Dice. Raises ValueError for other masks, a
    spacing that is not above 0, or a tolerance below it.
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

    masks: bool (N, H, W). rows: scan -> where its slices stand among the N, int (n,), from its first to its last.
    spacing_mm: of each of these scans.
    """
    return {
        scan: score_scan(positive(probabilities[at], k), masks[at], spacing_mm[scan], tolerance_mm)
        for scan, at in rows.items()
    }


def scans_together(scans: Sequence[ScanScore]) -> ScanScore:
    """Return a patient's scans: voxels, ml and lesions add up; distances and surface Dice are means over those with
    lesion (over all, where none holds one), since a scan that has nothing to be found makes no distance smaller."""
    with_lesion = [each for each in scans if each.truth_px] or scans
    return ScanScore(
        slices=sum(each.slices for each in scans),
        truth_px=sum(each.truth_px for each in scans),
        pred_px=sum(each.pred_px for each in scans),
        overlap_px=sum(each.overlap_px for each in scans),
        surface={name: _mean([each.surface[name] for each in with_lesion]) for name in _SURFACES},
        millilitres=millilitres_together([each.millilitres for each in scans]),
        lesions=lesions.lesions_together([each.lesions for each in scans]),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def as_json(score: ScanScore) -> dict[str, Any]:
    """Return the score as JSON values, those of surfaces beside the others."""
    found: dict[str, Any] = {}
    for name, value in asdict(score).items():
        found |= value if name == "surface" else {_STORED_AS.get(name, name): value}
    return found


def is_of_these_metrics(value: Mapping[str, Any]) -> bool:
    """Return whether what `as_json` gave has a value of each of SCAN_METRICS, and of no other metric of surfaces."""
    return value.keys() - {*_COUNTS, *_STORED_AS.values(), "lesions"} == {each.name for each in SCAN_METRICS}


def score_from_json(value: Mapping[str, Any]) -> ScanScore:
    """Return the score that `as_json` gave this for. Raises KeyError or TypeError for anything else."""
    found = tuple(Lesion(**each) for each in value["lesions"]["lesions"])
    return ScanScore(
        **{name: value[name] for name in _COUNTS},
        surface={each.name: value[each.name] for each in SCAN_METRICS},
        millilitres=Millilitres(**value[_STORED_AS["millilitres"]]),
        lesions=Lesions(**{**value["lesions"], "lesions": found}),
    )
