"""95 % intervals of a median and of a mean over repeats, why there is none of too few, and how many repeats it
takes for a narrower one.

Nothing is resampled here (the bootstrap is in scores.differences). The unit of evidence is the patient: repeats are
never counted as patients. What does not exist is None with a reason; nothing here returns NaN.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
import scipy.stats

from hnscc.base import fewest
from hnscc.base.in_words import count_of

ALPHA = 0.05
# Why there is no t interval: one without width would say that the value is known exactly.
ALL_ALIKE = "all are alike: there is nothing that an interval could rest on"
_VERY_MANY = 10_000
# Where equally likely values of a middle one are taken.
_QUANTILES = (np.arange(64) + 0.5) / 64
_HARDLY = 0.1


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; its ends are None where it does not exist, and `reason` says why."""

    low: float | None
    high: float | None
    reason: str | None = None


def too_few(number: int, what: str = "patients with lesion", least: int = fewest.PATIENTS) -> str | None:
    """Return why so many patients, or repeats, give no interval, or None where they do. Of a pooled score those with
    lesion are counted: no overlap comes from the others."""
    if number >= least:
        return None
    are = "is 1" if number == 1 else f"are {number}"
    return f"an interval needs at least {least} {what}, and there {are}"


def few_repeats(repeats: tuple[int, ...]) -> str | None:
    """Return why there is no difference over repeats, if there are too few of either variant."""
    if min(repeats) >= fewest.REPEATS:
        return None
    return (
        f"a difference over repeats needs at least {fewest.REPEATS} of both variants, and there are "
        f"{' and '.join(map(str, repeats))}"
    )


def t_limit(degrees: float) -> float:
    """Return how many standard errors a 95 % t interval reaches to either side."""
    return float(scipy.stats.t.ppf(1 - ALPHA / 2, degrees))


def median_interval(values: Sequence[float]) -> Interval:
    """95 % interval of the median of what `values` (N,) were taken from, by order statistics; nothing is resampled.

    The narrowest pair of the k-th lowest and k-th highest value that holds the median with at least 95 % (binomial;
    Conover, Practical Nonparametric Statistics): exact for any distribution. None below 6 values.
    """
    if len(values) < fewest.VALUES_FOR_MEDIAN:
        return Interval(
            None, None, f"an interval of a median needs at least {fewest.VALUES_FOR_MEDIAN} values"
        )
    ordered = np.sort(np.asarray(values, float))
    k = _rank(len(ordered))
    return Interval(float(ordered[k - 1]), float(ordered[-k]))


def _rank(n: int) -> int:
    """The k of n values' interval: fewer than k of them lie below the median with at most 2.5 %. 0 where no k does."""
    k = int(scipy.stats.binom.ppf(ALPHA / 2, n, 0.5))
    return k - int(scipy.stats.binom.cdf(k - 1, n, 0.5) > ALPHA / 2)


def mean_interval(values: Sequence[float]) -> Interval:
    """95 % t interval of the mean of what `values` (N,) were taken from; nothing is resampled. None below 3 values, or
    where all are alike."""
    if len(values) < fewest.VALUES_FOR_MEAN:
        return Interval(None, None, f"an interval of a mean needs at least {fewest.VALUES_FOR_MEAN} values")
    if min(values) == max(values):
        return Interval(None, None, ALL_ALIKE)
    mean, sd = fmean(values), float(np.std(values, ddof=1))
    half = t_limit(len(values) - 1) * sd / math.sqrt(len(values))
    return Interval(mean - half, mean + half)


@dataclass(frozen=True)
class RepeatsForWidth:
    """How many repeats a half-width needs, as a pilot tells.

    pilot_repeats: how many the pilot has. sd: the standard deviation of their scores (n - 1). repeats: how many are
    needed, of which half of all such sets reach it; low, high: the 95 % range of that, since the pilot's own standard
    deviation is known no better. Where a pilot cannot tell, all others are None and `reason` says why.
    """

    pilot_repeats: int
    sd: float | None
    repeats: int | None
    low: int | None
    high: int | None
    reason: str | None = None


def mostly_collapsed(trainings: Sequence[bool]) -> bool:
    """Whether a variant mostly collapsed: more than half of its completed trainings did (True)."""
    return 2 * sum(trainings) > len(trainings)


def hardly_overlaps(dice: float) -> bool:
    """Whether a variant hardly overlaps the lesions, by the median pooled Dice (0 to 1) of its repeats on test: that
    such repeats, or two such variants, lie close together says nothing of trainings that work. Most lesions may be
    found all the same, amid false alarms."""
    return dice < _HARDLY


