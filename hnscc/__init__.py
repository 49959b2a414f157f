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

# The file that each function stands in: what the commands do, and the statistics, which are usable without a run folder
# (arrays in, an estimate with its interval out).
HOMES = {
    name: home
    for home, names in {
        "commands.cohort_api": ("fetch", "phantom", "prepare", "scan", "verify"),
        "commands.new_scan_api": ("export", "predict"),
        "commands.results_api": ("aggregate", "plan", "prune", "query", "report", "tables"),
        "commands.study_api": ("check", "init", "run", "search", "status"),
        "scores.better": ("chance_of_better", "equivalence"),
        "scores.crossed": ("mean_difference", "mean_of_patients", "pooled_difference", "pooled_interval"),
    }.items()
    for name in names
}

__version__ = "0.1.0"

# Read by NumPy's BLAS when it is imported: the products here are small, threads cost them more than they give, and with
# one thread the order of sums is the same on every machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    globals()[name] = getattr(import_module(f"hnscc.{HOMES[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
