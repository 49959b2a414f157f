"""A lesion on the voxels of another grid: of an image, so that this is measured as its file holds it, or of a mask.

Sampled on a finer grid, an image loses its highest values: no voxel of it lies where the finer grid asks.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.masks.lesions import around, covered
from data_prep.volumes.resize import HALF_SHARE
from data_prep.volumes.volume import Grid, Volume, to_lps
from hnscc.base.arrays import Bools, Floats, Integers


def own_voxels(lesion: Bools, grid: Grid, image: Grid) -> Bools:
    """Return which voxels of an image a lesion covers at least half of, by area: (Z, Y, X), of the image turned to LPS.

    lesion: (Z, Y, X) on `grid`, which lies LPS. Where it covers half of no voxel, those that it covers most of; none
    where it lies outside of the image.
    """
    lps = to_lps(image)
    found = np.zeros(lps.shape[::-1], dtype=bool)
    box, share = _shares(lesion, grid, lps)
    most = float(share.max(initial=0))
    if most > 0:
        found[box] = share >= min(HALF_SHARE, most)
    return found


def half_covered(lesion: Bools, grid: Grid, other: Grid) -> Bools:
    """Return the voxels (Z, Y, X) of another grid of which a lesion (Z, Y, X) covers at least half, by area; both
    lie LPS."""
    found = np.zeros(other.shape[::-1], dtype=bool)
    box, share = _shares(lesion, grid, other)
    found[box] = share >= HALF_SHARE
    return found


def _shares(lesion: Bools, grid: Grid, other: Grid) -> tuple[tuple[slice, ...], Floats]:
    """The box (z, y, x) of the other grid that a lesion may touch, and the share of each voxel that it covers there."""
    nothing = (slice(0, 0),) * 3, np.zeros((0, 0, 0))
    if not lesion.any():
        return nothing
    cut, part = _cut(lesion.T.astype(np.float32), grid)
    low, high = around(cut, part, other)
    if (low >= high).any():
        return nothing
    x, y, z = (int(count) for count in high - low)
    box = tuple(slice(first, last) for first, last in zip(low[::-1], high[::-1], strict=True))
    return box, covered(Volume(cut, part), _moved(other, low, (x, y, z)))


def _cut(data: NDArray[np.float32], grid: Grid) -> tuple[NDArray[np.float32], Grid]:
    """The box of a volume (x, y, z) that holds its lesion, and the grid of that box."""
    held = [np.flatnonzero(data.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    first, last = (np.array([each[end] for each in held]) for end in (0, -1))
    x, y, z = (slice(low, high + 1) for low, high in zip(first, last, strict=True))
    cut = np.ascontiguousarray(data[x, y, z])
    wide, tall, deep = cut.shape
    return cut, _moved(grid, first, (wide, tall, deep))


def _moved(grid: Grid, first: Integers, shape: tuple[int, int, int]) -> Grid:
    """The part of a grid that begins at the voxel `first` (x, y, z)."""
    affine = grid.affine.copy()
    affine[:3, 3] = (grid.affine @ [*first, 1.0])[:3]
    return Grid(shape, affine, grid.oriented)
