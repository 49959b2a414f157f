"""Slices that are no image by what they share with those beside them.

It is what no scanner gives: next to nothing in common, all but a factor, the way back that they came, or a mean of
both sides; the same image under other noise, or far less noise than all other slices hold.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.volumes.percentiles import median, percentiles
from hnscc.base.arrays import Bools

STEP_VOXELS = 2  # voxels, by which slices are thinned before they are correlated
# Correlation with the more alike neighbour; slices of a body, the last ones too, have 0.65 and more.
UNLIKE_CORRELATION = 0.3
ALIKE_CORRELATION = 0.5  # correlation of most neighbours, below which nothing is said of single slices
# Slices, of fewer of which nothing is said: a lesion in some makes these alike, and the others not.
LEAST_SLICES = 8
# Of a slice's standard deviation, what a multiple of the one before leaves of it: of a copy, also one that fades.
# Neighbours leave 0.08 and more.
COPIED_SDS = 0.002
MIRRORED_SLICES = 2  # slices on either side of one, that are the same
# Slices in a row that are the mean of their neighbours, but for so much of their standard deviation: a gap that was
# filled. Resampling to thinner slices leaves shorter rows, or rows everywhere.
FILLED_SLICES, OF_MEAN_SDS = 3, 0.002
# Slices that are one and the same image with noise: means of squares so large differ no more from slice to slice than
# across four, and far less than elsewhere. In volumes of any kind they differ 1.2 times as much across four, where not
# less than elsewhere.
SQUARE_VOXELS, ACROSS_SLICES, SLOWER_TIMES, LESS_TIMES = 8, 4, 1.15, 0.5
# Slices in a row at an end whose voxels differ far less from those beside them than in any other slice: blurred copies,
# or the mean of many. Times at least, from the noisiest of them to the calmest of the others; between the medians. In
# untouched volumes the first is 1.07 at most, where made-up ends have 1.4 and more.
CALM_SLICES, CALMER_TIMES, MUCH_CALMER_TIMES = 3, 1.25, 2.0
EVERY_CALM_VOXELS = 3  # voxels of a slice, of whose lines one is looked at for that
LEAST_CALM_VOXELS = 100  # of these, that are tissue
COARSE_SHARE = 0.1  # of these, that differ by nothing where values are too few to say
BODY_SHARE = 0.1  # of the way from air, or a cut's value, to the 99th percentile: what is brighter is body


def by_neighbours(data: NDArray[np.float32], faint: Bools) -> Bools:
    """Return which slices, (z,), of a volume (x, y, z), in raw values, are no image by what they share with those
    beside them: next to nothing, or everything. faint: (z,), those almost without contrast, which are not asked."""
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
    """(z,): slices that repeat, one by one, those before them in the other order: the shorter side of the mirror, which
    stands in a slice, or between two. thin: (z, n), some voxels of each slice, less their mean, in raw values; shown:
    (z,), which are asked."""
    found = np.zeros(len(thin), dtype=bool)
    for middle in np.flatnonzero(shown).tolist():
        for low, high in ((middle - 1, middle + 1), (middle, middle + 1)):
            reach = _reach(thin, shown, low, high)
            if reach >= MIRRORED_SLICES and not (thin[low] == thin[low - 1]).all():
                above = len(thin) - high < low + 1
                found[slice(high, high + reach) if above else slice(low - reach + 1, low + 1)] = True
    return found


def _reach(thin: NDArray[np.float32], shown: Bools, low: int, high: int) -> int:
    """How many slices from `high` on are the same, one by one, as those from `low` back. thin: (z, n), and shown: (z,),
    as those of `_mirrored`, in raw values."""
    reach = 0
    while low >= reach and high + reach < len(thin) and shown[high + reach]:
        if not (thin[low - reach] == thin[high + reach]).all():
            break
        reach += 1
    return reach


def _filled(thin: NDArray[np.float32], length: NDArray[np.floating], shown: Bools) -> Bools:
    """(z,): slices in a row that are the mean of those beside them, as interpolation leaves them across a gap.
    thin: (z, n), in raw values, and shown: (z,), as those of `_mirrored`; length: (z,), of each row of `thin`, in
    raw values."""
    off = np.linalg.norm(thin[2:] + thin[:-2] - 2 * thin[1:-1], axis=1)
    mean = np.zeros(len(thin), dtype=bool)
    mean[1:-1] = shown[1:-1] & (off <= OF_MEAN_SDS * length[1:-1])
    rows, count = ndimage.label(mean)
    sizes = np.bincount(rows, minlength=count + 1)
    long = np.append(False, sizes[1:] >= FILLED_SLICES)[rows]
    return np.asarray(long if 2 * mean.sum() <= shown.sum() else np.zeros_like(long))


def _standing(data: NDArray[np.float32], shown: Bools) -> Bools:
    """(z,): slices that show the same as those around them but for noise, while others change from one to the next.
    data: (x, y, z), in raw values; shown: (z,), which are asked."""
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
    """(z,): slices at an end that hold far less noise of their own than any other one, in the volume's unit of values
    and beside the brightness of their tissue. data: (x, y, z), in raw values; shown: (z,), which are asked."""
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
    """(2, z): how much tissue differs from the voxels beside it in its line, the median's logarithm; and that
    beside its brightness. NaN where too little of it is shown, or of too few values. data: (x, y, z), in raw values;
    shown: (z,)."""
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
    """(z - 1,): whether next to nothing is left of a slice without its best multiple of the one before. thin:
    (z, n), and length: (z,), as those of `_filled`; alike: (z - 1,), the correlation of each slice with the one
    before, -1 to 1."""
    close = alike > 1 - 1e-3
    left = np.ones(len(alike))
    for z in np.flatnonzero(close):
        factor = alike[z] * length[z + 1] / length[z]
        left[z] = np.linalg.norm(thin[z + 1] - factor * thin[z]) / length[z + 1]
    return np.asarray(left <= COPIED_SDS)


def _evenly(copied: Bools) -> bool:
    """Whether several slices are `copied`, bool (n,), spread as evenly as resampling to thinner slices leaves them: in
    any two stretches of one length there are as many, up to one."""
    if copied.sum() < 2:
        return False
    count = np.cumsum(np.insert(copied, 0, False))
    return all(np.ptp(count[length:] - count[:-length]) <= 1 for length in range(1, len(count)))
