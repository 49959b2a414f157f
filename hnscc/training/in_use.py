"""Locks that say who may work in a run folder: one `hnscc run` or `hnscc search` alone, or any number of single trials.

On a disk, `hnscc run` and `hnscc search` hold the folder's lock alone, and single trials share it; each single trial
holds the lock of its own folder too. A lease on S3 cannot be shared. There a single trial holds only its own lease, and
a command that wants the whole folder takes the folder's lease and then looks at those of all trials.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from hnscc.base.errors import InputError
from hnscc.base.files import write_errors
from hnscc.base.in_words import count_of
from hnscc.base.locations import S3Path
from hnscc.base.locks import locked, only_one, refuse_held
from hnscc.study.run_folder import RunFolder


@contextlib.contextmanager
def alone(folder: RunFolder) -> Iterator[None]:
    """Hold a run folder alone during the `with` block. If the folder did not exist before, and has no study.yaml and
    nothing of a trial at the end, it is removed.

    InputError where another process trains in it, since both would train the same trials, and where the folder holds
    something that no run made, which the run would be mixed with.
    """
    refuse_others(folder)
    lock = folder.lock
    if isinstance(lock, S3Path):
        with only_one(lock):
            refuse_held(each for each in folder.trial_locks if isinstance(each, S3Path))
            yield
        return
    root = lock.parent
    existed = root.exists()
    try:
        with _held(lock, lambda: _refused(lock, by_trials=_is_shared(lock))):
            # Ask only now: what another process made until then must not be deleted.
            unused = _is_unused(folder)
            try:
                yield
            finally:
                # What was trained stays, though somebody has moved the folder, or study.yaml, meanwhile.
                if unused and root.exists() and not folder.study.exists() and not _holds_trials(folder):
                    _empty(folder)
    finally:
        if not existed:
            _remove_if_empty(root)


@contextlib.contextmanager
def one_trial(folder: RunFolder, trial_id: str) -> Iterator[None]:
    """Hold one trial of a run folder during the `with` block, beside other processes that each hold another trial.

    InputError where another process trains this trial or holds the whole folder, and where the folder holds something
    that no run made.
    """
    refuse_others(folder)
    whole, lock = folder.lock, folder.trial(trial_id).lock
    if isinstance(whole, S3Path):
        with only_one(cast(S3Path, lock)):
            # One process after another: otherwise each would take the other one's look at this lease for a command that
            # holds the folder.
            with preparing(folder):
                refuse_held([whole])
            yield
        return
    root = whole.parent
    existed = root.exists()
    try:
        with (
            _held(whole, lambda: _refused(whole, by_trials=False), shared=True),
            _held(cast(Path, lock), lambda: _trained_already(folder, trial_id)),
        ):
            yield
    finally:  # the block may have written nothing
        _empty_if_unused(folder, whole)
        if not existed:
            _remove_if_empty(root)


@contextlib.contextmanager
def preparing(folder: RunFolder) -> Iterator[None]:
    """Let one process after another write what all trials share (study.yaml, folds, precision.json)."""
    lock = folder.preparing_lock
    with only_one(lock, wait=True) if isinstance(lock, S3Path) else locked(lock, wait=True):
        yield


@contextlib.contextmanager
def writing_tables(folder: RunFolder) -> Iterator[None]:
    """Let one process after another write tables and report, so that all of them describe the same trials.

    On S3 there is no waiting: each table is whole, and the process that ends last writes all of them again.
    """
    lock = folder.tables_lock
    with contextlib.nullcontext() if isinstance(lock, S3Path) else locked(lock, wait=True):
        yield


@contextlib.contextmanager
def _held(lock: Path, refused: Callable[[], InputError], *, shared: bool = False) -> Iterator[None]:
    """Hold a lock during the `with` block. Where another process has it, call `refused` and raise the error that
    it returns."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, shared=shared))
        except BlockingIOError:
            raise refused() from None
        yield


def _is_shared(lock: Path) -> bool:
    """Return whether the processes that hold the lock share it."""
    try:
        with locked(lock, shared=True):
            return True
    except BlockingIOError:
        return False


def _refused(lock: Path, *, by_trials: bool) -> InputError:
    single = "Single trials are being trained in this run folder (`python -m hnscc.train`)."
    whole = "Another `hnscc run` or `hnscc search` is at work in this run folder."
    return InputError(
        single if by_trials else whole,
        where=str(lock.parent),
        expected="one `hnscc run` or `hnscc search` alone, or single trials side by side",
        found="a lock held by another process",
        do="wait for it, or use another run folder (--out); `hnscc aggregate` and `hnscc status` work beside it",
    )


def _trained_already(folder: RunFolder, trial_id: str) -> InputError:
    return InputError(
        "Another process is training this trial.",
        where=f"trial {trial_id} in {folder.root}",
        expected="one process for each trial",
        found="a lock held by another process",
        do="let it end: its record is the result of both. If it is killed, give the same command again",
    )


def refuse_others(folder: RunFolder) -> None:
    """Raise InputError where the folder holds something that no run made, and no run has begun there."""
    root = folder.root
    with write_errors(root) if isinstance(root, Path) else contextlib.nullcontext():
        others = folder.others()
    if others:
        raise InputError(
            "The folder for the run holds something else.",
            where=str(root),
            expected="a new or an empty folder, or one in which a run has begun",
            found=count_of(others, "file or folder that no run made", "files or folders that no run made"),
            do="name another folder (--out)",
        )


def _is_unused(folder: RunFolder) -> bool:
    """Return whether the folder holds nothing but a run's locks."""
    if not isinstance(folder.root, Path) or folder.study.exists():
        return False
    return _only_locks(folder, folder.root)


def _holds_trials(folder: RunFolder) -> bool:
    """Return whether a trial has left anything but its lock in a folder on a disk."""
    return not _only_locks(folder, cast(Path, folder.trial("any").root.parent))


def _only_locks(folder: RunFolder, below: Path) -> bool:
    """Return whether there is nothing below a place in a run folder but its locks."""
    locks = {*folder.locks, *folder.trial_locks}
    return all(each.is_dir() or each in locks for each in below.rglob("*"))


def _empty(folder: RunFolder) -> None:
    """Delete all that a run made in a folder that held nothing else. Its lock, which is held, is deleted last."""
    root, lock = cast(Path, folder.root), cast(Path, folder.lock)
    for each in root.iterdir():
        if each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        elif each != lock:
            each.unlink(missing_ok=True)
    lock.unlink(missing_ok=True)


def _empty_if_unused(folder: RunFolder, lock: Path) -> None:
    """Delete the content of a run folder that holds nothing but locks, unless a process works in it."""
    # If another process has begun here meanwhile, it keeps the folder.
    with contextlib.suppress(InputError, OSError):
        # Look first without the lock: holding it alone, even for a moment, would keep out a trial that begins
        # just then.
        if not _is_unused(folder):
            return
        with _held(lock, lambda: _refused(lock, by_trials=_is_shared(lock))):
            if _is_unused(folder):
                _empty(folder)


def _remove_if_empty(root: Path) -> None:
    with contextlib.suppress(OSError):  # it is in use, or on NFS its lock file is not gone yet
        root.rmdir()
