"""The standard streams of the command: what it prints and nobody can write, or nobody is to read."""

import io
import os
import sys
from typing import Any

from hnscc.base.errors import StorageError


def prepare_streams() -> None:
    """Have standard output raise StorageError where it cannot be written, and take each line as it is printed, which a
    log of hours is read by meanwhile; and streams that are closed lead nowhere.

    Else an error of its own could not be told from one of another file; and the first file that is opened would stand
    in a closed stream's place, and be printed into. Where the reader of a pipe, as `head`, has what it wants, the
    command goes on to its end: a training is not ended so.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    before = sys.stdout
    # Not where a caller put another in its place.
    if before is sys.__stdout__ and isinstance(before, io.TextIOWrapper):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output(1, "w", closefd=False)),
            encoding=before.encoding,
            errors=before.errors,
            line_buffering=True,
        )


def _forget_output() -> None:
    """Have Python not complain once more, when it flushes at exit, of output that nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Output(io.FileIO):
    """Standard output, whose errors say what they are of."""

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
