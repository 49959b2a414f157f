"""Finds slices beyond an image's end that show its last plane again, shifted a little from one slice to the next.

A program that resamples an image on a grid beyond its end with border values (MONAI's padding_mode border, SciPy's mode
nearest) gives each voxel there the value of the nearest voxel in the image's last plane. Where grid and image are
parallel, these slices are copies, which data_prep.placing.absent finds. Where the grid is oblique, the plane is
repeated along the image's own axis: each slice is the one before, shifted by the distance of slices times the tangent
of the angle. This goes on as far as the last plane, which is perpendicular to that axis and so crosses the grid's
slices obliquely.
"""

import math

import numpy as np
from numpy.typing import NDArray

from data_prep.volumes.percentiles import median, percentile
from hnscc.base.arrays import Bools, Floats, Integers

MOST_STEPS = 12  # steps of Gauss and Newton, at most, to find the shift from slice to slice
MOST_STEP_VOXELS = 1.0  # voxels, at most, of one such step
SAME_VOXELS = 1e-3  # voxels: a smaller step ends the search for the shift
EARLY_STEP = 4  # after so many steps the remaining difference decides whether to go on
# Of the way from the lowest value to the 99th percentile: brighter voxels are body, and count for the shift.
BODY_SHARE = 0.05
# In medians of the body's differences: a voxel that differs so much counts a quarter. It lies before the last plane,
# where the image itself goes on.
OUTLYING_DEVIATIONS = 1.5
# Of the slice's median deviation from its mean: a repeated plane leaves at most this in most of its body. Real
# neighbours leave more.
LEFT_SHARE = 0.08
BINS = 2  # bins of height along the image's axis, per distance of slices
LEAST_VARIANCE_SHARE = 0.05  # of the median bin's variance: a bin with less lies in air and says nothing
# Of the median difference elsewhere in the volume, and of the standard deviation within the bin.
LEFT_OF_OTHERS, LEFT_SDS = 0.25, 0.08
LEAST_DISTANCES = 3  # distances of slices that the repeated part, and the image itself, must fill at least
LEAST_SHARE = 0.5  # of the end's slice: so much must lie beyond the image
MOST_TANGENT = 0.6  # of the angle between the image's axis and that of the slices: 31 degrees


def continued(data: NDArray[np.float32], spacing: Floats) -> Bools | None:
    """Return which voxels of a volume repeat its last plane at either end, (x, y, z); None where there are none.

    data: (x, y, z), turned to LPS, in raw values. spacing: (3,), the size of its voxels in mm.
    """
    found = np.zeros_like(data, dtype=bool)
    whole = found
    # Slices are read in their memory order, since the other takes twice the time.
    if abs(data.strides[0]) < abs(data.strides[1]):
        data, found, spacing = data.swapaxes(0, 1), found.swapaxes(0, 1), spacing[[1, 0, 2]]
    if min(data.shape[:2]) > 2 and data.shape[2] >= 2 * LEAST_DISTANCES:
        for low, marked in ((data, found), (data[:, :, ::-1], found[:, :, ::-1])):
            move = _move(low[:, :, 0], low[:, :, 1])
            if move is not None:
                _mark(low, marked, move, spacing)
    return whole if whole.any() else None


def _move(first: NDArray[np.float32], second: NDArray[np.float32]) -> Floats | None:
    """Return by how many voxels (2,) the first slice is shifted in the second; None where the second does not show it.

    first, second: (x, y), in raw values.
    """
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
    """Return a slice (x, y) at positions `move` voxels, (2,), further on, interpolated linearly, in the same shape
    and unit.

    Beyond the slice, its outermost values are repeated. The unit is that of its values.
    """
    # Along x, then y; each turn transposes the slice, so the two restore its axes.
    for along in move.tolist():
        whole = math.floor(along)
        longer = _one_longer(plane, whole)
        here, following = longer[:-1], longer[1:]
        plane = (here + np.float32(along - whole) * (following - here)).T
    return plane


def _one_longer(plane: NDArray[np.float32], begin: int) -> NDArray[np.float32]:
    """Return one line more than a slice (x, y) has, beginning with the line at `begin`: (x + 1, y), in its unit
    of values.

    Beyond the slice, the nearest line is repeated.
    """
    count = len(plane)
    longer = np.empty_like(plane, shape=(count + 1, plane.shape[1]))
    low, high = (min(max(0, end), count + 1) for end in (-begin, count - begin))
    longer[:low], longer[high:] = plane[:1], plane[-1:]
    longer[low:high] = plane[low + begin : high + begin]
    return longer


def _mark(data: NDArray[np.float32], found: Bools, move: Floats, spacing: Floats) -> None:
    """Mark in `found`, in place, the voxels from the low end on that repeat `move` voxels further on in the next slice.

    They end at a plane perpendicular to that direction. None is marked where they are few, or the rest of the volume
    repeats as well.

    data, found: (x, y, z), views of the volume, in raw values, and of the result. move: (2,). spacing: (3,), in mm.
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
    """Return the bins of height, (x, y), of a slice that lies `more` bins above the first one; or of one
    voxel, both ().

    across: (x, y), the heights in bins of the voxels of the first slice.
    """
    return np.asarray(np.floor(across + more + 1e-6).astype(np.intp))


def _end(left: Floats) -> int:
    """Return the first bin of height that is the image's own; 0 where all are, or this cannot be told.

    left: (bins,), as `_left` gives it.
    """
    tells = np.flatnonzero(np.isfinite(left))
    told, least = left[tells], (LEAST_DISTANCES - 1) * BINS
    most = np.maximum.accumulate(told)
    for begin in range(len(told) - 1, 0, -1):
        long = min(tells[begin - 1], tells[-1] - tells[begin]) >= least
        if long and most[begin - 1] <= min(LEFT_SDS, LEFT_OF_OTHERS * float(np.median(told[begin:]))):
            return int(tells[begin - 1]) + 1
    return 0


def _left(data: NDArray[np.float32], move: Floats, across: Floats, step: float) -> Floats:
    """Return how far the voxels of each bin of height differ from those `move` voxels further on in the next
    slice: (bins,).

    The difference is divided by the standard deviation in the bin. It is NaN where this is next to 0, as in air.

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
        if low == high:  # faster, where the whole slice lies in one bin
            sums[:, low] += [plane.size, *(values.sum(dtype=np.float64) for values in each)]
        else:
            # Voxels of one bin lie side by side in a line. Sums of such runs are added up, in a third of the time of
            # single voxels.
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
