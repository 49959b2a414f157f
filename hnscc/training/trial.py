"""One trial, from its fold's data to its record."""

import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.torch import save as save_safetensors

from hnscc.base.encode import npz_bytes, parquet_bytes
from hnscc.base.errors import StorageError
from hnscc.base.files import sha256, write_bytes
from hnscc.base.seeds import derive_seed
from hnscc.cohort.fold import FoldData
from hnscc.scores.thresholds import score_trial
from hnscc.study.plan import Trial, identity, trial_settings
from hnscc.study.run_folder import TrialFolder
from hnscc.study.schema import Study, Variant
from hnscc.training.augment import augment, augment_copies
from hnscc.training.loop import Fit
from hnscc.training.model import build_model
from hnscc.training.process import peak_gpu_bytes, prepare_torch
from hnscc.training.records import HISTORY, is_complete, tidy, write_record

LIBRARIES = ("torch", "segmentation-models-pytorch", "albumentations", "numpy")


def train_trial(
    study: Study,
    trial: Trial,
    data: FoldData,
    folder: TrialFolder,
    *,
    device: str,
    precision: str,
    gpus: float = 1.0,
    attempts: Sequence[dict[str, Any]] = (),
    until: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Train one trial and write its folder; yields each epoch's row of history.parquet once its checkpoint is there.

    device and precision are what `resolve_device` chose. gpus: the share of a GPU's memory that it may take.
    attempts: earlier ones that ended in failure, to be kept in the record. until: an epoch after which it pauses,
    leaving its checkpoint and no record; None to train to the end. Continues from the trial's own
    checkpoint where there is one. This is the trial's boundary: an exception becomes a record with status failed
    and the traceback. StorageError, which is not the trial's fault, is raised: the checkpoint stays.
    """
    record = new_record(study, trial, data.digest, device=device, precision=precision)
    record["attempts"] = [*attempts]
    try:
        yield from _train(study.variants[trial.variant], data, folder, record, gpus, until)
    except StorageError:
        raise
    except Exception as error:  # noqa: BLE001 (the boundary: whatever went wrong is this trial's alone)
        # A process that was taken for lost with its machine, and was not, may have finished this trial meanwhile, and
        # deleted the checkpoints that this one was writing.
        if is_complete(folder):
            return
        if record["attempts"]:
            record["attempts"][-1]["ended"] = type(error).__name__
        failure = {"status": "failed", "failure": type(error).__name__, "error": traceback.format_exc()}
        write_record(folder, record | failure)


def new_record(
    study: Study, trial: Trial, fold_digest: str, *, device: str, precision: str
) -> dict[str, Any]:
    """The part of a trial's record that is known before it is trained."""
    settings = trial_settings(study, trial, device=device, precision=precision, fold_digest=fold_digest)
    return {
        "trial_id": trial.trial_id,
        "variant": trial.variant,
        "fold": trial.fold,
        "repeat": trial.repeat,
        "identity": identity(settings),
        "settings": settings,
        "seeds": settings["seeds"],
        "device": device,
        "precision": precision,
        "threads": settings["training"]["threads"],
        "versions": {name: version(name) for name in LIBRARIES},
        "attempts": [],
    }


def _train(
    variant: Variant,
    data: FoldData,
    folder: TrialFolder,
    record: dict[str, Any],
    gpus: float,
    until: int | None,
) -> Iterator[dict[str, Any]]:
    prepare_torch(record, gpus)
    channels = [data.modalities.index(modality) for modality in variant.modalities]
    seeds = record["seeds"]
    model = build_model(variant.training.network, len(channels), seeds["initialisation"])
    fit = Fit.start(model, variant.training, record)
    fit.resume(folder, gpus)
    validation = _validation_slices(variant, data, channels, seeds)
    training = _training_slices(variant, data, channels, seeds)
    while fit.stop_reason is None:
        if until is not None and fit.epoch >= until:
            return
        began = time.monotonic()
        epoch = fit.epoch + 1
        images, masks = training.of_epoch(epoch)
        loss = fit.train_epoch(epoch, images, masks, training.channels)
        fit.finish_epoch(loss, *fit.validate(*validation), seconds=time.monotonic() - began)
        fit.save(folder)
        yield fit.history[-1]
    _write_results(fit, data, channels, folder, record)


@dataclass(frozen=True)
class _TrainingSlices:
    """The slices of an epoch: the same in every epoch, or with `copies: fresh` drawn anew."""

    images: np.ndarray
    masks: np.ndarray
    channels: list[int]
    variant: Variant
    seed: int

    def of_epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        if self.variant.augmentation.copies != "fresh":
            return self.images, self.masks
        return augment(
            self.images, self.masks, self.variant.augmentation, seed=derive_seed(self.seed, "fresh", epoch)
        )


def _training_slices(
    variant: Variant, data: FoldData, channels: list[int], seeds: dict[str, int]
) -> _TrainingSlices:
    """Views of the shared arrays where nothing is augmented, so that trials on one node share one copy."""
    rows, copies = data.rows["train"], variant.augmentation.copies
    images, masks = data.images[rows], data.masks[rows]
    if copies == 0:
        return _TrainingSlices(images, masks, channels, variant, seeds["augmentation"])
    images = images[:, channels]
    every = list(range(len(channels)))
    if copies != "fresh":
        originals = variant.augmentation.originals == "kept"
        images, masks = augment_copies(
            images,
            masks,
            variant.augmentation,
            copies=copies,
            originals=originals,
            seed=seeds["augmentation"],
        )
    return _TrainingSlices(images, masks, every, variant, seeds["augmentation"])


def _validation_slices(
    variant: Variant, data: FoldData, channels: list[int], seeds: dict[str, int]
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The originals; in the as_written reading (`validation: true`) their augmented copies instead."""
    rows = data.rows["validation"]
    images, masks = data.images[rows], data.masks[rows]
    if not (variant.augmentation.validation and variant.augmentation.copies):
        return images, masks, channels
    copies = int(variant.augmentation.copies)
    seed = derive_seed(seeds["augmentation"], "validation")
    return *augment_copies(
        images[:, channels], masks, variant.augmentation, copies=copies, originals=False, seed=seed
    ), list(range(len(channels)))


def _write_results(
    fit: Fit, data: FoldData, channels: list[int], folder: TrialFolder, record: dict[str, Any]
) -> None:
    """Predictions, weights and history first, the record that vouches for them last; then the checkpoint goes."""
    began = time.monotonic()
    fit.model.load_state_dict(fit.best)
    probabilities = fit.predict(data.images, channels)
    contents = {
        folder.predictions: npz_bytes(probabilities=probabilities),
        folder.weights: save_safetensors(
            {name: value.cpu().contiguous() for name, value in fit.best.items()}
        ),
        folder.history: parquet_bytes(pa.Table.from_pylist(fit.history, schema=HISTORY)),
    }
    for path, content in contents.items():
        write_bytes(path, content)
    seconds = sum(row["seconds"] for row in fit.history) + time.monotonic() - began
    write_record(
        folder,
        record
        | score_trial(probabilities, data.masks, data.splits)
        | {
            "status": "completed",
            "best_epoch": fit.best_epoch,
            "best_val_soft_jaccard": fit.history[fit.best_epoch - 1]["val_soft_jaccard"],
            "epochs": fit.epoch,
            "stop_reason": fit.stop_reason,
            "seconds": seconds,
            "peak_gpu_bytes": peak_gpu_bytes() if record["device"] == "cuda" else None,
            "files": {path.name: sha256(content) for path, content in contents.items()},
        },
    )
    tidy(folder)
