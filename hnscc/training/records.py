"""What a trial's folder says of itself, and the one judge of whether the trial is whole.

record.json is written last and vouches for the other files by their hashes; it carries a seal of its own.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hnscc.base.files import read_sealed, sha256, storage_errors, write_sealed
from hnscc.base.locations import S3Path
from hnscc.study.run_folder import HISTORY_FILE, PREDICTIONS_FILE, SCORES_FILE, RunFolder, Slot, TrialFolder

# A trial's own history.parquet.
HISTORY = pa.schema(
    [
        ("epoch", pa.int32()),
        ("train_loss", pa.float64()),
        ("val_loss", pa.float64()),
        ("val_soft_jaccard", pa.float64()),
        ("seconds", pa.float64()),
    ]
)
# Weights may be pruned once no reading needs them; what the tables come from may not.
NEEDED = (HISTORY_FILE, PREDICTIONS_FILE)
# What tables read of a trial: scores that are gone are computed again from the predictions.
READ_BY_TABLES = (*NEEDED, SCORES_FILE)
OUT_OF_MEMORY = "OutOfMemoryError"  # the failure of a trial whose share of a GPU's memory was full
OTHER_SLICES = "it predicted other slices than the study evaluates: `hnscc run` predicts them by its weights"
_MENDED = {
    name: "; `hnscc run` predicts again by its weights, and trains it again only where these are gone"
    for name in (PREDICTIONS_FILE, SCORES_FILE)
}


class _Facts(BaseModel):
    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )


class Attempt(_Facts):
    """One process that worked on a trial: where, with which share of a GPU, from which epoch on.

    hardware: what it computed on (`process.hardware`). not_used: checkpoints that it found and could not use. ended:
    the kind of error that ended it, if one did.
    """

    node: str
    pid: int
    gpus: float
    from_epoch: int
    hardware: dict[str, str | int | None] = {}
    not_used: Annotated[tuple[str, ...], Field(strict=False)] = ()
    ended: str | None = None


class Began(_Facts):
    """The part of a trial's record that is known before it is trained.

    settings: all that determines its result (`study.identity.trial_settings`); identity: their hash. device: cpu or
    cuda, precision: fp32 or bf16, as they were chosen. versions: of the libraries that trained it.
    """

    trial_id: str
    variant: str
    fold: int
    repeat: int
    identity: str
    settings: dict[str, Any]
    seeds: dict[str, int]
    device: str
    precision: str
    threads: int
    versions: dict[str, str]


class Completed(Began):
    """A trial that was trained to its end.

    scores: split -> metric -> value, pooled at 0.5, of the slices that it predicted: the used ones, and those that
    others_digest, in the file `scored`, is the hash of (`FoldData.others_digest`; empty for none). files: name ->
    SHA-256 of every file that the record vouches for. seconds: of training and prediction, over all attempts.
    peak_gpu_bytes: None on a processor. predicted_by: the versions that predicted, where others trained it; else empty.
    failure, error: as of `Failed`, where its weights were to predict again and did not; None once they have. Its
    earlier predictions then still hold.
    """

    status: Literal["completed"]
    attempts: Annotated[tuple[Attempt, ...], Field(strict=False)]
    best_epoch: int
    best_val_soft_jaccard: float
    epochs: int
    stop_reason: str
    seconds: float
    scores: dict[str, dict[str, float]]
    collapsed: bool
    highest_probability: float
    others_digest: str = Field(default="", validation_alias="scored", serialization_alias="scored")
    peak_gpu_bytes: int | None = None
    files: dict[str, str]
    predicted_by: dict[str, str] = {}
    failure: str | None = None
    error: str | None = None


class Failed(Began):
    """A trial that ended in an error of its own. failure: its kind; error: the traceback, which stays in the trial's
    folder, since it may name a path."""

    status: Literal["failed"]
    attempts: Annotated[tuple[Attempt, ...], Field(strict=False)]
    failure: str
    error: str


Record = Completed | Failed
_RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="status")])


class Why(Enum):
    """Why a trial is not completed: it has no record; it ended in an error; its files are there and cannot be trusted;
    it predicted other slices than the study evaluates now."""

    NO_RECORD = auto()
    ERROR = auto()
    UNUSABLE = auto()
    OTHER_SLICES = auto()


@dataclass(frozen=True)
class TrialState:
    """What a trial is: completed, failed or missing, and why it is not completed.

    found: what that is in words: the kind of the error, or what is wrong with the files. record: of a completed or
    failed trial, and of a missing one that predicted other slices than are scored now; a trial whose weights failed to
    predict again has failed, and its record is a `Completed` one. contents: the verified bytes of the files that were
    asked for by name.
    """

    status: Literal["completed", "failed", "missing"]
    why: Why | None = None
    found: str = ""
    record: Record | None = None
    contents: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def completed(self) -> Completed | None:
        return self.record if isinstance(self.record, Completed) and self.status == "completed" else None

    @property
    def unusable(self) -> bool:
        """Whether the trial left results that are not used as they are."""
        return self.why in (Why.UNUSABLE, Why.OTHER_SLICES)

    @property
    def reason(self) -> str | None:
        """Why it is not completed, for people; None of a completed one."""
        return not_used(self.found) if self.unusable else self.found or None


def not_used(found: str) -> str:
    """What is told of a trial whose results are there and not used. found: what is wrong with them."""
    return f"not used: {found}"


def trial_state(
    folder: TrialFolder,
    *,
    others_digest: str = "",
    keep: tuple[str, ...] = (),
    check: tuple[str, ...] | None = None,
) -> TrialState:
    """The one judge of a trial's folder: its record must be whole and of this trial, and so must its files be.

    others_digest: of the slices that its fold scores beside the used ones (`FoldData.others_digest`); where it is not
    empty, the trial must have predicted these. keep: names of files whose contents are wanted. check: names of the
    files to be read and compared with their hashes; None for all (on S3 those that tables read: the weights are
    most of what a trial holds). A file that tables do not need may be gone, since weights can be pruned. StorageError
    where the disk or S3 does not answer.
    """
    record = _record(folder)
    if isinstance(record, str):
        return TrialState("missing", Why.UNUSABLE, record)
    if record is None:
        return TrialState("missing", Why.NO_RECORD, "not run to its end")
    if isinstance(record, Failed):
        return TrialState("failed", Why.ERROR, record.failure, record)
    contents = _verified(folder, record, keep, check)
    predicted = others_digest in ("", record.others_digest)
    if predicted and not isinstance(contents, str):
        return TrialState("completed", record=record, contents=contents)
    if record.failure:
        return TrialState("failed", Why.ERROR, record.failure, record)
    if isinstance(contents, str):
        return TrialState("missing", Why.UNUSABLE, contents)
    return TrialState("missing", Why.OTHER_SLICES, OTHER_SLICES, record)


def _verified(
    folder: TrialFolder, record: Completed, keep: tuple[str, ...], check: tuple[str, ...] | None
) -> dict[str, bytes] | str:
    """The contents to be kept, or which file is not what the record says; arguments as of `trial_state`."""
    contents = {}
    for name, expected in record.files.items():
        path = folder.file(name)
        if check is not None and name not in check:
            continue
        if check is None and isinstance(path, S3Path) and name not in READ_BY_TABLES:
            continue
        try:
            with storage_errors(path):
                content = path.read_bytes()
        except FileNotFoundError:
            if name in NEEDED:
                return f"{name} is gone{_MENDED.get(name, '')}"
            continue
        except OSError as error:
            return f"{name} cannot be read ({type(error).__name__})"
        if sha256(content) != expected:
            return f"{name} is damaged: its content is not what was written{_MENDED.get(name, '')}"
        if name in keep:
            contents[name] = content
    return contents


def recorded_state(folder: TrialFolder) -> TrialState:
    """`trial_state` as the record says, its files unread: for what is looked at often, and believes records."""
    return trial_state(folder, check=())


def read_record(folder: TrialFolder) -> Record | None:
    """The trial's record, or None where it has none, or one that is not whole or not this trial's."""
    record = _record(folder)
    return None if isinstance(record, str) else record


def _record(folder: TrialFolder) -> Record | str | None:
    """The record; what is wrong with it, where it cannot be used; None where there is none."""
    try:
        facts = read_sealed(folder.record)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return "its record cannot be read"
    try:
        record = _RECORD.validate_python(facts)
    except ValidationError as error:
        return f"its record {_unlike(error)}"
    if record.trial_id != folder.trial_id:
        return "its record is of another trial"
    absent = [name for name in NEEDED if isinstance(record, Completed) and name not in record.files]
    return f"its record does not vouch for {', '.join(absent)}" if absent else record


def _unlike(error: ValidationError) -> str:
    """What a record lacks, or holds that this version does not know: what it means there would be ignored."""
    unknown = [each for each in error.errors() if each["type"] == "extra_forbidden"]
    names = {".".join(map(str, each["loc"][1:])) or "status" for each in unknown or error.errors()}
    listed = ", ".join(f"`{name}`" for name in sorted(names))
    return f"holds {listed}, unknown to this version" if unknown else f"lacks {listed}"


def write_record(folder: TrialFolder, record: Record) -> None:
    write_sealed(folder.record, record.model_dump(mode="json", by_alias=True))


def with_weights(folder: TrialFolder) -> tuple[Completed, bytes] | None:
    """The record of a trial that was trained to its end, and its weights, whatever became of its predictions; None
    where the record, the weights or the history are not there, or not what was written. StorageError where the disk
    does not answer."""
    record = read_record(folder)
    if not isinstance(record, Completed):
        return None
    contents = {}
    for path in (folder.weights, folder.history):
        try:
            with storage_errors(path):
                contents[path.name] = path.read_bytes()
        except OSError:  # it is gone, or may not be read
            return None
    if any(sha256(content) != record.files.get(name) for name, content in contents.items()):
        return None
    return record, contents[folder.weights.name]


def is_complete(folder: TrialFolder, others_digest: str = "") -> bool:
    """Whether the trial is whole and, where its fold scores more than the used slices (`others_digest` is not empty),
    whether it predicted them."""
    return trial_state(folder, others_digest=others_digest).status == "completed"


def progress(folder: TrialFolder) -> dict[str, Any] | None:
    """The facts of a running or interrupted trial's newest checkpoint: epoch, history, attempts; None without one."""
    newest = newest_slot(folder)
    return newest and newest[0]


