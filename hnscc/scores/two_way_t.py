"""The two-way t distribution: the parts of a score's variance over patients and repeats, and how far luck may move it.

Pooled scores weigh patients by their pixels, so their variance over patients is a weighted mean of two estimates: the
jackknife (which assumes nothing, and is noisy) and one that assumes that the scores of large and small lesions spread
alike. The weights 3/4 and 1/4 are a compromise found by simulation (docs/explanation/validity.md).

The sum of two variances that are known with different degrees of freedom has no t distribution. Satterthwaite's degrees
take both shares as known: with 2 repeats, whose variance is often small by chance, equal variants were called different
far too often. Cochran (1964, Biometrics 20: 191-195) takes the mean of both t limits, weighted by the shares: right
where one part is all, too cautious in between. Here it is the mean of their squares (limits of F), which is nearer to
the larger one at the small chances that Holm's correction needs. The repeats' limit is weighted by a power of their
share, higher with fewer patients, whose own limit is then wide enough for a variance of repeats that is small by
chance. The patients' degrees are divided by the patients' share; Satterthwaite's formula divides by its square.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import scipy.optimize
import scipy.special

from hnscc.base import fewest
from hnscc.base.arrays import Bools, Floats
from hnscc.scores.intervals import ALPHA

# The power of the repeats' share is WEIGHT x (1 + FEW / degrees of the patients): 3.5 of 5 patients, 1.87 of 60. Both
# are compromises found by simulation (docs/explanation/statistics.md). The smaller the power, the fewer equal variants
# are called different with 2 repeats, too few by Cochran's own 1; the larger, the more often a pair of four holds up.
WEIGHT = 1.75
FEW = 4.0
NEVER = 1e-9  # a smaller share of the patients has no weight, and is no divisor
LEAST = 1e-200  # no p is told below it: where a t distribution reaches it, floating point ends
Number = TypeVar("Number", float, Floats)
JACKKNIFE = 0.75  # weight of the jackknife; the rest goes to the estimate by equal spread
NOTHING = 1e-24  # a variance below this is rounding, of scores that reach 1
# Why there is no interval where nothing `varies`: one without width would say that the value is known exactly.
NOTHING_VARIES = (
    "neither patients nor repeats are seen to vary: there is nothing that an interval could rest on"
)


def limits(chance: float, share: Floats | float, patients: float, repeats: Floats | float) -> Floats:
    """Return the number of standard errors that a value whose true value is 0 exceeds with this chance, in
    either direction.

    share: of the variance that the repeats bring, 0..1. patients, repeats: degrees of freedom of the two parts. All are
    numbers, or share and repeats arrays of any shape that broadcast together.
    """
    weight = np.asarray(share) ** (WEIGHT * (1 + FEW / patients))
    of_patients = -scipy.special.stdtrit(patients / np.maximum(1 - np.asarray(share), NEVER), chance / 2)
    of_repeats = -scipy.special.stdtrit(repeats, chance / 2)
    # Squares of limits at the least p would be beyond floating point, which hypot avoids.
    return np.asarray(np.hypot(np.sqrt(1 - weight) * of_patients, np.sqrt(weight) * of_repeats))


@dataclass(frozen=True)
class Spread:
    """The standard error of a value, the share of its variance that the repeats bring, and the degrees of freedom of
    the patients and of the repeats."""

    error: float
    share: float
    patients: float
    repeats: float

    def limit(self, chance: float = ALPHA) -> float:
        """Return how many standard errors an interval of 1 - chance extends to either side."""
        return float(limits(chance, self.share, self.patients, self.repeats))

    def half_width(self) -> float:
        """Return how far a 95 % interval extends to either side."""
        return self.limit() * self.error

    def p(self, distance: float) -> float:
        """Return the chance, 0..1, that a value whose true value is 0 comes out this far from 0 or farther, in either
        direction: the level whose interval just reaches 0."""
        away = abs(distance) / self.error
        # The limit lies between two t limits, so p lies between their two p.
        both = [
            max(LEAST, 2 * float(scipy.special.stdtr(degrees, -away)))
            for degrees in (self.patients / max(1 - self.share, NEVER), self.repeats)
        ]
        low, high = (math.log(each) for each in sorted(both))
        if self._beyond(low, away) <= 0:
            return math.exp(low)
        if self._beyond(high, away) >= 0:
            return math.exp(high)
        return math.exp(scipy.optimize.brentq(self._beyond, low, high, args=(away,), xtol=1e-10))

    def _beyond(self, log_chance: float, away: float) -> float:
        """Return how far the limit of a chance lies beyond so many standard errors; it falls as the chance rises."""
        return self.limit(math.exp(log_chance)) - away


def variance_of(patient: Number, repeats: Number, joint: Floats | float) -> Number:
    """Return the variance that these parts make. The first two each contain the third, which is therefore subtracted
    once, but at most half of their sum. In truth it is no larger than either, so that the variance is at least the
    larger of the two. But the larger of two estimates is too large on average: with that as the least variance, the
    intervals for 5 patients and 2 repeats were too wide. Variances: numbers, or arrays of one shape."""
    both = patient + repeats
    held: Any = np.minimum(joint, both / 2)
    variance: Number = both - held
    return variance


def satterthwaite(variances: Sequence[Number], degrees: Sequence[float]) -> Number:
    """Return the degrees of freedom of a sum of independent variances with their own degrees; where none varies, the
    first's. Variances, in any unit: numbers, or arrays of any shape, all of the same one."""
    whole: Any = sum(variances)
    below: Any = sum(part**2 / own for part, own in zip(variances, degrees, strict=True))
    found: Number = whole**2 / below if np.any(below) else whole * 0 + degrees[0]
    return found


