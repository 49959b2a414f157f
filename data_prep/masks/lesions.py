"""Brings the lesion of a scan to the grid of its slices: voxel by voxel if it was drawn there, otherwise by area."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.volumes.lying import off_grid
from data_prep.volumes.resampling import POSITION_DECIMALS, ROUNDING_VOXELS, finer
from data_prep.volumes.resize import HALF_SHARE, area_weights, weigh
from data_prep.volumes.volume import (
    Grid,
    Volume,
    box_of,
    cannot_place,
    corners,
    on_same_voxels,
    to_lps,
    turned_to_lps,
    voxels_of,
)
from hnscc.base.arrays import Bools, Floats, Integers
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of, percent_below
from hnscc.cohort.store_format import DrawnMask

MIN_KEPT_SHARE = 0.9  # of the lesion: so much must lie on the slices' grid
# The least number of parts of a voxel along each axis by which a tilted lesion is measured. It is odd: with an even
# number, half of the parts would stand for shares from less than a half on (from 0.25 for two), and lesions would grow.
LEAST_PARTS = 5
NEAR_A_LABEL = 1e-3  # from a whole number: floats may leave 0.9999 of a label


@dataclass(frozen=True)
class LesionMask:
    """The lesion on the grid turned to LPS: `voxels` (Z, Y, X) are true where lesion covers at least half of the voxel.

    `source_px` counts the lesion's voxels in each slice, and is at least 1 where any of it lies there. `drawn_on` names
    the modality on whose grid the mask was drawn; None where the scan has no mask. `drawn` is the mask on that grid; it
    equals `voxels` where that is the grid of the slices, or where there is no mask.
    """

    voxels: Bools
    source_px: tuple[int, ...]
    drawn_on: str | None
    drawn: DrawnMask


def lesion_on(mask: Volume | None, grids: dict[str, Grid], reference: str, where: str) -> LesionMask:
    """Bring a mask to the grid of the reference modality. `grids` are those of the scan's modalities, each oriented.

    InputError, which names `where`, is raised where the mask is not binary, lies on no modality's grid, or is lost on
    the reference's grid: more than a tenth of it lies outside, or it covers half of no voxel.
    """
    grid = to_lps(grids[reference])
    if mask is None:
        voxels = np.zeros(grid.shape[::-1], dtype=bool)
        return LesionMask(voxels, (0,) * len(voxels), None, _as_drawn(voxels, grid, None))
    drawn_on = _drawn_on(mask.grid, grids, reference, where)
    inside = _binary(mask, where)
    if drawn_on == reference:
        voxels = turned_to_lps(inside, mask.grid).T
        counts = tuple(int(count) for count in voxels.sum(axis=(1, 2)))
        return LesionMask(voxels, counts, drawn_on, _as_drawn(voxels, grid, drawn_on))
    share = covered(Volume(inside.astype(np.float32), mask.grid), grid)
    voxels = share >= HALF_SHARE
    check_kept(share, voxels, float(inside.sum() * np.prod(mask.grid.spacing)), grid, where)
    touched = np.ceil(np.round(share.sum(axis=(1, 2)), POSITION_DECIMALS))
    drawn = _as_drawn(turned_to_lps(inside, mask.grid).T, to_lps(mask.grid), drawn_on)
    return LesionMask(voxels, tuple(int(count) for count in touched), drawn_on, drawn)


def _as_drawn(voxels: Bools, lps: Grid, on: str | None) -> DrawnMask:
    """Return the mask as it was drawn, bool (Z, Y, X) on the grid `lps`, with what it was drawn `on`."""
    return DrawnMask(voxels, tuple(tuple(float(value) for value in row) for row in lps.affine), on)


def covered(lesion: Volume, grid: Grid) -> Floats:
    """Return the share of each voxel of a grid that the lesion (0 and 1) covers, 0 to 1: (Z, Y, X). The grid lies LPS.

    It is exact where the axes of both grids are parallel. Otherwise it is counted in an odd number of parts along each
    axis, at least five, each at most half a voxel of the lesion's grid.
    """
    lps = to_lps(lesion.grid)
    data = turned_to_lps(lesion.data, lesion.grid)
    matrix = voxels_of(lps, grid)
    drift = np.abs(matrix[:3, :3] - np.diag(np.diag(matrix))[:3, :3]) * (np.array(grid.shape) - 1)
    if drift.max() <= ROUNDING_VOXELS:
        return _covered_exactly(data, matrix, grid.shape)
    return _covered_by_parts(data, lps, grid)


def _covered_exactly(data: NDArray[np.float32], matrix: Floats, shape: tuple[int, int, int]) -> Floats:
    """Return the exact share of each voxel, 0 to 1, (Z, Y, X) of a grid of this shape (x, y, z), that a lesion covers.

    data: (x, y, z), 0 and 1, the lesion. matrix: 4 x 4 without rotation, from an index of the grid to one of the data.
    """
    columns, rows, slices = (
        area_weights(shape[axis], data.shape[axis], matrix[axis, axis], _edge(matrix, axis))
        for axis in range(3)
    )
    whole = weigh(data.T.astype(np.float64), rows, columns)
    shares: Floats = (slices @ whole.reshape(len(whole), -1)).reshape(shape[::-1])
    return shares


def _edge(matrix: Floats, axis: int) -> float:
    """Return where the grid's first voxel begins, in voxels from the outer face of the lesion's grid.

    matrix: 4 x 4, as in `_covered_exactly`.
    """
    return float(matrix[axis, 3] - matrix[axis, axis] / 2 + 0.5)


def _covered_by_parts(data: NDArray[np.float32], lps: Grid, grid: Grid) -> Floats:
    """Return the share of each voxel of the grid, 0 to 1, (Z, Y, X), that a lesion covers, counted in parts.

    data: (x, y, z), 0 and 1 on the grid `lps`, the lesion.
    """
    share = np.zeros(grid.shape[::-1])
    low, high = around(data, lps, grid)
    if (low >= high).any():
        return share
    window = grid.affine.copy()
    window[:3, 3] = (grid.affine @ [*low, 1.0])[:3]
    wide, tall, deep = (int(count) for count in high - low)
    steps = np.linalg.norm(voxels_of(lps, grid)[:3, :3], axis=0)
    x, y, z = (max(LEAST_PARTS, int(np.ceil(2 * step)) | 1) for step in steps)
    parts = finer(Grid((wide, tall, deep), window, True), (x, y, z))
    matrix = voxels_of(lps, parts)
    for slice_ in range(deep):
        index = np.indices((parts.shape[0], parts.shape[1], z)).reshape(3, -1)
        index[2] += slice_ * z
        at = np.round(matrix[:3, :3] @ index + matrix[:3, 3:], POSITION_DECIMALS)
        inside = ndimage.map_coordinates(data, at, order=0, mode="grid-constant", cval=0.0)
        means = inside.reshape(wide, x, tall, y, z).mean(axis=(1, 3, 4), dtype=np.float64)
        share[low[2] + slice_, low[1] : high[1], low[0] : high[0]] = means.T
    return share


def around(data: NDArray[np.float32], lps: Grid, grid: Grid) -> tuple[Integers, Integers]:
    """Return the first voxels of the grid that the lesion may touch, and those behind the last, as x, y, z: int64,
    each (3,).

    data: (x, y, z), numbers that are not 0 where the lesion is, on the grid `lps`. Both grids lie LPS.
    """
    found = box_of(data)
    if found is None:
        return np.zeros(3, np.int64), np.zeros(3, np.int64)
    first = np.array([each.start for each in found])
    box = corners((2, 2, 2)) * np.array([*(each.stop - each.start for each in found), 1])[:, None]
    box[:3] += first[:, None] - 0.5
    at = (voxels_of(grid, lps) @ box)[:3]
    low = np.clip(np.floor(at.min(axis=1)).astype(np.int64), 0, grid.shape)
    high = np.clip(np.ceil(at.max(axis=1)).astype(np.int64) + 1, 0, grid.shape)
    return low, high


def _drawn_on(mask: Grid, grids: dict[str, Grid], reference: str, where: str) -> str:
    """Return the modality on whose grid the mask lies: the reference if it is one of several."""
    found = on_same_voxels(mask, grids)
    if not found:
        raise off_grid(mask, grids, where)
    return reference if reference in found else found[0]


def labelled(mask: Volume, numbers: Collection[int], where: str) -> Volume:
    """Return the mask of some labels of a label map: 1 where the map holds one of the numbers, else 0; they may
    be absent.

    InputError is raised where the map holds values that are not whole numbers.
    """
    labels = _whole(mask.data)
    if labels is None:
        values = np.unique(mask.data)
        raise InputError(
            "The mask holds no labels.",
            where=where,
            expected="whole numbers, of which the column `roi` chooses one",
            found=f"{count_of(len(values), 'value')} from {values[0]:g} to {values[-1]:g}, not all of them whole",
            do="Export the mask again with a whole number for each label; or take the scan out.",
        )
    return replace(mask, data=np.isin(labels, [*numbers]).astype(np.float32))


def _binary(mask: Volume, where: str) -> Bools:
    """Return where the lesion is, (x, y, z) in the order of the mask's file.

    InputError is raised unless the mask holds 0 and at most one other value, which is higher.
    """
    if _is_binary(mask.data):
        return np.asarray(mask.data != 0)
    whole = _whole(mask.data)  # far slower, but few masks need it
    if whole is not None and _is_binary(whole):
        return np.asarray(whole != 0)
    values, labels = np.unique(mask.data), whole is not None
    if len(values) == 1:
        raise InputError(
            "The mask calls every voxel of the image lesion.",
            where=where,
            expected="0 outside of the lesion",
            found=f"{values[0]:g} everywhere",
            do="Look whether it is the mask of a field of view, or of nothing: a scan without lesion has `none` in its "
            "cell. Else export the lesion's mask again.",
        )
    raise InputError(
        "The mask is not binary.",
        where=where,
        expected="0 and one other value"
        + (", or the number of the lesion in the column `roi` (such as label:3)" if labels else ""),
        found=f"{count_of(len(values), 'value')}, from {values[0]:g} to {values[-1]:g}",
        do="Write the number of the lesion's label into the column `roi` of this row; or take the scan out."
        if labels
        else "Export the mask again as 0 and 1, without resampling it; or take the scan out.",
    )


def _is_binary(values: NDArray[np.float32]) -> bool:
    """Return whether values, of any shape and unit of values, are 0 and at most one higher number, with 0
    among them."""
    lesion = values != 0
    return bool(not lesion.all() and not (lesion & (values != values.max())).any())


def _whole(values: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return values that are labels, of any shape, rounded to whole numbers, in that shape; None where they are
    not whole.

    Resampling and scaling may leave 0.9999 of a 1.
    """
    whole = np.rint(values)
    return whole if np.abs(values - whole).max() <= NEAR_A_LABEL else None


def check_kept(share: Floats, voxels: Bools, before: float, grid: Grid, where: str) -> None:
    """Raise InputError where the grid cuts off more than a tenth of a lesion of `before` mm3, or the lesion covers half
    of no voxel.

    share: (Z, Y, X) on the grid, the share of each voxel that the lesion covers, 0 to 1. voxels: (Z, Y, X), which of
    them are lesion by that share.
    """
    if not before:
        return
    kept = float(share.sum() * np.prod(grid.spacing)) / before
    if kept < MIN_KEPT_SHARE:
        raise cannot_place(
            "The lesion lies outside of the slices' grid.",
            where,
            f"at least {MIN_KEPT_SHARE:.0%} of the lesion inside",
            percent_below(kept, MIN_KEPT_SHARE),
        )
    if not voxels.any():
        raise cannot_place(
            "The lesion is lost on the slices' grid: it covers half of no voxel.",
            where,
            "a lesion of at least one voxel",
            f"{before / 1000:.2g} ml, in voxels of {np.prod(grid.spacing) / 1000:.2g} ml",
        )
