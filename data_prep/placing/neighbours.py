"""Finds slices that are no image, by what they have in common with their neighbours.

No scanner produces such slices: they have next to nothing in common, or all but a factor; they repeat the slices before
in reverse order; they are a mean of both neighbours; they show the same image under other noise; or they hold far less
noise than all other slices.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.volumes.percentiles import median, percentiles
from hnscc.base.arrays import Bools

STEP_VOXELS = 2  # voxels by which slices are thinned before they are correlated
# The least correlation with the more similar neighbour; slices of a body, the last ones too, have 0.65 and more.
UNLIKE_CORRELATION = 0.3
ALIKE_CORRELATION = 0.5  # if most neighbours correlate less than this, nothing is said of single slices
# With fewer slices nothing is said: a lesion in some of them makes these similar and the others not.
LEAST_SLICES = 8
# Share of a slice's standard deviation that is left once a multiple of the slice before is subtracted: less is a copy,
# or a copy that fades. Real neighbours leave 0.08 and more.
COPIED_SDS = 0.002
MIRRORED_SLICES = 2  # slices on either side of a mirror that must be equal
# So many slices in a row, each the mean of its neighbours up to this share of their standard deviation, are a gap that
# was filled. Resampling to thinner slices leaves shorter rows, or rows everywhere.
FILLED_SLICES, OF_MEAN_SDS = 3, 0.002
# Slices are one image with other noise if means over squares of this size differ across four slices hardly more than
# from slice to slice, and far less than elsewhere. In volumes of any kind they differ 1.2 times as much across four
# slices, unless they differ as much as elsewhere.
SQUARE_VOXELS, ACROSS_SLICES, SLOWER_TIMES, LESS_TIMES = 8, 4, 1.15, 0.5
# A run at an end, of at least so many slices, is calm if its voxels differ far less from their neighbours than in any
# other slice: blurred copies, or means of many. The factors are from the run's noisiest slice to the calmest of the
# others, and between the medians. In untouched volumes the first is at most 1.07; made-up ends have 1.4 and more.
CALM_SLICES, CALMER_TIMES, MUCH_CALMER_TIMES = 3, 1.25, 2.0
EVERY_CALM_VOXELS = 3  # only one of so many lines of a slice is looked at for that
LEAST_CALM_VOXELS = 100  # voxels of tissue that are needed there
COARSE_SHARE = 0.1  # if more of these do not differ at all, values are too coarse to judge
BODY_SHARE = 0.1  # of the way from air, or a cut's value, to the 99th percentile: what is brighter is body


def by_neighbours(data: NDArray[np.float32], faint: Bools) -> Bools:
    """Return which slices, (z,), of a volume (x, y, z), in raw values, are no image by what they share with
    their neighbours.

    faint: (z,), slices almost without contrast, which are skipped.
    """
    thin = np.ascontiguousarray(data[::STEP_VOXELS, ::STEP_VOXELS].T).reshape(data.shape[2], -1)
    thin = thin - thin.mean(axis=1, keepdims=True)
    length = np.linalg.norm(thin, axis=1)
    shown = (length > 0) & ~faint
    alike = np.einsum("zi,zi->z", thin[1:], thin[:-1]) / np.maximum(length[1:] * length[:-1], 1e-30)
    pairs = shown[1:] & shown[:-1]
    if not pairs.any():
        return np.zeros(len(thin), dtype=bool)
    most = np.maximum(np.append(alike, -1), np.insert(alike, 0, -1))
    unlike = (
        shown
        & (most < UNLIKE_CORRELATION)
        & bool(shown.sum() >= LEAST_SLICES and np.median(alike[pairs]) >= ALIKE_CORRELATION)
    )
    copied = _left(thin, length, alike) & pairs
    unlike |= (
        _mirrored(thin, shown) | _filled(thin, length, shown) | _standing(data, shown) | _calm(data, shown)
    )
    within = slice(shown.argmax(), len(shown) - shown[::-1].argmax() - 1)
    kept = np.zeros_like(copied) if _evenly(copied[within]) else copied
    return np.asarray(unlike | np.insert(kept, 0, False))


def _mirrored(thin: NDArray[np.float32], shown: Bools) -> Bools:
    """Return which slices, (z,), repeat one by one, in reverse order, those before them: the shorter side of a mirror.

    The mirror lies in a slice or between two. thin: (z, n), some voxels of each slice, less their mean, in raw values.
    shown: (z,), the slices that are judged.
    """
    found = np.zeros(len(thin), dtype=bool)
    for middle in np.flatnonzero(shown).tolist():
        for low, high in ((middle - 1, middle + 1), (middle, middle + 1)):
            reach = _reach(thin, shown, low, high)
            if reach >= MIRRORED_SLICES and not (thin[low] == thin[low - 1]).all():
                above = len(thin) - high < low + 1
                found[slice(high, high + reach) if above else slice(low - reach + 1, low + 1)] = True
    return found


def _reach(thin: NDArray[np.float32], shown: Bools, low: int, high: int) -> int:
    """Return how many slices from `high` upwards equal, one by one, those from `low` downwards.

    thin: (z, n), and shown: (z,), as in `_mirrored`, in raw values.
    """
    reach = 0
    while low >= reach and high + reach < len(thin) and shown[high + reach]:
        if not (thin[low - reach] == thin[high + reach]).all():
            break
        reach += 1
    return reach


def _filled(thin: NDArray[np.float32], length: NDArray[np.floating], shown: Bools) -> Bools:
    """Return the slices, (z,), in runs in which each is the mean of its neighbours, as interpolation across a gap
    leaves them.

    thin: (z, n), in raw values, and shown: (z,), as in `_mirrored`. length: (z,), of each row of `thin`, in raw values.
    """
    off = np.linalg.norm(thin[2:] + thin[:-2] - 2 * thin[1:-1], axis=1)
    mean = np.zeros(len(thin), dtype=bool)
    mean[1:-1] = shown[1:-1] & (off <= OF_MEAN_SDS * length[1:-1])
    rows, count = ndimage.label(mean)
    sizes = np.bincount(rows, minlength=count + 1)
    long = np.append(False, sizes[1:] >= FILLED_SLICES)[rows]
    return np.asarray(long if 2 * mean.sum() <= shown.sum() else np.zeros_like(long))


def _standing(data: NDArray[np.float32], shown: Bools) -> Bools:
    """Return the slices, (z,), that show the same as their neighbours apart from noise, while others change from one to
    the next.

    data: (x, y, z), in raw values. shown: (z,), the slices that are judged.
    """
    found = np.zeros(data.shape[2], dtype=bool)
    wide, high = (side // SQUARE_VOXELS for side in data.shape[:2])
    at = np.flatnonzero(shown)
    if min(wide, high) < 4 or len(at) < LEAST_SLICES + ACROSS_SLICES:
        return found
    squares = (
        data[: wide * SQUARE_VOXELS, : high * SQUARE_VOXELS]
        .reshape(wide, SQUARE_VOXELS, high, SQUARE_VOXELS, -1)
        .mean(axis=(1, 3))
    )
    looks = squares.reshape(wide * high, -1)[:, at]
    looks = looks - looks.mean(axis=0)
    looks /= np.maximum(np.linalg.norm(looks, axis=0), 1e-30)
    near, far = (np.linalg.norm(looks[:, apart:] - looks[:, :-apart], axis=0) for apart in (1, ACROSS_SLICES))
    steps = np.convolve(near, np.full(ACROSS_SLICES, 1 / ACROSS_SLICES), "valid")  # as many as `far` has
    same = (far <= SLOWER_TIMES * steps) & (steps <= LESS_TIMES * np.median(steps))
    for z in np.flatnonzero(same[1:] & same[:-1]):
        found[at[z + 1 : z + ACROSS_SLICES + 2]] = True
    return found


def _calm(data: NDArray[np.float32], shown: Bools) -> Bools:
    """Return the slices, (z,), at an end that hold far less noise than any other slice.

    Noise is compared in the volume's unit of values and relative to the brightness of tissue; both must say so. data:
    (x, y, z), in raw values. shown: (z,), the slices that are judged.
    """
    found = np.zeros(data.shape[2], dtype=bool)
    noise = _noise(data, shown)
    at = np.flatnonzero(np.isfinite(noise[0]))
    noise = noise[:, at]
    for count in range(len(at) // 2, CALM_SLICES - 1, -1) if len(at) >= LEAST_SLICES else ():
        for few, others, ends in (
            (noise[:, :count], noise[:, count:], slice(None, at[count - 1] + 1)),
            (noise[:, -count:], noise[:, :-count], slice(at[-count], None)),
        ):
            calmer = (others.min(axis=1) - few.max(axis=1)).min()
            much = (np.median(others, axis=1) - np.median(few, axis=1)).min()
            if calmer >= np.log(CALMER_TIMES) and much >= np.log(MUCH_CALMER_TIMES):
                found[ends] = True
    return found & shown


def _noise(data: NDArray[np.float32], shown: Bools) -> NDArray[np.float64]:
    """Return the noise of each slice, (2, z): the logarithm of how far tissue differs from its neighbours in the line
    (median), and the same relative to its brightness.

    It is NaN where too little tissue is shown, or values are too coarse. data: (x, y, z), in raw values. shown: (z,).
    """
    found = np.full((2, data.shape[2]), np.nan)
    air, bright = percentiles(data[::STEP_VOXELS, ::STEP_VOXELS], [1, 99])
    tissue = air + BODY_SHARE * (bright - air)
    for z in np.flatnonzero(shown):
        lines = data[:, ::EVERY_CALM_VOXELS, z]
        inner, before, after = lines[1:-1], lines[:-2], lines[2:]
        inside = (inner > tissue) & (before > tissue) & (after > tissue)
        differ = np.abs(inner - (before + after) / 2)[inside]
        if len(differ) >= LEAST_CALM_VOXELS and (differ == 0).mean() <= COARSE_SHARE:
            noise = median(differ)
            found[:, z] = np.log(noise), np.log(noise / median(inner[inside] - air))
    return found


def _left(thin: NDArray[np.float32], length: NDArray[np.floating], alike: NDArray[np.floating]) -> Bools:
    """Return whether next to nothing is left of a slice once its best multiple of the one before is subtracted:
    (z - 1,).

    thin: (z, n), and length: (z,), as in `_filled`. alike: (z - 1,), the correlation of each slice with the one before,
    -1 to 1.
    """
    close = alike > 1 - 1e-3
    left = np.ones(len(alike))
    for z in np.flatnonzero(close):
        factor = alike[z] * length[z + 1] / length[z]
        left[z] = np.linalg.norm(thin[z + 1] - factor * thin[z]) / length[z + 1]
    return np.asarray(left <= COPIED_SDS)


def _evenly(copied: Bools) -> bool:
    """Return whether several slices are `copied`, bool (n,), spread as evenly as resampling to thinner slices
    leaves them.

    That is, any two stretches of the same length hold the same number of them, give or take one.
    """
    if copied.sum() < 2:
        return False
    count = np.cumsum(np.insert(copied, 0, False))
    return all(np.ptp(count[length:] - count[:-length]) <= 1 for length in range(1, len(count)))
