"""What all parts of the study file's schema are made of: strict models whose fields say what they mean, and the words
for errors in them."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import ErrorDetails, PydanticCustomError

# The possible sources of a default. The sections are those of Liedes et al. 2023 (hnscc.study.paper.CITATION).
OURS = "ours"
PAPER_IMAGING = "paper 2.1"
PAPER_PREPROCESSING = "paper 2.2"
PAPER_TRAINING = "paper 2.3"
PAPER_EVALUATION = "paper 2.4"
# For choices that the paper does not give, but its authors' public code does.
PAPERS_CODE = "the paper's code"
# The type of the error that `conflict` makes.
CONFLICT = "conflict"
# How names must be written: the regular expression for pydantic, and the words for a reader.
STUDY_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.]*$"
VARIANT_NAME: Final = r"^[a-z0-9][a-z0-9_]*$"
FORMS: Final = {
    STUDY_NAME: "letters, digits, _ and ., beginning with a letter or digit",
    VARIANT_NAME: "small letters, digits and _, beginning with a letter or digit",
}
# What was expected where pydantic refuses a value, by the type of its error, with the limits that the error names.
EXPECTED: Final[Mapping[str, str]] = {
    CONFLICT: "{expected}",
    "value_error": "{error}",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "{form}",
    "string_type": "text",
    "string_unicode": "text without broken characters",
    "string_too_short": "at least {min_length} character",
    "string_too_long": "at most {max_length} characters",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "tuple_type": "a list, such as [pet]",
    "too_short": "at least {min_length} name",
    **dict.fromkeys(("model_type", "dict_type"), "a section: keys and values below it"),
    "extra_forbidden": "settings that there are",
    "missing": "all settings that it needs",
}


class Settings(BaseModel):
    """A section of the study file. It refuses an unknown key, a value of another type, and an infinite number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def says(meaning: str, source: str) -> Any:
    """Return the part of a field's `Annotated` type that says what the field means, with its unit, and where the choice
    comes from.

    The page of settings, `hnscc settings` and error messages all read it from here.
    """
    return Field(description=meaning, json_schema_extra={"source": source})


def yaml_value(value: object) -> str:
    """Return a plain value as a study file would write it: null, true, 0.001, unet, [pet, mri], {low: 1}."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {yaml_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(yaml_value, value)) + "]"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def expected_by(error: ErrorDetails) -> str:
    """Return what was expected where pydantic raised this error, in the words of a study file; in pydantic's words
    where EXPECTED has none."""
    limits = {name: _plain(limit) for name, limit in error.get("ctx", {}).items()}
    limits["form"] = FORMS.get(limits.get("pattern", ""), "another form")
    words = EXPECTED.get(error["type"])
    return words.format_map(limits) if words else error["msg"].removeprefix("Input should be ")


def _plain(limit: object) -> str:
    return str(int(limit) if isinstance(limit, float) and limit.is_integer() else limit)


def conflict(section: Settings, expected: str, *names: str) -> PydanticCustomError:
    """Return the error that a section's validator raises where settings contradict each other.

    expected: which settings would go together, as a sentence. names: the settings that do not; their values are shown.
    """
    found = ", ".join(f"{name}: {yaml_value(getattr(section, name))}" for name in names)
    return PydanticCustomError(CONFLICT, "{expected}", {"expected": expected, "found": found})


Share = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
