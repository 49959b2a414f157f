"""From a plan, by Ray Tune, to trial folders, tables and report: `python -m rayjobs.study STUDY`.

Tune only schedules: one Tuner per invocation over the missing trials, never restored, its own files in a scratch
folder that is removed. What is done is said by the trials' own records alone.
"""

import argparse
import contextlib
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray import tune

from hnscc.aggregation.enough_repeats import due, settle
from hnscc.base.errors import InputError, told
from hnscc.base.files import write_text
from hnscc.base.lease import only_one
from hnscc.base.locations import Location, S3Path
from hnscc.base.locks import locked
from hnscc.study.loading import dump_study, load_study
from hnscc.study.plan import Trial, plan_trials
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.training.earlier import ACCEPT_VERSIONS
from hnscc.training.model import resolve_device
from hnscc.training.prepare import PreparedRun, prepare_run, run_folder
from hnscc.training.records import UNUSABLE, Failed, read_record, tidy_run, trial_state, write_record
from hnscc.training.trial import begin, failed
from rayjobs.aggregate import aggregate
from rayjobs.cluster import (
    await_machines,
    connected,
    gpu_shares,
    largest,
    prove_shared,
    resolve_on_cluster,
)
from rayjobs.patient_files import refuse_in_job
from rayjobs.progress import StudyProgress, print_table_1
from rayjobs.watch import RESTARTS, AllDone, Watch
from rayjobs.worker import TrialWorker


@dataclass(frozen=True)
class Outcome:
    """What an invocation left: the completed trials and how many are missing; the failed ones, each with the kind of
    its error; the ones that this invocation should have trained and did not; what no table could be made of."""

    folder: RunFolder
    completed: set[str]
    missing: int
    failed: dict[str, str]
    lost: list[str]
    interrupted: bool
    unused: list[str]


