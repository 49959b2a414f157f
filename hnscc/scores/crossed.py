"""Intervals and tests for scores of patients by trainings: the two are crossed, and both are samples.

A score of one model on P patients says nothing of another training; the spread over R repeats says nothing of other
patients. Here every variant is a table of R repeats by P patients, and three parts of variance are told apart: that of
patients (the mean over repeats varies from patient to patient), that of repeats, and that of both together (one
training does well on one patient), which the other two hold once each and which is therefore taken off once
(Cameron, Gelbach and Miller 2011). Degrees of freedom are Satterthwaite's. Nothing is resampled, so nothing is drawn.

Pooled scores weigh patients by their pixels, so their variance over patients is a weighted mean of two estimates: the
jackknife (which trusts nothing, and is noisy) and one that takes the scores of large and small lesions to spread alike.
The weights 3/4 and 1/4 are a compromise found by simulation (docs/explanation/statistics.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from hnscc.scores.arrays import Bools, Floats
from hnscc.scores.metrics import METRICS, Fraction

LEVEL = 0.05
JACKKNIFE = 0.75  # weight of the jackknife; the rest goes to the estimate by equal spread
# Without it, four equal variants of 2 repeats were told apart in up to 13 % of simulated studies, after Holm.
CAP = 3.0
FEWEST_PATIENTS = 2
FEWEST_FOR_P = 4  # with fewer lesion patients the test rejects too often in simulation
FEWEST_REPEATS = 2
FEWEST_PAIRED = 5  # with fewer pairs of repeats the paired test rejects too often
NOTHING = 1e-24  # a variance below this is rounding

Counts3 = tuple[ArrayLike, ArrayLike, ArrayLike]  # pixels of overlap, prediction and truth


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval and what these rest on; what does not exist is None, and `reason` says why.

    p: two-sided, that the value is 0; of differences alone. effective_patients: so many patients of equal weight would
    carry as much; of pooled values alone. patients: those with lesion. repeats: of each variant. degrees: of freedom of
    the t distribution. patient_variance, repeat_variance (one per variant, or one where repeats are paired) and
    joint_variance: the parts, of the value itself; the variance is their sum less joint_variance twice counted.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    effective_patients: float | None = None
    reason: str | None = None
    patients: int = 0
    repeats: tuple[int, ...] = ()
    degrees: float | None = None
    patient_variance: float | None = None
    repeat_variance: tuple[float, ...] = ()
    joint_variance: float | None = None


@dataclass(frozen=True)
class _Parts:
    value: float
    patient: float
    repeat: tuple[float, ...]
    repeat_degrees: tuple[int, ...]
    joint: float
    patients: int
    effective: float | None = None

    @property
    def variance(self) -> float:
        both = sum(self.repeat)
        return max(self.patient + both - self.joint, self.patient, both)

    @property
    def degrees(self) -> float:
        """Satterthwaite's, at most CAP times those of a variant's repeats: with 2 or 3 repeats a variance that came out
        small by chance would otherwise pass for a well known one. Where no repeat varies, those of the patients."""
        below = self.patient**2 / (self.patients - 1)
        below += sum(part**2 / own for part, own in zip(self.repeat, self.repeat_degrees, strict=True))
        degrees = (self.patient + sum(self.repeat)) ** 2 / below if below else self.patients - 1.0
        varying = [own for part, own in zip(self.repeat, self.repeat_degrees, strict=True) if part > NOTHING]
        return min(degrees, CAP * fmean(varying)) if varying else degrees


def pooled_interval(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike, *, kind: str = "dice") -> Estimate:
    """A pooled score with its 95 % interval: of one model over patients, or of a variant over patients and repeats.

    overlap, pred, truth: pixel counts (P,) of one model, or (R, P) of R repeats on the same P patients, whole numbers
    from 0 on; truth is the same in every repeat. Patients with truth > 0 hold lesion. value: 2 sum(overlap) /
    (sum(pred) + sum(truth)), or with `kind` jaccard sum(overlap) over the union; of repeats the mean of these. The
    interval is a t interval on the logit scale; docs/explanation/validity.md has how often it covers. That of one model
    says nothing about another training. Raises ValueError for other shapes, counts that cannot be, or another `kind`.
    """
    return fraction_interval((overlap, pred, truth), _fraction_of(kind))


def fraction_interval(counts: Counts3, fraction: Fraction) -> Estimate:
    """`pooled_interval` of any score that pools as a ratio of sums."""
    num, den, lesion = _fractions(counts, fraction)
    repeats, patients = (len(num),), int(lesion.sum())
    value = float((num.sum(1) / den.sum(1)).mean()) if len(num) and den.sum(1).all() else None
    if lacking := _few_patients(lesion) or _without_value(den, lesion):
        return Estimate(value, reason=lacking, patients=patients, repeats=repeats)
    return _on_logit_scale(_pooled_parts([num], [den], lesion, (1,), paired=False), repeats)


def pooled_difference(a: Counts3, b: Counts3, paired: bool = False, *, kind: str = "dice") -> Estimate:
    """How far the pooled score of variant a lies above that of b, over patients and repeats; the means over repeats.

    a, b: (overlap, pred, truth), each (R, P) pixel counts of the same P patients in the same order; the numbers of
    repeats may differ. Patients with truth > 0 hold lesion. paired: repeat r of a and of b shared their seeds by
    design; then both need the same number of repeats, at least 5. The interval is a two-way t interval, clipped to
    -1..1. No interval with fewer than 2 repeats of either variant or 2 lesion patients; no p with fewer than 4 lesion
    patients. In simulation the test rejects equal variants in 2 to 6 % of studies, from 5 to 60 patients and 3 to 50
    repeats. Raises ValueError for other shapes, other truth, or pairs that do not match.
    """
    return fraction_difference(a, b, _fraction_of(kind), paired=paired)


def fraction_difference(a: Counts3, b: Counts3, fraction: Fraction, *, paired: bool = False) -> Estimate:
    """`pooled_difference` of any score that pools as a ratio of sums."""
    (num_a, den_a, lesion), (num_b, den_b, lesion_b) = _fractions(a, fraction), _fractions(b, fraction)
    if not np.array_equal(lesion, lesion_b):
        raise ValueError("a and b must be of the same patients: not the same ones hold lesion")
    repeats, patients = (len(num_a), len(num_b)), int(lesion.sum())
    _check_pairs(paired, repeats)
    wholes = [den_a.sum(1), den_b.sum(1)]
    if min(repeats) and all(each.all() for each in wholes):
        value = float((num_a.sum(1) / wholes[0]).mean() - (num_b.sum(1) / wholes[1]).mean())
    else:
        value = None
    lacking = _few_patients(lesion) or _few_repeats(repeats) or _without_value(den_a, lesion)
    if lacking := lacking or _without_value(den_b, lesion):
        return Estimate(value, reason=lacking, patients=patients, repeats=repeats)
    parts = _pooled_parts([num_a, num_b], [den_a, den_b], lesion, (1, -1), paired=paired)
    return _difference(parts, repeats, bounds=(-1.0, 1.0))


def mean_difference(
    a: ArrayLike, b: ArrayLike, paired: bool = False, *, bounds: tuple[float, float] | None = None
) -> Estimate:
    """How far the mean over patients of a score lies higher for variant a than for b, over patients and repeats.

    a, b: (R, P) scores of any metric, of the same P patients in the same order, such as the Dice of each patient with
    lesion. bounds: the least and the most that the difference can be, to which the interval is clipped. paired and
    what is refused: as for `pooled_difference`; every patient counts alike, so that all P count as patients.
    """
    first, second = _scores(a), _scores(b)
    if first.shape[1] != second.shape[1]:
        raise ValueError("a and b must be of the same patients: their numbers of columns differ")
    repeats = (len(first), len(second))
    _check_pairs(paired, repeats)
    patients = first.shape[1]
    value = float(first.mean() - second.mean()) if patients else None
    lacking = _few(patients, "patients") or _few_repeats(repeats)
    if lacking:
        return Estimate(value, reason=lacking, patients=patients, repeats=repeats)
    return _difference(_mean_parts([first, second], (1, -1), paired=paired), repeats, bounds=bounds)


def _fraction_of(kind: str) -> Fraction:
    known = {name: metric.fraction for name, metric in METRICS.items() if metric.fraction}
    if kind not in known:
        raise ValueError(f"kind is one of {', '.join(known)}, not {kind!r}")
    return known[kind]


def _fractions(counts: Counts3, fraction: Fraction) -> tuple[Floats, Floats, Bools]:
    """Numerator and denominator (R, P) of the pooled score, and which patients hold lesion (P,)."""
    overlap, pred, truth = (np.atleast_2d(np.asarray(each, np.float64)) for each in counts)
    if not overlap.shape == pred.shape == truth.shape or overlap.ndim != 2:
        raise ValueError(
            f"counts must be of one shape, (P,) or (R, P): {overlap.shape}, {pred.shape}, {truth.shape}"
        )
    if not (np.isfinite(overlap + pred + truth).all() and (overlap >= 0).all()):
        raise ValueError("counts must be finite, and not negative")
    if (overlap > np.minimum(pred, truth)).any():
        raise ValueError("overlap is more than prediction or truth somewhere")
    lesion = truth > 0
    if len(truth) and (lesion != lesion[:1]).any():
        raise ValueError("which patients hold lesion must be the same in every repeat")
    held: Bools = lesion[0] if len(lesion) else np.zeros(lesion.shape[1], np.bool_)
    return *fraction(overlap, pred, truth), held


def _scores(values: ArrayLike) -> Floats:
    scores = np.atleast_2d(np.asarray(values, np.float64))
    if scores.ndim != 2 or not np.isfinite(scores).all():
        raise ValueError("scores must be finite and of shape (P,) or (R, P)")
    return scores


def _check_pairs(paired: bool, repeats: tuple[int, int]) -> None:
    if paired and (repeats[0] != repeats[1] or repeats[0] < FEWEST_PAIRED):
        raise ValueError(
            f"paired repeats match by number, and there are at least {FEWEST_PAIRED}: {repeats[0]} and {repeats[1]}"
        )


def _few(patients: int, what: str) -> str | None:
    if patients >= FEWEST_PATIENTS:
        return None
    are = "is 1" if patients == 1 else f"are {patients}"
    return f"an interval needs at least {FEWEST_PATIENTS} {what}, and there {are}"


def _few_patients(lesion: Bools) -> str | None:
    return _few(int(lesion.sum()), "patients with lesion")


def _without_value(den: Floats, lesion: Bools) -> str | None:
    lacking = int((den[:, lesion] == 0).any(0).sum())
    return f"{lacking} patients with lesion have no value in some repeat" if lacking else None


def _few_repeats(repeats: tuple[int, ...]) -> str | None:
    if min(repeats) >= FEWEST_REPEATS:
        return None
    return (
        f"a difference over repeats needs at least {FEWEST_REPEATS} of both variants, and there are "
        f"{' and '.join(map(str, repeats))}"
    )


def _pooled_parts(
    nums: Sequence[Floats], dens: Sequence[Floats], lesion: Bools, signs: tuple[int, ...], *, paired: bool
) -> _Parts:
    """Parts of the variance of the signed sum of the variants' pooled scores."""
    patients, free = int(lesion.sum()), int((~lesion).sum())
    size = np.where(lesion, patients, free)
    left, each, alarm = np.zeros(len(lesion)), np.zeros(patients), np.zeros(free)
    weight, share = np.zeros(patients), 0.0
    thetas, left_out, dices = [], [], []
    for sign, num, den in zip(signs, nums, dens, strict=True):
        whole = den.sum(1, keepdims=True)
        theta = num.sum(1, keepdims=True) / whole
        loo = _leave_one_out(num, den, lesion, theta)
        dice = num[:, lesion] / den[:, lesion]
        left += sign * (loo - theta).mean(0)
        each += sign * dice.mean(0)
        alarm += sign * (theta * den[:, ~lesion] / whole).mean(0)
        own = den[:, lesion].sum(1)
        weight += (den[:, lesion] / own[:, None]).mean(0) / len(signs)
        share += float((own / whole[:, 0]).mean()) / len(signs)
        thetas.append(sign * theta[:, 0])
        left_out.append(sign * (loo - theta))
        dices.append(sign * (dice - dice.mean(1, keepdims=True)))
    concentration = float((weight**2).sum()) * share**2  # 1 / effective number of patients
    jackknife = float(((size - 1) / size * left**2).sum())
    even = float(each.var(ddof=1)) * concentration + (free * float(alarm.var(ddof=1)) if free > 1 else 0.0)
    repeat, degrees = _repeat_parts(thetas, paired=paired)

    def joint(loo: Floats, dice: Floats) -> float:
        repeats = len(loo)
        if repeats < FEWEST_REPEATS:
            return 0.0
        jack = float(((size - 1) / size * loo.var(0, ddof=1)).sum()) / repeats
        alike = concentration * float(dice.var(0, ddof=1).sum()) / (repeats * (patients - 1))
        return JACKKNIFE * jack + (1 - JACKKNIFE) * alike

    if paired:
        together = joint(left_out[0] + left_out[1], dices[0] + dices[1])
    else:
        together = sum(joint(loo, dice) for loo, dice in zip(left_out, dices, strict=True))
    value = float(sum(theta.mean() for theta in thetas))
    variance = JACKKNIFE * jackknife + (1 - JACKKNIFE) * even
    effective = 1 / concentration if concentration else None
    return _Parts(value, variance, repeat, degrees, together, patients, effective)


