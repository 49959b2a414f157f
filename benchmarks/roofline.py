"""Training on the processor, as a share of what its measured speed of convolution allows.

    python benchmarks/roofline.py [--rounds 3] [--batches 4]

The roofline comes from this processor's own speed, at the network's own shapes. Every convolution and transposed
convolution of the network (slices of 128 x 128 with two channels, the study's batch size) is run alone, forward only:
one thread, channels_last, bf16 where the processor computes in it, else fp32; the best of several runs is its speed. In
a training step, each needs as many floating point operations for the gradient of the weights, and again for the
gradient of the input (which the first layer does not need), as forward. The time of all these operations at those
speeds is the ideal time of a step: without activation, normalisation, dropout, loss, optimiser and data. It is compared
with a step of the project's own code (an epoch of a few batches by `steps_of_trial`, divided by their number). share =
ideal / measured.

Both are measured in every round, in turn, in seconds of this process's processor time, which other work on the machine
changes as little as possible.
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from figures import ROUNDS, Figure, in_turn, ratios, tell
from torch.utils._python_dispatch import TorchDispatchMode

from hnscc.cohort.slices import Slices
from hnscc.study.loading import parse_study
from hnscc.study.trials import trials_of
from hnscc.training.boundary import begin
from hnscc.training.devices import resolve_device
from hnscc.training.fit import Fit
from hnscc.training.network import build_network
from hnscc.training.process import set_up_torch
from hnscc.training.trial import train_epoch

SIZE, MODALITIES = 128, ("pet", "mri")
# The two networks of the studies in studies/, with their batch sizes.
SETTINGS: dict[str, dict[str, Any]] = {
    "resnet18 Unet": {"network": {"architecture": "unet", "encoder": "resnet18"}, "batch_size": 16},
    "the paper's network": {"network": {"architecture": "paper", "width": 16}, "batch_size": 32},
}
TARGET = 0.65
REPETITIONS = 7


@dataclass(frozen=True)
class Convolution:
    """One call of a convolution in the forward pass: the shapes of its operands, and its strides."""

    images: tuple[int, ...]
    weight: tuple[int, ...]
    biased: bool
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int

    def operands(self, dtype: torch.dtype) -> list[Any]:
        """Return random operands in the layout that training uses, in the order in which aten.convolution
        takes them."""
        images, weight = (
            torch.randn(shape).to(dtype, memory_format=torch.channels_last)
            for shape in (self.images, self.weight)
        )
        bias = torch.randn(self.weight[1 if self.transposed else 0]).to(dtype) if self.biased else None
        geometry = [self.stride, self.padding, self.dilation, self.transposed, self.output_padding]
        return [images, weight, bias, *geometry, self.groups]


class Convolutions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every convolution that is run, in order, with its number of floating point operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[Convolution, int]] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = operation(*args, **(kwargs or {}))
        if operation is torch.ops.aten.convolution.default:
            images, weight, bias, stride, padding, dilation, transposed, output_padding, groups = args
            geometry = (tuple(stride), tuple(padding), tuple(dilation), transposed, tuple(output_padding))
            layer = Convolution(tuple(images.shape), tuple(weight.shape), bias is not None, *geometry, groups)
            # Each weight takes two operations at each position of the input (transposed) or output of every slice.
            across = images if transposed else out
            self.found.append((layer, 2 * weight.numel() * across.numel() // across.shape[1]))
        return out


def convolutions(settings: dict[str, Any]) -> list[tuple[Convolution, int]]:
    """Return the network's convolutions in order, each with its floating point operations in one forward pass of
    a batch."""
    network = fit_of(settings, "fp32").network  # as it is trained, its decoder included
    images = torch.zeros(settings["batch_size"], len(MODALITIES), SIZE, SIZE)
    with torch.no_grad(), Convolutions() as noted:
        network(images)
    found: list[tuple[Convolution, int]] = noted.found
    return found


def speeds(layers: list[tuple[Convolution, int]], precision: str) -> dict[Convolution, float]:
    """Return the floating point operations per second of each convolution, forward: the best of several runs."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    operations = dict(layers)
    return {layer: operations[layer] / fastest(layer, dtype) for layer in operations}


