"""Bilinear resizing and adaptive average pooling by two fixed matrix products, for GPUs.

PyTorch's own functions have no deterministic gradient on a GPU: pooling raises an error, and resizing is replaced by 8
to 48 gathers whose gradient sorts. A product with a fixed matrix is deterministic on every device, and so is its
gradient, which is again such a product.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

MatrixKey = tuple[Any, ...]


def resize_by_products(network: nn.Module) -> nn.Module:
    """Change a network in place, so that its forward pass resizes bilinearly and pools to sizes by products; return it
    for convenience.

    Its parameters, their names and its outputs stay the same, except for rounding. Other interpolations stay PyTorch's,
    and so does pooling to 1 pixel, which is a mean. A network whose first pass does neither is left as it was, since to
    look at each of its calls takes time.
    """
    forward, products = network.forward, _Products()

    def _forward(*arguments: Any, **named: Any) -> Any:
        with products:
            out = forward(*arguments, **named)
        if not products.matrices:
            del network.forward
        return out

    network.forward = _forward
    return network


class _Products(TorchFunctionMode):
    """A mode of PyTorch that replaces two functions of torch.nn.functional, and keeps the matrices that it has made."""

    def __init__(self) -> None:
        super().__init__()
        self.matrices: dict[MatrixKey, torch.Tensor] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func is functional.interpolate:
            return self._interpolate(*args, **named)
        if func is functional.adaptive_avg_pool2d:
            return self._pool(*args, **named)
        return func(*args, **named)

    def _interpolate(
        self,
        input: torch.Tensor,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        **named: Any,
    ) -> torch.Tensor:
        """Do what torch.nn.functional.interpolate does, whose arguments these are: float features (N, C, H, W) of any
        values -> (N, C, height, width). It hands all but the first on by name."""
        if mode != "bilinear":
            return functional.interpolate(input, size, scale_factor, mode, **named)

        def _along(axis: int, pixels: int) -> torch.Tensor:
            """Return the identity matrix of H pixels, resized to W as the axis of this number: float64 (1, 1, W, H),
            shares of about 0..1."""
            # The other axis keeps its size. Each column is resized by itself, so the identity becomes the matrix.
            to = None if size is None else (_of_axis(size, axis), pixels)
            by = None if scale_factor is None else (_of_axis(scale_factor, axis), 1.0)
            return functional.interpolate(_identity(pixels), to, by, mode, **named)

        settings = (_hashable(size), _hashable(scale_factor), tuple(sorted(named.items())))
        return self._apply(input, _along, ("bilinear", *settings))

    def _pool(self, input: torch.Tensor, output_size: int | Sequence[int | None]) -> torch.Tensor:
        """Do what torch.nn.functional.adaptive_avg_pool2d does: float features (N, C, H, W) of any values -> (N, C,
        height, width)."""
        sizes = [_of_axis(output_size, axis) for axis in (0, 1)]  # None keeps an axis as it is
        if sizes == [1, 1]:
            return functional.adaptive_avg_pool2d(input, 1)

        def _along(axis: int, pixels: int) -> torch.Tensor:
            """Return the identity matrix of H pixels, pooled to W as the axis of this number: float64 (1, 1, W, H),
            shares 0..1."""
            return functional.adaptive_avg_pool2d(_identity(pixels), (sizes[axis], pixels))

        return self._apply(input, _along, ("pool", *sizes))

    def _apply(
        self, images: torch.Tensor, along: Callable[[int, int], torch.Tensor], key: MatrixKey
    ) -> torch.Tensor:
        """Return A x B' for each channel x of images (N, C, H, W), of any values: (N, C, height, width).

        It is computed in float32 where the images have less precision, as PyTorch's own functions sum.
        """
        dtype = images.dtype if images.dtype == torch.float64 else torch.float32
        down, across = (
            self._matrix(along, axis, pixels, images.device, dtype, key)
            for axis, pixels in enumerate(images.shape[-2:])
        )
        with _no_autocast(images.device.type):
            return (down @ images.to(dtype) @ across.T).to(images.dtype)

    def _matrix(
        self,
        along: Callable[[int, int], torch.Tensor],
        axis: int,
        pixels: int,
        device: torch.device,
        dtype: torch.dtype,
        key: MatrixKey,
    ) -> torch.Tensor:
        """Return the matrix that resizes an axis of this many pixels, (W, H) for H pixels to W; its values are shares
        of these.

        It is made once, in float64, by PyTorch's own resizing of an identity matrix. along: (axis, pixels) -> (1, 1,
        W, H).
        """
        key = (*key, axis, pixels, device, dtype)
        if key not in self.matrices:
            with torch.no_grad():
                self.matrices[key] = along(axis, pixels)[0, 0].to(device, dtype)
        return self.matrices[key]


def _no_autocast(kind: str) -> AbstractContextManager[None]:
    """Return a context without autocast, which would round the products. The device without data has no autocast."""
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def _identity(pixels: int) -> torch.Tensor:
    """Return the identity matrix of H pixels as an image, float64 (1, 1, H, H) of 0 and 1."""
    return torch.eye(pixels, dtype=torch.float64, device="cpu")[None, None]


def _of_axis(value: Any, axis: int) -> Any:
    return value[axis] if isinstance(value, Sequence) else value


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) else value
