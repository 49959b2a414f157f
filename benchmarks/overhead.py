"""What Ray costs: a study of no-op repeats by this project's executor, without Ray, and as default Tune trials.

    python benchmarks/overhead.py STUDY [--repeats 200] [--epochs 200] [--rounds 3]

Every round also trains one trial of STUDY without Ray, so that the overhead can be compared with a real trial's time.
All sides run in turn on one machine, and three ratios are told. The time of a further trial is that of a study of all
repeats less that of one of FEW repeats, which leaves out the start of workers and the end of Ray. Default Tune starts a
process for every repeat, so that a round takes minutes.
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from figures import ROUNDS, Figure, in_turn, ratios, seconds, tell
from ray import tune

import hnscc.training.trial
import rayjobs.scheduling
import rayjobs.worker
from hnscc.study.loading import load_study
from hnscc.study.run_folder import RunFolder, TrialFolder
from hnscc.study.schema import Study
from hnscc.study.trials import trials_of
from hnscc.training.ready import ReadyRun, make_run_ready
from hnscc.training.trial import steps_of_trial
from rayjobs.cluster import connected

FEW = 2  # repeats of the study that measures the start
ROW = {"epoch": 1, "train_loss": 0.5, "val_loss": 0.5, "val_soft_jaccard": 0.5, "seconds": 0.0}


def no_op(epochs: int) -> Iterator[dict[str, Any]]:
    for epoch in range(1, epochs + 1):
        yield ROW | {"epoch": epoch}


class NoOpWorker(rayjobs.worker.TrialWorker):
    """The executor's worker, with a training that does nothing but yield its epochs."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        training: Any = hnscc.training.trial
        training.steps_of_trial = lambda task: no_op(task.study.training.epochs)
        return super().reset_config(new_config)


def default_trial(config: dict[str, Any]) -> None:
    for row in no_op(config["epochs"]):
        tune.report(row)


def one_real_trial(study: Study, run: ReadyRun) -> float:
    """Return the seconds of the study's first trial, in a new folder, so that it never continues an earlier round's."""
    trial = trials_of(study)[0]
    with tempfile.TemporaryDirectory() as root:
        task = replace(run.task(trial), folder=TrialFolder(Path(root)))
        began = time.perf_counter()
        for _ in steps_of_trial(task):
            pass
        return time.perf_counter() - began


def without_ray(run: ReadyRun) -> float:
    began = time.perf_counter()
    for _ in trials_of(run.study):
        for _ in no_op(run.study.training.epochs):
            pass
    return time.perf_counter() - began


def by_executor(run: ReadyRun) -> float:
    """Run in a Ray of its own, whose start is not timed: what one side leaves behind must not delay the other."""
    scheduling: Any = rayjobs.scheduling
    scheduling.TrialWorker = NoOpWorker
    todo = list(trials_of(run.study))
    with connected(None), contextlib.redirect_stdout(io.StringIO()):
        return seconds(
            lambda: rayjobs.scheduling.train_trials(
                run, todo, None, all_trials=todo, left=todo, pause_after={}
            )
        )


def by_default_tune(repeats: int, epochs: int) -> float:
    """Run as Tune's documentation shows it: a function, one trial per repeat, all settings at their defaults."""
    with connected(None), as_ray_comes(), tempfile.TemporaryDirectory() as scratch:
        tuner = tune.Tuner(
            default_trial,
            param_space={"epochs": epochs, "repeat": tune.grid_search(list(range(repeats)))},
            run_config=tune.RunConfig(storage_path=scratch, verbose=0),
        )
        return seconds(tuner.fit)


@contextlib.contextmanager
def as_ray_comes() -> Iterator[None]:
    """Undo, in the `with` block, what rayjobs/__init__.py sets for this project's executor."""
    names = ("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "RAY_AIR_NEW_OUTPUT", "TUNE_PRINT_ALL_TRIAL_ERRORS")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)


def no_op_run(run: ReadyRun, folder: Path, repeats: int, epochs: int) -> ReadyRun:
    """Return a run of the study's first variant alone, with so many repeats that do nothing."""
    study = run.study
    first = next(iter(study.variants))
    training = study.training.model_copy(update={"epochs": epochs})
    changes = {"repeats": repeats, "training": training, "variants": {first: study.variants[first]}}
    return replace(run, study=study.model_copy(update=changes), folder=RunFolder(folder))


def report(run: ReadyRun, no_op: ReadyRun, few: ReadyRun, rounds: int) -> None:
    """Tell the ratios. few: as no_op, with FEW repeats."""
    repeats, epochs = no_op.study.repeats, no_op.study.training.epochs
    assert isinstance(repeats, int)
    sides = (
        lambda: one_real_trial(run.study, run),
        lambda: without_ray(no_op),
        lambda: by_executor(no_op),
        lambda: by_default_tune(repeats, epochs),
        lambda: by_executor(few),
        lambda: by_default_tune(FEW, epochs),
    )
    real, alone, ours, default, our_start, default_start = in_turn(*sides, rounds=rounds)
    lanes = (os.cpu_count() or 1) / run.study.resources.cpus
    # Ray's workers wait for their imports once; our time includes that, as in every study.
    each = [(with_ray - without) * lanes / repeats for with_ray, without in zip(ours, alone, strict=True)]
    with_overhead = [trial + overhead for trial, overhead in zip(real, each, strict=True)]
    took = [statistics.median(side) for side in (real, each, ours, default)]
    tell(
        Figure(
            f"Ray: a trial of the study {run.study.name} with its overhead against without",
            1.02,
            ratios(with_overhead, real),
            "x",
            f"a trial takes {took[0]:.1f} s, the executor {took[1]:.3f} s of a core each, {lanes:g} at a time",
            at_most=True,
        )
    )
    tell(
        Figure(
            "Ray: a study of trials that do nothing, default Tune against this executor",
            50,
            ratios(default, ours),
            "x",
            f"{repeats} repeats with {epochs} reports each: {took[3]:.1f} s against {took[2]:.1f} s, its "
            "workers' start included",
        )
    )
    our_more, default_more = (
        [(all_of - start) / (repeats - FEW) for all_of, start in zip(*side, strict=True)]
        for side in ((ours, our_start), (default, default_start))
    )
    milliseconds = [1000 * statistics.median(side) for side in (default_more, our_more)]
    tell(
        Figure(
            "Ray: a further trial that does nothing, default Tune against this executor",
            50,
            ratios(default_more, our_more),
            "x",
            f"{milliseconds[0]:.0f} ms against {milliseconds[1]:.1f} ms, of {repeats} repeats less {FEW}",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What Ray costs.")
    parser.add_argument("study", type=Path)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = make_run_ready(load_study(options.study), Path(folder) / "run")
        no_op = no_op_run(run, Path(folder) / "no_op", options.repeats, options.epochs)
        few = no_op_run(run, Path(folder) / "few", FEW, options.epochs)
        report(run, no_op, few, options.rounds)


if __name__ == "__main__":
    main()
