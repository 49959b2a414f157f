"""The typed form of a file that this program writes for itself: strict, frozen, and of no other parts than it knows."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Facts(BaseModel):
    """What such a file holds. A part of another type or of an unknown name, and a number that is not finite, raise
    pydantic's ValidationError: what an unknown part means would be ignored."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )


def unlike(error: ValidationError, *, at: int = 0) -> str:
    """Return what a file lacks, or holds that this version does not know: such as "lacks `bounds`".

    at: where in pydantic's places the name of a part begins: behind the tag, where one of several forms was meant.
    """
    unknown = [each for each in error.errors() if each["type"] == "extra_forbidden"]
    names = {".".join(map(str, each["loc"][at:])) or "status" for each in unknown or error.errors()}
    listed = ", ".join(f"`{name}`" for name in sorted(names))
    return f"holds {listed}, unknown to this version" if unknown else f"lacks {listed}"
