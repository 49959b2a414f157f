"""How long work reports that it goes on: it calls a function after each piece, or pauses after it as a generator."""

from collections.abc import Generator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """What long work calls after each piece: the number of pieces done, the number of all, and what is under way (""
    for nothing)."""

    def __call__(self, done: int, total: int, now: str, /) -> None: ...


def at_once(steps: Generator[None, None, T]) -> T:
    """Run a generator that pauses after each piece of work to its end, and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
