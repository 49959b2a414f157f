"""How one trial is trained, from its fold's data to its record; how several take turns in one process; how much of a
GPU one takes.

A trial gives the same bits whichever trials run beside it, which tests show on a processor: it computes in the same
order as alone, on tensors of its own, and its random choices are keyed. On a processor nothing is gained by taking
turns. On a GPU, one trial's epoch is to be computed while another's is prepared. For that each trial needs a stream of
its own, which is not built, and none of this was ever run on a GPU.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import islice

import numpy as np
import torch

from hnscc.base.seeds import derive_seed, generator
from hnscc.base.steps import at_once
from hnscc.cohort.fold import FoldData
from hnscc.cohort.slices import Slices
from hnscc.study.schema import Study
from hnscc.study.trials import Trial
from hnscc.training.augment import training_slices, validation_slices
from hnscc.training.boundary import begin, boundary, own_weights
from hnscc.training.devices import refuse_without_gpu
from hnscc.training.feeding import Fed, batches, batches_of, hold, holding
from hnscc.training.fit import Epoch, Fit
from hnscc.training.inference import EVALUATION_BATCH, in_order
from hnscc.training.losses import loss_of
from hnscc.training.network import build_network
from hnscc.training.paper_unet import seed_dropouts
from hnscc.training.process import give_back_memory, peak_gpu_bytes, seeded, set_up_torch
from hnscc.training.ready import Task
from hnscc.training.records import Attempt, Began
from hnscc.training.results_of_trial import leave_results, predict_again
from hnscc.training.saving import Saving

# For each choice of `training.monitor`: True if the score is that of all slices at once, False if it is the mean
# over batches.
POOLED = {"soft_jaccard_pooled": True, "soft_jaccard_batch_mean": False}


def steps_of_trial(task: Task) -> Generator[Epoch | None]:
    """Train one trial and write its folder. Yield each epoch's row of history.parquet, and then None after each
    batch that was predicted and each scan that was scored. On a processor, a row is yielded once its checkpoint is
    written (`saving`).

    It continues from the trial's own checkpoint where there is one. A trained trial whose predictions are damaged, or
    of other slices than the fold scores now (`evaluation.slices`), predicts again with its weights and yields no epoch;
    if its weights are gone it is trained again. Weights of other versions, if these were accepted, may predict too: the
    record says which versions predicted. An error becomes a record, except for those that `boundary` raises. InputError
    where this machine's GPU cannot be used.
    """
    refuse_without_gpu(task.device)
    digest = task.data.digest
    began = begin(task.study, task.trial, digest, device=task.device, precision=task.precision)
    attempts = [*task.attempts]
    with boundary(task, began, attempts):
        fit = _start(task, began, attempts)
        if trained := own_weights(task.folder, began):
            yield from predict_again(*trained, fit, task)
            return
        fit.resume(task.folder, task.gpus)
        validation, training = _slices(task, began.seeds)
        pauses = math.inf if task.pause_after is None else task.pause_after
        with Saving(fit, task.folder) as saving:
            while fit.stop_reason is None and fit.epoch < pauses:
                since, epoch = time.monotonic(), fit.epoch + 1
                loss = train_epoch(fit, epoch, training(epoch))
                fit.finish_epoch(loss, *validate(fit, validation), since=since)
                saving.epoch_ended(last=fit.stop_reason is not None or fit.epoch >= pauses)
                yield fit.history[-1]
        del validation, training  # they may be in a GPU's memory, and the scored slices are read next
        if stop_reason := fit.stop_reason:
            yield from leave_results(fit, stop_reason, task)


def train_epoch(fit: Fit, epoch: int, slices: Fed) -> torch.Tensor:
    """Train one epoch, in an order of its own, and return the mean loss over slices, 0 or more, float64 () on the
    device. It does not wait for a GPU."""
    fit.network.train()
    order = generator(fit.began.seeds["order"], epoch).permutation(len(slices))
    total = torch.zeros((), dtype=torch.float64, device=fit.began.device)
    seed = derive_seed(fit.began.seeds["dropout"], epoch)
    seed_dropouts(fit.network, seed)
    with seeded(seed):
        parts = batches_of(order, fit.training.batch_size)
        for images, truth in batches(slices, parts, fit.began.device):
            loss = loss_of(fit.training.loss, fit.logits(images), truth)
            fit.optimiser.forget_gradients()
            loss.backward()  # type: ignore[no-untyped-call]
            fit.optimiser.step()
            total += loss.detach().double() * len(truth)
    return total / len(order)


@torch.no_grad()
def validate(fit: Fit, slices: Fed) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss, 0 or more, and the soft Jaccard sum(p t) / sum(p + t - p t), 0..1; each float64 () on
    the device.

    The soft Jaccard is that of all slices at once or the mean over batches, as `training.monitor` says.
    """
    fit.network.eval()
    pooled = POOLED[fit.training.monitor]
    losses, overlaps, unions = [], [], []
    parts = in_order(len(slices), EVALUATION_BATCH if pooled else fit.training.batch_size)
    for images, truth in batches(slices, parts, fit.began.device):
        logits = fit.logits(images)
        losses.append(loss_of(fit.training.loss, logits, truth).double() * len(truth))
        probabilities = torch.sigmoid(logits)
        product = (probabilities * truth).sum(dtype=torch.float64)
        overlaps.append(product)
        unions.append(probabilities.sum(dtype=torch.float64) + truth.sum(dtype=torch.float64) - product)
    overlap, union = torch.stack(overlaps), torch.stack(unions)
    if pooled:
        overlap, union = overlap.sum(), union.sum()
    # It is 1 where nothing is predicted and nothing is there, as every other score.
    jaccard = torch.where(union > 0, overlap / union, 1.0).mean()
    return torch.stack(losses).sum() / len(slices), jaccard


