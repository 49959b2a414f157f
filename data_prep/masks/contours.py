"""Makes a mask on a grid from outlines drawn in planes: lesion is what they cover at least half of.

Outlines of one plane are filled by the even-odd rule: an outline within another is a hole, and so is what a keyhole
leaves out. Outlines on the grid's slices fill these. Others stand for a slab that is as thick as their planes are
apart, up to MOST_THICK_SLICES, and each voxel gets its share of the slabs. Where a slab ends in the middle of a slice,
only one of its two end slices becomes lesion, so that the slabs hold as many slices as were drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.volumes.resize import HALF_SHARE
from data_prep.volumes.volume import Grid
from hnscc.base.arrays import Bools, Floats, Integers
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of, percent_below

OFF_PLANE_SLICES = 0.1  # slices by which an outline may leave its plane, and a plane the grid's slice
ONE_PLANE_SLICES = 0.02  # slices: outlines that lie no farther apart were drawn in one plane
SLIVER_SHARE = 0.01  # of the smaller outline: two outlines that overlap by no more lie side by side
MIN_KEPT_SHARE = 0.9  # of what is outlined: so much must lie on the grid
# Slices: planes that are farther apart belong to several lesions, or to one that was resampled.
MOST_THICK_SLICES = 5
LEAN_SLICES = 1e-3  # slices by which the end of a slab is moved where it would halve a slice
# Of the distances between planes: so many must be equal for their slabs to be thicker than a slice.
ALIKE_STEPS_SHARE = 0.8
# Scan lines in each row of pixels: coverage is exact along x, and counted in so many lines along y. The number is even,
# so that an edge through the middle of a row covers exactly half of it.
SCAN_LINES = 32


@dataclass(frozen=True)
class Filled:
    """A mask, `voxels` (x, y, z) in the order of the grid's file; `told`: sentences on what was assumed or left out."""

    voxels: Bools
    told: tuple[str, ...]


@dataclass(frozen=True)
class _Plane:
    """Outlines of one plane: where it lies, in slices, and the corners of each outline in pixels, (n, 2)."""

    at: float
    polygons: list[Floats]


def fill_contours(
    contours: Sequence[Floats], grid: Grid, where: str, *, odd_is_meant: bool = False
) -> Filled:
    """Return the mask of outlines on a grid: true where they cover at least half of the voxel.

    contours: one or more, each (n, 3), n >= 3, its corners in mm as the grid's affine counts them, the last joined to
    the first. odd_is_meant: outlines that cross one another are filled by the even-odd rule; otherwise they are
    refused, since their overlap may be lesion or not. `where` (row, column, scan) is how errors name the mask.

    Outlines that enclose nothing (there and back, twice around) are left out and told. InputError is raised where all
    do, where outlines cross or do not lie in planes across an axis of the grid, and where more than a tenth of what
    they enclose, or a corner that is farther away than the grid is wide, lies outside of the grid.
    """
    inverse = np.linalg.inv(grid.affine)
    in_voxels = [points @ inverse[:3, :3].T + inverse[:3, 3] for points in contours]
    _check_near(in_voxels, grid, where)
    axis = _across(in_voxels, where)
    in_voxels, told = _enclosing(in_voxels, axis, where)
    planes = _planes(in_voxels, axis)
    told += [] if odd_is_meant else _without_copies(planes, where)
    thick, on_slices = _thickness([plane.at for plane in planes])
    shares, drawn = _shares(planes, thick, on_slices, grid, axis)
    told += _told([plane.at for plane in planes], thick, on_slices, shares)
    told += _check_kept(sum(float(share.sum()) for share in shares.values()), drawn, where)
    voxels = np.zeros(grid.shape, dtype=bool)
    across = np.moveaxis(voxels, axis, 0)
    for z, share in shares.items():
        across[z] = share >= HALF_SHARE
    return Filled(voxels, tuple(told))


def _check_near(in_voxels: list[Floats], grid: Grid, where: str) -> None:
    """Raise InputError where a corner of outlines, each (n, 3) in voxels, lies farther outside of the grid than the
    grid is wide, which no slip of a hand explains."""
    size = np.array(grid.shape)
    points = np.concatenate(in_voxels)
    if not ((points > -size - 1) & (points < 2 * size)).all():
        raise _refused(
            "The contours lie outside of the grid.",
            where,
            "contours on the image that they were drawn on",
            "points farther away from it than it is wide",
        )


def _across(in_voxels: list[Floats], where: str) -> int:
    """Return the axis across which the planes of outlines (n, 3), in voxels, lie; InputError where there is none."""
    leaving = [max(float(np.ptp(points[:, axis])) for points in in_voxels) for axis in range(3)]
    axis = int(np.argmin(leaving))
    if leaving[axis] > 2 * OFF_PLANE_SLICES:
        raise _refused(
            "The contours do not lie in the slices of the image.",
            where,
            "contours drawn on one kind of slices of the image (axial, coronal or sagittal)",
            f"one that runs through {count_of(leaving[axis] + 1, 'slice')}",
        )
    return axis


