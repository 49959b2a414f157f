"""The standard streams of a command, made safe for output that cannot be written or that nobody reads."""

import errno
import io
import os
import sys
from typing import Any

from hnscc.base.errors import StorageError

_WRITTEN = {1: "output", 2: "error"}


def prepare_streams() -> None:
    """Prepare this process's standard streams: output and errors raise StorageError where they cannot be written and
    are flushed after each line, and closed streams lead to /dev/null.

    Without this, a failed write of output could not be told from that of another file, and the first file that is
    opened would take a closed stream's number and be printed into. Lines are flushed because a log of hours is read
    meanwhile. If nobody reads any more, because `head` has ended or the terminal was closed, the command goes on to its
    end: that must not end a training. A letter that the stream's encoding lacks is written as an escape.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    # A stream that a caller has put in its place stays.
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout = _safe(1, sys.stdout.encoding)
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        sys.stderr = _safe(2, sys.stderr.encoding)


def _safe(number: int, encoding: str) -> io.TextIOWrapper:
    raw = _Output(number, "w", closefd=False)
    raw.to_terminal = raw.isatty()  # once it is closed, nothing says so any more
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=True
    )


class _Output(io.FileIO):
    """Standard output or standard error, whose errors say that they are of it."""

    to_terminal = False

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            self._forget()
            if isinstance(error, BrokenPipeError) or (error.errno == errno.EIO and self.to_terminal):
                return len(content)
            raise StorageError(
                "What the command prints cannot be written.",
                where=f"standard {_WRITTEN[self.fileno()]}",
                expected="a terminal, or a file on a disk with room",
                found=os.strerror(error.errno or 0),
                do="send it elsewhere, then give the same command again",
            ) from None

    def _forget(self) -> None:
        """Send the stream to /dev/null, so that Python does not complain again when it flushes it at exit."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
