"""The state of a training, and what an epoch does to it."""

import os
import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from hnscc.base.seeds import derive_seed, generator
from hnscc.study.run_folder import TrialFolder
from hnscc.study.schema import Training
from hnscc.training.adam import Adam
from hnscc.training.checkpoint import load_checkpoint, save_checkpoint
from hnscc.training.losses import loss_of

EVALUATION_BATCH = 32


class Diverged(Exception):
    """A loss or a score became NaN or infinite: the trial fails, with the epoch named."""


@dataclass
class Fit:
    """The state of a training: what a checkpoint holds."""

    model: nn.Module
    optimiser: Adam
    training: Training
    record: dict[str, Any]
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def start(cls, model: nn.Module, training: Training, record: dict[str, Any]) -> "Fit":
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
        for batch in batches_of(order, self.training.batch_size):
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


def batches_of(order: np.ndarray, size: int) -> list[np.ndarray]:
    """The order cut into batches; a last one of a single slice joins the one before, since batch normalisation
    at the bottom of a network may have nothing but that slice to normalise by."""
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    return np.split(order, starts[1:])
