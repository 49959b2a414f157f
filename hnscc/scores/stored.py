"""What a trial says of its own predictions at 0.5, so that no table has to score them again: scores.json."""

import json
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hnscc.base.arrays import Bools, Integers, Spacing, StoredProbabilities
from hnscc.base.steps import at_once
from hnscc.scores import calibration
from hnscc.scores.calibration import Probabilities, probabilities_of
from hnscc.scores.counts import HALF, count_at
from hnscc.scores.scans import ScanScore, as_json, is_of_these_metrics, score_from_json, score_scans

# Raised whenever what is written here, or how scans are scored, changes: older files are then not used. A metric of
# surfaces that is added or removed needs no raise.
VERSION = 4


@dataclass(frozen=True)
class StoredScores:
    """overlap, pred: pixels of N scored slices at 0.5, int64 (N,). scans: the score of each whole scan there.
    probabilities: of each of these scans, whatever the threshold."""

    overlap: Integers
    pred: Integers
    scans: dict[str, ScanScore]
    probabilities: dict[str, Probabilities]


def score_at_half(
    probabilities: StoredProbabilities,
    masks: Bools,
    rows: Mapping[str, Integers],
    spacing_mm: Mapping[str, Spacing],
    tolerance_mm: float,
) -> StoredScores:
    """Return the scores of stored probabilities, uint16 (N, H, W), at 0.5; arguments as of `scans.score_scans`."""
    return at_once(scoring_at_half(probabilities, masks, rows, spacing_mm, tolerance_mm))


def scoring_at_half(
    probabilities: StoredProbabilities,
    masks: Bools,
    rows: Mapping[str, Integers],
    spacing_mm: Mapping[str, Spacing],
    tolerance_mm: float,
) -> Generator[None, None, StoredScores]:
    """What `score_at_half` gives of probabilities uint16 (N, H, W), with a pause after each scan."""
    counts = count_at(probabilities, masks, HALF)
    scans: dict[str, ScanScore] = {}
    for scan, at in rows.items():
        scans |= score_scans(probabilities, masks, {scan: at}, spacing_mm, HALF, tolerance_mm)
        yield
    return StoredScores(counts.overlap, counts.pred, scans, probabilities_of(probabilities, masks, rows))


def scores_to_bytes(scores: StoredScores, spacing_mm: Mapping[str, Spacing], tolerance_mm: float) -> bytes:
    """Return the scores as JSON, with what they depend on beside predictions and masks: arguments as
    of `score_at_half`."""
    content = {
        "version": VERSION,
        "tolerance_mm": tolerance_mm,
        "spacing_mm": _as_lists(spacing_mm),
        "overlap_px": scores.overlap.tolist(),
        "pred_px": scores.pred.tolist(),
        "scans": {scan: as_json(each) for scan, each in scores.scans.items()},
        "probabilities": {scan: asdict(each) for scan, each in scores.probabilities.items()},
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def scores_from_bytes(
    content: bytes, spacing_mm: Mapping[str, Spacing], tolerance_mm: float, slices: int
) -> StoredScores | None:
    """Return the scores that `scores_to_bytes` wrote of so many slices and of the scans that spacing_mm names; None
    where they are of another version, spacing, tolerance or selection, or of other metrics, so that they have to be
    computed again.

    The trial's record vouches for the content: what is of this version and no such scores is a fault of this program
    (ValueError, KeyError, TypeError)."""
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
        {scan: calibration.probabilities_from_json(each) for scan, each in found["probabilities"].items()},
    )
    counted = scores.overlap.shape == scores.pred.shape == (slices,)
    whole = scores.scans.keys() == scores.probabilities.keys() == spacing_mm.keys()
    return scores if counted and whole else None


def _as_lists(spacing_mm: Mapping[str, Spacing]) -> dict[str, list[float]]:
    return {scan: [float(each) for each in spacing] for scan, spacing in spacing_mm.items()}
