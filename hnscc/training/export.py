"""A variant's models as one ONNX graph: images in the store's units of values in, a probability out."""

import io
import warnings
from collections.abc import Sequence

import torch
from safetensors.torch import load
from torch import nn

from hnscc.base.errors import InputError
from hnscc.cohort.slices import Bounds
from hnscc.study.run_folder import RunFolder
from hnscc.study.variant_schema import Network
from hnscc.training.members import Member, read_weights
from hnscc.training.network import build_network

# Warnings that PyTorch gives for every network: that this is the older exporter (the newer one needs onnxscript, and a
# minute more), and that a constant is computed when the graph runs, not now. All other warnings are shown.
_EXPECTED = (
    "You are using the legacy TorchScript-based ONNX export",
    "The feature will be removed. Please remove usage of this function",
    "Constant folding - Only steps=1 can be constant folded",
)


class _Normalised(nn.Module):
    """A model preceded by `cohort.slices.normalise` and followed by the sigmoid."""

    def __init__(self, model: nn.Module, bounds: Sequence[Bounds]) -> None:
        super().__init__()
        self.model = model
        lows, spans = ([each[0] for each in bounds], [each[1] - each[0] for each in bounds])
        self.register_buffer("low", torch.tensor(lows).reshape(1, -1, 1, 1))
        self.register_buffer("span", torch.tensor(spans).reshape(1, -1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return probabilities float32 (N, H, W) of images float32 (N, C, H, W) in the store's units of values."""
        scaled = ((images - self.low) / self.span).clamp(0.0, 1.0)  # type: ignore[operator]
        probability: torch.Tensor = torch.sigmoid(self.model(scaled))[:, 0]
        return probability


class _Mean(nn.Module):
    """The mean of the probabilities of several models."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return probabilities float32 (N, H, W), the mean over the members. images: float32 (N, C, H, W) in the
        store's units of values."""
        return torch.stack([member(images) for member in self.members]).mean(dim=0)


def check_pools(model: nn.Module, images: torch.Tensor, architecture: str) -> None:
    """Raise InputError where a network averages over parts of an image into which its pixels do not divide.

    images: float32 (1, C, H, W), of any values, such as zeros. ONNX has no operation for such means. PyTorch's exporter
    would say so with a traceback, and print the whole graph on standard output.
    """
    sides: list[tuple[int, int]] = []  # pixels before, after

    def note(pool: nn.AdaptiveAvgPool2d, given: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
        """Note the sides, in pixels, of the float features that the pool is given, `given` (N, C, H, W), and of its
        output `_`, (N, C, height, width)."""
        after = pool.output_size if isinstance(pool.output_size, tuple) else (pool.output_size,) * 2
        sides.extend(
            (length, number or length) for length, number in zip(given[0].shape[-2:], after, strict=True)
        )

    pools = [each for each in model.modules() if isinstance(each, nn.AdaptiveAvgPool2d)]
    hooks = [each.register_forward_hook(note) for each in pools]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    if odd := sorted({f"{before} into {after}" for before, after in sides if before % after}):
        raise InputError(
            "ONNX has no words for the network: it takes means over parts of a slice that are no whole pixels.",
            where=f"architecture {architecture}, slices of {tuple(images.shape[-2:])}",
            expected="pixels that divide into the parts",
            found=", ".join(odd),
            do="apply the models by `hnscc predict`, or train another architecture; pspnet can be exported for slices "
            "whose side is a multiple of 48 (hnscc prepare --size)",
        )


def onnx_of(run: RunFolder, network: Network, members: Sequence[Member], size: int) -> bytes:
    """Return the content of an ONNX file with these trials' models together, in float32.

    Its input `images` is float32 (N, C, size, size) in the store's units of values. Its output `probability` is float32
    (N, size, size), the mean over the models. Raises InputError as `members.read_weights` and `check_pools` do.
    """
    bare = network.model_copy(update={"encoder_weights": None})
    parts = []
    for member in members:
        model = build_network(bare, len(member.bounds), seed=0)
        model.load_state_dict(load(read_weights(run, member)))
        parts.append(_Normalised(model, member.bounds))
    whole = _Mean(parts).eval()
    images = torch.zeros(1, len(members[0].bounds), size, size)
    check_pools(whole, images, network.architecture)
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message=message)
        torch.onnx.export(
            whole,
            (images,),
            file,  # type: ignore[arg-type]  # it takes a stream, whatever its types say
            dynamo=False,
            input_names=["images"],
            output_names=["probability"],
            dynamic_axes={"images": {0: "slices"}, "probability": {0: "slices"}},
        )
    return file.getvalue()
