"""What surrounds the training of a trial: what is known before it begins, and the record that is left where
it fails."""

import contextlib
import os
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from hnscc.base.errors import InputError, StorageError
from hnscc.study.identity import changed_settings, identity, trial_settings
from hnscc.study.run_folder import TrialFolder
from hnscc.study.schema import Study
from hnscc.study.trials import Trial
from hnscc.training.process import gpu_is_lost, memory_is_full
from hnscc.training.ready import Task
from hnscc.training.records import OUT_OF_MEMORY, Attempt, Began, Failed, Trained, write_record
from hnscc.training.states import is_completed, with_weights


def begin(study: Study, trial: Trial, fold_digest: str, *, device: str, precision: str) -> Began:
    """Return what is known of a trial before it is trained. InputError where its encoder weights cannot be read."""
    settings = trial_settings(study, trial, device=device, precision=precision, fold_digest=fold_digest)
    return Began(
        trial_id=trial.trial_id,
        variant=trial.variant,
        fold=trial.fold,
        repeat=trial.repeat,
        identity=identity(settings),
        settings=settings,
        seeds=settings["seeds"],
        device=device,
        precision=precision,
        threads=settings["training"]["threads"],
        versions=settings["versions"],
    )


def write_failure(
    folder: TrialFolder, began: Began, attempts: Sequence[Attempt], failure: str, error: str
) -> None:
    """Record that a trial ended in an error. failure: its kind; error: the traceback.

    If the trial was trained to its end before and its weights are there, its record is kept and the failure is added to
    it: without that record nothing would vouch for the weights. StorageError where the disk does not answer.
    """
    if trained := own_weights(folder, began):
        write_record(folder, trained[0].model_copy(update={"failure": failure, "error": error}))
        return
    ended = Failed(**dict(began), status="failed", attempts=tuple(attempts), failure=failure, error=error)
    write_record(folder, ended)


@contextlib.contextmanager
def boundary(task: Task, began: Began, attempts: list[Attempt]) -> Iterator[None]:
    """Turn an exception in the `with` block into the trial's record, with status failed and the traceback.

    If the trial's trained weights were only to predict again, the failure is added to the record that vouches for them.

    Some errors are not the trial's fault: they are raised, and its checkpoint stays. These are StorageError, InputError
    for a trial's folder that this process may not, or no longer, write to, and an error after which this process can no
    longer compute on its GPU (`process.gpu_is_lost`). The process must then end, and another one continue the trial.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # the boundary: whatever went wrong is this trial's alone
        # A process can be taken for lost together with its machine although it still runs. It may have completed this
        # trial meanwhile, and deleted the checkpoints that this process was writing.
        if is_completed(task.folder, task.data.others_digest):
            return
        if gpu_is_lost(error):
            raise
        if isinstance(error, PermissionError) and _is_within(task.folder, error.filename):
            raise _not_allowed(task.folder, error) from error
        _tell_failure(task.folder, began, attempts, error)


def _is_within(folder: TrialFolder, path: str | None) -> bool:
    """Return whether a path lies in a trial's folder on a disk, or is that of a folder above it."""
    if path is None or not isinstance(folder.root, Path):
        return False
    return Path(path).is_relative_to(folder.root) or folder.root.is_relative_to(path)


def _not_allowed(folder: TrialFolder, error: PermissionError) -> InputError:
    return InputError(
        "A trial's folder may not be read or written.",
        where=str(folder.root),
        expected="a run folder in which this user may read and write everything",
        found=os.strerror(error.errno or 0),
        do="have its owner give you the rights, then give the same command again: it continues",
    )


def _tell_failure(folder: TrialFolder, began: Began, attempts: list[Attempt], error: Exception) -> None:
    """Record that a trial ended in this error, which is being handled. The kind of the error is added to its
    last attempt."""
    kind = OUT_OF_MEMORY if memory_is_full(error) else type(error).__name__
    if attempts:
        attempts[-1] = attempts[-1].model_copy(update={"ended": kind})
    write_failure(folder, began, attempts, kind, traceback.format_exc())


def own_weights(folder: TrialFolder, began: Began) -> tuple[Trained, bytes] | None:
    """Return the record and the weights of this very trial if it was trained to its end before, else None.

    Other versions of the libraries may have trained it: the user has accepted these before this is called.
    """
    trained = with_weights(folder)
    if not trained or trained[0].identity == began.identity:
        return trained
    settings = trained[0].settings
    return None if changed_settings(settings, began.settings) else trained
