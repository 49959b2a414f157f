"""How many patients and repeats a study needs to find a difference, by the forecasts of scores.forecasts."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from hnscc.base import fewest
from hnscc.scores.crossed import Estimate
from hnscc.scores.forecasts import (
    POWER,
    ROUNDING,
    Design,
    RepeatsOfBoth,
    check_chance,
    design_of,
    designs_at_limits,
    power,
)

MOST_PATIENTS, MOST_REPEATS = 10_000, 1_000


@dataclass(frozen=True)
class Needed:
    """So many are needed, with the range of the pilot's own uncertainty; None where even the most do not suffice."""

    value: int | None
    low: int | None
    high: int | None
    reason: str | None = None


def patients_needed(
    found: Estimate, difference: float, repeats: RepeatsOfBoth, chance: float = POWER, *, paired: bool = False
) -> Needed:
    """Lesion patients such that this true difference is found with this chance, at so many repeats of each variant, or
    of the one and of the other.

    At least 4, since no p is given of fewer. paired: whether the repeats are, of the pilot and of the next study.
    Raises ValueError for a difference of 0 or none, a chance that is not from 0.5 to below 1, and below 2 repeats.
    """
    _check_difference(difference)
    check_chance(chance)
    needed = _needed(
        found,
        partial(_finds, difference=difference, repeats=repeats, chance=chance),
        range(fewest.PATIENTS_FOR_P, MOST_PATIENTS + 1),
        found.patients,
        paired,
    )
    return _since(needed, f"not even {MOST_PATIENTS} suffice: so few repeats leave too much to chance")


def repeats_needed(
    found: Estimate, difference: float, patients: int, chance: float = POWER, *, paired: bool = False
) -> Needed:
    """Repeats of each variant such that this true difference is found with this chance, of so many lesion patients.

    At least 2, or 5 where they are paired, since fewer are not compared so; paired as for `patients_needed`. Raises
    ValueError as that does, and below 4 patients.
    """
    _check_difference(difference)
    check_chance(chance)
    needed = _needed(
        found,
        lambda design, n: _finds(design, patients, difference=difference, repeats=n, chance=chance),
        range(_fewest_repeats(paired), MOST_REPEATS + 1),
        max(found.repeats),
        paired,
    )
    return _since(needed, f"not even {MOST_REPEATS} suffice: so few patients leave too much to chance")


def smallest_study(
    found: Estimate, difference: float, chance: float = POWER, *, paired: bool = False
) -> tuple[int, Needed] | None:
    """Repeats of each variant, and the lesion patients that are needed with these, of the study with the fewest
    patients x repeats that finds this true difference with this chance; None where the pilot tells nothing, or even the
    most of both do not suffice.

    Repeats are tried one by one up to 8, and in steps of a quarter from there on. paired: as for `patients_needed`.
    Raises ValueError as that does.
    """
    _check_difference(difference)
    check_chance(chance)
    design = design_of(found, paired)
    if isinstance(design, str):
        return None
    best, least = 0, MOST_PATIENTS * MOST_REPEATS + 1
    for repeats in [*_growing(_fewest_repeats(paired), MOST_REPEATS), MOST_REPEATS]:
        most = min(MOST_PATIENTS, (least - 1) // repeats)  # more would not be a smaller study
        if most < fewest.PATIENTS_FOR_P:
            break
        finds = partial(_finds, difference=difference, repeats=repeats, chance=chance)
        if patients := _least(design, finds, range(fewest.PATIENTS_FOR_P, most + 1), found.patients):
            best, least = repeats, repeats * patients
    return (best, patients_needed(found, difference, best, chance, paired=paired)) if best else None


def _check_difference(difference: float) -> None:
    """ValueError for what is no difference that could be found: 0, or no finite number."""
    if not math.isfinite(difference) or difference == 0:
        raise ValueError(
            f"the difference to be found is a number other than 0, not {difference!r}; give the least that matters"
        )


def _finds(
    design: Design, patients: int, *, difference: float, repeats: RepeatsOfBoth, chance: float
) -> bool:
    """Whether a study of this size finds this true difference with this chance."""
    return power(design, difference, patients, repeats) >= chance - ROUNDING


def _fewest_repeats(paired: bool) -> int:
    return fewest.PAIRED_REPEATS if paired else fewest.REPEATS


def _needed(
    found: Estimate, suffices: Callable[[Design, int], bool], numbers: range, own: int, paired: bool
) -> Needed:
    """The least of these numbers that suffices, as `_least` has it. own: the pilot's."""
    design = design_of(found, paired)
    if isinstance(design, str):
        return Needed(None, None, None, design)
    favourable, adverse = designs_at_limits(found, design)
    value, low, high = (_least(each, suffices, numbers, own) for each in (design, favourable, adverse))
    return Needed(value, low, high)


def _since(needed: Needed, reason: str) -> Needed:
    """With the reason why there is no number, unless there is a number, or a reason already."""
    return needed if needed.value or needed.reason else replace(needed, reason=reason)


def _least(design: Design, suffices: Callable[[Design, int], bool], numbers: range, own: int) -> int | None:
    """The least of these numbers that suffices; None where none does.

    Looked for in steps, at the pilot's own number among them, and within a step by bisection: with 2 or 3 repeats more
    patients may see less, since what the repeats bring is then all that varies, and so few tell little of it. So what
    the pilot itself sees may lie between two steps.
    """
    before = numbers[0]
    steps = {*_growing(numbers[0], numbers[-1]), numbers[-1], min(max(own, numbers[0]), numbers[-1])}
    for number in sorted(steps):
        if suffices(design, number):
            between = range(before, number + 1)
            return between[bisect_left(between, True, key=lambda n: suffices(design, n))]
        before = number
    return None


def _growing(first: int, last: int) -> Iterator[int]:
    """Numbers from the first on, each a quarter larger than the one before, below the last."""
    while first < last:
        yield first
        first += max(1, first // 4)
