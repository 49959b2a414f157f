"""Places of a scan that are found again in a copy of it, however it was turned, flipped, zoomed, sheared, cropped,
inverted or written with other grey values.

A mark is a place that stands out from what lies around it. What it looks like is kept in numbers that do not change
when the slice is turned or mirrored or its dark and bright are exchanged: around the place, rings are taken apart into
waves (a Fourier series along each ring), and waves of one number are multiplied ring by ring, which takes their phase
away. This is the idea of SIFT (Lowe 2004) with rings instead of an orientation (as in RIFT, Lazebnik et al. 2005).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from data_prep.volumes.percentiles import percentiles
from data_prep.volumes.resize import area_weights, mean_weights, weigh
from hnscc.base.arrays import Bools, Floats

SIDE_PIXELS = 128  # pixels at most of the squares in which marks are looked for
# Marks at most, in these squares and in ones that are smaller by this scale, and by it again: for zoomed copies.
MOST_MARKS = (150, 100, 60)
SCALE_TIMES = 2**0.5
# Pixels: what stands out is what remains of the first without the second.
BLUR_PIXELS, WIDER_BLUR_PIXELS = 1.5, 1.9
BLUR_SLICES = 0.5  # slices, the same from slice to slice
AROUND_PIXELS = 17  # pixels, by whose contrast it is measured
LEAST_CONTRAST_SHARE = 0.03  # of the volume's, which is added: noise of air stands out of nothing
LEAST_HEIGHT = 0.05  # of the contrast around, by which a mark stands out
# Trace^2 / determinant of the curvature: more is an edge, along which a place is not found again.
ROUND_RATIO = 8.0
MARGIN_PIXELS = 4  # pixels at the border without marks
RINGS_PIXELS = np.array([2.0, 4.0, 6.0, 8.5, 11.0])  # pixels
ANGLES = 16
WAVES = 6  # of a ring: its mean and the first five


@dataclass(frozen=True)
class Marks:
    """Marks of one modality of a scan: places (N, 3) as z, y, x in stored pixels, of slices of `side` pixels; looks
    (N, D) float32 of length 1. Those of one size of squares stand in the order of how much they stand out.
    """

    side: int
    places: Floats
    looks: NDArray[np.float32]


def marks(images: NDArray[np.float32]) -> list[Marks]:
    """Return the marks of each modality of stored images (Z, C, H, W), raw values; none where nothing stands out."""
    return [_of_volume(volume) for volume in images.swapaxes(0, 1)]


def _of_volume(volume: NDArray[np.float32]) -> Marks:
    """The marks of a volume (Z, H, W) of square slices, raw values; places are z, y, x in its pixels."""
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
    """Places (N, 3), z, y and x in pixels, and looks (N, D), as those of `Marks`, in squares (Z, H, W), raw values; the
    `most` that stand out."""
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
    """Squares (Z, H, W), a little smoother from slice to slice, and more so within each: (Z, H, W), in the same unit
    of values."""
    deep, side = squares.shape[:2]
    along = (_gaussian(deep, BLUR_SLICES) @ squares.reshape(deep, -1)).reshape(squares.shape)
    weights = _gaussian(side, BLUR_PIXELS)
    return weigh(along, weights, weights)


def _apart(smooth: NDArray[np.float32], least: np.float32) -> NDArray[np.float32]:
    """By how much each pixel of squares (Z, H, W) differs from those around it in its slice, of the contrast around, to
    which `least` is added, in the unit of values of the squares: (Z, H, W)."""
    wider = _gaussian(smooth.shape[1], WIDER_BLUR_PIXELS)
    mean = mean_weights(smooth.shape[1], AROUND_PIXELS).astype(np.float32)
    spread = weigh((smooth - weigh(smooth, mean, mean)) ** 2, mean, mean)
    found: NDArray[np.float32] = (smooth - weigh(smooth, wider, wider)) / (np.sqrt(spread) + least)
    return found


# Kept, as all slices of a cohort ask for the same; nobody changes them. Such products take a third of the time of
# SciPy's filters, whose weights they are.
@lru_cache(maxsize=32)
def _gaussian(count: int, sd: float) -> sparse.csr_array:
    """(count, count) float32: what ndimage.gaussian_filter1d weighs `count` values in a line by."""
    return sparse.csr_array(
        ndimage.gaussian_filter1d(np.eye(count), sd, axis=0, truncate=3), dtype=np.float32
    )


def peaks_in(height: NDArray[np.float32]) -> NDArray[np.intp]:
    """(N, 3): the places, as z, y, x in `height` (Z, H, W), none in its margin, that no other in 3 slices x 5 x 5
    pixels around overtops. height: by how much each pixel stands out, as multiples of the contrast around."""
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
    """The highest of each five side by side along the last axis: (..., W) -> (..., W - 4), in the same unit
    of values."""
    two = np.maximum(values[..., 1:], values[..., :-1])
    four = np.maximum(two[..., 2:], two[..., :-2])
    five: NDArray[np.float32] = np.maximum(four[..., 1:], values[..., :-4])
    return five


def _round(apart: NDArray[np.float32], at: NDArray[np.intp]) -> Bools:
    """Which places, (N, 3) as z, y, x in `apart` (Z, H, W), are peaks along all directions of the plane, not points of
    an edge: (N,). apart: what `_apart` gave of each slice."""
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
    """(N, D), of length 1: the rings around each place, whatever their turn, their sign, their mean and their contrast.
    smooth: (Z, H, W), in any unit of values; at: (N, 3), as z, y, x in it."""
    angle = 2 * np.pi * np.arange(ANGLES) / ANGLES
    z, y, x = (each[:, None, None] for each in at.T)
    y, x = y + RINGS_PIXELS[:, None] * np.sin(angle), x + RINGS_PIXELS[:, None] * np.cos(angle)
    rings = ndimage.map_coordinates(smooth, [np.broadcast_to(z, y.shape), y, x], order=1, mode="nearest")
    rings -= rings.mean(axis=(1, 2), keepdims=True)
    waves = np.fft.rfft(rings, axis=2)[:, :, :WAVES].swapaxes(1, 2)
    first, second = np.triu_indices(len(RINGS_PIXELS))
    products = waves[:, :, first] * waves[:, :, second].conj()
    # The imaginary part of a ring by itself is 0, and so are those of means; a mirror changes the others' sign.
    even, odd = products.real, np.abs(products.imag[:, 1:, first != second])
    looks = np.concatenate(
        [each.reshape(len(at), int(np.prod(each.shape[1:]))) for each in (even, odd)], axis=1
    )
    looks = np.sign(looks) * np.sqrt(np.abs(looks))  # or else the strongest wave alone would count
    length = np.linalg.norm(looks, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (looks / np.where(length > 0, length, 1)).astype(np.float32)
    return unit


def _length() -> int:
    pairs = len(RINGS_PIXELS) * (len(RINGS_PIXELS) + 1) // 2
    return WAVES * pairs + (WAVES - 1) * (pairs - len(RINGS_PIXELS))
