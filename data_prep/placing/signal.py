"""How a volume's values were processed, by what lesions change little: how smooth, how finely graded, whether cut off.

Smoothing, noise, other reconstructions, and rounding to few values leave a mark on every voxel, which a model can learn
as well as a lesion (data_prep.oddities.separating).
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from data_prep.volumes.volume import Volume, axis_of_slices
from hnscc.base.arrays import Bools, Images
from hnscc.cohort.placement import SignalFacts

Kind = TypeVar("Kind", bound=np.generic)

FAR_VOXELS = 3  # voxels, with which a step from one voxel to the next is compared
LOOKED_AT_VOXELS = 300_000  # voxels, at most, of whole slices
GRADED_VOXELS = 20_000  # voxels, at most, of which the values are counted


def signal_of(volume: Volume) -> SignalFacts:
    """Return what the brighter half of a volume's voxels tell of how its values were processed, and its
    highest value."""
    up = axis_of_slices(volume.grid)
    slices = np.moveaxis(volume.data, up, 0)
    every = max(1, int(np.ceil(volume.data.size / LOOKED_AT_VOXELS)))
    looked_at = slices[every // 2 % len(slices) :: every]
    bright = looked_at > looked_at.mean(dtype=np.float64)
    graded = looked_at[bright]
    if graded.size:  # a hot lesion has values of its own
        graded = graded[graded <= np.median(graded)]
    graded = graded[:: max(1, len(graded) // GRADED_VOXELS)][:GRADED_VOXELS]
    return {
        "step": _step(looked_at, bright),
        "values": len(np.unique(graded)),
        "cut": (int((volume.data == volume.data.max()).sum()) - 1) / volume.data.size,
    }


def _step(slices: Images, bright: Bools) -> float | None:
    """Slices lie along the first axis."""
    medians = []
    for apart in (1, FAR_VOXELS):
        found = [
            np.abs(a - b)[both]
            for axis in (1, 2)
            for a, b in [_shifted(slices, apart, axis)]
            for both in [np.logical_and(*_shifted(bright, apart, axis))]
        ]
        steps = np.concatenate(found)
        medians.append(float(np.median(steps)) if len(steps) else 0.0)
    return medians[0] / medians[1] if medians[1] > 0 else None


def _shifted(values: NDArray[Kind], apart: int, axis: int) -> tuple[NDArray[Kind], NDArray[Kind]]:
    """The values from `apart` on along an axis, and those that many before them."""
    ahead: list[slice] = [slice(None)] * 3
    behind: list[slice] = [slice(None)] * 3
    ahead[axis], behind[axis] = slice(apart, None), slice(None, -apart)
    return values[tuple(ahead)], values[tuple(behind)]
