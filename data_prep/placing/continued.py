"""Slices beyond an image's end that show its last plane again, moved a little from one to the next.

A program that lays an image on a grid beyond its end with border values (MONAI's padding_mode border, SciPy's mode
nearest) gives every voxel there the value of the nearest one of the image's last plane. Where the grid lies straight to
the image, its slices are copies, which data_prep.placing.absent finds; where it lies oblique, the plane goes on along
the image's own axis: each slice is the one before, moved by the tangent of the angle times their distance, as far as
the last plane, which crosses the grid's slices slanting, at a right angle to that axis.
"""

import math

import numpy as np
from numpy.typing import NDArray

from data_prep.volumes.percentiles import median, percentile
from hnscc.base.arrays import Bools, Floats, Integers

MOST_STEPS = 12  # of Gauss and Newton, by which the move from slice to slice is found
MOST_STEP_VOXELS = 1.0  # voxels, of one such step
SAME_VOXELS = 1e-3  # voxels, below which the move is found
EARLY_STEP = 4  # after so many steps what is left says whether to go on
# Of the way from the lowest value to the 99th percentile: what is brighter counts for the move.
BODY_SHARE = 0.05
# Deviations (1.5 times the median of the body's) at which a voxel counts a quarter of the others: it lies before the
# last plane, where the image itself goes on.
OUTLYING_DEVIATIONS = 1.5
# Of the slice's median deviation from its mean, what is left of it in most of its body; other neighbours leave more.
LEFT_SHARE = 0.08
BINS = 2  # of height along the image's axis, per distance of slices
LEAST_VARIANCE_SHARE = 0.05  # of the median bin's: one in air says nothing
# Of what neighbours leave elsewhere in the volume, and of the standard deviation within the bin.
LEFT_OF_OTHERS, LEFT_SDS = 0.25, 0.08
LEAST_DISTANCES = 3  # of slices, that the plane goes on for at least; and that the image itself holds
LEAST_SHARE = 0.5  # of the end's slice, that lies beyond the image
MOST_TANGENT = 0.6  # of the angle between the image's axis and the slices': 31 degrees


def continued(data: NDArray[np.float32], spacing: Floats) -> Bools | None:
    """Return which voxels of a volume repeat its last plane at either end, (x, y, z); None where there are none.

    data: (x, y, z), turned to LPS, in raw values. spacing: (3,), its voxels' size in mm.
    """
    found = np.zeros_like(data, dtype=bool)
    whole = found
    # Slices are read as they lie in memory: the other way takes twice the time.
    if abs(data.strides[0]) < abs(data.strides[1]):
        data, found, spacing = data.swapaxes(0, 1), found.swapaxes(0, 1), spacing[[1, 0, 2]]
    if min(data.shape[:2]) > 2 and data.shape[2] >= 2 * LEAST_DISTANCES:
        for low, marked in ((data, found), (data[:, :, ::-1], found[:, :, ::-1])):
            move = _move(low[:, :, 0], low[:, :, 1])
            if move is not None:
                _mark(low, marked, move, spacing)
    return whole if whole.any() else None


def _move(first: NDArray[np.float32], second: NDArray[np.float32]) -> Floats | None:
    """By how many voxels (2,) the first slice stands moved in the second; None where it does not stand there. first,
    second: (x, y), in raw values."""
    low, bright = first.min(), percentile(first, 99)
    body = first > low + BODY_SHARE * (bright - low)
    if not body.any():
        return None
    deviation = float(median(np.abs(first[body] - first[body].mean())))
    move, weight = np.zeros(2), np.ones(first.shape)
    for step in range(MOST_STEPS):
        there = _moved(second, move)
        left = first - there
        usual = float(median(np.abs(left[body])))
        if step >= EARLY_STEP and usual > LEFT_SHARE * deviation:
            return None
        if step:
            limit = max(OUTLYING_DEVIATIONS * usual, 1e-6 * float(bright - low))
            weight = 1 / (1 + (left / limit) ** 2) ** 2
        slopes = np.stack([slope.ravel() for slope in np.gradient(there)])
        weighted = slopes * weight.ravel()
        more = np.linalg.lstsq(weighted @ slopes.T, weighted @ left.ravel(), rcond=None)[0]
        more = np.clip(more, -MOST_STEP_VOXELS, MOST_STEP_VOXELS)
        move = move + more
        if np.abs(more).max() < SAME_VOXELS:
            break
    return move


