"""The study file: a strict schema. Each field says what it means and where the choice comes from.

The defaults of a study's own settings are the preset's (hnscc.study.presets), those of an optional section stand here.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from hnscc.base.split_names import HELD_OUT, SPLITS
from hnscc.study.fields import (
    OURS,
    PAPER_EVALUATION,
    PAPER_IMAGING,
    PAPER_PREPROCESSING,
    PAPER_TRAINING,
    PAPERS_CODE,
    Count,
    Positive,
    Settings,
    Share,
    says,
)
from hnscc.study.search_schema import Range, Search
from hnscc.study.variant_schema import Augmentation, Network, Training, Variant

# What others may use, in whichever file of the schema it stands.
__all__ = [
    "NAME_LENGTH",
    "Augmentation",
    "Evaluation",
    "Network",
    "Normalisation",
    "Range",
    "Resources",
    "Sampling",
    "Search",
    "Split",
    "Study",
    "Training",
    "UntilPrecise",
    "Variant",
]


# The most characters that a study's name may have.
NAME_LENGTH = 60
# From which scans slices without lesion are drawn.
Negatives = Literal["lesion_free_scans", "any_scan"]


class Sampling(Settings):
    """Which slices of the cohort are used."""

    max_positive: Annotated[
        Count | None,
        says("At most so many slices with lesion are used, drawn evenly over patients; null uses all.", OURS),
    ]
    negatives: Annotated[
        Negatives,
        says(
            "Slices without lesion are drawn from scans that hold no lesion at all, or from any scan.",
            PAPER_IMAGING,
        ),
    ]
    ratio: Annotated[
        float,
        Field(ge=0),
        says(
            "So many slices without lesion are drawn for each slice with lesion, in each split.",
            PAPER_IMAGING,
        ),
    ]


class Split(Settings):
    """How patients are divided into training, validation and test, stratified by whether they have a lesion."""

    unit: Annotated[
        Literal["patient"],
        says(
            "The test set is drawn patient by patient, so that none stands on both sides.",
            PAPER_PREPROCESSING,
        ),
    ]
    folds: Annotated[
        int,
        Field(ge=1, le=50),
        says("1 holds one test set out; k folds test every patient once.", OURS),
    ]
    test: Annotated[
        Share,
        says(
            "This share of the patients is tested on; with two folds or more it is not used.",
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
            "Validation is drawn by patient, or slice by slice, whose patients then stand in training too.",
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
    """How finished trials are evaluated; a change needs no new training."""

    slices: Annotated[
        Literal["all", "sampled"],
        says(
            "Every slice of every validation and test scan is predicted and scored, or the sampled slices alone.",
            PAPER_EVALUATION,
        ),
    ]
    cutoff_px: Annotated[
        Count,
        says("A slice counts as positive from so many pixels of lesion on.", PAPER_EVALUATION),
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
        Field(ge=100),
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
    # Ray refuses others only when a trial is to be started, with a traceback.
    if gpus > 1 and not float(gpus).is_integer():
        raise ValueError("a share of one GPU, at most 1, or a whole number of GPUs")
    return gpus


class Resources(Settings):
    """What a trial asks of Ray; no part of its identity."""

    cpus: Annotated[Positive, says("A trial reserves so many processor cores.", OURS)]
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


class Study(Settings):
    """A whole study, every default spelled out."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*$", max_length=NAME_LENGTH),
        says("The study's name; its run folder is `runs/NAME` unless --out says otherwise.", OURS),
    ]
    store: Annotated[
        str,
        says(
            "The store that `hnscc prepare` made: a path from the working directory, or an s3:// URL.", OURS
        ),
    ]
    protocol: Annotated[
        Literal["corrected", "as_written"],
        says(
            "The preset of every default: without leaks and by patient, or as the paper's text has it.", OURS
        ),
    ]
    seed: Annotated[
        int,
        Field(ge=0, lt=2**63),
        says("Every random draw of the study follows from this number and from what the draw is for.", OURS),
    ]
    repeats: Annotated[
        Repeats,
        says(
            "So many independent trainings of each variant and fold; or, as a section, as many as it takes, or pairs.",
            PAPER_EVALUATION,
        ),
    ]
    sampling: Annotated[Sampling, says("Which slices of the cohort are used.", PAPER_IMAGING)]
    split: Annotated[
        Split,
        says("How patients are divided into training, validation and test.", PAPER_PREPROCESSING),
    ]
    normalisation: Annotated[Normalisation, says("How the images are scaled to 0..1.", PAPER_PREPROCESSING)]
    augmentation: Annotated[Augmentation, says("How training slices are altered.", PAPER_PREPROCESSING)]
    training: Annotated[Training, says("What is trained, and how long.", PAPER_TRAINING)]
    variants: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")], Variant],
        Field(min_length=1),
        says(
            "What is compared: names, each with its differences from the rest of the file; left out for a search.",
            PAPER_TRAINING,
        ),
    ]
    evaluation: Annotated[Evaluation, says("How finished trials are evaluated.", PAPER_EVALUATION)]
    resources: Annotated[Resources, says("What a trial asks of Ray; it changes no result.", OURS)]
    search: Annotated[
        Search | None,
        says("A search for hyperparameters (`hnscc search`), in place of variants.", OURS),
    ] = None

    @property
    def most_repeats(self) -> int:
        """Of a variant; while it is searched, of a configuration."""
        if self.search:
            return self.search.repeats.most
        if isinstance(self.repeats, PairedRepeats):
            return self.repeats.number
        return self.repeats.max if isinstance(self.repeats, UntilPrecise) else self.repeats

    @property
    def paired(self) -> bool:
        """Whether repeat r of all variants shares its seeds, so that they are compared in pairs."""
        return isinstance(self.repeats, PairedRepeats) and self.repeats.paired and not self.search

    @property
    def read_splits(self) -> tuple[str, ...]:
        """The splits whose slices are read: all of them, but of a search not test, which is closed to it."""
        return tuple(split for split in SPLITS if split != "test" or not self.search)

    @property
    def whole_splits(self) -> tuple[str, ...]:
        """The splits of which every slice of every scan is scored; none where the sampled slices alone are.

        A validation set that is drawn slice by slice stays as it is: its scans are trained on too.
        """
        if self.search or self.evaluation.slices == "sampled":
            return ()
        return tuple(
            split for split in HELD_OUT if split == "test" or self.split.validation_unit == "patient"
        )

    def repeats_of(self, variant: str) -> int:
        """How many repeats of a variant are planned: fewer than the most once fewer were found to be enough."""
        known = self.repeats.enough if isinstance(self.repeats, UntilPrecise) and not self.search else {}
        return known.get(variant, self.most_repeats)
