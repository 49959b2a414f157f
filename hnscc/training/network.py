"""Build the networks that studies name (segmentation-models-pytorch's and the paper's own), and try them
before training."""

from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from hnscc.study.variant_schema import Network, nearest_first
from hnscc.training.losses import loss_of
from hnscc.training.paper_unet import PaperUNet
from hnscc.training.process import raise_if_memory_ran_out, seeded, without_compiler

# The errors that segmentation-models-pytorch, timm and torchvision raise, or run into, where an encoder does not suit
# an architecture, or a network does not suit the slices.
UNFIT = (
    *(RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError),
    *(ArithmeticError, ImportError, NameError),
)


def build_network(network: Network, in_channels: int, *, seed: int) -> nn.Module:
    """Return a network with random weights that follow from `seed`. It takes float (N, in_channels, H, W) and returns
    logits float (N, 1, H, W).

    InputError for an architecture, encoder or weights file that does not exist or does not fit.
    """
    with seeded(seed):
        if network.is_papers:
            return PaperUNet(in_channels, cast(int, network.width))  # the schema makes sure that it is given
        layers = _create(network, in_channels)
    if network.encoder_weights:
        _load_encoder(layers, network.encoder_weights)
    return layers


def check_network(
    network: Network, in_channels: int, size: int, batches: Collection[int] = (), *, loss: str
) -> int:
    """Build the network, pass one empty image through it, train it one step with each of these batch sizes, and return
    its number of parameters.

    size: of a slice, in pixels. batches: the numbers of slices of the steps. loss: the loss to train with, one of
    LOSSES. The steps are first computed without data, which takes little time and memory; a step that fails so is tried
    again in full. InputError for a network that cannot be built, does not take slices of this size or cannot be trained
    with one of these batches; MemoryError where memory is too little to try it.
    """
    stamp = _stamp(network.encoder_weights)
    return _checked(network, in_channels, size, tuple(sorted(set(batches))), loss, stamp)


def _stamp(weights: str | None) -> tuple[int, ...] | None:
    """Return what tells a file of weights from one that later overwrote it. None where there is no file; loading it
    will say so."""
    try:
        file = Path(weights).stat() if weights else None
    except OSError:
        return None
    return file and (file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns)


@cache
def _checked(
    network: Network,
    in_channels: int,
    size: int,
    batches: tuple[int, ...],
    loss: str,
    stamp: tuple[int, ...] | None,
) -> int:
    """Do what `check_network` does, once for all variants and commands of this process with the same network and the
    same file of weights."""
    layers = build_network(network, in_channels, seed=0).eval()
    if said := _refused(layers, in_channels, size):
        step, sizes = _sizes_near(layers, in_channels, size)
        again = f" again with --size {' or '.join(map(str, sizes))}" if sizes else " with another --size"
        named = _named(network)
        raise InputError(
            "The network does not take the store's slices.",
            where=f"training.network, slices of {size} x {size}",
            expected=f"a size that is a multiple of {step}, for {named}"
            if step
            else f"a size that suits {named}",
            found=f"{size}" if step else said,
            do=f"prepare the store{again}, or choose another architecture",
        )
    empty = layers.to("meta")  # in place: from here on the layers have shapes but no values
    for batch in batches:
        if found := _fails(network, empty, in_channels, size, batch, loss):
            raise _untrainable(network, empty, in_channels, size, batch, loss, found)
    return sum(parameter.numel() for parameter in empty.parameters())


def _refused(layers: nn.Module, in_channels: int, size: int) -> str | None:
    """Return the network's error for an image of this size, in a line; None where it takes such an image."""
    with torch.no_grad():
        _, error = _tried(lambda: layers(torch.zeros(1, in_channels, size, size)), layers)
    return _in_a_line(error) if error else None


def _sizes_near(layers: nn.Module, in_channels: int, size: int) -> tuple[int | None, list[int]]:
    """Return a number whose multiples the network takes, and its multiples next to this size, which were tried.

    (None, []) where the refusal is not explained by layers that halve an image three to five times.
    """
    for step in (8, 16, 32):
        below, above = size // step * step, size // step * step + step
        # The size itself, where it is a multiple, is among these, and is refused once more.
        tried = [each for each in (below, above) if each]
        if not any(_refused(layers, in_channels, each) for each in tried):
            return step, tried
    return None, []


def _fails(
    network: Network, empty: nn.Module, in_channels: int, size: int, batch: int, loss: str
) -> Exception | None:
    """Return what a step of training with this many slices raises, or None.

    empty: the network on the device `meta`, without values. A step without data may raise where a full one does not, if
    a network looks at values: then the full step counts.
    """
    with without_compiler():  # PyTorch asks for it to exclude the functions that compute without data
        if _step(empty, in_channels, size, batch, loss) is None:
            return None
    return _step(build_network(network, in_channels, seed=0), in_channels, size, batch, loss)


