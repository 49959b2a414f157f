"""The settings that a variant trains with: modalities, augmentation and training. A search can search these."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from hnscc.study.fields import (
    OURS,
    PAPER_PREPROCESSING,
    PAPER_TRAINING,
    PAPERS_CODE,
    Count,
    Positive,
    Probability,
    Settings,
    conflict,
    says,
)

# The architectures of segmentation-models-pytorch, listed here because the library takes two seconds to import. A test
# compares this list with the library.
ARCHITECTURES = (
    *("unet", "unetplusplus", "manet", "linknet", "fpn", "pspnet"),
    *("deeplabv3", "deeplabv3plus", "pan", "upernet", "segformer", "dpt"),
)
TRANSFORMER = "tu-vit_tiny_patch16_224 (with slices of 224 pixels)"  # dpt takes only encoders of this kind


class Augmentation(Settings):
    """Altered copies of the training slices: flips, then one move that translates and rotates."""

    copies: Annotated[
        Annotated[int, Field(ge=0, le=1000)] | Literal["fresh"],
        says(
            "0 augments nothing; n makes n altered copies of every slice, once; `fresh` alters every slice anew in "
            "each epoch, in its place.",
            PAPER_PREPROCESSING,
        ),
    ]
    originals: Annotated[
        Literal["kept", "dropped"],
        says("The unaltered slices are trained on too, or their copies alone.", PAPER_PREPROCESSING),
    ]
    validation: Annotated[
        bool,
        says("The validation slices are replaced by altered copies as well.", PAPER_PREPROCESSING),
    ]
    shared_by_repeats: Annotated[
        bool,
        says("All repeats of a variant train on one set of copies instead of a set each.", PAPERS_CODE),
    ]
    flip_left_right: Annotated[
        Probability,
        says("The probability with which a copy is flipped left to right.", PAPER_PREPROCESSING),
    ]
    flip_up_down: Annotated[
        Probability,
        says("The probability with which a copy is flipped upside down.", PAPER_PREPROCESSING),
    ]
    translate: Annotated[
        float,
        Field(ge=0, lt=1),
        says(
            "A copy is moved by at most this share of the slice's side, in either direction of each axis, by whole "
            "pixels, rounded towards 0.",
            PAPER_PREPROCESSING,
        ),
    ]
    rotate_degrees: Annotated[
        float,
        Field(ge=0, le=180),
        says("A copy is turned by at most so many degrees to either side.", PAPER_PREPROCESSING),
    ]

    @model_validator(mode="after")
    def _fresh_copies_replace_nothing(self) -> "Augmentation":
        needed = {"originals": "kept", "validation": False, "shared_by_repeats": False}
        others = [name for name, value in needed.items() if getattr(self, name) != value]
        if self.copies == "fresh" and others:
            expected = "copies: fresh goes with originals: kept, validation: false, shared_by_repeats: false"
            raise conflict(self, expected, "copies", *others)
        return self


class Network(Settings):
    """A segmentation-models-pytorch architecture with its encoder, or `paper` (the paper's own) with its width."""

    architecture: Annotated[
        str,
        says(
            "`paper` is the paper's network; every other name is an architecture of segmentation-models-pytorch, "
            "such as unet.",
            PAPER_TRAINING,
        ),
    ]
    encoder: Annotated[
        Annotated[str, Field(min_length=1)] | None,
        says("The encoder of the architecture by its name in that library; `paper` has none.", OURS),
    ] = None
    encoder_weights: Annotated[
        Annotated[str, Field(min_length=1)] | None,
        says(
            "A safetensors file of pretrained encoder weights; null initialises at random. Nothing is downloaded.",
            OURS,
        ),
    ] = None
    width: Annotated[
        Annotated[int, Field(ge=1, le=256)] | None,
        says("The filters of the first level of `paper`; each level below has twice as many.", PAPERS_CODE),
    ] = None

    @property
    def is_papers(self) -> bool:
        """Whether it is the paper's own network, which has a width and no encoder."""
        return self.architecture == "paper"

    @field_validator("architecture")
    @classmethod
    def _architecture_exists(cls, name: str) -> str:
        known = ("paper", *ARCHITECTURES)
        if name not in known:  # it is already in lower case, see presets.in_lower_case
            raise ValueError(f"one of {', '.join(nearest_first(name, known))}")
        return name

    @model_validator(mode="after")
    def _settings_belong_to_the_architecture(self) -> "Network":
        paper = self.is_papers
        encoder = [name for name in ("encoder", "encoder_weights") if getattr(self, name) is not None]
        if paper and encoder:
            raise conflict(self, "architecture paper has a width and no encoder", "architecture", *encoder)
        if paper and self.width is None:
            raise conflict(
                self, "architecture paper needs its width (16 in the paper)", "architecture", "width"
            )
        if not paper and self.width is not None:
            raise conflict(self, "only architecture paper has a width", "architecture", "width")
        if not paper and self.encoder is None:
            example = TRANSFORMER if self.architecture == "dpt" else "resnet18"
            expected = f"architecture {self.architecture} needs an encoder, for example {example}"
            raise conflict(self, expected, "architecture", "encoder")
        return self


def nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names, those most like `name` first; equally alike ones stay in the order given."""
    return sorted(known, key=lambda each: -SequenceMatcher(None, name.lower(), each.lower()).ratio())


class Training(Settings):
    """What is trained, and how long."""

    network: Annotated[Network, says("The network that segments a slice.", PAPER_TRAINING)]
    loss: Annotated[
        Literal["binary_cross_entropy", "dice", "binary_cross_entropy_and_dice"],
        says(
            "What training minimises: the paper's loss, the soft Dice loss, or the sum of both.",
            PAPER_TRAINING,
        ),
    ]
    learning_rate: Annotated[Positive, says("The step size of the optimiser Adam.", PAPER_TRAINING)]
    adam_epsilon: Annotated[
        Positive,
        says("The number that Adam adds to the denominator of each step.", PAPERS_CODE),
    ]
    batch_size: Annotated[
        Count,
        says(
            "So many slices make one step of training; a single one that is left joins the last step.",
            PAPERS_CODE,
        ),
    ]
    epochs: Annotated[Count, says("Training ends after so many epochs at the latest.", PAPER_TRAINING)]
    patience: Annotated[
        Count,
        says(
            "Training ends after so many epochs in a row without a better validation score; the best epoch's "
            "weights are kept.",
            PAPER_TRAINING,
        ),
    ]
    monitor: Annotated[
        Literal["soft_jaccard_pooled", "soft_jaccard_batch_mean"],
        says(
            "The validation score: the soft Jaccard over all validation slices at once, or its mean over batches.",
            PAPERS_CODE,
        ),
    ]
    threads: Annotated[
        int,
        Field(ge=1, le=256),
        says("A trial computes with so many threads of a processor.", OURS),
    ]
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        says(
            "The number format of the arithmetic; `auto` is bf16 where the hardware has it, else fp32.",
            OURS,
        ),
    ]
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        says("Where a trial is trained; `auto` is a CUDA GPU where there is one, else the processor.", OURS),
    ]


class Variant(Settings):
    """All settings that one variant trains with, including those of the base."""

    modalities: Annotated[
        tuple[str, ...],
        Field(min_length=1),
        says("The modalities of the store that the network sees, in this order.", PAPER_TRAINING),
    ]
    augmentation: Annotated[
        Augmentation,
        says(
            "In what the variant's augmentation differs from the section `augmentation`.", PAPER_PREPROCESSING
        ),
    ]
    training: Annotated[
        Training,
        says("In what the variant's training differs from the section `training`.", PAPER_TRAINING),
    ]

    @field_validator("modalities", mode="before")
    @classmethod
    def _list_of_distinct_names(cls, value: object) -> object:
        if isinstance(value, list | tuple) and len(set(map(str, value))) != len(value):
            raise ValueError("a list in which each modality stands once")
        return tuple(value) if isinstance(value, list) else value