def _leave_one_out(num: Floats, den: Floats, lesion: Bools, theta: Floats) -> Floats:
    """The pooled score (R, P) without each patient, the rest of its stratum filling the gap. A patient alone in its
    stratum stays fixed, and so adds no variance."""
    out = np.repeat(theta, num.shape[1], axis=1)
    total, whole = num.sum(1, keepdims=True), den.sum(1, keepdims=True)
    for stratum in (lesion, ~lesion):
        members = int(stratum.sum())
        if members < 2:
            continue
        own, size = num[:, stratum].sum(1, keepdims=True), den[:, stratum].sum(1, keepdims=True)
        filled = members / (members - 1)
        above = total - own + (own - num[:, stratum]) * filled
        below = whole - size + (size - den[:, stratum]) * filled
        out[:, stratum] = above / below
    return out


def _mean_parts(scores: Sequence[Floats], signs: tuple[int, ...], *, paired: bool) -> _Parts:
    """Parts of the variance of the signed sum of the variants' means over patients."""
    patients = scores[0].shape[1]
    each = sum((sign * own.mean(0) for sign, own in zip(signs, scores, strict=True)), np.zeros(patients))
    centred = [sign * (own - own.mean(1, keepdims=True)) for sign, own in zip(signs, scores, strict=True)]
    means = [sign * own.mean(1) for sign, own in zip(signs, scores, strict=True)]
    if paired:
        centred = [centred[0] + centred[1]]
    joint = sum(float(own.var(0, ddof=1).sum()) / (len(own) * patients * (patients - 1)) for own in centred)
    repeat, degrees = _repeat_parts(means, paired=paired)
    variance = float(each.var(ddof=1)) / patients
    return _Parts(float(each.mean()), variance, repeat, degrees, joint, patients)