def _moved(plane: NDArray[np.float32], move: Floats) -> NDArray[np.float32]:
    """A slice (x, y) as it stands `move` voxels, (2,), further on, linearly between its voxels; beyond it, its last
    ones: of the same shape and unit of values."""
    for along in move.tolist():  # in turn along x and along y, which ends as it began
        whole = math.floor(along)
        longer = _one_longer(plane, whole)
        here, following = longer[:-1], longer[1:]
        plane = (here + np.float32(along - whole) * (following - here)).T
    return plane


def _one_longer(plane: NDArray[np.float32], begin: int) -> NDArray[np.float32]:
    """The lines of a slice (x, y) from the one at `begin` on, one more than it has: (x + 1, y), in the same unit of
    values; beyond it, the nearest of them."""
    count = len(plane)
    longer = np.empty_like(plane, shape=(count + 1, plane.shape[1]))
    low, high = (min(max(0, end), count + 1) for end in (-begin, count - begin))
    longer[:low], longer[high:] = plane[:1], plane[-1:]
    longer[low:high] = plane[low + begin : high + begin]
    return longer


def _mark(data: NDArray[np.float32], found: Bools, move: Floats, spacing: Floats) -> None:
    """Mark in `found`, in place, the voxels from the low end on that stand `move` voxels further on in the next slice
    too, up to a plane at a right angle to that way; none where they are few, or all others are as alike.

    data, found: (x, y, z), views of the volume, in raw values, and of what is found. move: (2,). spacing: (3,), in mm.
    """
    axis = np.append(move, 1.0) * spacing
    if np.hypot(*axis[:2]) > MOST_TANGENT * axis[2]:
        return
    step = BINS * axis * spacing / (axis @ axis)
    x, y = (np.arange(count) for count in data.shape[:2])
    across = x[:, None] * step[0] + y * step[1]
    across -= across.min()
    end = _end(_left(data, move, across, float(step[2])))
    if (_bins(across, 0.0) < end).mean() >= LEAST_SHARE:
        for z in range(data.shape[2] - 1):
            found[:, :, z] |= _bins(across, z * float(step[2])) < end


def _bins(across: Floats, more: float) -> Integers:
    """The numbers (x, y) of the bins of a slice's voxels by height, `more` bins above the first slice's, which are
    `across`, (x, y); or of one voxel, both ()."""
    return np.asarray(np.floor(across + more + 1e-6).astype(np.intp))


def _end(left: Floats) -> int:
    """The first bin of height that is the image's own; 0 where all are, or nothing can be said. left: (bins,), as
    `_left` gives it."""
    tells = np.flatnonzero(np.isfinite(left))
    told, least = left[tells], (LEAST_DISTANCES - 1) * BINS
    most = np.maximum.accumulate(told)
    for begin in range(len(told) - 1, 0, -1):
        long = min(tells[begin - 1], tells[-1] - tells[begin]) >= least
        if long and most[begin - 1] <= min(LEFT_SDS, LEFT_OF_OTHERS * float(np.median(told[begin:]))):
            return int(tells[begin - 1]) + 1
    return 0


def _left(data: NDArray[np.float32], move: Floats, across: Floats, step: float) -> Floats:
    """What differs between the voxels of a bin of height and those that stand `move` voxels further on in the next
    slice, of the standard deviation in that bin: (bins,); NaN where this is next to none, as in air.

    data: (x, y, z), in raw values. move: (2,). across: (x, y), the heights in bins of the first slice's voxels; step:
    how much higher each slice lies, in bins.
    """
    slices, widest = data.shape[2], float(across.max())
    sums = np.zeros((4, int(_bins(np.array(widest), slices * step)) + 1))
    for z in range(slices - 1):
        plane = data[:, :, z]
        about, differ = plane - plane.mean(), plane - _moved(data[:, :, z + 1], move)
        each = [about, about**2, differ**2]
        low, high = (int(_bins(np.array(far), z * step)) for far in (0.0, widest))
        if low == high:  # as of slices that hardly move, at once
            sums[:, low] += [plane.size, *(values.sum(dtype=np.float64) for values in each)]
        else:
            # Bins take runs of a line: the sums of these are added up, which takes a third of the time of all voxels.
            at = _bins(across, z * step).ravel()
            begins = np.append(0, np.flatnonzero(at[1:] != at[:-1]) + 1)
            runs = [np.diff(begins, append=at.size)]
            runs += [np.add.reduceat(values.ravel(), begins, dtype=np.float64) for values in each]
            sums += [np.bincount(at[begins], run, sums.shape[1]) for run in runs]
    count, total, squares, differed = sums
    variance = squares - total**2 / np.maximum(count, 1)
    some = variance > 0
    least = LEAST_VARIANCE_SHARE * np.median(variance[some]) if some.any() else np.inf
    tells = some & (variance > least)
    return np.where(tells, np.sqrt(differed / np.where(tells, variance, 1)), np.nan)
