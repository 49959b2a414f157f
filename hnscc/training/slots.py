"""The slots that a trial's checkpoints stand in, by what they say of themselves: how far the trial has come."""

from typing import Annotated

from pydantic import Field

from hnscc.base.facts import Facts
from hnscc.base.files import read_sealed
from hnscc.study.run_folder import Slot, TrialFolder
from hnscc.training.records import Attempt


class SoFar(Facts):
    """How far a training has come: the epochs that have ended, with their rows of history.parquet (`loop.Epoch`), and
    the processes that worked on it. identity: of its trial, as in a record."""

    identity: str
    epoch: int
    history: list[dict[str, int | float]]
    attempts: Annotated[tuple[Attempt, ...], Field(strict=False)]


class SlotFacts(SoFar):
    """What a slot's file of facts holds beside its seal. crc32c: of the slot's tensors, which it vouches for."""

    crc32c: int


def newest_facts(folder: TrialFolder) -> SlotFacts | None:
    """Return the facts of a running or interrupted trial's newest checkpoint; None without one."""
    newest = newest_slot(folder)
    return newest and newest[0]


def newest_slot(folder: TrialFolder) -> tuple[SlotFacts, Slot] | None:
    """Return the facts that `newest_facts` gives, and the slot that they are of."""
    found, _ = slots_by_epoch(folder)
    return found[0] if found else None


def slots_by_epoch(folder: TrialFolder) -> tuple[list[tuple[SlotFacts, Slot]], list[Slot]]:
    """Return the trial's slots that hold facts which are whole, with these, the newest first; and those whose facts are
    damaged, or of another form. StorageError where the disk does not answer."""
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
