"""Voxels that a file holds but that show nothing of a body: padding, copies of a slice, parts that are cut out.

Nothing says so in the file. It is found by what no scanner gives: slices almost without contrast, slices that share
next to nothing with those beside them or too much (data_prep.placing.neighbours), and parts of one value that end along
a straight line.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.placing.holes import MIN_HOLE_VOXELS, with_holes
from data_prep.placing.neighbours import BODY_SHARE, by_neighbours
from data_prep.volumes.percentiles import percentiles
from hnscc.base.arrays import Bools

# Of the contrast of the volume's other slices; air around a body, and lean slices, have 0.08 and more.
FAINT_SHARE = 0.015
# Of the contrast of the slices on both sides of one or more; slices of a body have 0.8 and more.
DIM_SHARE = 0.4
# Percentile, by which several slices must be as dim: a hot lesion fills less, and its end dims the 99th.
BRIGHT_PERCENTILE = 90
MIN_CUT_SHARE = 0.05  # of a row or column, that is of one value from its end on
WIDE_SHARE = 0.25  # of a line of the slice, that some body fills: of a smaller one nothing is said
# Of the most body in a line of a slice, that the line behind a cut holds; a body begins thinner.
ABRUPT_SHARE = 0.6
AT_ONCE_SHARE = 0.7  # of the mean two lines further in; a body's own border is blurred


def absent(data: NDArray[np.float32]) -> Bools | None:
    """Return which voxels show nothing, (x, y, z); None where all show something. data: (x, y, z), turned to LPS, in
    raw values."""
    # In the order of the data, since the other takes many times as long.
    found = np.zeros_like(data, dtype=bool)
    faint = _faint(data)
    found[:, :, faint | by_neighbours(data, faint)] = True
    if _repeats(data):  # or nothing of one value: neither cut nor hole
        for turned_data, turned_found in (
            (data, found),
            (data[::-1], found[::-1]),
            (data.swapaxes(0, 1), found.swapaxes(0, 1)),
            (data.swapaxes(0, 1)[::-1], found.swapaxes(0, 1)[::-1]),
        ):
            _mark_cuts(turned_data, turned_found, faint)
        found[:, :, with_holes(data, ~faint)] = True  # nobody knows what else was done to such a slice
    return found if found.any() else None


def _repeats(data: NDArray[np.float32]) -> bool:
    """Whether as many voxels of a volume (x, y, z), in raw values, as a hole holds have the value of the one
    beside them."""
    count = 0
    for plane in np.moveaxis(data, 2, 0):
        count += int(np.count_nonzero(plane[1:] == plane[:-1]))
        if count >= MIN_HOLE_VOXELS**2:
            return True
    return False


def _faint(data: NDArray[np.float32]) -> Bools:
    """(z,): slices of a volume (x, y, z), in raw values, with next to no contrast, by the range of all but 2 % of their
    voxels, or with far less than the slices on both sides of them; not those of a volume that has none anywhere."""
    first, bright, last = np.transpose(
        [percentiles(plane, [1, BRIGHT_PERCENTILE, 99]) for plane in np.moveaxis(data, 2, 0)]
    )
    contrast = last - first
    beside = np.minimum(np.append(contrast[1:], 0), np.insert(contrast[:-1], 0, 0))
    faint = (contrast < FAINT_SHARE * np.percentile(contrast, 75)) | (contrast < DIM_SHARE * beside)
    return np.asarray(faint | _dim_run(np.stack([bright - first, contrast])))


def _dim_run(levels: NDArray[np.floating]) -> Bools:
    """(z,): several slices in a row that are dim from one to the next, and bright again from one to the next, at all
    levels; at most half of all. levels: (levels, z), of each slice above its lowest values, in raw values."""
    dim = np.zeros(levels.shape[1], dtype=bool)
    # The first of a row of dim slices.
    darker = np.flatnonzero((levels[:, 1:] < DIM_SHARE * levels[:, :-1]).all(axis=0)) + 1
    # The first behind such a row.
    brighter = np.flatnonzero((levels[:, :-1] < DIM_SHARE * levels[:, 1:]).all(axis=0)) + 1
    for begin in darker:
        end = brighter[brighter > begin]
        if not len(end) or 2 * (end[0] - begin) > levels.shape[1]:
            continue
        run, around = levels[:, begin : end[0]], np.minimum(levels[:, begin - 1], levels[:, end[0]])
        dim[begin : end[0]] |= bool((run < DIM_SHARE * around[:, None]).all())
    return dim


def _mark_cuts(data: NDArray[np.float32], found: Bools, faint: Bools) -> None:
    """Mark in `found`, in place, the lines of one value from the first on, slice by slice, where a body begins behind
    them as no body does: in its full width, and not blurred.

    data, found: (lines, voxels, z), views of the volume, in raw values, and of what is found. faint: (z,), the slices
    that are left out.
    """
    lines = len(data)
    # Whether two lines have the first voxel's value: in most slices none does.
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
