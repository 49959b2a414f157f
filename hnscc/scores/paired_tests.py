"""The paired tests: by ranks for two variants, and by t for the configurations of a search, which share their seeds.
Also the record of any comparison of two, and Holm's correction.

Nothing here is resampled. SciPy's signed-rank test and distributions are used; SciPy has no correction by Holm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.stats

from hnscc.base import fewest
from hnscc.base.arrays import Floats
from hnscc.base.in_words import count_of
from hnscc.scores.describe import DIGITS, size_of
from hnscc.scores.intervals import ALL_ALIKE, Interval, t_limit

MOST_WITH_TIES = 13  # SciPy's p is exact up to so many differences if some are equal in size
LEAST = float(np.nextafter(0, 1))  # no p is 0; beyond 1075 pairs only floating point says so


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of a with b; `difference` is a - b, above 0 where a scores higher.

    n: pairs (slices or patients). n_nonzero: pairs that differ. smallest_p: the least that p could have been; for the
    signed-rank test by its exact distribution. The two-way t test alone has the following. repeats_a, repeats_b: the
    repeats of each side. effective_patients: how many patients of equal weight would tell as much. smallest_seen: the
    smallest true difference that 80 of 100 studies of this size find. p_equal: the p of the hypothesis that the true
    difference reaches `margin`. better: the chance that a has the better score on a patient, with its 95 % interval
    (scores.better). paired: whether repeat r of a was compared with repeat r of b.
    """

    n: int
    n_nonzero: int | None = None
    statistic: float | None = None
    p: float | None = None
    smallest_p: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    repeats_a: int | None = None
    repeats_b: int | None = None
    effective_patients: float | None = None
    smallest_seen: float | None = None
    margin: float | None = None
    p_equal: float | None = None
    better: float | None = None
    better_low: float | None = None
    better_high: float | None = None
    paired: bool | None = None
    reason: str | None = None


def signed_rank(a: Floats, b: Floats, unit: str) -> Comparison:
    """Return Wilcoxon's signed-rank test of paired scores, two-sided; nothing is resampled. a, b: (N,), float64,
    finite, in any unit.

    Pairs that do not differ are dropped (Wilcoxon's own rule). Differences below about 1e-12 of the largest score of
    both count as none, since they come from rounding. p is exact up to 50 pairs without ties and up to 13 with ties,
    else by the normal approximation. It is None where fewer than 6 pairs differ, since it could not fall below 0.05.
    smallest_p is that of the exact test, 2^(1 - n) for n pairs that differ; it and p are never rounded to 0.
    `difference` is the mean of a - b over all N pairs. `unit` names what is paired (slice, patient) in reasons.
    """
    if len(a) == 0:
        return Comparison(n=0, reason=f"no {unit}s in common")
    # Rounding noise would break ties and make zeros count.
    differences = np.round((a - b) / size_of(a, b), DIGITS)
    nonzero = differences[differences != 0]
    found = Comparison(len(a), len(nonzero), difference=float((a - b).mean()))
    if len(nonzero) == 0:
        none = (
            f"none of the {count_of(len(a), unit)} differs"
            if len(a) > 1
            else f"the only {unit} does not differ"
        )
        return replace(found, reason=none)
    smallest = max(LEAST, 2.0 ** (1 - len(nonzero)))
    if len(nonzero) < fewest.PAIRS_FOR_P:
        differ = count_of(len(nonzero), f"{unit} differs", f"{unit}s differ")
        reason = f"{differ}: p could not fall below {smallest:g}, {fewest.PAIRS_FOR_P} are needed"
        return replace(found, smallest_p=smallest, reason=reason)
    statistic, p = _by_ranks(nonzero)
    return replace(found, statistic=statistic, p=max(LEAST, p), smallest_p=smallest)


def _by_ranks(differences: Floats) -> tuple[float, float]:
    """Return the smaller sum of ranks and the p of SciPy's `wilcoxon`, for differences (n,), in any unit, none of which
    is 0.

    Of up to 13 differences all 2^n assignments of signs are tried, at once, since ranks do not depend on signs. Where
    some are tied, SciPy ranks again for each: half a second and more. p is the same to the last bit.
    """
    sizes = np.abs(differences)
    if len(sizes) > MOST_WITH_TIES:
        result = scipy.stats.wilcoxon(differences)
        return float(result.statistic), float(result.pvalue)
    ranks = scipy.stats.rankdata(sizes)
    signs = np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks)) & 1
    sums, found = signs @ ranks, float(ranks[differences > 0].sum())
    p = 2 * min((sums <= found).mean(), (sums >= found).mean())
    return min(found, float(ranks.sum()) - found), min(1.0, float(p))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Return the p of one family after Holm's step-down correction. None stays None and does not count as a member."""
    known = sorted((value, position) for position, value in enumerate(p) if value is not None)
    corrected: list[float | None] = [None] * len(p)
    reached = 0.0
    for rank, (value, position) in enumerate(known):
        reached = max(reached, min(1.0, value * (len(known) - rank)))
        corrected[position] = reached
    return corrected


@dataclass(frozen=True)
class Paired:
    """The leader's scores minus another's: the mean over n repeats, its standard error, degrees of freedom, and
    one-sided p."""

    n: int
    difference: float
    error: float | None
    degrees: float
    p: float | None

    def interval(self) -> Interval:
        """Return the 95 % t interval of the difference; None where there is one repeat, or nothing varies."""
        if self.error is None:
            few = f"an interval of a difference needs at least {fewest.REPEATS} repeats"
            return Interval(None, None, few)
        if self.error == 0:
            return Interval(None, None, ALL_ALIKE)
        half = t_limit(self.degrees) * self.error
        return Interval(self.difference - half, self.difference + half)


def paired_t(scores: Floats, leader: int, other: int) -> Paired:
    """Return the t test of whether row `other` is worse than row `leader`, by their paired differences.

    scores: (K, n), in any unit; rows are configurations, columns are repeats that share their seeds. A few pairs alone
    say little about their variance. So the variance is that of the two-way residuals over all K rows (configurations
    and repeats removed, as in a randomised block design), or the pair's own where that is larger. The degrees of
    freedom of the pair's own are n - 1. The block's are n - 1 times the rows less one, or, where few rows hold most of
    the spread (because others collapsed to a constant), n - 1 times Satterthwaite's effective number of rows. There is
    no p where n is 1, or where nothing varies.
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
        effective = float(spreads.sum() ** 2 / (spreads**2).sum())  # the effective number of rows
        degrees *= min(rows - 1.0, effective)
    variance = max(block, own)
    error = math.sqrt(variance / n)
    if error <= 10.0**-DIGITS * size_of(scores):  # what rounding leaves of equal differences
        return Paired(n, mean, 0.0, degrees, None)
    return Paired(n, mean, error, degrees, max(LEAST, float(scipy.stats.t.sf(mean / error, degrees))))
