"""Every setting of a study file with its type, choices, defaults, meaning and source, read from the schema and
the presets.

`hnscc settings`, docs/reference/settings.md and the messages about unknown settings all come from here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from itertools import takewhile
from typing import Any, Final, cast

from hnscc.base.in_words import listed
from hnscc.study.fields import FORMS, yaml_value
from hnscc.study.presets import PRESETS
from hnscc.study.schema import Study
from hnscc.study.variant_schema import Variant

# The word that stands in a path for a name that the user chooses: that of a variant, or of a searched setting.
NAMED: Final = {"variants": "NAME", "search.ranges": "PATH"}
# Two names at least this much alike (0..1) are taken for one with a typing error of a letter or two.
CLOSE: Final = 0.7
OF_A_VARIANT: Final = "variants.NAME."
SECTION: Final = "section"
KINDS: Final = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "null": "null",
}
LIMITS: Final = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "maxLength": "of at most {} characters",
    "pattern": "of {}",
}
MUST: Final = object()
INTRODUCTION: Final = (
    "# Settings of a study file",
    "",
    "<!-- Generated from the schema by `make docs`; do not edit by hand. -->",
    "",
    "`hnscc settings KEY` prints the same of one setting or section, `hnscc settings --markdown` this page. The",
    "defaults are those of the preset that `protocol` names. NAME stands for a variant's name, PATH for the path of",
    "a searched setting. A variant may hold any setting of `augmentation` and `training` that differs from the file's",
    "own. Sources: a section of Liedes et al. 2023, its authors' public code where the text is silent, or ours.",
)

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class SettingRow:
    """One setting, or a section of them.

    type: in words, with choices or range. defaults: each preset's default by its name, a plain YAML value; None where
    there is none, which is a value too unless `required`. required: it has no default and must be given, within an
    optional section as soon as that section is given.
    """

    path: str
    type: str
    section: bool
    required: bool
    defaults: Mapping[str, Any]
    meaning: str
    source: str


@cache
def all_settings() -> tuple[SettingRow, ...]:
    """Return every setting, in the order of the schema; a section stands before what it holds."""
    whole = Study.model_json_schema()
    rows = list(_fields(whole, "", whole["$defs"]))
    shared = Variant.model_json_schema()["properties"]["modalities"]
    meaning = "The modalities of every variant that names none; with a search, of what is searched."
    first = next(i for i, row in enumerate(rows) if row.path == "variants")
    top = SettingRow(
        path="modalities",
        type=_type_of(shared),
        section=False,
        required=False,
        defaults=dict.fromkeys(PRESETS),
        meaning=meaning,
        source=shared["source"],
    )
    return (*rows[:first], top, *rows[first:])


def settings_below(key: str) -> tuple[SettingRow, ...]:
    """Return the setting of this path, and all below it; none where there is no such path."""
    return tuple(row for row in all_settings() if row.path == key or row.path.startswith(f"{key}."))


def names_in(section: str) -> tuple[str, ...]:
    """Return the names of the settings directly in a section; for "", of the whole file."""
    paths = [row.path.rpartition(".") for row in all_settings()]
    return tuple(name for above, _, name in paths if above == section)


def nearest(path: str, section: str = "") -> tuple[str, ...]:
    """Return the paths that an unknown path seems to mean. Their last name is alike or, in the section that the unknown
    path names, has its last name as a word ("batch" of batch_size); and they share most with the unknown path.

    "architecture" -> ("training.network.architecture",); several where nothing tells them apart, none where no name is
    alike. section: only paths below it are returned.
    """
    below = [row.path for row in all_settings() if row.path.startswith(section)]
    above, _, last = path.rpartition(".")
    scores = {known: _likeness(path, known) for known in below}
    close = {known: score for known, score in scores.items() if score[0] >= CLOSE} or {
        known: scores[known]
        for known in below
        if known.startswith(above) and last in known.rpartition(".")[2].split("_")
    }
    return tuple(known for known, score in close.items() if score == max(close.values()))


def as_objects(rows: Sequence[SettingRow]) -> list[dict[str, Any]]:
    """Return the rows as JSON objects: the fields of SettingRow by name, and each preset's default by the
    preset's name."""
    return [
        {
            name: value
            for field, own in vars(row).items()
            for name, value in (own.items() if field == "defaults" else [(field, own)])
        }
        for row in rows
    ]


def defaults_of(row: SettingRow) -> str:
    """Return the default of a setting in words: "16 (as_written: 32)"; nothing for a section."""
    first, *others = ((preset, _default(row, preset)) for preset in PRESETS)
    differing = [f"{preset}: {default}" for preset, default in others if default != first[1]]
    return f"{first[1]} ({', '.join(differing)})" if differing else first[1]


