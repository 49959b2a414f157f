"""Runs functions of the project in processes of their own, forked from one that has only imported them.

They can be killed, lock each other out and end like those of `processes.start`, without five seconds of imports each.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["hnscc.train", "rayjobs.aggregate", "hnscc.training.library", __name__])


class Forked:
    """Runs function(*arguments) in a process of its own, whose exit code is what it returns; used
    like subprocess.Popen.

    home: where Ray keeps files. function and arguments must be picklable.
    """

    def __init__(self, home: Path, function: Callable[..., int | None], *arguments: object) -> None:
        pipes = [PROCESSES.Pipe(duplex=False) for _ in range(2)]
        ends = [write for _, write in pipes]
        self._process = PROCESSES.Process(target=_work, args=(home, ends, function, arguments), daemon=True)
        self._process.start()
        for end in ends:
            end.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(read.fileno())) for read, _ in pipes)
        for read, _ in pipes:
            read.close()
        assert self._process.pid is not None, "it was started"
        self.pid = self._process.pid
        self._said: tuple[str, str] | None = None

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"it still runs after {timeout} s"
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; return what it printed and its errors, each less than a pipe holds, 64 KiB."""
        self.wait(timeout)
        if self._said is None:
            with self.stdout, self.stderr:
                self._said = self.stdout.read(), self.stderr.read()
        return self._said

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def _work(
    home: Path, ends: list[Connection], function: Callable[..., int | None], arguments: tuple[object, ...]
) -> None:
    for end, number in zip(ends, (1, 2), strict=True):
        os.dup2(end.fileno(), number)
        end.close()
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        del os.environ[name]
    os.environ["HOME"] = str(home)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(function(*arguments))
