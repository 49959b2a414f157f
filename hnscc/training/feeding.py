"""Batches of slices for a network: read from memory one by one, or picked from slices that a GPU holds.

A GPU's step has to wait for each copy from memory. So a GPU holds all slices of a training from its start, if they are
not too many, and then only an epoch's order is copied to it. This was never run on a GPU: which operations it needs
there was found from those that a step calls.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hnscc.base.arrays import Integers
from hnscc.cohort.slices import Slices
from hnscc.training.augment import Copies
from hnscc.training.inference import in_order, on_device

# Slices that take more than this are read from memory batch by batch. It holds 16,000 slices of two channels and 128 x
# 128 pixels.
HELD_BYTES = 2 * 2**30
# How many slices are copied to the GPU at once.
PIECE = 256


@dataclass(frozen=True)
class Held:
    """Slices on a GPU: images float32 (N, H, W, C) in 0..1, masks uint8 (N, H, W) of 0 and 1."""

    images: torch.Tensor
    masks: torch.Tensor

    @classmethod
    def of(cls, slices: Slices | Copies, device: str) -> "Held":
        """Copy slices from memory to the device, PIECE by PIECE, so that neither ever holds them twice."""
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


# The kinds of slices that a network can be fed with.
Fed = Slices | Copies | Held


def hold(slices: Slices | Copies, device: str) -> Fed:
    """Return the same slices, copied to the device if that is a GPU and they take no more than HELD_BYTES."""
    if device != "cuda":
        return slices
    one = sum(each.nbytes for each in slices.batch(np.arange(1)))
    return slices if len(slices) * one > HELD_BYTES else Held.of(slices, device)


def holding(slices: Callable[[int], Slices | Copies], device: str) -> Callable[[int], Fed]:
    """Return a function of the epoch that gives its slices as `hold` does. It copies them only if they differ from
    those of the epoch before."""
    last: list[tuple[Slices | Copies, Fed]] = []

    def _of(epoch: int) -> Fed:
        now = slices(epoch)
        if not (last and last[0][0] is now):
            last.clear()  # before the new ones, so that a GPU never holds both
            last.append((now, hold(now, device)))
        return last[0][1]

    return _of


def batches_of(order: Integers, size: int) -> list[Integers]:
    """Cut the order, int (n,), into batches, int (m,). A last batch of a single slice joins the one before: batch
    normalisation at the bottom of a network may have only one value per channel of a slice, and needs two."""
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    return np.split(order, starts[1:])


def batches(
    source: Fed, parts: Sequence[Integers], device: str
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the slices of each part on the device: images float32 (B, C, H, W) in 0..1, channels last in memory, and
    their truth float32 (B, 1, H, W) of 0 and 1.

    parts: the positions of each batch's slices in 0..n-1, int (B,) each.
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
    """Return the slices at the positions `part`, int (B,), on the device: images float32 (B, C, H, W) in 0..1, and
    their truth float32 (B, 1, H, W) of 0 and 1."""
    images, masks = slices.batch(part)
    return on_device(images, device), torch.from_numpy(masks[:, None].astype(np.float32)).to(device)
