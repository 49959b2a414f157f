"""The surface of a mask as elements: where they are, and how large.

An element stands at each point where eight voxels meet (in a plane: four pixels) of which some are marked and some are
not. Its size is that of the surface between them, by marching cubes through the middles of the cube's edges: area in
mm2, in a plane length in mm. Opposite corners of a face are kept apart, for the marked and the unmarked alike: the
smaller number of corners is cut off. A polygon of more than three corners is cut into the triangles that have the
largest area on a cubic grid. These choices give, for every spacing, the areas of the public library surface-distance
(Nikolov et al., doi:10.2196/26151), which MONAI uses too; a test compares all 256 of them.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from hnscc.scores.arrays import Bools, Floats, Integers

Point = tuple[float, ...]
Triangle = tuple[int, int, int]
# The corners of a cube; bit i of a code tells whether corner i is marked.
CORNERS = tuple(itertools.product((0, 1), repeat=3))


@dataclass(frozen=True)
class Elements:
    """N elements of a surface. position: int (N, D), the corner of the padded grid. size: (N,), mm2 or mm."""

    position: Integers
    size: Floats


def elements(mask: Bools, spacing_mm: tuple[float, ...]) -> Elements:
    """The surface of a bool mask (Z, H, W), or (H, W) with its contour, which ends at the mask's border.

    Position 0 is half a voxel before voxel 0, so that a mask of n voxels has positions 0..n along an axis.
    spacing_mm: one per axis.
    """
    codes = _codes(mask)
    last = 2 ** (2**mask.ndim) - 1
    position = np.argwhere((codes != 0) & (codes != last))
    sizes = areas(spacing_mm) if mask.ndim == 3 else lengths(spacing_mm)
    return Elements(position.astype(np.int64), sizes[codes[tuple(position.T)]])


def _codes(mask: Bools) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The code of each point between voxels, uint8 of the mask's shape + 1; beyond its border nothing is marked."""
    padded = np.pad(mask, 1).view(np.uint8)
    shape = tuple(each + 1 for each in mask.shape)
    codes = np.zeros(shape, np.uint8)
    for bit, corner in enumerate(itertools.product((0, 1), repeat=mask.ndim)):
        window = tuple(slice(start, start + length) for start, length in zip(corner, shape, strict=True))
        codes |= padded[window] << np.uint8(bit)
    return codes


def areas(spacing_mm: tuple[float, ...]) -> Floats:
    """The area in mm2 of the surface through a cell of `spacing_mm` (z, y, x), by code: float64 (256,)."""
    z, y, x = spacing_mm
    vectors = _area_vectors() * np.array([y * x, z * x, z * y])
    found: Floats = np.sqrt((vectors**2).sum(axis=-1)).sum(axis=-1)
    return found


def lengths(spacing_mm: tuple[float, ...]) -> Floats:
    """The length in mm of the contour through a cell of `spacing_mm` (y, x), by code: float64 (16,)."""
    y, x = spacing_mm
    corner = math.hypot(y, x) / 2
    found = np.full(16, corner)
    found[[0b0000, 0b1111]] = 0
    found[[0b0011, 0b1100]] = x
    found[[0b0101, 0b1010]] = y
    found[[0b0110, 0b1001]] = 2 * corner
    return found


@cache
def _area_vectors() -> Floats:
    """The area vectors on a cubic grid of 1 mm of each code's triangles, at most four: (256, 4, 3), the rest 0."""
    vectors = np.zeros((256, 4, 3))
    for code in range(1, 255):
        fewer = code if code.bit_count() <= 4 else 255 - code
        parts = [part for loop in _loops(fewer) for part in _largest(loop)]
        vectors[code, : len(parts)] = parts
    return vectors


def _loops(code: int) -> list[list[Point]]:
    """The closed polygons that cut the marked corners of a cube off, as points in order."""
    follows: dict[Point, Point] = {}
    for face in _faces():
        marked = [bool(code >> CORNERS.index(corner) & 1) for corner in face]
        middles = [_middle(face[i], face[(i + 1) % 4]) for i in range(4)]
        for out in range(4):
            if marked[out] and not marked[(out + 1) % 4]:
                # Back around the marked corners to where the walk along the face came in among them.
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
    """The four corners of each face of the cube, counter-clockwise as seen from outside."""
    for axis, side in itertools.product(range(3), (0, 1)):
        face = []
        for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
            corner = [0, 0, 0]
            corner[axis], corner[(axis + 1) % 3], corner[(axis + 2) % 3] = side, u, v
            face.append(tuple(corner))
        yield face if side else face[::-1]


def _middle(a: tuple[int, ...], b: tuple[int, ...]) -> Point:
    return tuple((one + other) / 2 for one, other in zip(a, b, strict=True))


def _largest(loop: list[Point]) -> Floats:
    """The area vectors (T, 3) of the triangles of a polygon, cut so that their areas' sum is largest."""
    points = np.array(loop)
    best, largest = np.empty((0, 3)), -1.0
    for triangles in _triangulations(0, len(loop) - 1):
        a, b, c = (points[list(each)] for each in zip(*triangles, strict=True))
        vectors = np.cross(b - a, c - a) / 2
        area = float(np.sqrt((vectors**2).sum(axis=1)).sum())
        if area > largest + 1e-9:
            best, largest = vectors, area
    return best


def _triangulations(first: int, last: int) -> Iterator[list[Triangle]]:
    """Every way to cut the polygon of the corners first..last into triangles."""
    if last - first < 2:
        yield []
    for tip in range(first + 1, last):
        for left, right in itertools.product(_triangulations(first, tip), _triangulations(tip, last)):
            yield [*left, *right, (first, tip, last)]
