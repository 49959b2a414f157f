"""What Tune tells of a study as it runs: progress for the user, and trials that die or hang."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
from ray import tune
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from hnscc.aggregation.query import read_table
from hnscc.base.errors import InputError
from hnscc.study.plan import Trial
from hnscc.study.run_folder import RunFolder
from hnscc.training.records import progress

# A trial whose process dies so often, and once more, without finishing an epoch in between is given up.
RESTARTS = 5
# So many deaths in a row without a word from any trial end the study.
HOPELESS = 50


def progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )


class StudyProgress(tune.Callback):
    """Told by Tune of every report and finished trial: a bar per variant on a terminal, a line per trial elsewhere."""

    def __init__(
        self, planned: Sequence[Trial], todo: Sequence[Trial], left: Sequence[Trial], cpus: float
    ) -> None:
        """todo: what is trained now, of the planned trials that are left. cpus: of each."""
        self.console = Console(width=None if sys.stdout.isatty() else 120)
        self.bars = progress_bar(self.console)
        self.began = time.monotonic()
        self.done, self.todo = 0, len(todo)
        before = set(planned) - set(left)
        self.tasks = {
            variant: self.bars.add_task(
                variant,
                total=sum(trial.variant == variant for trial in planned),
                completed=sum(trial.variant == variant for trial in before),
                note="",
            )
            for variant in dict.fromkeys(trial.variant for trial in planned)
        }
        each = f"{cpus:g} CPUs each"
        self.console.print(f"training {len(todo)} trials, {len(before)} done before, {each}", highlight=False)

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks for a restoring that never happens here; a terminal cannot be pickled."""
        return {}

    def __enter__(self) -> "StudyProgress":
        self.bars.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.bars.stop()

    def on_trial_result(
        self, iteration: int, trials: list, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        note = (
            f"{result['trial']} epoch {result['epoch']}  validation Jaccard {result['val_soft_jaccard']:.3f}"
        )
        self.bars.update(self.tasks[result["variant"]], note=note)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        last = trial.last_result
        if "told" in last:
            self._ended(trial, f"ended after epoch {last['epoch']}, see below")
        elif last.get("failed"):
            self._ended(trial, "FAILED")
        else:
            self._ended(
                trial, f"{last['epoch']} epochs, best validation Jaccard {last['val_soft_jaccard']:.3f}"
            )

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._ended(trial, "its process died too often")

    def _ended(self, trial: Any, how: str) -> None:
        planned = _trial(trial)
        self.done += 1
        self.bars.advance(self.tasks[planned.variant])
        seconds = time.monotonic() - self.began
        self.say(f"{self.done:4d}/{self.todo}  {planned.trial_id:<26} {how:<44} {seconds:6.0f} s")

    def say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    @staticmethod
    @contextlib.contextmanager
    def reading() -> Iterator[Callable[[int, int], None]]:
        """A bar over the scans read from the store."""
        with progress_bar(Console()) as bar:
            task = bar.add_task("reading the store", note="")
            yield lambda done, total: bar.update(task, completed=done, total=total)


class AllDone(BaseException):
    """Every trial has ended. Tune, left to itself, goes on to start workers that it has nothing for, and ends them;
    so it does at an Exception."""


class Watch(tune.Callback):
    """Lets a trial that was interrupted go on for ever, one that keeps dying of itself not; ends those that hang.

    A trial's process may die for its own fault (memory, a crash in native code) or another's (a killed worker, a
    lost machine). So deaths count only on a machine that is still there, and only until an epoch has been
    finished since the last one. `dead` has the last error of each trial that was given up.
    """

    def __init__(self, folder: RunFolder, trials: int, hung_after: float, say: Callable[[str], None]) -> None:
        """trials: how many there are. hung_after: seconds. say: prints a line."""
        self.folder, self.left, self.hung_after, self.say = folder, trials, hung_after, say
        self.heard: dict[str, float] = {}
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

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.heard[trial.trial_id] = time.monotonic()

    def on_trial_result(
        self, iteration: int, trials: list, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.heard[trial.trial_id] = time.monotonic()
        self.node[trial.trial_id] = result["node"]
        if result["epoch"]:
            self.in_a_row = 0
        self.error = result.get("told") or self.error

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.left -= 1
        self.out_of_memory |= trial.last_result.get("failed") == "OutOfMemoryError"

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.left -= 1
        self.dead[_trial(trial)] = str(trial.get_pickled_error())

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        if self.error:
            raise self.error
        # Trials out of memory are tried again, on what the workers now give back.
        if not self.left and not self.out_of_memory:
            raise AllDone
        for trial in trials:
            silent = time.monotonic() - self.heard.get(trial.trial_id, time.monotonic())
            if trial.status == "RUNNING" and silent > self.hung_after:
                name = _trial(trial).trial_id
                self.say(f"{name}: no epoch finished within {self.hung_after:g} s, its process is ended")
                self.heard[trial.trial_id] = time.monotonic()
                ray.kill(trial.temporary_state.ray_actor)

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        name = _trial(trial).trial_id
        saved = progress(self.folder.trial(name))
        epoch = saved["epoch"] if saved else 0
        before, deaths = self.deaths.get(trial.trial_id, (0, 0))
        if not self._machine_lost(trial.trial_id):
            deaths = deaths + 1 if epoch == before else 1
            self.in_a_row += 1
        self.deaths[trial.trial_id] = epoch, deaths
        self.node.pop(trial.trial_id, None)
        self.lost[trial.trial_id] = len(_lost_machines())
        if deaths >= RESTARTS:
            trial.max_failures = 0  # the next one is its last
        self.say(f"{name}: its process died; it goes on after epoch {epoch}")
        if self.in_a_row >= HOPELESS:
            self.error = _hopeless(str(trial.get_pickled_error()))

    def _machine_lost(self, trial_id: str) -> bool:
        """Whether the machine of a trial's process is gone; of a process that died before it could say which that is:
        whether any machine is gone since it was begun."""
        lost = _lost_machines()
        if node := self.node.get(trial_id):
            return node in lost
        return len(lost) > self.lost.get(trial_id, self.lost_before)


def _hopeless(error: str) -> InputError:
    return InputError(
        "No trial gets anywhere: their processes die one after another.",
        where="the machines that train",
        expected="an epoch finished between two deaths",
        found=f"{HOPELESS} deaths in a row, the last with: {' '.join(error.split())[-500:]}",
        do="see what `python -m hnscc.train STUDY TRIAL` says on such a machine, and how much memory it has",
    )


def _trial(tune_trial: Any) -> Trial:
    return Trial(**tune_trial.config["assignment"]["trial"])


def _lost_machines() -> set[str]:
    return {each["NodeID"] for each in ray.nodes() if not each["Alive"]}


def print_table_1(folder: RunFolder) -> None:
    """Table 1 on the test set: the repeats' pooled Dice, then the median model's with its patient interval."""
    shown = Table(
        title="Table 1: pooled Dice on the test patients (the median model at its own threshold)",
        title_justify="left",
    )
    for name in (
        "variant",
        "repeats",
        "repeats at 0.5: median (quartiles)",
        "median model: Dice (95 % over patients)",
    ):
        shown.add_column(name)
    for row in read_table(folder, "pooled").to_pylist():
        if row["split"] == "test":
            repeats = with_range(row["dice_repeats_median"], row["dice_repeats_q25"], row["dice_repeats_q75"])
            model = with_range(row["dice"], row["dice_low"], row["dice_high"])
            shown.add_row(row["variant"], str(row["repeats"]), repeats, model)
    Console(width=None if sys.stdout.isatty() else 120).print(shown)


def with_range(value: float | None, low: float | None, high: float | None) -> str:
    """A number and its interval, for a terminal."""
    if value is None:
        return "–"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
