"""Processes of a Ray of one's own that stand by: they load what trains while the driving process reads the folds.

Ray imports `rayjobs.standby_here` in each process before it gives it anything to do. As many of them load as will train
at once, and say so by a file when they have: where none is ready, Ray would start others. The one that has loaded first
answers the driving process's question, which then need not load what the answer takes.
"""

import contextlib
import functools
import importlib
import json
import os
import pickle
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

# Their order, as JSON: the folder where they say so, how many are to load, and the modules.
ORDER = "HNSCC_STANDBY"
# So long they are waited for at most; a busy machine has Ray start others then.
LOADED_WITHIN = 120.0
# So long it may take, once Ray has started, until one of them begins.
BEGUN_WITHIN = 30.0
# Of the folder: what is asked, what was answered, and an answer that is not written to its end.
QUESTION, ANSWER, UNFINISHED = "question", "answer", "unfinished"


class _Reply(NamedTuple):
    """What a process wrote as its answer: the value, or what was raised in its place."""

    is_answer: bool
    value: Any


@contextlib.contextmanager
def standing_by(count: int, modules: Sequence[str], question: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Have `count` of the processes that are started meanwhile load these modules. Yields what gives the answer to a
    question, or raises what it raises: the same each time, by the process that has loaded first, or by this one where
    none does. Question and answer are pickled."""
    with tempfile.TemporaryDirectory(prefix="hnscc-standby-", ignore_cleanup_errors=True) as folder:
        Path(folder, QUESTION).write_bytes(pickle.dumps(question))
        os.environ[ORDER] = json.dumps([folder, count, *modules])
        try:
            yield functools.cache(lambda: _answered(Path(folder), question) if count else question())
        finally:
            del os.environ[ORDER]


def await_standby() -> None:
    """Wait until those that have begun to load have loaded, and say so where that takes too long; not at all where none
    has begun."""
    if ORDER not in os.environ:
        return
    folder = Path(json.loads(os.environ[ORDER])[0])
    until = time.monotonic() + LOADED_WITHIN
    while _any_loads(folder):
        if time.monotonic() >= until:
            print(f"processes still load after {LOADED_WITHIN:g} s: training starts all the same", flush=True)
            return
        time.sleep(0.02)


def load_beside(module: str, after: float = 0.0) -> None:
    """Load a module that this process needs later, which takes a second and more, while it waits for others. after:
    so many seconds, until it begins."""
    threading.Timer(after, importlib.import_module, (module,)).start()


def _answered(folder: Path, question: Callable[[], T]) -> T:
    """The answer that a process wrote; this process's own where none began, all died or none is done in time."""
    asked, answer = time.monotonic(), folder / ANSWER
    while not answer.exists():
        waited = time.monotonic() - asked
        begun = any(folder.glob("*.begun"))
        late = waited >= (LOADED_WITHIN if begun else BEGUN_WITHIN)
        if (late or (begun and not _any_loads(folder))) and not answer.exists():
            why = (
                "no process could write its answer, as where the folder of temporary files has no room"
                if (folder / UNFINISHED).exists()
                else f"no process answered within {waited:.0f} s"
            )
            print(f"{why}: this one asks itself", flush=True)
            return question()
        time.sleep(0.02)
    reply: _Reply = pickle.loads(answer.read_bytes())  # noqa: S301 (in a folder of this user's alone)
    if not reply.is_answer:
        raise reply.value
    return reply.value  # type: ignore[no-any-return]


def _any_loads(folder: Path) -> bool:
    return any(_loads(each) for each in folder.glob("*.begun"))


def _loads(begun: Path) -> bool:
    """Whether the process that wrote this file is there and has not loaded all yet."""
    if begun.with_suffix(".ended").exists():
        return False
    try:
        os.kill(int(begun.read_text() or os.getpid()), 0)  # empty for a moment: it is just being written
    except ProcessLookupError:
        return False
    return True


def load() -> None:
    """Load the modules, in one of the processes that are to: the first `count` that take a number; and answer, as the
    first that has loaded."""
    if ORDER not in os.environ:
        return
    folder, count, *modules = json.loads(os.environ[ORDER])
    number = next((each for each in range(count) if _taken(Path(folder, f"{each}.begun"))), None)
    if number is None:
        return
    try:
        for module in modules:
            importlib.import_module(module)
        if _taken(Path(folder, "asked")):
            _answer(Path(folder))
    finally:
        # The folder is gone, for the run has ended; or it has no room, and others wait and say so.
        with contextlib.suppress(OSError):
            Path(folder, f"{number}.ended").touch()


def _answer(folder: Path) -> None:
    """Write the answer, or what was raised in its place: whole, or not at all."""
    try:
        asked = (folder / QUESTION).read_bytes()
    except FileNotFoundError:  # the run has ended, and the folder is gone
        return
    question = pickle.loads(asked)  # noqa: S301 (in a folder of this user's alone)
    try:
        reply = _Reply(True, question())
    except Exception as error:  # noqa: BLE001 (whatever the question raises is the asking process's to raise)
        reply = _Reply(False, error)
    # The folder is gone; or it has no room, which what is unfinished tells. Raised, it would end a process of Ray's.
    with contextlib.suppress(OSError):
        unfinished = folder / UNFINISHED
        unfinished.write_bytes(pickle.dumps(reply))
        unfinished.replace(folder / ANSWER)


def _taken(place: Path) -> bool:
    """Whether this process took the place: no other had."""
    try:
        with place.open("x") as file:
            file.write(str(os.getpid()))
    except OSError:  # taken, or the folder is gone, for the run has ended
        return False
    return True
