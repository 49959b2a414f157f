"""How much of a GPU a trial takes."""

import time

import numpy as np
import torch

from hnscc.base.steps import at_once
from hnscc.cohort.fold import FoldData
from hnscc.cohort.slices import Slices
from hnscc.study.plan import Trial
from hnscc.study.schema import Study
from hnscc.training.augment import training_slices, validation_slices
from hnscc.training.feeding import hold
from hnscc.training.inference import EVALUATION_BATCH
from hnscc.training.loop import Fit
from hnscc.training.model import build_model
from hnscc.training.process import peak_gpu_bytes, set_up_torch
from hnscc.training.records import Began
from hnscc.training.trial import begin


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
