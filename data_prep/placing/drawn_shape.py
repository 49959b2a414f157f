"""Measures the shape of a lesion as it was drawn, and finds shapes that no lesion has.

It also finds masks that fit several grids, and outlines that nobody filled. The size as drawn and the size as stored
show how much of a lesion coarser voxels lose.
"""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from data_prep.volumes.volume import Grid, Volume, on_same_voxels, same_grid
from hnscc.base.arrays import Bools, Masks, Spacing

# Of the larger one of two slices: from this overlap on they show lesion at the same place. Of 2,010 slices that were
# taken out of real outlines (of the public cohort) all but 1 in 100 are found, of 458 of made-up heads all but 1 in 10.
# Without this limit, two of the demo's 36 lesions were said to lack a slice that never existed.
SAME_PLACE_SHARE = 0.1
BOX_SIDE_VOXELS = 5  # voxels along both axes of a plane: a smaller box may be a small lesion
BOX_SLICES = 3  # slices with blocks that are needed to rule out chance


def spanned(voxels: Bools) -> int:
    """Return the number of slices of (Z, Y, X) in which lesion touches two opposite borders of the plane."""
    ends = [np.take(voxels, end, axis=axis).any(axis=1) for axis in (1, 2) for end in (0, -1)]
    return int(np.sum((ends[0] & ends[1]) | (ends[2] & ends[3])))


def skipped_slices(voxels: Bools) -> int:
    """Return how many slices of (Z, Y, X) hold no lesion although both neighbours hold it at the same place.

    The neighbours must share at least a tenth of the larger one, since two lesions may lie one above the other.
    """
    above, below = voxels[:-2], voxels[2:]
    shared, larger = (
        (above & below).sum(axis=(1, 2)),
        np.maximum(above.sum(axis=(1, 2)), below.sum(axis=(1, 2))),
    )
    at_one_place = (shared > 0) & (shared >= SAME_PLACE_SHARE * larger)
    return int(np.sum(at_one_place & ~voxels[1:-1].any(axis=(1, 2))))


def is_box(voxels: Bools) -> bool:
    """Return whether the lesion in (Z, Y, X) is one block with straight edges, or shows such blocks in most of
    its slices.

    Small blocks do not count. A block that is the same in all slices counts however few these are; others count if at
    least BOX_SLICES slices show one.
    """
    if not voxels.any():
        return False
    slices = voxels[voxels.any(axis=(1, 2))]
    boxes = sum(_is_rectangle(each) for each in slices)
    whole = bool((slices == slices[0]).all()) and _is_rectangle(slices[0])
    return whole or (boxes >= BOX_SLICES and boxes > len(slices) / 2)


def _is_rectangle(plane: Bools) -> bool:
    """Return whether the lesion in a plane (Y, X), which is not empty, is a rectangle that is not small."""
    rows, columns = (np.flatnonzero(plane.any(axis=axis)) for axis in (1, 0))
    sides = [int(at[-1] - at[0]) + 1 for at in (rows, columns)]
    return min(sides) >= BOX_SIDE_VOXELS and int(plane.sum()) == int(np.prod(sides))


def fits(mask: Volume | None, grids: Mapping[str, Grid]) -> list[str]:
    """Return the modalities whose grids a mask without orientation fits, if these lie in different places;
    else none."""
    if mask is None or mask.grid.oriented:
        return []
    found = on_same_voxels(mask.grid, grids)
    stated = [name for name in found if grids[name].oriented]
    apart = any(not same_grid(grids[stated[0]], grids[name]) for name in stated[1:])
    return stated if apart else []


def hollow(voxels: Bools) -> float:
    """Return the share, 0 (no holes) to 1, of the area that a lesion (Z, Y, X) encloses in its slices that is
    not lesion."""
    held, filled = 0, 0
    for slice_ in voxels[voxels.any(axis=(1, 2))]:
        rows, columns = (np.flatnonzero(slice_.any(axis=axis)) for axis in (1, 0))
        part = slice_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        held += int(part.sum())
        filled += int(ndimage.binary_fill_holes(part).sum())
    return 1 - held / filled if filled else 0.0


def drawn_ml(mask: Volume | None) -> float:
    """Return the size in ml of a mask of 0 and one other value, as its file holds it; 0 without a mask."""
    if mask is None:
        return 0.0
    return float(np.count_nonzero(mask.data > mask.data.max() / 2) * np.prod(mask.grid.spacing) / 1000)


def stored_ml(stored: Masks, spacing_mm: Spacing) -> float:
    """Return the size of a stored mask (Z, H, W), in ml."""
    return float(np.count_nonzero(stored) * np.prod(spacing_mm) / 1000)
