"""Measures what the numbers of a volume tell of how they were written and processed.

They may be too large for their type, cut off, or scaled slice by slice; they may be smoothed, or have few grades.
Smoothing, noise, other reconstructions, and rounding to few values leave a mark on every voxel, which a model can learn
as well as a lesion (data_prep.oddities.separating).
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from data_prep.volumes.percentiles import median, percentile
from data_prep.volumes.volume import Volume, axis_of_slices
from hnscc.base.arrays import Bools, Images
from hnscc.cohort.placement import NumberFacts, SignalFacts

END_SHARE = 0.1  # of the range, from its lowest and its highest value: the two ends
RARE_SHARE = 0.01  # of the voxels: each end holds at most so many where neither is air
# Of the range: where 0, and so most voxels, lies if the type is signed and both ends are used.
MIDDLE_SHARES = 0.35, 0.65
# Of the range, above the lowest value: a slice whose highest value is lower shows nothing.
SHOWN_SHARE = 0.05
LEAST_SLICES = 5  # slices that show something; with fewer, they are not compared
LOOKED_AT_VOXELS = 300_000  # voxels of which the lowest values are looked at, up to twice as many
# A few voxels, at most so many, are peaks if they stand this many times as far above the lowest value as all others. In
# the public cohort 235 voxels and more exceed a fifth of the highest value, and no gap between two is a factor of 1.3.
PEAK_TIMES, MOST_PEAKS = 10.0, 9
SAME_SHARE = 0.002  # of the median of the slices' highest values: within it, a slice's own counts as the same
Kind = TypeVar("Kind", bound=np.generic)
FAR_VOXELS = 3  # voxels: the step between neighbours is divided by the step between voxels so far apart
SLICED_VOXELS = 300_000  # voxels of whole slices that are looked at, at most
GRADED_VOXELS = 20_000  # voxels whose values are counted, at most


def number_facts(volume: Volume) -> NumberFacts:
    """Return what a volume's values tell of how they were written."""
    up = axis_of_slices(volume.grid)
    data = np.moveaxis(volume.data, up, 0)
    maxima = data.max(axis=(1, 2))
    low, high = float(data.min()), float(maxima.max())
    lowest, gap = _lowest(data, low)
    peaks, times = _peaks(data, maxima, low)
    top = np.count_nonzero(data == np.float32(high)) - np.count_nonzero(maxima == np.float32(high))
    return {
        "highest": top / data.size,
        "below": _next(data, high) if top else 0.0,
        "wrapped": _wrapped(data, low, high),
        "slices_alike": _alike(maxima - low),
        "lowest": lowest,
        "gap": gap,
        "peaks": peaks,
        "peak_times": times,
        "highest_at": _highest_at(data, maxima, up),
    }


