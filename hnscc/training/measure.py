"""How much of a GPU a trial takes."""

from typing import Any

import numpy as np
import torch

from hnscc.cohort.fold import FoldData
from hnscc.study.plan import Trial
from hnscc.study.schema import Study
from hnscc.training.loop import EVALUATION_BATCH, Fit
from hnscc.training.model import build_model
from hnscc.training.process import peak_gpu_bytes, prepare_torch
from hnscc.training.trial import new_record


def measure_gpu(study: Study, trial: Trial, data: FoldData, *, precision: str) -> tuple[int, int]:
    """Train and evaluate the first batches of a trial on this GPU, and write nothing: bytes that the trial takes at
    its peak, and bytes that the GPU has."""
    record = new_record(study, trial, data.digest, device="cuda", precision=precision)
    prepare_torch(record, gpus=1.0)
    peak_after_first_batches(study, trial, data, record)
    return peak_gpu_bytes(), torch.cuda.mem_get_info()[1]


def peak_after_first_batches(study: Study, trial: Trial, data: FoldData, record: dict[str, Any]) -> None:
    """One epoch of two full batches, with its validation, its copy of the best weights and its predictions."""
    variant = study.variants[trial.variant]
    channels = [data.modalities.index(modality) for modality in variant.modalities]
    model = build_model(variant.training.network, len(channels), record["seeds"]["initialisation"])
    fit = Fit.start(model, variant.training, record)
    rows = np.resize(np.arange(len(data.images)), 2 * max(variant.training.batch_size, EVALUATION_BATCH))
    images, masks = data.images[rows], data.masks[rows]
    loss = fit.train_epoch(1, images, masks, channels)
    fit.finish_epoch(loss, *fit.validate(images, masks, channels), seconds=0.0)
    fit.predict(images, channels)
