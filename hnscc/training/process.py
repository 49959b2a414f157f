"""Fit one trial, from its fold's data to its record. Without Ray: python -m hnscc.train STUDY TRIAL [--out RUN]"""

import argparse
import ctypes
import os
import platform
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import save as save_safetensors
from torch import nn

from hnscc.aggregation.schemas import HISTORY
from hnscc.base.encode import npz_bytes, parquet_bytes
from hnscc.base.errors import StorageError, told
from hnscc.base.files import sha256, write_bytes
from hnscc.base.seeds import derive_seed, generator
from hnscc.cohort.fold import FoldData
from hnscc.scores.thresholds import score_trial
from hnscc.study.config import Study, Training, Variant, load_study
from hnscc.study.plan import Trial, TrialFolder, find_trial, identity, trial_settings
from hnscc.training.adam import Adam
from hnscc.training.augment import augment, augment_copies
from hnscc.training.checkpoint import load_checkpoint, save_checkpoint
from hnscc.training.losses import loss_of
from hnscc.training.model import build_model
from hnscc.training.prepare import prepare_run
from hnscc.training.records import is_complete, read_record, tidy, write_record

EVALUATION_BATCH = 32
# What a process takes of a GPU before its first tensor: CUDA's context and the kernels' libraries.
CUDA_CONTEXT_BYTES = 600 * 2**20
# Of malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LIBRARIES = ("torch", "segmentation-models-pytorch", "albumentations", "numpy")


class Diverged(Exception):
    """A loss or a score became NaN or infinite: the trial fails, with the epoch named."""


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
    _prepare_torch(record, gpus)
    channels = [data.modalities.index(modality) for modality in variant.modalities]
    seeds = record["seeds"]
    model = build_model(variant.training.network, len(channels), seeds["initialisation"])
    fit = _Fit.start(model, variant.training, record)
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


def _prepare_torch(record: dict[str, Any], gpus: float) -> None:
    """One thread count and deterministic kernels: both change the order of sums, and so the bits."""
    torch.set_num_threads(record["threads"])
    _keep_freed_memory()
    if record["device"] == "cuda":
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True)
        _keep_to_share(gpus)


def _keep_freed_memory() -> None:
    """Tell glibc to keep what tensors free for the next ones. Given back to the system and asked for again in each
    step, its pages cost a tenth of a training's time. No other C library has these settings, or needs them."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _keep_to_share(gpus: float) -> None:
    """Ray counts shares of a GPU and isolates nothing: one that takes more than its share must fail itself, not
    the trial beside it."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    if gpus < 1:
        total = torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction(max(0.01, gpus - CUDA_CONTEXT_BYTES / total))


def peak_gpu_bytes() -> int:
    """The most GPU memory that this process has taken since its trial began, its CUDA context included."""
    return torch.cuda.max_memory_reserved() + CUDA_CONTEXT_BYTES


def measure_gpu(study: Study, trial: Trial, data: FoldData, *, precision: str) -> tuple[int, int]:
    """Train and evaluate the first batches of a trial on this GPU, and write nothing: bytes that the trial takes at
    its peak, and bytes that the GPU has."""
    record = new_record(study, trial, data.digest, device="cuda", precision=precision)
    _prepare_torch(record, gpus=1.0)
    peak_after_first_batches(study, trial, data, record)
    return peak_gpu_bytes(), torch.cuda.mem_get_info()[1]


def peak_after_first_batches(study: Study, trial: Trial, data: FoldData, record: dict[str, Any]) -> None:
    """One epoch of two full batches, with its validation, its copy of the best weights and its predictions."""
    variant = study.variants[trial.variant]
    channels = [data.modalities.index(modality) for modality in variant.modalities]
    model = build_model(variant.training.network, len(channels), record["seeds"]["initialisation"])
    fit = _Fit.start(model, variant.training, record)
    rows = np.resize(np.arange(len(data.images)), 2 * max(variant.training.batch_size, EVALUATION_BATCH))
    images, masks = data.images[rows], data.masks[rows]
    loss = fit.train_epoch(1, images, masks, channels)
    fit.finish_epoch(loss, *fit.validate(images, masks, channels), seconds=0.0)
    fit.predict(images, channels)


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


