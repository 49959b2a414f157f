"""Finds slices from whose body a box was cut out and filled with one value.

Boxes of one value also stand in air, where something was written and painted over, and all over an image that was
compressed with loss (JPEG), in blocks of 8 x 8 pixels of which only the mean is left. Such slices still show the body.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.volumes.percentiles import percentiles
from hnscc.base.arrays import Bools

MIN_HOLE_VOXELS = 5  # voxels that the shorter side of a box of one value has at least
BOX_SHARE = 0.95  # share of its bounding box that a hole fills at least
STEP_VOXELS = 2  # voxels by which slices are thinned before the volume's brightness is measured
# Of the way from air to bright tissue: what is brighter is body. A hot lesion fills less than a tenth of a volume.
AIR_PERCENTILE, BRIGHT_PERCENTILE, BODY_SHARE = 1, 90, 0.1
# Share of the voxels around a box that must be body: at the skin half of them are. Blocks in the air of JPEG have less.
AMID_SHARE = 0.25
BLOCK_PIXELS = 8  # the side of JPEG's blocks, counted from a corner of the image
# Boxes are blocks of compression where at least so many places, and this share of all, have three of their four sides
# between two blocks: by chance one box in 140 has three there.
LEAST_BLOCKS, BLOCKS_SHARE, BLOCK_SIDES = 3, 0.5, 3

Box = tuple[slice, slice]


def with_holes(data: NDArray[np.float32], asked: Bools) -> Bools:
    """Return which slices, (z,), of a volume (x, y, z), in raw values, hold a box of one value amid body, away from
    the border.

    It is no slice where the boxes are blocks of compression: values beside a block may equal it, so a hole cannot be
    told from a block. asked: (z,), the slices that are searched.
    """
    air, bright = percentiles(data[::STEP_VOXELS, ::STEP_VOXELS], [AIR_PERCENTILE, BRIGHT_PERCENTILE])
    tissue = air + BODY_SHARE * (bright - air)
    found = np.zeros(data.shape[2], dtype=bool)
    boxes: list[Box] = []
    for z in np.flatnonzero(asked):
        plane = data[:, :, z].T
        held = [box for box in _boxes(plane) if _amid(plane > tissue, box)]
        found[z] = bool(held)
        boxes += held
    return np.zeros_like(found) if _blocks(boxes, data.shape[1::-1]) else found


def _boxes(plane: NDArray[np.float32]) -> Iterator[Box]:
    """Yield the boxes of one value within a slice (y, x), in any unit of values."""
    beside, below = plane[:, 1:] == plane[:, :-1], plane[1:] == plane[:-1]
    squares = beside[1:] & beside[:-1] & below[:, 1:]  # squares of 2 x 2 equal voxels
    if not squares.any():
        return
    equal = np.zeros(plane.shape, dtype=bool)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            equal[rows, columns] |= squares
    if not _has_run(equal):
        return
    pieces, _ = ndimage.label(equal)
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        if min(part.stop - part.start for part in box) < MIN_HOLE_VOXELS:  # as nearly all are
            continue
        within = all(part.start > 0 and part.stop < side for part, side in zip(box, plane.shape, strict=True))
        if within and (pieces[box] == number).mean() >= BOX_SHARE:
            yield box


def _has_run(equal: Bools) -> bool:
    """Return whether some row of (y, x) holds a run as long as the least hole, as every box does."""
    count = equal.shape[1] - MIN_HOLE_VOXELS + 1
    return count > 0 and bool(
        np.logical_and.reduce([equal[:, at : at + count] for at in range(MIN_HOLE_VOXELS)]).any()
    )


def _amid(body: Bools, box: Box) -> bool:
    """Return whether enough of the voxels around a box are body; body: (y, x)."""
    around = body[tuple(slice(part.start - 1, part.stop + 1) for part in box)]
    count = int(around.sum()) - int(body[box].sum())
    return count >= AMID_SHARE * (around.size - body[box].size)


def _blocks(boxes: Sequence[Box], shape: tuple[int, ...]) -> bool:
    """Return whether boxes are blocks of compression. shape: (y, x) of the slices.

    JPEG's first block may lie in any corner, since the axes were turned.
    """
    places = {tuple((part.start, part.stop) for part in box) for box in boxes}
    if len(places) < LEAST_BLOCKS:
        return False
    sides = np.array(sorted(places))  # (boxes, axis, start and stop)
    for y in (0, shape[0]):
        for x in (0, shape[1]):
            between = (sides - np.array([[y], [x]])) % BLOCK_PIXELS == 0
            blocks = int((between.sum(axis=(1, 2)) >= BLOCK_SIDES).sum())
            if blocks >= max(LEAST_BLOCKS, BLOCKS_SHARE * len(places)):
                return True
    return False
