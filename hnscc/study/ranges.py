"""The configurations of a search: how ranges and values become variants, and the study file of the winners."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from hnscc.base.errors import InputError
from hnscc.study.fields import expected_by, yaml_value
from hnscc.study.presets import merge, preset_of
from hnscc.study.schema import NAME_LENGTH, Study
from hnscc.study.search_schema import Range, Search
from hnscc.study.variant_schema import Variant
from hnscc.study.without_effect import unused_beside
from hnscc.study.yaml_text import write_yaml

# The values of the searched settings by path: {"training.learning_rate": 0.001, ...}
Configuration = dict[str, Any]
MOST_CORNERS = 4096
# The shares of the epochs after which `stopping` decides, and the share of configurations that successive halving keeps
# each time (eta 3, as in ASHA).
RUNGS = (1 / 9, 1 / 3)
KEPT = 1 / 3


def name_of(number: int) -> str:
    """Return the name of the variant as which a configuration is trained, by its number from 0: c00, c01, ..."""
    return f"c{number:02d}"


def base_of(study: Study) -> Variant:
    """Return the variant that is searched, before any range is laid over it.

    The study may also be that of a search's run folder, whose variants are the configurations tried.
    """
    modalities = next(iter(study.variants.values())).modalities
    return Variant(modalities=modalities, augmentation=study.augmentation, training=study.training)


def search_of(study: Study) -> Search:
    """Return the study's section `search`. InputError where it has none."""
    if study.search is None:
        raise InputError(
            "The study has no search.",
            where="search",
            expected="a section `search`",
            found="none",
            do="studies/search.yaml is one",
        )
    return study.search


def ends_of_ranges(study: Study) -> dict[str, list[Any]]:
    """Return, for each searched setting, the values of its list, or the two ends of its range."""
    return {
        path: [_whole(study, path, value) for value in (each.low, each.high)]
        if isinstance(each, Range)
        else [*each]
        for path, each in search_of(study).ranges.items()
    }


def variants_to_try(study: Study) -> list[Variant]:
    """Return the variants to check before anything is trained: one for each network and batch size that the lists and
    the ends of the ranges give."""
    tried = ("training.network", "training.batch_size", "augmentation.copies", "augmentation.originals")
    named = {path: values for path, values in ends_of_ranges(study).items() if path.startswith(tried)}
    first = itertools.islice(combinations_of(named), MOST_CORNERS)
    return [variant_of(study, settings, "search.ranges") for settings in first]


def combinations_of(values: Mapping[str, Iterable[Any]]) -> Iterator[Configuration]:
    """Return every combination of the settings' values. The last setting changes fastest."""
    return (dict(zip(values, each, strict=True)) for each in itertools.product(*values.values()))


def rungs_of(epochs: int) -> list[int]:
    """Return the epochs after which `stopping` decides which configurations go on, for trainings of this
    many epochs."""
    return sorted({max(1, round(share * epochs)) for share in RUNGS} - {epochs})


def number_kept(reached: int) -> int:
    """Return how many configurations successive halving lets go on, of this many that have reached a rung."""
    return max(2, math.ceil(reached * KEPT))


def number_to_try(search: Search) -> int:
    """Return how many configurations are tried."""
    lists = [each for each in search.ranges.values() if not isinstance(each, Range)]
    return search.configurations or math.prod(map(len, lists))  # all, where no number is given


def is_whole(study: Study, path: str) -> bool:
    """Return whether a setting takes only whole numbers, so that the schema refuses others."""
    try:
        Variant.model_validate(_laid_over(study, {path: 1.5}))
    except ValidationError as error:
        return any(each["type"].startswith("int") for each in error.errors())
    return False


def _whole(study: Study, path: str, value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and is_whole(study, path) else value


def variant_of(study: Study, settings: Configuration, where: str) -> Variant:
    """Return the searched variant with these settings. InputError that names `where` if they contradict each other."""
    try:
        return Variant.model_validate(_laid_over(study, settings))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            "A range gives settings that are not valid.",
            where=where,
            expected=expected_by(first),
            found=", ".join(f"{name}: {yaml_value(value)}" for name, value in settings.items()),
            do="change the range, or what the study says of the settings beside it",
        ) from None


def _laid_over(study: Study, settings: Configuration) -> dict[str, Any]:
    return merge(base_of(study).model_dump(mode="json"), nested(settings))


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by path as nested ones: {"training.network.width": 8} as {"training": {"network":
    {"width": 8}}}."""
    out: dict[str, Any] = {}
    for path, value in settings.items():
        *parents, last = path.split(".")
        below = out
        for parent in parents:
            below = below.setdefault(parent, {})
        below[last] = value
    return out


def with_configurations(study: Study, configurations: Iterable[Configuration]) -> Study:
    """Return the study with these configurations as its variants."""
    named = {name_of(number): settings for number, settings in enumerate(configurations)}
    variants = {
        name: variant_of(study, settings, f"configuration {name}") for name, settings in named.items()
    }
    return study.model_copy(update={"variants": variants})


def _name_of_winners(searched: str) -> str:
    """Return a name for the winners' study, of at most NAME_LENGTH characters. It differs from the search's own, since
    run folders are named by it."""
    end = "_winners"
    name = searched[: NAME_LENGTH - len(end)] + end
    return name if name != searched else searched[: NAME_LENGTH - len(end) - 1] + end


def winners_file(study: Study, chosen: Mapping[str, Configuration], notes: Mapping[str, str]) -> str:
    """Return a study file, ready for `hnscc run`: the searched study with the chosen configurations as variants.

    chosen: name -> settings, the winner first. notes: a line on each. Settings that change nothing are left out.
    """
    raw = study.model_dump(mode="json", exclude={"search", "variants"})
    base = base_of(study).model_dump(mode="json")
    raw |= base | {"name": _name_of_winners(study.name)}
    copies = {name: variant_of(study, each, name).augmentation.copies for name, each in chosen.items()}
    unused = {name: {f"augmentation.{each}" for each in unused_beside(copies[name])} for name in chosen}
    raw["variants"] = {
        name: nested({path: value for path, value in settings.items() if path not in unused[name]})
        for name, settings in chosen.items()
    }
    if all(unused.values()):
        raw["augmentation"] = preset_of(study.protocol)["augmentation"] | {
            "copies": base["augmentation"]["copies"]
        }
    lines = [f"# {name}: {notes[name]}" for name in chosen]
    head = "# Written by `hnscc search`. Their scores below are of the validation patients; no test patient was read.\n"
    return head + "\n".join(lines) + "\n" + write_yaml(raw)
