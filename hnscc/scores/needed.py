"""How many patients and repeats a study needs in order to find a difference, by the forecasts of scores.forecasts."""

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
    """How many are needed, with the range due to the pilot's own uncertainty. None where even the most that is tried
    does not suffice."""

    value: int | None
    low: int | None
    high: int | None
    reason: str | None = None


def patients_needed(
    found: Estimate, difference: float, repeats: RepeatsOfBoth, chance: float = POWER, *, paired: bool = False
) -> Needed:
    """Return how many lesion patients a study needs to find this true difference with this chance. repeats: of each
    variant, or of the one and of the other.

    It is at least 4, since fewer have no p. paired: whether the repeats of the pilot and of the next study are paired.
    Raises ValueError for a difference that is 0 or not a finite number, a chance that is not from 0.5 to below 1, and
    below 2 repeats.
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
    """Return how many repeats of each variant a study of so many lesion patients needs to find this true difference
    with this chance.

    It is at least 2, or 5 where repeats are paired, since fewer are not compared in this way; `paired` as for
    `patients_needed`. Raises ValueError as that function does, and below 4 patients.
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
    """Return the repeats of each variant, and the lesion patients needed with these, of the study with the fewest
    patients x repeats that finds this true difference with this chance. None where the pilot cannot tell, or even the
    most of both do not suffice.

    It tries every number of repeats up to 8, and steps of a quarter from there on. paired: as for `patients_needed`.
    Raises ValueError as that function does.
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
    """Raise ValueError for a difference that cannot be found: 0, or a number that is not finite."""
    if not math.isfinite(difference) or difference == 0:
        raise ValueError(
            f"the difference to be found is a number other than 0, not {difference!r}; give the least that matters"
        )


def _finds(
    design: Design, patients: int, *, difference: float, repeats: RepeatsOfBoth, chance: float
) -> bool:
    """Return whether a study of this size finds this true difference with this chance."""
    return power(design, difference, patients, repeats) >= chance - ROUNDING


def _fewest_repeats(paired: bool) -> int:
    return fewest.PAIRED_REPEATS if paired else fewest.REPEATS


def _needed(
    found: Estimate, suffices: Callable[[Design, int], bool], numbers: range, own: int, paired: bool
) -> Needed:
    """Return the least of these numbers that suffices, by `_least`, with its range. own: the pilot's number."""
    design = design_of(found, paired)
    if isinstance(design, str):
        return Needed(None, None, None, design)
    favourable, adverse = designs_at_limits(found, design)
    value, low, high = (_least(each, suffices, numbers, own) for each in (design, favourable, adverse))
    return Needed(value, low, high)


def _since(needed: Needed, reason: str) -> Needed:
    """Return `needed` with this reason why there is no number, unless it has a number or a reason already."""
    return needed if needed.value or needed.reason else replace(needed, reason=reason)


def _least(design: Design, suffices: Callable[[Design, int], bool], numbers: range, own: int) -> int | None:
    """Return the least of these numbers that suffices; None where none does.

    It looks in steps, one of which is the pilot's own number, and by bisection within a step. With 2 or 3 repeats, more
    patients may see less: the more there are, the more of what varies comes from the repeats, and so few say little
    about how much these vary. So the pilot's own number may suffice although the steps on both sides of it do not.
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
    """Yield numbers from the first on, each a quarter larger than the one before, below the last."""
    while first < last:
        yield first
        first += max(1, first // 4)
