"""plan -> Ray Tune -> trial folders, then aggregate.    python -m rayjobs.study STUDY

Tune only schedules: one Tuner per invocation over the missing trials, never restored, its own files in a scratch
folder that is removed. What is done is said by the trials' own records alone.
"""

import argparse
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune

from hnscc.config import Study, Training, load_study
from hnscc.errors import InputError
from hnscc.model import resolve_device
from hnscc.plan import RunFolder, Trial, plan_trials
from hnscc.records import read_record, write_record
from hnscc.run import PreparedRun, prepare_run, run_folder, trial_status
from hnscc.train import new_record, train_trial
from rayjobs.aggregate import aggregate
from rayjobs.progress import StudyProgress, print_table_1

# A trial whose process dies (memory, a killed worker) is started again this often, from its own checkpoint.
RESTARTS = 2
# Reports to Tune cost more than a small network's epoch: they are sent at most this often.
REPORT_SECONDS = 1.0
# The share of a GPU that `gpus: auto` asks for.
GPU_SHARE = 0.25


@dataclass(frozen=True)
class Outcome:
    """What an invocation left: how many trials are completed and missing; the failed ones, each with the kind of
    its error; the ones that this invocation should have trained and did not."""

    folder: RunFolder
    completed: int
    missing: int
    failed: dict[str, str]
    lost: list[str]
    interrupted: bool


class TrialWorker(tune.Trainable):
    """Runs trials one after another in one reused process; the folds' arrays are shared by all on a node."""

    def setup(self, config: dict[str, Any], run: PreparedRun) -> None:
        self.run = run
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        trial = Trial(**new_config["trial"])
        device, precision = self.run.chosen[trial.variant]
        self.rows = train_trial(
            self.run.study,
            trial,
            self.run.folds[trial.fold],
            self.run.folder.trial(trial.trial_id),
            device=device,
            precision=precision,
        )
        self.report = {"trial": trial.trial_id, "variant": trial.variant, "epoch": 0, "val_soft_jaccard": 0.0}
        return True

    def step(self) -> dict[str, Any]:
        until = time.monotonic() + REPORT_SECONDS
        for row in self.rows:
            best = max(self.report["val_soft_jaccard"], row["val_soft_jaccard"])
            self.report |= {"epoch": row["epoch"], "val_soft_jaccard": best}
            if time.monotonic() > until:
                return self.report
        record = read_record(self.run.folder.trial(self.report["trial"]))
        return self.report | {"done": True, "failed": record is None or record["status"] == "failed"}


def run_study(study: Study, out: str | Path | None, address: str | None, limit: int | None) -> Outcome:
    """Train what is missing (at most `limit` trials of it), then aggregate.

    address: a running cluster's, else RAY_ADDRESS, else Ray is started on this machine for this run alone.
    InputError for what cannot run; a new run folder is then not left behind.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    folder = RunFolder(run_folder(study, out).root.absolute())
    with _only_run(folder), contextlib.ExitStack() as connection:
        if address:
            connection.enter_context(_connected(address))
        with StudyProgress.reading() as reading:
            resolve = _resolve_on_cluster if address else resolve_device
            run = prepare_run(study, folder.root, resolve=resolve, progress=reading)
        left = run.missing()
        todo = left[:limit]
        if todo and not address:
            connection.enter_context(_connected(None))
        interrupted = bool(todo) and _train(run, todo, left)
        if not interrupted:
            aggregate(folder)
        return _outcome(run, todo, interrupted)


@contextlib.contextmanager
def _only_run(folder: RunFolder) -> Iterator[None]:
    """Two invocations would train the same trials twice."""
    new = not folder.root.exists()
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise InputError(
            "The run folder cannot be made.",
            where=str(folder.root),
            expected="a folder, or a name for a new one, that may be written to",
            found=type(error).__name__,
            do="choose another folder with --out",
        ) from None
    with folder.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "Another `hnscc run` is at work in this run folder.",
                where=str(folder.root),
                expected="one at a time",
                found="a lock held by another process",
                do="wait for it, or use another run folder (--out)",
            ) from None
        try:
            yield
        finally:
            if new and not folder.study.exists():
                shutil.rmtree(folder.root)


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[None]:
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        else:
            # Even a local Ray listens on the machine's network: a token of this run's own keeps others out.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except ConnectionError as error:
        raise InputError(
            "No Ray cluster answers at this address.",
            where="--address or RAY_ADDRESS",
            expected="the address of a running cluster, or none for a local run",
            found=" ".join(str(error).split())[:300],
            do="start the cluster, or leave the address out",
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _resolve_on_cluster(training: Training) -> tuple[str, str]:
    """Ask a worker, since the machine that drives a cluster often has no GPU of its own."""
    gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0)) * GPU_SHARE
    return ray.get(ray.remote(resolve_device).options(num_cpus=0, num_gpus=gpus).remote(training))


def _train(run: PreparedRun, todo: list[Trial], left: list[Trial]) -> bool:
    """Let Tune schedule `todo` of the trials that are left; returns whether the user interrupted it."""
    for trial in todo:
        # What is trained again must not be taken for done, or for this time's failure, by its old record.
        run.folder.trial(trial.trial_id).record.unlink(missing_ok=True)
    scratch = tempfile.mkdtemp(prefix="hnscc-tune-")
    progress = StudyProgress(run.study, todo, left)
    try:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(TrialWorker, run=run), _resources(run, todo)),
            param_space={"trial": tune.grid_search([vars(trial) for trial in todo])},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=scratch,
                failure_config=tune.FailureConfig(max_failures=RESTARTS),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                callbacks=[progress],
                verbose=0,
            ),
        )
        with _interruptible() as interrupted, progress:
            results = tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not interrupted:
        _record_deaths(run, [result for result in results if result.error])
    return bool(interrupted)


@contextlib.contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM end Tune's loop at the next step; trials keep their checkpoints. Yields the signals seen."""
    seen: list[int] = []

    def _stop(number: int, frame: Any) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _resources(run: PreparedRun, todo: list[Trial]) -> dict[str, float]:
    """CPUs and GPU share of every trial. InputError where no machine has as much: Ray would wait for ever."""
    asked = run.study.resources
    cuda = any(run.chosen[trial.variant][0] == "cuda" for trial in todo)
    gpus = (GPU_SHARE if cuda else 0.0) if asked.gpus == "auto" else asked.gpus
    for name, wanted in (("CPU", asked.cpus), ("GPU", gpus)):
        largest = max(
            (node["Resources"].get(name, 0.0) for node in ray.nodes() if node["Alive"]), default=0.0
        )
        if wanted > largest:
            raise InputError(
                f"No machine has the {name}s that a trial asks for.",
                where=f"resources.{name.lower()}s",
                expected=f"at most {largest:g}",
                found=f"{wanted:g}",
                do=f"lower resources.{name.lower()}s, or use a cluster that has them",
            )
    return {"cpu": asked.cpus, "gpu": gpus}


