"""What a trial says of itself: its record.json, and the facts of its checkpoints, which say how far it has come.

record.json is written last, vouches for the trial's other files by their hashes, and carries a seal of its own.
Checkpoints are kept in slots, each of which has a file of facts that vouches for its tensors.
"""

from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import AliasChoices, Field, TypeAdapter, ValidationError

from hnscc.base.facts import Facts, unlike
from hnscc.base.files import read_errors, read_sealed, write_sealed
from hnscc.study.run_folder import HISTORY_FILE, PREDICTIONS_FILE, Slot, TrialFolder, inside

# The columns of a trial's history.parquet.
HISTORY = pa.schema(
    [
        ("epoch", pa.int32()),
        ("train_loss", pa.float64()),
        ("val_loss", pa.float64()),
        ("val_soft_jaccard", pa.float64()),
        ("seconds", pa.float64()),
    ]
)
# The files that tables are computed from, which must stay. Weights may be pruned once no reading needs them.
NEEDED = (HISTORY_FILE, PREDICTIONS_FILE)
OUT_OF_MEMORY = "OutOfMemoryError"  # a trial failed because its share of a GPU's memory was full


class Attempt(Facts):
    """One process that worked on a trial: where, with which share of a GPU, and from which epoch on.

    hardware: what it computed on (`hardware.hardware`). not_used: checkpoints that it found and could not use. ended:
    the kind of error that ended it, if one did.
    """

    node: str
    pid: int
    gpus: float
    from_epoch: int
    hardware: dict[str, str | int | None] = Field(default_factory=dict)
    not_used: Annotated[tuple[str, ...], Field(strict=False)] = ()
    ended: str | None = None


class Began(Facts):
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


class Trained(Began):
    """The record of a trial that was trained to its end. Its status is what it was when this was written; whether the
    trial is still completed depends on its files, too (`states.trial_state`).

    scores: split -> metric -> value, pooled at 0.5, of the slices that it predicted. These are the sampled ones, and
    those whose hash is others_digest (`FoldData.others_digest`; empty for none; the field was once named `scored`).
    files: name -> SHA-256 of every file that the record vouches for. seconds: of training and prediction, over all
    attempts. peak_gpu_bytes: None on a processor. predicted_by: the versions that predicted, if other ones trained it;
    else empty. failure, error: as in `Failed`, if its weights had to predict again and failed to; None once they have.
    Its earlier predictions then stay valid.
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
    others_digest: str = Field(default="", validation_alias=AliasChoices("others_digest", "scored"))
    peak_gpu_bytes: int | None = None
    files: dict[str, str]
    predicted_by: dict[str, str] = Field(default_factory=dict)
    failure: str | None = None
    error: str | None = None


class Failed(Began):
    """The record of a trial that ended in an error of its own. failure: the error's kind. error: the traceback, which
    stays in the trial's folder, since it may name a path."""

    status: Literal["failed"]
    attempts: Annotated[tuple[Attempt, ...], Field(strict=False)]
    failure: str
    error: str


Record = Trained | Failed
_RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="status")])


def read_record(folder: TrialFolder) -> Record | None:
    """Return the trial's record, or None where there is none, or one that is damaged or another trial's. Raises as
    `record_or_fault` does."""
    record = record_or_fault(folder)
    return None if isinstance(record, str) else record


def record_or_fault(folder: TrialFolder) -> Record | str | None:
    """Return the record, or what is wrong with it where it cannot be used, or None where there is none.

    InputError where the file may not be read. Such a record was once taken for a damaged one and deleted, and the trial
    was trained again.
    """
    try:
        with read_errors(folder.record, inside(folder.root)):
            facts = read_sealed(folder.record)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return "its record cannot be read"
    try:
        record = _RECORD.validate_python(facts)
    except ValidationError as error:
        return f"its record {unlike(error, at=1)}"
    if record.trial_id != folder.trial_id:
        return "its record is of another trial"
    absent = [name for name in NEEDED if isinstance(record, Trained) and name not in record.files]
    return f"its record does not vouch for {', '.join(absent)}" if absent else record


def write_record(folder: TrialFolder, record: Record) -> None:
    write_sealed(folder.record, record.model_dump(mode="json"))


class SoFar(Facts):
    """How far a training has come: the rows of history.parquet (`fit.Epoch`) of the epochs that have ended, and the
    processes that worked on it. identity: its trial's, as in a record."""

    identity: str
    epoch: int
    history: list[dict[str, int | float]]
    attempts: Annotated[tuple[Attempt, ...], Field(strict=False)]


class SlotFacts(SoFar):
    """The content of a slot's file of facts, without its seal. crc32c: that of the slot's tensors, for which
    it vouches."""

    crc32c: int


def newest_facts(folder: TrialFolder) -> SlotFacts | None:
    """Return the facts of the newest checkpoint of a running or interrupted trial; None without a checkpoint."""
    newest = newest_slot(folder)
    return newest and newest[0]


def saved_epoch(folder: TrialFolder) -> int:
    """Return the epoch of the newest checkpoint of a running or interrupted trial; 0 without a checkpoint."""
    newest = newest_facts(folder)
    return newest.epoch if newest else 0


def newest_slot(folder: TrialFolder) -> tuple[SlotFacts, Slot] | None:
    """Return the facts that `newest_facts` returns, and the slot that they belong to."""
    found, _ = slots_by_epoch(folder)
    return found[0] if found else None


def slots_by_epoch(folder: TrialFolder) -> tuple[list[tuple[SlotFacts, Slot]], list[Slot]]:
    """Return the trial's slots with their facts where these are whole, the newest first, and the slots whose facts are
    damaged or of another form. StorageError where the disk does not answer."""
    found: list[tuple[SlotFacts, Slot]] = []
    damaged: list[Slot] = []
    for slot in folder.slots:
        try:
            found.append((SlotFacts.model_validate(read_sealed(slot.facts)), slot))
        except FileNotFoundError:
            continue
        except ValueError:
            damaged.append(slot)
    return sorted(found, key=lambda each: -each[0].epoch), damaged
