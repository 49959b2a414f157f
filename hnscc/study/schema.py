"""The study file: a strict schema, whose every choice has a default in each preset of the protocol."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

Share = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*$", max_length=60)]


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Sampling(Settings):
    """Which slices of the cohort are used (paper section 2.1)."""

    max_positive: Annotated[int, Field(ge=1)] | None
    negatives: Literal["lesion_free_scans", "any_scan"]
    ratio: Annotated[float, Field(ge=0)]


class Split(Settings):
    """`test`: share of the patients; `validation`: share of the others.

    folds 1 = hold-out, k = each patient tested once.
    """

    unit: Literal["patient"]
    folds: Annotated[int, Field(ge=1, le=50)]
    test: Share
    validation: Share
    validation_unit: Literal["patient", "slice"]


class Normalisation(Settings):
    """Slices whose global minimum and maximum, per modality, become 0 and 1 (paper section 2.2)."""

    bounds: Literal["training", "training_and_validation"]


class Augmentation(Settings):
    """The paper's operations (section 2.2).

    copies 0 = none; n = n copies of every slice, made once, behind the originals or instead of them; `fresh` = in
    every epoch one new draw of every slice in its place.

    translate is a share of the image's side, rotate_degrees the largest turn to either side.
    """

    copies: Annotated[int, Field(ge=0, le=1000)] | Literal["fresh"]
    originals: Literal["kept", "dropped"]
    validation: bool
    shared_by_repeats: bool
    flip_left_right: Probability
    flip_up_down: Probability
    translate: Annotated[float, Field(ge=0, lt=1)]
    rotate_degrees: Annotated[float, Field(ge=0, le=180)]

    @model_validator(mode="after")
    def _fresh_draws_replace_nothing(self) -> "Augmentation":
        if self.copies == "fresh" and (
            self.originals == "dropped" or self.validation or self.shared_by_repeats
        ):
            raise ValueError(
                "copies: fresh goes with originals: kept, validation: false, shared_by_repeats: false"
            )
        return self


class Network(Settings):
    """A segmentation-models-pytorch architecture with its encoder, or `paper` (the paper's own) with its width."""

    architecture: str
    encoder: str | None = None
    encoder_weights: str | None = None
    width: Annotated[int, Field(ge=1, le=1024)] | None = None

    @model_validator(mode="after")
    def _settings_belong_to_the_architecture(self) -> "Network":
        if self.architecture == "paper" and (self.encoder or self.encoder_weights):
            raise ValueError("architecture paper has a width and no encoder")
        if self.architecture == "paper" and self.width is None:
            raise ValueError("architecture paper needs its width (16 in the paper)")
        if self.architecture != "paper" and self.width is not None:
            raise ValueError("only architecture paper has a width")
        if self.architecture != "paper" and self.encoder is None:
            raise ValueError(f"architecture {self.architecture} needs an encoder, for example resnet18")
        return self


class Training(Settings):
    """Paper section 2.3. `loss`: the paper's, the soft Dice loss, or the sum of both (training.losses). `monitor`: how
    the soft Jaccard of the validation set is formed."""

    network: Network
    loss: Literal["binary_cross_entropy", "dice", "binary_cross_entropy_and_dice"]
    learning_rate: Annotated[float, Field(gt=0)]
    adam_epsilon: Annotated[float, Field(gt=0)]
    batch_size: Annotated[int, Field(ge=1)]
    epochs: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)]
    monitor: Literal["soft_jaccard_pooled", "soft_jaccard_batch_mean"]
    threads: Annotated[int, Field(ge=1, le=256)]
    precision: Literal["auto", "fp32", "bf16"]
    device: Literal["auto", "cpu", "cuda"]


class Evaluation(Settings):
    cutoff_px: Annotated[int, Field(ge=1)]
    bootstraps: Annotated[int, Field(ge=100)]


class Resources(Settings):
    """What a trial asks of Ray; no part of its identity.

    gpus auto = the share of a GPU that its measured peak memory needs. hung_after: seconds without a finished epoch
    after which a trial is ended and goes on from its checkpoint, elsewhere if need be.
    """

    cpus: Annotated[float, Field(gt=0)]
    gpus: Annotated[float, Field(ge=0)] | Literal["auto"]
    hung_after: Annotated[float, Field(gt=0)]


