"""Batches of slices for a network: read from memory one by one, or picked from slices that a GPU holds.

A copy from memory makes a GPU's step wait for it. So a GPU holds the slices of a training from its start, if they are
not too many, and an epoch's order is all that goes there. That was never run on a GPU; what it asks of one was shown by
the operations that a step calls.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hnscc.base.arrays import Integers
from hnscc.cohort.slices import Slices
from hnscc.training.augment import Copies
from hnscc.training.inference import in_order, on_device

# Slices that take more are read from memory batch by batch: this is 16,000 of two channels and 128 x 128 pixels.
HELD_BYTES = 2 * 2**30
# Slices that go to the GPU at once.
PIECE = 256


@dataclass(frozen=True)
class Held:
    """Slices on a GPU: images float32 (N, H, W, C) in 0..1, masks uint8 (N, H, W) of 0 and 1."""

    images: torch.Tensor
    masks: torch.Tensor

    @classmethod
    def of(cls, slices: Slices | Copies, device: str) -> "Held":
        """Copied there from memory, PIECE by PIECE, so that neither has them twice."""
        count, (image, mask) = len(slices), slices.batch(np.arange(1))
        images = torch.empty((count, *mask.shape[1:], image.shape[1]), device=device)
        masks = torch.empty((count, *mask.shape[1:]), dtype=torch.uint8, device=device)
        for part in in_order(count, PIECE):
            at = slice(int(part[0]), int(part[-1]) + 1)
            some, their_masks = slices.batch(part)
            images[at] = torch.from_numpy(some).to(device).permute(0, 2, 3, 1)
            masks[at] = torch.from_numpy(their_masks).to(device)
        return cls(images, masks)

    def __len__(self) -> int:
        return len(self.masks)


# What a network is fed with.
Fed = Slices | Copies | Held


def hold(slices: Slices | Copies, device: str) -> Fed:
    """Return the same slices, on the device where that is a GPU and they take no more than HELD_BYTES of it."""
    if device != "cuda":
        return slices
    one = sum(each.nbytes for each in slices.batch(np.arange(1)))
    return slices if len(slices) * one > HELD_BYTES else Held.of(slices, device)


def holding(slices: Callable[[int], Slices | Copies], device: str) -> Callable[[int], Fed]:
    """Epoch -> its slices as `hold` gives them: anew only where they are others than those of the epoch before."""
    last: list[tuple[Slices | Copies, Fed]] = []

    def _of(epoch: int) -> Fed:
        now = slices(epoch)
        if not (last and last[0][0] is now):
            last.clear()  # first, so that a GPU never holds both
            last.append((now, hold(now, device)))
        return last[0][1]

    return _of


def batches_of(order: Integers, size: int) -> list[Integers]:
    """The order, int (n,), cut into batches, int (m,). A last one of a single slice joins the one before, since batch
    normalisation at the bottom of a network may have nothing but that slice to normalise by."""
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    return np.split(order, starts[1:])


def batches(
    source: Fed, parts: Sequence[Integers], device: str
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the slices at these positions in 0..n-1, int (B,) each, on the device.

    Images float32 (B, C, H, W) in 0..1, channels last in memory, and their truth float32 (B, 1, H, W) of 0 and 1.
    """
    if not isinstance(source, Held):
        for part in parts:
            yield _read(source, part, device)
        return
    order = torch.from_numpy(np.concatenate(parts)).to(device)
    for at in order.split_with_sizes([len(part) for part in parts]):
        images = source.images.index_select(0, at).permute(0, 3, 1, 2)
        yield images, source.masks.index_select(0, at)[:, None].to(torch.float32)


def _read(slices: Slices | Copies, part: Integers, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Slices at the positions `part`, int (B,), on the device: images float32 (B, C, H, W) in 0..1, and their truth
    float32 (B, 1, H, W) of 0 and 1."""
    images, masks = slices.batch(part)
    return on_device(images, device), torch.from_numpy(masks[:, None].astype(np.float32)).to(device)
