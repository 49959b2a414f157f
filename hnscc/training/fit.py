"""The state of a training: what a checkpoint holds, how an epoch changes it, and how a training resumes from it."""

import os
import platform
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import TypedDict, cast

import numpy as np
import torch
from torch import nn

from hnscc.base.arrays import StoredProbabilities
from hnscc.cohort.slices import Slices
from hnscc.study.run_folder import TrialFolder
from hnscc.study.variant_schema import Training
from hnscc.training.adam import Adam
from hnscc.training.checkpoint import load_checkpoint
from hnscc.training.hardware import hardware
from hnscc.training.inference import logits_of, network_on, predicting
from hnscc.training.records import Attempt, Began, SoFar


class Diverged(Exception):
    """A loss or a score became NaN or infinite. The trial fails; the message names the epoch."""


class Epoch(TypedDict):
    """One row of history.parquet. epoch: from 1. Losses are means over slices; seconds are of wall-clock time."""

    epoch: int
    train_loss: float
    val_loss: float
    val_soft_jaccard: float
    seconds: float


@dataclass
class Fit:
    """The state of a training, which a checkpoint holds.

    began: what is known of the trial from the start. attempts: the processes that worked on it, this one last. best:
    the weights of the best epoch so far, tensors by name, of any shape. next_slot: which of the trial's two slots is
    written next.
    """

    network: nn.Module
    optimiser: Adam
    training: Training
    began: Began
    attempts: list[Attempt]
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)
    next_slot: int = 1

    @classmethod
    def start(
        cls, network: nn.Module, training: Training, began: Began, attempts: Iterable[Attempt] = ()
    ) -> "Fit":
        """Return a training before its first epoch, its network on the trial's device. If `attempts` is a list, that
        list itself is kept, and grows."""
        network = network_on(network, began.device)
        rate, epsilon = training.learning_rate, training.adam_epsilon
        optimiser = Adam(network.parameters(), learning_rate=rate, epsilon=epsilon)
        return cls(
            network, optimiser, training, began, attempts if isinstance(attempts, list) else [*attempts]
        )

    @property
    def epoch(self) -> int:
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """The first epoch, from 1, with the highest validation soft Jaccard; 0 before the first epoch."""
        scores = [row["val_soft_jaccard"] for row in self.history]
        return scores.index(max(scores)) + 1 if scores else 0

    @property
    def stop_reason(self) -> str | None:
        if self.epoch - self.best_epoch >= self.training.patience:
            return "patience"
        return "epochs" if self.epoch >= self.training.epochs else None

    def predicting(self, slices: Slices) -> Generator[None, None, StoredProbabilities]:
        """Return the probabilities of every slice as uint16 (N, H, W), round(p x 65535); pause after each batch."""
        return predicting(self.network, slices, device=self.began.device, precision=self.began.precision)

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits float32 (N, 1, H, W) of images float32 (N, C, H, W) in 0..1."""
        return logits_of(self.network, images, device=self.began.device, precision=self.began.precision)

    def finish_epoch(self, *scores: torch.Tensor, since: float) -> None:
        """Add the epoch's row to the history, and keep the weights if this epoch is the best so far. Raises Diverged.

        scores: each (), as `trial.train_epoch` and then `trial.validate` return them. Only here does the process wait
        for a GPU. since: time.monotonic() when the epoch began.
        """
        epoch = self.epoch + 1
        train_loss, val_loss, jaccard = torch.stack(scores).tolist()
        if not np.isfinite([train_loss, val_loss, jaccard]).all():
            raise Diverged(
                f"epoch {epoch}: train loss {train_loss}, validation loss {val_loss}, soft Jaccard {jaccard}, and all "
                f"must be finite numbers; set training.learning_rate below {self.training.learning_rate:g}, and train "
                "the variant again"
            )
        self.history.append(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "val_loss": val_loss,
                "val_soft_jaccard": jaccard,
                "seconds": time.monotonic() - since,
            }
        )
        if self.best_epoch == epoch:
            self._keep_weights()

    def _keep_weights(self) -> None:
        """Keep the network's weights as the best ones. They overwrite those of an earlier epoch in place, since a
        second copy would fragment memory."""
        now = self.network.state_dict()
        if self.best:
            for name, kept in self.best.items():
                kept.copy_(now[name])
        else:
            self.best = {name: value.detach().clone() for name, value in now.items()}

    def checkpoint(self) -> tuple[SoFar, dict[str, torch.Tensor]]:
        """Return what is known after the epoch that ended, and the training's tensors of any shape. These are not
        copies: the next epoch changes them."""
        tensors = {f"model.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"adam.{name}": value for name, value in self.optimiser.state().items()}
        if self.best_epoch != self.epoch:
            tensors |= {f"best.{name}": value for name, value in self.best.items()}
        so_far = SoFar(
            identity=self.began.identity,
            epoch=self.epoch,
            history=[cast(dict[str, int | float], row) for row in self.history],
            attempts=tuple(self.attempts),
        )
        return so_far, tensors

    def resume(self, folder: TrialFolder, gpus: float) -> None:
        """Restore the trial's newest whole checkpoint, if there is one, and add this process to the attempts."""
        found, refused = load_checkpoint(folder, self.began.identity)
        if found:
            self.history = [cast(Epoch, row) for row in found.facts.history]
            self.next_slot = 1 - found.slot.number
            self._load(found.tensors)
            if len(found.facts.attempts) > len(self.attempts):
                self.attempts[:] = found.facts.attempts
        self.attempts.append(
            Attempt(
                node=platform.node(),
                pid=os.getpid(),
                gpus=gpus,
                from_epoch=self.epoch + 1,
                hardware=hardware(),
                not_used=tuple(refused),
            )
        )

    def _load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore the tensors that `checkpoint` returned, of any shape, by name."""
        named: dict[str, dict[str, torch.Tensor]] = {"model": {}, "best": {}, "adam": {}}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            named[kind][rest] = value
        self.network.load_state_dict(named["model"])
        best = named["best"] or named["model"]
        self.best = {name: value.to(self.began.device) for name, value in best.items()}
        self.optimiser.load(named["adam"])
