"""Computes the values of a volume at the voxels of another grid, with the same bits by each of its algorithms.

Values are interpolated linearly. Along each axis on which the grid is coarser than the volume, they are means over the
grid's voxel, so that details finer than the grid average out instead of turning into noise and stripes (aliasing).
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from data_prep.volumes.resize import weigh
from data_prep.volumes.volume import Grid, Volume, corners, nearly_same_grid, to_lps, turned_to_lps, voxels_of
from hnscc.base.arrays import Bools, Floats, Integers

# Positions in a volume, in voxels, are rounded to so many decimals, so that what is near a voxel lies on it.
POSITION_DECIMALS = 6
STEP_SLACK_VOXELS = 0.01  # voxels: a step that is longer than one voxel by this still counts as one
# Voxels: a position that is off by no more than this is rounded to where it should be.
ROUNDING_VOXELS = 0.4 * 10**-POSITION_DECIMALS

# For each slice of a grid: values (y, x) float32, and which of them lie inside of the volume's outer faces, (y,
# x) bool.
GridSlices = Iterator[tuple[NDArray[np.float32], Bools]]


def resampled(volume: Volume, grid: Grid) -> GridSlices:
    """Return the values of a volume at the voxels of a grid that lies LPS, slice by slice (y, x), in its unit
    of values.

    The fastest algorithm that volume and grid allow is used. Outside of the volume's outer faces, values are those of
    the nearest voxel. A voxel of a coarser grid is split into parts that are no larger than the volume's voxels. It
    holds the mean of the parts inside of the faces, and counts as inside where at least half of them are.
    """
    parts = parts_of(to_lps(volume.grid), grid)
    if parts == (1, 1, 1):
        return _at_centres(volume, grid)
    return _means(_at_centres(volume, finer(grid, parts)), parts)


def parts_of(lps: Grid, grid: Grid) -> tuple[int, int, int]:
    """Return into how many parts a voxel of the grid is split along x, y and z, so that a step is at most one
    voxel long.

    A step is measured in voxels of the volume that it crosses, in any direction. Both grids lie LPS.
    """
    x, y, z = (
        max(1, int(np.ceil(step - STEP_SLACK_VOXELS)))
        for step in np.linalg.norm(voxels_of(lps, grid)[:3, :3], axis=0)
    )
    return x, y, z


def finer(grid: Grid, parts: tuple[int, int, int]) -> Grid:
    """Return the grid with each voxel split into so many parts along x, y and z."""
    split = np.diag([*(1 / count for count in parts), 1.0])
    split[:3, 3] = [0.5 / count - 0.5 for count in parts]
    x, y, z = (count * split for count, split in zip(grid.shape, parts, strict=True))
    return Grid((x, y, z), grid.affine @ split, grid.oriented)


def _means(slices: GridSlices, parts: tuple[int, int, int]) -> GridSlices:
    """Yield slices of a grid, each (y, x), from those of a finer grid, in the same unit of values."""
    wide, high, deep = parts
    while together := list(islice(slices, deep)):
        inside = np.sum([_added(part.astype(np.float64), wide, high) for _, part in together], axis=0)
        total = np.sum([_added(np.where(part, values, 0.0), wide, high) for values, part in together], axis=0)
        # The value of a voxel without a part inside is not used.
        means = np.asarray(total / np.maximum(inside, 1), dtype=np.float32)
        yield means, np.asarray(2 * inside >= wide * high * deep)


def _added(values: Floats, wide: int, high: int) -> Floats:
    """Return the sums over blocks of high x wide voxels of a finer grid's slice (y, x), in its unit of values:
    (y, x)."""
    rows, columns = (count // part for count, part in zip(values.shape, (high, wide), strict=True))
    added: Floats = values.reshape(rows, high, columns, wide).sum(axis=(1, 3))
    return added


def _at_centres(volume: Volume, grid: Grid) -> GridSlices:
    """Yield slices (y, x) as `resampled` does, by the values at the centres of the grid's voxels, without
    splitting them."""
    lps = to_lps(volume.grid)
    if nearly_same_grid(lps, grid, ROUNDING_VOXELS):  # each voxel lies on one of the grid
        data = turned_to_lps(volume.data, volume.grid)
        yield from ((values, np.broadcast_to(np.bool_(True), values.shape)) for values in data.T)
    elif _turned_about_x(voxels_of(lps, grid), grid.shape):
        yield from resampled_by_lines(volume, grid)
    else:
        yield from resampled_by_voxels(volume, grid)


def resampled_by_lines(volume: Volume, grid: Grid) -> GridSlices:
    """Yield slices (y, x) as `resampled` does, for grids whose lines along x are lines of the volume, at most turned
    about x.

    Each line is interpolated from the four around it and then along itself: the same sums as voxel by voxel, but fewer.
    """
    data = turned_to_lps(volume.data, volume.grid)
    matrix = voxels_of(to_lps(volume.grid), grid)
    wide, high, deep = data.shape
    width, height, depth = grid.shape
    lines = data.T.astype(np.float64, order="C").reshape(-1, wide)  # (z * y, x)
    at_x = np.round(matrix[0, 0] * np.arange(width) + matrix[0, 3], POSITION_DECIMALS)
    columns = _picked(*_neighbours(at_x, wide), wide)
    inside_x = _within(at_x, wide)
    for z in range(depth):
        at_y, at_z = np.round(
            np.outer(matrix[1:3, 1], np.arange(height)) + (matrix[1:3, 2:3] * z + matrix[1:3, 3:]),
            POSITION_DECIMALS,
        )
        (y, share_y), (at_deep, share_z) = _neighbours(at_y, high), _neighbours(at_z, deep)
        index = at_deep[:, :, None] * high + y[:, None, :]
        rows = _picked(index, share_z[:, :, None] * share_y[:, None, :], len(lines))
        inside = (_within(at_y, high) & _within(at_z, deep))[:, None] & inside_x
        yield weigh(lines, rows, columns).astype(np.float32), inside


def resampled_by_voxels(volume: Volume, grid: Grid) -> GridSlices:
    """Yield slices (y, x) as `resampled` does, for any two grids: each voxel is interpolated from the eight
    around it."""
    data = turned_to_lps(volume.data, volume.grid)
    matrix = voxels_of(to_lps(volume.grid), grid)
    width, height, depth = grid.shape
    # A grid whose corners lie inside of a box lies inside as a whole.
    whole = _is_inside(np.round((matrix @ corners(grid.shape))[:3], POSITION_DECIMALS), data.shape).all()
    for z in range(depth):
        at = _positions(matrix, width, height, z)
        values = ndimage.map_coordinates(data, at, order=1, mode="nearest", output=np.float32)
        inside = np.broadcast_to(np.bool_(True), values.shape) if whole else _is_inside(at, data.shape)
        yield values, inside


def _turned_about_x(matrix: Floats, shape: tuple[int, int, int]) -> bool:
    """Return whether the grid's lines along x are lines along x of the volume, as of level grids and most tilted ones.

    matrix: 4 x 4, from an index of the grid, which has this shape, to voxels of the volume.
    """
    drift = np.abs(matrix[:3, :3]) * (np.array(shape) - 1)
    return bool(drift[0, 1] + drift[0, 2] <= ROUNDING_VOXELS and drift[1:, 0].max() <= ROUNDING_VOXELS)


def _neighbours(at: Floats, count: int) -> tuple[Integers, Floats]:
    """Return the two voxels around each position on a line of `count`, and their weights, 0..1: both (n, 2).

    The weights are those of linear interpolation. at: (n,), positions in voxels.
    """
    at = np.clip(at, 0, count - 1)
    low = np.floor(at).astype(np.int64)
    share = at - low
    return np.stack([low, np.minimum(low + 1, count - 1)], axis=1), np.stack([1 - share, share], axis=1)


def _picked(index: Integers, share: Floats, count: int) -> sparse.csr_array:
    """Return a matrix (n, count) whose row i holds share[i], 0..1, in the columns index[i]. index, share: (n, ...)."""
    index, share = index.reshape(len(index), -1), share.reshape(len(index), -1)
    ends = np.arange(len(index) + 1) * index.shape[1]
    return sparse.csr_array((share.ravel(), index.ravel(), ends), shape=(len(index), count))


def _within(at: Floats, count: int) -> Bools:
    """Return which positions on a line of `count` voxels lie inside of its outer faces, in their shape.

    at: positions in voxels, where 0 is the first one's centre, of any shape.
    """
    return (at >= -0.5) & (at <= count - 0.5)


def _positions(matrix: Floats, width: int, height: int, z: int) -> Floats:
    """Return where slice z of the grid lies in a volume, in voxels of the volume: (3, y, x).

    Positions are rounded, so that a voxel that lies exactly on another stays one voxel, and a face stays a face.
    matrix: 4 x 4, from an index of the grid.
    """
    along_x, along_y, along_z, origin = matrix[:3].T
    columns = np.outer(along_x, np.arange(width))
    rows = np.outer(along_y, np.arange(height)) + (along_z * z + origin)[:, None]
    at = rows[:, :, None] + columns[:, None, :]
    rounded: Floats = np.round(at, POSITION_DECIMALS, out=at)
    return rounded


def _is_inside(at: Floats, shape: tuple[int, ...]) -> Bools:
    """Return which positions (3, ...), in voxels, lie inside of the outer faces of a volume of this shape: (...,)."""
    x, y, z = (_within(axis, count) for axis, count in zip(at, shape, strict=True))
    return x & y & z
