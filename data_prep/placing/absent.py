"""Finds voxels that a file holds but that show nothing of a body: padding, copies of a slice, parts that were cut out.

The file does not mark them. They are recognised by what no scanner produces: slices almost without contrast, slices
that have next to nothing or too much in common with their neighbours (data_prep.placing.neighbours), and parts of one
value that end along a straight line.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.placing.holes import MIN_HOLE_VOXELS, with_holes
from data_prep.placing.neighbours import BODY_SHARE, by_neighbours
from data_prep.volumes.percentiles import percentiles
from hnscc.base.arrays import Bools

# Share of the contrast of the volume's other slices. Air around a body, and slices with little of it, have 0.08
# and more.
FAINT_SHARE = 0.015
# Share of the contrast of the slices on both sides of a dim run. Slices of a body have 0.8 and more.
DIM_SHARE = 0.4
# A run of several slices must be dim at this percentile too: the end of a hot lesion, which fills less, dims the 99th.
BRIGHT_PERCENTILE = 90
MIN_CUT_SHARE = 0.05  # of the lines: so many must be of one value from the border on
# Of a line's voxels: so many must be body in the widest line; of a narrower body nothing is said.
WIDE_SHARE = 0.25
# Share of the body's widest line that the first line behind a cut must hold. A body itself begins with thinner lines.
ABRUPT_SHARE = 0.6
AT_ONCE_SHARE = 0.7  # of the mean two lines further in: a body's own border is blurred and starts darker


def absent(data: NDArray[np.float32]) -> Bools | None:
    """Return which voxels show nothing, (x, y, z); None where all show something.

    data: (x, y, z), turned to LPS, in raw values.
    """
    # The array has the memory order of the data, since another order takes many times as long.
    found = np.zeros_like(data, dtype=bool)
    faint = _faint(data)
    found[:, :, faint | by_neighbours(data, faint)] = True
    if _repeats(data):  # else no values are equal, so there is neither a cut nor a hole
        for turned_data, turned_found in (
            (data, found),
            (data[::-1], found[::-1]),
            (data.swapaxes(0, 1), found.swapaxes(0, 1)),
            (data.swapaxes(0, 1)[::-1], found.swapaxes(0, 1)[::-1]),
        ):
            _mark_cuts(turned_data, turned_found, faint)
        # The whole slice, since nobody knows what else was done to it.
        found[:, :, with_holes(data, ~faint)] = True
    return found if found.any() else None


def _repeats(data: NDArray[np.float32]) -> bool:
    """Return whether so many voxels of a volume (x, y, z), in raw values, equal the one beside them that there may be
    a hole."""
    count = 0
    for plane in np.moveaxis(data, 2, 0):
        count += int(np.count_nonzero(plane[1:] == plane[:-1]))
        if count >= MIN_HOLE_VOXELS**2:
            return True
    return False


def _faint(data: NDArray[np.float32]) -> Bools:
    """Return which slices, (z,), of a volume (x, y, z), in raw values, have next to no contrast.

    Contrast is the range of all but 2 % of a slice's voxels. It is next to none compared with most slices, or far less
    than in the slices on both sides. A volume without contrast anywhere has no such slice.
    """
    first, bright, last = np.transpose(
        [percentiles(plane, [1, BRIGHT_PERCENTILE, 99]) for plane in np.moveaxis(data, 2, 0)]
    )
    contrast = last - first
    beside = np.minimum(np.append(contrast[1:], 0), np.insert(contrast[:-1], 0, 0))
    faint = (contrast < FAINT_SHARE * np.percentile(contrast, 75)) | (contrast < DIM_SHARE * beside)
    return np.asarray(faint | _dim_run(np.stack([bright - first, contrast])))


def _dim_run(levels: NDArray[np.floating]) -> Bools:
    """Return which slices, (z,), lie in a run that is dim at all levels: it begins and ends by a jump, and fills at
    most half.

    levels: (levels, z), of each slice above its lowest values, in raw values.
    """
    dim = np.zeros(levels.shape[1], dtype=bool)
    # Where a run of dim slices begins.
    darker = np.flatnonzero((levels[:, 1:] < DIM_SHARE * levels[:, :-1]).all(axis=0)) + 1
    # The first slice behind such a run.
    brighter = np.flatnonzero((levels[:, :-1] < DIM_SHARE * levels[:, 1:]).all(axis=0)) + 1
    for begin in darker:
        end = brighter[brighter > begin]
        if not len(end) or 2 * (end[0] - begin) > levels.shape[1]:
            continue
        run, around = levels[:, begin : end[0]], np.minimum(levels[:, begin - 1], levels[:, end[0]])
        dim[begin : end[0]] |= bool((run < DIM_SHARE * around[:, None]).all())
    return dim


def _mark_cuts(data: NDArray[np.float32], found: Bools, faint: Bools) -> None:
    """Mark in `found`, in place, the lines of one value from the first line on where the body behind them was cut off.

    This is judged slice by slice: a body that was cut off begins in its full width, and is not blurred there.

    data, found: (lines, voxels, z), views of the volume, in raw values, and of the result. faint: (z,), slices to skip.
    """
    lines = len(data)
    # Two lines that hold the first voxel's value alone: most slices have none, and are skipped.
    cut = (data[:2] == data[:1, :1]).all(axis=(0, 1))
    for z in np.flatnonzero(cut & ~faint):
        plane = data[:, :, z]
        flat = (plane == plane[0, 0]).all(axis=1)
        begin = 0 if flat.all() else int(np.argmin(flat))
        if not max(2, MIN_CUT_SHARE * lines) <= begin < lines - 3:
            continue
        body = plane > plane[0, 0] + BODY_SHARE * (np.percentile(plane, 99) - plane[0, 0])
        width = body.sum(axis=1)
        if width.max() >= WIDE_SHARE * plane.shape[1] and width[begin] >= ABRUPT_SHARE * width.max():
            here, further = (plane[at][body[begin]].mean() - plane[0, 0] for at in (begin, begin + 2))
            if here >= AT_ONCE_SHARE * further:
                found[:begin, :, z] = True
