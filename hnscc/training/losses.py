"""What a training minimises, of a batch: float32 logits and 0/1 truth (N, 1, H, W) -> a scalar."""

import torch
from torch.nn import functional


def loss_of(name: str, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """binary_cross_entropy: mean over pixels (paper section 2.3). dice: `soft_dice_loss`. Or the sum of both."""
    if name == "dice":
        return soft_dice_loss(logits, truth)
    loss = functional.binary_cross_entropy_with_logits(logits, truth)
    return loss + soft_dice_loss(logits, truth) if name == "binary_cross_entropy_and_dice" else loss


def soft_dice_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1) over the whole batch, p = sigmoid(logits) (Milletari et al. 2016).

    The 1, a pixel, leaves a batch without lesion something to learn from.
    """
    probabilities = torch.sigmoid(logits)
    overlap = (probabilities * truth).sum()
    return 1 - (2 * overlap + 1) / (probabilities.sum() + truth.sum() + 1)