def _record_deaths(run: PreparedRun, dead: list[Any]) -> None:
    """A trial whose process died more often than it is restarted fails by name, like one whose code failed."""
    for result in dead:
        trial = Trial(**result.config["trial"])
        if trial_status(run.folder, trial)[0] != "missing":
            continue
        device, precision = run.chosen[trial.variant]
        digest = run.folds[trial.fold].digest
        record = new_record(run.study, trial, digest, device=device, precision=precision)
        failure = f"its process died {RESTARTS + 1} times"
        write_record(
            run.folder.trial(trial.trial_id),
            record | {"status": "failed", "failure": failure, "error": str(result.error)},
        )


def _outcome(run: PreparedRun, todo: list[Trial], interrupted: bool) -> Outcome:
    states = {trial: trial_status(run.folder, trial) for trial in plan_trials(run.study)}
    counts = [status for status, _ in states.values()]
    failed = {trial.trial_id: why or "" for trial, (status, why) in states.items() if status == "failed"}
    lost = [] if interrupted else [trial.trial_id for trial in todo if states[trial][0] == "missing"]
    return Outcome(run.folder, counts.count("completed"), counts.count("missing"), failed, lost, interrupted)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m rayjobs.study", description="Train what is missing, aggregate."
    )
    parser.add_argument("study", help="study file, e.g. studies/demo.yaml")
    parser.add_argument("--out", help="run folder (default: runs/<name of the study>)")
    parser.add_argument("--address", help="a running Ray cluster (default: RAY_ADDRESS, else one of its own)")
    parser.add_argument("--limit", type=_count, help="train at most so many of the missing trials")
    options = parser.parse_args(arguments)
    try:
        outcome = run_study(load_study(options.study), options.out, options.address, options.limit)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return report_outcome(outcome)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of trials, 0 or more, found {text!r}")
    return int(text)


def report_outcome(outcome: Outcome) -> int:
    """Say what was done and what to do next; the exit code: 0, 1 where a trial failed, 130 after an interrupt."""
    root = os.path.relpath(outcome.folder.root)
    if not outcome.interrupted:
        print_table_1(outcome.folder)
    print(
        f"{outcome.completed} trials completed, {len(outcome.failed)} failed, {outcome.missing} missing in {root}"
    )
    for name, why in outcome.failed.items():
        print(f"failed: {name}: {why}\n  traceback: {root}/trials/{name}/record.json", file=sys.stderr)
    for name in outcome.lost:
        print(f"lost: {name} left no record; the same command tries it again", file=sys.stderr)
    if outcome.interrupted:
        print("Interrupted. The same command continues where it stopped.", file=sys.stderr)
        return 130
    print(f"next:   open {root}/report.html")
    sql = "SELECT variant, dice, dice_low, dice_high FROM pooled WHERE split = 'test'"
    print(f'or:     hnscc query {root} "{sql}"')
    return 1 if outcome.failed or outcome.lost else 0


if __name__ == "__main__":
    sys.exit(main())
