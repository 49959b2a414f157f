"""A study file: read, laid over its preset, checked, and written back with every default spelled out."""

import re
from difflib import get_close_matches
from typing import Any, get_args

import yaml
from pydantic import (
    BaseModel,
    ValidationError,
)

from hnscc.base.errors import InputError
from hnscc.base.locations import Place, place
from hnscc.study.presets import AS_WRITTEN, CORRECTED, SEARCHED, merge
from hnscc.study.schema import Range, Study, Variant


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that reads 1e-3 as a number and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_study(path: str | Place) -> Study:
    """Read, merge and check a study file.

    Raises InputError naming the path of the setting: not YAML, unknown key, wrong type, value out of range.
    """
    path = place(path)
    try:
        raw = yaml.load(path.read_text(), Loader=_StrictLoader)
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(
            "There is no such study file.",
            where=str(path),
            expected="a YAML file",
            found="nothing",
            do="check the path",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, PermissionError) as error:
        raise InputError(
            "The study file cannot be read as YAML.",
            where=str(path),
            expected="a mapping of settings in YAML",
            found=" ".join(str(error).split()),
            do="mend the line that the message names; studies/demo.yaml is an example",
        ) from None
    return parse_study(raw, where=str(path))


def parse_study(raw: Any, where: str = "study") -> Study:
    """A study from its settings as read from YAML; see `load_study`."""
    if not isinstance(raw, dict):
        raise InputError(
            "The study file holds no settings.",
            where=where,
            expected="a mapping such as `name: demo`",
            found=type(raw).__name__,
            do="start from studies/demo.yaml",
        )
    try:
        return Study.model_validate(_resolve(raw))
    except ValidationError as error:
        raise _first_error(error, where) from None


def dump_study(study: Study) -> str:
    """The study as YAML with every default spelled out; `load_study` gives the same study back."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False)


def _resolve(raw: dict[str, Any]) -> dict[str, Any]:
    """Preset <- the file's base <- each variant's difference.

    What is not a mapping is left for the schema to refuse.
    """
    preset = merge(CORRECTED, AS_WRITTEN) if raw.get("protocol") == "as_written" else CORRECTED
    base = {key: value for key, value in raw.items() if key not in ("variants", "modalities")}
    resolved = merge(preset, base)
    shared = {key: resolved[key] for key in ("augmentation", "training")}
    if "modalities" in raw:
        shared["modalities"] = raw["modalities"]
    variants = raw.get("variants")
    if isinstance(variants, dict):
        resolved["variants"] = {
            name: merge(shared, {} if difference is None else difference)
            if isinstance(difference, dict | None)
            else difference
            for name, difference in variants.items()
        }
    elif variants is not None:
        resolved["variants"] = variants
    elif "search" in raw:
        resolved["variants"] = {SEARCHED: shared}
    return resolved


def _first_error(error: ValidationError, where: str) -> InputError:
    # An unknown key comes first: a misspelt name also shows as a missing one. A mistake in the base shows again in
    # every variant: it is counted once.
    errors = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    first = errors[0]
    more = len({_in_base(each["loc"]) for each in errors}) - 1
    unknown, missing = first["type"] == "extra_forbidden", first["type"] == "missing"
    return InputError(
        f"The setting {_dotted(first['loc'])} is {'unknown' if unknown else 'missing' if missing else 'not valid'}.",
        where=where,
        expected=_known_beside(first["loc"]) if unknown else first["msg"].removeprefix("Value error, "),
        found="nothing" if missing else repr(first["input"])[:200],
        do="correct it in the study file" + (f" ({more} more to correct)" if more else ""),
    )


# What pydantic puts into the path of a setting that has two forms.
FORMS = ("list", "range", "number", "until_precise")


def _dotted(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in loc if part not in ("[key]", *FORMS)) or "(whole file)"


def _in_base(loc: tuple[str | int, ...]) -> str:
    return _dotted(loc[2:] if loc[:1] == ("variants",) and len(loc) > 2 else loc)


def _model_in(annotation: Any) -> Any:
    """The model among the forms that a setting may have."""
    forms = [annotation, *get_args(annotation)]
    forms += [inner for each in forms for inner in get_args(each)]
    return next(each for each in forms if isinstance(each, type) and issubclass(each, BaseModel))


def _known_beside(loc: tuple[str | int, ...]) -> str:
    """The settings that exist where an unknown one was found, or the one that it seems to mean."""
    in_variant = loc[0] == "variants"
    if loc[:2] == ("search", "ranges"):  # below it are paths, not fields
        return (
            f"a list of values, or {', '.join(Range.model_fields)}, for a path such as training.learning_rate"
        )
    model: Any = Variant if in_variant else Study
    for part in loc[2:-1] if in_variant else loc[:-1]:
        if part not in FORMS:
            model = _model_in(model.model_fields[str(part)].annotation)
    names = list(model.model_fields)
    close = get_close_matches(str(loc[-1]), names, n=1)
    return f"{close[0]}?" if close else f"one of {', '.join(names)}"