def _start(task: Task, began: Began, attempts: list[Attempt]) -> Fit:
    """Return the trial before its first epoch, and set up this process for it."""
    give_back_memory()  # what the trial before freed
    set_up_torch(began.device, began.threads, task.gpus, began.precision)
    training, channels = task.variant.training, len(task.variant.modalities)
    network = build_network(training.network, channels, seed=began.seeds["initialisation"])
    return Fit.start(network, training, began, attempts)


def _slices(task: Task, seeds: Mapping[str, int]) -> tuple[Fed, Callable[[int], Fed]]:
    """Return the slices that it validates on, and a function of the epoch that gives those it trains on. They are on
    the device where that is a GPU with room for them."""
    validation = hold(validation_slices(task.variant, task.data, seeds), task.device)
    return validation, holding(training_slices(task.variant, task.data, seeds), task.device)


Steps = Generator[Epoch | None]


def side_by_side(trials: Iterable[tuple[str, Steps]], count: int) -> Iterator[tuple[str, Epoch | None]]:
    """Yield the steps of all trials, each with its trial's id; `count` trials at a time take turns.

    trials: the id and `trial.steps_of_trial` of each. A trial is loaded when its first turn comes; once it has
    ended, completed or failed, the next one takes its place. They must agree in what a process is set up with only
    once: device, threads, precision. An error that is not one trial's fault (StorageError, a lost GPU) ends all of
    them; they continue later from their checkpoints. The peak of GPU memory in a record is then that of all trials
    that ran together.
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
    """Train and evaluate the first batches of a trial on this GPU, and write nothing. Return the bytes that the trial
    takes at its peak, and the bytes that the GPU has."""
    began = begin(study, trial, data.digest, device="cuda", precision=precision)
    set_up_torch(began.device, began.threads, gpus=1.0, precision=precision)
    train_first_batches(study, trial, data, began)
    return peak_gpu_bytes(gpus=1.0), torch.cuda.mem_get_info()[1]


def train_first_batches(study: Study, trial: Trial, data: FoldData, began: Began) -> None:
    """Do all that takes memory in a training: an epoch of two full batches, validation, the copy of the best weights,
    and predictions, while the slices that a GPU holds for a whole training are there."""
    variant = study.variants[trial.variant]
    network = build_network(
        variant.training.network, len(variant.modalities), seed=began.seeds["initialisation"]
    )
    fit = Fit.start(network, variant.training, began)
    every = data.slices(variant.modalities)
    size = 2 * max(variant.training.batch_size, EVALUATION_BATCH)
    slices = Slices(every.images, every.masks, np.resize(every.rows, size), every.channels, every.bounds)
    training, validation = (
        training_slices(variant, data, began.seeds)(1),
        validation_slices(variant, data, began.seeds),
    )
    held = [hold(each, began.device) for each in (training, validation, slices)]
    loss = train_epoch(fit, 1, held[-1])
    fit.finish_epoch(loss, *validate(fit, held[-1]), since=time.monotonic())
    at_once(fit.predicting(slices))
