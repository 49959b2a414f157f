"""The network of Liedes et al., as their code has it in Keras. On a processor its layers compute faster than PyTorch's;
elsewhere they are PyTorch's own.

Measured for this network in training, one thread, bf16: PyTorch's dropout alone takes a fifth of the time, and the
gradient of its transposed convolutions an eighth (benchmarks/training.py measures the whole).
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# For each type of float, the integer type of the same size that its bits are viewed as.
BITS = {torch.bfloat16: torch.int16, torch.float32: torch.int32}
STEPS = 2**16
DROPOUT = (0.1, 0.1, 0.2, 0.2, 0.3)


class Dropout(nn.Dropout):
    """A dropout: each value becomes 0 with probability p, and is else divided by 1 - p. On a processor, p is rounded to
    a multiple of 1 / 65536.

    It takes floats of any shape. source: on a processor each call takes one number from this generator, and all its
    choices follow from that. The layers of a network share one generator, which `seed_dropouts` seeds. Elsewhere
    PyTorch's own dropout is used, which `process.seeded` seeds.
    """

    def __init__(self, p: float, *, source: torch.Generator) -> None:
        super().__init__(p)
        self.source = source

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return features, float, of any values and any shape, after the dropout: of the same shape."""
        if not self.training or not self.p or not values.is_cpu or values.dtype not in BITS:
            return super().forward(values)
        return values * _kept(values, round(self.p * STEPS), self.source)


def seed_dropouts(network: nn.Module, seed: int) -> None:
    """Seed all dropouts of a network: whatever they choose from here on follows from this seed."""
    for layer in network.modules():
        if isinstance(layer, Dropout):
            layer.source.manual_seed(seed)


def _kept(values: torch.Tensor, dropped: int, source: torch.Generator) -> torch.Tensor:
    """Return the factors, 0 or more, of values of any shape, of that shape: 0 with probability dropped / STEPS, else
    STEPS / (STEPS - dropped).

    They are computed with integers, because PyTorch compares and multiplies these many at a time, and turns booleans
    into floats one by one.
    """
    numbers = _random_numbers(values.numel(), source).as_strided(values.shape, values.stride())
    ones = torch.ge(numbers, dropped - STEPS // 2, out=torch.empty_like(values, dtype=BITS[values.dtype]))
    scale = torch.tensor(STEPS / (STEPS - dropped), dtype=values.dtype)
    return ones.mul_(int(scale.view(BITS[values.dtype]))).view(values.dtype)


def _random_numbers(count: int, source: torch.Generator) -> torch.Tensor:
    """Return this many random numbers, int16 (count,), all 65536 equally likely. NumPy's fastest generator gives four
    of them in each word."""
    key = int(torch.randint(2**62, (), generator=source))
    words = np.random.Generator(np.random.SFC64(key)).integers(0, 2**64, -(-count // 4), dtype=np.uint64)
    return torch.from_numpy(words.view(np.int16))[:count]


class Doubling(nn.ConvTranspose2d):
    """A 2x2 transposed convolution with stride 2: float (N, in, H, W) -> (N, out, 2 H, 2 W).

    Its windows do not overlap. So it is computed as a 1x1 convolution to 4 x out channels, which are then laid out as
    2x2 pixels: the sums are the same.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=2, stride=2)

    def forward(self, input: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """Return the doubled features, float (N, out, 2 H, 2 W), of input (N, in, H, W), of any values. output_size is
        an argument of PyTorch's class that is needed only for windows that overlap or leave gaps."""
        if self.bias is None or not input.is_cpu:
            return super().forward(input, output_size)
        weight = self.weight.permute(1, 2, 3, 0).flatten(0, 2)[:, :, None, None]
        return functional.pixel_shuffle(
            functional.conv2d(input, weight, self.bias.repeat_interleave(4)), upscale_factor=2
        )


class PaperUNet(nn.Module):
    """The authors' network: four levels with 1, 2, 4 and 8 x width filters, and 16 x width at the bottom.

    Each level has two 3x3 convolutions with ReLU and a dropout between them, 2x2 max-pooling, and 2x2 transposed
    convolutions with stride 2. Skips are concatenated at every resolution, the output is a 1x1 convolution, and there
    is no batch normalisation. As by Keras's initialisers, 3x3 kernels are He-normal, the others Glorot-uniform, and
    biases zero. It returns logits: the sigmoid is in the loss and in `predict`. With width 16 it has 1,940,817
    parameters for one input channel, and 1,940,961 for two.

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
        """Return the logits, float (N, 1, H, W), of images float (N, in_channels, H, W) in 0..1. Their sigmoid is
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
    """Fill a float weight (out, in, 3, 3) with Keras's he_normal: a normal distribution cut at two standard deviations,
    widened so that its variance is 2 / fan_in."""
    fan_in = weight.shape[1] * weight.shape[2] * weight.shape[3]
    deviation = (2.0 / fan_in) ** 0.5 / 0.87962566103423978
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)
