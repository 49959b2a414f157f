"""Repeat-run studies of medical image segmentation: what the `hnscc` command does, as Python functions, and the
statistics of patients by repeats.

    import hnscc

    hnscc.prepare("data/demo/manifest.csv", "data/demo.zarr", size=64)
    hnscc.run("studies/demo.yaml")
    hnscc.tables("runs/demo")["pooled"]        # a pyarrow.Table

The wings, of which none imports one before it: commands -> rayjobs -> searching -> reporting -> aggregation ->
training, data_prep -> cohort, scores -> study -> base. Which of those behind it a wing may import, says its `__init__`.
Each function is loaded when it is first used (hnscc.commands: `*_api`): this import loads no torch, Ray or
NumPy by itself.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hnscc.commands.cohort_api import fetch, phantom, prepare, scan, verify
    from hnscc.commands.new_scan_api import export, predict
    from hnscc.commands.results_api import aggregate, plan, prune, query, report, tables
    from hnscc.commands.study_api import check, init, run, search, status
    from hnscc.scores.better import chance_of_better, equivalence
    from hnscc.scores.crossed import mean_difference, mean_of_patients, pooled_difference, pooled_interval

__all__ = [
    "aggregate",
    "chance_of_better",
    "check",
    "equivalence",
    "export",
    "fetch",
    "init",
    "mean_difference",
    "mean_of_patients",
    "phantom",
    "plan",
    "pooled_difference",
    "pooled_interval",
    "predict",
    "prepare",
    "prune",
    "query",
    "report",
    "run",
    "scan",
    "search",
    "status",
    "tables",
    "verify",
]

# Usable without a run folder: arrays in, an estimate with its interval out.
STATISTICS = {
    "chance_of_better": "better",
    "equivalence": "better",
    "mean_difference": "crossed",
    "mean_of_patients": "crossed",
    "pooled_difference": "crossed",
    "pooled_interval": "crossed",
}

# What the commands do: the file of hnscc.commands that each function stands in.
COMMANDS = {
    "aggregate": "results_api",
    "check": "study_api",
    "export": "new_scan_api",
    "fetch": "cohort_api",
    "init": "study_api",
    "phantom": "cohort_api",
    "plan": "results_api",
    "predict": "new_scan_api",
    "prepare": "cohort_api",
    "prune": "results_api",
    "query": "results_api",
    "report": "results_api",
    "run": "study_api",
    "scan": "cohort_api",
    "search": "study_api",
    "status": "study_api",
    "tables": "results_api",
    "verify": "cohort_api",
}

__version__ = "0.1.0"

# Read by NumPy's BLAS when it is imported: the products here are small, threads cost them more than they give, and with
# one thread the order of sums is the same on every machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = f"scores.{STATISTICS[name]}" if name in STATISTICS else f"commands.{COMMANDS[name]}"
    globals()[name] = getattr(import_module(f"hnscc.{home}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
