"""The losses that a training can minimise: functions of a batch's float32 logits and 0/1 truth, (N, 1, H, W) each, that
return a scalar."""

from collections.abc import Callable

import torch
from torch.nn import functional


def loss_of(name: str, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the loss of this name, one of LOSSES, of a batch: float32 (), 0 or more.

    logits: float32 (N, 1, H, W); truth: float32 (N, 1, H, W), 0 or 1. KeyError for another name.
    """
    return LOSSES[name](logits, truth)


def binary_cross_entropy(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy, the mean over pixels, float32 (), 0 or more (paper section 2.3). logits: float32
    (N, 1, H, W); truth: float32 (N, 1, H, W), 0 or 1."""
    return functional.binary_cross_entropy_with_logits(logits, truth)


def soft_dice_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return 1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1), float32 () of 0 to 1, over a whole batch (Milletari et
    al. 2016).

    p = sigmoid(logits), t is the truth. logits: float32 (N, 1, H, W); truth: float32 (N, 1, H, W), 0 or 1. The added 1,
    as much as one pixel, leaves a gradient in a batch without lesion.
    """
    probabilities = torch.sigmoid(logits)
    overlap = (probabilities * truth).sum()
    return 1 - (2 * overlap + 1) / (probabilities.sum() + truth.sum() + 1)


def both(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the sum of cross-entropy and soft Dice loss, float32 (), 0 or more. logits: float32 (N, 1, H, W); truth:
    float32 (N, 1, H, W), 0 or 1."""
    return binary_cross_entropy(logits, truth) + soft_dice_loss(logits, truth)


# The names are the choices of `training.loss` in a study file.
LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "binary_cross_entropy": binary_cross_entropy,
    "dice": soft_dice_loss,
    "binary_cross_entropy_and_dice": both,
}
