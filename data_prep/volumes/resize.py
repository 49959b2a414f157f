"""Resizes slices of a grid to size x size square pixels: images are smoothed or interpolated, masks go by area."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from data_prep.volumes.volume import Grid
from hnscc.base.arrays import Bools, Floats, Images, Masks, Spacing

Kind = TypeVar("Kind", bound=np.floating)
ROUNDING = 1e-9  # of the weights
# Half of a pixel or voxel, less rounding, so that exact halves count as covered.
HALF_SHARE = 0.5 - ROUNDING


@dataclass(frozen=True)
class Window:
    """Where size x size stored pixels lie on the slices of the grid; scale and offset are in grid pixels, along y
    and x.

    Stored pixel i spans offset + i * scale to offset + (i + 1) * scale; 0 is the outer edge of the first grid pixel.
    """

    size: int
    scale: tuple[float, float]
    offset: tuple[float, float]


def make_window(grid: Grid, size: int, pixel_mm: float | None) -> Window:
    """Return stored pixels around the centre of a grid that lies LPS; pixel_mm None fits the longer side."""
    width, height = grid.shape[:2]
    wide, high = grid.spacing[:2]
    pixel = max(width * wide, height * high) / size if pixel_mm is None else pixel_mm
    scale = (float(pixel / high), float(pixel / wide))
    return Window(size, scale, ((height - size * scale[0]) / 2, (width - size * scale[1]) / 2))


def stored_spacing(grid: Grid, window: Window) -> Spacing:
    """Return the spacing of the stored slices of a grid that lies LPS, in mm along z, y and x."""
    wide, high, deep = (float(step) for step in grid.spacing)
    return (deep, high * window.scale[0], wide * window.scale[1])


def stored_affine(grid: Grid, window: Window) -> Floats:
    """Return the affine, 4 x 4, from a stored index (x, y, z) to mm, for a grid that lies LPS."""
    step = np.diag([window.scale[1], window.scale[0], 1.0, 1.0])
    step[0, 3] = window.offset[1] + window.scale[1] / 2 - 0.5
    step[1, 3] = window.offset[0] + window.scale[0] / 2 - 0.5
    return grid.affine @ step


def resize_mask(lesion: Bools, window: Window) -> Masks:
    """Resize a mask, (H, W) bool of the grid, to (size, size) uint8: 1 where lesion covers at least half of a
    stored pixel."""
    return (_shares(lesion, window) >= HALF_SHARE).astype(np.uint8)


def overlapped(lesion: Bools, window: Window) -> Bools:
    """Return the stored pixels, (size, size) bool, that lesion, (H, W) bool of the grid, covers some of."""
    return _shares(lesion, window) > ROUNDING


def _shares(lesion: Bools, window: Window) -> Floats:
    """Return the share of each stored pixel, 0..1, (size, size), that lesion, (H, W) bool of the grid, covers."""
    rows, columns = (
        area_weights(window.size, lesion.shape[axis], window.scale[axis], window.offset[axis])
        for axis in (0, 1)
    )
    return weigh(lesion.astype(np.float64), rows, columns)


def resize_image(image: NDArray[np.floating], window: Window, fill: float) -> Images:
    """Resize an image, (H, W) of the grid, to (size, size) float32 in the same unit of values, anti-aliased.

    Pixels whose centres lie outside of the grid are `fill`.
    """
    rows, columns = (
        smooth_weights(window.size, image.shape[axis], window.scale[axis], window.offset[axis])
        for axis in (0, 1)
    )
    resized = weigh(image.astype(np.float64), rows, columns)
    resized[~centres_inside(window, image.shape[0], 0)] = fill
    resized[:, ~centres_inside(window, image.shape[1], 1)] = fill
    return resized.astype(np.float32)


PIXELS_AT_ONCE = 2**19  # of a stack: one call for each small slice takes longer than its sums


# The matrices are cached, since all slices of a scan use the same; nobody changes them.
@lru_cache(maxsize=8)
def area_weights(out: int, count: int, scale: float, offset: float) -> sparse.csr_array:
    """Return a matrix (out, count): the share of output pixel i that input pixel j covers; edge rows sum to less
    than 1."""
    start = offset + scale * np.arange(out)[:, None]
    pixel = np.arange(count)[None]
    return sparse.csr_array(
        np.clip(np.minimum(start + scale, pixel + 1) - np.maximum(start, pixel), 0, None) / scale
    )


@lru_cache(maxsize=8)
def smooth_weights(out: int, count: int, scale: float, offset: float) -> sparse.csr_array:
    """Return a matrix (out, count) of weights: a triangle around each output pixel's centre; rows sum to 1.

    It is as wide as two output or two input pixels, whichever is more. Beyond the input, the centre is that of the
    outermost input pixel.
    """
    centre = offset + scale * (np.arange(out)[:, None] + 0.5)
    distance = np.abs(np.arange(count)[None] + 0.5 - np.clip(centre, 0.5, count - 0.5))
    weights = np.clip(1 - distance / max(scale, 1.0), 0, None)
    return sparse.csr_array(weights / weights.sum(axis=1, keepdims=True))


@lru_cache(maxsize=32)
def mean_weights(count: int, around: int) -> sparse.csr_array:
    """Return a matrix (count, count) that does what ndimage.uniform_filter1d does: means of `around` values in
    a line."""
    return sparse.csr_array(ndimage.uniform_filter1d(np.eye(count), around, axis=0))


def weigh(images: NDArray[Kind], rows: sparse.csr_array, columns: sparse.csr_array) -> NDArray[Kind]:
    """Return rows @ image @ columns.T: each output pixel is a weighted sum of the image's pixels, in its unit
    of values.

    images: (H, W), or a stack (Z, H, W), float64, or float32 if the weights are. rows: (h, H) and columns: (w, W),
    shares from 0 to 1, such as those of `area_weights` or `smooth_weights`. The result is (h, w) or (Z, h, w) of that
    type; where rows sum to 1, it lies between the image's values. Sparse products add in a fixed order, so that digests
    depend neither on the threads of a BLAS library, nor on whether images come one by one.
    """
    if images.ndim == 2:
        weighed: NDArray[Kind] = (columns @ (rows @ images).T).T
        return weighed
    (slices, high, wide), (out_high, out_wide) = images.shape, (rows.shape[0], columns.shape[0])
    stack = np.empty((slices, out_high, out_wide), images.dtype)
    at_once = max(1, PIXELS_AT_ONCE // (high * wide))
    for start in range(0, slices, at_once):
        part = images[start : start + at_once]
        along = rows @ part.swapaxes(0, 1).reshape(high, -1)
        across = along.reshape(out_high, len(part), wide).transpose(2, 0, 1).reshape(wide, -1)
        stack[start : start + at_once] = (columns @ across).reshape(out_wide, out_high, -1).transpose(2, 1, 0)
    return stack


def centres_inside(window: Window, count: int, axis: int) -> Bools:
    """Return which stored pixels, (size,) bool, have their centre on the grid.

    axis: 0 (y) or 1 (x), along which the grid has `count` pixels.
    """
    centre = window.offset[axis] + window.scale[axis] * (np.arange(window.size) + 0.5)
    return (centre >= 0) & (centre <= count)