def _enclosing(in_voxels: list[Floats], axis: int, where: str) -> tuple[list[Floats], list[str]]:
    """Return the outlines, each (n, 3) in voxels, that enclose something in planes across the axis, and sentences on
    the others."""
    found = [points for points in in_voxels if area([np.delete(points, axis, axis=1)])]
    if not found:
        drawn = f"{count_of(len(in_voxels), 'contour')}: there and back, or twice around"
        raise _refused("The contours enclose nothing.", where, "contours around the lesion", drawn)
    lost = len(in_voxels) - len(found)
    return found, [f"contours that enclose nothing left out of the region: {lost}"] if lost else []


def _planes(in_voxels: list[Floats], axis: int) -> list[_Plane]:
    """Return the outlines (n, 3), in voxels, plane by plane in the order of the axis. If all lie on the grid's slices,
    those of one slice share a plane, so that an outline that is slightly off it is still a hole in the outer one."""
    planes: list[_Plane] = []
    flat = [axis_ for axis_ in range(3) if axis_ != axis]
    heights = np.array([points[:, axis].mean() for points in in_voxels])
    on_slices = bool(np.abs(heights - np.rint(heights)).max(initial=0.0) <= OFF_PLANE_SLICES)
    for number in np.argsort(heights, kind="stable"):
        points, at = in_voxels[number], float(heights[number])
        beyond = not planes or at - planes[-1].at > ONE_PLANE_SLICES
        if beyond and not (planes and on_slices and np.rint(at) == np.rint(planes[-1].at)):
            planes.append(_Plane(at, []))
        planes[-1].polygons.append(points[:, flat])
    return planes


def _without_copies(planes: list[_Plane], where: str) -> list[str]:
    """Drop outlines that occur twice, which would cancel each other. InputError is raised for outlines that cross."""
    copies = 0
    for plane in planes:
        areas = [area([polygon]) for polygon in plane.polygons]
        dropped = set()
        for one, other in _touching(plane.polygons):
            shared = (areas[one] + areas[other] - area([plane.polygons[one], plane.polygons[other]])) / 2
            small, large = sorted((areas[one], areas[other]))
            if shared > (1 - SLIVER_SHARE) * large:
                dropped.add(other)
            elif SLIVER_SHARE * small < shared < (1 - SLIVER_SHARE) * small:
                raise _refused(
                    "Contours of one plane cross one another.",
                    where,
                    "contours beside one another or one within another (a hole)",
                    f"two that share {shared / small:.0%} of the smaller one",
                )
        plane.polygons[:] = [each for at, each in enumerate(plane.polygons) if at not in dropped]
        copies += len(dropped)
    return [f"contours that stood there twice and count once: {copies}"] if copies else []


def _touching(polygons: list[Floats]) -> list[tuple[int, int]]:
    """Return the pairs of outlines, each (n, 2) in pixels, whose bounding boxes overlap: (earlier, later)."""
    low = np.array([polygon.min(axis=0) for polygon in polygons])
    high = np.array([polygon.max(axis=0) for polygon in polygons])
    touching = ((low[:, None] < high) & (low < high[:, None])).all(axis=2)
    return [(int(one), int(other)) for one, other in np.argwhere(np.triu(touching, 1))]


def _thickness(at: list[float]) -> tuple[float, bool]:
    """Return how thick a slab each plane stands for, in slices, and whether the planes lie on the slices."""
    on_slices = bool(np.abs(np.array(at) - np.rint(at)).max() <= OFF_PLANE_SLICES)
    steps = np.diff(at)
    if not len(steps):
        return 1.0, on_slices
    middle = float(np.median(steps))
    alike = (
        len(steps) > 1
        and float(np.mean(np.abs(steps - middle) <= OFF_PLANE_SLICES * middle)) >= ALIKE_STEPS_SHARE
    )
    # Planes that are far apart, or irregularly spaced, have gaps between lesions, not thick slices.
    slabs = alike and middle <= MOST_THICK_SLICES + OFF_PLANE_SLICES
    thick = middle if slabs else min(middle, 1.0)
    return (max(1.0, float(np.rint(thick))) if on_slices else thick), on_slices


def _shares(
    planes: list[_Plane], thick: float, on_slices: bool, grid: Grid, axis: int
) -> tuple[dict[int, Floats], float]:
    """Return the share of each voxel that the slabs cover, 0 to 1, as (x, y) of the other two axes by slice across the
    axis; and how much is drawn, in voxels. thick: of a slab, in slices."""
    wide, high = (count for axis_, count in enumerate(grid.shape) if axis_ != axis)
    shares: dict[int, Floats] = {}
    drawn = 0.0
    for plane in planes:
        at = float(np.rint(plane.at)) if on_slices else plane.at
        covered = coverage(plane.polygons, (wide, high))
        drawn += thick * area(plane.polygons)
        low, up = _end(at - thick / 2), _end(at + thick / 2)
        first, last = max(0, int(np.floor(low + 0.5))), min(grid.shape[axis] - 1, int(np.ceil(up - 0.5)))
        for z in range(first, last + 1):
            part = max(0.0, min(up, z + 0.5) - max(low, z - 0.5))
            shares[z] = shares.get(z, 0.0) + covered * part
    return shares, drawn


