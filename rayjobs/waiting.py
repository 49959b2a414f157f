"""What is said while a trial, or a question to the cluster, waits for a free machine."""

import time
from collections.abc import Callable
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from rayjobs.requests import Resources, in_words

# After so many seconds without an answer the user is told; then after twice as many, up to the longest.
TOLD_AFTER, LONGEST = 10.0, 600.0


def answer_to(question: ray.ObjectRef[Any], what: str) -> Any:
    """What a task on the cluster answers, once it has; says how long it has waited, and for what."""
    wait = Wait(lambda line: print(line, flush=True))
    while not ray.wait([question], timeout=wait.left())[0]:
        wait.tell(what)
    return ray.get(question)


class Wait:
    """Tells how long it has lasted, after ten seconds, and then each time that it has lasted twice as long."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.began, self.told = say, time.monotonic(), TOLD_AFTER

    def left(self) -> float:
        """Seconds until there is something to tell."""
        return max(0.0, self.told - (time.monotonic() - self.began))

    def tell(self, what: str) -> None:
        """Say it if it is time."""
        if not self.left():
            waited = time.monotonic() - self.began
            self.say(f"waiting for {what}, for {waited:.0f} s so far")
            self.told = waited + min(waited, LONGEST)


class Waiting(tune.Callback):
    """Says so while no trial is trained, for want of free machines."""

    def __init__(self, request: Resources, say: Callable[[str], None]) -> None:
        """request: of a trial. say: prints a line."""
        self.request, self.say = request, say
        self.wait: Wait | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """Tune's, between two looks at its trials."""
        if any(trial.status == "RUNNING" for trial in trials):
            self.wait = None
            return
        self.wait = self.wait or Wait(self.say)
        self.wait.tell(f"a machine with {in_words(self.request)} free: no trial is being trained")
