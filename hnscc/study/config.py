"""The study file: a strict schema whose every choice has a preset in the protocol (shared protocol table, README)."""

import re
from copy import deepcopy
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from hnscc.base.errors import InputError
from hnscc.base.locations import Place, place

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

    until: the 95 % interval of the median (scores.stats.median_interval) reaches at most so far to either side. Looked
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


# The `train` stage of the protocol, in the two readings that can be trained. `corrected` is spelled out whole;
# `as_written` is its difference from it.
CORRECTED: dict[str, Any] = {
    "protocol": "corrected",
    "seed": 2023,
    "repeats": 50,
    "sampling": {"max_positive": None, "negatives": "lesion_free_scans", "ratio": 1.0},
    "split": {"unit": "patient", "folds": 1, "test": 0.19, "validation": 0.15, "validation_unit": "patient"},
    "normalisation": {"bounds": "training"},
    "augmentation": {
        "copies": 0,
        "originals": "kept",
        "validation": False,
        "shared_by_repeats": False,
        "flip_left_right": 0.5,
        "flip_up_down": 0.5,
        "translate": 0.1,
        "rotate_degrees": 15.0,
    },
    "training": {
        "network": {"architecture": "unet", "encoder": "resnet18"},
        "loss": "binary_cross_entropy",
        "learning_rate": 0.001,
        "adam_epsilon": 1e-7,
        "batch_size": 16,
        "epochs": 200,
        "patience": 50,
        "monitor": "soft_jaccard_pooled",
        "threads": 1,
        "precision": "auto",
        "device": "auto",
    },
    "evaluation": {"cutoff_px": 9, "bootstraps": 2000},
    "resources": {"cpus": 1, "gpus": "auto", "hung_after": 1800},
}
AS_WRITTEN: dict[str, Any] = {
    "protocol": "as_written",
    "split": {"validation_unit": "slice"},
    "normalisation": {"bounds": "training_and_validation"},
    "augmentation": {"originals": "dropped", "validation": True, "shared_by_repeats": True},
    "training": {
        "network": {"architecture": "paper", "width": 16},
        "batch_size": 32,
        "monitor": "soft_jaccard_batch_mean",
    },
}


# The one variant of a study file with a search: what the ranges do not name is as it says.
SEARCHED = "searched"


def merge(base: dict[str, Any], difference: dict[str, Any]) -> dict[str, Any]:
    """`base` with `difference` laid over it, key by key, at every depth. Neither is changed.

    A network of another architecture replaces the base's whole: a resnet18 encoder means nothing to it.
    """
    merged = deepcopy(base)
    for key, value in difference.items():
        below = merged.get(key)
        replaced = (
            key == "network"
            and isinstance(value, dict)
            and _architecture(value, below) != _architecture(below, below)
        )
        if isinstance(value, dict) and isinstance(below, dict) and not replaced:
            merged[key] = merge(below, value)
        else:
            merged[key] = deepcopy(value)
    return merged


def _architecture(network: Any, default: Any) -> Any:
    fallback = default.get("architecture") if isinstance(default, dict) else None
    return network.get("architecture", fallback) if isinstance(network, dict) else fallback


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that reads 1e-3 as a number and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_study(path: str | Place) -> Study:
    """Read, merge and check a study file.

    Raises InputError naming the path of the setting: not YAML, unknown key, wrong type, value out of range.
    """
    path = place(path)
    try:
        raw = yaml.load(path.read_text(), Loader=_StrictLoader)
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(
            "There is no such study file.",
            where=str(path),
            expected="a YAML file",
            found="nothing",
            do="check the path",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, PermissionError) as error:
        raise InputError(
            "The study file cannot be read as YAML.",
            where=str(path),
            expected="a mapping of settings in YAML",
            found=" ".join(str(error).split()),
            do="mend the line that the message names; studies/demo.yaml is an example",
        ) from None
    return parse_study(raw, where=str(path))


def parse_study(raw: Any, where: str = "study") -> Study:
    """A study from its settings as read from YAML; see `load_study`."""
    if not isinstance(raw, dict):
        raise InputError(
            "The study file holds no settings.",
            where=where,
            expected="a mapping such as `name: demo`",
            found=type(raw).__name__,
            do="start from studies/demo.yaml",
        )
    try:
        return Study.model_validate(_resolve(raw))
    except ValidationError as error:
        raise _first_error(error, where) from None


def dump_study(study: Study) -> str:
    """The study as YAML with every default spelled out; `load_study` gives the same study back."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False)


def _resolve(raw: dict[str, Any]) -> dict[str, Any]:
    """Preset <- the file's base <- each variant's difference.

    What is not a mapping is left for the schema to refuse.
    """
    preset = merge(CORRECTED, AS_WRITTEN) if raw.get("protocol") == "as_written" else CORRECTED
    base = {key: value for key, value in raw.items() if key not in ("variants", "modalities")}
    resolved = merge(preset, base)
    shared = {key: resolved[key] for key in ("augmentation", "training")}
    if "modalities" in raw:
        shared["modalities"] = raw["modalities"]
    variants = raw.get("variants")
    if isinstance(variants, dict):
        resolved["variants"] = {
            name: merge(shared, {} if difference is None else difference)
            if isinstance(difference, dict | None)
            else difference
            for name, difference in variants.items()
        }
    elif variants is not None:
        resolved["variants"] = variants
    elif "search" in raw:
        resolved["variants"] = {SEARCHED: shared}
    return resolved


def _first_error(error: ValidationError, where: str) -> InputError:
    # An unknown key comes first: a misspelt name also shows as a missing one. A mistake in the base shows again in
    # every variant: it is counted once.
    errors = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    first = errors[0]
    more = len({_in_base(each["loc"]) for each in errors}) - 1
    unknown, missing = first["type"] == "extra_forbidden", first["type"] == "missing"
    return InputError(
        f"The setting {_dotted(first['loc'])} is {'unknown' if unknown else 'missing' if missing else 'not valid'}.",
        where=where,
        expected=_known_beside(first["loc"]) if unknown else first["msg"].removeprefix("Value error, "),
        found="nothing" if missing else repr(first["input"])[:200],
        do="correct it in the study file" + (f" ({more} more to correct)" if more else ""),
    )


# What pydantic puts into the path of a setting that has two forms.
FORMS = ("list", "range", "number", "until_precise")


def _dotted(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in loc if part not in ("[key]", *FORMS)) or "(whole file)"


def _in_base(loc: tuple[str | int, ...]) -> str:
    return _dotted(loc[2:] if loc[:1] == ("variants",) and len(loc) > 2 else loc)


def _model_in(annotation: Any) -> Any:
    """The model among the forms that a setting may have."""
    forms = [annotation, *get_args(annotation)]
    forms += [inner for each in forms for inner in get_args(each)]
    return next(each for each in forms if isinstance(each, type) and issubclass(each, BaseModel))


def _known_beside(loc: tuple[str | int, ...]) -> str:
    """The settings that exist where an unknown one was found, or the one that it seems to mean."""
    in_variant = loc[0] == "variants"
    if loc[:2] == ("search", "ranges"):  # below it are paths, not fields
        return (
            f"a list of values, or {', '.join(Range.model_fields)}, for a path such as training.learning_rate"
        )
    model: Any = Variant if in_variant else Study
    for part in loc[2:-1] if in_variant else loc[:-1]:
        if part not in FORMS:
            model = _model_in(model.model_fields[str(part)].annotation)
    names = list(model.model_fields)
    close = get_close_matches(str(loc[-1]), names, n=1)
    return f"{close[0]}?" if close else f"one of {', '.join(names)}"
