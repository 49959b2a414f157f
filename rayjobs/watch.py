"""Watches trials whose process dies or hangs, or whose machine's memory is full: decides which of them go on and which
are given up, and when a study is over.

Where a machine's memory is full, Ray ends workers, and Tune ends with an error. The run then waits, and goes on.
"""

import contextlib
import re
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError
from ray.tune.error import TuneError
from ray.tune.experiment import Trial as TuneTrial

from hnscc.base.errors import WorkerError
from hnscc.base.files import storage_errors
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial
from hnscc.training.records import OUT_OF_MEMORY, saved_epoch
from rayjobs.cluster import cannot_load, last_line_of
from rayjobs.progress import study_trial

# A full memory is waited for, each time twice as long; so often without an epoch ended in between.
FULL_ROUNDS, FULL_SECONDS = 6, 5.0
# How far each trial has come: whether it has ended, and the epoch of its newest checkpoint.
Reached = list[tuple[bool, int]]
# A trial whose process dies so often, and once more, without finishing an epoch in between is given up.
RESTARTS = 5
# So many deaths in a row without a word from any trial end the study.
HOPELESS = 50
# Between two looks at the trials, no more than this counts as their silence. What lasts longer is this process's own:
# stopped (Ctrl-Z, a job that is suspended) or held up by a disk, it reads no report.
STEP_SECONDS = 5.0
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # escapes by which Ray colours its errors


@contextlib.contextmanager
def full_memory_noted() -> Iterator[list[OutOfMemoryError]]:
    """Yield a list. It stays empty, or in the end holds Ray's message if Ray ended workers because memory was full.

    Tune goes on after any other death of a worker; at this one it raises an error that it calls unexpected.
    """
    noted: list[OutOfMemoryError] = []
    try:
        yield noted
    except RuntimeError as error:
        if not isinstance(error.__cause__, OutOfMemoryError):
            raise
        noted.append(error.__cause__)


@contextlib.contextmanager
def scratch_errors(scratch: Path) -> Iterator[None]:
    """Turn errors of the disk that holds Tune's own files into StorageError. Where a process dies, Tune writes there
    what ended it, and wraps the error of that in one of its own."""
    with storage_errors(scratch):
        try:
            yield
        except TuneError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


class FullMemory:
    """Counts how often in a row memory was full without an epoch ending in between."""

    def __init__(self) -> None:
        self._times = 0
        self._so_far: Reached | None = None

    def wait(self, error: OutOfMemoryError, so_far: Reached, say: Callable[[str], None]) -> None:
        """Tell the user that memory was full, and wait: longer each time. WorkerError where it stays full."""
        self._times = self._times + 1 if so_far == self._so_far else 1
        self._so_far = so_far
        if self._times >= FULL_ROUNDS:
            raise WorkerError(
                "The memory of a machine stays full.",
                where="the machines that train",
                expected=f"an epoch ended between {FULL_ROUNDS} times that Ray ended the trainings for it",
                found=str(error).partition("\n")[0],
                do="end other programs there, or train fewer trials at a time (resources.cpus); the same command "
                "goes on",
            )
        seconds = FULL_SECONDS * 2 ** (self._times - 1)
        say(
            f"a machine's memory was full: Ray ended trainings, which go on from their checkpoints in {seconds:g} s"
        )
        time.sleep(seconds)


class AllDone(BaseException):
    """Raised when every trial has ended, or the user ends the study. It is a BaseException, since Tune catches every
    Exception and would go on starting workers that have no work."""


