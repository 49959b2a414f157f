"""The percentiles of floats that NumPy gives, to the last bit, in a third of its time and without a copy of them.

The upper 16 bits of a float tell its order up to neighbours. They are counted, which says in which few groups the
values asked for lie; only these are put in order.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Floats, Integers

GROUPS = 2**16
AT_ONCE = 2**18  # values, which a processor's cache holds
# The groups in the order of their values: those of negative numbers, whose upper bits fall, come first.
RISING = np.concatenate([np.arange(GROUPS - 1, GROUPS // 2 - 1, -1), np.arange(GROUPS // 2)])


def percentiles(values: NDArray[np.floating], shares: Sequence[float]) -> Floats:
    """Return what np.percentile(values, shares) does, of finite float32 or float64 of any shape and order."""
    flat = np.ascontiguousarray(values.ravel("K"))
    virtual = (flat.size - 1) * np.true_divide(shares, 100)
    before = np.floor(virtual).astype(np.intp)
    after = np.minimum(before + 1, flat.size - 1)
    low, high = _ranked(flat, np.stack([before, after]))
    step, share = high - low, virtual - before
    found: Floats = np.where(share < 0.5, low + step * share, high - step * (1 - share))
    return found


def _ranked(flat: NDArray[np.floating], ranks: Integers) -> NDArray[np.floating]:
    """The values that would stand at these ranks, were the values (n,) in order."""
    pieces = flat.itemsize // 2  # of 16 bits
    upper = pieces - 1 if np.little_endian else 0
    parts = [flat[at : at + AT_ONCE] for at in range(0, flat.size, AT_ONCE)]
    groups = [part.view(np.uint16)[upper::pieces] for part in parts]
    counts = sum(np.bincount(each, minlength=GROUPS) for each in groups)
    ends = np.cumsum(np.asarray(counts)[RISING])
    at = np.searchsorted(ends, ranks, side="right")
    found = np.empty(ranks.shape, flat.dtype)
    for group in np.unique(at):
        held = [part[each == RISING[group]] for part, each in zip(parts, groups, strict=True)]
        begin = ends[group - 1] if group else 0
        found[at == group] = np.sort(np.concatenate(held))[ranks[at == group] - begin]
    return found
