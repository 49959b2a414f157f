"""One trial, from its fold's data to its record; several of them side by side in one process; how much of a GPU
one takes.

A trial computes beside others what it would compute alone, in the same order, on tensors of its own, and chooses at
random by its own keys: its bits are the same whoever is beside it, which tests show on a processor. There is nothing to
gain there; on a GPU, one trial's epoch is to be computed while another's is prepared, for which each needs a stream of
its own first. That is not built, and this was never run on a GPU.
"""

import contextlib
import math
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import torch

from hnscc.base.errors import StorageError
from hnscc.base.steps import at_once
from hnscc.cohort.fold import FoldData
from hnscc.cohort.slices import Slices
from hnscc.study.identity import changed_settings, identity, trial_settings
from hnscc.study.run_folder import TrialFolder
from hnscc.study.schema import Study
from hnscc.study.trials import Trial
from hnscc.training.augment import training_slices, validation_slices
from hnscc.training.feeding import Fed, hold, holding
from hnscc.training.inference import EVALUATION_BATCH
from hnscc.training.loop import Epoch, Fit
from hnscc.training.model import build_model
from hnscc.training.process import give_back_memory, gpu_is_lost, memory_is_full, peak_gpu_bytes, set_up_torch
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
    return None if changed_settings(settings, began.settings) else trained


Steps = Generator[Epoch | None]


def side_by_side(trials: Iterable[tuple[str, Steps]], count: int) -> Iterator[tuple[str, Epoch | None]]:
    """Yield the steps of all trials, each with its trial's id; `count` trials at a time take turns.

    trials: the id and `trial.steps_of_trial` of each. A trial is loaded when its first turn comes, and one that has
    ended, completed or failed, gives its place to the next. They must agree in what a process is told once: device,
    threads, precision. What ends one of them without being its fault (StorageError, a lost GPU) ends all: they go on
    from their checkpoints. The peak of GPU memory in a record is then that of all trials beside it, too.
    """
    waiting = iter(trials)
    running = deque(islice(waiting, count))
    try:
        while running:
            trial_id, steps = running[0]
            try:
                row = next(steps)
            except StopIteration:
                running.popleft()
                running.extend(islice(waiting, 1))
                continue
            yield trial_id, row
            running.rotate(-1)
    finally:
        for _, steps in running:
            steps.close()


def measure_gpu(study: Study, trial: Trial, data: FoldData, *, precision: str) -> tuple[int, int]:
    """Train and evaluate the first batches of a trial on this GPU, and write nothing: bytes that the trial takes at
    its peak, and bytes that the GPU has."""
    began = begin(study, trial, data.digest, device="cuda", precision=precision)
    set_up_torch(began.device, began.threads, gpus=1.0, precision=precision)
    train_first_batches(study, trial, data, began)
    return peak_gpu_bytes(gpus=1.0), torch.cuda.mem_get_info()[1]


def train_first_batches(study: Study, trial: Trial, data: FoldData, began: Began) -> None:
    """One epoch of two full batches, with its validation, its copy of the best weights and its predictions; meanwhile
    the slices that a GPU holds for a whole training are there."""
    variant = study.variants[trial.variant]
    model = build_model(variant.training.network, len(variant.modalities), seed=began.seeds["initialisation"])
    fit = Fit.start(model, variant.training, began)
    every = data.slices(variant.modalities)
    size = 2 * max(variant.training.batch_size, EVALUATION_BATCH)
    slices = Slices(every.images, every.masks, np.resize(every.rows, size), every.channels, every.bounds)
    training, validation = (
        training_slices(variant, data, began.seeds)(1),
        validation_slices(variant, data, began.seeds),
    )
    held = [hold(each, began.device) for each in (training, validation, slices)]
    loss = fit.train_epoch(1, held[-1])
    fit.finish_epoch(loss, *fit.validate(held[-1]), since=time.monotonic())
    at_once(fit.predicting(slices))
