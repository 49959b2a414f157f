"""Long work that pauses after each of its pieces, so that whoever waits for it hears that it goes on."""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


def at_once(steps: Generator[None, None, T]) -> T:
    """The result of work that pauses after each piece, done without heeding its pauses."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