def half_width(scores: Sequence[float]) -> float | None:
    """How far the 95 % interval of the median reaches to its farther side; None where there is none."""
    interval = median_interval(scores)
    if interval.low is None or interval.high is None:
        return None
    middle = median(scores)
    return max(interval.high - middle, middle - interval.low)


def is_known_within(scores: Sequence[float], within: float) -> bool:
    """Whether the 95 % interval of the median reaches at most `within` to either side."""
    width = half_width(scores)
    return width is not None and width <= within


def repeats_for_width(scores: Sequence[float], within: float) -> RepeatsForWidth:
    """How many repeats it takes until the interval of the median reaches `within` to either side in half of all such
    sets, were the scores spread normally.

    scores: pooled Dice (0 to 1) of each repeat. Fewer than 2 cannot tell, and neither can those of a variant that
    hardly overlaps the lesions: that they lie close together says nothing of repeats that work.
    """
    n = len(scores)
    if n < fewest.REPEATS:
        return unknown(
            n,
            count_of(
                n,
                "completed repeat says nothing of the spread",
                "completed repeats say nothing of their spread",
            ),
        )
    if hardly_overlaps(middle := median(scores)):
        return unknown(n, f"it hardly overlaps the lesions (median test Dice {middle:.3f})")
    sd = float(np.std(scores, ddof=1))
    ends = [sd * math.sqrt((n - 1) / scipy.stats.chi2.ppf(q, n - 1)) for q in (1 - ALPHA / 2, ALPHA / 2)]
    repeats, low, high = (_count(each, within) for each in (sd, *ends))
    return RepeatsForWidth(n, sd, repeats, low, high)


def unknown(pilot_repeats: int, reason: str) -> RepeatsForWidth:
    """What a pilot of so many repeats says that cannot tell, and why."""
    return RepeatsForWidth(pilot_repeats, sd=None, repeats=None, low=None, high=None, reason=reason)


def _count(sd: float, within: float) -> int:
    """The fewest values of that standard deviation of whose sets half reach `within` by the rule of `half_width`.

    Of all numbers whose interval is from the k-th lowest to the k-th highest value, the fewest have the shortest one.
    Of very many values the limit of that: the median varies as their mean does, times the root of pi / 2, and the
    farther side is as much longer than both as the larger of two normal values is in the median.
    """
    z = float(scipy.stats.norm.ppf(1 - ALPHA / 2))
    least = (z * math.sqrt(math.pi / 2) * sd / within) ** 2
    if least > _VERY_MANY:
        larger = float(scipy.stats.norm.ppf(math.sqrt(0.5)))
        return math.ceil(least * (1 + 2 * larger / math.sqrt(math.sqrt(least))))

    def half_reach(k: int) -> bool:
        return _share_within(_fewest_of_rank(k), within / sd if sd else math.inf) >= 0.5

    most = 1
    while not half_reach(most):
        most *= 2
    k = bisect_left(range(most), True, lo=1, key=half_reach)
    # Even numbers and odd ones differ a little, so that one just below may do as well.
    return _fewest_of_rank(next(each for each in range(max(k - 4, 1), k + 1) if half_reach(each)))


def _fewest_of_rank(k: int) -> int:
    return bisect_left(range(6 * k + 1), k, lo=2 * k, key=_rank)


def _share_within(n: int, within: float) -> float:
    """The share of sets of n standard normal values whose `half_width` is at most `within`, exact but for the steps of
    the sum over the middle value, or over both middle ones of an even n.

    Where the middle is known, the values above it and those below are independent of one another: as many of either
    must lie near it as stand between it and the interval's end.
    """
    beyond = (n - 1) // 2  # values above the middle one or ones, and as many below
    if n % 2:
        low = high = scipy.stats.norm.ppf(scipy.stats.beta.ppf(_QUANTILES, beyond + 1, beyond + 1))
    else:
        first = scipy.stats.beta.ppf(_QUANTILES, beyond + 1, beyond + 2)[:, None]
        # The least of the values above the first.
        second = 1 - (1 - first) * (1 - _QUANTILES) ** (1 / (beyond + 1))
        low, high = scipy.stats.norm.ppf(first), scipy.stats.norm.ppf(second)
    middle, cdf = (low + high) / 2, scipy.stats.norm.cdf
    above = (cdf(middle + within) - cdf(high)) / cdf(-high)
    below = (cdf(low) - cdf(middle - within)) / cdf(low)
    near = (scipy.stats.binom.sf(beyond - _rank(n), beyond, np.clip(each, 0, 1)) for each in (above, below))
    return float(math.prod(near).mean())
