"""What is wrong with a study file, told for its author: each setting by its path and line, with what is expected."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic_core import ErrorDetails

from hnscc.base.errors import InputError, several
from hnscc.study.fields import CONFLICT, expected_by, yaml_value
from hnscc.study.search_schema import Range
from hnscc.study.settings_page import names_in, nearest, settings_below
from hnscc.study.variant_schema import Variant
from hnscc.study.yaml_text import KeyPath, at_line

DESCRIBED: Final = "; `hnscc settings` describes every setting"


def faults_of(
    errors: Sequence[ErrorDetails], resolved: Any, where: str, lines: Mapping[KeyPath, int]
) -> InputError:
    """Return all faults as one error for the user: one fault for each setting, in the order of their lines.

    errors: pydantic's, about the plain values `resolved`. where, lines: as in `loading.parse_study`.
    """
    errors = sorted(errors, key=lambda each: each["type"] != "extra_forbidden")
    misspelt = {_path_of(each, resolved)[:-1] for each in errors if each["type"] == "extra_forbidden"}
    found: dict[KeyPath, list[ErrorDetails]] = {}
    for each in errors:
        # Pydantic reports a misspelt setting twice: as unknown, and as missing under its right name.
        if each["type"] != "missing" or _path_of(each, resolved)[:-1] not in misspelt:
            # It reports a mistake in the base again for every variant, and a value of several forms once for each form.
            # What a variant gives itself is no fault of the base.
            path = _path_of(each, resolved)
            found.setdefault(path if path in lines else _in_base(path), []).append(each)
    in_order = sorted(found.values(), key=lambda each: line_of(_path_of(each[0], resolved), lines) or 0)
    return several([_fault(each, resolved, where, lines) for each in in_order])


def _fault(
    errors: Sequence[ErrorDetails], resolved: Any, where: str, lines: Mapping[KeyPath, int]
) -> InputError:
    """Return what is wrong with one setting, from all errors about it. The first error says what kind of fault
    it is."""
    paths = [_path_of(each, resolved) for each in errors]
    first, path = errors[0], paths[0]
    unknown, missing = first["type"] == "extra_forbidden", first["type"] == "missing"
    same = [expected_by(each) for each, at in zip(errors, paths, strict=True) if at == path]
    expected = _meant(path) if unknown else _kind_of(path) if missing else "; or: ".join(dict.fromkeys(same))
    conflict = first["type"] == CONFLICT
    given = "nothing" if missing else _given(first["input"])
    # Modalities at the top of the file are copied into every variant; the message names the line at the top.
    named = _in_base(path) if path not in lines and _in_base(path) in lines else path
    return InputError(
        f"The setting {dotted(named)} is {'unknown' if unknown else 'missing' if missing else 'not valid'}.",
        where=at_line(where, line_of(path, lines)),
        expected=expected,
        found=first["ctx"]["found"] if conflict else given,
        do="add it to the study file"
        if missing
        else f"correct it in the study file{f': {expected}' if conflict else DESCRIBED}",
    )


def _given(value: Any) -> str:
    """Return a value as the file has it, cut where it is long. Text is quoted, to tell '3' from 3."""
    return (repr(value) if isinstance(value, str) else yaml_value(value))[:200]


def without_effect_of(
    given: Iterable[tuple[KeyPath, Any, str]], where: str, lines: Mapping[KeyPath, int]
) -> list[InputError]:
    """Return a fault for each setting that the file gives and that changes nothing (`given_without_effect`)."""
    return [
        InputError(
            f"The setting {dotted(path)} changes nothing here.",
            where=at_line(where, line_of(path, lines)),
            expected=f"no {dotted(path)}, for {reason}",
            found=f"{path[-1]}: {yaml_value(value)}",
            do="leave it out",
        )
        for path, value, reason in given
    ]


def _keys(value: Any) -> Collection[Any]:
    return value if isinstance(value, dict) else range(len(value)) if isinstance(value, list | tuple) else ()


def _path_of(error: ErrorDetails, resolved: Any) -> KeyPath:
    """Return the path of the setting in the study. Pydantic's own path also names the form that it tried, which is
    no key."""
    value: Any = resolved
    path: list[str | int] = []
    for part in error["loc"]:
        if part in _keys(value):
            value = value[part]
            path.append(part)
        elif error["type"] == "missing" and part == error["loc"][-1]:
            path.append(part)
    return tuple(path)


def dotted(path: KeyPath) -> str:
    """Return the path of a setting as messages name it: training.epochs."""
    return ".".join(map(str, path)) or "(whole file)"


def _in_base(path: KeyPath) -> KeyPath:
    return path[2:] if path[:1] == ("variants",) and len(path) > 2 else path


def line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    """Return the line where a setting stands: under its variant, else at the top of the file, else the line of the
    section that should hold it."""
    if path in lines:
        return lines[path]
    if _in_base(path) in lines:
        return lines[_in_base(path)]
    return line_of(path[:-1], lines) if path else None


def _meant(path: KeyPath) -> str:
    """Return the settings that an unknown one seems to mean, else those that exist beside it."""
    if path[:2] == ("search", "ranges"):  # what it holds is keyed by paths, not by fields
        return (
            f"a list of values, or {', '.join(Range.model_fields)}, for a path such as training.learning_rate"
        )
    # Names in its own section come first: a name elsewhere may be more alike, or even the same.
    above = "".join(f"{part}." for part in _in_base(path)[:-1])
    close = (*nearest(dotted(_in_base(path)), above), *nearest(dotted(_in_base(path))))
    known = dict.fromkeys(close if _in_base(path) == path else (_in_variant(each, path) for each in close))
    if dotted(path) in known:
        return "a key for each name, one below the other, such as `training: {epochs: 40}`"
    if any(each.startswith(above) for each in close):
        return f"{' or '.join(known)}?"
    beside = f"one of {', '.join(names_in(_section_of(path)))}"
    return f"{beside}; or {' or '.join(known)}?" if known else beside


def _kind_of(path: KeyPath) -> str:
    """Return what the list of settings says of a setting: its kind and choices; for a section, what it is for."""
    if path[:2] == ("search", "ranges") and len(path) > 2:
        return _meant(path)
    row = settings_below(f"{_section_of(path)}.{path[-1]}".removeprefix("."))[0]
    if "section" not in row.type:
        return row.type
    return f"a section ({row.meaning[0].lower()}{row.meaning[1:].removesuffix('.')})"


def _in_variant(known: str, path: KeyPath) -> str:
    """Return the path of a known setting as it is written for the variant that `path` lies in."""
    own = known.removeprefix("variants.NAME.")
    varied = own.partition(".")[0] in Variant.model_fields
    return f"{dotted(path[:2])}.{own}" if varied else f"{known} (not of a variant)"


def _section_of(path: KeyPath) -> str:
    """Return the section in which a setting stands, as the list of settings names it."""
    inside_variant = path[:1] == ("variants",) and len(path) == 3
    return "variants.NAME" if inside_variant else ".".join(map(str, _in_base(path)[:-1]))
