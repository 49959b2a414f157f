"""One trial, from its fold's data to its record."""

import contextlib
import math
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

from hnscc.base.errors import StorageError
from hnscc.study.identity import identity, setting_differences, trial_settings, version_differences
from hnscc.study.plan import Trial
from hnscc.study.run_folder import TrialFolder
from hnscc.study.schema import Study
from hnscc.training.augment import training_slices, validation_slices
from hnscc.training.feeding import Fed, hold, holding
from hnscc.training.loop import Epoch, Fit
from hnscc.training.model import build_model
from hnscc.training.process import give_back_memory, gpu_is_lost, memory_is_full, set_up_torch
from hnscc.training.ready import Task
from hnscc.training.records import OUT_OF_MEMORY, Attempt, Began, Failed, Trained, write_record
from hnscc.training.results_of_trial import leave_results, predict_again
from hnscc.training.saving import Saving
from hnscc.training.states import is_completed, with_weights


def steps_of_trial(task: Task) -> Generator[Epoch | None]:
    """Train one trial and write its folder. Yields each epoch's row of history.parquet, on a processor once its
    checkpoint is there (`saving`), and then None after each batch that was predicted and each scan that was scored.

    Continues from the trial's own checkpoint where there is one. A trained trial whose predictions are damaged, or of
    other slices than the fold scores now (`evaluation.slices`), is predicted again by its weights and yields no epoch;
    it is trained again where these are gone. Weights of other versions, if these were accepted, predict too: the record
    says by which. What goes wrong becomes a record, but for what `_boundary` raises.
    """
    digest = task.data.digest
    began = begin(task.study, task.trial, digest, device=task.device, precision=task.precision)
    attempts = [*task.attempts]
    with _boundary(task, began, attempts):
        fit = _start(task, began, attempts)
        if trained := _own_weights(task.folder, began):
            yield from predict_again(*trained, fit, task)
            return
        fit.resume(task.folder, task.gpus)
        validation, training = _slices(task, began.seeds)
        pauses = math.inf if task.pause_after is None else task.pause_after
        with Saving(fit, task.folder) as saving:
            while fit.stop_reason is None and fit.epoch < pauses:
                since, epoch = time.monotonic(), fit.epoch + 1
                loss = fit.train_epoch(epoch, training(epoch))
                fit.finish_epoch(loss, *fit.validate(validation), since=since)
                saving.epoch_ended(last=fit.stop_reason is not None or fit.epoch >= pauses)
                yield fit.history[-1]
        del validation, training  # before the scored slices are read: a GPU may hold them
        if stop_reason := fit.stop_reason:
            yield from leave_results(fit, stop_reason, task)


def begin(study: Study, trial: Trial, fold_digest: str, *, device: str, precision: str) -> Began:
    """What is known of a trial before it is trained. InputError where its encoder weights cannot be read."""
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
    """Write that a trial ended in an error. failure: its kind; error: the traceback.

    The record of a trial that was trained to its end before, and whose weights are there, is kept and says it too:
    without it nothing would vouch for them. StorageError where the disk does not answer.
    """
    if trained := _own_weights(folder, began):
        write_record(folder, trained[0].model_copy(update={"failure": failure, "error": error}))
        return
    ended = Failed(**dict(began), status="failed", attempts=tuple(attempts), failure=failure, error=error)
    write_record(folder, ended)


@contextlib.contextmanager
def _boundary(task: Task, began: Began, attempts: list[Attempt]) -> Iterator[None]:
    """The trial's boundary: an exception becomes a record with status failed and the traceback; where weights were to
    predict again, it is added to the record that vouches for them.

    Two that are not the trial's fault are raised, and its checkpoint stays: StorageError, and an error after which this
    process can compute on its GPU no more (`process.gpu_is_lost`). It must end then, and another go on with the trial.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # the boundary: whatever went wrong is this trial's alone
        # A process that was taken for lost with its machine, and was not, may have completed this trial meanwhile, and
        # deleted the checkpoints that this one was writing.
        if is_completed(task.folder, task.data.others_digest):
            return
        if gpu_is_lost(error):
            raise
        _tell_failure(task.folder, began, attempts, error)


def _start(task: Task, began: Began, attempts: list[Attempt]) -> Fit:
    """The trial before its first epoch, in a process made ready for it."""
    give_back_memory()  # of the trial before
    set_up_torch(began.device, began.threads, task.gpus, began.precision)
    training, channels = task.variant.training, len(task.variant.modalities)
    model = build_model(training.network, channels, seed=began.seeds["initialisation"])
    return Fit.start(model, training, began, attempts)


def _slices(task: Task, seeds: Mapping[str, int]) -> tuple[Fed, Callable[[int], Fed]]:
    """What it validates by, and epoch -> what it trains by, on the device where a GPU has room for them."""
    validation = hold(validation_slices(task.variant, task.data, seeds), task.device)
    return validation, holding(training_slices(task.variant, task.data, seeds), task.device)


def _tell_failure(folder: TrialFolder, began: Began, attempts: list[Attempt], error: Exception) -> None:
    """The record of a trial that ended in this error, which is being handled; its last attempt names the kind."""
    kind = OUT_OF_MEMORY if memory_is_full(error) else type(error).__name__
    if attempts:
        attempts[-1] = attempts[-1].model_copy(update={"ended": kind})
    write_failure(folder, began, attempts, kind, traceback.format_exc())


def _own_weights(folder: TrialFolder, began: Began) -> tuple[Trained, bytes] | None:
    """The record and the weights of this very trial, trained to its end before; None where there are none.

    Other versions may have trained it: they were accepted before it came to this.
    """
    trained = with_weights(folder)
    if not trained or trained[0].identity == began.identity:
        return trained
    settings = trained[0].settings
    own = version_differences(settings, began.settings) and not setting_differences(settings, began.settings)
    return trained if own else None
