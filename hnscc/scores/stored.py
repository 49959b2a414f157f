"""What a trial stores of its predictions besides the probabilities: its scores at 0.5, so that no table has to score
them again (scores.json), and the total lesion glycolysis (TLG) of each scan within its truth and, at every threshold,
within its prediction.

TLG is the size of a mask times its mean uptake, in SUV ml (`millilitres`): the sum of SUV over its voxels, times the ml
of one. It is stored for every threshold, since the images stay in the store and the threshold is chosen later.
"""

import json
from collections.abc import Collection, Generator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Bools, Floats, Integers, Spacing, StoredProbabilities
from hnscc.scores import calibration
from hnscc.scores.calibration import ScanCalibration, calibrations_of
from hnscc.scores.counts import HALF, STEPS, count_at, k_reached
from hnscc.scores.empty_masks import voxel_ml
from hnscc.scores.scans import ScanScore, as_json, is_of_these_metrics, score_from_json, score_scans

# Raise this whenever the content of the files, or the way in which scans are scored, changes: older files are then not
# used. A metric of surfaces may be added or removed without that.
VERSION = 4
STORED_AS = "glycolysis"  # the array of a trial's predictions that holds what `stored_form` gives


@dataclass(frozen=True)
class StoredScores:
    """The scores that a trial stores. overlap, pred: pixels of N scored slices at 0.5, int64 (N,). scans: the score of
    each whole scan at 0.5. calibrations: that of each of these scans, which needs no threshold."""

    overlap: Integers
    pred: Integers
    scans: dict[str, ScanScore]
    calibrations: dict[str, ScanCalibration]


def scoring_at_half(
    probabilities: StoredProbabilities,
    masks: Bools,
    rows: Mapping[str, Integers],
    spacing_mm: Mapping[str, Spacing],
    tolerance_mm: float,
) -> Generator[None, None, StoredScores]:
    """Compute the scores at 0.5 of stored probabilities, uint16 (N, H, W), and masks, bool (N, H, W); pause after each
    scan. rows: int (n,) of each scan; the arguments are those of `scans.score_scans`."""
    counts = count_at(probabilities, masks, HALF)
    scans: dict[str, ScanScore] = {}
    for scan, at in rows.items():
        scans |= score_scans(probabilities, masks, {scan: at}, spacing_mm, HALF, tolerance_mm)
        yield
    return StoredScores(counts.overlap, counts.pred, scans, calibrations_of(probabilities, masks, rows))


def scores_to_bytes(scores: StoredScores, spacing_mm: Mapping[str, Spacing], tolerance_mm: float) -> bytes:
    """Return the scores as JSON, with whatever they depend on besides predictions and masks. The arguments are those
    of `scoring_at_half`."""
    content = {
        "version": VERSION,
        "tolerance_mm": tolerance_mm,
        "spacing_mm": _as_lists(spacing_mm),
        "overlap_px": scores.overlap.tolist(),
        "pred_px": scores.pred.tolist(),
        "scans": {scan: as_json(each) for scan, each in scores.scans.items()},
        "probabilities": {scan: asdict(each) for scan, each in scores.calibrations.items()},
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def scores_from_bytes(
    content: bytes, spacing_mm: Mapping[str, Spacing], tolerance_mm: float, slices: int
) -> StoredScores | None:
    """Return the scores that `scores_to_bytes` wrote for so many slices and for the scans that spacing_mm names. None
    where they are of another version, spacing, tolerance or selection, or of other metrics, so that they have to be
    computed again.

    The trial's record vouches for the content, so content of this version that does not hold such scores is a fault of
    this program (ValueError, KeyError, TypeError).
    """
    found: dict[str, Any] = json.loads(content)
    if found.get("version") != VERSION:
        return None
    if (found["tolerance_mm"], found["spacing_mm"]) != (tolerance_mm, _as_lists(spacing_mm)):
        return None
    if not all(map(is_of_these_metrics, found["scans"].values())):
        return None
    scores = StoredScores(
        np.array(found["overlap_px"], np.int64),
        np.array(found["pred_px"], np.int64),
        {scan: score_from_json(each) for scan, each in found["scans"].items()},
        {scan: calibration.calibration_from_json(each) for scan, each in found["probabilities"].items()},
    )
    counted = scores.overlap.shape == scores.pred.shape == (slices,)
    whole = scores.scans.keys() == scores.calibrations.keys() == spacing_mm.keys()
    return scores if counted and whole else None


def _as_lists(spacing_mm: Mapping[str, Spacing]) -> dict[str, list[float]]:
    return {scan: [float(each) for each in spacing] for scan, spacing in spacing_mm.items()}


def glycolysis(
    probabilities: StoredProbabilities, truth: Bools, uptake: NDArray[np.floating], spacing_mm: Spacing
) -> Floats:
    """Return the SUV ml of one scan, float64 (1001,): at 0 within the truth, at k where a probability reaches k / 1000.

    probabilities: as stored, uint16 (Z, H, W). truth: bool, and uptake: SUV of each voxel, both of the same shape.
    spacing_mm: between voxels along z, y, x. All values are NaN where an uptake is not finite. ValueError for
    other shapes.
    """
    if not probabilities.shape == truth.shape == uptake.shape:
        raise ValueError(
            "probabilities, truth and uptake are of one shape, not "
            f"{probabilities.shape}, {truth.shape} and {uptake.shape}; give the same slices of all three"
        )
    suv = uptake.astype(np.float64)
    if not np.isfinite(suv).all():
        return np.full(STEPS, np.nan)
    per_step = np.bincount(k_reached(probabilities).ravel(), suv.ravel(), STEPS)
    found = per_step[::-1].cumsum()[::-1]
    found[0] = suv[truth].sum()
    return found * voxel_ml(spacing_mm)


def stored_form(found: Mapping[str, Floats]) -> NDArray[np.float32]:
    """Return the results of `glycolysis` for S scans, at least one, each (1001,), as a trial stores them: float32 (S,
    1001), SUV times ml, in the order of the scans' names, which are not stored."""
    return np.stack([found[scan] for scan in sorted(found)]).astype(np.float32)


def of_scans(stored: NDArray[np.floating], scans: Collection[str]) -> dict[str, NDArray[np.floating]]:
    """Return what `stored_form` was given, by the names of its S scans, which may come in any order: each float32
    (1001,), SUV times ml. Raises ValueError where what is stored has another shape than (S, 1001)."""
    if stored.shape != (len(scans), STEPS):
        raise ValueError(f"glycolysis of {stored.shape}, not {(len(scans), STEPS)}")
    return dict(zip(sorted(scans), stored, strict=True))


def with_glycolysis(
    scans: Mapping[str, ScanScore], found: Mapping[str, NDArray[np.floating]], k: int
) -> dict[str, ScanScore]:
    """Return the scores of scans at the threshold k / 1000 with the glycolysis that was found for each, floats (1001,)
    in SUV times ml. Where none was found, return the scores as they are."""
    return {scan: _with(score, found[scan], k) if found else score for scan, score in scans.items()}


def _with(score: ScanScore, found: NDArray[np.floating], k: int) -> ScanScore:
    """Return the score with the glycolysis that was found, (1001,) in SUV times ml, at the threshold k / 1000. Where
    that is NaN, return the score as it is."""
    truth, predicted = float(found[0]), float(found[k])
    if np.isnan(truth):
        return score
    return replace(score, millilitres=replace(score.millilitres, tlg_truth=truth, tlg_pred=predicted))
