"""The configurations of a search: from ranges and values to variants, and to the study file of the winners."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from hnscc.base.errors import InputError
from hnscc.study.presets import SEARCHED, merge
from hnscc.study.schema import Range, Search, Study, Variant

Setting = dict[str, Any]  # the searched settings of a configuration: {"training.learning_rate": 0.001, ...}
# A search compares scores, so what a score is must be the same for all; and how a training is computed, not what, is
# chosen before anything is written.
NOT_SEARCHED = {
    **dict.fromkeys(("training.monitor", "augmentation.validation"), "changes what the score means"),
    **dict.fromkeys(("training.device", "training.precision", "training.threads"), "says how it is computed"),
}
PARTS = ("training", "augmentation")
MOST_CORNERS = 4096
# Of the epochs, where `stopping` looks; the share that successive halving keeps at each (eta 3, as in ASHA).
RUNGS = (1 / 9, 1 / 3)
KEPT = 1 / 3


def name_of(configuration: int) -> str:
    """The variant that a configuration is trained as, counted from 0: c00, c01, ..."""
    return f"c{configuration:02d}"


def base_of(study: Study) -> Variant:
    """What is searched, before any range is laid over it; also of a search's run folder, whose variants are what
    has been tried."""
    modalities = next(iter(study.variants.values())).modalities
    return Variant(modalities=modalities, augmentation=study.augmentation, training=study.training)


def check_search(study: Study) -> Search:
    """The study's search, every range of which gives settings that can be trained. Else InputError, naming it."""
    search = study.search
    if search is None:
        raise _wrong(
            "The study has no search.", "search", "a section `search`", "none", "studies/search.yaml is one"
        )
    _check_study(study, search)
    for path in search.ranges:
        _check_path(study, path, search)
    _check_values(study)
    if search.method != "grid":
        _check_enough(study)
    _check_budget(study)
    return search


def _check_values(study: Study) -> None:
    """Every combination can be trained. One at fault by itself is named by itself; some are only valid together."""
    corners = _corners(study)
    together = []
    for settings in corners:
        try:
            variant_of(study, settings, "search.ranges, together")
        except InputError as error:
            together.append(error)
    if corners and not together:
        return
    for path, values in _ends(study).items():
        for value in values:
            variant_of(study, {path: value}, f"search.ranges.{path}")
    for error in together:
        raise error


def _ends(study: Study) -> dict[str, list[Any]]:
    """The values of each list, the two ends of each range."""
    return {
        path: [_whole(study, path, value) for value in (each.low, each.high)]
        if isinstance(each, Range)
        else [*each]
        for path, each in study.search.ranges.items()
    }


def _corners(study: Study) -> list[Setting]:
    """Every combination of lists and ends, to be checked before anything is trained; none where there are too many."""
    ends = _ends(study)
    few = math.prod(map(len, ends.values())) <= MOST_CORNERS
    return list(_combinations(ends)) if few else []


def networks(study: Study) -> list[Variant]:
    """A variant for each network that the ranges name by lists and ends: to be built before anything is trained."""
    named = {path: values for path, values in _ends(study).items() if path.startswith("training.network")}
    first = itertools.islice(_combinations(named), MOST_CORNERS)
    return [variant_of(study, settings, "search.ranges") for settings in first]


def _combinations(values: Mapping[str, Iterable[Any]]) -> Iterator[Setting]:
    """Every combination of the settings' values, the last setting changing fastest."""
    return (dict(zip(values, each, strict=True)) for each in itertools.product(*values.values()))


def _check_study(study: Study, search: Search) -> None:
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
            "search with `protocol: corrected` on a hold-out split, and train the winner as you like",
        )


def _check_path(study: Study, path: str, search: Search) -> None:
    known = _known(base_of(study))
    where = f"search.ranges.{path}"
    if path not in known:
        raise _wrong(
            "There is no such setting.", where, f"one of {', '.join(known)}", path, "correct its name"
        )
    if path in NOT_SEARCHED:
        raise _wrong(
            "This setting cannot be searched.",
            where,
            "settings of what is trained, which leave the score what it is",
            f"{path} {NOT_SEARCHED[path]}",
            f"leave it out of the ranges, and give it in the section {path.partition('.')[0]}",
        )
    if path == "training.epochs" and search.stopping != "none":
        raise _wrong(
            "Configurations of different length cannot be stopped by their epochs.",
            where,
            "the same number of epochs for all, or `stopping: none`",
            f"stopping: {search.stopping}",
            "choose one of the two",
        )
    inside = [other for other in search.ranges if other != path and other.startswith(f"{path}.")]
    if inside:
        raise _wrong(
            "Two ranges give the same setting.",
            where,
            f"either {path} or what it holds",
            ", ".join(inside),
            "leave one of them out",
        )


def _known(variant: Variant) -> list[str]:
    """Every setting that can be named, in the order of the schema; `training.network` whole, too."""
    values = variant.model_dump()
    paths = []
    for part in PARTS:
        for name, value in values[part].items():
            paths.append(f"{part}.{name}")
            if isinstance(value, dict):
                paths += [f"{part}.{name}.{inner}" for inner in value]
    return paths


