"""Settings that change nothing because of another one.

A user who gives such a setting in a study file expects it to do something, so the file is refused with the reason. It
is no fault if a preset, or an older run folder, holds such a setting.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from hnscc.study.schema import Study
from hnscc.study.section_schema import UntilPrecise
from hnscc.study.settings_page import all_settings
from hnscc.study.variant_schema import Augmentation
from hnscc.study.yaml_text import KeyPath

# The settings that say how copies of slices are altered. They change nothing if there are no copies.
OF_COPIES = tuple(name for name in Augmentation.model_fields if name != "copies")
_NO_COPIES = "augmentation.copies: 0 alters no slice"
_AUGMENTATION = "augmentation"


def without_effect(study: Study) -> dict[KeyPath, str]:
    """Return the settings of a study that change nothing, with the reason for each, whether the user or a preset
    gave them."""
    return dict((*_of_study(study), *_of_copies(study)))


def given_without_effect(study: Study) -> Iterator[tuple[KeyPath, Any, str]]:
    """Yield the settings without effect that the study file itself gives, each with its value and the reason.

    The file gives a setting if its value is not the preset's or, in a variant, not that of the file's own section.
    """
    values = study.model_dump(mode="json")
    presets = {row.path: row.defaults[study.protocol] for row in all_settings()}
    for path, reason in without_effect(study).items():
        value = _at(values, path)
        of_variant = path[0] == "variants"
        if value != (_at(values, path[2:]) if of_variant else presets.get(".".join(map(str, path)))):
            yield path, value, reason


def unused_modalities(raw: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Any, str]]:
    """Yield the modalities at the top of a file with valid settings, with the reason, if every variant names its own.

    This is asked of the file, since the checked study only has the modalities of its variants.
    """
    variants = raw.get("variants")
    own = isinstance(variants, dict) and all(each and "modalities" in each for each in variants.values())
    if "modalities" in raw and own:
        yield ("modalities",), raw["modalities"], "every variant names its own"


def unused_beside(copies: object) -> tuple[str, ...]:
    """Return the names of the settings of an augmentation that change nothing with this number of copies."""
    return OF_COPIES if copies == 0 else ()


def _of_study(study: Study) -> Iterator[tuple[KeyPath, str]]:
    if study.split.folds > 1:
        yield ("split", "test"), f"split.folds: {study.split.folds} tests every patient once"
    if study.sampling.ratio == 0:
        yield ("sampling", "negatives"), "sampling.ratio: 0 chooses no slice without lesion"
    if study.evaluation.slices == "sampled":
        yield ("evaluation", "tolerance_mm"), "evaluation.slices: sampled scores no whole scan"
    if isinstance(study.repeats, UntilPrecise):
        for name in study.repeats.enough.keys() - study.variants.keys():
            yield ("repeats", "enough", name), f"no variant is named {name}"
    if study.search and study.training.epochs == 1:
        yield ("search", "stopping"), "training.epochs: 1 leaves no epoch to stop before"


def _of_copies(study: Study) -> Iterator[tuple[KeyPath, str]]:
    searched = study.search.ranges if study.search else {}
    if f"{_AUGMENTATION}.copies" in searched:
        return
    unused = {name: unused_beside(variant.augmentation.copies) for name, variant in study.variants.items()}
    if all(unused.values()):
        yield from (((_AUGMENTATION, name), _NO_COPIES) for name in OF_COPIES)
        ranges = (f"{_AUGMENTATION}.{name}" for name in OF_COPIES)
        yield from ((("search", "ranges", path), _NO_COPIES) for path in ranges if path in searched)
    for variant, names in unused.items():
        yield from ((("variants", variant, _AUGMENTATION, name), _NO_COPIES) for name in names)


def _at(values: Any, path: KeyPath) -> Any:
    for name in path:
        values = values[name]
    return values
