"""The sets of slices over which means, comparisons and readings are taken, as data."""

from collections.abc import Callable

import numpy as np

from hnscc.base.arrays import Bools
from hnscc.scores.counts import Counts, outcomes
from hnscc.scores.metrics import DICE


def _true_positive(counts: Counts, cutoff_px: int, convention: str) -> Bools:
    """Return which of N slices are true positives by the convention, bool (N,)."""
    found: Bools = outcomes(counts, cutoff_px, convention) == "tp"
    return found


def _partial(counts: Counts, cutoff_px: int, convention: str) -> Bools:
    """Return which of N slices are partly right, as in the paper's code: Dice is neither 0 nor 1. bool (N,)."""
    scores = DICE.of(counts)
    found: Bools = np.logical_and(scores > 0, scores < 1)
    return found


# For each set, by name: a function that gives which of N slices belong to it, bool (N,), from their counts (N,), the
# cut-off in pixels and the convention.
STANDS_IN: dict[str, Callable[[Counts, int, str], Bools]] = {
    "true_positive": _true_positive,
    "lesion": lambda counts, cutoff_px, convention: counts.truth > 0,
    "all": lambda counts, cutoff_px, convention: np.ones(len(counts), bool),
    "partial": _partial,
}
# The sets that tables have; only the reading `as_coded` uses `partial`.
SLICE_SETS = ("true_positive", "lesion", "all")


def in_set(counts: Counts, slice_set: str, cutoff_px: int, convention: str = "slice") -> Bools:
    """Return which slices belong to a set, bool (N,), from their counts (N,). The convention decides which are true
    positives. Raises ValueError for an unknown set."""
    if slice_set not in STANDS_IN:
        raise ValueError(
            f"the set of slices is one of {', '.join(STANDS_IN)}, not {slice_set!r}; name one of these"
        )
    return STANDS_IN[slice_set](counts, cutoff_px, convention)
