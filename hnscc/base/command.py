"""How a command begins and ends, by whichever door it was called: its streams, its arguments, its exit code."""

import atexit
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from hnscc.base.errors import InputError, StorageError, WorkerError
from hnscc.base.standard_streams import prepare_streams

# The exit code after Ctrl-C or SIGTERM.
INTERRUPTED = 130


def exit_code_of(command: Callable[[], int], arguments: Sequence[str] | None = None) -> int:
    """Run a command as the last thing that this process does; an error that is told is printed on standard error, and
    so is that memory ran out, that the system refuses access, that standard output cannot be written, or that the
    command was interrupted by Ctrl-C or SIGTERM. Returns the exit code. arguments: those that the command was given, if
    not by this process's command line.
    """
    prepare_streams()
    try:
        _check_arguments(sys.argv[1:] if arguments is None else arguments)
        code = command()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as ended:
        # With this code a process ends that gets the signal once Ray was started in it.
        if ended.code != signal.SIGTERM:
            raise
        return _interrupted()
    except MemoryError as error:
        print(f"error: {_no_memory(error)}", file=sys.stderr)
        return WorkerError.exit_code
    except (PermissionError, InputError, StorageError, WorkerError) as error:
        # One that a task on another machine raised comes from Ray with a traceback around it.
        error = getattr(error, "cause", None) or error
        told = _no_access(error) if isinstance(error, PermissionError) else error
        print(f"error: {told}", file=sys.stderr)
        return told.exit_code


def leave(code: int) -> NoReturn:
    """End this process with this exit code, at once, when what is registered for its end (atexit) is done: Python takes
    a second more to take apart what a command has loaded, and a request that an outage left hanging may abort it then.
    What was opened must be closed. Where what was printed cannot be written, 0 becomes 120, as Python has it."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # it is where it was closed before Python started
                stream.flush()
        except (OSError, StorageError):
            code = code or 120
    os._exit(code)


def _check_arguments(words: Sequence[str]) -> None:
    """InputError where a word of the command line is no UTF-8: reports, records and tables are, and it could be written
    into none of them. It is not repeated: it may name a patient's file."""
    for position, word in enumerate(words, 1):
        try:
            word.encode()
        except UnicodeEncodeError:
            raise InputError(
                "An argument is not in UTF-8.",
                where=f"the command line, argument {position}",
                expected="text in UTF-8, names of files too",
                found="bytes that are none",
                do="rename the file or the folder, or give a link to it whose name is in UTF-8",
            ) from None


def _no_memory(error: MemoryError) -> WorkerError:
    return WorkerError(
        "Memory ran out.",
        where="this process",
        expected="enough memory for what the command was asked",
        found=" ".join(str(error).split())[:300] or "none left",
        do="end other programs on this machine, or give the command on one with more memory",
    )


def _no_access(error: PermissionError) -> InputError:
    """What is told where nothing has told it closer by: not the path, which may be that of a patient's file."""
    return InputError(
        "A file or folder that this command needs may not be looked at, read or written.",
        where="a path that it was given, or a file that it needs",
        expected="files and folders that you may use, in folders that you may enter",
        found=os.strerror(error.errno or 0),
        do="mend the rights of these paths and of the folders above them (`namei -l PATH` shows both)",
    )


def _interrupted() -> int:
    print("Interrupted.", file=sys.stderr)
    return INTERRUPTED