def degrees_of_repeats(variances: Sequence[Number], degrees: Sequence[int]) -> Number:
    """Return the degrees of freedom of the sum of the variants' variances of repeats: Satterthwaite's, since variants
    may spread differently, but at most those of variants that spread alike. Else, with different numbers of repeats,
    the degrees would be those of the many if the few vary little by luck. Numbers, or arrays of any one shape."""
    found: Any = satterthwaite(variances, degrees)
    if len(set(degrees)) > 1:
        found = np.minimum(found, satterthwaite([1 / (own + 1) for own in degrees], degrees))
    least: Number = found
    return least


@dataclass(frozen=True)
class VarianceParts:
    """A value and the parts of its variance: patient, repeat (of each variant, with repeat_degrees of freedom) and
    joint. patients: how many hold lesion. effective: how many of equal weight would tell as much. nothing: a variance
    up to this is rounding, given the size of the scores."""

    value: float
    patient: float
    repeat: tuple[float, ...]
    repeat_degrees: tuple[int, ...]
    joint: float
    patients: int
    effective: float | None = None
    nothing: float = NOTHING

    @property
    def variance(self) -> float:
        return variance_of(self.patient, sum(self.repeat), self.joint)

    @property
    def varies(self) -> bool:
        """Whether anything is seen to vary, beyond rounding."""
        return self.variance > self.nothing

    @property
    def spread(self) -> Spread:
        """What an interval and p rest on, where anything varies."""
        repeats = sum(self.repeat)
        # One model has no repeats, which then weigh nothing.
        degrees = float(degrees_of_repeats(self.repeat, self.repeat_degrees)) if self.repeat else 1.0
        share = repeats / (self.patient + repeats)
        return Spread(math.sqrt(self.variance), share, self.patients - 1.0, degrees)


@dataclass(frozen=True)
class _Side:
    """What the repeats of one variant bring to the parts, with the sign of the variant where signs matter.

    theta: signed pooled scores (R,). left_out: how far each signed score (R, N) moves without a patient. dice: signed
    scores of the P lesion patients (R, P). alarm: signed false alarms of the C others (C,), as shares of the whole.
    weight: of each lesion patient among these (P,). lesion_part: the share of the lesion patients in the whole.
    """

    theta: Floats
    left_out: Floats
    dice: Floats
    alarm: Floats
    weight: Floats
    lesion_part: float


def _side(sign: int, num: Floats, den: Floats, lesion: Bools) -> _Side:
    """Return what the variance of one variant's pooled score is made of. num, den: numerator and denominator (R, N) of
    every patient's score, in pixels or ml. lesion: (N,). sign: 1, or -1 for the variant that is subtracted."""
    whole = den.sum(1, keepdims=True)
    theta = num.sum(1, keepdims=True) / whole
    own = den[:, lesion].sum(1)
    return _Side(
        theta=sign * theta[:, 0],
        left_out=sign * (_leave_one_out(num, den, lesion, theta) - theta),
        dice=sign * num[:, lesion] / den[:, lesion],
        alarm=sign * (theta * den[:, ~lesion] / whole).mean(0),
        weight=(den[:, lesion] / own[:, None]).mean(0),
        lesion_part=float((own / whole[:, 0]).mean()),
    )