def _end(at: float) -> float:
    """Return a slab's end, a little lower where it would halve a slice, since both halves would count as whole."""
    return at - LEAN_SLICES if abs(at - np.rint(at)) < LEAN_SLICES / 2 else at


def _told(at: list[float], thick: float, on_slices: bool, shares: dict[int, Floats]) -> list[str]:
    """Return sentences on how planes stand for slices. at, thick: where the planes lie and how thick their slabs are,
    in slices. shares: (x, y), 0 to 1, as by `_shares`."""
    told = []
    apart = float(np.median(np.diff(at))) if len(at) > 1 else 0.0
    if apart > MOST_THICK_SLICES + OFF_PLANE_SLICES:
        told.append(
            f"contours lie {count_of(apart, 'slice')} apart, too far for thick ones, and stand for one slice each"
        )
    elif not on_slices:
        told.append(f"contours lie between the slices and stand for {count_of(thick, 'slice')} each")
    elif thick > 1:
        told.append(f"contours lie {count_of(round(thick), 'slice')} apart and stand for as many each")
    held = sorted(z for z, share in shares.items() if share.any())
    empty = held[-1] - held[0] + 1 - len(held) if held else 0
    if empty:
        told.append(f"slices without a contour between those with: {empty}")
    return told


def _check_kept(inside: float, drawn: float, where: str) -> list[str]:
    kept = inside / drawn if drawn else 1.0
    if kept < MIN_KEPT_SHARE:
        raise _refused(
            "The contours reach out of the grid.",
            where,
            f"at least {MIN_KEPT_SHARE:.0%} of what they enclose inside",
            percent_below(kept, MIN_KEPT_SHARE),
        )
    return [f"{1 - kept:.1%} of what the contours enclose lies outside of the grid"] if kept < 0.999 else []


def _refused(problem: str, where: str, expected: str, found: str) -> InputError:
    do = "Check that the contours were drawn on this image, and export them again; or take the scan out."
    return InputError(problem, where=where, expected=expected, found=found, do=do)


def coverage(polygons: Sequence[Floats], shape: tuple[int, int]) -> Floats:
    """Return the share of each pixel that polygons cover together, 0 to 1: (x, y) of `shape`.

    polygons: each (n, 2), its corners in pixels, n >= 3, the last joined to the first; (0, 0) is the middle of the
    first pixel. A point is covered where it lies in an odd number of outlines (even-odd rule).
    """
    wide, high = shape
    line, enter, leave = _spans(polygons)
    row = line // SCAN_LINES
    kept = (row >= 0) & (row < high)
    row, enter, leave = row[kept], enter[kept], leave[kept]
    shares = _right_of(enter, row, shape) - _right_of(leave, row, shape)
    covered: Floats = shares.reshape(high, wide + 2).cumsum(axis=1)[:, :wide].T / SCAN_LINES
    return covered


def area(polygons: Sequence[Floats]) -> float:
    """Return the area that polygons cover together by the even-odd rule, in square pixels: 0 or more.

    polygons: one or more, each (n, 2) as in `coverage`; they may lie anywhere.
    """
    _, enter, leave = _spans(polygons)
    return float((leave - enter).sum() / SCAN_LINES)


def _right_of(x: Floats, row: Integers, shape: tuple[int, int]) -> Floats:
    """Return how much each pixel's share, 0..1, exceeds the one before it if all to the right of each `x` is covered,
    row by row: ((wide + 2) * high,). x: positions in pixels, and row: their rows, both (n,). shape: (wide, high)."""
    wide, high = shape
    x = np.clip(x, -0.5, wide - 0.5)
    first = np.floor(x + 0.5).astype(np.int64)
    part = first + 0.5 - x
    at, size = row * (wide + 2) + first, high * (wide + 2)
    return np.asarray(np.bincount(at, part, size) + np.bincount(at + 1, 1 - part, size), dtype=np.float64)


def _spans(polygons: Sequence[Floats]) -> tuple[Integers, Floats, Floats]:
    """Return the scan line, start and end, in pixels, of each stretch that polygons (n, 2) cover: three arrays
    (stretches,). Line 0 is the first line in row 0 of pixels."""
    start = np.concatenate(polygons)
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    from_line, to_line = ((y + 0.5) * SCAN_LINES - 0.5 for y in (start[:, 1], end[:, 1]))
    # An edge includes its lower end, but not its upper end, so that a corner counts once.
    first = np.ceil(np.minimum(from_line, to_line)).astype(np.int64)
    count = np.ceil(np.maximum(from_line, to_line)).astype(np.int64) - first
    edge = np.repeat(np.arange(len(count)), count)
    line = np.arange(len(edge)) + np.repeat(first - np.cumsum(count) + count, count)
    along = (line - from_line[edge]) / (to_line - from_line)[edge]
    x = start[edge, 0] + along * (end - start)[edge, 0]
    order = np.lexsort((x, line))
    # Closed outlines cross each line an even number of times.
    return line[order][::2], x[order][::2], x[order][1::2]
