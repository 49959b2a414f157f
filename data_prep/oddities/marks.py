"""Finds places of a scan that can be found again in a copy, even one turned, flipped, zoomed, sheared, cropped
or inverted.

A mark is a place that stands out from its surroundings. Its look is kept in numbers that do not change when the slice
is turned or mirrored, or dark and bright are exchanged: rings around the place are decomposed into waves (a Fourier
series along each ring), and waves of the same number are multiplied ring by ring, which removes their phase. This is
the idea of SIFT (Lowe 2004) with rings instead of an orientation (as in RIFT, Lazebnik et al. 2005).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from data_prep.volumes.percentiles import percentiles
from data_prep.volumes.resize import area_weights, mean_weights, weigh
from hnscc.base.arrays import Bools, Floats

SIDE_PIXELS = 128  # pixels along the sides of the squares in which marks are searched, at most
# The most marks in these squares, and in squares that are smaller by this scale once and twice, for zoomed copies.
MOST_MARKS = (150, 100, 60)
SCALE_TIMES = 2**0.5
# Pixels: the difference of these two blurs is what stands out.
BLUR_PIXELS, WIDER_BLUR_PIXELS = 1.5, 1.9
BLUR_SLICES = 0.5  # slices by which slices are blurred along the stack
AROUND_PIXELS = 17  # pixels: the size of the surroundings whose contrast it is compared with
LEAST_CONTRAST_SHARE = 0.03  # of the volume's contrast: it is added, so that noise in air does not stand out
LEAST_HEIGHT = 0.05  # of the contrast around: a mark stands out by more
# Trace^2 / determinant of the curvature: more is an edge, along which a place cannot be found again.
ROUND_RATIO = 8.0
MARGIN_PIXELS = 4  # pixels at the border that have no marks
RINGS_PIXELS = np.array([2.0, 4.0, 6.0, 8.5, 11.0])  # pixels: the radii
ANGLES = 16
WAVES = 6  # waves of a ring: its mean and the first five


@dataclass(frozen=True)
class Marks:
    """Marks of one modality of a scan.

    places: (N, 3) as z, y, x in stored pixels, of slices of `side` pixels. looks: (N, D) float32 of length 1. Marks in
    squares of one size are in the order of how much they stand out.
    """

    side: int
    places: Floats
    looks: NDArray[np.float32]


def marks(images: NDArray[np.float32]) -> list[Marks]:
    """Return the marks of each modality of stored images (Z, C, H, W), raw values; none where nothing stands out."""
    return [_of_volume(volume) for volume in images.swapaxes(0, 1)]


def _of_volume(volume: NDArray[np.float32]) -> Marks:
    """Return the marks of a volume (Z, H, W) of square slices, raw values; places are z, y, x in its pixels."""
    size = volume.shape[-1]
    places, looks = [], []
    for smaller, most in enumerate(MOST_MARKS):
        side = round(min(SIDE_PIXELS, size) / SCALE_TIMES**smaller)
        if side <= 2 * MARGIN_PIXELS:
            continue
        weights = area_weights(side, size, size / side, 0.0).astype(np.float32)
        squares = volume if side == size else weigh(volume, weights, weights)
        at, look = _in_squares(squares.astype(np.float32), most)
        at[:, 1:] = (at[:, 1:] + 0.5) * size / side - 0.5
        places.append(at)
        looks.append(look)
    if not places:
        return Marks(size, np.zeros((0, 3)), np.zeros((0, _length()), np.float32))
    return Marks(size, np.concatenate(places), np.concatenate(looks))


def _in_squares(squares: NDArray[np.float32], most: int) -> tuple[Floats, NDArray[np.float32]]:
    """Return the places (N, 3), z, y and x in pixels, and looks (N, D) of the `most` marks that stand out, as
    in `Marks`.

    squares: (Z, H, W), raw values.
    """
    smooth = _blurred(squares)
    low, high = percentiles(smooth[:, ::2, ::2], [0.5, 99.5])
    if high <= low:
        return np.zeros((0, 3)), np.zeros((0, _length()), np.float32)
    least = np.float32(LEAST_CONTRAST_SHARE * (high - low))
    apart = _apart(smooth, least)
    height = np.abs(apart)
    at = peaks_in(height)
    at = at[_round(apart, at)]
    at = at[np.argsort(-height[tuple(at.T)], kind="stable")[:most]]
    return at.astype(np.float64), _looks(smooth, at)


def _blurred(squares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return squares (Z, H, W), blurred a little along the slices and more within them: (Z, H, W), in the same unit
    of values."""
    deep, side = squares.shape[:2]
    along = (_gaussian(deep, BLUR_SLICES) @ squares.reshape(deep, -1)).reshape(squares.shape)
    weights = _gaussian(side, BLUR_PIXELS)
    return weigh(along, weights, weights)


