"""What a study of a given size would see, from the parts of variance that a finished one found.

A difference varies by patients, by repeats, and by both together (scores.crossed). Of P lesion patients and R repeats
of each variant, V = patients / P + repeats / R + joint / (P R). The pilot knows these parts no better than its own few
patients and repeats allow: what is told has a range, from the chi-square limits of each part.
Where the variants have unlike numbers of repeats, R is their harmonic mean: their repeats are taken to vary alike.
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
LEAST_CHANCE = 0.5  # of finding a difference that a study is planned for
ROUNDING = 1e-9  # of a chance, a difference or a weight
RANGE = 0.8  # of the pilot's own uncertainty: the middle 80 %
STEPS = 4, 8, 12  # of the cohort's weights, of the patients' part as it is found, of each variant's repeats'
# Of simulated studies, as docs/explanation/statistics.md tells: where lesions are log-normal in size, 1 / effective
# patients differs from cohort to cohort as a chi-square value of COHORT / (1 - weight)^2 degrees of freedom does; and
# the correlation of a difference with the logarithm of the variance that its study finds.
COHORT = 3.0
TOGETHER = 0.3
RepeatsOfBoth = int | tuple[int, ...]  # of each variant, or of one and of the other


@dataclass(frozen=True)
class Design:
    """The parts of the variance of a difference, of one patient and one repeat of each variant.

    weight: as how many patients of equal weight a patient counts, at most 1: so much less a study knows of the
    patients' part, and so does the pilot, and the more that part itself differs from cohort to cohort.
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
        """The degrees of freedom by which so many patients tell the patients' part: their weight, but at most one fewer
        than they are."""
        return max(1.0, min(self.weight * patients, patients - 1))


def _of_both(repeats: RepeatsOfBoth) -> tuple[int, ...]:
    return (repeats, repeats) if isinstance(repeats, int) else repeats


def design_of(found: Estimate, paired: bool = False) -> Design | str:
    """The parts that a pilot's difference found, or why there are none."""
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
    """The variance that one repeat of each variant brings, patients and all; of paired repeats, one pair."""
    if len(found.repeat_variance) == len(found.repeats):
        return math.fsum(n * part for n, part in zip(found.repeats, found.repeat_variance, strict=True))
    return found.repeats[0] * sum(found.repeat_variance)


@dataclass(frozen=True)
class _Studies:
    """Equally likely studies of one size: their limits, the smallest estimates that p < 0.05 calls a difference; how
    much larger than the true difference the estimate of such a study is on average; and the standard error of the rest.
    Measured as the value is, arrays of one shape, (4, 8, 78), of pairs (4, 8, 12), but for the errors, (4, 1, 1).
    weights: how likely each of the last axis is, (78,) or (12,); their sum is 1."""

    limit: Floats
    larger: Floats
    error: Floats
    weights: Floats

    def find(self, true: float) -> float:
        """How often their estimates pass their limits, either way."""
        mean = true + self.larger
        above, below = (mean - self.limit) / self.error, (-mean - self.limit) / self.error
        return _mean(scipy.special.ndtr(above) + scipy.special.ndtr(below), self.weights)


def power(design: Design, difference: float, patients: int, repeats: RepeatsOfBoth) -> float:
    """The chance, 0..1, that a study of this size finds a true difference at 0.05, two-sided.

    Averaged over the patients that the study may have, and the parts of variance that it may find. Raises ValueError
    below 4 patients or 2 repeats.
    """
    return _studies(design, patients, repeats).find(abs(difference))


def smallest_seen(design: Design, patients: int, repeats: RepeatsOfBoth, chance: float = POWER) -> float:
    """The smallest true difference that a study of this size finds with this chance, 0.5 or more and below 1.

    Averaged over the patients that the study may have, and the parts of variance that it may find. Raises ValueError
    for another chance, and below 4 patients or 2 repeats.
    """
    check_chance(chance)
    studies, error = _studies(design, patients, repeats), math.sqrt(design.variance(patients, repeats))
    beyond = studies.limit - studies.larger - studies.error * scipy.special.ndtri(1 - chance)
    farthest = float(beyond.max()) / error  # every study finds it with this chance at least
    return error * float(
        scipy.optimize.brentq(lambda away: studies.find(away * error) - chance, 0.0, farthest, xtol=ROUNDING)
    )


def _studies(design: Design, patients: int, repeats: RepeatsOfBoth) -> _Studies:
    """One study for each equally likely set of the cohort's weights, the variance that is found of patients, and that
    of the repeats of both variants (4, 8, 12 x 12), or of patients and pairs (4, 8, 12). With as many repeats of both
    it does not matter which variant's is the larger: of the 12 x 12 the 78 that differ are kept.

    Which patients a study has decides both how far its estimate scatters and how wide its limits are. ValueError below
    4 patients, of which no p is told, or 2 repeats.
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
    """Over all axes of values (..., N), whatever measured in, the last by these weights (N,), whose sum is 1."""
    return float((values @ weights).mean())


def _cohorts(number: int, weight: float) -> Floats:
    """So many equally likely true values of a patients' part, 0 or more, (number,), whose mean is 1, as the patients'
    weights differ from cohort to cohort; where all weigh alike, they are 1."""
    return _steps(number, COHORT / (1 - weight) ** 2) if weight < 1 - ROUNDING else np.ones(number)


def _steps(number: int, degrees: float) -> Floats:
    """So many equally likely values of an estimated variance whose true value is 1, (number,); their mean is 1."""
    edges = scipy.stats.chi2.ppf(np.arange(number + 1) / number, degrees)
    # The mean of a chi-square value between two edges, by the distribution of two degrees more.
    inside: Floats = np.diff(scipy.stats.chi2.cdf(edges, degrees + 2)) * number
    return inside


def smallest_seen_by(found: Estimate, most: float | None) -> float | str:
    """The smallest true difference that 80 of 100 studies like this one find; where it has no p, or this would be more
    than `most`, the largest difference that there can be, why there is none."""
    design = design_of(found, paired=len(found.repeat_variance) < len(found.repeats))
    if found.p is None or isinstance(design, str):
        return found.reason or "there is no test, so no difference is found"
    seen = smallest_seen(design, found.patients, found.repeats)
    if most is None or seen <= most:
        return seen
    return f"not even a difference of {most:g}, the largest there can be, is found by 80 of 100 such studies"


def check_chance(chance: float) -> None:
    """Raise ValueError for a chance that no study can have, or that none is planned for."""
    if not LEAST_CHANCE <= chance < 1:
        raise ValueError(
            f"the chance of finding a difference is from {LEAST_CHANCE:g} to below 1, not {chance!r}; give 0.8, say"
        )


def designs_at_limits(found: Estimate, design: Design) -> tuple[Design, Design]:
    """The design at the lower and the upper limit of its parts, as far as the pilot's few patients and repeats tell."""
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
