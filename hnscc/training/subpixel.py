"""Decoder blocks that convolve an enlarged feature map without making it, on a processor.

A 3x3 convolution of a doubled map equals a 4x4 transposed convolution, of stride 2, of the small map: weights of
the 3x3 kernel that meet the same small pixel are summed first. That takes 16 multiplications per small pixel where
there were 36. The part of the kernel that meets the concatenated skip becomes a convolution of its own, whose
output is added.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

# From this many pixels on, in all small maps of a batch together, this way is faster; with fewer, the larger kernel
# costs more than the pixels save. Speed of one layer, forward and backward, relative to the plain way, by channels
# and precision: 0.8 to 1.3 x at 512 pixels, 1.1 to 1.5 x at 1024 (AMD EPYC with avx512_bf16, one thread, torch
# 2.14, 2026-11).
LEAST_PIXELS = 1024

Skip = torch.Tensor | None


def decode_small(network: nn.Module) -> nn.Module:
    """Change a network in place, so that its decoder convolves small maps instead of doubling them first; return it
    for convenience.

    This is done for Unet, Unet++ and MAnet of segmentation-models-pytorch. The other networks stay as they are,
    because none of their 3x3 convolutions follows a doubling by nearest pixels (Linknet and the paper's network have
    transposed convolutions, the others resize bilinearly). Parameters, their names and what is computed stay the same,
    except for rounding.
    """
    if type(network).__name__ in ("Unet", "UnetPlusPlus", "MAnet"):
        for name, block in list(network.named_modules()):
            if small := _in_place_of(block):
                network.set_submodule(name, small)
    return network


def _in_place_of(block: nn.Module) -> nn.Module | None:
    """Return the block that replaces this one, made of its layers; None where this one does not double.

    ValueError for a block that does more than these layers: attention, or another interpolation than by nearest pixels.
    """
    from hnscc.training.library import smp  # imported here: it takes a second

    manet, unet, unetplusplus = smp.decoders.manet, smp.decoders.unet, smp.decoders.unetplusplus

    _check_plain(block)
    if isinstance(block, unet.decoder.UnetDecoderBlock):
        return _UnetBlock(block)
    if isinstance(block, manet.decoder.MFABBlock):
        return _WeighedBlock(block)
    if isinstance(block, manet.decoder.DecoderBlock):
        return _Block(block)
    if isinstance(block, unetplusplus.decoder.DecoderBlock) and not block.is_empty:
        return _Block(block)
    return None


def _check_plain(block: Any) -> None:
    for name in ("attention1", "attention2"):
        found = getattr(getattr(block, name, None), "attention", None)
        if not (found is None or isinstance(found, nn.Identity)):
            raise ValueError(
                f"a decoder block has convolutions alone, and {type(block).__name__} has a layer {name}; leave such "
                "networks to the plain way"
            )
    mode = getattr(block, "interpolation_mode", "nearest")
    if mode != "nearest":
        raise ValueError(
            f"a decoder block doubles by nearest pixels, and {type(block).__name__} by {mode}; leave such networks to "
            "the plain way"
        )


class _Block(nn.Module):
    """Replaces a block of Unet++, and the last block of MAnet."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv1: nn.Sequential = block.conv1
        self.conv2: nn.Sequential = block.conv2

    def forward(self, x: torch.Tensor, skip: Skip = None) -> torch.Tensor:
        """Return float features (N, out, 2 H, 2 W) of x (N, C, H, W), of any values, and of skip (N, S, 2 H, 2 W)."""
        return _decode(self.conv1, self.conv2, x, _twice(x), skip)


class _UnetBlock(nn.Module):
    """Replaces a block of Unet, which is told the size of its output: not always the double, if a slice is no multiple
    of 32."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv1: nn.Sequential = block.conv1
        self.conv2: nn.Sequential = block.conv2

    def forward(self, x: torch.Tensor, height: int, width: int, skip_connection: Skip = None) -> torch.Tensor:
        """Return float features (N, out, height, width) of x (N, C, H, W), of any values, and of skip (N, S,
        height, width)."""
        return _decode(self.conv1, self.conv2, x, (height, width), skip_connection)


class _WeighedBlock(nn.Module):
    """Replaces a block of MAnet, which weighs each channel of the doubled map. Here the small map is weighed, which is
    the same."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.hl_conv: nn.Sequential = block.hl_conv
        self.SE_ll: nn.Sequential = block.SE_ll
        self.SE_hl: nn.Sequential = block.SE_hl
        self.conv1: nn.Sequential = block.conv1
        self.conv2: nn.Sequential = block.conv2

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Return float features (N, out, 2 H, 2 W) of x (N, C, H, W), of any values, and of skip (N, S, 2 H, 2 W)."""
        x = self.hl_conv(x)
        x = x * (self.SE_hl(x) + self.SE_ll(skip))
        return _decode(self.conv1, self.conv2, x, _twice(x), skip)


def _twice(x: torch.Tensor) -> tuple[int, int]:
    """Return the doubled sides, in pixels, of float features (N, C, H, W)."""
    return 2 * x.shape[2], 2 * x.shape[3]


def _decode(
    conv1: nn.Module, conv2: nn.Module, x: torch.Tensor, size: tuple[int, int], skip: Skip
) -> torch.Tensor:
    """Apply two convolutions, each with its normalisation and activation, to x enlarged to `size` with its skip.

    x: float features of any values, (N, C, H, W); skip: (N, S, height, width); returns (N, out, height, width).
    """
    convolution, *then = conv1.children()
    if not isinstance(convolution, nn.Conv2d):
        raise TypeError(
            f"a block begins with a convolution, not with {type(convolution).__name__}; leave such networks to the "
            "plain way"
        )
    joined = _convolve(x, convolution.weight, convolution.bias, size, skip)
    for layer in then:
        joined = layer(joined)
    out: torch.Tensor = conv2(joined)
    return out


def _convolve(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, size: tuple[int, int], skip: Skip
) -> torch.Tensor:
    """Return the 3x3 convolution, padded by 1, of x enlarged to this size (by nearest pixels), followed by the
    skip's channels.

    x: float features of any values, (N, C, H, W); skip: (N, S, height, width); returns (N, out, height, width). weight:
    (out, C + S, 3, 3); bias: (out,).
    """
    if size != _twice(x) or x.numel() // x.shape[1] < LEAST_PIXELS:
        large = functional.interpolate(x, size=size, mode="nearest")
        return functional.conv2d(
            large if skip is None else torch.cat([large, skip], 1), weight, bias, padding=1
        )
    channels = x.shape[1]
    out = functional.conv_transpose2d(x, _summed(weight[:, :channels]), bias, stride=2, padding=1)
    if skip is not None and skip.shape[1]:
        # This is added in place: no gradient needs the first output.
        out.add_(functional.conv2d(skip, _laid_out(weight[:, channels:]), padding=1))
    return out


def _summed(kernel: torch.Tensor) -> torch.Tensor:
    """Return a 4x4 kernel (in, out, 4, 4) of a 3x3 kernel's weights (out, in, 3, 3), float, of any values: the sums of
    every two neighbours along each axis, with zeros around the kernel."""
    sums = functional.avg_pool2d(kernel.flip(2, 3), kernel_size=2, stride=1, padding=1, divisor_override=1)
    return _laid_out(sums.transpose(0, 1))


def _laid_out(kernel: torch.Tensor) -> torch.Tensor:
    """Return a kernel's weights, float, of any values, (out, in, 3, 3), of the same shape, in the memory layout that
    the feature maps have. The library's convolutions then make no copy."""
    return kernel.contiguous(memory_format=torch.channels_last)