def pooled_parts(
    nums: Sequence[Floats], dens: Sequence[Floats], lesion: Bools, signs: tuple[int, ...], *, paired: bool
) -> VarianceParts:
    """Return the parts of the variance of the signed sum of the variants' pooled scores.

    nums, dens: for each variant numerator and denominator (R, N) of every patient's score, in pixels or ml. lesion:
    bool (N,). signs: 1, or 1 and -1. paired: repeats are paired by number, and only their differences vary.
    """
    sides = [_side(*each, lesion) for each in zip(signs, nums, dens, strict=True)]
    patients, free = int(lesion.sum()), int((~lesion).sum())
    spared = np.where(lesion, 1 - 1 / patients, 1 - 1 / max(free, 1))  # (n - 1) / n of its stratum
    weight = np.mean([each.weight for each in sides], axis=0)
    crowding = float((weight**2).sum())  # 1 / effective number of lesion patients
    # This is for the variance of the whole score, which includes false alarms in patients without lesion.
    concentration = crowding * float(np.mean([each.lesion_part for each in sides])) ** 2
    left = np.sum([each.left_out.mean(0) for each in sides], axis=0)
    of_each = np.sum([each.dice.mean(0) for each in sides], axis=0)
    alarm = np.sum([each.alarm for each in sides], axis=0)
    even = float(of_each.var(ddof=1)) * concentration
    even += free * float(alarm.var(ddof=1)) if free > 1 else 0.0
    repeat, degrees = _repeat_parts([each.theta for each in sides], paired=paired)
    return VarianceParts(
        value=float(sum(each.theta.mean() for each in sides)),
        patient=JACKKNIFE * float((spared * left**2).sum()) + (1 - JACKKNIFE) * even,
        repeat=repeat,
        repeat_degrees=degrees,
        joint=sum(_joint(*each, spared, concentration) for each in _varying(sides, paired)),
        patients=patients,
        effective=1 / crowding,
    )


def _varying(sides: Sequence[_Side], paired: bool) -> list[tuple[Floats, Floats]]:
    """Return what varies from repeat to repeat, `left_out` (R, N) and `dice` (R, P) as in `_Side`, for each variant, or
    for the pairs of repeats."""
    if paired:
        return [(sides[0].left_out + sides[1].left_out, sides[0].dice + sides[1].dice)]
    return [(each.left_out, each.dice) for each in sides]


def _joint(left_out: Floats, dice: Floats, spared: Floats, concentration: float) -> float:
    """Return how much patients' scores vary from repeat to repeat around the repeat's own score: left_out (R, N), dice
    (R, P), as in `_Side`; spared: (N,), (n - 1) / n of each patient's stratum."""
    repeats, patients = dice.shape
    if repeats < fewest.REPEATS:
        return 0.0
    jackknife = float((spared * left_out.var(0, ddof=1)).sum()) / repeats
    centred = dice - dice.mean(1, keepdims=True)
    even = concentration * float(centred.var(0, ddof=1).sum()) / (repeats * (patients - 1))
    return float(JACKKNIFE * jackknife + (1 - JACKKNIFE) * even)


def _leave_one_out(num: Floats, den: Floats, lesion: Bools, theta: Floats) -> Floats:
    """Return the pooled score (R, N) without each patient, the rest of its stratum filling the gap. A patient alone in
    its stratum stays, and so adds no variance. num, den: (R, N); lesion: (N,), as in `_side`; theta: (R, 1), the
    pooled scores."""
    out = np.repeat(theta, num.shape[1], axis=1)
    total, whole = num.sum(1, keepdims=True), den.sum(1, keepdims=True)
    for stratum in (lesion, ~lesion):
        members = int(stratum.sum())
        if members < 2:
            continue
        own, size = num[:, stratum].sum(1, keepdims=True), den[:, stratum].sum(1, keepdims=True)
        filled = members / (members - 1)
        above = total - own + (own - num[:, stratum]) * filled
        out[:, stratum] = above / (whole - size + (size - den[:, stratum]) * filled)
    return out


def mean_parts(scores: Sequence[Floats], signs: tuple[int, ...], *, paired: bool) -> VarianceParts:
    """Return the parts of the variance of the signed sum of the variants' means over patients. scores: (R, P) of each
    variant, in any unit, of the same P patients. signs: 1, or 1 and -1. paired: as in `pooled_parts`."""
    patients = scores[0].shape[1]
    largest = max(float(np.abs(own).max()) for own in scores)
    each = sum((sign * own.mean(0) for sign, own in zip(signs, scores, strict=True)), np.zeros(patients))
    centred = [sign * (own - own.mean(1, keepdims=True)) for sign, own in zip(signs, scores, strict=True)]
    means = [sign * own.mean(1) for sign, own in zip(signs, scores, strict=True)]
    if paired:
        centred = [centred[0] + centred[1]]
    joint = sum(
        float(own.var(0, ddof=1).sum()) / (len(own) * patients * (patients - 1))
        for own in centred
        if len(own) >= fewest.REPEATS
    )
    repeat, degrees = _repeat_parts(means, paired=paired)
    return VarianceParts(
        value=float(each.mean()),
        patient=float(each.var(ddof=1)) / patients,
        repeat=repeat,
        repeat_degrees=degrees,
        joint=joint,
        patients=patients,
        nothing=NOTHING * largest**2,
    )


def _repeat_parts(signed: Sequence[Floats], *, paired: bool) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Return the variance of each variant's mean over its repeats, and its degrees of freedom; of the pairs' mean if
    paired. signed: signed scores (R,) of each variant."""
    columns = [signed[0] + signed[1]] if paired else [each for each in signed if len(each) >= fewest.REPEATS]
    variances = tuple(float(each.var(ddof=1)) / len(each) for each in columns)
    return variances, tuple(len(each) - 1 for each in columns)
