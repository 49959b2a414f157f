"""Processes of a Ray that we started ourselves stand by: they load what trains while the driving process reads
the folds.

Ray imports `rayjobs.standby_here` in each process before it gives the process anything to do. As many processes load
as will train at once. Each writes a file when it has loaded, since Ray would start others if none were ready. The
process that has loaded first answers the driving process's question, which then need not load the modules that the
answer needs.
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
    """What a process wrote as its answer: the value, or the exception that was raised in its place."""

    is_answer: bool
    value: Any


@contextlib.contextmanager
def standing_by(count: int, modules: Sequence[str], question: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Let `count` of the processes that start within the `with` block load these modules.

    Yields a function that returns the answer to the question, or raises what the question raised, and does the same
    each time it is called. The process that has loaded first answers, or this one where none does. Question and answer
    are pickled.
    """
    with tempfile.TemporaryDirectory(prefix="hnscc-standby-", ignore_cleanup_errors=True) as folder:
        Path(folder, QUESTION).write_bytes(pickle.dumps(question))
        os.environ[ORDER] = json.dumps([folder, count, *modules])
        try:
            yield functools.cache(lambda: _answered(Path(folder), question) if count else question())
        finally:
            del os.environ[ORDER]


def await_standby() -> None:
    """Wait until the processes that have begun to load have loaded, and tell the user where that takes too long. Do not
    wait where none has begun."""
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
    """Load a module in a thread while this process waits for others: it needs the module later, and loading takes a
    second or more. after: seconds until the thread begins."""
    threading.Timer(after, importlib.import_module, (module,)).start()


def _answered(folder: Path, question: Callable[[], T]) -> T:
    """Return the answer that a process wrote. Where no process began, all died, or none answers in time, this process
    answers itself."""
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
    """Return whether the process that wrote this file is alive and has not loaded everything yet."""
    if begun.with_suffix(".ended").exists():
        return False
    try:
        os.kill(int(begun.read_text() or os.getpid()), 0)  # empty for a moment: it is just being written
    except ProcessLookupError:
        return False
    return True


def load() -> None:
    """Load the modules, if this process is one of the first `count` to take a number. The first that has loaded them
    also answers the question."""
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
    """Write the answer, or the exception that was raised in its place: whole, or not at all."""
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
    """Return whether this process took the place, which is so if no other process had it."""
    try:
        with place.open("x") as file:
            file.write(str(os.getpid()))
    except OSError:  # taken, or the folder is gone, for the run has ended
        return False
    return True
