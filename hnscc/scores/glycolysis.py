"""Total lesion glycolysis (TLG) of a scan within its truth and within its prediction at every threshold.

TLG is the volume of a mask times its mean uptake, in SUV ml (`volumes`): the sum of SUV over its voxels, times the
volume of one. A trial stores it at every threshold, since images stay in the store and its threshold is chosen later.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Bools, Floats, Spacing, StoredProbabilities
from hnscc.scores.counts import STEPS, k_reached
from hnscc.scores.masks import voxel_ml
from hnscc.scores.scans import ScanScore

STORED_AS = "glycolysis"  # the array of a trial's predictions that holds what `stacked` gives


def glycolysis(
    probabilities: StoredProbabilities, truth: Bools, uptake: NDArray[np.floating], spacing_mm: Spacing
) -> Floats:
    """SUV ml of one scan, float64 (1001,): at 0 within the truth, at k where a probability reaches k / 1000.

    probabilities: as stored, uint16 (Z, H, W). truth: bool, and uptake: SUV of each voxel, of the same shape.
    spacing_mm: between voxels along z, y, x. NaN everywhere where an uptake is not finite. ValueError for other shapes.
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


def stacked(found: Mapping[str, Floats]) -> NDArray[np.float32]:
    """Return what `glycolysis` found of S scans, one at least, as a trial stores it: float32 (S, 1001), by the sorted
    names of the scans, which are not stored."""
    return np.stack([found[scan] for scan in sorted(found)]).astype(np.float32)


def of_scans(stored: NDArray[np.floating], scans: Collection[str]) -> dict[str, NDArray[np.floating]]:
    """Return what `stacked` was given, by the names of its S scans in any order, each (1001,). Raises ValueError where
    what is stored has another shape than (S, 1001)."""
    if stored.shape != (len(scans), STEPS):
        raise ValueError(f"glycolysis of {stored.shape}, not {(len(scans), STEPS)}")
    return dict(zip(sorted(scans), stored, strict=True))


def with_glycolysis(
    scans: Mapping[str, ScanScore], found: Mapping[str, NDArray[np.floating]], k: int
) -> dict[str, ScanScore]:
    """Return the scores of scans at the threshold k / 1000, with what `glycolysis` found of each, (1001,); as they were
    where it found nothing."""
    return {scan: _with(score, found[scan], k) if found else score for scan, score in scans.items()}


def _with(score: ScanScore, found: NDArray[np.floating], k: int) -> ScanScore:
    truth, predicted = float(found[0]), float(found[k])
    if np.isnan(truth):
        return score
    return replace(score, volumes=replace(score.volumes, tlg_truth=truth, tlg_pred=predicted))
