"""Trials of a study or a search, trained by Ray Tune on the machines that Ray is connected to.

Tune only schedules. One Tuner runs over the trials that are to be trained; it is never restored, and its own files lie
in a scratch folder that is removed. Only the trials' own records say what is done.
"""

import contextlib
import gc
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from hnscc.base.command import ENDED_FROM_OUTSIDE
from hnscc.base.files import delete
from hnscc.study.identity import hash_of_weights
from hnscc.study.run_folder import TrialFolder
from hnscc.study.trials import Trial
from hnscc.training.ready import ReadyRun
from hnscc.training.records import (
    OUT_OF_MEMORY,
    Failed,
    Trained,
    newest_facts,
    read_record,
    saved_epoch,
    write_record,
)
from hnscc.training.states import is_completed, with_weights
from rayjobs.cluster import machines_of_cluster
from rayjobs.gpu_shares import gpu_shares
from rayjobs.inside_tune import take_processes_that_stand_by
from rayjobs.progress import StudyProgress, Waiting
from rayjobs.requests import check_request
from rayjobs.watch import RESTARTS, AllDone, FullMemory, Reached, Watch, full_memory_noted, scratch_errors
from rayjobs.worker import Assignment, TrialWorker

# A loop of Tune's that has not ended so long after Ctrl-C takes no more steps.
STUCK_SECONDS = 5.0
_WAITING = (TuneTrial.PENDING, TuneTrial.PAUSED)  # of Tune's trials, the first first


def train_trials(
    ready: ReadyRun,
    todo: Sequence[Trial],
    token: str | None,
    *,
    all_trials: Sequence[Trial],
    left: Sequence[Trial],
    pause_after: Mapping[Trial, int | None],
) -> bool:
    """Let Tune schedule the trials `todo`, and return whether the user interrupted it.

    all_trials: of the study. left: those of them that are not completed yet. token: of the proof that the run folder is
    shared. pause_after: the epoch after which a trial pauses; a trial that is not named trains to its end. StorageError
    where a trial met one.
    """
    assignments = _assignments(ready, todo, pause_after)
    memory = FullMemory()
    while assignments:
        shown = _begin_round(ready, assignments, all_trials, left)
        with _interruptible() as interrupted:
            watch = Watch(
                ready.folder,
                len(assignments),
                ready.study.resources.hung_after,
                shown.say,
                interrupted,
            )
            with (
                tempfile.TemporaryDirectory(prefix="hnscc-tune-", ignore_cleanup_errors=True) as scratch,
                shown,
                full_memory_noted() as full,
                scratch_errors(Path(scratch)),
                contextlib.suppress(AllDone),
            ):
                worker = tune.with_parameters(TrialWorker, ready=ready, token=token)
                _tuner(worker, ready, assignments, scratch, shown, watch, counting=token is None).fit()
            gc.collect()  # Tune's loop, left by AllDone, is a cycle that holds its workers, and they the processors
        record_deaths(ready, watch.dead)
        if interrupted:
            return True
        if full:
            memory.wait(full[0], _so_far(ready, todo), shown.say)
        assignments = [more for each in assignments if (more := _once_more(ready, each, bool(full)))]
    return False


def _assignments(
    ready: ReadyRun, todo: Sequence[Trial], pause_after: Mapping[Trial, int | None]
) -> list[Assignment]:
    """Return what the workers are told of each trial, with the share of a GPU that its variant needs."""
    shares = gpu_shares(ready, {trial.variant: trial for trial in reversed(todo)}, len(todo))
    return [
        {
            "trial": vars(trial),
            "gpus": shares[trial.variant],
            "weights": hash_of_weights(ready.study.variants[trial.variant].training.network.encoder_weights),
            "attempts": [],
            "pause_after": pause_after.get(trial),
        }
        for trial in todo
    ]


def _begin_round(
    ready: ReadyRun, assignments: Sequence[Assignment], all_trials: Sequence[Trial], left: Sequence[Trial]
) -> StudyProgress:
    """Return the progress display for these trials, after checking that a machine can train them and deleting old
    failures. Tell the user which trials left results that are not used, and why.

    InputError where no machine can train them.
    """
    cpus = ready.study.resources.cpus
    check_request(cpus, max(each["gpus"] for each in assignments), machines_of_cluster())
    now = [Trial(**each["trial"]) for each in assignments]
    shown = StudyProgress(all_trials, now, left, cpus)
    for trial in now:
        state = ready.state(trial)
        if state.unusable:
            shown.say(f"{trial.trial_id}: {state.reason}")
        forget_failure(ready.folder.trial(trial.trial_id))
    return shown


def _once_more(ready: ReadyRun, assignment: Assignment, memory_full: bool) -> Assignment | None:
    """Return the assignment again if the trial is to be trained once more: because full memory ended it, or because its
    share of a GPU was too small."""
    if memory_full and not _has_ended(ready, Trial(**assignment["trial"])):
        return assignment
    return with_more_memory(ready, assignment)


