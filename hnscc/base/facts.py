"""The typed form of a file that this program writes for itself: strict and frozen, with only the fields that
it knows."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Facts(BaseModel):
    """The content of such a file. A field of another type, a field of an unknown name and a number that is not finite
    raise pydantic's ValidationError. Unknown fields are refused because their meaning would be ignored."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )


def unlike(error: ValidationError, *, at: int = 0) -> str:
    """Return what a file lacks, or holds that this version does not know, such as "lacks `bounds`".

    at: the index in pydantic's path at which a field's name begins: 1 if a tag for one of several forms comes
    before it.
    """
    unknown = [each for each in error.errors() if each["type"] == "extra_forbidden"]
    names = {".".join(map(str, each["loc"][at:])) or "status" for each in unknown or error.errors()}
    listed = ", ".join(f"`{name}`" for name in sorted(names))
    return f"holds {listed}, unknown to this version" if unknown else f"lacks {listed}"
