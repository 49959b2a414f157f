"""What a study of a given size would see, from the parts of variance that a finished one found.

A difference varies by patients, by repeats, and by both together (scores.crossed). With P lesion patients and R repeats
of each variant, its variance is V = patients / P + repeats / R + joint / (P R). A pilot knows these parts only as well
as its few patients and repeats allow, so every forecast has a range, from the chi-square limits of each part. Where the
variants have different numbers of repeats, R is their harmonic mean: their repeats are assumed to vary alike.
"""

import math
from dataclasses import dataclass
from statistics import harmonic_mean

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats

from hnscc.base import fewest
from hnscc.base.arrays import Floats
from hnscc.scores import two_way_t
from hnscc.scores.crossed import Estimate
from hnscc.scores.intervals import ALPHA
from hnscc.scores.two_way_t import degrees_of_repeats, variance_of

POWER = 0.8
LEAST_CHANCE = 0.5  # the least chance of finding a difference for which a study is planned
ROUNDING = 1e-9  # of a chance, a difference or a weight
RANGE = 0.8  # the middle 80 % of the pilot's own uncertainty
# How many values stand for the cohort's weights, for the patients' part as found, and for each variant's repeats' part.
STEPS = 4, 8, 12
# Both were found in simulated studies (docs/explanation/statistics.md). COHORT: where lesions are log-normal in size,
# 1 / effective patients differs from cohort to cohort as a chi-square value of COHORT / (1 - weight)^2 degrees of
# freedom does. TOGETHER: the correlation of a difference with the logarithm of the variance that its study finds.
COHORT = 3.0
TOGETHER = 0.3
RepeatsOfBoth = int | tuple[int, ...]  # of each variant, or of one and of the other


@dataclass(frozen=True)
class Design:
    """The parts of the variance of a difference, for one patient and one repeat of each variant.

    weight: as how many patients of equal weight one patient counts, at most 1. The lower it is, the less a study, or
    the pilot, knows of the patients' part, and the more that part itself differs from cohort to cohort.
    """

    patients: float
    repeats: float
    joint: float
    paired: bool = False
    weight: float = 1.0

    def variance(self, patients: int, repeats: RepeatsOfBoth) -> float:
        mean = harmonic_mean(_of_both(repeats))
        return self.patients / patients + self.repeats / mean + self.joint / (patients * mean)

    def known(self, patients: int) -> float:
        """Return the degrees of freedom with which so many patients determine the patients' part: their total weight,
        but at most their number less one."""
        return max(1.0, min(self.weight * patients, patients - 1))


def _of_both(repeats: RepeatsOfBoth) -> tuple[int, ...]:
    return (repeats, repeats) if isinstance(repeats, int) else repeats


def design_of(found: Estimate, paired: bool = False) -> Design | str:
    """Return the parts of variance that a pilot's difference found, or why there are none."""
    if found.patient_variance is None or found.joint_variance is None or not found.repeat_variance:
        return found.reason or "the pilot has no difference over patients and repeats"
    patients, repeats = found.patients, harmonic_mean(found.repeats)
    joint = patients * repeats * found.joint_variance
    design = Design(
        patients * max(0.0, found.patient_variance - found.joint_variance),
        max(0.0, _of_one_repeat(found) - joint / patients),
        joint,
        paired,
        min(1.0, (found.effective_patients or patients) / patients),
    )
    if design.variance(patients, found.repeats) <= 0:
        return "nothing varied in the pilot"
    return design


def _of_one_repeat(found: Estimate) -> float:
    """Return the variance that one repeat of each variant (or one pair, if they are paired) brings, including the
    joint part."""
    if len(found.repeat_variance) == len(found.repeats):
        return math.fsum(n * part for n, part in zip(found.repeats, found.repeat_variance, strict=True))
    return found.repeats[0] * sum(found.repeat_variance)


@dataclass(frozen=True)
class _Studies:
    """Equally likely studies of one size. limit: the smallest estimates that p < 0.05 calls a difference. larger: how
    much larger than the true difference the estimate of such a study is on average. error: the standard error of the
    rest. They are in the unit of the value: arrays of one shape, (4, 8, 78), or (4, 8, 144) where the variants have
    different numbers of repeats, or (4, 8, 12) for pairs, but (4, 1, 1) for error. weights: how likely each index of
    the last axis is, (78,), (144,) or (12,); their sum is 1."""

    limit: Floats
    larger: Floats
    error: Floats
    weights: Floats

    def find(self, true: float) -> float:
        """Return how often their estimates pass their limits, in either direction."""
        mean = true + self.larger
        above, below = (mean - self.limit) / self.error, (-mean - self.limit) / self.error
        return _mean(scipy.special.ndtr(above) + scipy.special.ndtr(below), self.weights)


def power(design: Design, difference: float, patients: int, repeats: RepeatsOfBoth) -> float:
    """Return the chance, 0..1, that a study of this size finds a true difference at 0.05, two-sided.

    It is averaged over the patients that the study may have, and the parts of variance that it may find. Raises
    ValueError below 4 patients or 2 repeats.
    """
    return _studies(design, patients, repeats).find(abs(difference))


def smallest_seen(design: Design, patients: int, repeats: RepeatsOfBoth, chance: float = POWER) -> float:
    """Return the smallest true difference that a study of this size finds with this chance, 0.5 or more and below 1.

    It is averaged over the patients that the study may have, and the parts of variance that it may find. Raises
    ValueError for another chance, and below 4 patients or 2 repeats.
    """
    check_chance(chance)
    studies, error = _studies(design, patients, repeats), math.sqrt(design.variance(patients, repeats))
    beyond = studies.limit - studies.larger - studies.error * scipy.special.ndtri(1 - chance)
    farthest = float(beyond.max()) / error  # every study finds it with this chance at least
    return error * float(
        scipy.optimize.brentq(lambda away: studies.find(away * error) - chance, 0.0, farthest, xtol=ROUNDING)
    )


