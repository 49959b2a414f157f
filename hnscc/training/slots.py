"""The slots that a trial's checkpoints stand in, by what they say of themselves: how far the trial has come."""

from typing import Any

from hnscc.base.files import read_sealed
from hnscc.study.run_folder import Slot, TrialFolder


def newest_facts(folder: TrialFolder) -> dict[str, Any] | None:
    """The facts of a running or interrupted trial's newest checkpoint: epoch, history, attempts; None without one."""
    newest = newest_slot(folder)
    return newest and newest[0]


def newest_slot(folder: TrialFolder) -> tuple[dict[str, Any], Slot] | None:
    """The facts that `newest_facts` gives, and the slot that they are of."""
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
