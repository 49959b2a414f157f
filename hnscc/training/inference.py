"""What models predict for slices: the one forward pass that training, scoring and prediction share, and the models of
completed trials, applied to scans that no study has seen."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from safetensors.torch import load
from torch import nn

from hnscc.base.arrays import Images, Integers, StoredProbabilities
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from hnscc.base.steps import at_once
from hnscc.cohort.slices import Slices
from hnscc.scores.counts import ONE
from hnscc.study.run_folder import RunFolder
from hnscc.study.variant_schema import Network
from hnscc.training.members import Member, read_weights
from hnscc.training.network import build_network
from hnscc.training.process import set_up_torch
from hnscc.training.resizing import resize_by_products
from hnscc.training.subpixel import decode_small

EVALUATION_BATCH = 32


def autocast(device: str, precision: str) -> AbstractContextManager[None]:
    """Return a context in which PyTorch computes in the number format of a trial of this precision (fp32, bf16)."""
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bf16")


def network_on(network: nn.Module, device: str) -> nn.Module:
    """Return the network on a device, changed to compute there as training does. The names of its parameters stay.

    On a GPU its resizing is made deterministic, which it already is on a processor. On a processor its decoder is made
    to take fewer operations; whether that helps on a GPU was never measured.
    """
    network = resize_by_products(network) if device == "cuda" else decode_small(network)
    moved: nn.Module = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def on_device(images: Images, device: str) -> torch.Tensor:
    """Return images float32 (B, C, H, W), of any values, as a tensor of the same shape on the device, channels last
    in memory."""
    return torch.from_numpy(images).to(device, memory_format=torch.channels_last)


def logits_of(model: nn.Module, images: torch.Tensor, *, device: str, precision: str) -> torch.Tensor:
    """Return the logits float32 (B, 1, H, W) of images float32 (B, C, H, W) in 0..1. Model and images are
    on `device`."""
    with autocast(device, precision):
        logits: torch.Tensor = model(images)
    return logits.float()


def predicting(
    model: nn.Module, slices: Slices, *, device: str, precision: str
) -> Generator[None, None, StoredProbabilities]:
    """Return the probabilities of every slice as uint16 (N, H, W), round(p x 65535); pause after each batch.

    InputError where the model gives NaN for a pixel, which would be stored as 0.
    """
    model.eval()
    out = np.empty((len(slices), *slices.masks.shape[1:]), np.uint16)
    for batch in in_order(len(slices), EVALUATION_BATCH):
        with torch.no_grad():
            images = on_device(slices.batch(batch)[0], device)
            logits = logits_of(model, images, device=device, precision=precision)
            _check_numbers(logits, precision)
            probabilities = (torch.sigmoid(logits[:, 0]) * ONE).round()
            out[batch] = probabilities.to(torch.int32).cpu().numpy().astype(np.uint16)
        yield
    return out


def _check_numbers(logits: torch.Tensor, precision: str) -> None:
    """Raise InputError where any of the logits (B, 1, H, W) is NaN. Infinite ones are allowed: they are probabilities
    of 0 or 1."""
    lacking = int(torch.isnan(logits).any(dim=(1, 2, 3)).sum())
    if lacking:
        raise InputError(
            "The network gives no probabilities.",
            where=f"predictions in {precision}",
            expected="a number for each pixel",
            found=f"NaN in {lacking} of {count_of(len(logits), 'slice')}",
            do="train the variant again with a lower training.learning_rate, or with precision: fp32",
        )


def in_order(count: int, size: int) -> list[Integers]:
    """Return the positions 0..count - 1 in order, cut into batches, int (n,), of this size."""
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def device_here() -> str:
    """Return the device on which predictions are made: cuda where PyTorch can use a GPU, else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class TrainedModels:
    """The models of some trials of one variant. One is in memory at a time; weights are read from the run folder.

    InputError where the weights of a model are gone, damaged, or not those that the member names.
    """

    def __init__(self, run: RunFolder, network: Network, members: Sequence[Member], *, threads: int) -> None:
        """network: the variant's. threads: of the processor; more threads are faster, and change results by rounding
        at most."""
        self.run, self.members, self.device = run, tuple(members), device_here()
        set_up_torch(self.device, threads, 1.0, members[0].precision)
        # The trained weights already include encoder weights from a file.
        bare = network.model_copy(update={"encoder_weights": None})
        self.model = network_on(build_network(bare, len(members[0].bounds), seed=0), self.device)
        self.loaded: Member | None = None

    def probabilities(self, images: Images) -> Iterator[StoredProbabilities]:
        """Yield each member's probabilities for a scan's slices, as uint16 (Z, H, W): round(p x 65535), as trials
        store them.

        images: float32 (Z, C, H, W) in the store's units of values, C in the order of the variant's modalities.
        """
        masks = np.zeros((len(images), *images.shape[2:]), np.uint8)
        rows, channels = np.arange(len(images)), range(images.shape[1])
        for member in self.members:
            self._load(member)
            slices = Slices(images, masks, rows, channels, member.bounds)
            yield at_once(predicting(self.model, slices, device=self.device, precision=member.precision))

    def _load(self, member: Member) -> None:
        if self.loaded != member:
            self.model.load_state_dict(load(read_weights(self.run, member)))
            self.loaded = member
