"""Deletion of what nobody needs any more: checkpoints of trained trials, and what killed processes left."""

import contextlib
from pathlib import Path

from hnscc.base.files import delete
from hnscc.study.run_folder import RunFolder, TrialFolder
from hnscc.training.in_use import writing_tables


def tidy(folder: TrialFolder) -> None:
    """Delete the checkpoints of a trained trial, and files that killed processes left half-written. StorageError where
    the disk does not answer."""
    for slot in folder.slots:
        delete(slot.facts)
        delete(slot.tensors)
    for each in folder.half_written():
        delete(each)
    if isinstance(folder.checkpoint, Path):
        # It is gone, or a process that was taken for lost still writes there.
        with contextlib.suppress(OSError):
            folder.checkpoint.rmdir()


def tidy_run(folder: RunFolder, completed: set[str]) -> None:
    """Delete what killed processes left in a run folder in which nobody trains: half-written files, files that
    proved that the folder is shared, and checkpoints of `completed` trials. If another process writes the tables,
    wait for it."""
    with writing_tables(folder):
        for path in [*folder.checkpoints(completed), *folder.proofs(), *folder.half_written()]:
            delete(path)
    for emptied in folder.passing():
        with contextlib.suppress(OSError):  # it is not empty
            emptied.rmdir()
