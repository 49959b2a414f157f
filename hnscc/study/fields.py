"""What every part of the study file's schema is made of: strict models whose fields say what they mean."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

# Where a choice comes from. The sections are those of Liedes et al. 2023 (hnscc.study.paper.CITATION).
OURS = "ours"
PAPER_IMAGING = "paper 2.1"
PAPER_PREPROCESSING = "paper 2.2"
PAPER_TRAINING = "paper 2.3"
PAPER_EVALUATION = "paper 2.4"
# Where the paper is silent, and its authors' public code is not.
PAPERS_CODE = "the paper's code"
# The kind of error of settings that do not go together, see `conflict`.
CONFLICT = "conflict"


class Settings(BaseModel):
    """A section of the study file. An unknown key, a value of another type, an infinite number are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def says(meaning: str, source: str) -> Any:
    """Return what a field means, in a sentence with its unit, and where the choice comes from: for its
    `Annotated` type.

    The reference of settings, `hnscc settings` and error messages all read it from here.
    """
    return Field(description=meaning, json_schema_extra={"source": source})


def yaml_value(value: object) -> str:
    """Return a plain YAML value as a study file would have it: null, true, 0.001, unet."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def conflict(section: Settings, expected: str, *names: str) -> PydanticCustomError:
    """Return the error of settings of one section that do not go together, for its validator to raise.

    expected: what would go together, as a sentence. names: of the settings that do not, whose values are told.
    """
    found = ", ".join(f"{name}: {yaml_value(getattr(section, name))}" for name in names)
    return PydanticCustomError(CONFLICT, "{expected}", {"expected": expected, "found": found})


Share = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
