"""Measures the pieces of a mask as drawn: mirror images of one another, stray ones, thin lines, parts that
stick out."""

from itertools import combinations, product
from typing import Any

import numpy as np
from scipy import ndimage

from data_prep.volumes.volume import box_of
from hnscc.base.arrays import Bools, Integers, Spacing
from hnscc.cohort.store_format import DrawnMask

TOUCHING = np.ones((3, 3, 3), dtype=bool)  # voxels that touch at least at a corner belong to one piece
APART_MM = 10.0  # mm beside the largest piece; a rough outline leaves small pieces above, below and near it
# In mm: a shorter piece above or below the largest may belong to a rough outline, or to a ragged lesion. Of 152 made-up
# lesions one had such a piece, of 12 mm.
LONG_MM = 15.0
# In mm, or one voxel: a part that is wider in its plane is not thin. Two voxels of a PET are 8 mm, like parts
# of lesions.
BROAD_MM = 4.0
# Voxels: BROAD_MM is at most so many; if lengths are not in mm, a voxel may seem a thousandth of one.
MOST_BROAD_VOXELS = 11
OVER_MM = 8.0  # mm, or two slices if thicker, beside what the slices above and below hold: it sticks out
LOOKED_AT_MM = 2.0  # mm: finer voxels are thinned before such parts are searched for
LEAST_MIRRORED_VOXELS = 30  # voxels of a piece: smaller ones have the same shape by chance
# Lines that cross a gap between the halves of a mask that is symmetric about the middle: convex shapes have no gap.
GAP_LINES = 5
SMALL_SHARE = 0.05  # of the lesion: a stray piece holds at most so much
LEAST_SLICES = 3  # slices that the largest piece takes at least


def pieces_of(drawn: DrawnMask) -> dict[str, Any]:
    """Return what the pieces of a mask are like, as `mirrored`, `stray`, `thin_mm` and `over_mm`.

    `mirrored`: whether a piece is the exact mirror image of another, along one to three axes, and not of itself; or the
    whole mask is symmetric about the middle of its grid, with a gap between the halves. `stray`: the number of small
    pieces that take one slice each and lie 10 mm and more beside the largest one, seen from above, if that takes
    several slices; of pieces above or below it, only those of 15 mm and more count. `thin_mm`: the length, along a row
    or column, of the longest part that is at most 4 mm or one voxel wide in its plane. `over_mm`: that of the longest
    part of one slice that lies 8 mm and more beside what the slices next to it hold. Both are 0 where there is none.
    """
    box = box_of(drawn.voxels)
    if box is None:
        return {"mirrored": False, "stray": 0, "thin_mm": 0.0, "over_mm": 0.0}
    voxels = drawn.voxels[box]
    numbered, _ = ndimage.label(voxels, TOUCHING)
    parts = [numbered[box] == at for at, box in enumerate(ndimage.find_objects(numbered), start=1)]
    sizes = np.array([part.sum() for part in parts])
    large = [part for size, part in zip(sizes, parts, strict=True) if size >= LEAST_MIRRORED_VOXELS]
    flat = np.array([len(part) == 1 for part in parts])
    small = 1 + np.flatnonzero(flat & (sizes <= SMALL_SHARE * sizes.sum()))
    return {
        "mirrored": any(_mirrored(one, two) for one, two in combinations(large, 2))
        or _symmetric(drawn.voxels),
        "stray": _stray(numbered, small, 1 + int(sizes.argmax()), drawn.spacing_mm),
        "thin_mm": _thin(voxels, drawn.spacing_mm),
        "over_mm": _over(voxels, drawn.spacing_mm),
    }


def _symmetric(voxels: Bools) -> bool:
    """Return whether a mask (Z, Y, X) is symmetric about the middle of its grid, with a gap between the halves."""
    for axis in range(3):
        if np.array_equal(voxels, np.flip(voxels, axis)):
            begins = voxels & ~np.roll(voxels, 1, axis)
            if (begins.sum(axis=axis) > 1).sum() >= GAP_LINES:
                return True
    return False


def _stray(numbered: Integers, small: Integers, largest: int, spacing_mm: Spacing) -> int:
    """Return how many small pieces lie far beside the largest, seen from above, or are long and lie far above or
    below it.

    numbered: (Z, Y, X), the number of each voxel's piece, 0 for none. small: (n,), their numbers. largest: its number.
    """
    main = numbered == largest
    if not len(small) or main.any(axis=(1, 2)).sum() < LEAST_SLICES:
        return 0
    beside = ndimage.distance_transform_edt(~main.any(axis=0), sampling=spacing_mm[1:])
    apart = ndimage.distance_transform_edt(~main, sampling=spacing_mm)
    pieces = [numbered == number for number in small]
    return sum(
        bool(
            beside[piece.any(axis=0)].min() >= APART_MM
            or (apart[piece].min() >= APART_MM and _longest(piece, spacing_mm) >= LONG_MM)
        )
        for piece in pieces
    )


def _mirrored(one: Bools, two: Bools) -> bool:
    """Return whether a piece is the mirror image of another, along one to three axes, and not of itself.

    one, two: (Z, Y, X), each cropped.
    """
    if one.shape != two.shape:
        return False
    ways = [axes for axes in product((False, True), repeat=3) if any(axes)]
    for way in ways:
        axes = tuple(axis for axis in range(3) if way[axis])
        turned = np.flip(one, axes)
        if np.array_equal(turned, two) and not np.array_equal(turned, one):
            return True
    return False


def _thin(voxels: Bools, spacing_mm: Spacing) -> float:
    """Return the length in mm of the longest part of a mask (Z, Y, X) that is thin in its plane; 0 where there
    is none."""
    wide = [min(max(2, int(BROAD_MM / step) + 1), MOST_BROAD_VOXELS) for step in spacing_mm[1:]]
    padded = np.pad(voxels, ((0, 0), *((each, each) for each in wide)))
    opened = ndimage.grey_opening(padded.view(np.uint8), (1, *wide))
    return _longest(padded & (opened == 0), spacing_mm)


def _over(voxels: Bools, spacing_mm: Spacing) -> float:
    """Return the length in mm of the longest part of a mask (Z, Y, X) that sticks out of one slice; 0 where there
    is none."""
    rows, columns = (max(1, int(LOOKED_AT_MM / step)) for step in spacing_mm[1:])
    thin = voxels[:, ::rows, ::columns]
    spacing = (spacing_mm[0], rows * spacing_mm[1], columns * spacing_mm[2])
    beside = np.zeros_like(thin)
    beside[1:] |= thin[:-1]
    beside[:-1] |= thin[1:]
    over = max(OVER_MM, 2 * spacing[0])
    near = ndimage.maximum_filter(
        beside.view(np.uint8), [1, *(1 + 2 * round(over / step) for step in spacing[1:])], mode="constant"
    )
    alone = ~beside.any(axis=(1, 2), keepdims=True)
    return _longest(thin & (near == 0) & ~alone, spacing)


def _longest(parts: Bools, spacing_mm: Spacing) -> float:
    """Return the length in mm, along a row or column, of the longest piece of these voxels (Z, Y, X); 0 where there
    is none."""
    numbered, _ = ndimage.label(parts, TOUCHING)
    lengths = [
        max((part.stop - part.start) * step for part, step in zip(box[1:], spacing_mm[1:], strict=True))
        for box in ndimage.find_objects(numbered)
    ]
    return float(max(lengths, default=0.0))
