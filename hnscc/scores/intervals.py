"""95 % intervals of a median and of a mean over repeats, and why there is none of too few. Nothing is resampled.
The unit of evidence is the patient. Repeats are resampled beside patients where training itself is compared,
and are never counted as patients. What does not exist is None with a reason; nothing here returns NaN.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import scipy.stats

from hnscc.base import fewest

ALPHA = 0.05
# Why there is no t interval: one without width would say that the value is known exactly.
ALL_ALIKE = "all are alike: there is nothing that an interval could rest on"


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; its ends are None where it does not exist, and `reason` says why."""

    low: float | None
    high: float | None
    reason: str | None = None


def too_few(number: int, what: str = "patients with lesion") -> str | None:
    """Return why so many patients, or repeats, give no interval, or None where they do; patients with and without
    lesion are resampled apart, so those without add nothing."""
    if number >= fewest.PATIENTS:
        return None
    are = "is 1" if number == 1 else f"are {number}"
    return f"an interval needs at least {fewest.PATIENTS} {what}, and there {are}"


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
    """95 % interval of the median of what `values` (N,) are a sample of, by order statistics; nothing is resampled.

    The narrowest pair of the k-th lowest and k-th highest value that holds the median with at least 95 % (binomial;
    Conover, Practical Nonparametric Statistics): exact for any distribution. None below 6 values.
    """
    if len(values) < fewest.VALUES_FOR_MEDIAN:
        return Interval(
            None, None, f"an interval of a median needs at least {fewest.VALUES_FOR_MEDIAN} values"
        )
    ordered = np.sort(np.asarray(values, float))
    # k such that fewer than k values below the median happen with at most 2.5 %.
    k = int(scipy.stats.binom.ppf(ALPHA / 2, len(ordered), 0.5))
    k -= scipy.stats.binom.cdf(k - 1, len(ordered), 0.5) > ALPHA / 2
    return Interval(float(ordered[k - 1]), float(ordered[-k]))


def mean_interval(values: Sequence[float]) -> Interval:
    """95 % t interval of the mean of what `values` (N,) are a sample of; nothing is resampled. None below 3 values, or
    where all are alike."""
    if len(values) < fewest.VALUES_FOR_MEAN:
        return Interval(None, None, f"an interval of a mean needs at least {fewest.VALUES_FOR_MEAN} values")
    if min(values) == max(values):
        return Interval(None, None, ALL_ALIKE)
    mean, sd = fmean(values), float(np.std(values, ddof=1))
    half = t_limit(len(values) - 1) * sd / math.sqrt(len(values))
    return Interval(mean - half, mean + half)