def _step(layers: nn.Module, in_channels: int, size: int, batch: int, loss: str) -> Exception | None:
    device = next(layers.parameters()).device
    images, truth = (torch.zeros(batch, channels, size, size, device=device) for channels in (in_channels, 1))
    logits, error = _tried(lambda: layers.train()(images), layers)
    if error:
        return error
    value, of_loss = _tried(lambda: loss_of(loss, logits, truth), layers)
    if of_loss:
        raise of_loss  # the loss is this project's: its error is not the network's
    return _tried(value.backward, layers)[1]


def _tried(part: Callable[[], Any], layers: nn.Module) -> tuple[Any, Exception | None]:
    """Return what a part of a network's step returns, and the error that it raises on slices or batches that it does
    not take."""
    try:
        return part(), None
    except UNFIT as error:
        # The paper's network is this project's code: only PyTorch's own errors tell that slices do not suit it. Any
        # other error is a bug here.
        if isinstance(layers, PaperUNet) and not isinstance(error, RuntimeError):
            raise
        raise_if_memory_ran_out(error)
        return None, error


def _untrainable(
    network: Network, empty: nn.Module, in_channels: int, size: int, batch: int, loss: str, error: Exception
) -> InputError:
    where = f"training.batch_size, training.network ({_named(network)}), slices of {size} x {size}"
    if batch == 1 and not _fails(network, empty, in_channels, size, 2, loss):
        return InputError(
            "The network cannot be trained on a batch of 1 slice.",
            where=where,
            expected="2 slices or more, since batch normalisation needs two values of every channel",
            found=_in_a_line(error),
            do="set training.batch_size to 2 or more",
        )
    return InputError(
        "The network cannot be trained.",
        where=where,
        expected=f"a step of training on a batch of {count_of(batch, 'slice')} without an error",
        found=_in_a_line(error),
        do="choose another architecture or encoder, or prepare the store with a larger --size",
    )


def _create(network: Network, in_channels: int) -> nn.Module:
    from hnscc.training.library import smp  # imported here: a second that the paper's network need not wait

    # timm, which has the encoders named tu-..., would take a prefix such as hf-hub: as a request to ask the network.
    if ":" in str(network.encoder):
        raise InputError(
            "The encoder is named by a place.",
            where="training.network.encoder",
            expected="the name of an encoder that the library has, for nothing is downloaded",
            found=str(network.encoder),
            do="name the encoder itself, and a file of its weights in training.network.encoder_weights",
        )
    try:
        layers: nn.Module = smp.create_model(
            network.architecture, network.encoder, encoder_weights=None, in_channels=in_channels, classes=1
        )
    except UNFIT as error:
        raise_if_memory_ran_out(error)
        encoders = smp.encoders.get_encoder_names()
        unknown = network.encoder not in encoders and not str(network.encoder).startswith("tu-")
        near = ", ".join(nearest_first(str(network.encoder), encoders)[:8])
        said = "" if unknown else f": {_in_a_line(error)}"
        raise InputError(
            "segmentation-models-pytorch cannot build this network.",
            where=f"training.network.{'encoder' if unknown else 'architecture'}",
            expected=f"an encoder that the library knows, the nearest are {near}"
            if unknown
            else "an architecture and an encoder that suit one another, such as unet and resnet18",
            found=f"{_named(network)}{said}",
            do="correct the encoder" if unknown else "choose another architecture or encoder",
        ) from error
    return layers


def _named(network: Network) -> str:
    return network.architecture + (f" with {network.encoder}" if network.encoder else "")


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _load_encoder(layers: nn.Module, path: str) -> None:
    """Load pretrained encoder weights from a safetensors file that the user names; nothing is ever downloaded."""
    where = "training.network.encoder_weights"
    if not Path(path).is_file():
        raise InputError(
            "There is no such weights file.",
            where=where,
            expected="a .safetensors file with the encoder's weights",
            found="no file at that path",
            do="check the path (relative to the working directory)",
        )
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise_if_memory_ran_out(error)
        raise InputError(
            "The weights file is no whole safetensors file.",
            where=where,
            expected="a .safetensors file with the encoder's weights",
            found=_in_a_line(error),
            do="copy or download it again (a small text may be a Git LFS pointer: `git lfs pull` fetches the file)",
        ) from None
    try:
        layers.get_submodule("encoder").load_state_dict(tensors)
    except (RuntimeError, ValueError) as error:
        raise_if_memory_ran_out(error)
        raise InputError(
            "The weights file does not fit the encoder.",
            where=where,
            expected="the encoder's own tensors, first convolution included (its input channels are the modalities)",
            found=" ".join(str(error).split())[:300],
            do="make the file from the same encoder with as many input channels as the variant has modalities",
        ) from None
