"""Repeat-run studies of medical image segmentation: what the `hnscc` command does, as Python functions.

    import hnscc

    hnscc.prepare("data/demo/manifest.csv", "data/demo.zarr", size=64)
    hnscc.run("studies/demo.yaml")
    hnscc.tables("runs/demo")["pooled"]        # a pyarrow.Table

Each function is loaded when it is first used (hnscc.commands.api): this import alone loads no torch, Ray or NumPy.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hnscc.commands.api import (
        aggregate,
        check,
        phantom,
        prepare,
        prune,
        query,
        report,
        run,
        search,
        status,
        tables,
        verify,
    )

__all__ = [
    "aggregate",
    "check",
    "phantom",
    "prepare",
    "prune",
    "query",
    "report",
    "run",
    "search",
    "status",
    "tables",
    "verify",
]

__version__ = "0.1.0"

# Read by NumPy's BLAS when it is imported: the products here are small, threads cost them more than they give, and with
# one thread the order of sums is the same on every machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    globals()[name] = getattr(import_module("hnscc.commands.api"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
