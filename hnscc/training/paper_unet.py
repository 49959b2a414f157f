"""The network of Liedes et al., as their code has it in Keras."""

import torch
from torch import nn

from hnscc.training.layers import Doubling, Dropout

DROPOUT = (0.1, 0.1, 0.2, 0.2, 0.3)


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
        """Float (N, in_channels, H, W) -> logits (N, 1, H, W)."""
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
    """Keras's he_normal: a normal cut at two standard deviations, widened to keep variance 2 / fan_in."""
    fan_in = weight.shape[1] * weight.shape[2] * weight.shape[3]
    deviation = (2.0 / fan_in) ** 0.5 / 0.87962566103423978
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)
