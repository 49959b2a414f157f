"""Processes of a Ray of one's own that stand by: they load what trains while the driving process reads the folds.

Ray imports `rayjobs.standby_here` in each process before it gives it anything to do. As many of them load as will train
at once, and say so by a file when they have: where none is ready, Ray would start others.
"""

import contextlib
import importlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# Their order: the folder where they say so, how many are to load, and the modules.
ORDER = "HNSCC_STANDBY"
# So long they are waited for at most; a busy machine has Ray start others then.
LOADED_WITHIN = 120.0


@contextlib.contextmanager
def standing_by(count: int, modules: Sequence[str]) -> Iterator[None]:
    """Have `count` of the processes that are started meanwhile load these modules."""
    with tempfile.TemporaryDirectory(prefix="hnscc-standby-", ignore_cleanup_errors=True) as folder:
        os.environ[ORDER] = os.pathsep.join((folder, str(count), *modules))
        try:
            yield
        finally:
            del os.environ[ORDER]


def await_standby() -> None:
    """Wait until those that have begun to load have loaded, and say so where that takes too long; not at all where none
    has begun."""
    if ORDER not in os.environ:
        return
    folder = Path(os.environ[ORDER].split(os.pathsep)[0])
    until = time.monotonic() + LOADED_WITHIN
    while any(_loads(each) for each in folder.glob("*.begun")):
        if time.monotonic() >= until:
            print(f"processes still load after {LOADED_WITHIN:g} s: training starts all the same", flush=True)
            return
        time.sleep(0.02)


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
    """Load the modules, in one of the processes that are to: the first `count` that take a number."""
    if ORDER not in os.environ:
        return
    folder, count, *modules = os.environ[ORDER].split(os.pathsep)
    number = next((each for each in range(int(count)) if _taken(Path(folder, f"{each}.begun"))), None)
    if number is None:
        return
    try:
        for module in modules:
            importlib.import_module(module)
    finally:
        with contextlib.suppress(OSError):  # the run has ended, and the folder is gone
            Path(folder, f"{number}.ended").touch()


def _taken(place: Path) -> bool:
    """Whether this process took the place: no other had."""
    try:
        with place.open("x") as file:
            file.write(str(os.getpid()))
    except OSError:  # taken, or the folder is gone, for the run has ended
        return False
    return True
