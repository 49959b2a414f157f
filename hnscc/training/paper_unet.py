"""The network of Liedes et al., as their code has it in Keras, and its layers, computed faster on a processor than
PyTorch does; elsewhere these are PyTorch's own.

Measured for this network in training, one thread, bf16: PyTorch's dropout alone takes a fifth of the time, and the
gradient of its transposed convolutions an eighth (benchmarks/training.py measures the whole).
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# Floats whose bits an integer of the same size stands for.
BITS = {torch.bfloat16: torch.int16, torch.float32: torch.int32}
STEPS = 2**16
DROPOUT = (0.1, 0.1, 0.2, 0.2, 0.3)


class Dropout(nn.Dropout):
    """Each value is 0 with probability p, else divided by 1 - p; p counts in steps of 1 / 65536.

    Float of any shape. source: each call on a processor takes one number from it, by which it chooses; the layers of a
    network share one, which `seed_dropouts` seeds. PyTorch's own, elsewhere, chooses by `process.seeded`.
    """

    def __init__(self, p: float, *, source: torch.Generator) -> None:
        super().__init__(p)
        self.source = source

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Features, float, of any values and any shape -> the same shape."""
        if not self.training or not self.p or not values.is_cpu or values.dtype not in BITS:
            return super().forward(values)
        return values * _kept(values, round(self.p * STEPS), self.source)


def seed_dropouts(network: nn.Module, seed: int) -> None:
    """All that a network's layers of this kind choose from here on follows from this seed."""
    for layer in network.modules():
        if isinstance(layer, Dropout):
            layer.source.manual_seed(seed)


def _kept(values: torch.Tensor, dropped: int, source: torch.Generator) -> torch.Tensor:
    """Factors, 0 or more, for values of any shape, of that shape: STEPS / (STEPS - dropped), or 0 with the chance
    dropped / STEPS. Made of integers, for PyTorch compares and multiplies these many at a time, and turns booleans into
    floats one by one."""
    numbers = _random_numbers(values.numel(), source).as_strided(values.shape, values.stride())
    ones = torch.ge(numbers, dropped - STEPS // 2, out=torch.empty_like(values, dtype=BITS[values.dtype]))
    scale = torch.tensor(STEPS / (STEPS - dropped), dtype=values.dtype)
    return ones.mul_(int(scale.view(BITS[values.dtype]))).view(values.dtype)


def _random_numbers(count: int, source: torch.Generator) -> torch.Tensor:
    """So many numbers, int16 (count,), all 65536 equally likely: four from each word of NumPy's fastest generator."""
    key = int(torch.randint(2**62, (), generator=source))
    words = np.random.Generator(np.random.SFC64(key)).integers(0, 2**64, -(-count // 4), dtype=np.uint64)
    return torch.from_numpy(words.view(np.int16))[:count]


class Doubling(nn.ConvTranspose2d):
    """A 2x2 transposed convolution with stride 2: float (N, in, H, W) -> (N, out, 2 H, 2 W).

    No two of its windows overlap, so it is a 1x1 convolution to 4 x out channels, which are then laid out as 2x2
    pixels: the same sums.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=2, stride=2)

    def forward(self, input: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """Features of any values, float (N, in, H, W) -> (N, out, 2 H, 2 W). output_size is PyTorch's, for windows that
        overlap or leave gaps: these do neither."""
        if self.bias is None or not input.is_cpu:
            return super().forward(input, output_size)
        weight = self.weight.permute(1, 2, 3, 0).flatten(0, 2)[:, :, None, None]
        return functional.pixel_shuffle(
            functional.conv2d(input, weight, self.bias.repeat_interleave(4)), upscale_factor=2
        )


class PaperUNet(nn.Module):
    """The authors' network: four levels of width, 2, 4, 8 x width filters, 16 x width at the bottom.

    At each level two 3x3 convolutions with ReLU and a dropout between them, 2x2 max-pooling, 2x2 stride-2
    transposed convolutions, concatenated skips at every resolution, a 1x1 output, no batch normalisation.
    He-normal 3x3 kernels, Glorot-uniform others, zero biases (Keras's initialisers). Returns logits: the
    sigmoid is in the loss and in `predict`. width 16 has 1,940,817 parameters with one input channel,
    1,940,961 with two.

    Input float (N, in_channels, H, W) with H and W multiples of 16; output float (N, 1, H, W).
    """

    def __init__(self, in_channels: int, width: int = 16) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        source = torch.Generator()
        self.down = nn.ModuleList(
            _two_convolutions(before, after, dropout, source)
            for before, after, dropout in zip([in_channels, *widths], widths, DROPOUT, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        steps = list(zip(widths[:0:-1], widths[-2::-1], DROPOUT[-2::-1], strict=True))
        self.up = nn.ModuleList(Doubling(below, here) for below, here, _ in steps)
        self.merge = nn.ModuleList(
            _two_convolutions(2 * here, here, dropout, source) for _, here, dropout in steps
        )
        self.output = nn.Conv2d(width, 1, 1)
        self.apply(_initialise)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images float (N, in_channels, H, W) in 0..1 -> logits float (N, 1, H, W), of which the sigmoid is
        a probability."""
        skips = []
        features = images
        for level, block in enumerate(self.down):
            features = block(self.pool(features) if level else features)
            skips.append(features)
        for up, merge, skip in zip(self.up, self.merge, reversed(skips[:-1]), strict=True):
            features = merge(torch.cat([up(features), skip], dim=1))
        logits: torch.Tensor = self.output(features)
        return logits


def _two_convolutions(before: int, after: int, dropout: float, source: torch.Generator) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        nn.ReLU(inplace=True),
        Dropout(dropout, source=source),
        nn.Conv2d(after, after, 3, padding=1),
        nn.ReLU(inplace=True),
    )


def _initialise(module: nn.Module) -> None:
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return
    if module.kernel_size == (3, 3):
        _he_normal(module.weight)
    else:
        nn.init.xavier_uniform_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def _he_normal(weight: torch.Tensor) -> None:
    """Keras's he_normal, written into a float weight (out, in, 3, 3): a normal cut at two standard deviations, widened
    to keep variance 2 / fan_in."""
    fan_in = weight.shape[1] * weight.shape[2] * weight.shape[3]
    deviation = (2.0 / fan_in) ** 0.5 / 0.87962566103423978
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)
