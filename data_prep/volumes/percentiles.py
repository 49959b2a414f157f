"""The percentiles and the median of many values, to the last bit those of NumPy, in a fraction of its time.

NumPy partitions by vector instructions where it is asked for one rank, and without them where for several: so each rank
is asked for by itself, of the values between those that stand in their place already.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Floats, Integers


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
    flat = values.flatten("K")  # a copy, which is put in order
    places = (flat.size - 1) * shares
    before = np.floor(places).astype(np.intp)
    after = np.minimum(before + 1, flat.size - 1)
    low, high = _ranked(flat, np.stack([before, after]))
    return low, high, places - before


def median(values: NDArray[np.floating]) -> np.floating:
    """Return what np.median(values) does, of finite float32 or float64, one at least, of any shape, order and unit
    of values."""
    flat = values.flatten("K")
    middle = _ranked(flat, np.array([(flat.size - 1) // 2, flat.size // 2]))
    mean: np.floating = middle.mean()
    return mean


def _ranked(flat: NDArray[np.floating], ranks: Integers) -> NDArray[np.floating]:
    """The values that stand at these ranks, of any shape, once the values (n,), in any unit of values, are in order;
    these are changed."""
    _order(flat, np.unique(ranks).tolist())
    return flat[ranks]


def _order(flat: NDArray[np.floating], ranks: list[int]) -> None:
    """Put those of the values (n,), in any unit of values, in their place that stand at these ranks, which rise; the
    middle one first, so that fewer values are left for each of the others."""
    if not ranks:
        return
    at = len(ranks) // 2
    rank = ranks[at]
    # The value after another, by which nearly all percentiles are interpolated, is the first of those left.
    if rank in (0, flat.size - 1):
        end = int(flat.argmin() if rank == 0 else flat.argmax())
        flat[[rank, end]] = flat[[end, rank]]
    else:
        flat.partition(rank)
    _order(flat[:rank], ranks[:at])
    _order(flat[rank + 1 :], [each - rank - 1 for each in ranks[at + 1 :]])
