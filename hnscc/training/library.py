"""segmentation-models-pytorch, the library of networks, loaded without PyTorch's compiler.

The library needs torchvision and timm. These load the compiler (torch._dynamo) to tell it what it must not compile: an
operation on boxes, an iterator. Nothing is compiled here. So loading the library took 2.4 s of a processor, and takes
0.6 s without the compiler (torch 2.14, torchvision 0.29, 2026-11), in each process that trains. Code that asks for the
compiler later gets it.
"""

import sys

from hnscc.base.errors import InputError
from hnscc.training.process import without_compiler

if sys.flags.optimize > 1:  # it adds to docstrings while it loads
    raise InputError(
        "Python was started without docstrings, and the library of networks needs them.",
        where="python -OO, or PYTHONOPTIMIZE in the environment",
        expected="none of the two, or -O (PYTHONOPTIMIZE=1)",
        found=f"level {sys.flags.optimize}",
        do="give the command again without it (`unset PYTHONOPTIMIZE`)",
    )
with without_compiler():
    import segmentation_models_pytorch as smp

__all__ = ["smp"]
