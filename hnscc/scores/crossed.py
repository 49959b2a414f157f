"""Intervals and tests for scores of patients by trainings. Both are samples, and they are crossed.

A score of one model on P patients says nothing about another training; the spread over R repeats says nothing about
other patients. So every variant is a grid of R repeats by P patients here, with three parts of variance: that of
patients (the mean over repeats varies from patient to patient), that of repeats, and the joint part (a training does
well on a particular patient). The first two each contain the third, so it is subtracted once (Cameron, Gelbach and
Miller 2011). Nothing is resampled, so nothing is random. The parts and the limits come from scores.two_way_t.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from hnscc.base import fewest
from hnscc.base.arrays import Bools, Floats
from hnscc.base.in_words import count_of, noun_of
from hnscc.scores.intervals import few_repeats, too_few
from hnscc.scores.metrics import METRICS, Fraction
from hnscc.scores.score_checks import (
    Counts3,
    check_bounds,
    check_flag,
    check_labels,
    check_pairs,
    check_same_patients,
    fractions_of,
    scores_of,
)
from hnscc.scores.two_way_t import NOTHING_VARIES, Spread, VarianceParts, mean_parts, pooled_parts

ONE_SCORE = "every patient with lesion scores {:g}: nothing varies that an interval could rest on"


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval and what these rest on. Whatever does not exist is None, and `reason` says why.

    p: the two-sided p that the value is 0; differences alone have it. effective_patients: how many lesion patients of
    equal weight would tell as much, at most `patients`; pooled values alone have it. patients: how many hold lesion.
    repeats: how many each variant has. spread: the standard error and what the limits rest on (`two_way_t.Spread`),
    where there is an interval. patient_variance, repeat_variance (one per variant, or a single one where repeats are
    paired) and joint_variance: the parts of the variance of the value. `two_way_t.variance_of` combines them: patient +
    repeats - joint, but at least half of the sum of the first two.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    effective_patients: float | None = None
    reason: str | None = None
    patients: int = 0
    repeats: tuple[int, ...] = ()
    spread: Spread | None = None
    patient_variance: float | None = None
    repeat_variance: tuple[float, ...] = ()
    joint_variance: float | None = None

    @property
    def error(self) -> float | None:
        """The standard error; None where there is no interval."""
        return self.spread.error if self.spread else None


def pooled_interval(
    overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike, *, metric: str = "dice"
) -> Estimate:
    """Return a pooled score with its 95 % interval: of one model over patients, or of a variant over patients
    and repeats.

    overlap, pred, truth: pixel counts, or ml, from 0 on: (P,) of one model, or (R, P) of R repeats on the same P
    patients, with the same truth in every repeat. Patients with truth > 0 hold lesion. value: the pooled Dice, 2
    sum(overlap) / (sum(pred) + sum(truth)), or with `metric` jaccard sum(overlap) over the union; for repeats the mean
    of theirs. The interval is a t interval on the logit scale; docs/explanation/validity.md says how often it covers
    the true value. For one model it says nothing about another training. There is no interval, and a reason instead,
    with fewer than 2 patients with lesion and where nothing is seen to vary. Raises ValueError for other shapes,
    impossible counts, or another `metric`.
    """
    return fraction_interval((overlap, pred, truth), _fraction_of(metric))


def fraction_interval(counts: Counts3, fraction: Fraction) -> Estimate:
    """Return `pooled_interval` for any score that pools as a ratio of sums. counts: pixel counts or similar, (P,) or
    (R, P). Raises ValueError as that function does."""
    num, den, truth = fractions_of(counts, fraction)
    lesion = truth > 0
    repeats, patients = (len(num),), int(lesion.sum())
    value = float((num.sum(1) / den.sum(1)).mean()) if len(num) and den.sum(1).all() else None
    if lacking := too_few(patients) or _without_value(den, lesion):
        return Estimate(value, reason=lacking, patients=patients, repeats=repeats)
    return logit_interval(pooled_parts([num], [den], lesion, (1,), paired=False), repeats, ONE_SCORE)


def pooled_difference(a: Counts3, b: Counts3, paired: bool = False, *, metric: str = "dice") -> Estimate:
    """Return how far the pooled score of variant a, averaged over its repeats, lies above that of b.

    a, b: (overlap, pred, truth), each (R, P) pixel counts of the same P patients in the same order; the numbers of
    repeats may differ. Patients with truth > 0 hold lesion. paired: whether repeat r of a and repeat r of b shared
    their seeds by design; then both need the same number of repeats, at least 5. The interval is a two-way t interval
    over patients and repeats, clipped to -1..1; docs/explanation/validity.md says how often its test rejects equal
    variants. There is no interval with fewer than 2 repeats of either variant or 2 lesion patients, and no p with fewer
    than 4 lesion patients. Raises ValueError for other shapes, a truth that differs, tables of pandas whose labels
    differ, or pairs that do not match.
    """
    return fraction_difference(a, b, _fraction_of(metric), paired=paired)


def fraction_difference(a: Counts3, b: Counts3, fraction: Fraction, *, paired: bool = False) -> Estimate:
    """Return `pooled_difference` for any score that pools as a ratio of sums. a, b: pixel counts or similar, (R, P).
    Raises ValueError as that function does."""
    check_labels(*a, *b, repeats=paired)
    (num_a, den_a, truth), (num_b, den_b, truth_b) = fractions_of(a, fraction), fractions_of(b, fraction)
    check_same_patients(truth, truth_b)
    lesion = truth > 0
    for patient in np.flatnonzero(lesion != (truth_b > 0)):
        raise ValueError(
            "a and b must be of the same patients in the same order, of whom the same hold lesion: patient "
            f"{patient} (counted from 0) holds lesion in {'a' if lesion[patient] else 'b'} alone; give both the same "
            "truth, or leave the patient out of both"
        )
    for patient in np.flatnonzero(truth != truth_b):
        raise ValueError(
            f"a and b must be scored by the same truth: that of patient {patient} (counted from 0) is "
            f"{truth[patient]:g} in a and {truth_b[patient]:g} in b; count both on one grid"
        )
    repeats, patients = (len(num_a), len(num_b)), int(lesion.sum())
    check_pairs(paired, repeats)
    wholes = [den_a.sum(1), den_b.sum(1)]
    if min(repeats) and all(each.all() for each in wholes):
        value = float((num_a.sum(1) / wholes[0]).mean() - (num_b.sum(1) / wholes[1]).mean())
    else:
        value = None
    lacking = too_few(patients) or few_repeats(repeats) or _without_value(den_a, lesion)
    if lacking := lacking or _without_value(den_b, lesion):
        return Estimate(value, reason=lacking, patients=patients, repeats=repeats)
    parts = pooled_parts([num_a, num_b], [den_a, den_b], lesion, (1, -1), paired=paired)
    return _difference(parts, repeats, bounds=(-1.0, 1.0))


def mean_difference(
    a: ArrayLike, b: ArrayLike, paired: bool = False, *, bounds: tuple[float, float] | None = None
) -> Estimate:
    """Return how far a score of variant a, averaged over patients and repeats, lies above that of b.

    a, b: scores (R, P) of any metric, in its unit, of the same P patients in the same order, such as the Dice of
    each patient with lesion. bounds: the least and the most that the difference can be; the interval is clipped to
    them. paired and the least numbers are those of `pooled_difference`, but every patient counts alike here, so that
    all P count. Raises ValueError as that function does, for scores that are not finite, and for a difference
    outside `bounds`.
    """
    check_labels(a, b, repeats=paired)
    first, second = scores_of(a), scores_of(b)
    check_same_patients(first, second)
    repeats = (len(first), len(second))
    check_pairs(paired, repeats)
    patients = first.shape[1]
    value = float(first.mean() - second.mean()) if first.size and second.size else None
    if bounds and value is not None:
        check_bounds(bounds, value)
    lacking = too_few(patients, "patients") or few_repeats(repeats)
    if lacking:
        return Estimate(value, reason=lacking, patients=patients, repeats=repeats)
    return _difference(mean_parts([first, second], (1, -1), paired=paired), repeats, bounds=bounds)


def _fraction_of(metric: str) -> Fraction:
    known = {name: each.fraction for name, each in METRICS.items() if each.fraction}
    if metric not in known:
        raise ValueError(f"metric is one of {', '.join(known)}, not {metric!r}; name one of these")
    return known[metric]


def _without_value(den: Floats, lesion: Bools) -> str | None:
    """Return why there is no interval if a patient with lesion, bool (N,), has a denominator (R, N), in pixels or ml,
    of 0; else None."""
    lacking = int((den[:, lesion] == 0).any(0).sum())
    have, where = noun_of(lacking, "has", "have"), " in some repeat" if len(den) > 1 else ""
    return f"{count_of(lacking, 'patient')} with lesion {have} no value{where}" if lacking else None


def logit_interval(parts: VarianceParts, repeats: tuple[int, ...], extreme: str) -> Estimate:
    """Return the t interval of a value in 0..1, made on the logit scale. There is none where nothing varies, nor where
    the value is 0 or 1; for the latter, `extreme` is the reason."""
    if not 0 < parts.value < 1:
        return _estimate(parts, repeats, reason=extreme.format(parts.value))
    if not parts.varies:
        return _estimate(parts, repeats, reason=NOTHING_VARIES)
    spread = parts.spread
    logit = math.log(parts.value / (1 - parts.value))
    half = spread.half_width() / (parts.value * (1 - parts.value))
    low, high = (float(scipy.special.expit(logit + side * half)) for side in (-1, 1))
    return _estimate(parts, repeats, low, high, spread=spread)


def _difference(
    parts: VarianceParts, repeats: tuple[int, ...], bounds: tuple[float, float] | None
) -> Estimate:
    if not parts.varies:
        return _estimate(parts, repeats, reason=NOTHING_VARIES)
    spread = parts.spread
    low, high = parts.value - spread.half_width(), parts.value + spread.half_width()
    if bounds:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    p = reason = None
    if parts.patients < fewest.PATIENTS_FOR_P:
        reason = f"no p from {count_of(parts.patients, 'patient')}, {fewest.PATIENTS_FOR_P} are needed"
    else:
        p = spread.p(parts.value)
    return _estimate(parts, repeats, low, high, p, reason, spread)


def _estimate(
    parts: VarianceParts,
    repeats: tuple[int, ...],
    low: float | None = None,
    high: float | None = None,
    p: float | None = None,
    reason: str | None = None,
    spread: Spread | None = None,
) -> Estimate:
    return Estimate(
        value=parts.value,
        low=low,
        high=high,
        p=p,
        effective_patients=parts.effective,
        reason=reason,
        patients=parts.patients,
        repeats=repeats,
        spread=spread,
        patient_variance=parts.patient,
        repeat_variance=parts.repeat,
        joint_variance=parts.joint,
    )


def mean_of_patients(scores: ArrayLike, *, share: bool) -> Estimate:
    """Return the mean over patients of a score, with its 95 % interval, for one model or for a variant over
    its repeats.

    scores: (P,) of one model, or (R, P) of R repeats on the same P patients, finite and from 0 on, such as the Dice or
    the 95 % Hausdorff distance of each patient with lesion. share: whether they lie in 0..1; then the interval is made
    on the logit scale, else on the logarithmic scale. Every patient counts alike. For (P,) it is a t interval over
    patients, which says nothing about another training; for (R, P) a two-way t interval over patients and repeats. It
    covers the mean of strongly skewed distances too seldom, since a few values determine it:
    docs/explanation/statistics.md says how often in simulation. There is no interval with fewer than 2 patients (on the
    logarithmic scale fewer than 4), for (R, P) with fewer than 2 repeats, nor where nothing is seen to vary, as where
    all are 0. Raises ValueError for scores of another shape or range.
    """
    values = scores_of(scores)
    check_flag("share", share)
    _check_range(values, share)
    repeats, patients = len(values), values.shape[1]
    mean = float(values.mean()) if values.size else None
    if share:
        lacking = too_few(patients, "patients")
    else:
        lacking = too_few(patients, "patients, of distances, ml or counts", fewest.PATIENTS_FOR_LOGARITHMS)
    if np.ndim(scores) > 1:
        lacking = lacking or too_few(repeats, "repeats")
    if lacking:
        return Estimate(mean, reason=lacking, patients=patients, repeats=(repeats,))
    parts = mean_parts([values], (1,), paired=False)
    return logit_interval(parts, (repeats,), NOTHING_VARIES) if share else _log_interval(parts, repeats)


def _check_range(values: Floats, share: bool) -> None:
    """Raise ValueError unless the scores (R, P), in any unit, are not negative and, if they are shares, at most 1."""
    if values.size and (values.min() < 0 or (share and values.max() > 1)):
        allowed = "in 0..1" if share else "from 0 on"
        do = (
            "give share=False for distances, ml and counts" if values.min() >= 0 else "leave out what is none"
        )
        found = f"they reach from {values.min():g} to {values.max():g}"
        raise ValueError(f"scores must lie {allowed}, and {found}; {do}")


def _log_interval(parts: VarianceParts, repeats: int) -> Estimate:
    """Return the t interval made on the logarithmic scale: distances and ml are skewed, and it covers their mean more
    often there."""
    if not parts.varies:
        return _estimate(parts, (repeats,), reason=NOTHING_VARIES)
    spread = parts.spread
    factor = math.exp(spread.half_width() / parts.value)
    return _estimate(parts, (repeats,), parts.value / factor, parts.value * factor, spread=spread)
