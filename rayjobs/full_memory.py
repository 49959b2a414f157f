"""A machine whose memory is full: Ray ends workers there, and Tune ends with an error. It is waited for."""

import contextlib
import time
from collections.abc import Callable, Iterator

from ray.exceptions import OutOfMemoryError

from hnscc.base.errors import InputError

# A full memory is waited for, each time twice as long; so often without an epoch finished in between.
FULL_ROUNDS, FULL_SECONDS = 6, 5.0
# How far each trial has come: whether it has ended, and the epoch of its newest checkpoint.
Reached = list[tuple[bool, int]]


@contextlib.contextmanager
def full_memory_noted() -> Iterator[list[OutOfMemoryError]]:
    """Yield a list that is empty, or at the end holds what Ray said where it ended workers since memory was full.

    Tune goes on after any other death of a worker; at this one it raises an error that it calls unexpected.
    """
    noted: list[OutOfMemoryError] = []
    try:
        yield noted
    except RuntimeError as error:
        if not isinstance(error.__cause__, OutOfMemoryError):
            raise
        noted.append(error.__cause__)


class FullMemory:
    """How often in a row memory was full, without an epoch finished in between."""

    def __init__(self) -> None:
        self._times = 0
        self._so_far: Reached | None = None

    def wait(self, error: OutOfMemoryError, so_far: Reached, say: Callable[[str], None]) -> None:
        """Say that memory was full, and wait, the longer the more often. InputError where it stays full."""
        self._times = self._times + 1 if so_far == self._so_far else 1
        self._so_far = so_far
        if self._times >= FULL_ROUNDS:
            raise InputError(
                "The memory of a machine stays full.",
                where="the machines that train",
                expected=f"an epoch finished between {FULL_ROUNDS} times that Ray ended the trainings for it",
                found=str(error).partition("\n")[0],
                do="end other programs there, or train fewer trials at a time (resources.cpus); the same command "
                "goes on",
            )
        seconds = FULL_SECONDS * 2 ** (self._times - 1)
        say(
            f"a machine's memory was full: Ray ended trainings, which go on from their checkpoints in {seconds:g} s"
        )
        time.sleep(seconds)
