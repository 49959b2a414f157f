"""What Ray costs: a study of no-op repeats by this project's executor, without Ray, and as default Tune trials.

    python benchmarks/overhead.py STUDY [--repeats 200] [--epochs 200]

STUDY is trained for one trial without Ray, so that the overhead can be set against a real trial's time. All in one
run on one machine; prints seconds and the two ratios.
"""

import argparse
import contextlib
import io
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray import tune

import rayjobs.study
import rayjobs.worker
from hnscc.config import Study, load_study
from hnscc.plan import RunFolder, plan_trials
from hnscc.run import PreparedRun, prepare_run
from hnscc.train import train_trial
from rayjobs.cluster import connected

ROW = {"epoch": 1, "train_loss": 0.5, "val_loss": 0.5, "val_soft_jaccard": 0.5, "seconds": 0.0}


def no_op(epochs: int) -> Iterator[dict[str, Any]]:
    for epoch in range(1, epochs + 1):
        yield ROW | {"epoch": epoch}


class NoOpWorker(rayjobs.worker.TrialWorker):
    """The executor's worker, with a training that does nothing but yield its epochs."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        rayjobs.worker.train_trial = lambda study, *others, **settings: no_op(study.training.epochs)
        return super().reset_config(new_config)


def default_trial(config: dict[str, Any]) -> None:
    for row in no_op(config["epochs"]):
        tune.report(row)


def one_real_trial(study: Study, run: PreparedRun) -> float:
    trial = plan_trials(study)[0]
    device, precision = run.chosen[trial.variant]
    began = time.perf_counter()
    for _ in train_trial(
        study,
        trial,
        run.folds[trial.fold],
        run.folder.trial(trial.trial_id),
        device=device,
        precision=precision,
    ):
        pass
    return time.perf_counter() - began


def without_ray(run: PreparedRun) -> float:
    began = time.perf_counter()
    for _ in plan_trials(run.study):
        for _ in no_op(run.study.training.epochs):
            pass
    return time.perf_counter() - began


def by_executor(run: PreparedRun) -> float:
    rayjobs.study.TrialWorker = NoOpWorker
    todo = list(plan_trials(run.study))
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        rayjobs.study._train(run, todo, todo, None)
    return time.perf_counter() - began


def by_default_tune(repeats: int, epochs: int) -> float:
    """As the documentation of Tune shows it: a function, one trial per repeat, all settings left alone."""
    for name in ("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "RAY_AIR_NEW_OUTPUT", "TUNE_PRINT_ALL_TRIAL_ERRORS"):
        os.environ.pop(name, None)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        tune.Tuner(
            default_trial,
            param_space={"epochs": epochs, "repeat": tune.grid_search(list(range(repeats)))},
            run_config=tune.RunConfig(storage_path=scratch, verbose=0),
        ).fit()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="What Ray costs.")
    parser.add_argument("study", type=Path)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=200)
    options = parser.parse_args()
    study = load_study(options.study)
    with tempfile.TemporaryDirectory() as folder:
        run = prepare_run(study, folder)
        real = one_real_trial(study, run)
        first = next(iter(study.variants))
        training = study.training.model_copy(update={"epochs": options.epochs})
        variants = {first: study.variants[first]}
        empty = study.model_copy(
            update={"repeats": options.repeats, "training": training, "variants": variants}
        )
        run = replace(run, study=empty, folder=RunFolder(Path(folder) / "no_op"))
        with connected(None):
            # Ray's first worker, whichever way it is started, waits for its imports: not a trial's cost.
            ours, alone = by_executor(run), without_ray(run)
            default = by_default_tune(options.repeats, options.epochs)
    lanes = (os.cpu_count() or 1) / study.resources.cpus
    each = (ours - alone) * lanes / options.repeats
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Ray {ray.__version__}")
    print(f"{options.repeats} no-op repeats with {options.epochs} reports each, {lanes:g} at a time")
    print(f"  without Ray      {alone:8.2f} s")
    print(f"  this executor    {ours:8.2f} s, its workers' start included; {each:.3f} s of a core per trial")
    print(f"  default Tune     {default:8.2f} s, {default / ours:.0f} x ours (target: 50 x)")
    ratio = (real + each) / real
    print(
        f"  a real trial of {study.name} takes {real:.1f} s: {ratio:.3f} x with the overhead (target: 1.02 x)"
    )


if __name__ == "__main__":
    main()
