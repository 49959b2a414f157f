"""Checks of a search before anything is trained: its ranges, its budget and its study."""

import itertools
import math
from typing import Any

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from hnscc.study.presets import SEARCHED
from hnscc.study.ranges import (
    MOST_CORNERS,
    Configuration,
    base_of,
    combinations_of,
    ends_of_ranges,
    is_whole,
    number_kept,
    number_to_try,
    rungs_of,
    search_of,
    variant_of,
)
from hnscc.study.schema import Study
from hnscc.study.search_schema import Range, Search
from hnscc.study.variant_schema import Variant

# Settings that cannot be searched: a search compares scores, so a score must mean the same for all, and how a training
# is computed is chosen before anything is written.
NOT_SEARCHED = {
    **dict.fromkeys(("training.monitor", "augmentation.validation"), "changes what the score means"),
    **dict.fromkeys(("training.device", "training.precision", "training.threads"), "says how it is computed"),
}
PARTS = ("training", "augmentation")


def check_search(study: Study) -> Search:
    """Return the study's search. InputError, which names the setting, where a range gives settings that cannot
    be trained."""
    search = search_of(study)
    _check_study(study)
    for path in search.ranges:
        _check_path(study, path, search)
    _check_values(study)
    if search.configurations is not None:
        _check_enough(study, search, search.configurations)
    _check_budget(study, search)
    return search


def _check_values(study: Study) -> None:
    """Raise InputError unless every combination can be trained. A value that is invalid by itself is named first; other
    values are only invalid together."""
    ends = ends_of_ranges(study)
    # With more corners than this, only the ends of each range are tried here, and each configuration when it
    # is proposed.
    few = math.prod(map(len, ends.values())) <= MOST_CORNERS
    corners = list(combinations_of(ends)) if few else []
    together = [
        error for settings in corners if (error := _fault(study, settings, "search.ranges, together"))
    ]
    if corners and not together:
        return
    alone = (_fault(study, {path: value}, _range(path)) for path, values in ends.items() for value in values)
    for fault in filter(None, itertools.chain(alone, together)):
        raise fault


def _fault(study: Study, settings: Configuration, where: str) -> InputError | None:
    try:
        variant_of(study, settings, where)
    except InputError as error:
        return error
    return None


def _check_study(study: Study) -> None:
    if list(study.variants) != [SEARCHED]:
        raise _wrong(
            "A study with a search has variants.",
            "variants",
            "`modalities` at the top of the file: the search makes the variants",
            ", ".join(study.variants),
            "search one variant at a time, each from a file of its own",
        )
    base = base_of(study)
    pooled = base.training.monitor == "soft_jaccard_pooled" and not base.augmentation.validation
    if study.split.folds > 1 or not pooled:
        found = (
            f"folds {study.split.folds}, {base.training.monitor}, validation {base.augmentation.validation}"
        )
        raise _wrong(
            "The study cannot be searched by its validation score.",
            "split.folds, training.monitor, augmentation.validation",
            "folds 1 (in others a test patient is another fold's validation), soft_jaccard_pooled, false",
            found,
            "search with `protocol: corrected` on a hold-out (`folds: 1`), and train the winner as you like",
        )


def _check_path(study: Study, path: str, search: Search) -> None:
    known = _known(base_of(study))
    if path not in known:
        raise _wrong(
            "There is no such setting.", _range(path), f"one of {', '.join(known)}", path, "correct its name"
        )
    if path in NOT_SEARCHED:
        raise _wrong(
            "This setting cannot be searched.",
            _range(path),
            "settings of what is trained, which leave the score what it is",
            f"{path} {NOT_SEARCHED[path]}",
            f"leave it out of the ranges, and give it in the section {path.partition('.')[0]}",
        )
    _check_beside(path, search)


def _check_beside(path: str, search: Search) -> None:
    """Raise InputError where a range contradicts what else the search says."""
    if path == "training.epochs" and search.stopping != "none":
        raise _wrong(
            "Configurations of different length cannot be stopped by their epochs.",
            _range(path),
            "the same number of epochs for all, or `stopping: none`",
            f"stopping: {search.stopping}",
            "choose one of the two",
        )
    inside = [other for other in search.ranges if other != path and other.startswith(f"{path}.")]
    if inside:
        raise _wrong(
            "Two ranges give the same setting.",
            _range(path),
            f"either {path} or what it holds",
            ", ".join(inside),
            "leave one of them out",
        )


def _range(path: str) -> str:
    return f"search.ranges.{path}"


def _known(variant: Variant) -> list[str]:
    """Return every setting that a range may name, in the order of the schema, and also `training.network` as
    a whole."""
    values = variant.model_dump()
    paths: list[str] = []
    for part in PARTS:
        for name, value in values[part].items():
            paths.append(f"{part}.{name}")
            if isinstance(value, dict):
                paths += [f"{part}.{name}.{inner}" for inner in value]
    return paths


def _check_enough(study: Study, search: Search, wanted: int) -> None:
    counts = [_count(study, path, values) for path, values in search.ranges.items()]
    most = math.inf if None in counts else math.prod(filter(None, counts))
    if wanted > most:
        raise _wrong(
            "The ranges hold fewer configurations than are to be tried.",
            "search.configurations",
            f"at most {most}",
            str(wanted),
            "try fewer, add values, or give lists of values and `method: grid` without `configurations`, which tries "
            "all",
        )


def _count(study: Study, path: str, values: Range | tuple[Any, ...]) -> int | None:
    """Return how many values a range holds; None for a range of real numbers."""
    if not isinstance(values, Range):
        return len(values)
    return int(values.high) - int(values.low) + 1 if is_whole(study, path) else None


def _check_budget(study: Study, search: Search) -> None:
    """Raise InputError unless the budget suffices for every configuration's first repeats, and one more for each of the
    best two. With less, nothing would be compared."""
    trials, configurations = search.budget.trials, number_to_try(search)
    longest = _longest(study)
    least = math.ceil(_first_cost(study, search) * longest + 2 * longest)
    if trials is not None and trials < least:
        fewer = "leave values out of the ranges" if search.method == "grid" else "try fewer configurations"
        raise _wrong(
            "The budget is too small for the search.",
            "search.budget.trials",
            f"at least {least}: first repeats of {count_of(configurations, 'configuration')}, and 2 to decide",
            f"{trials:g}",
            f"raise it, {fewer}, or lower search.repeats.first",
        )


def _first_cost(study: Study, search: Search) -> float:
    """Return the most that the first repeats may cost, in whole trainings.

    Successive halving within one generation determines how many configurations reach each rung. In several generations,
    and when stopping by median, all of them may.
    """
    epochs = base_of(study).training.epochs
    n = number_to_try(search)
    cost = float(n)
    if search.stopping == "successive_halving" and search.method != "tpe":
        cost, before = 0.0, 0
        for rung in (*rungs_of(epochs), epochs):
            cost += n * (rung - before) / epochs
            n, before = number_kept(n), rung
    return cost * search.repeats.first


def _longest(study: Study) -> float:
    """Return the longest training that is searched, in trainings of the study's own number of epochs."""
    epochs = base_of(study).training.epochs
    return max(epochs, *map(int, ends_of_ranges(study).get("training.epochs", [epochs]))) / epochs


def _wrong(problem: str, where: str, expected: str, found: str, do: str) -> InputError:
    return InputError(problem, where=where, expected=expected, found=found, do=do)