def run_study(
    study: Study,
    out: str | Path | None,
    address: str | None,
    limit: int | None,
    *,
    accept_versions: bool = False,
) -> Outcome:
    """Train what is missing (at most `limit` trials of it), then aggregate.

    address: a running cluster's, else RAY_ADDRESS, else Ray is started on this machine for this run alone.
    accept_versions: go on beside finished trials of other versions. InputError for what cannot run; a new run folder
    is then not left behind.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    refuse_in_job()
    refuse_search(study)
    folder = RunFolder(run_folder(study, out).root.absolute())
    with only_run(folder):
        with contextlib.ExitStack() as during:
            run, token = prepared(study, folder, address, during, accept_versions)
            left = run.missing()
            run = _settled(run, (trial for trial in left if _status(folder, trial) == "missing"))
            tried: list[Trial] = []
            interrupted = False
            while todo := _next(run, left, tried, limit):
                if not address and not tried:
                    during.enter_context(connected(None))
                planned = plan_trials(run.study)
                interrupted = train_trials(run, todo, token, planned=planned, left=left, pause_after={})
                tried += todo
                states = {trial: _status(folder, trial) for trial in todo}
                left = [trial for trial in left if states.get(trial) != "completed"]
                if interrupted or "missing" in states.values():
                    break
                run = _settled(run, [trial for trial in left if trial not in tried])
        outcome = _outcome(run, tried, left, interrupted)
        if not interrupted:
            tidy_run(folder, outcome.completed)
            problems = aggregate(folder)
            outcome = replace(outcome, unused=[each for each in problems if UNUSABLE in each])
        return outcome


def _status(folder: RunFolder, trial: Trial) -> str:
    return trial_state(folder.trial(trial.trial_id)).status


def _next(run: PreparedRun, left: list[Trial], tried: list[Trial], limit: int | None) -> list[Trial]:
    """The trials to be trained now; one that failed is not tried again by the same command."""
    planned = set(plan_trials(run.study))
    more = due(run.study, [trial for trial in left if trial in planned and trial not in tried])
    return more[: None if limit is None else limit - len(tried)]


def _settled(run: PreparedRun, waiting: Iterable[Trial]) -> PreparedRun:
    """Where repeats end once they are precise: with what is enough by now, as study.yaml then says too."""
    study = settle(run.folder, run.study, waiting)
    if study == run.study:
        return run
    for variant, repeats in study.repeats.enough.items():
        print(f"{variant}: {repeats} repeats are enough", flush=True)
    write_text(run.folder.study, dump_study(study))
    return replace(run, study=study)


def prepared(
    study: Study,
    folder: RunFolder,
    address: str | None,
    during: contextlib.ExitStack,
    accept_versions: bool,
) -> tuple[PreparedRun, str | None]:
    """A run folder made ready, on a cluster where there is an address: then connected, and proven to be shared.

    Gives the token of that proof too. `during` takes what is to be closed after the training.
    """
    token = None
    if address:
        during.enter_context(connected(address))
        _check_resources(study, 0 if study.resources.gpus == "auto" else study.resources.gpus)
        await_machines(study)
        token = during.enter_context(prove_shared(folder))
    with StudyProgress.reading() as reading:
        resolve = resolve_on_cluster(study) if address else resolve_device
        run = prepare_run(
            study, folder.root, resolve=resolve, progress=reading, accept_versions=accept_versions
        )
        return run, token


def refuse_search(study: Study) -> None:
    if study.search:
        raise InputError(
            "This study is a hyperparameter search.",
            where=f"search in the study {study.name}",
            expected="a study with variants and no search",
            found=f"{len(study.search.ranges)} ranges to search",
            do="hnscc search STUDY; it writes the winners' study, which `hnscc run` takes",
        )


@contextlib.contextmanager
def only_run(folder: RunFolder) -> Iterator[None]:
    """Two invocations would train the same trials twice: InputError for the second one."""
    if isinstance(folder.lock, S3Path):
        with only_one(folder.lock):
            yield
        return
    new = not folder.root.exists()
    try:
        with _locked(folder.lock):
            yield
    finally:
        # Only now: on NFS a folder whose lock file is open cannot be removed.
        if new and not folder.study.exists():
            shutil.rmtree(folder.root, ignore_errors=True)


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(lock))
        except BlockingIOError:
            raise InputError(
                "Another `hnscc run` or `hnscc search` is at work in this run folder.",
                where=str(lock.parent),
                expected="one at a time",
                found="a lock held by another process",
                do="wait for it, or use another run folder (--out)",
            ) from None
        yield


def train_trials(
    run: PreparedRun,
    todo: Sequence[Trial],
    token: str | None,
    *,
    planned: Sequence[Trial],
    left: Sequence[Trial],
    pause_after: Mapping[Trial, int | None],
) -> bool:
    """Let Tune schedule `todo`, of the planned trials that are left; returns whether the user interrupted it.

    token: of the proof that the run folder is shared. pause_after: an epoch after which a trial pauses; one that is
    not named trains to its end.
    """
    shares = gpu_shares(run, {trial.variant: trial for trial in reversed(todo)})
    assignments = [
        {
            "trial": vars(trial),
            "gpus": shares[trial.variant],
            "attempts": [],
            "pause_after": pause_after.get(trial),
        }
        for trial in todo
    ]
    cpus = run.study.resources.cpus
    while assignments:
        _check_resources(run.study, max(each["gpus"] for each in assignments))
        progress = StudyProgress(planned, [Trial(**each["trial"]) for each in assignments], left, cpus)
        interrupted = _tune(run, assignments, progress, token)
        gc.collect()  # Tune's loop, left by AllDone, is a cycle that holds its workers, and they the processors
        if interrupted:
            return True
        assignments = [more for each in assignments if (more := _with_more_memory(run, each))]
    return False


def _with_more_memory(run: PreparedRun, assignment: dict[str, Any]) -> dict[str, Any] | None:
    """The same trial with twice the share of a GPU, if that is what it failed for and there is more to give."""
    record = read_record(run.folder.trial(Trial(**assignment["trial"]).trial_id))
    share = assignment["gpus"]
    if not isinstance(record, Failed) or record.failure != "OutOfMemoryError" or not 0 < share < 1:
        return None
    attempts = [each.model_dump() for each in record.attempts]
    return assignment | {"gpus": min(1.0, 2 * share), "attempts": attempts}


def _tune(
    run: PreparedRun, assignments: list[dict[str, Any]], progress: StudyProgress, token: str | None
) -> bool:
    """Train by Tune; returns whether the user interrupted it. StorageError where a trial met one."""
    todo = [Trial(**each["trial"]) for each in assignments]
    for trial in todo:
        # What is trained again must not be taken for done, or for this time's failure, by its old record.
        run.folder.trial(trial.trial_id).record.unlink(missing_ok=True)
    scratch = tempfile.mkdtemp(prefix="hnscc-tune-")
    watch = Watch(run.folder, len(todo), run.study.resources.hung_after, progress.say)
    cpus = run.study.resources.cpus
    worker = tune.with_resources(
        tune.with_parameters(TrialWorker, run=run, token=token),
        lambda config: tune.PlacementGroupFactory([{"CPU": cpus, "GPU": config["assignment"]["gpus"]}]),
    )
    try:
        tuner = tune.Tuner(
            worker,
            param_space={"assignment": tune.grid_search(assignments)},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=scratch,
                failure_config=tune.FailureConfig(max_failures=-1),  # Watch says when it is enough
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                callbacks=[progress, watch],
                verbose=0,
            ),
        )
        with _interruptible() as interrupted, progress, contextlib.suppress(AllDone):
            tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _record_deaths(run, watch.dead)
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


def _check_resources(study: Study, gpus: float) -> None:
    """InputError where no machine has what a trial asks for: Ray would wait for ever."""
    for name, wanted in (("CPU", study.resources.cpus), ("GPU", gpus)):
        if wanted > largest(name):
            raise InputError(
                f"No machine has the {name}s that a trial asks for.",
                where=f"resources.{name.lower()}s",
                expected=f"at most {largest(name):g}",
                found=f"{wanted:g}",
                do=f"lower resources.{name.lower()}s, or use a cluster that has them",
            )


def _record_deaths(run: PreparedRun, dead: dict[Trial, str]) -> None:
    """A trial whose process died too often fails by name, like one whose code failed. dead: the last error of each."""
    for trial, error in dead.items():
        device, precision = run.chosen[trial.variant]
        digest = run.folds[trial.fold].digest
        began = begin(run.study, trial, digest, device=device, precision=precision)
        failure = f"its process died {RESTARTS + 1} times without finishing an epoch"
        write_record(run.folder.trial(trial.trial_id), failed(began, (), failure, error))


def _outcome(run: PreparedRun, todo: list[Trial], left: list[Trial], interrupted: bool) -> Outcome:
    planned = plan_trials(run.study)
    before = dict.fromkeys(set(planned) - set(left), ("completed", None))
    found = {trial: trial_state(run.folder.trial(trial.trial_id)) for trial in left if trial in planned}
    states = before | {trial: (state.status, state.reason) for trial, state in found.items()}
    completed = {trial.trial_id for trial, (status, _) in states.items() if status == "completed"}
    missing = sum(status == "missing" for status, _ in states.values())
    failed = {trial.trial_id: why or "" for trial, (status, why) in states.items() if status == "failed"}
    lost = (
        [] if interrupted else [trial.trial_id for trial in todo if states.get(trial, ("",))[0] == "missing"]
    )
    return Outcome(run.folder, completed, missing, failed, lost, interrupted, unused=[])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m rayjobs.study", description="Train what is missing, aggregate."
    )
    parser.add_argument("study", help="study file, e.g. studies/demo.yaml")
    parser.add_argument("--out", help="run folder (default: runs/<name of the study>)")
    parser.add_argument("--address", help="a running Ray cluster (default: RAY_ADDRESS, else one of its own)")
    parser.add_argument("--limit", type=_count, help="train at most so many of the missing trials")
    parser.add_argument("--accept-versions", action="store_true", help=ACCEPT_VERSIONS)
    options = parser.parse_args(arguments)
    return told(
        lambda: report_outcome(
            run_study(
                load_study(options.study),
                options.out,
                options.address,
                options.limit,
                accept_versions=options.accept_versions,
            )
        )
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of trials, 0 or more, found {text!r}")
    return int(text)


def report_outcome(outcome: Outcome) -> int:
    """Say what was done and what to do next; the exit code: 0, 1 where a trial failed, 130 after an interrupt."""
    root = shown(outcome.folder.root)
    if not outcome.interrupted:
        print_table_1(outcome.folder)
    print(
        f"{len(outcome.completed)} trials completed, {len(outcome.failed)} failed, {outcome.missing} missing in {root}"
    )
    for name, why in outcome.failed.items():
        print(f"failed: {name}: {why}\n  traceback: {root}/trials/{name}/record.json", file=sys.stderr)
    for name in outcome.lost:
        print(f"lost: {name} left no record; the same command tries it again", file=sys.stderr)
    for each in outcome.unused:
        print(f"in no table: {each}; the same command mends it", file=sys.stderr)
    if outcome.interrupted:
        print("Interrupted. The same command continues where it stopped.", file=sys.stderr)
        return 130
    print(f"next:   open {root}/report.html")
    sql = "SELECT variant, dice, dice_low, dice_high FROM pooled WHERE split = 'test'"
    print(f'or:     hnscc query {root} "{sql}"')
    return 1 if outcome.failed or outcome.lost or outcome.unused else 0


def shown(root: Location) -> str:
    """A run folder as its user would type it here."""
    inside = isinstance(root, Path) and root.is_relative_to(Path.cwd())
    return os.path.relpath(root) if inside else str(root)


if __name__ == "__main__":
    sys.exit(main())
