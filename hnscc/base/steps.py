"""Long work, and how whoever waits for it hears that it goes on: it tells, or pauses after each of its pieces."""

from collections.abc import Generator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """What long work calls after each piece: so many are done, of so many, and what is under way ("" for nothing)."""

    def __call__(self, done: int, total: int, now: str, /) -> None: ...


def at_once(steps: Generator[None, None, T]) -> T:
    """Run work that pauses after each piece to its end, and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
