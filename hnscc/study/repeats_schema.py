"""How many repeats a study asks for: a number, as many as it takes, or a number of pairs."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from hnscc.study.fields import OURS, Settings, says


class UntilPrecise(Settings):
    """Repeats of a variant until the median of their pooled test Dice at 0.5 is known well enough, at most `max`.

    Whether it is known (scores.intervals.median_interval) is asked after `first` repeats and after every fourth more.
    """

    max: Annotated[
        int,
        Field(ge=6, le=10_000),
        says("A variant gets so many repeats at most.", OURS),
    ]
    until: Annotated[
        float,
        Field(gt=0, lt=1),
        says(
            "Repeats end once the 95 % interval of their median test Dice reaches at most so far to either side.",
            OURS,
        ),
    ]
    first: Annotated[
        int,
        Field(ge=6, le=10_000),
        says("The interval is looked at after so many repeats, then after every fourth more.", OURS),
    ] = 6
    enough: Annotated[
        dict[str, Annotated[int, Field(ge=6)]],
        says("Written by `hnscc run`: after how many repeats each variant was known well enough.", OURS),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _first_is_not_beyond_max(self) -> "UntilPrecise":
        if self.first > self.max:
            raise ValueError("first is at most max")
        return self


class PairedRepeats(Settings):
    """So many repeats of each variant, of which repeat r of all variants may share its seeds."""

    number: Annotated[
        int,
        Field(ge=1, le=10_000),
        says("A variant gets so many repeats.", OURS),
    ] = 50
    paired: Annotated[
        bool,
        says(
            "Repeat r of all variants shares its seeds, and the main test compares 5 or more of them in pairs.",
            OURS,
        ),
    ]


def _form_of_repeats(value: Any) -> str:
    if isinstance(value, PairedRepeats) or (isinstance(value, dict) and "paired" in value):
        return "paired"
    return "until_precise" if isinstance(value, dict | UntilPrecise) else "number"


# Told apart by their form, so that what is wrong is said of the one that was meant.
Repeats = Annotated[
    Annotated[int, Field(ge=1, le=10_000), Tag("number")]
    | Annotated[UntilPrecise, Tag("until_precise")]
    | Annotated[PairedRepeats, Tag("paired")],
    Discriminator(_form_of_repeats),
]