class Watch(tune.Callback):
    """Lets an interrupted trial go on for ever, gives up a trial that keeps dying by itself, and ends trials that hang.

    A trial's process may die for its own fault (memory, a crash in native code) or for another's (a killed worker, a
    lost machine). So deaths count only on a machine that is still there, and only until an epoch ends. `dead` has the
    last error of each trial that was given up.
    """

    def __init__(
        self,
        folder: RunFolder,
        trials: int,
        hung_after: float,
        say: Callable[[str], None],
        interrupted: Collection[float] = (),
    ) -> None:
        """trials: how many there are. hung_after: seconds. say: prints a line. interrupted: when each signal was
        seen that ends the study; none so far."""
        self.folder, self.left, self.hung_after, self.say = folder, trials, hung_after, say
        self.interrupted = interrupted
        self.heard: dict[str, float] = {}
        self.looked = time.monotonic()  # the last time
        # Kept apart: a look at every trial of thousands, at every step, would take hours.
        self.running: dict[str, TuneTrial] = {}
        self.node: dict[str, str] = {}  # of each trial's process, once it has said so
        self.lost_before = len(_lost_machines())
        self.lost: dict[str, int] = {}  # machines lost when each trial's last process was begun
        self.deaths: dict[str, tuple[int, int]] = {}  # epochs saved, deaths since
        self.dead: dict[Trial, str] = {}
        self.in_a_row = 0  # deaths of whatever trial since any was last heard of
        # What ends the study: raised between two steps, for elsewhere Tune hides it.
        self.error: Exception | None = None
        self.out_of_memory = False

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self.heard[trial.trial_id] = time.monotonic()
        self.running[trial.trial_id] = trial

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        self.heard[trial.trial_id] = time.monotonic()
        self.node[trial.trial_id] = result["node"]
        if result["epoch"]:
            self.in_a_row = 0
        if trial.max_failures == 0 and self._saved_epoch(trial) != self.deaths[trial.trial_id][0]:
            trial.max_failures = -1  # an epoch has ended since: the next death is not its last
        self.error = result.get("told") or self.error

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        self.left -= 1
        self.running.pop(trial.trial_id, None)
        self.out_of_memory |= trial.last_result.get("failed") == OUT_OF_MEMORY

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self.left -= 1
        self.running.pop(trial.trial_id, None)
        self.dead[study_trial(trial)] = _last_error(trial)

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        if self.error:
            raise self.error
        # Trials out of memory are tried again, on what the workers now give back.
        if self.interrupted or (not self.left and not self.out_of_memory):
            raise AllDone
        now = time.monotonic()
        stood, self.looked = max(0.0, now - self.looked - STEP_SECONDS), now
        for trial in self.running.values():
            # Tune writes there what ends a process. Systems that delete old files in /tmp may have deleted it.
            if trial.local_path:
                Path(trial.local_path).mkdir(parents=True, exist_ok=True)
            self.heard[trial.trial_id] = min(now, self.heard.get(trial.trial_id, now) + stood)
            silent = now - self.heard[trial.trial_id]
            if trial.status == "RUNNING" and silent > self.hung_after:
                name = study_trial(trial).trial_id
                within = f"no epoch ended within {self.hung_after:g} s, and nothing predicted"
                self.say(f"{name}: {within}; its process is ended")
                self.heard[trial.trial_id] = now
                if actor := trial.temporary_state.ray_actor:
                    ray.kill(actor)

    def on_trial_recover(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        name, epoch = study_trial(trial).trial_id, self._saved_epoch(trial)
        before, deaths = self.deaths.get(trial.trial_id, (0, 0))
        if epoch != before:
            deaths = 0
        if not self._machine_lost(trial.trial_id):
            deaths += 1
            self.in_a_row += 1
        self.deaths[trial.trial_id] = epoch, deaths
        self.node.pop(trial.trial_id, None)
        self.lost[trial.trial_id] = len(_lost_machines())
        if deaths >= RESTARTS:
            trial.max_failures = 0  # the next one is its last
        self.say(f"{name}: its process died; it goes on after epoch {epoch}")
        error = _last_error(trial)
        machines = ray.nodes()  # type: ignore[no-untyped-call]
        if machines and not any(each["Alive"] for each in machines):
            self.error = _without_ray()
        elif refusal := cannot_load(error):  # as it will be for every trial there
            self.error = refusal
        elif self.in_a_row >= HOPELESS:
            self.error = _hopeless(error)

    def _saved_epoch(self, trial: TuneTrial) -> int:
        """Return the epoch of the trial's newest checkpoint, 0 without one."""
        return saved_epoch(self.folder.trial(study_trial(trial).trial_id))

    def _machine_lost(self, trial_id: str) -> bool:
        """Return whether the machine of a trial's process is gone. If the process died before it could name its
        machine: whether any machine is gone since the process was started."""
        lost = _lost_machines()
        if node := self.node.get(trial_id):
            return node in lost
        return len(lost) > self.lost.get(trial_id, self.lost_before)


def _last_error(trial: TuneTrial) -> str:
    """Return what Ray said of the trial's last death.

    Tune adds it to this file, below a headline of its own, before it calls `Watch`. What Tune offers for reading it
    (`get_pickled_error`) looks into its storage, where a copy arrives later, or never.
    """
    deaths = Path(trial.error_file).read_text(encoding="utf-8")
    return _COLOURS.sub("", deaths.rpartition("Failure # ")[2].partition("\n")[2]).strip()


def _hopeless(error: str) -> WorkerError:
    return WorkerError(
        "No trial gets anywhere: their processes die one after another.",
        where="the machines that train",
        expected="an epoch ended between two deaths",
        found=f"{HOPELESS} deaths in a row, the last with: {last_line_of(error)[:300]}",
        do="see what `python -m hnscc.train STUDY TRIAL` says on such a machine, and how much memory it has",
    )


def _without_ray() -> WorkerError:
    """Return the error for a Ray that has ended. If its loop went on, Ray would end this process without a word."""
    return WorkerError(
        "A process of Ray's own has ended, and with it all trainings.",
        where="the machine that trains",
        expected="Ray's processes (raylet and its agents) until the command has ended",
        found="none",
        do="see whether someone ended them (`ray stop`), or the system for want of memory (`dmesg`); the same command "
        "goes on",
    )


def _lost_machines() -> set[str]:
    return {each["NodeID"] for each in ray.nodes() if not each["Alive"]}  # type: ignore[no-untyped-call]
