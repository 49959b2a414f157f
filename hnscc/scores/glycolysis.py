"""Total lesion glycolysis (TLG) of a scan within its truth and within its prediction at every threshold.

TLG is the volume of a mask times its mean uptake, in SUV ml (`volumes`): the sum of SUV over its voxels, times the
volume of one. A trial stores it at every threshold, since images stay in the store and its threshold is chosen later.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Bools, Floats, Spacing, StoredProbabilities
from hnscc.scores.counts import ONE
from hnscc.scores.masks import voxel_ml
from hnscc.scores.scans import ScanScore

STEPS = 1001  # within the truth, then at the thresholds 0.001 to 1.000


def glycolysis(
    probabilities: StoredProbabilities, truth: Bools, uptake: NDArray[np.floating], spacing_mm: Spacing
) -> Floats:
    """SUV ml of one scan, float64 (1001,): at 0 within the truth, at k where a probability reaches k / 1000.

    probabilities: as stored, uint16 (Z, H, W). truth: bool, and uptake: SUV of each voxel, of the same shape.
    spacing_mm: between voxels along z, y, x. NaN everywhere where an uptake is not finite. ValueError for other shapes.
    """
    if not probabilities.shape == truth.shape == uptake.shape:
        raise ValueError(f"shapes are one, not {probabilities.shape}, {truth.shape} and {uptake.shape}")
    suv = uptake.astype(np.float64)
    if not np.isfinite(suv).all():
        return np.full(STEPS, np.nan)
    reached = (
        probabilities.astype(np.int64) * 1000 // ONE
    )  # the highest k that each voxel's probability reaches
    per_step = np.bincount(reached.ravel(), suv.ravel(), STEPS)
    found = per_step[::-1].cumsum()[::-1]
    found[0] = suv[truth].sum()
    return found * voxel_ml(spacing_mm)


def with_glycolysis(
    scans: Mapping[str, ScanScore], found: Mapping[str, NDArray[np.floating]], k: int
) -> dict[str, ScanScore]:
    """The scores of scans at the threshold k / 1000, with what `glycolysis` found of each; as they were without it."""
    return {scan: _with(score, found[scan], k) if found else score for scan, score in scans.items()}


def _with(score: ScanScore, found: NDArray[np.floating], k: int) -> ScanScore:
    truth, predicted = float(found[0]), float(found[k])
    if np.isnan(truth):
        return score
    return replace(score, volumes=replace(score.volumes, tlg_truth=truth, tlg_pred=predicted))
