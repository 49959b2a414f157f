"""95 % intervals of a median and of a mean over repeats, the reasons why too few have none, and how many repeats a
narrower one takes.

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
# The quantiles at which equally likely values of the middle one are taken.
_QUANTILES = (np.arange(64) + 0.5) / 64
_HARDLY = 0.1


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; its ends are None where it does not exist, and `reason` says why."""

    low: float | None
    high: float | None
    reason: str | None = None


def too_few(number: int, what: str = "patients with lesion", least: int = fewest.PATIENTS) -> str | None:
    """Return why so many patients, or repeats, have no interval, or None where they have one. For a pooled score,
    patients with lesion are counted: no overlap comes from the others."""
    if number >= least:
        return None
    are = "is 1" if number == 1 else f"are {number}"
    return f"an interval needs at least {least} {what}, and there {are}"


def few_repeats(repeats: tuple[int, ...]) -> str | None:
    """Return why there is no difference over repeats, if either variant has too few; else None."""
    if min(repeats) >= fewest.REPEATS:
        return None
    return (
        f"a difference over repeats needs at least {fewest.REPEATS} of both variants, and there are "
        f"{' and '.join(map(str, repeats))}"
    )


def t_limit(degrees: float) -> float:
    """Return how many standard errors a 95 % t interval extends to either side."""
    return float(scipy.stats.t.ppf(1 - ALPHA / 2, degrees))


def median_interval(values: Sequence[float]) -> Interval:
    """Return the 95 % interval of the median of the population that `values` (N,) come from, by order statistics;
    nothing is resampled.

    It is the narrowest pair of the k-th lowest and k-th highest value that holds the median with at least 95 %
    (binomial; Conover, Practical Nonparametric Statistics), and exact for any distribution. None below 6 values.
    """
    if len(values) < fewest.VALUES_FOR_MEDIAN:
        return Interval(
            None, None, f"an interval of a median needs at least {fewest.VALUES_FOR_MEDIAN} values"
        )
    ordered = np.sort(np.asarray(values, float))
    k = _rank(len(ordered))
    return Interval(float(ordered[k - 1]), float(ordered[-k]))


def _rank(n: int) -> int:
    """Return k for the interval of n values: the largest k such that fewer than k of them lie below the median with a
    chance of at most 2.5 %; 0 where there is none."""
    return int(scipy.stats.binom.ppf(ALPHA / 2, n, 0.5))


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the 95 % t interval of the mean of the population that `values` (N,) come from; nothing is resampled. None
    below 3 values, or where all are alike."""
    if len(values) < fewest.VALUES_FOR_MEAN:
        return Interval(None, None, f"an interval of a mean needs at least {fewest.VALUES_FOR_MEAN} values")
    if min(values) == max(values):
        return Interval(None, None, ALL_ALIKE)
    mean, sd = fmean(values), float(np.std(values, ddof=1))
    half = t_limit(len(values) - 1) * sd / math.sqrt(len(values))
    return Interval(mean - half, mean + half)


@dataclass(frozen=True)
class RepeatsForWidth:
    """How many repeats an interval of a given half-width needs, according to a pilot.

    pilot_repeats: how many the pilot has. sd: the standard deviation of their scores (n - 1). repeats: the number with
    which half of all sets of repeats reach the half-width. low, high: the 95 % range of that number, since the pilot's
    standard deviation is itself uncertain. Where a pilot cannot tell, all others are None and `reason` says why.
    """

    pilot_repeats: int
    sd: float | None
    repeats: int | None
    low: int | None
    high: int | None
    reason: str | None = None


def mostly_collapsed(trainings: Sequence[bool]) -> bool:
    """Return whether a variant mostly collapsed: whether more than half of its completed trainings did (True)."""
    return 2 * sum(trainings) > len(trainings)


def hardly_overlaps(dice: float) -> bool:
    """Return whether a variant hardly overlaps the lesions, by the median pooled Dice (0 to 1) of its repeats on test.
    If such repeats, or two such variants, lie close together, this says nothing about trainings that work. Most lesions
    may still be found, amid false alarms."""
    return dice < _HARDLY


def half_width(scores: Sequence[float]) -> float | None:
    """Return how far the 95 % interval of the median extends on its longer side; None where there is no interval."""
    interval = median_interval(scores)
    if interval.low is None or interval.high is None:
        return None
    middle = median(scores)
    return max(interval.high - middle, middle - interval.low)


def is_known_within(scores: Sequence[float], within: float) -> bool:
    """Return whether the 95 % interval of the median extends at most `within` to either side."""
    width = half_width(scores)
    return width is not None and width <= within


def repeats_for_width(scores: Sequence[float], within: float) -> RepeatsForWidth:
    """Return how many repeats it takes until the interval of the median extends at most `within` to either side in half
    of all sets of so many, if scores are normally distributed.

    scores: pooled Dice (0 to 1) of each repeat. Fewer than 2 cannot tell. Neither can those of a variant that hardly
    overlaps the lesions: that they lie close together says nothing about repeats that work.
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
    """Return the answer of a pilot of so many repeats that cannot tell, with the reason."""
    return RepeatsForWidth(pilot_repeats, sd=None, repeats=None, low=None, high=None, reason=reason)


def _count(sd: float, within: float) -> int:
    """Return the fewest values of this standard deviation such that half of all sets of so many have a `half_width` of
    at most `within`.

    Of all numbers of values whose interval extends from the k-th lowest to the k-th highest, the fewest have the
    shortest interval. For very many values the limit is used: the median varies as their mean does, times the root of
    pi / 2, and the longer side exceeds the average one by the median of the larger of two normal values.
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
    """Return the share of sets of n standard normal values whose `half_width` is at most `within`. It is exact but for
    the steps of the sum over the middle value, or over both middle ones of an even n.

    Given the middle, the values above it and those below are independent of one another. On either side, as many must
    lie near the middle as stand between it and the end of the interval.
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
