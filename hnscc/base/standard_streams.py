"""The standard streams of a command, made safe for output that cannot be written or that nobody reads."""

import io
import os
import sys
from typing import Any

from hnscc.base.errors import StorageError


def prepare_streams() -> None:
    """Prepare this process's standard streams: standard output raises StorageError where it cannot be written and is
    flushed after each line, and closed streams lead to /dev/null.

    Without this, a failed write of output could not be told from that of another file, and the first file that is
    opened would take a closed stream's number and be printed into. Lines are flushed because a log of hours is read
    meanwhile. If the reader of a pipe, such as `head`, stops reading, the command goes on to its end: that must not end
    a training. A letter that the stream's encoding lacks is written as an escape, as on standard error.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    before = sys.stdout
    # A stream that a caller has put in its place stays.
    if before is sys.__stdout__ and isinstance(before, io.TextIOWrapper):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output(1, "w", closefd=False)),
            encoding=before.encoding,
            errors="backslashreplace",
            line_buffering=True,
        )


def _forget_output() -> None:
    """Send standard output to /dev/null, so that Python does not complain again when it flushes it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Output(io.FileIO):
    """Standard output, whose errors say that they are of standard output."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            _forget_output()
            return len(content)
        except OSError as error:
            _forget_output()
            raise StorageError(
                "What the command prints cannot be written.",
                where="standard output",
                expected="a terminal, or a file on a disk with room",
                found=os.strerror(error.errno or 0),
                do="send it elsewhere, then give the same command again",
            ) from None