@torch.no_grad()
def fastest(layer: Convolution, dtype: torch.dtype) -> float:
    """Return the seconds of processor time of the fastest of several runs, after one that prepares the kernel."""
    operands = layer.operands(dtype)
    took = [cpu_seconds(lambda: torch.convolution(*operands)) for _ in range(REPETITIONS + 1)]
    return min(took[1:])


def ideal_step(layers: list[tuple[Convolution, int]], precision: str) -> float:
    """Return the seconds of a training step that only convolves, at the speed that each layer has forward."""
    speed = speeds(layers, precision)
    passes = [2, *(3 for _ in layers[1:])]  # the first layer's input needs no gradient
    return sum(n * operations / speed[layer] for n, (layer, operations) in zip(passes, layers, strict=True))


def study_of(settings: dict[str, Any], precision: str, **more: Any) -> Any:
    """Return a study of one variant of both modalities that computes on one thread of the processor."""
    return parse_study(
        {
            "name": "benchmark",
            "store": "none",
            "training": settings | {"device": "cpu", "precision": precision, "threads": 1},
            "variants": {"pet_mri": {"modalities": list(MODALITIES)}},
        }
        | more
    )


def fit_of(settings: dict[str, Any], precision: str) -> Fit:
    """Return a trial that is about to begin, as `steps_of_trial` makes it."""
    study = study_of(settings, precision)
    began = begin(study, trials_of(study)[0], "", device="cpu", precision=precision)
    set_up_torch(began.device, began.threads, 1.0, began.precision)
    model = build_network(study.training.network, len(MODALITIES), seed=began.seeds["initialisation"])
    return Fit.start(model, study.training, began)


def slices_of(count: int, size: int = SIZE) -> Slices:
    """Return so many slices of `slices`, as a training reads them. Smaller ones are their upper left corners."""
    images, masks = (each[..., :size, :size] for each in slices(count))
    return Slices(images, masks, np.arange(count), range(len(MODALITIES)))


def slices(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images float32 (count, 2, 128, 128) of noise in 0..1, and masks uint8 (count, 128, 128) with a square
    lesion each."""
    images = np.random.default_rng(0).random((count, len(MODALITIES), SIZE, SIZE), dtype=np.float32)
    masks = np.zeros((count, SIZE, SIZE), np.uint8)
    masks[:, 50:70, 50:70] = 1
    return images, masks


def measured_step(settings: dict[str, Any], precision: str, batches: int) -> Callable[[], float]:
    """Return a function that times an epoch of the project's own code, in seconds per step. The first epoch, which
    prepares kernels, is done already."""
    fit, trained_on = fit_of(settings, precision), slices_of(batches * settings["batch_size"])
    train_epoch(fit, 1, trained_on)
    return lambda: cpu_seconds(lambda: train_epoch(fit, 2, trained_on)) / batches


def cpu_seconds(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def report(name: str, settings: dict[str, Any], rounds: int, batches: int) -> None:
    precision = resolve_device(study_of(settings, "auto").training)[1]
    torch.set_num_threads(1)
    layers = convolutions(settings)
    step = measured_step(settings, precision, batches)
    ideal, measured = in_turn(lambda: ideal_step(layers, precision), step, rounds=rounds)
    shapes = len(Counter(layer for layer, _ in layers))
    speed = sum(operations for _, operations in layers) / 1e9
    seconds = statistics.median(ideal), statistics.median(measured)
    tell(
        Figure(
            f"CPU training, share of the convolutions' roofline: {name}",
            TARGET,
            ratios(ideal, measured),
            "of the roofline",
            f"batch {settings['batch_size']}, {precision}, one thread: a step takes {seconds[1]:.3f} s, at least "
            f"{seconds[0]:.3f} s by {len(layers)} convolutions of {shapes} shapes, {speed:.1f} Gflop forward",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--batches", type=int, default=4, help="steps of the measured epoch")
    options = parser.parse_args()
    for name, settings in SETTINGS.items():
        report(name, settings, options.rounds, options.batches)


if __name__ == "__main__":
    main()
