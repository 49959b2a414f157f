"""The surface of a mask as elements: where they are, and how large they are.

An element stands for the surface within one cell, the cube between the centres of eight voxels (in a plane: of four
pixels) of which some are marked and some are not. That surface goes through the middles of the cell's edges (marching
cubes). Opposite corners of a face are kept apart, whether they are marked or unmarked: the smaller number of corners is
cut off. A polygon of more than three corners is cut into the triangles that have the largest area on a cubic grid. For
every spacing, these choices give the areas of the public library surface-distance (Nikolov et al., doi:10.2196/26151),
which MONAI uses too; a test compares all 256 of them.

An element's position is the centroid of its surface. That library uses the middle of the cell instead, which is up to
half a diagonal away. The nearest of many such points is then too near: for spheres its HD95 is half a voxel too small
on average, and with centroids a tenth of a voxel.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from hnscc.base.arrays import Bools, Floats

Crossing = tuple[float, ...]
Triangle = tuple[int, int, int]
# The corners of a cube; bit i of a code tells whether corner i is marked.
CORNERS = tuple(itertools.product((0, 1), repeat=3))


@dataclass(frozen=True)
class Elements:
    """N elements of a surface. position: (N, D) in mm, from the centre of the first voxel. size: (N,) in mm2 or mm."""

    position: Floats
    size: Floats


def elements(mask: Bools, spacing_mm: tuple[float, ...]) -> Elements:
    """Return the surface of a bool mask (Z, H, W), or the contour of a mask (H, W); it is closed at the mask's border.

    spacing_mm: between voxels, one number per axis.
    """
    codes = _codes(mask)
    cell = np.argwhere((codes != 0) & (codes != 2 ** (2**mask.ndim) - 1))
    code = codes[tuple(cell.T)]
    sizes, centroids = cell_surfaces(spacing_mm) if mask.ndim == 3 else cell_contours(spacing_mm)
    return Elements((cell - 0.5 + centroids[code]) * spacing_mm, sizes[code])


@lru_cache(maxsize=64)
def cell_surfaces(spacing_mm: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Return the surface within a cell of `spacing_mm` (z, y, x), by code: area in mm2 (256,), and centroid (256, 3).

    Centroids are in units of cells, from the middle of the cell: -0.5..0.5. Both arrays are read-only.
    """
    z, y, x = spacing_mm
    vectors, middles = _triangles_of_codes()
    each = np.sqrt(((vectors * np.array([y * x, z * x, z * y])) ** 2).sum(axis=-1))
    area: Floats = each.sum(axis=-1)
    moments = (each[..., None] * (middles - 0.5)).sum(axis=1)
    centroid: Floats = np.divide(moments, area[:, None], out=np.zeros_like(moments), where=area[:, None] > 0)
    return _read_only(area), _read_only(centroid)


