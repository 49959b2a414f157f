"""The result of `hnscc check` as typed mappings: the whole of it, and its parts. Also how much memory and disk the
study needs, as far as that is known before an image is read."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from hnscc.cohort.splits import Division
from hnscc.cohort.store import Store
from hnscc.scores.intervals import RepeatsForWidth
from hnscc.study.schema import Study

# The weights, their gradients, the two moments of Adam, and the weights of the best epoch, each in float32.
COPIES_OF_WEIGHTS = 5
FLOAT, BYTE, PROBABILITY = 4, 1, 2  # bytes of a pixel of an image, of a mask, of stored probabilities


class MemoryFacts(TypedDict):
    """Memory in MiB, in addition to Python and its libraries. driver: of the process that once reads the slices of all
    folds: the sampled ones and, with `evaluation: {slices: all}`, whole scans of validation and test. object_store: of
    Ray's copy of these slices, which all workers of a machine share. worker: the most that one worker has of its own:
    weights with everything kept for them, and its predictions with their masks while they are scored and compressed.
    Activations of a batch are not included. Augmented slices are made when a batch is read, and not kept."""

    driver: float
    object_store: float
    worker: float


def memory_of(
    study: Study, store: Store, divisions: Sequence[Division], parameters: Mapping[str, int]
) -> MemoryFacts:
    """Return the memory that is known without reading an image. parameters: for each variant, the number of trained
    parameters of its network."""
    scored = {(each.scan_id, each.z) for division in divisions for _, each in division.scored}
    slices = len(scored) * _slice_bytes(store, len(store.modalities))
    weights = max(parameters[name] for name in study.variants) * FLOAT * COPIES_OF_WEIGHTS
    worker = max(_predicted_bytes(store, division) for division in divisions) + weights
    return {"driver": _mib(slices), "object_store": _mib(slices), "worker": _mib(worker)}


def disk_of(study: Study, store: Store, divisions: Sequence[Division], parameters: Sequence[int]) -> float:
    """Return the most MiB that the trials write: predictions before compression, and weights. parameters: those of each
    variant's network."""
    slices = sum(len(division.scored) for division in divisions)
    predictions = slices * store.size**2 * PROBABILITY * len(study.variants)
    weights = sum(parameters) * FLOAT * study.split.folds
    return _mib(study.most_repeats * (predictions + weights))


def _predicted_bytes(store: Store, division: Division) -> int:
    """Return the bytes of what one worker predicts in a fold, of its masks, and of the compressed file, which is at
    most as large as its content."""
    return len(division.scored) * store.size**2 * (PROBABILITY + BYTE + PROBABILITY)


def _slice_bytes(store: Store, channels: int) -> int:
    return store.size**2 * (channels * FLOAT + BYTE)


def _mib(count: float) -> float:
    return round(count / 2**20, 1)


class StoreFacts(TypedDict):
    """The location of the store, the digest of its content, and how many scans it holds."""

    location: str
    digest: str
    scans: int


class VariantFacts(TypedDict):
    """A variant: its modalities, augmented copies of each slice (`fresh`: new ones in every epoch), network settings,
    the number of trained parameters, the device (cpu, cuda) and precision (fp32, bf16) that `auto` chose, and the
    number of its trials."""

    modalities: list[str]
    copies: int | Literal["fresh"]
    network: dict[str, str | int]
    parameters: int
    device: str
    precision: str
    trials: int


class SplitFacts(TypedDict):
    """One split of one fold: its patients, how many of them have lesion, the scans of the sampled slices, the numbers
    of sampled slices with and without lesion, and how many slices every trial predicts and is scored on."""

    fold: int
    split: str
    patients: int
    lesion_patients: int
    sampled_scans: int
    positive_slices: int
    negative_slices: int
    scored_slices: int


class ToPredict(TypedDict):
    """The trained trials that predicted other slices than the study evaluates now. They count as missing until their
    weights have predicted again, without training. Also their variants, and how many slices all of them predict."""

    trials: list[str]
    variants: list[str]
    slices: int


class TimeFacts(TypedDict):
    """The median seconds of a trial of each variant, the seconds of all trials that are left to train, and how many
    hours these take on this machine, which trains side_by_side trials at once. None where no trained trial tells, with
    the reason."""

    seconds_per_trial: dict[str, float | None]
    trials_left: int
    trial_seconds_left: float | None
    cores_here: int
    side_by_side: int
    hours_left_here: float | None
    reason: str | None


class VariantRepeats(TypedDict):
    """How many repeats a variant needs, as in scores.intervals.RepeatsForWidth. pilot: how many repeats this is
    estimated from."""

    pilot: int
    sd: float | None
    repeats: int | None
    low: int | None
    high: int | None
    reason: str | None


class RepeatsFacts(TypedDict):
    """The repeats that each variant needs until the 95 % interval of its median test Dice extends at most half_width to
    either side, in half of all such sets of repeats."""

    half_width: float
    variants: dict[str, VariantRepeats]


def repeats_facts(half_width: float, needed: Mapping[str, RepeatsForWidth]) -> RepeatsFacts:
    """Return these facts from the repeats that each variant needs."""
    return {"half_width": half_width, "variants": {name: _of_variant(each) for name, each in needed.items()}}


def _of_variant(needed: RepeatsForWidth) -> VariantRepeats:
    return {
        "pilot": needed.pilot_repeats,
        "sd": needed.sd,
        "repeats": needed.repeats,
        "low": needed.low,
        "high": needed.high,
        "reason": needed.reason,
    }


class TrialFacts(TypedDict):
    """A trial by its id: whether it is completed, failed or missing, and, where that is known, why it is not completed:
    the kind of its error, or what is wrong with its files."""

    trial: str
    status: Literal["completed", "failed", "missing"]
    reason: str | None


class OtherVersions(TypedDict):
    """Trained trials of other versions than those installed here, and how the versions differ."""

    differ: str
    trials: list[str]


class Checked(TypedDict):
    """What `check_study` found.

    study: every setting, resolved. leakage_checks: which patients and slices stand in one split alone, and from which
    slices bounds come; proven: those of the checks that were made on the splits. odd: what `hnscc prepare` found odd
    about the scans. trials: how many there are, and how many are in each state; trial_states: the state of each (in a
    search, of the completed and failed ones). left_out: for each variant, trained trials that the study no longer has,
    so that no table holds them. other_versions: empty where all trained trials are of the versions installed here.
    disk_mib: the most that the trials write. repeats_for_width: None unless asked for. search: None, or its settings
    and how many configurations it tries.
    """

    study: dict[str, Any]
    run_folder: str
    store: StoreFacts
    variants: dict[str, VariantFacts]
    splits: list[SplitFacts]
    leakage_checks: list[str]
    proven: list[str]
    odd: list[str]
    warnings: list[str]
    trials: dict[str, int]
    trial_states: list[TrialFacts]
    to_predict: ToPredict
    left_out: dict[str, list[str]]
    other_versions: list[OtherVersions]
    disk_mib: float
    memory_mib: MemoryFacts
    time: TimeFacts
    repeats_for_width: RepeatsFacts | None
    search: dict[str, Any] | None
