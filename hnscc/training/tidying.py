"""What is deleted once nobody needs it: checkpoints of trained trials, and what killed processes left."""

import contextlib
from pathlib import Path

from hnscc.base.files import delete
from hnscc.study.run_folder import RunFolder, TrialFolder
from hnscc.training.in_use import writing_tables


def tidy(folder: TrialFolder) -> None:
    """Delete the checkpoints of a trained trial, and what killed processes left half-written. StorageError where the
    disk does not answer."""
    for slot in folder.slots:
        delete(slot.facts)
        delete(slot.tensors)
    if isinstance(folder.checkpoint, Path) and folder.checkpoint.is_dir():
        for each in folder.half_written():
            delete(each)
        with contextlib.suppress(OSError):  # another process of this trial, cut off, still writes there
            folder.checkpoint.rmdir()


def tidy_run(folder: RunFolder, completed: set[str]) -> None:
    """Delete what killed processes left in a run folder that nobody trains in: half-written files, proofs that it
    is shared, and checkpoints of `completed` trials. Another process that writes the tables is waited for."""
    with writing_tables(folder):
        for path in [*folder.checkpoints(completed), *folder.proofs(), *folder.half_written()]:
            delete(path)
    for emptied in folder.passing():
        with contextlib.suppress(OSError):  # it is not empty
            emptied.rmdir()
