"""What a finished study shows about the next one, the patients and repeats needed to see a difference: `hnscc plan`."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TypedDict

import numpy as np

from hnscc.aggregation.comparisons import paired_results
from hnscc.aggregation.enough_repeats import repeats_shown
from hnscc.aggregation.results import Results, read_trials, repeat_slices
from hnscc.base import fewest
from hnscc.base.argument_checks import HALF_WIDTH, POWER, SEE, check_number, check_whole
from hnscc.base.errors import InputError
from hnscc.commands.checked import RepeatsFacts, repeats_facts
from hnscc.scores.counts import Counts
from hnscc.scores.crossed import Estimate, pooled_difference
from hnscc.scores.forecasts import (
    Design,
    RepeatsOfBoth,
    design_of,
    designs_at_limits,
    power,
    smallest_seen,
)
from hnscc.scores.intervals import hardly_overlaps
from hnscc.scores.metrics import DICE
from hnscc.scores.needed import Needed, patients_needed, repeats_needed, smallest_study
from hnscc.study.loading import kept_study
from hnscc.study.run_folder import RunFolder


class NeededFacts(TypedDict):
    """How many are needed. low, high: the middle 80 % of the pilot's own uncertainty. None, with the reason, where even
    the most that is tried does not suffice."""

    value: int | None
    low: int | None
    high: int | None
    reason: str | None


class SmallestFacts(TypedDict):
    """The study with the fewest patients x repeats that sees the difference asked for. repeats: of each variant.
    patients_needed: those with lesion, with these repeats."""

    repeats: int
    patients_needed: NeededFacts


class DesignFacts(TypedDict):
    """What a study of this size would see, as far as the pilot tells.

    patients: tested patients with lesion. repeats_a, repeats_b: of each variant. seen_from: the smallest true
    difference that is found with the chance asked for, None if not even a difference of 1 is. chance: the chance, 0 to
    1, with which the difference asked for is found. Each low and high: the middle 80 % of the pilot's own uncertainty.
    """

    patients: int
    repeats_a: int
    repeats_b: int
    seen_from: float | None
    seen_from_low: float | None
    seen_from_high: float | None
    chance: float
    chance_low: float
    chance_high: float


class PairFacts(TypedDict):
    """What the pilot shows about one pair of variants, by pooled test Dice of all repeats at 0.5.

    patients: those with lesion. repeats_a, repeats_b: of each variant. seen_from: the smallest true difference that a
    study like the pilot finds with the chance asked for; of_twice_patients, of_twice_repeats: the same for one with
    twice as many of these. They are None if not even a difference of 1 is found so. patients_needed: with the pilot's
    repeats. repeats_needed: of each variant, with the pilot's patients. smallest_study: the one where both may differ
    from the pilot's, None where even the most of both do not suffice. planned: a study of the size asked for, None
    where none was. collapsed: for each variant, how many of its trainings marked no pixel, where any did. Where
    `reason` is not None there are no numbers.
    """

    variant_a: str
    variant_b: str
    difference: float | None
    patients: int
    repeats_a: int
    repeats_b: int
    seen_from: float | None
    of_twice_patients: float | None
    of_twice_repeats: float | None
    patients_needed: NeededFacts
    repeats_needed: NeededFacts
    smallest_study: SmallestFacts | None
    planned: DesignFacts | None
    collapsed: dict[str, int]
    reason: str | None


class SampleSize(TypedDict):
    """What a finished study shows about the next one. see: the difference that is to be seen. power: the chance of
    seeing it. pairs: every pair of variants. repeats_for_width: as in `hnscc check --half-width`, None unless
    asked for."""

    see: float
    power: float
    pairs: list[PairFacts]
    repeats_for_width: RepeatsFacts | None


@dataclass(frozen=True)
class Asked:
    """The questions to a pilot. see, power: what it takes to see a difference of `see` with the chance `power`.
    patients, repeats: what a study of so many patients with lesion and repeats of each variant sees; if only one is
    given, the other is the pilot's. half_width: how many repeats give each variant's median test Dice within that to
    either side."""

    see: float
    power: float
    patients: int | None = None
    repeats: int | None = None
    half_width: float | None = None


def sample_size_of(folder: RunFolder, asked: Asked) -> SampleSize:
    """Read a run folder's completed trials, and return what a study needs to see a difference in pooled Dice.

    InputError where a number lies beyond its limits, where the folder holds a search, where there are fewer than two
    variants and no half_width is asked for, where a fold cannot be read, or where the size asked for is one that is
    not tested.
    """
    check_number("see", asked.see, *SEE)
    check_number("power", asked.power, *POWER)
    if asked.half_width is not None:
        check_number("half_width", asked.half_width, *HALF_WIDTH)
    for name, number in (("patients", asked.patients), ("repeats", asked.repeats)):
        if number is not None:
            check_whole(name, number, 1)
    results = read_trials(folder, kept_study(folder))
    if results.study.search or (len(results.study.variants) < 2 and asked.half_width is None):
        raise InputError(
            "There is no difference between variants to plan from.",
            where=str(folder.root),
            expected="a study of at least two variants, whose completed trials serve as a pilot",
            found="a search" if results.study.search else "one variant",
            do="run a small study of the variants that are to be compared, and plan from it",
        )
    pairs = [_pair(results, *pair, asked) for pair in combinations(results.study.variants, 2)]
    wanted = None if asked.half_width is None else _repeats_for_width(results, asked.half_width)
    return {"see": asked.see, "power": asked.power, "pairs": pairs, "repeats_for_width": wanted}


def _repeats_for_width(results: Results, half_width: float) -> RepeatsFacts:
    needed = {name: each.repeats_for_width(half_width) for name, each in repeats_shown(results).items()}
    return repeats_facts(half_width, needed)


def _pair(results: Results, a: str, b: str, asked: Asked) -> PairFacts:
    of_pair, paired = paired_results(results, a, b)
    _check_size(asked, paired)
    pooled = [repeat_slices(of_pair, each, "test").by_patient() for each in (a, b)]
    found = _difference(*pooled, paired=paired)
    design = design_of(found, paired)
    reason = _no_pilot(results, dict(zip((a, b), pooled, strict=True))) or found.reason
    reason = reason or (design if isinstance(design, str) else None)
    facts: PairFacts = {
        "variant_a": a,
        "variant_b": b,
        "difference": found.value,
        "patients": found.patients,
        "repeats_a": found.repeats[0],
        "repeats_b": found.repeats[1],
        "seen_from": None,
        "of_twice_patients": None,
        "of_twice_repeats": None,
        "patients_needed": _facts(Needed(None, None, None, reason)),
        "repeats_needed": _facts(Needed(None, None, None, reason)),
        "smallest_study": None,
        "planned": None,
        "collapsed": {each: number for each in (a, b) if (number := results.number_collapsed(each))},
        "reason": reason,
    }
    if reason is None and not isinstance(design, str):
        see, chance, patients, repeats = asked.see, asked.power, found.patients, found.repeats
        facts["seen_from"] = _seen(design, patients, repeats, chance)
        facts["of_twice_patients"] = _seen(design, 2 * patients, repeats, chance)
        facts["of_twice_repeats"] = _seen(design, patients, tuple(2 * n for n in repeats), chance)
        facts["patients_needed"] = _facts(patients_needed(found, see, repeats, chance, paired=paired))
        facts["repeats_needed"] = _facts(repeats_needed(found, see, patients, chance, paired=paired))
        if smallest := smallest_study(found, see, chance, paired=paired):
            facts["smallest_study"] = {"repeats": smallest[0], "patients_needed": _facts(smallest[1])}
        facts["planned"] = _of_size_asked(found, design, asked)
    return facts


def _check_size(asked: Asked, paired: bool) -> None:
    fewest_repeats = fewest.PAIRED_REPEATS if paired else fewest.REPEATS
    for number, least, what in (
        (asked.patients, fewest.PATIENTS_FOR_P, "patients"),
        (asked.repeats, fewest_repeats, "repeats"),
    ):
        if number is not None and number < least:
            raise InputError(
                "Variants are not compared in a study of that size.",
                where=f"--{what}",
                expected=f"at least {least} {what}",
                found=str(number),
                do="ask about a larger study",
            )


def _seen(design: Design, patients: int, repeats: RepeatsOfBoth, chance: float) -> float | None:
    seen = smallest_seen(design, patients, repeats, chance)
    return seen if seen <= DICE.range[1] - DICE.range[0] else None


def _of_size_asked(found: Estimate, design: Design, asked: Asked) -> DesignFacts | None:
    if asked.patients is None and asked.repeats is None:
        return None
    patients = asked.patients or found.patients
    repeats = (asked.repeats,) * 2 if asked.repeats else found.repeats
    each = (design, *designs_at_limits(found, design))
    seen, low, high = (_seen(known, patients, repeats, asked.power) for known in each)
    chance, chance_high, chance_low = (power(known, asked.see, patients, repeats) for known in each)
    return {
        "patients": patients,
        "repeats_a": repeats[0],
        "repeats_b": repeats[1],
        "seen_from": seen,
        "seen_from_low": low,
        "seen_from_high": high,
        "chance": chance,
        "chance_low": chance_low,
        "chance_high": chance_high,
    }


def _difference(a: Counts, b: Counts, *, paired: bool) -> Estimate:
    if not (len(a) and len(b)):
        return Estimate(None, reason="a variant has no completed repeat", repeats=(0, 0))
    counts_a, counts_b = ((each.overlap, each.pred, each.truth) for each in (a, b))
    return pooled_difference(counts_a, counts_b, paired, metric=DICE.name)


def _no_pilot(results: Results, pooled: Mapping[str, Counts]) -> str | None:
    """Return why a pair is no pilot: one of both mostly collapsed, or both hardly overlap the lesions. Their repeats
    then hardly differ, which says nothing about repeats that work. pooled: counts of each variant's repeats by patient,
    (R, P)."""
    for variant in pooled:
        if results.mostly_collapsed(variant):
            return (
                f"{variant} mostly collapsed: its repeats tell nothing of how much trainings that work differ"
            )
    scores = [DICE.of(each.pooled()) for each in pooled.values()]
    if all(len(each) and hardly_overlaps(float(np.median(each))) for each in scores):
        medians = " and ".join(f"{np.median(each):.3f}" for each in scores)
        return (
            f"both hardly overlap the lesions (median test Dice {medians}): their repeats tell nothing of how much "
            "trainings that work differ"
        )
    return None


def _facts(needed: Needed) -> NeededFacts:
    return {"value": needed.value, "low": needed.low, "high": needed.high, "reason": needed.reason}
