"""segmentation-models-pytorch, the library of networks, loaded without PyTorch's compiler.

torchvision and timm, which it needs, load the compiler (torch._dynamo) to tell it what it may not compile: an operation
on boxes, an iterator. Nothing is compiled here. So loading the library took 2.4 s of a processor, and takes 0.6 s
without the compiler (torch 2.14, torchvision 0.29, 2026-11), in each process that trains. Whoever asks for the compiler
later gets it.
"""

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType

import torch  # noqa: F401 (first, for its own parts may ask for the compiler)

COMPILER, HELPERS = "torch._dynamo", "torch._dynamo.utils"


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    """Who asks for the compiler within a `with` block learns that it compiles on no device, and nothing of what it is
    told to leave alone."""
    if COMPILER in sys.modules:
        yield
        return
    compiler, helpers = ModuleType(COMPILER), ModuleType(HELPERS)
    compiler.disable = lambda function, *_, **__: function  # type: ignore[attr-defined]
    helpers.is_compile_supported = lambda device: False  # type: ignore[attr-defined]
    sys.modules |= {COMPILER: compiler, HELPERS: helpers}
    try:
        yield
    finally:
        del sys.modules[COMPILER], sys.modules[HELPERS]


with _without_compiler():
    import segmentation_models_pytorch as smp

__all__ = ["smp"]
