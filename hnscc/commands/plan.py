"""What a finished run folder tells of the next study: patients and repeats needed to see a difference, `hnscc plan`."""

from itertools import combinations
from typing import TypedDict

from hnscc.aggregation.cases import repeat_cases
from hnscc.aggregation.pairing import paired_results
from hnscc.aggregation.results import Results, read_trials
from hnscc.base.errors import InputError
from hnscc.scores.counts import Counts
from hnscc.scores.crossed import Estimate, pooled_difference
from hnscc.scores.metrics import DICE
from hnscc.scores.planner import Needed, patients_needed, repeats_needed, smallest_seen_by
from hnscc.study.loading import load_study
from hnscc.study.run_folder import RunFolder


class NeededFacts(TypedDict):
    """So many are needed; low and high: the middle 80 % of the pilot's own uncertainty. None, with the reason, where
    even the most do not suffice."""

    value: int | None
    low: int | None
    high: int | None
    reason: str | None


class PairFacts(TypedDict):
    """What the pilot tells of one pair of variants, by pooled test Dice of all repeats at 0.5.

    patients: with lesion. repeats: the fewer of both variants'. seen_from: the smallest true difference that a study
    like the pilot finds with the chance asked for. patients_needed: at the pilot's repeats; repeats_needed: of each
    variant, with the pilot's patients.
    """

    variant_a: str
    variant_b: str
    difference: float | None
    patients: int
    repeats: int
    seen_from: float | None
    patients_needed: NeededFacts
    repeats_needed: NeededFacts
    reason: str | None


class Plan(TypedDict):
    """see: the difference that is to be seen; power: with which chance; pairs: every pair of variants."""

    see: float
    power: float
    pairs: list[PairFacts]


def plan_study(folder: RunFolder, see: float, power: float) -> Plan:
    """Read a run folder's finished trials, and tell what a study needs to see a difference of `see` in pooled Dice.

    InputError where the folder holds a search or fewer than two variants, or where a fold cannot be read.
    """
    results = read_trials(folder, load_study(folder.study))
    if results.study.search or len(results.study.variants) < 2:
        raise InputError(
            "There is no difference between variants to plan from.",
            where=str(folder.root),
            expected="a study of at least two variants, whose finished trials serve as a pilot",
            found="a search" if results.study.search else "one variant",
            do="run a small study of the variants that are to be compared, and plan from it",
        )
    pairs = [_pair(results, *pair, see, power) for pair in combinations(results.study.variants, 2)]
    return {"see": see, "power": power, "pairs": pairs}


def _pair(results: Results, a: str, b: str, see: float, power: float) -> PairFacts:
    of_pair, paired = paired_results(results, a, b)
    pooled = [repeat_cases(of_pair, each, "test").by_patient() for each in (a, b)]
    pilot = _difference(*pooled, paired=paired)
    repeats = min(pilot.repeats)
    return {
        "variant_a": a,
        "variant_b": b,
        "difference": pilot.value,
        "patients": pilot.patients,
        "repeats": repeats,
        "seen_from": smallest_seen_by(pilot, power),
        "patients_needed": _facts(patients_needed(pilot, see, max(repeats, 2), power, paired=paired)),
        "repeats_needed": _facts(repeats_needed(pilot, see, max(pilot.patients, 2), power, paired=paired)),
        "reason": _collapsed(results, a, b) or pilot.reason,
    }


def _difference(a: Counts, b: Counts, *, paired: bool) -> Estimate:
    if not (len(a) and len(b)):
        return Estimate(None, reason="a variant has no completed repeat", repeats=(0, 0))
    counts_a, counts_b = ((each.overlap, each.pred, each.truth) for each in (a, b))
    return pooled_difference(counts_a, counts_b, paired, kind=DICE.name)


def _collapsed(results: Results, *variants: str) -> str | None:
    """A collapsed variant's repeats hardly differ, which says nothing of trainings that work."""
    for variant in variants:
        if results.collapsed(variant):
            return f"{variant} collapsed: its repeats tell nothing of how much trainings that work differ"
    return None


def _facts(needed: Needed) -> NeededFacts:
    return {"value": needed.value, "low": needed.low, "high": needed.high, "reason": needed.reason}


def plan_lines(plan: Plan) -> list[str]:
    """The plan as sentences, one pair after another."""
    chance = f"{100 * plan['power']:.0f} of 100"
    lines = [f"To see a difference of {plan['see']:g} in pooled {DICE.label} in {chance} studies:"]
    for pair in plan["pairs"]:
        name = f"{pair['variant_a']} and {pair['variant_b']}"
        if pair["reason"] or pair["seen_from"] is None:
            lines.append(f"{name}: not known ({pair['reason'] or 'nothing varied in the pilot'})")
            continue
        lines.append(
            f"{name}: this study ({pair['patients']} patients with lesion, {pair['repeats']} repeats) sees differences "
            f"from {pair['seen_from']:.3f} on"
        )
        lines.append(
            f"    patients with lesion, at {pair['repeats']} repeats: {_told(pair['patients_needed'])}"
        )
        lines.append(
            f"    repeats of each, with {pair['patients']} patients: {_told(pair['repeats_needed'])}"
        )
    return lines


def _told(needed: NeededFacts) -> str:
    if needed["value"] is None:
        return needed["reason"] or "not known"
    high = needed["high"] or "more than can be planned"
    return f"about {needed['value']} ({needed['low']} to {high}: a pilot knows its own spread only so well)"
