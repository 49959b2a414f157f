"""The study file as a strict schema. Each field says what it means and where the choice comes from.

The defaults of a study's own settings are in its preset (hnscc.study.presets), those of an optional section in its
own schema.
"""

from typing import Annotated, Literal

from pydantic import Field

from hnscc.base.split_names import HELD_OUT, SPLITS
from hnscc.study.fields import (
    OURS,
    PAPER_EVALUATION,
    PAPER_IMAGING,
    PAPER_PREPROCESSING,
    PAPER_TRAINING,
    STUDY_NAME,
    VARIANT_NAME,
    Settings,
    says,
)
from hnscc.study.search_schema import Search
from hnscc.study.section_schema import (
    Evaluation,
    Normalisation,
    PairedRepeats,
    Repeats,
    Resources,
    Sampling,
    Split,
    UntilPrecise,
)
from hnscc.study.variant_schema import Augmentation, Training, Variant

# The most characters that a study's name may have.
NAME_LENGTH = 60


class Study(Settings):
    """A whole study, every default spelled out."""

    name: Annotated[
        str,
        Field(pattern=STUDY_NAME, max_length=NAME_LENGTH),
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
        says("Every random choice of the study follows from this number and from what it is for.", OURS),
    ]
    repeats: Annotated[
        Repeats,
        says(
            "So many independent trainings of each variant and fold; or, as a section, as many as it takes, or pairs.",
            PAPER_EVALUATION,
        ),
    ]
    sampling: Annotated[Sampling, says("Which slices of the cohort are sampled.", PAPER_IMAGING)]
    split: Annotated[
        Split,
        says("How patients are divided into training, validation and test.", PAPER_PREPROCESSING),
    ]
    normalisation: Annotated[Normalisation, says("How the images are scaled to 0..1.", PAPER_PREPROCESSING)]
    augmentation: Annotated[Augmentation, says("How training slices are altered.", PAPER_PREPROCESSING)]
    training: Annotated[Training, says("What is trained, and how long.", PAPER_TRAINING)]
    variants: Annotated[
        dict[Annotated[str, Field(pattern=VARIANT_NAME)], Variant],
        Field(min_length=1),
        says(
            "What is compared: names, each with its differences from the rest of the file; left out for a search.",
            PAPER_TRAINING,
        ),
    ]
    evaluation: Annotated[Evaluation, says("How trained trials are evaluated.", PAPER_EVALUATION)]
    resources: Annotated[Resources, says("What a trial asks of Ray; it changes no result.", OURS)]
    search: Annotated[
        Search | None,
        says("A search for hyperparameters (`hnscc search`), in place of variants.", OURS),
    ] = None

    @property
    def most_repeats(self) -> int:
        """The most repeats that a variant may have; in a search, a configuration."""
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
        """The splits whose slices are read: all of them, except that a search must not read test."""
        return tuple(split for split in SPLITS if split != "test" or not self.search)

    @property
    def whole_splits(self) -> tuple[str, ...]:
        """The splits in which every slice of every scan is scored; none where only the sampled slices are.

        Validation that is chosen slice by slice is not among them: other slices of its scans are trained on.
        """
        if self.search or self.evaluation.slices == "sampled":
            return ()
        return tuple(
            split for split in HELD_OUT if split == "test" or self.split.validation_unit == "patient"
        )

    def repeats_of(self, variant: str) -> int:
        """Return how many repeats a variant has. This is less than the most once fewer were found to be enough."""
        known = self.repeats.enough if isinstance(self.repeats, UntilPrecise) and not self.search else {}
        return known.get(variant, self.most_repeats)