@lru_cache(maxsize=64)
def cell_contours(spacing_mm: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Return the contour within a cell of `spacing_mm` (y, x), by code: length in mm (16,), and centroid (16, 2).

    Centroids are in units of cells, from the middle of the cell: -0.5..0.5. Both arrays are read-only.
    """
    y, x = spacing_mm
    cut = math.hypot(y, x) / 2
    length = np.full(16, cut)
    length[[0b0000, 0b1111]] = 0
    length[[0b0011, 0b1100]] = x
    length[[0b0101, 0b1010]] = y
    length[[0b0110, 0b1001]] = 2 * cut
    centroid = np.zeros((16, 2))
    for bit, corner in enumerate(itertools.product((-0.25, 0.25), repeat=2)):
        # One corner is cut off, marked or unmarked. If two opposite ones are, the centroid is the middle of the cell.
        centroid[[1 << bit, 15 - (1 << bit)]] = corner
    return _read_only(length), _read_only(centroid)


def _read_only(array: Floats) -> Floats:
    """Make an array of any shape and unit read-only, and return it: it stays in a cache, so nobody may change it."""
    array.flags.writeable = False
    return array


def _codes(mask: Bools) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the code of each point between voxels, uint8 of the mask's shape, (Z, Y, X) or (Y, X), plus one along each
    axis. Nothing beyond the mask's border is marked."""
    padded = np.zeros(tuple(each + 2 for each in mask.shape), np.uint8)
    padded[(slice(1, -1),) * mask.ndim] = mask
    shape = tuple(each + 1 for each in mask.shape)
    codes = np.zeros(shape, np.uint8)
    for bit, corner in enumerate(itertools.product((0, 1), repeat=mask.ndim)):
        window = tuple(slice(start, start + length) for start, length in zip(corner, shape, strict=True))
        codes |= padded[window] << np.uint8(bit)
    return codes


@cache
def _triangles_of_codes() -> tuple[Floats, Floats]:
    """Return area vectors and middles of each code's triangles on a grid of 1 mm, in mm2 and mm: both (256, T, 3),
    padded with 0 where a code has fewer than T."""
    found = []
    for code in range(256):
        fewer = code if code.bit_count() <= 4 else 255 - code
        none = np.empty((0, 3)), np.empty((0, 3))
        parts = [none, *(_largest(loop) for loop in _loops(fewer))]
        found.append([np.concatenate(each) for each in zip(*parts, strict=True)])
    most = max(len(vectors) for vectors, _ in found)
    filled = np.array([[np.pad(each, ((0, most - len(each)), (0, 0))) for each in pair] for pair in found])
    return filled[:, 0], filled[:, 1]


def _loops(code: int) -> list[list[Crossing]]:
    """Return the closed polygons that cut the marked corners of a cube off, as points in order."""
    follows: dict[Crossing, Crossing] = {}
    for face in _faces():
        marked = [bool(code >> CORNERS.index(corner) & 1) for corner in face]
        middles = [_middle(face[i], face[(i + 1) % 4]) for i in range(4)]
        for out in range(4):
            if marked[out] and not marked[(out + 1) % 4]:
                # Go back around the marked corners to where the walk along the face came in among them.
                came_in = next((out - i) % 4 for i in range(1, 4) if not marked[(out - i) % 4])
                follows[middles[out]] = middles[came_in]
    loops = []
    while follows:
        point = next(iter(follows))
        loop = []
        while point in follows:
            loop.append(point)
            point = follows.pop(point)
        loops.append(loop)
    return loops


def _faces() -> Iterator[list[tuple[int, ...]]]:
    """Yield the four corners of each face of the cube, counter-clockwise as seen from outside."""
    for axis, side in itertools.product(range(3), (0, 1)):
        face = []
        for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
            corner = [0, 0, 0]
            corner[axis], corner[(axis + 1) % 3], corner[(axis + 2) % 3] = side, u, v
            face.append(tuple(corner))
        yield face if side else face[::-1]


def _middle(a: tuple[int, ...], b: tuple[int, ...]) -> Crossing:
    return tuple((one + other) / 2 for one, other in zip(a, b, strict=True))


def _largest(loop: list[Crossing]) -> tuple[Floats, Floats]:
    """Return area vectors and middles, both (T, 3) in mm2 and mm, of the triangles of a polygon, cut so that the sum of
    their areas is largest.

    Where several ways to cut it are equal, the triangles of all of them count, each with its share of the area: the
    surface of a mirrored mask is then the mirrored surface.
    """
    points = np.array(loop)
    ways = []
    for triangles in _triangulations(0, len(loop) - 1):
        a, b, c = (points[list(each)] for each in zip(*triangles, strict=True))
        vectors = np.cross(b - a, c - a) / 2
        ways.append((float(np.sqrt((vectors**2).sum(axis=1)).sum()), vectors, (a + b + c) / 3))
    largest = max(area for area, _, _ in ways)
    best = [(vectors, middles) for area, vectors, middles in ways if area > largest - 1e-9]
    vectors, middles = (np.concatenate(each) for each in zip(*best, strict=True))
    return vectors / len(best), middles


def _triangulations(first: int, last: int) -> Iterator[list[Triangle]]:
    """Yield every way to cut the polygon of the corners first..last into triangles."""
    if last - first < 2:
        yield []
    for tip in range(first + 1, last):
        for left, right in itertools.product(_triangulations(first, tip), _triangulations(tip, last)):
            yield [*left, *right, (first, tip, last)]
