"""Computes many studies of simulated.py at once: the parts of variance of each, and how far its interval reaches.

The parts are computed a second time here, by arrays that hold many studies, and `check` compares them with the
product's. Everything that is calculated from the parts uses the product's own code.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from simulated import ALARM_SD, ALARM_SIZE, INTERCEPT, PRONE, Simulation, expit

from hnscc.base.arrays import Floats
from hnscc.scores import two_way_t
from hnscc.scores.crossed import mean_difference, pooled_difference, pooled_interval
from hnscc.scores.intervals import ALPHA
from hnscc.scores.two_way_t import JACKKNIFE, variance_of

PAIRS = list(itertools.combinations(range(4), 2))
HELD = ALPHA / len(PAIRS)  # Holm's correction calls a pair of four different only if the least p is below it
AT_ONCE = 1_000_000  # scores of one variant that are held at once
CHECKED = 10  # for so many of the studies held at once, the product is called too


@dataclass(frozen=True)
class Variant:
    """The outcomes of a variant's trainings in S studies at once: Dice (S, R, P), false alarms (S, R, C), the lesions'
    sizes (S, P) and the effects of the trainings (S, R)."""

    dice: Floats
    alarm: Floats
    truth: Floats
    effects: Floats

    def counts(self, study: int) -> tuple[Floats, Floats, Floats]:
        """Return overlap, prediction and truth (R, P + C) of one study, as the product takes them."""
        dice, alarm = self.dice[study], self.alarm[study]
        truth = np.broadcast_to(self.truth[study], dice.shape)
        nothing = np.zeros_like(alarm)
        return np.hstack([dice * truth, nothing]), np.hstack([truth, alarm]), np.hstack([truth, nothing])


@dataclass(frozen=True)
class Parts:
    """The values of S studies and their parts of variance, (S,) each. repeat: of each variant; of one model, none.
    effective: how many lesion patients of equal weight would carry as much."""

    value: Floats
    patient: Floats
    repeat: tuple[Floats, ...]
    joint: Floats
    effective: Floats

    @property
    def brought(self) -> Floats:
        """The variance that the repeats of all variants bring (S,)."""
        return np.asarray(np.sum(self.repeat, axis=0))

    @property
    def share(self) -> Floats:
        return self.brought / (self.patient + self.brought)

    def squares(self) -> Floats:
        return np.asarray(np.sum(np.square(self.repeat), axis=0))

    def of(self, study: int) -> "Parts":
        """Return the parts of one study alone."""
        one = slice(study, study + 1)
        repeat = tuple(each[one] for each in self.repeat)
        return Parts(self.value[one], self.patient[one], repeat, self.joint[one], self.effective[one])


def sizes_of(studies: int, patients: int, repeats: int) -> list[int]:
    """Return the sizes of the groups into which so many studies are divided. Each group is held at once."""
    at_once = max(1, AT_ONCE // (repeats * patients))
    return [min(at_once, studies - first) for first in range(0, studies, at_once)]


def variants(
    simulation: Simulation,
    patients: int,
    repeats: int,
    studies: int,
    rng: np.random.Generator,
    shifts: Sequence[float] = (0.0,) * 4,
) -> list[Variant]:
    """Return variants of so many studies. By default four equal ones; shifts: how much better than the simulation each
    is, on the logit scale."""
    log_size = rng.normal(0, simulation.size, (studies, patients))
    level = INTERCEPT + simulation.slope * log_size + rng.normal(0, simulation.patient, log_size.shape)
    hard = rng.random(log_size.shape) < simulation.hard
    free = (studies, patients // 2)
    alarm = (rng.random(free) < PRONE) * ALARM_SIZE * np.exp(rng.normal(0, ALARM_SD, free))
    found = []
    for shift in shifts:
        shape = (studies, repeats, patients)
        own = level + rng.normal(0, simulation.by_variant, log_size.shape)
        effects = rng.normal(shift, simulation.training, (studies, repeats))
        dice = expit(own[:, None] + effects[:, :, None] + rng.normal(0, simulation.by_patient, shape))
        dice[(rng.random(shape) < 0.9) & hard[:, None]] = 0.0
        of_alarm: Floats = np.exp(rng.normal(0, simulation.by_patient, (studies, repeats, free[1])))
        found.append(Variant(dice, alarm[:, None] * of_alarm, np.exp(log_size), effects))
    return found


def pooled(*signed: tuple[int, Variant]) -> Parts:
    """Return the parts of a variant's pooled Dice, or of the difference of two, by scores/two_way_t.py."""
    _, patients = signed[0][1].truth.shape
    free = signed[0][1].alarm.shape[2]
    spared = np.repeat([1 - 1 / patients, 1 - 1 / max(free, 1)], [patients, free])
    weight = signed[0][1].truth / signed[0][1].truth.sum(1, keepdims=True)
    signs = [sign for sign, _ in signed]
    thetas, outs, alarms, shares = zip(*(_pooled_side(own) for _, own in signed), strict=True)
    crowding = (weight**2).sum(1)
    concentration = crowding * np.mean(shares, axis=0) ** 2
    left, alarm = _signed(signs, (out.mean(1) for out in outs)), _signed(signs, alarms)
    even = _signed(signs, (own.dice.mean(1) for _, own in signed)).var(1, ddof=1) * concentration
    even += free * alarm.var(1, ddof=1) if free > 1 else 0.0
    joint = np.zeros(len(concentration))
    repeats = signed[0][1].dice.shape[1]
    for (_, own), out in zip(signed, outs, strict=True) if repeats > 1 else ():
        joint += JACKKNIFE * (spared * out.var(1, ddof=1)).sum(1) / repeats
        joint += (1 - JACKKNIFE) * concentration * _about_repeats(own) / (repeats * (patients - 1))
    return Parts(
        _signed(signs, (theta.mean(1) for theta in thetas)),
        JACKKNIFE * (spared * left**2).sum(1) + (1 - JACKKNIFE) * even,
        tuple(theta.var(1, ddof=1) / repeats for theta in thetas) if repeats > 1 else (),
        joint,
        1 / crowding,
    )