def _lowest(data: NDArray[np.float32], low: float) -> tuple[float, float]:
    """Return `lowest` and `gap` (NumberFacts). data: (z, x, y), in raw values."""
    values = data.flat[:: max(1, data.size // LOOKED_AT_VOXELS)]  # `ravel` would copy the whole volume
    above = values[values > np.float32(low)]
    last = float(percentile(values, 99)) - low
    gap = (float(percentile(above, 0.1)) - low) / last if above.size and last > 0 else 0.0
    return 1 - above.size / values.size, gap


def _peaks(data: NDArray[np.float32], maxima: NDArray[np.float32], low: float) -> tuple[int, float]:
    """Return `peaks` and `peak_times` (NumberFacts).

    data: (z, x, y), in raw values. maxima: (z,), the highest value of each slice.
    """
    height = float(maxima.max()) - low
    bound = np.float32(low + height / PEAK_TIMES)
    peaks = int(np.count_nonzero(data[maxima > bound] > bound))
    if not 0 < peaks <= MOST_PEAKS:
        return 0, 1.0
    rest = float(data.max(initial=np.float32(low), where=data <= bound)) - low
    return (peaks, height / rest) if rest > 0 else (0, 1.0)


def _highest_at(data: NDArray[np.float32], maxima: NDArray[np.float32], up: int) -> list[int]:
    """Return `highest_at` (NumberFacts).

    data: (z, x, y), in raw values, where z is axis `up` of the file. maxima: (z,), the highest value of each slice.
    """
    z = int(np.argmax(maxima))
    x, y = np.unravel_index(int(np.argmax(data[z])), data.shape[1:])
    at = [int(x), int(y)]
    return [*at[:up], z, *at[up:]]


def _alike(heights: NDArray[np.float32]) -> float:
    """Return the share of the slices that show something whose height is, up to SAME_SHARE, their median height.

    heights: (z,), of each slice's highest value above the volume's lowest, in raw values.
    """
    shown = heights[heights > SHOWN_SHARE * heights.max()]
    usual = float(np.median(shown)) if len(shown) >= LEAST_SLICES else np.inf
    return float((np.abs(shown - usual) <= SAME_SHARE * usual).mean()) if np.isfinite(usual) else 0.0


def _next(data: NDArray[np.float32], high: float) -> float:
    """Return the share of voxels of a volume (z, x, y), in raw values, that hold the second highest value."""
    second = data.max(initial=-np.inf, where=data < np.float32(high))
    return int(np.count_nonzero(data == second)) / data.size


def _wrapped(data: NDArray[np.float32], low: float, high: float) -> int:
    """Return how many voxels of (z, x, y), in raw values, at the upper end of the range lie beside one at the
    lower end.

    Only noise or an overflow brings them together.
    """
    end = END_SHARE * (high - low)
    # In most images half of the voxels lie below that, which ends it here; a median would take longer than all
    # the rest.
    if end == 0 or np.count_nonzero(data < low + MIDDLE_SHARES[0] * (high - low)) > data.size / 2:
        return 0
    if np.count_nonzero(data > low + MIDDLE_SHARES[1] * (high - low)) > data.size / 2:
        return 0
    lower, upper = data <= low + end, data >= high - end
    if max(int(np.count_nonzero(lower)), int(np.count_nonzero(upper))) > RARE_SHARE * data.size:
        return 0
    beside = np.zeros_like(upper)
    for axis in range(3):
        for ours, theirs in zip(_shifted(beside, 1, axis), _shifted(lower, 1, axis)[::-1], strict=True):
            ours |= theirs  # a view, so this changes `beside` itself
    return int(np.count_nonzero(upper & beside))


def signal_of(volume: Volume) -> SignalFacts:
    """Return what the brighter half of a volume's voxels tells of how its values were processed, and the share of
    voxels with its highest value."""
    up = axis_of_slices(volume.grid)
    slices = np.moveaxis(volume.data, up, 0)
    every = max(1, int(np.ceil(volume.data.size / SLICED_VOXELS)))
    looked_at = slices[every // 2 % len(slices) :: every]
    bright = looked_at > looked_at.mean(dtype=np.float64)
    graded = looked_at[bright]
    if graded.size:  # leaves out a hot lesion, whose values are all different
        graded = graded[graded <= median(graded)]
    graded = graded[:: max(1, len(graded) // GRADED_VOXELS)][:GRADED_VOXELS]
    return {
        "step": _step(looked_at, bright),
        "values": len(np.unique(graded)),
        "cut": (int(np.count_nonzero(volume.data == volume.data.max())) - 1) / volume.data.size,
    }


def _step(slices: Images, bright: Bools) -> float | None:
    """Return the median step between neighbours within slices divided by that of voxels 3 apart; None where
    nothing changes.

    slices: (n, side, side), in raw values. bright: which of their voxels count, of the same shape.
    """
    medians = []
    for apart in (1, FAR_VOXELS):
        found = []
        for axis in (1, 2):
            values, before = _shifted(slices, apart, axis)
            both = np.logical_and(*_shifted(bright, apart, axis))
            found.append(np.abs(values - before)[both])
        steps = np.concatenate(found)
        medians.append(float(median(steps)) if len(steps) else 0.0)
    return medians[0] / medians[1] if medians[1] > 0 else None


def _shifted(values: NDArray[Kind], apart: int, axis: int) -> tuple[NDArray[Kind], NDArray[Kind]]:
    """Return the values from `apart` on along an axis, and those `apart` before them: two views, (z, x, y),
    shorter there.

    values: (z, x, y), of any type and unit of values.
    """
    ahead: list[slice] = [slice(None)] * 3
    behind: list[slice] = [slice(None)] * 3
    ahead[axis], behind[axis] = slice(apart, None), slice(None, -apart)
    return values[tuple(ahead)], values[tuple(behind)]
