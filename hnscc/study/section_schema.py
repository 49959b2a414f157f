"""The sections of a study that all its variants share: repeats, slices, split, normalisation, evaluation, resources."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from hnscc.study.fields import (
    OURS,
    PAPER_EVALUATION,
    PAPER_IMAGING,
    PAPER_PREPROCESSING,
    PAPERS_CODE,
    Count,
    Positive,
    Settings,
    Share,
    conflict,
    says,
)

# Ray counts processors and GPUs in ten thousandths.
LEAST_SHARE = 0.0001


class UntilPrecise(Settings):
    """Repeats of a variant until the median of their pooled test Dice at 0.5 is known well enough, at most `max`.

    Whether it is known (scores.intervals.median_interval) is checked after `first` repeats and after every four more.
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
    def _none_is_beyond_max(self) -> "UntilPrecise":
        if self.first > self.max:
            raise conflict(self, "first is at most max", "first", "max")
        if max(self.enough.values(), default=0) > self.max:
            raise conflict(self, "enough is at most max for each variant", "enough", "max")
        return self


class PairedRepeats(Settings):
    """A fixed number of repeats of each variant. Repeat r of all variants may share its seeds."""

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


def _number_of_repeats(value: Any) -> Any:
    """Return the value as it is. ValueError that tells of all forms where it is no whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number; or a section, such as {max: 50, until: 0.02} or {paired: true}")
    return value


# The form of a value decides which type it is read as, so that an error is about the type that was meant.
Repeats = Annotated[
    Annotated[int, Field(ge=1, le=10_000), BeforeValidator(_number_of_repeats), Tag("number")]
    | Annotated[UntilPrecise, Tag("until_precise")]
    | Annotated[PairedRepeats, Tag("paired")],
    Discriminator(_form_of_repeats),
]


# The scans from which slices without lesion are chosen.
Negatives = Literal["lesion_free_scans", "any_scan"]


class Sampling(Settings):
    """Which slices of the cohort are sampled."""

    max_positive: Annotated[
        Count | None,
        says(
            "At most so many slices with lesion are sampled, at random, evenly over patients; null samples all.",
            OURS,
        ),
    ]
    negatives: Annotated[
        Negatives,
        says(
            "Slices without lesion are chosen from scans that hold no lesion at all, or from any scan.",
            PAPER_IMAGING,
        ),
    ]
    ratio: Annotated[
        float,
        Field(ge=0, le=1000),
        says(
            "So many slices without lesion are chosen for each slice with lesion, in each split.",
            PAPER_IMAGING,
        ),
    ]


class Split(Settings):
    """How patients are divided into training, validation and test: by shares, stratified by whether they have a lesion,
    or as the manifest's column split says."""

    unit: Annotated[
        Literal["patient"],
        says(
            "Test is chosen patient by patient, so that none stands on both sides.",
            PAPER_PREPROCESSING,
        ),
    ]
    folds: Annotated[
        int,
        Field(ge=1, le=50),
        says("1 holds one share of the patients out for test; k folds test every patient once.", OURS),
    ]
    test: Annotated[
        Share,
        says(
            "This share of the patients is tested on; with two folds or more it is left out.",
            PAPER_PREPROCESSING,
        ),
    ]
    validation: Annotated[
        Share,
        says("This share of what is not tested on is set aside for validation.", PAPER_PREPROCESSING),
    ]
    validation_unit: Annotated[
        Literal["patient", "slice"],
        says(
            "Validation is chosen by patient, or slice by slice, whose patients then stand in training too.",
            PAPERS_CODE,
        ),
    ]


class Normalisation(Settings):
    """How the images of each modality are scaled to 0..1."""

    bounds: Annotated[
        Literal["training", "training_and_validation"],
        says(
            "The minimum and maximum of these slices, for each modality, become 0 and 1; others are clipped.",
            PAPER_PREPROCESSING,
        ),
    ]


class Evaluation(Settings):
    """How trained trials are evaluated; a change needs no new training."""

    slices: Annotated[
        Literal["all", "sampled"],
        says(
            "Every slice of every validation and test scan is predicted and scored, or the sampled slices alone.",
            PAPER_EVALUATION,
        ),
    ]
    cutoff_px: Annotated[
        Count,
        says(
            "From so many pixels on a slice counts as with lesion, by its mask, and as called positive, by the "
            "prediction.",
            PAPER_EVALUATION,
        ),
    ]
    tolerance_mm: Annotated[
        float,
        Field(gt=0),
        says(
            "Surfaces that lie at most so many mm apart agree, by the surface Dice of scans.",
            PAPER_EVALUATION,
        ),
    ]
    bootstraps: Annotated[
        int,
        Field(ge=100, le=100_000),
        says(
            "So many resamples give an interval and a p of `comparisons` where its `method` is bootstrap; no other "
            "interval uses them.",
            OURS,
        ),
    ]
    margin: Annotated[
        Annotated[float, Field(gt=0, lt=1)] | None,
        says(
            "A difference in a pooled score below this counts as none: then variants can be told to be equal up to it.",
            OURS,
        ),
    ]


def _share_or_whole_number(gpus: float) -> float:
    # Ray refuses other shares too, but only when a trial is to be started, and with a traceback.
    if 0 < gpus < LEAST_SHARE:
        raise ValueError(f"0, or at least {LEAST_SHARE:g}")
    if gpus > 1 and not float(gpus).is_integer():
        raise ValueError("a share of one GPU, at most 1, or a whole number of GPUs")
    return gpus


class Resources(Settings):
    """What a trial asks of Ray; no part of its identity."""

    cpus: Annotated[float, Field(ge=LEAST_SHARE), says("A trial reserves so many processor cores.", OURS)]
    gpus: Annotated[
        Annotated[float, Field(ge=0), AfterValidator(_share_or_whole_number)] | Literal["auto"],
        says(
            "A trial reserves this share of one GPU, at most 1, or a whole number of GPUs; `auto` is the share that "
            "its measured peak memory needs.",
            OURS,
        ),
    ]
    hung_after: Annotated[
        Positive,
        says(
            "A trial that finishes no epoch, and predicts and scores nothing, for so many seconds is ended and goes on "
            "from its checkpoint.",
            OURS,
        ),
    ]
