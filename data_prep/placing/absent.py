"""Voxels that a file holds but that show nothing of a body: padding, copies of a slice, parts that are cut out.

Nothing says so in the file. It is found by what no scanner gives: planes almost without contrast, planes that are
copies of the one before, and parts of exactly one value that end along a straight line.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FAINT = 0.015  # of the contrast of the volume's other slices; air around a body, and lean slices, have 0.08 and more
COPIED = 0.002  # of a slice's standard deviation, by which the next one differs; neighbours differ by 0.08 and more
MIN_COPIES = 3  # slices of a run, and more than twice the usual: some resampling copies every slice
MIN_CUT = 0.05  # of a row or column, that is of one value from its end on
WIDE = 0.25  # of a line of the slice, that some body fills: of a smaller one nothing is said
ABRUPT = 0.6  # of the most body in a line of a slice, that the line behind a cut holds; a body begins thinner
AT_ONCE = 0.7  # of the mean two lines further in; a body's own border is blurred
ABOVE = 0.1  # of the way from a cut's value to the 99th percentile: what is brighter is body
MIN_HOLE = 5  # voxels, the shorter side of a box of one value within a slice
BOX = 0.95  # of its bounding box that a hole fills


def absent(data: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Which voxels of a volume (x, y, z), turned to LPS, show nothing; None where all show something."""
    found = np.zeros(data.shape, dtype=bool)
    faint = _faint(data)
    found[:, :, faint] = True
    found[:, :, _copies(data, faint)] = True
    if (data[1:] == data[:-1]).mean() > 0.001:  # nothing of one value: neither cut nor hole
        for turned_data, turned_found in (
            (data, found),
            (data[::-1], found[::-1]),
            (data.swapaxes(0, 1), found.swapaxes(0, 1)),
            (data.swapaxes(0, 1)[::-1], found.swapaxes(0, 1)[::-1]),
        ):
            _mark_cuts(turned_data, turned_found, faint)
        for z in np.flatnonzero(~faint):
            if _has_hole(data[:, :, z]):  # nobody knows what else was done to the slice
                found[:, :, z] = True
    return found if found.any() else None


def _faint(data: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(z,): slices with next to no contrast, by the range of all but 2 % of their voxels; not those of a volume that
    has none anywhere."""
    first, last = np.percentile(data, [1, 99], axis=(0, 1))
    contrast = last - first
    return np.asarray(contrast < FAINT * np.percentile(contrast, 75))


def _copies(data: NDArray[np.float32], faint: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(z,): slices that are the one below them once more, in runs that are longer than others of the volume."""
    spread = data.std(axis=(0, 1), dtype=np.float64)
    step = np.diff(data, axis=2).std(axis=(0, 1), dtype=np.float64)
    same = np.concatenate([[False], (step <= COPIED * spread[:-1]) & (spread[:-1] > 0) & ~faint[:-1]])
    run = np.cumsum(~same) - 1
    lengths = np.bincount(run)
    usual = np.median(lengths) if len(lengths) > 1 else 1
    long = (lengths >= MIN_COPIES) & (lengths > 2 * usual)
    return np.asarray(same & long[run])


def _mark_cuts(data: NDArray[np.float32], found: NDArray[np.bool_], faint: NDArray[np.bool_]) -> None:
    """Mark in `found` the lines of one value from the first on, slice by slice, where a body begins behind them as no
    body does: in its full width, and not blurred."""
    lines = len(data)
    flat = (data == data[:1, :1]).all(axis=1)  # (x, z): lines of the first voxel's value
    count = np.where(flat.all(axis=0), 0, np.argmin(flat, axis=0))
    last = np.percentile(data, 99, axis=(0, 1))
    for z in np.flatnonzero((count >= max(2, MIN_CUT * lines)) & (count < lines - 3) & ~faint):
        plane, begin = data[:, :, z], count[z]
        body = plane > plane[0, 0] + ABOVE * (last[z] - plane[0, 0])
        width = body.sum(axis=1)
        if width.max() >= WIDE * plane.shape[1] and width[begin] >= ABRUPT * width.max():
            here, further = (plane[at][body[begin]].mean() - plane[0, 0] for at in (begin, begin + 2))
            if here >= AT_ONCE * further:
                found[:begin, :, z] = True


def _has_hole(plane: NDArray[np.float32]) -> bool:
    """Whether a slice (x, y) holds a box of exactly one value, of which no side lies on the slice's border."""
    equal = np.zeros(plane.shape, dtype=bool)
    blocks = (plane[1:, 1:] == plane[:-1, :-1]) & (plane[1:, :-1] == plane[:-1, :-1])
    blocks &= plane[:-1, 1:] == plane[:-1, :-1]
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            equal[rows, columns] |= blocks
    pieces, _ = ndimage.label(equal)
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        piece = pieces[box] == number
        within = all(part.start > 0 and part.stop < side for part, side in zip(box, plane.shape, strict=True))
        if within and min(piece.shape) >= MIN_HOLE and piece.mean() >= BOX:
            return True
    return False
