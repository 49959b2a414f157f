"""A t test of the paired differences of configurations that share their seeds, as a search compares them."""

import math
from dataclasses import dataclass

import scipy.stats

from hnscc.base import fewest
from hnscc.base.arrays import Floats
from hnscc.scores.intervals import ALL_ALIKE, Interval, t_limit
from hnscc.scores.paired_tests import LEAST


@dataclass(frozen=True)
class Paired:
    """The leader's scores less another's: mean over n repeats, its standard error, degrees of freedom, one-sided p."""

    n: int
    difference: float
    error: float | None
    degrees: float
    p: float | None

    def interval(self) -> Interval:
        """95 % t interval of the difference; None where there is one repeat, or nothing varies."""
        if self.error is None:
            few = f"an interval of a difference needs at least {fewest.REPEATS} repeats"
            return Interval(None, None, few)
        if self.error == 0:
            return Interval(None, None, ALL_ALIKE)
        half = t_limit(self.degrees) * self.error
        return Interval(self.difference - half, self.difference + half)


def paired_t(scores: Floats, leader: int, other: int) -> Paired:
    """Is row `other` worse than row `leader`? A t test of their paired differences.

    scores: (K, n), rows configurations, columns repeats that share their seeds. A few pairs alone say
    little of how they vary: the variance is that of the two-way residuals over all K rows (configurations
    and repeats taken out, as in a randomised block design), or the pair's own where that is larger. Degrees of
    freedom: n - 1 of the pair's own; of the block (n - 1) times the rows less one, or, where few rows hold most of the
    spread (others have collapsed to a constant), times Satterthwaite's effective number of them. No p where n is 1, or
    where nothing varies.
    """
    rows, n = scores.shape
    differences = scores[leader] - scores[other]
    mean = float(differences.mean())
    if n < fewest.REPEATS:
        return Paired(n, mean, None, 0, None)
    residuals = scores - scores.mean(1, keepdims=True) - scores.mean(0, keepdims=True) + scores.mean()
    spreads = (residuals**2).sum(1)
    block, own = 2 * float(spreads.sum()) / ((rows - 1) * (n - 1)), float(differences.var(ddof=1))
    degrees = float(n - 1)
    if block > own:
        effective = float(spreads.sum() ** 2 / (spreads**2).sum())  # rows, were all as uneven as these
        degrees *= min(rows - 1.0, effective)
    variance = max(block, own)
    error = math.sqrt(variance / n)
    if error == 0:
        return Paired(n, mean, error, degrees, None)
    return Paired(n, mean, error, degrees, max(LEAST, float(scipy.stats.t.sf(mean / error, degrees))))
