"""What `hnscc check` tells of a study, as typed mappings: all of it, and its parts."""

from typing import Any, Literal, TypedDict

from hnscc.commands.memory import MemoryFacts


class StoreFacts(TypedDict):
    """Where the store lies, the digest of its content, and how many scans it holds."""

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
    """One split of one fold: patients, how many of them have lesion, the scans of the sampled slices and the numbers of
    these with and without lesion, and how many slices every trial predicts and is scored by."""

    fold: int
    split: str
    patients: int
    lesion_patients: int
    sampled_scans: int
    positive_slices: int
    negative_slices: int
    scored_slices: int


class ToPredict(TypedDict):
    """Trained trials that predicted other slices than the study evaluates now, so that they count as missing until
    their weights have predicted again, without training; their variants; and how many slices all of
    them predict."""

    trials: list[str]
    variants: list[str]
    slices: int


class TimeFacts(TypedDict):
    """Seconds of a trial of each variant (median), seconds of all that are left to train, and hours of that on this
    machine, which trains side_by_side trials at once. None where no trained trial tells, with the reason."""

    seconds_per_trial: dict[str, float | None]
    trials_left: int
    trial_seconds_left: float | None
    cores_here: int
    side_by_side: int
    hours_left_here: float | None
    reason: str | None


class RepeatsFacts(TypedDict):
    """Repeats that each variant needs for a 95 % interval of the median test Dice that reaches half_width to each side;
    the facts of a variant are those of scores.intervals.RepeatsForWidth."""

    half_width: float
    variants: dict[str, dict[str, Any]]


class TrialFacts(TypedDict):
    """A trial by its id, whether it is completed, failed or missing, and why it is not completed, where that is known:
    the kind of its error, or what is wrong with its files."""

    trial: str
    status: Literal["completed", "failed", "missing"]
    reason: str | None


class OtherVersions(TypedDict):
    """Trained trials of other versions than those that are installed here, and how the versions differ."""

    differ: str
    trials: list[str]


class Checked(TypedDict):
    """What `check_study` found.

    study: every setting, resolved. odd: what preparing found odd about the scans. trials: how many are planned, and
    how many are in each state; trial_states: each of them (of a search, the completed and failed ones). left_out:
    variant -> trained trials that the study does not plan, so that no table holds them. other_versions: empty where
    all trained trials are of the versions installed here. disk_mib: at most so much. repeats_for_width: None unless
    asked for. search: None, or its settings and how many configurations it tries.
    """

    study: dict[str, Any]
    run_folder: str
    store: StoreFacts
    variants: dict[str, VariantFacts]
    splits: list[SplitFacts]
    leakage_checks: list[str]
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