def _default(row: SettingRow, preset: str) -> str:
    if row.path.startswith(OF_A_VARIANT):
        return "the file's own"
    if row.required:
        return "none: must be given"
    return "" if row.section else yaml_value(row.defaults[preset])


def to_markdown() -> str:
    """Return the page of settings: one table for single settings at the top of a file, and one for each section
    below it."""
    groups: dict[str, list[SettingRow]] = {}
    for row in all_settings():
        groups.setdefault(row.path.partition(".")[0], []).append(row)
    alone = [group[0] for group in groups.values() if len(group) == 1]
    lines = [*INTRODUCTION, "", "## At the top of the file", "", *_markdown_rows(alone)]
    for name, group in groups.items():
        if len(group) > 1:
            inside = group[1:] if group[0].section else group
            lines += ["", f"## {name}", "", group[0].meaning, "", *_markdown_rows(inside)]
    return "\n".join(lines) + "\n"


def _markdown_rows(rows: Sequence[SettingRow]) -> Iterator[str]:
    columns = ["setting", "type", *(f"default, {preset}" for preset in PRESETS), "meaning", "source"]
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        defaults = [_default(row, preset) for preset in PRESETS]
        yield "| " + " | ".join([f"`{row.path}`", row.type, *defaults, row.meaning, row.source]) + " |"


def _fields(section: Schema, above: str, models: Schema) -> Iterator[SettingRow]:
    """Yield the settings of a section of the JSON schema, each followed by what it holds."""
    for name, field in section["properties"].items():
        path = f"{above}{name}"
        below = _below(field, path, models)
        yield _setting(path, field, name in section.get("required", ()), below[0] if below else None)
        # The settings that a variant may change are described once, where the file's own settings are.
        for each in below if above != OF_A_VARIANT else ():
            yield from _fields(each, f"{path}.{NAMED[path]}." if path in NAMED else f"{path}.", models)


def _setting(path: str, field: Schema, required: bool, below: Schema | None) -> SettingRow:
    type_ = _type_of(field)
    values = {name: _preset_value(preset, path, field.get("default")) for name, preset in PRESETS.items()}
    missing = all(value is MUST for value in values.values())
    return SettingRow(
        path=path,
        type=type_,
        section=type_ == SECTION,
        required=required and missing and not path.startswith(OF_A_VARIANT),
        defaults={
            name: None if value is MUST or type_ == SECTION else value for name, value in values.items()
        },
        meaning=field.get("description") or (below or {})["description"],
        source=field["source"],
    )


def _preset_value(preset: Mapping[str, Any], path: str, otherwise: Any) -> Any:
    value: Any = preset
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MUST if otherwise is None else otherwise
        value = value[part]
    return value


def _below(field: Schema, path: str, models: Schema) -> list[Schema]:
    """Return the sections that a setting is, may be, or holds by name; none where it is a plain value."""
    if "$ref" in field:
        return [cast(Schema, models[field["$ref"].rpartition("/")[2]])]
    inside = [*field.get("anyOf", ()), *field.get("oneOf", ()), *field.get("patternProperties", {}).values()]
    inside += [field["additionalProperties"]] if field.get("additionalProperties") else []
    return [found for each in inside for found in _below(each, path, models)]


def _type_of(field: Schema) -> str:
    """Return a type of the JSON schema in words: "whole number, at least 1", "training or training_and_validation"."""
    if "$ref" in field:
        return SECTION
    if forms := field.get("anyOf") or field.get("oneOf"):
        return ", or ".join(dict.fromkeys(_type_of(each) for each in forms))
    if choices := field.get("enum") or ([field["const"]] if "const" in field else []):
        return listed(choices, "or")
    if field.get("type") == "array":
        return f"list of {_type_of(field['items'])}" if field["items"] else "list of values"
    if field.get("type") == "object":
        values = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")]
        return f"for each name: {_type_of(values[0])}"
    limits = [
        words.format(FORMS.get(field[key], field[key])) for key, words in LIMITS.items() if key in field
    ]
    return ", ".join([KINDS[field["type"]], *limits])


def _likeness(unknown: str, known: str) -> tuple[float, int]:
    """Return how alike two paths are: how alike their last names are, from 0 to 1, and how many names they share from
    the top."""
    first, second = unknown.split("."), known.split(".")
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
    return SequenceMatcher(None, first[-1], second[-1]).ratio(), shared