def newest_slot(folder: TrialFolder) -> tuple[dict[str, Any], Slot] | None:
    """The facts that `progress` gives, and the slot that they are of."""
    found, _ = slots_by_epoch(folder)
    return found[0] if found else None


def slots_by_epoch(folder: TrialFolder) -> tuple[list[tuple[dict[str, Any], Slot]], list[Slot]]:
    """The trial's slots that hold facts which are whole, with these, the newest first; and those whose facts are
    damaged. StorageError where the disk does not answer."""
    found: list[tuple[dict[str, Any], Slot]] = []
    damaged: list[Slot] = []
    for slot in folder.slots:
        try:
            found.append((read_sealed(slot.facts), slot))
        except FileNotFoundError:
            continue
        except ValueError:
            damaged.append(slot)
    return sorted(found, key=lambda each: -each[0]["epoch"]), damaged


def tidy(folder: TrialFolder) -> None:
    """Delete the checkpoints of a finished trial, and what killed processes left half-written."""
    for slot in folder.slots:
        slot.facts.unlink(missing_ok=True)
        slot.tensors.unlink(missing_ok=True)
    if isinstance(folder.checkpoint, Path) and folder.checkpoint.is_dir():
        for each in folder.half_written():
            each.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another process of this trial, cut off, still writes there
            folder.checkpoint.rmdir()


def tidy_run(folder: RunFolder, completed: set[str]) -> None:
    """Delete what killed processes left in a run folder that nobody works in: half-written files, proofs that it
    is shared, and checkpoints of `completed` trials."""
    for path in [*folder.checkpoints(completed), *folder.proofs(), *folder.half_written()]:
        path.unlink(missing_ok=True)
    for emptied in folder.passing():
        with contextlib.suppress(OSError):  # it is not empty
            emptied.rmdir()
