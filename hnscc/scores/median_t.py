"""The t test of medians over repeats: a training that fails moves the mean over few repeats far, the median little.

It is the two-way t test of scores.crossed with another estimate. The median of R normal scores varies more from set to
set than their mean does, by a factor that depends on R alone: the variance over repeats is multiplied by it, and the
variance over patients stays. Nothing is resampled. How often it calls equal variants different, also where trainings
fail, is in docs/explanation/statistics.md.
"""

import math
from dataclasses import replace

import numpy as np

from hnscc.scores.crossed import Estimate, difference_interval, fraction_difference
from hnscc.scores.metrics import Fraction
from hnscc.scores.score_checks import Counts3, fractions_of
from hnscc.scores.two_way_t import VarianceParts

# The variance of the median of so many normal values, as a multiple of the variance of their mean.
MEDIAN_TIMES = {2: 1.0, 3: 1.346, 4: 1.193, 5: 1.434, 6: 1.288, 7: 1.473, 8: 1.346, 9: 1.495, 10: 1.383}
# The limit for ever more values. It is used above 10, where it is at most 15 % too large.
MEDIAN_TIMES_AT_MOST = math.pi / 2


def median_difference(a: Counts3, b: Counts3, fraction: Fraction) -> Estimate:
    """Return how far the median over repeats of variant a's pooled score lies above that of b.

    a, b: (overlap, pred, truth), each (R, P) pixel counts of the same P patients in the same order; the numbers of
    repeats may differ, and are never compared in pairs. Interval, p, least numbers and errors are those of
    `fraction_difference`, in scores.crossed.
    """
    of_means = fraction_difference(a, b, fraction)
    if of_means.value is None:
        return of_means
    scores = [num.sum(1) / den.sum(1) for num, den, _ in (fractions_of(each, fraction) for each in (a, b))]
    value = float(np.median(scores[0]) - np.median(scores[1]))
    if of_means.patient_variance is None or of_means.joint_variance is None:
        return replace(of_means, value=value)
    times = [MEDIAN_TIMES.get(repeats, MEDIAN_TIMES_AT_MOST) for repeats in of_means.repeats]
    parts = VarianceParts(
        value=value,
        patient=of_means.patient_variance,
        repeat=tuple(each * part for each, part in zip(times, of_means.repeat_variance, strict=True)),
        repeat_degrees=tuple(repeats - 1 for repeats in of_means.repeats),
        joint=of_means.joint_variance,
        patients=of_means.patients,
        effective=of_means.effective_patients,
    )
    return difference_interval(parts, of_means.repeats, bounds=(-1.0, 1.0))