@dataclass
class _Fit:
    """The state of a training: what a checkpoint holds."""

    model: nn.Module
    optimiser: Adam
    training: Training
    record: dict[str, Any]
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def start(cls, model: nn.Module, training: Training, record: dict[str, Any]) -> "_Fit":
        model = model.to(record["device"], memory_format=torch.channels_last)
        rate, epsilon = training.learning_rate, training.adam_epsilon
        optimiser = Adam(model.parameters(), learning_rate=rate, epsilon=epsilon)
        return cls(model, optimiser, training, record)

    @property
    def epoch(self) -> int:
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """The first epoch of the highest validation Jaccard, from 1; 0 before any."""
        scores = [row["val_soft_jaccard"] for row in self.history]
        return scores.index(max(scores)) + 1 if scores else 0

    @property
    def stop_reason(self) -> str | None:
        if self.epoch - self.best_epoch >= self.training.patience:
            return "patience"
        return "epochs" if self.epoch >= self.training.epochs else None

    def train_epoch(self, epoch: int, images: np.ndarray, masks: np.ndarray, channels: list[int]) -> float:
        """One pass in an order of this epoch's own; returns the mean loss over slices."""
        self.model.train()
        torch.manual_seed(derive_seed(self.record["seeds"]["dropout"], epoch))
        order = generator(self.record["seeds"]["order"], epoch).permutation(len(images))
        total = torch.zeros((), dtype=torch.float64, device=self.record["device"])
        for batch in _batches(order, self.training.batch_size):
            logits, truth = self._forward(images, masks, batch, channels)
            loss = loss_of(self.training.loss, logits, truth)
            self.optimiser.forget_gradients()
            loss.backward()
            self.optimiser.step()
            total += loss.detach().double() * len(batch)
        return total.item() / len(order)

    @torch.no_grad()
    def validate(self, images: np.ndarray, masks: np.ndarray, channels: list[int]) -> tuple[float, float]:
        """Mean loss, and the soft Jaccard sum(p t) / sum(p + t - p t), over the set or as the mean over batches."""
        self.model.eval()
        pooled = self.training.monitor == "soft_jaccard_pooled"
        size = EVALUATION_BATCH if pooled else self.training.batch_size
        losses, overlaps, unions = [], [], []
        for start in range(0, len(images), size):
            batch = np.arange(start, min(start + size, len(images)))
            logits, truth = self._forward(images, masks, batch, channels)
            losses.append(loss_of(self.training.loss, logits, truth).double() * len(batch))
            probabilities = torch.sigmoid(logits)
            product = (probabilities * truth).sum(dtype=torch.float64)
            overlaps.append(product)
            unions.append(probabilities.sum(dtype=torch.float64) + truth.sum(dtype=torch.float64) - product)
        overlap, union = torch.stack(overlaps), torch.stack(unions)
        if pooled:
            overlap, union = overlap.sum(), union.sum()
        # Nothing predicted where nothing is: 1, as for every other score.
        jaccard = torch.where(union > 0, overlap / union, 1.0).mean()
        return torch.stack(losses).sum().item() / len(images), jaccard.item()

    @torch.no_grad()
    def predict(self, images: np.ndarray, channels: list[int]) -> np.ndarray:
        """Probabilities of every slice as uint16 (N, H, W): round(p x 65535)."""
        self.model.eval()
        out = np.empty((len(images), *images.shape[2:]), np.uint16)
        for start in range(0, len(images), EVALUATION_BATCH):
            batch = np.arange(start, min(start + EVALUATION_BATCH, len(images)))
            with self._autocast():
                logits = self.model(self._images(images, batch, channels))
            levels = (torch.sigmoid(logits[:, 0].float()) * 65535).round()
            out[batch] = levels.to(torch.int32).cpu().numpy().astype(np.uint16)
        return out

    def _forward(
        self, images: np.ndarray, masks: np.ndarray, batch: np.ndarray, channels: list[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        truth = torch.from_numpy(masks[batch][:, None].astype(np.float32)).to(self.record["device"])
        with self._autocast():
            logits = self.model(self._images(images, batch, channels))
        return logits.float(), truth

    def _images(self, images: np.ndarray, batch: np.ndarray, channels: list[int]) -> torch.Tensor:
        chosen = torch.from_numpy(images[np.ix_(batch, channels)])
        return chosen.to(self.record["device"], memory_format=torch.channels_last)

    def _autocast(self) -> AbstractContextManager[Any]:
        enabled = self.record["precision"] == "bf16"
        return torch.autocast(self.record["device"], torch.bfloat16, enabled=enabled)

    def finish_epoch(self, train_loss: float, val_loss: float, jaccard: float, *, seconds: float) -> None:
        epoch = self.epoch + 1
        if not np.isfinite([train_loss, val_loss, jaccard]).all():
            raise Diverged(
                f"epoch {epoch}: train loss {train_loss}, validation loss {val_loss}, Jaccard {jaccard}"
            )
        row = {"epoch": epoch, "train_loss": train_loss, "val_loss": val_loss, "val_soft_jaccard": jaccard}
        self.history.append(row | {"seconds": seconds})
        if self.best_epoch == epoch:
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def save(self, folder: TrialFolder) -> None:
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"adam.{name}": value for name, value in self.optimiser.state().items()}
        if self.best_epoch != self.epoch:
            tensors |= {f"best.{name}": value for name, value in self.best.items()}
        facts = {
            "identity": self.record["identity"],
            "epoch": self.epoch,
            "history": self.history,
            "attempts": self.record["attempts"],
        }
        save_checkpoint(folder, facts, tensors)

    def resume(self, folder: TrialFolder, gpus: float) -> None:
        """Take up the trial's newest whole checkpoint, and note the attempt in the record."""
        found, refused = load_checkpoint(folder, self.record["identity"])
        if found:
            facts, tensors = found
            self.history = facts["history"]
            self._load(tensors)
            self.record["attempts"] = max(self.record["attempts"], facts["attempts"], key=len)
        attempt: dict[str, Any] = {"node": platform.node(), "pid": os.getpid(), "gpus": gpus}
        attempt["from_epoch"] = self.epoch + 1
        self.record["attempts"].append(attempt | ({"not_used": refused} if refused else {}))

    def _load(self, tensors: dict[str, torch.Tensor]) -> None:
        named: dict[str, dict[str, torch.Tensor]] = {"model": {}, "best": {}, "adam": {}}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            named[kind][rest] = value
        self.model.load_state_dict(named["model"])
        best = named["best"] or named["model"]
        self.best = {name: value.to(self.record["device"]) for name, value in best.items()}
        self.optimiser.load(named["adam"])


def _write_results(
    fit: _Fit, data: FoldData, channels: list[int], folder: TrialFolder, record: dict[str, Any]
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


def _batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    """The order cut into batches; a last one of a single slice joins the one before, since batch normalisation
    at the bottom of a network may have nothing but that slice to normalise by."""
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    return np.split(order, starts[1:])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hnscc.train", description="Train one trial, without Ray."
    )
    parser.add_argument("study", help="study file, e.g. studies/demo.yaml")
    parser.add_argument("trial", help="trial id, e.g. pet_mri-f0-r07")
    parser.add_argument("--out", help="run folder (default: runs/<name of the study>)")
    options = parser.parse_args(arguments)
    return told(lambda: _train_one(options.study, options.trial, options.out))


def _train_one(study_file: str, trial_id: str, out: str | None) -> int:
    study = load_study(study_file)
    trial = find_trial(study, trial_id)
    run = prepare_run(study, out)
    folder = run.folder.trial(trial.trial_id)
    if is_complete(folder):
        print(f"{trial.trial_id} is completed already: {folder.record}")
        return 0
    device, precision = run.chosen[trial.variant]
    for row in train_trial(study, trial, run.folds[trial.fold], folder, device=device, precision=precision):
        scores = f"loss {row['train_loss']:.4f}  validation Jaccard {row['val_soft_jaccard']:.4f}"
        print(f"epoch {row['epoch']:3d}  {scores}")
    record = read_record(folder)
    if record["status"] == "failed":
        print(record["error"], file=sys.stderr)
        return 1
    print(f"validation Dice {record['scores']['validation']['dice']:.4f}; wrote {folder.record}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
