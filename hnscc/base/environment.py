"""What libraries need of their process while they run: environment variables and other states, which are set only for
that time, and memory that processes share."""

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from hnscc.base.errors import InputError

SHARED_MEMORY: Final = "/dev/shm"  # on Linux: locks and arrays of several processes


@contextlib.contextmanager
def in_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set those of these variables that are not set yet, within a `with` block. Afterwards the environment is the
    caller's again."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


class WhileNeeded:
    """A state of the whole process that lasts while any thread is within a `with` block of it.

    The first thread that needs the state begins it, and the last one ends it. If each thread restored the state by
    itself, one would end it for the others, or leave it on for good.
    """

    def __init__(self, state: Callable[[], contextlib.AbstractContextManager[Any]]) -> None:
        self._state, self._lock, self._needed = state, threading.Lock(), 0
        self._begun = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._needed:
                self._begun.enter_context(self._state())
            self._needed += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._needed -= 1
            if not self._needed:
                self._begun.close()


def check_shared_memory() -> None:
    """Raise InputError where processes cannot share memory on this machine, as in a read-only container. Otherwise
    Python's shared memory would fail with a traceback, and Ray would wait half a minute and then report a timeout."""
    if not sys.platform.startswith("linux"):
        return
    try:
        with tempfile.TemporaryFile(dir=SHARED_MEMORY) as file:
            file.write(b"1")
            file.flush()
    except OSError as error:
        raise InputError(
            "Processes can share no memory on this machine.",
            where=SHARED_MEMORY,
            expected="a folder in memory that can be written to",
            found=os.strerror(error.errno or 0),
            do="make room there, or mount it so that it can be written to (in Docker: --shm-size, --tmpfs /dev/shm)",
        ) from None
