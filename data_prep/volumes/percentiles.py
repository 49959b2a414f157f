"""Computes percentiles and medians of many values: the same as NumPy's, to the last bit, in a fraction of the time.

A sample of the values says between which two values a rank will stand; NumPy then sorts only what lies between these.
It uses vector instructions when it is asked for one rank, and not for several, so it is asked for each rank by itself.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Floats

# The size of the sample; with less than eight times as many values, no sample is taken.
SAMPLE_VALUES = 4096


def percentiles(values: NDArray[np.floating], shares: Sequence[float]) -> Floats:
    """Return np.percentile(values, shares), (n,) of n shares in percent, for finite float32 or float64 of any shape,
    order and unit of values."""
    low, high, part = _around(values, np.true_divide(shares, 100))
    step = high - low
    found: Floats = np.where(part < 0.5, low + step * part, high - step * (1 - part))
    return found


def percentile(values: NDArray[np.floating], share: float) -> np.floating:
    """Return np.percentile(values, share) for values as in `percentiles`, of any shape and unit of values.

    It has the type of the values, since NumPy interpolates in their type if it is given one share.
    """
    (low,), (high,), (part,) = _around(values, np.array([share / 100]))
    step, part = high - low, float(part)
    found: np.floating = low + step * part if part < 0.5 else high - step * (1 - part)
    return found


def _around(
    values: NDArray[np.floating], shares: Floats
) -> tuple[NDArray[np.floating], NDArray[np.floating], Floats]:
    """Return the values before and after each place, and the fraction of the way between them: three arrays like
    `shares`, (n,).

    A place is a share, 0 to 1, of the way through all values in order. values: of any shape and unit of values.
    """
    flat = values.ravel("K")
    places = (flat.size - 1) * shares
    before = np.floor(places).astype(np.intp)
    low, high = np.array([_from_rank(flat, rank) for rank in before.tolist()]).T
    return low, high, places - before


def median(values: NDArray[np.floating]) -> np.floating:
    """Return np.median(values) for one or more finite float32 or float64 of any shape, order and unit of values."""
    flat = values.ravel("K")
    middle = _from_rank(flat, (flat.size - 1) // 2)
    mean: np.floating = middle.mean() if flat.size % 2 == 0 else middle[:1].mean()
    return mean


def _from_rank(flat: NDArray[np.floating], rank: int) -> NDArray[np.floating]:
    """Return the values at a rank and after it, (2,), as if the values (n,), in any unit of values, were sorted.

    At the last rank both are the last value.
    """
    near, at = _near(flat, rank)
    near.partition(at)
    after = near[at + 1 :]
    return np.array([near[at], after.min() if after.size else near[at]])


def _near(flat: NDArray[np.floating], rank: int) -> tuple[NDArray[np.floating], int]:
    """Return a copy, (m,), of those values among which a rank and the next one stand, and the rank among these.

    These are all values where there are few, or where the sample was wrong. flat: (n,), in any unit of values.
    """
    if flat.size >= 8 * SAMPLE_VALUES:
        sample = np.sort(flat[:: flat.size // SAMPLE_VALUES])
        share = rank / (flat.size - 1)
        # Four standard deviations of a rank among values drawn at random, and some more, since these are not random.
        aside = 4 * np.sqrt(share * (1 - share) * sample.size) + 8
        first, last = (int(share * sample.size + away) for away in (-aside, aside))
        low = sample[first] if first > 0 else -np.inf
        high = sample[last] if last < sample.size else np.inf
        from_low = flat >= low
        kept = from_low & (flat <= high)
        below, count = flat.size - int(np.count_nonzero(from_low)), int(np.count_nonzero(kept))
        if below <= rank and min(rank + 1, flat.size - 1) < below + count:
            # If all are equal, such as those of air, two of them are enough.
            return (np.array([low, high]), 0) if low == high else (flat[kept], rank - below)
    return flat.copy(), rank