def _repeat_parts(signed: Sequence[Floats], *, paired: bool) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Variance of each variant's mean over its repeats, and its degrees of freedom; of the pairs' where paired."""
    columns = [signed[0] + signed[1]] if paired else [each for each in signed if len(each) >= FEWEST_REPEATS]
    variances = tuple(float(each.var(ddof=1)) / len(each) for each in columns)
    return variances, tuple(len(each) - 1 for each in columns)


def _on_logit_scale(parts: _Parts, repeats: tuple[int, ...]) -> Estimate:
    """The t interval of a score in 0..1, on the logit scale."""
    low = high = degrees = reason = None
    if not 0 < parts.value < 1:
        reason = (
            f"every patient with lesion scores {parts.value:g}: nothing varies that an interval could rest on"
        )
    elif parts.variance <= NOTHING:
        low = high = parts.value
    else:
        degrees = parts.degrees
        logit = math.log(parts.value / (1 - parts.value))
        half = _t(degrees) * math.sqrt(parts.variance) / (parts.value * (1 - parts.value))
        low, high = (float(scipy.special.expit(logit + side * half)) for side in (-1, 1))
    return _estimate(parts, repeats, low, high, None, degrees, reason)


def _difference(parts: _Parts, repeats: tuple[int, ...], bounds: tuple[float, float] | None) -> Estimate:
    if parts.variance <= NOTHING:
        same = abs(parts.value) <= math.sqrt(NOTHING)
        reason = None if same else "nothing varies, neither over patients nor over repeats: no p"
        return _estimate(parts, repeats, parts.value, parts.value, 1.0 if same else None, None, reason)
    degrees, error = parts.degrees, math.sqrt(parts.variance)
    half = _t(degrees) * error
    low, high = parts.value - half, parts.value + half
    if bounds:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    p = reason = None
    if parts.patients < FEWEST_FOR_P:
        reason = f"no p from {parts.patients} patients, {FEWEST_FOR_P} are needed"
    else:
        p = min(1.0, 2 * float(scipy.stats.t.sf(abs(parts.value) / error, degrees)))
    return _estimate(parts, repeats, low, high, p, degrees, reason)


def _t(degrees: float) -> float:
    return float(scipy.stats.t.ppf(1 - LEVEL / 2, degrees))


def _estimate(
    parts: _Parts,
    repeats: tuple[int, ...],
    low: float | None,
    high: float | None,
    p: float | None,
    degrees: float | None,
    reason: str | None,
) -> Estimate:
    return Estimate(
        parts.value,
        low,
        high,
        p,
        parts.effective,
        reason,
        parts.patients,
        repeats,
        degrees,
        parts.patient,
        parts.repeat,
        parts.joint,
    )