def _signed(signs: list[int], each: Iterable[Floats]) -> Floats:
    return np.asarray(np.sum([sign * own for sign, own in zip(signs, each, strict=True)], axis=0))


def _pooled_side(own: Variant) -> tuple[Floats, Floats, Floats, Floats]:
    """Return pooled Dice (S, R), how far it moves without each patient (S, R, P + C), false alarms (S, C), and the
    lesions' share."""
    num, size = 2 * own.dice * own.truth[:, None], 2 * own.truth[:, None]
    above, lesions, alarms = (each.sum(2, keepdims=True) for each in (num, size, own.alarm))
    whole = lesions + alarms
    theta = above / whole
    filled, free = num.shape[2] / (num.shape[2] - 1), own.alarm.shape[2]
    without = filled * (above - num) / (alarms + filled * (lesions - size)) - theta
    spread = free / (free - 1) if free > 1 else 1.0
    spared = (
        above / (lesions + spread * (alarms - own.alarm)) - theta if free > 1 else np.zeros_like(own.alarm)
    )
    out = np.concatenate([without, spared], axis=2)
    return theta[:, :, 0], out, (theta * own.alarm / whole).mean(1), (lesions / whole)[:, :, 0].mean(1)


def _about_repeats(own: Variant) -> Floats:
    """Return how much the patients' Dice vary over repeats about the repeats' own means, summed over patients (S,)."""
    return np.asarray((own.dice - own.dice.mean(2, keepdims=True)).var(1, ddof=1).sum(1))


def means(a: Variant, b: Variant) -> Parts:
    """Return the parts of the difference of two variants' mean Dice over patients."""
    each = a.dice.mean(1) - b.dice.mean(1)
    _, repeats, patients = a.dice.shape
    return Parts(
        each.mean(1),
        each.var(1, ddof=1) / patients,
        tuple(own.dice.mean(2).var(1, ddof=1) / repeats for own in (a, b)),
        (_about_repeats(a) + _about_repeats(b)) / (repeats * patients * (patients - 1)),
        np.full(len(each), float(patients)),
    )


def repeats_degrees(found: Parts, repeats: int) -> Floats | float:
    """Return Satterthwaite's degrees of freedom of the repeats of all variants. For one model it is 1, since its
    repeats have no weight."""
    return found.brought**2 * (repeats - 1) / found.squares() if found.repeat else 1.0


def error(found: Parts) -> Floats:
    return np.asarray(np.sqrt(variance_of(found.patient, found.brought, found.joint)))


def reach(found: Parts, patients: int, repeats: int, chance: float) -> Floats:
    """Return how far an interval of 1 - chance reaches to either side, by the product."""
    degrees = repeats_degrees(found, repeats)
    return error(found) * two_way_t.limits(chance, found.share, patients - 1, degrees)


def check(a: Variant, b: Variant, ours: Sequence[Parts]) -> None:
    """Check that the product's own functions find the same in the first studies: the interval of the first model, that
    of variant a, and intervals and p of the pooled difference and of that of the means."""
    _, repeats, patients = a.dice.shape
    for study in range(min(CHECKED, len(a.dice))):
        counts_a, counts_b = a.counts(study), b.counts(study)
        theirs = (
            pooled_interval(*(each[0] for each in counts_a)),
            pooled_interval(*counts_a),
            pooled_difference(counts_a, counts_b),
            mean_difference(a.dice[study], b.dice[study]),
        )
        for parts, product, number in zip(ours, theirs, (1, repeats, repeats, repeats), strict=True):
            own = parts.of(study)
            assert product.value is not None and product.spread
            np.testing.assert_allclose(own.value, product.value, rtol=1e-6, atol=1e-12)
            for chance in (ALPHA, HELD, product.p or ALPHA):
                limit = product.spread.limit(chance) * product.spread.error
                np.testing.assert_allclose(reach(own, patients, number, chance), limit, rtol=1e-6)
            if product.p:
                np.testing.assert_allclose(reach(own, patients, number, product.p), abs(own.value), rtol=1e-6)


def together(found: Sequence[Parts]) -> Parts:
    """Return the parts of all these studies in one."""
    return Parts(
        np.concatenate([each.value for each in found]),
        np.concatenate([each.patient for each in found]),
        tuple(np.concatenate(each) for each in zip(*(each.repeat for each in found), strict=True)),
        np.concatenate([each.joint for each in found]),
        np.concatenate([each.effective for each in found]),
    )
