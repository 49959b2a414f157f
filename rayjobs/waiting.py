"""What is said while a question to the cluster, or a trial, waits for a free machine."""

import time
from collections.abc import Callable
from typing import Any

import ray

# After so many seconds without an answer the user is told; then after twice as many, up to the longest.
TOLD_AFTER, LONGEST = 10.0, 600.0


def answer_to(question: ray.ObjectRef[Any], what: str) -> Any:
    """Return what a task on the cluster answers, once it has; says how long it has waited, and for what."""
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
