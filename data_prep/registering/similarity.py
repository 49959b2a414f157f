"""How much two images tell of one another at given places: their mutual information, over voxels that stay the same."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.registering.copies import Copy

BINS = 32
MOST_VOXELS = 2**18  # of the fixed copy that are looked at, spread evenly


def similarity(fixed: Copy, moving: Copy, motion: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mutual information of two copies in nats, 0 to log 32, and the share of the fixed one that is covered.

    motion: 4 x 4, from mm of the fixed copy to mm of the moving one. All voxels of the fixed copy count, whatever the
    motion: outside of the moving copy stands its lowest value, as it will in the stored slices. So a motion gains
    nothing by pushing what does not fit out of sight, which it does where the overlap alone is counted.
    """
    step = max(1, int(np.ceil((fixed.values.size / MOST_VOXELS) ** (1 / 3))))
    at = np.stack(np.meshgrid(*(np.arange(0, side, step) for side in fixed.values.shape), indexing="ij"))
    ways = np.linalg.inv(moving.affine) @ motion @ fixed.affine
    places = np.tensordot(ways[:3, :3], at, axes=1) + ways[:3, 3][:, None, None, None]
    seen = ndimage.map_coordinates(moving.values, places, order=1, mode="nearest", output=np.float32)
    sides = np.array(moving.values.shape)[:, None, None, None]
    covered = ((places >= -0.5) & (places <= sides - 0.5)).all(axis=0)
    seen = np.where(covered, seen, np.float32(0))
    return mutual_information(fixed.values[::step, ::step, ::step], seen), float(covered.mean())


def mutual_information(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Of two images of one shape with values from 0 to 1, in nats: about 0 where neither tells anything of the other.

    Of few voxels chance alone gives some, which is taken off (so that it may come to less than 0).
    Source: Miller (1955), Note on the bias of information estimates, in Information Theory in Psychology.
    """
    bins = [np.minimum((each.ravel() * BINS).astype(np.int64), BINS - 1) for each in (one, other)]
    joint = np.bincount(bins[0] * BINS + bins[1], minlength=BINS * BINS).reshape(BINS, BINS) / one.size
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    some = joint > 0
    by_chance = (some.sum() - some.any(axis=1).sum() - some.any(axis=0).sum() + 1) / (2 * one.size)
    return float((joint[some] * np.log(joint[some] / apart[some])).sum() - by_chance)
