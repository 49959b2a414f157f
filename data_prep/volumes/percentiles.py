"""The percentiles and the median of many values, to the last bit those of NumPy, in a fraction of its time.

A few of the values, in order, say between which two a rank will stand: NumPy then puts in order those between them
alone. It does so by vector instructions where it is asked for one rank, and without them where for several: so each
rank is asked for by itself.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Floats

# By so many it is guessed where a rank stands; of less than eight times as many, none is guessed.
SAMPLE_VALUES = 4096


def percentiles(values: NDArray[np.floating], shares: Sequence[float]) -> Floats:
    """Return what np.percentile(values, shares) does, (n,) of n shares in percent, of finite float32 or float64 of
    any shape, order and unit of values."""
    low, high, part = _around(values, np.true_divide(shares, 100))
    step = high - low
    found: Floats = np.where(part < 0.5, low + step * part, high - step * (1 - part))
    return found


def percentile(values: NDArray[np.floating], share: float) -> np.floating:
    """Return what np.percentile(values, share) does, of float32 or float64 as `percentiles`; of one share NumPy
    interpolates in the values' own type. values: of any shape and unit of values."""
    (low,), (high,), (part,) = _around(values, np.array([share / 100]))
    step, part = high - low, float(part)
    found: np.floating = low + step * part if part < 0.5 else high - step * (1 - part)
    return found


def _around(
    values: NDArray[np.floating], shares: Floats
) -> tuple[NDArray[np.floating], NDArray[np.floating], Floats]:
    """The values before and after each place, a share from 0 to 1 of the way through all of them in order; and which
    part of the way from one to the other it lies: three of the shape of `shares` (n,). values: of any shape and unit
    of values."""
    flat = values.ravel("K")
    places = (flat.size - 1) * shares
    before = np.floor(places).astype(np.intp)
    low, high = np.array([_from_rank(flat, rank) for rank in before.tolist()]).T
    return low, high, places - before


def median(values: NDArray[np.floating]) -> np.floating:
    """Return what np.median(values) does, of finite float32 or float64, one at least, of any shape, order and unit
    of values."""
    flat = values.ravel("K")
    middle = _from_rank(flat, (flat.size - 1) // 2)
    mean: np.floating = middle.mean() if flat.size % 2 == 0 else middle[:1].mean()
    return mean


def _from_rank(flat: NDArray[np.floating], rank: int) -> NDArray[np.floating]:
    """(2,): the values that stand at a rank and next to it, or at the last one twice, once the values (n,), in any unit
    of values, are in order."""
    near, at = _near(flat, rank)
    near.partition(at)
    after = near[at + 1 :]
    return np.array([near[at], after.min() if after.size else near[at]])


def _near(flat: NDArray[np.floating], rank: int) -> tuple[NDArray[np.floating], int]:
    """(m,): a copy of those of the values (n,), in any unit of values, among which the rank and the next one stand; and
    the rank among these. All where there are few, or the guess is wrong."""
    if flat.size >= 8 * SAMPLE_VALUES:
        sample = np.sort(flat[:: flat.size // SAMPLE_VALUES])
        share = rank / (flat.size - 1)
        # Four standard deviations of a rank among values drawn at random, and some more, for these are not.
        aside = 4 * np.sqrt(share * (1 - share) * sample.size) + 8
        first, last = (int(share * sample.size + away) for away in (-aside, aside))
        low = sample[first] if first > 0 else -np.inf
        high = sample[last] if last < sample.size else np.inf
        from_low = flat >= low
        kept = from_low & (flat <= high)
        below, count = flat.size - int(np.count_nonzero(from_low)), int(np.count_nonzero(kept))
        if below <= rank and min(rank + 1, flat.size - 1) < below + count:
            # Of equal values, such as those of air, two say what all do.
            return (np.array([low, high]), 0) if low == high else (flat[kept], rank - below)
    return flat.copy(), rank