class Variant(Settings):
    """All that one variant trains by, the base's settings included."""

    modalities: Annotated[tuple[str, ...], Field(min_length=1)]
    augmentation: Augmentation
    training: Training

    @field_validator("modalities", mode="before")
    @classmethod
    def _list_of_distinct_names(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and len(set(map(str, value))) != len(value):
            raise ValueError("a modality is named twice")
        return tuple(value) if isinstance(value, list) else value


class UntilPrecise(Settings):
    """Repeats of a variant until the median of their pooled test Dice at 0.5 is known well enough, at most `max`.

    until: the 95 % interval of the median (intervals.median_interval) reaches at most so far to either side. Looked
    at after `first` repeats and after every fourth more. enough: written by `hnscc run`: the
    variants that were precise enough, and after how many repeats.
    """

    max: Annotated[int, Field(ge=6, le=10_000)]
    until: Annotated[float, Field(gt=0, lt=1)]
    first: Annotated[int, Field(ge=6, le=10_000)] = 6
    enough: dict[str, Annotated[int, Field(ge=6)]] = {}

    @model_validator(mode="after")
    def _first_is_not_beyond_max(self) -> "UntilPrecise":
        if self.first > self.max:
            raise ValueError("first is at most max")
        return self


Repeats = Annotated[
    Annotated[int, Field(ge=1, le=10_000), Tag("number")] | Annotated[UntilPrecise, Tag("until_precise")],
    Discriminator(lambda value: "until_precise" if isinstance(value, dict | UntilPrecise) else "number"),
]


class Range(Settings):
    """Every value from low to high, evenly or (log) by order of magnitude; whole numbers where the setting is one."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _from_low_to_high(self) -> "Range":
        if self.low >= self.high:
            raise ValueError("low lies below high")
        if self.log and self.low <= 0:
            raise ValueError("log: true needs low above 0")
        return self


# Told apart by their form, so that what is wrong is said of the one that was meant.
Values = Annotated[
    Annotated[tuple[Any, ...], Tag("list")] | Annotated[Range, Tag("range")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "range"),
]


class SearchRepeats(Settings):
    """first: of every configuration. most: of the one that gets the most."""

    first: Annotated[int, Field(ge=1)] = 1
    most: Annotated[int, Field(ge=2, le=10_000)] = 50

    @model_validator(mode="after")
    def _first_are_not_more_than_most(self) -> "SearchRepeats":
        if self.first > self.most:
            raise ValueError("most is at least first")
        return self


class Budget(Settings):
    """What a search may spend; the first that is spent ends it.

    trials: whole trainings; one that ended early counts by its epochs. hours: of training, on as many trials side by
    side as the machines held when the search began. gpu_hours: hours times the share of a GPU, over all trials.
    """

    trials: Annotated[float, Field(gt=0)] | None = None
    hours: Annotated[float, Field(gt=0)] | None = None
    gpu_hours: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _something_is_limited(self) -> "Budget":
        if self.trials is None and self.hours is None and self.gpu_hours is None:
            raise ValueError("a budget has trials, hours or gpu_hours")
        return self


class Search(Settings):
    """A hyperparameter search over repeats (hnscc.searching.race).

    ranges: for settings below `training.` or `augmentation.`, the values to choose from (a list) or a Range.
    configurations: how many to try; none for grid, which tries all. stopping: who is stopped across epochs. level: the
    chance, at most, that the tests of the whole search dismiss the best configuration. runners_up: at most so many of
    those that cannot be told from the winner are written out beside it.
    """

    method: Literal["random", "grid", "tpe"]
    ranges: Annotated[dict[str, Values], Field(min_length=1)]
    configurations: Annotated[int, Field(ge=2, le=10_000)] | None = None
    repeats: SearchRepeats = SearchRepeats()
    stopping: Literal["none", "successive_halving", "median"] = "none"
    budget: Budget
    level: Share = 0.05
    runners_up: Annotated[int, Field(ge=0)] = 2

    @field_validator("ranges", mode="before")
    @classmethod
    def _lists_of_distinct_values(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: _choices(name, each) if isinstance(each, list) else each for name, each in value.items()
        }

    @model_validator(mode="after")
    def _method_has_what_it_needs(self) -> "Search":
        if self.method == "grid":
            if self.configurations is not None:
                raise ValueError("method grid tries every combination: it takes no number of configurations")
            if ranges := [name for name, each in self.ranges.items() if isinstance(each, Range)]:
                raise ValueError(f"method grid needs lists of values, and {', '.join(ranges)} is a range")
        elif self.configurations is None:
            raise ValueError(f"method {self.method} needs the number of configurations")
        return self


def _choices(name: str, values: list[Any]) -> tuple[Any, ...]:
    if len(values) < 2 or any(each in values[:place] for place, each in enumerate(values)):
        raise ValueError(f"{name} is a list of at least two different values")
    return tuple(values)


class Study(Settings):
    name: Name
    store: str
    protocol: Literal["corrected", "as_written"]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    repeats: Repeats
    sampling: Sampling
    split: Split
    normalisation: Normalisation
    augmentation: Augmentation
    training: Training
    variants: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")], Variant], Field(min_length=1)
    ]
    evaluation: Evaluation
    resources: Resources
    search: Search | None = None

    @property
    def most_repeats(self) -> int:
        """Of a variant; while it is searched, of a configuration."""
        if self.search:
            return self.search.repeats.most
        return self.repeats.max if isinstance(self.repeats, UntilPrecise) else self.repeats

    def repeats_of(self, variant: str) -> int:
        """How many repeats of a variant are planned: fewer than the most once fewer were found to be enough."""
        known = self.repeats.enough if isinstance(self.repeats, UntilPrecise) and not self.search else {}
        return known.get(variant, self.most_repeats)
