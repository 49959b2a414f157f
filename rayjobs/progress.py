"""What the user sees while Tune trains a study: a bar per variant, a line per trial, and what the study waits for."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from hnscc.base.console import print_line, progress_bars, terminal
from hnscc.base.in_words import count_of
from hnscc.study.trials import Trial
from rayjobs.cluster import Wait
from rayjobs.requests import Amounts, amounts_in_words


class StudyProgress(tune.Callback):
    """Shows a bar per variant on a terminal, else a line per trial. Tune tells it of every report and of each trial
    that ends."""

    def __init__(
        self, all_trials: Sequence[Trial], todo: Sequence[Trial], left: Sequence[Trial], cpus: float
    ) -> None:
        """left: the trials of the study that were not completed before. todo: those of them that are trained now. cpus:
        of each trial."""
        self.console = terminal()
        self.bars = progress_bars(self.console)
        self.began = time.monotonic()
        self.done, self.todo = 0, len(todo)
        before = set(all_trials) - set(left)
        self.tasks = {
            variant: self.bars.add_task(
                variant,
                total=sum(trial.variant == variant for trial in all_trials),
                completed=sum(trial.variant == variant for trial in before),
                note="",
            )
            for variant in dict.fromkeys(trial.variant for trial in all_trials)
        }
        self.say(
            f"training {count_of(len(todo), 'trial')}, {len(before)} done before, {count_of(cpus, 'CPU')} each"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the terminal, which cannot be pickled. Tune pickles its callbacks in order to restore them, which
        never happens here."""
        return {}

    def __enter__(self) -> "StudyProgress":
        self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bars.stop()

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        score = f"best validation soft Jaccard {result['val_soft_jaccard']:.3f}"
        note = f"{result['trial']} epoch {result['epoch']}  {score}"
        self.bars.update(self.tasks[result["variant"]], note=note)

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        last = trial.last_result
        if "told" in last:
            self._ended(trial, f"ended after epoch {last['epoch']}, see below")
        elif last.get("failed"):
            self._ended(trial, "FAILED")
        else:
            # By the soft Jaccard the epoch was chosen; how good the masks are, the Dice at 0.5 tells.
            dice = f", Dice {last['val_dice']:.3f}" if last.get("val_dice") is not None else ""
            scores = f"best validation soft Jaccard {last['val_soft_jaccard']:.3f}{dice}"
            self._ended(trial, f"{count_of(last['epoch'], 'epoch')}, {scores}")

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._ended(trial, "its process died too often")

    def _ended(self, trial: TuneTrial, how: str) -> None:
        ended = study_trial(trial)
        self.done += 1
        self.bars.advance(self.tasks[ended.variant])
        seconds = time.monotonic() - self.began
        self.say(f"{self.done:4d}/{self.todo}  {ended.trial_id:<26} {how:<60} {seconds:6.0f} s")

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        print_line(self.console, line)


class Waiting(tune.Callback):
    """Tells the user while no trial is trained because no machine is free."""

    def __init__(self, request: Amounts, say: Callable[[str], None]) -> None:
        """request: what a trial asks for. say: prints a line."""
        self.request, self.say = request, say
        self.wait: Wait | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """Called by Tune after each pass over its trials."""
        # The last first: those that run are among them, and a pass over all that ended costs more the more there are.
        if any(trial.status == "RUNNING" for trial in reversed(trials)):
            self.wait = None
            return
        self.wait = self.wait or Wait(self.say)
        self.wait.tell(f"a machine with {amounts_in_words(self.request)} free: no trial is being trained")


def study_trial(tune_trial: TuneTrial) -> Trial:
    """Return the study's trial that a trial of Tune's trains."""
    return Trial(**tune_trial.config["assignment"]["trial"])
