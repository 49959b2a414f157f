"""What closed outlines cover of the pixels of their plane, by the even-odd rule: holes, bridges and crossings too."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Scan lines in each row of pixels: along x what is covered is exact, along y it is counted in so many lines. The
# number is even, so that an edge through the middle of a row covers just half of it.
LINES = 32


def coverage(polygons: Sequence[Floats], shape: tuple[int, int]) -> Floats:
    """Return the share of each pixel that polygons cover together, 0 to 1: (x, y) of `shape`.

    polygons: each (n, 2), its corners in pixels, n >= 3, closed by itself; the middle of the first pixel is (0, 0).
    A point is covered where it lies in an odd number of outlines (even-odd rule).
    """
    wide, high = shape
    line, enter, leave = _spans(polygons)
    row = line // LINES
    kept = (row >= 0) & (row < high)
    row, enter, leave = row[kept], enter[kept], leave[kept]
    shares = _right_of(enter, row, shape) - _right_of(leave, row, shape)
    covered: Floats = shares.reshape(high, wide + 2).cumsum(axis=1)[:, :wide].T / LINES
    return covered


def area(polygons: Sequence[Floats]) -> float:
    """Return what polygons cover together by the even-odd rule, in pixels; they may lie anywhere."""
    _, enter, leave = _spans(polygons)
    return float((leave - enter).sum() / LINES)


def _right_of(x: Floats, row: NDArray[np.int64], shape: tuple[int, int]) -> Floats:
    """By how much each pixel's share exceeds that of the pixel before it, where all right of `x` is covered: flat."""
    wide, high = shape
    x = np.clip(x, -0.5, wide - 0.5)
    first = np.floor(x + 0.5).astype(np.int64)
    part = first + 0.5 - x
    at, size = row * (wide + 2) + first, high * (wide + 2)
    return np.asarray(np.bincount(at, part, size) + np.bincount(at + 1, 1 - part, size), dtype=np.float64)


def _spans(polygons: Sequence[Floats]) -> tuple[NDArray[np.int64], Floats, Floats]:
    """The scan line, beginning and end of every stretch that is covered; line 0 is the first in row 0 of pixels."""
    start = np.concatenate(polygons)
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    from_line, to_line = ((y + 0.5) * LINES - 0.5 for y in (start[:, 1], end[:, 1]))
    # An edge crosses the lines from its lower end, that included, to its upper end, that not: a corner counts once.
    first = np.ceil(np.minimum(from_line, to_line)).astype(np.int64)
    count = np.ceil(np.maximum(from_line, to_line)).astype(np.int64) - first
    edge = np.repeat(np.arange(len(count)), count)
    line = np.arange(len(edge)) + np.repeat(first - np.cumsum(count) + count, count)
    along = (line - from_line[edge]) / (to_line - from_line)[edge]
    x = start[edge, 0] + along * (end - start)[edge, 0]
    order = np.lexsort((x, line))
    # Closed outlines cross each line an even number of times.
    return line[order][::2], x[order][::2], x[order][1::2]
