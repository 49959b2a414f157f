"""95 % intervals: of a median and of a mean over repeats, and the bootstrap's weights and percentiles.

What is resampled is said at each.
The unit of evidence is the patient. Repeats are resampled beside patients where training itself is compared,
and are never counted as patients. What does not exist is None with a reason; nothing here returns NaN.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import scipy.stats

from hnscc.base.arrays import Bools, Floats
from hnscc.scores import fewest
from hnscc.scores.counts import Counts

ALPHA = 0.05


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; its ends are None where it does not exist, and `reason` says why."""

    low: float | None
    high: float | None
    reason: str | None = None


def patient_weights(draw: np.random.Generator, lesion: Bools, bootstraps: int) -> Floats:
    """How often each patient stands in each resample: float64 (bootstraps, P).

    lesion: bool (P,). Patients with and without lesion are drawn apart, as many of each as there are, like
    the split that the study was stratified by: a resample without any lesion would score an empty prediction 1.
    """
    weights = np.zeros((bootstraps, len(lesion)))
    for stratum in (np.flatnonzero(lesion), np.flatnonzero(~lesion)):
        if len(stratum):
            weights[:, stratum] = draw.multinomial(
                len(stratum), np.full(len(stratum), 1 / len(stratum)), bootstraps
            )
    return weights


def resampled(counts: Counts, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Pixels of overlap, prediction and truth pooled over every resample: counts (..., P), weights (B, P) -> three
    float64 arrays (B, ...), exact since every sum is a whole number below 2^53."""
    parts = np.stack((counts.overlap, counts.pred, counts.truth)).astype(np.float64)
    # One product for all three: BLAS starts its threads for each, which costs more than a small product does.
    sums = weights @ parts.reshape(-1, parts.shape[-1]).T
    overlap, pred, truth = np.moveaxis(sums.reshape(len(weights), *parts.shape[:-1]), 1, 0)
    return overlap, pred, truth


def percentiles(values: Floats) -> tuple[float, float]:
    """The 2.5 % and 97.5 % percentiles of values (B,)."""
    low, high = np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def too_few(number: int, what: str = "patients with lesion") -> str | None:
    """Why so many patients, or repeats, give no interval, or None where they do; patients with and without lesion are
    drawn apart, so those without add nothing."""
    if number >= fewest.PATIENTS:
        return None
    are = "is 1" if number == 1 else f"are {number}"
    return f"an interval needs at least {fewest.PATIENTS} {what}, and there {are}"


def t_limit(degrees: float) -> float:
    """How many standard errors a 95 % t interval reaches to either side."""
    return float(scipy.stats.t.ppf(1 - ALPHA / 2, degrees))


def median_interval(values: Sequence[float]) -> Interval:
    """95 % interval of the median of what `values` (N,) were drawn from, by order statistics; nothing is resampled.

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
    """95 % t interval of the mean of what `values` (N,) were drawn from; nothing is resampled. None below 3 values."""
    if len(values) < fewest.VALUES_FOR_MEAN:
        return Interval(None, None, f"an interval of a mean needs at least {fewest.VALUES_FOR_MEAN} values")
    mean, sd = fmean(values), float(np.std(values, ddof=1))
    half = t_limit(len(values) - 1) * sd / math.sqrt(len(values))
    return Interval(mean - half, mean + half)