def _check_enough(study: Study) -> None:
    search = study.search
    counted = [_count(study, path) for path in search.ranges]
    if None not in counted:
        most = math.prod(counted)
        if search.configurations > most:
            raise _wrong(
                "The ranges hold fewer configurations than are to be tried.",
                "search.configurations",
                f"at most {most}",
                str(search.configurations),
                "try fewer, add values, or use `method: grid`, which tries all",
            )


def _count(study: Study, path: str) -> int | None:
    """How many values a range holds; None for a range of real numbers."""
    each = study.search.ranges[path]
    if not isinstance(each, Range):
        return len(each)
    return int(each.high) - int(each.low) + 1 if is_whole(study, path) else None


def _check_budget(study: Study) -> None:
    """Every configuration gets its first repeats, and the best two one more each: else nothing was compared."""
    search = study.search
    trials, configurations = search.budget.trials, number_of(search)
    least = math.ceil(_first_cost(study)) + 2
    if trials is not None and trials < least:
        raise _wrong(
            "The budget is too small for the search.",
            "search.budget.trials",
            f"at least {least}: first repeats of {configurations} configurations, and 2 to decide",
            f"{trials:g}",
            "raise it, try fewer configurations, or lower search.repeats.first",
        )


def _first_cost(study: Study) -> float:
    """The most that the first repeats may take, in whole trainings of the study's own epochs.

    Of successive halving within one generation it is known how many reach each rung; in several, as by median, all may.
    """
    search, epochs = study.search, base_of(study).training.epochs
    each = search.ranges.get("training.epochs", ())
    longest = max([epochs, *([int(each.high)] if isinstance(each, Range) else each)]) / epochs
    cost = n = number_of(search)
    if search.stopping == "successive_halving" and search.method != "tpe":
        cost, before = 0.0, 0
        for rung in (*rungs_of(epochs), epochs):
            cost += n * (rung - before) / epochs
            n, before = min(n, kept_of(n)), rung
    return cost * search.repeats.first * longest


def rungs_of(epochs: int) -> list[int]:
    """After which epochs `stopping` looks."""
    return sorted({max(1, round(share * epochs)) for share in RUNGS} - {epochs})


def kept_of(reached: int) -> int:
    """Of so many that have reached a rung, how many successive halving lets go on."""
    return max(2, math.ceil(reached * KEPT))


def number_of(search: Search) -> int:
    """How many configurations are tried."""
    return search.configurations or math.prod(len(each) for each in search.ranges.values())


def is_whole(study: Study, path: str) -> bool:
    """Whether a setting takes whole numbers alone: whether the schema refuses one that is not."""
    part, _, _ = path.partition(".")
    try:
        Variant.model_validate(_laid_over(study, {path: 1.5}))
    except ValidationError as error:
        return any(each["loc"][0] == part and each["type"].startswith("int") for each in error.errors())
    return False


def _whole(study: Study, path: str, value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and is_whole(study, path) else value


def variant_of(study: Study, settings: Setting, where: str) -> Variant:
    """The searched variant with these settings. InputError naming `where` if they cannot stand together."""
    try:
        return Variant.model_validate(_laid_over(study, settings))
    except ValidationError as error:
        first = error.errors()[0]
        raise _wrong(
            "A range gives settings that are not valid.",
            where,
            first["msg"].removeprefix("Value error, "),
            ", ".join(f"{name}: {value}" for name, value in settings.items()),
            "change the range, or what the study says of the settings beside it",
        ) from None


def _laid_over(study: Study, settings: Setting) -> dict[str, Any]:
    return merge(base_of(study).model_dump(mode="json"), nested(settings))


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """{"training.network.width": 8} as {"training": {"network": {"width": 8}}}."""
    out: dict[str, Any] = {}
    for path, value in settings.items():
        *parents, last = path.split(".")
        below = out
        for parent in parents:
            below = below.setdefault(parent, {})
        below[last] = value
    return out


def with_configurations(study: Study, configurations: Iterable[Setting]) -> Study:
    """The study whose variants are these configurations."""
    variants = {
        name_of(place): variant_of(study, settings, f"configuration {name_of(place)}")
        for place, settings in enumerate(configurations)
    }
    return study.model_copy(update={"variants": variants})


def winners_file(study: Study, chosen: Mapping[str, Setting], notes: Mapping[str, str]) -> str:
    """A study file, ready for `hnscc run`: the searched study with the chosen configurations as variants.

    chosen: name -> settings, the winner first. notes: a line on each.
    """
    raw = study.model_dump(mode="json", exclude={"search", "variants"})
    base = base_of(study).model_dump(mode="json")
    raw |= base | {"name": f"{study.name}_winners"[:60]}
    raw["variants"] = {name: nested(settings) for name, settings in chosen.items()}
    lines = [f"# {name}: {notes[name]}" for name in chosen]
    head = "# Written by `hnscc search`. Their scores below are of the validation patients; the test set was closed.\n"
    return head + "\n".join(lines) + "\n" + yaml.safe_dump(raw, sort_keys=False)


def _wrong(problem: str, where: str, expected: str, found: str, do: str) -> InputError:
    return InputError(problem, where=where, expected=expected, found=found, do=do)
