"""Live progress of a study: a bar per variant on a terminal, a line per finished trial elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

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

from hnscc.config import Study
from hnscc.plan import RunFolder, Trial, plan_trials
from hnscc.tables import read_table


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
    """Told by Tune of every report and finished trial."""

    def __init__(self, study: Study, todo: list[Trial], left: list[Trial]) -> None:
        """todo: what is trained now, of the trials that are left."""
        self.console = Console(width=None if sys.stdout.isatty() else 120)
        self.bars = progress_bar(self.console)
        self.began = time.monotonic()
        self.done, self.todo = 0, len(todo)
        planned = plan_trials(study)
        before = set(planned) - set(left)
        self.tasks = {
            variant: self.bars.add_task(
                variant,
                total=sum(trial.variant == variant for trial in planned),
                completed=sum(trial.variant == variant for trial in before),
                note="",
            )
            for variant in study.variants
        }
        each = f"{study.resources.cpus:g} CPUs each"
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
        if last.get("failed"):
            self._ended(trial, "FAILED")
        else:
            self._ended(
                trial, f"{last['epoch']} epochs, best validation Jaccard {last['val_soft_jaccard']:.3f}"
            )

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._ended(trial, "its process died")

    def _ended(self, trial: Any, how: str) -> None:
        planned = Trial(**trial.config["trial"])
        self.done += 1
        self.bars.advance(self.tasks[planned.variant])
        seconds = time.monotonic() - self.began
        line = f"{self.done:4d}/{self.todo}  {planned.trial_id:<26} {how:<44} {seconds:6.0f} s"
        self.console.print(line, highlight=False, soft_wrap=True)

    @staticmethod
    @contextlib.contextmanager
    def reading() -> Iterator[Callable[[int, int], None]]:
        """A bar over the scans read from the store."""
        with progress_bar(Console()) as bar:
            task = bar.add_task("reading the store", note="")
            yield lambda done, total: bar.update(task, completed=done, total=total)


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
            repeats = _with_range(
                row["dice_repeats_median"], row["dice_repeats_q25"], row["dice_repeats_q75"]
            )
            model = _with_range(row["dice"], row["dice_low"], row["dice_high"])
            shown.add_row(row["variant"], str(row["repeats"]), repeats, model)
    Console(width=None if sys.stdout.isatty() else 120).print(shown)


def _with_range(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