def _apart(smooth: NDArray[np.float32], least: np.float32) -> NDArray[np.float32]:
    """Return how much each pixel of squares (Z, H, W) differs from those around it in its slice: (Z, H, W).

    It is in multiples of the contrast around, to which `least`, in the unit of values of the squares, is added.
    """
    wider = _gaussian(smooth.shape[1], WIDER_BLUR_PIXELS)
    mean = mean_weights(smooth.shape[1], AROUND_PIXELS).astype(np.float32)
    spread = weigh((smooth - weigh(smooth, mean, mean)) ** 2, mean, mean)
    found: NDArray[np.float32] = (smooth - weigh(smooth, wider, wider)) / (np.sqrt(spread) + least)
    return found


# The matrices are cached, since all slices of a cohort use the same, and nobody changes them. Such products take a
# third of the time of SciPy's filters with the same weights.
@lru_cache(maxsize=32)
def _gaussian(count: int, sd: float) -> sparse.csr_array:
    """Return a matrix, (count, count) float32, that does what ndimage.gaussian_filter1d does to `count` values in
    a line."""
    return sparse.csr_array(
        ndimage.gaussian_filter1d(np.eye(count), sd, axis=0, truncate=3), dtype=np.float32
    )


def peaks_in(height: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the places, (N, 3) as z, y, x in `height` (Z, H, W), that are highest within 3 slices x 5 x 5 pixels.

    None lies in its margin. height: how much each pixel stands out, in multiples of the contrast around.
    """
    inner = slice(MARGIN_PIXELS, -MARGIN_PIXELS)
    reach = slice(MARGIN_PIXELS - 2, 2 - MARGIN_PIXELS)
    most = _of_five(_of_five(height[:, reach, reach]).swapaxes(1, 2)).swapaxes(1, 2)
    around = most.copy()
    np.maximum(around[1:], most[:-1], out=around[1:])
    np.maximum(around[:-1], most[1:], out=around[:-1])
    found = height[:, inner, inner]
    at = np.argwhere((found == around) & (found > LEAST_HEIGHT))
    return np.add(at, [0, MARGIN_PIXELS, MARGIN_PIXELS], dtype=np.intp)


def _of_five(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the highest of each five side by side along the last axis: (..., W) -> (..., W - 4), in the same unit
    of values."""
    two = np.maximum(values[..., 1:], values[..., :-1])
    four = np.maximum(two[..., 2:], two[..., :-2])
    five: NDArray[np.float32] = np.maximum(four[..., 1:], values[..., :-4])
    return five


def _round(apart: NDArray[np.float32], at: NDArray[np.intp]) -> Bools:
    """Return which places, (N, 3) as z, y, x in `apart` (Z, H, W), are peaks in all directions of the plane, not
    edges: (N,).

    apart: what `_apart` returned, in multiples of the contrast around.
    """
    z, y, x = at.T
    here = 2 * apart[z, y, x]
    yy = apart[z, y + 1, x] + apart[z, y - 1, x] - here
    xx = apart[z, y, x + 1] + apart[z, y, x - 1] - here
    yx = (
        apart[z, y + 1, x + 1] + apart[z, y - 1, x - 1] - apart[z, y + 1, x - 1] - apart[z, y - 1, x + 1]
    ) / 4
    determinant = yy * xx - yx**2
    kept: Bools = (determinant > 0) & ((yy + xx) ** 2 < ROUND_RATIO * determinant)
    return kept


def _looks(smooth: NDArray[np.float32], at: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the looks of places, (N, D), of length 1: the rings around each, whatever their turn, sign, mean
    and contrast.

    smooth: (Z, H, W), in any unit of values. at: (N, 3), as z, y, x in it.
    """
    angle = 2 * np.pi * np.arange(ANGLES) / ANGLES
    z, y, x = (each[:, None, None] for each in at.T)
    y, x = y + RINGS_PIXELS[:, None] * np.sin(angle), x + RINGS_PIXELS[:, None] * np.cos(angle)
    rings = ndimage.map_coordinates(smooth, [np.broadcast_to(z, y.shape), y, x], order=1, mode="nearest")
    rings -= rings.mean(axis=(1, 2), keepdims=True)
    waves = np.fft.rfft(rings, axis=2)[:, :, :WAVES].swapaxes(1, 2)
    first, second = np.triu_indices(len(RINGS_PIXELS))
    products = waves[:, :, first] * waves[:, :, second].conj()
    # The imaginary parts of a ring with itself, and of means, are 0; mirroring changes the sign of the others.
    even, odd = products.real, np.abs(products.imag[:, 1:, first != second])
    looks = np.concatenate(
        [each.reshape(len(at), int(np.prod(each.shape[1:]))) for each in (even, odd)], axis=1
    )
    looks = np.sign(looks) * np.sqrt(np.abs(looks))  # otherwise only the strongest wave would count
    length = np.linalg.norm(looks, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (looks / np.where(length > 0, length, 1)).astype(np.float32)
    return unit


def _length() -> int:
    pairs = len(RINGS_PIXELS) * (len(RINGS_PIXELS) + 1) // 2
    return WAVES * pairs + (WAVES - 1) * (pairs - len(RINGS_PIXELS))