def _so_far(ready: ReadyRun, trials: Sequence[Trial]) -> Reached:
    """Return how far each trial has come: whether it has ended, and the epoch of its newest checkpoint (0
    without one)."""
    return [(_has_ended(ready, trial), saved_epoch(ready.folder.trial(trial.trial_id))) for trial in trials]


def _has_ended(ready: ReadyRun, trial: Trial) -> bool:
    """Return whether a trial has been trained, or has failed."""
    return ready.state(trial).status != "missing"


def with_more_memory(ready: ReadyRun, assignment: Assignment) -> Assignment | None:
    """Return the assignment with twice the share of a GPU, if the trial failed for lack of memory and a larger
    share exists."""
    record = read_record(ready.folder.trial(Trial(**assignment["trial"]).trial_id))
    share = assignment["gpus"]
    if record is None or record.failure != OUT_OF_MEMORY or not 0 < share < 1:
        return None
    # Those of a trained trial trained it, and stand in its record already.
    attempts = [each.model_dump() for each in record.attempts if isinstance(record, Failed)]
    return {**assignment, "gpus": min(1.0, 2 * share), "attempts": attempts}


def forget_failure(folder: TrialFolder) -> None:
    """Delete the record of an old failure, so that it is not taken for a failure of this attempt.

    The record of a trained trial stays: it vouches for weights that are to predict again, or for predictions of
    other slices.
    """
    record = read_record(folder)
    if not isinstance(record, Trained) or not (is_completed(folder) or with_weights(folder)):
        delete(folder.record)
    elif record.failure:
        write_record(folder, record.model_copy(update={"failure": None, "error": None}))


class InOrder(FIFOScheduler):
    """Trials run first come, first served, as with Tune's own scheduler. That one passes over all trials that have
    ended; with 20,000 of them this would take most of the driving process's time."""

    def choose_trial_to_run(self, tune_controller: TuneController) -> TuneTrial | None:
        """Return the first waiting trial in the order of the assignments. Tune calls this before each event."""
        live: set[TuneTrial] = tune_controller.get_live_trials()  # type: ignore[no-untyped-call]
        waiting = [each for each in live if each.status in _WAITING]
        return min(waiting, key=lambda each: (_WAITING.index(each.status), each.trial_id), default=None)


def _tuner(
    worker: Any,
    ready: ReadyRun,
    assignments: list[Assignment],
    scratch: str,
    shown: StudyProgress,
    watch: Watch,
    *,
    counting: bool,
) -> tune.Tuner:
    """Return the Tuner that runs a worker for each assignment as machines become free.

    scratch: the folder for its own files. counting: whether Tune may find a free place by counting processes, as it may
    on this machine alone; with shares of GPUs it never does.
    """
    cpus = ready.study.resources.cpus
    take_processes_that_stand_by(counting=counting and not any(each["gpus"] for each in assignments))
    least = {"CPU": cpus, "GPU": min(each["gpus"] for each in assignments)}
    placed = tune.with_resources(
        worker,
        lambda config: tune.PlacementGroupFactory([{"CPU": cpus, "GPU": config["assignment"]["gpus"]}]),
    )
    # Made one after another: of a grid, Tune would copy all assignments anew for each trial.
    following = iter(assignments)
    return tune.Tuner(
        placed,
        param_space={"assignment": tune.sample_from(lambda _: next(following))},
        tune_config=tune.TuneConfig(
            num_samples=len(assignments),
            reuse_actors=True,
            scheduler=InOrder(),  # type: ignore[no-untyped-call]
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=scratch,
            failure_config=tune.FailureConfig(max_failures=-1),  # Watch says when it is enough
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            callbacks=[shown, watch, Waiting(least, shown.say)],
            verbose=0,
        ),
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[list[float]]:
    """Let Ctrl-C and signals from outside end Tune's loop; trials keep their checkpoints. Yield when each was seen.

    `Watch` ends the loop at its next step, within a second. Python prints an exception that is raised in a finalizer,
    with its traceback, and goes on. So a signal raises one only if the loop has not ended long after the first.
    """
    seen: list[float] = []

    def _stop(number: int, frame: Any) -> None:
        seen.append(time.monotonic())
        if seen[-1] - seen[0] > STUCK_SECONDS:
            raise KeyboardInterrupt

    numbers = [each for each in ENDED_FROM_OUTSIDE if signal.getsignal(each) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, *numbers)}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def record_deaths(ready: ReadyRun, dead: Mapping[Trial, str]) -> None:
    """Record a failure for each trial whose process died too often, as for a trial whose code failed. dead: the last
    error of each trial.

    The record keeps the attempts that the newest checkpoint names; later attempts left nothing that says where
    they ran.
    """
    if not dead:
        return
    # Here, for it loads PyTorch, which takes seconds, and processes seldom die.
    from hnscc.training.boundary import begin, write_failure

    for trial, error in dead.items():
        task = ready.task(trial)
        began = begin(ready.study, trial, task.data.digest, device=task.device, precision=task.precision)
        saved = newest_facts(task.folder)
        attempts = saved.attempts if saved and saved.identity == began.identity else ()
        failure = f"its process died {RESTARTS + 1} times without finishing an epoch"
        write_failure(task.folder, began, attempts, failure, error)