def _studies(design: Design, patients: int, repeats: RepeatsOfBoth) -> _Studies:
    """Return a study for each equally likely combination of the cohort's weights, the variance found of patients, and
    the variance found of the repeats of both variants (4, 8, 12 x 12), or of pairs of repeats (4, 8, 12). If both
    variants have the same number of repeats, it does not matter which variant's variance is the larger: only the 78
    different ones of the 12 x 12 are kept.

    The patients of a study determine both how far its estimate scatters and how wide its limits are. ValueError below 4
    patients, for whom there is no p, or 2 repeats.
    """
    of_both = _of_both(repeats)
    if patients < fewest.PATIENTS_FOR_P or min(of_both) < fewest.REPEATS:
        raise ValueError(
            f"a study to forecast has at least {fewest.PATIENTS_FOR_P} patients with lesion and {fewest.REPEATS} "
            f"repeats of each variant, not {patients:g} and {min(of_both):g}; give more"
        )
    mean, steps = harmonic_mean(of_both), STEPS[2]
    joint = design.joint / (patients * mean)
    of_one = design.repeats + design.joint / patients
    sides = [of_one / number * _steps(steps, number - 1) for number in of_both]
    parts, weights = sides[:1], np.ones(steps)
    if not design.paired:
        alike = of_both[0] == of_both[1]
        a, b = np.triu_indices(steps) if alike else np.divmod(np.arange(steps**2), steps)
        parts, weights = [sides[0][a] / 2, sides[1][b] / 2], np.where(alike & (a != b), 2.0, 1.0)
    weights /= weights.sum()
    brought = np.sum(parts, axis=0)
    of_cohort = ((design.patients / patients + joint) * _cohorts(STEPS[0], design.weight))[:, None, None]
    own = of_cohort * _steps(STEPS[1], design.known(patients))[:, None]
    degrees = degrees_of_repeats(parts, [number - 1 for number in of_both[: len(parts)]])
    found, true = variance_of(own, brought, joint), of_cohort + design.repeats / mean
    limit = np.sqrt(found) * two_way_t.limits(ALPHA, brought / (own + brought), patients - 1.0, degrees)
    wide = np.log(found / true)
    wide -= _mean(wide, weights)
    wide /= math.sqrt(_mean(wide**2, weights))
    error = np.sqrt(true)
    return _Studies(limit, TOGETHER * error * wide, math.sqrt(1 - TOGETHER**2) * error, weights)


def _mean(values: Floats, weights: Floats) -> float:
    """Return the mean over all axes of values (..., N), in any unit; the last axis is weighted by weights (N,), whose
    sum is 1."""
    return float((values @ weights).mean())


def _cohorts(number: int, weight: float) -> Floats:
    """Return so many equally likely true values, 0 or more, of a patients' part whose mean is 1: (number,). They differ
    as the patients' weights differ from cohort to cohort; where all patients weigh alike, they are 1."""
    return _steps(number, COHORT / (1 - weight) ** 2) if weight < 1 - ROUNDING else np.ones(number)


def _steps(number: int, degrees: float) -> Floats:
    """Return so many equally likely estimates of a variance whose true value is 1: (number,). Their mean is 1."""
    edges = scipy.stats.chi2.ppf(np.arange(number + 1) / number, degrees)
    # The distribution with two more degrees of freedom gives the mean of a chi-square value between two edges.
    inside: Floats = np.diff(scipy.stats.chi2.cdf(edges, degrees + 2)) * number
    return inside


def smallest_seen_by(found: Estimate, most: float | None) -> float | str:
    """Return the smallest true difference that 80 of 100 studies like this one find. Return why there is none if this
    study has no p, or if it would be above `most`, the largest possible difference."""
    design = design_of(found, paired=len(found.repeat_variance) < len(found.repeats))
    if found.p is None or isinstance(design, str):
        return found.reason or "there is no test, so no difference is found"
    seen = smallest_seen(design, found.patients, found.repeats)
    if most is None or seen <= most:
        return seen
    return f"not even a difference of {most:g}, the largest there can be, is found by 80 of 100 such studies"


def check_chance(chance: float) -> None:
    """Raise ValueError for a chance that no study can have, or for which nobody plans a study."""
    if not LEAST_CHANCE <= chance < 1:
        raise ValueError(
            f"the chance of finding a difference is from {LEAST_CHANCE:g} to below 1, not {chance!r}; give 0.8, say"
        )


def designs_at_limits(found: Estimate, design: Design) -> tuple[Design, Design]:
    """Return the designs at the lower and at the upper limit of the parts, as far as the pilot's few patients and
    repeats determine them."""
    patients = design.known(found.patients)
    repeats = (1 if design.paired else 2) * harmonic_mean([number - 1 for number in found.repeats])

    def scaled(tail: float) -> Design:
        of_patients = patients / float(scipy.stats.chi2.ppf(tail, patients))
        of_repeats = repeats / float(scipy.stats.chi2.ppf(tail, repeats))
        both = patients * repeats
        return Design(
            design.patients * of_patients,
            design.repeats * of_repeats,
            design.joint * both / float(scipy.stats.chi2.ppf(tail, both)),
            design.paired,
            design.weight,
        )

    return scaled((1 + RANGE) / 2), scaled((1 - RANGE) / 2)
