"""What a trained network says of slices: the one forward pass that training, scoring and prediction share."""

from collections.abc import Generator
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import nn

from hnscc.base.arrays import Images, Integers, StoredProbabilities
from hnscc.cohort.slices import Slices
from hnscc.scores.counts import ONE
from hnscc.training.resizing import resize_by_products
from hnscc.training.subpixel import decode_small

EVALUATION_BATCH = 32


def autocast(device: str, precision: str) -> AbstractContextManager[None]:
    """The number format that a trial of this precision (fp32, bf16) computes in."""
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bf16")


def model_on(model: nn.Module, device: str) -> nn.Module:
    """Return the model on a device, made to compute there as training does; the names of its parameters stay.

    On a GPU its resizing becomes deterministic, which it is on a processor; there its decoder takes fewer operations,
    which was never measured on a GPU.
    """
    model = resize_by_products(model) if device == "cuda" else decode_small(model)
    moved: nn.Module = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def on_device(images: Images, device: str) -> torch.Tensor:
    """Images float32 (B, C, H, W) on the device, channels last in memory."""
    return torch.from_numpy(images).to(device, memory_format=torch.channels_last)


def logits_of(model: nn.Module, images: torch.Tensor, *, device: str, precision: str) -> torch.Tensor:
    """Pass slices through a network, all on one device.

    Images float32 (B, C, H, W) in 0..1 -> logits float32 (B, 1, H, W).
    """
    with autocast(device, precision):
        logits: torch.Tensor = model(images)
    return logits.float()


def predicting(
    model: nn.Module, slices: Slices, *, device: str, precision: str
) -> Generator[None, None, StoredProbabilities]:
    """Probabilities of every slice as uint16 (N, H, W): round(p x 65535); with a pause after each batch."""
    model.eval()
    out = np.empty((len(slices), *slices.masks.shape[1:]), np.uint16)
    for batch in in_order(len(slices), EVALUATION_BATCH):
        with torch.no_grad():
            images = on_device(slices.batch(batch)[0], device)
            logits = logits_of(model, images, device=device, precision=precision)
            probabilities = (torch.sigmoid(logits[:, 0]) * ONE).round()
            out[batch] = probabilities.to(torch.int32).cpu().numpy().astype(np.uint16)
        yield
    return out


def in_order(count: int, size: int) -> list[Integers]:
    """Return the positions 0..count - 1, cut into batches, int (n,), of this size."""
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]
