"""How a command begins and ends, however it was called: its streams, its arguments, its exit code."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from hnscc.base.errors import InputError, StorageError, WorkerError
from hnscc.base.standard_streams import prepare_streams

# The exit code after Ctrl-C, SIGTERM or SIGHUP.
INTERRUPTED = 130
# What ends a command from outside: a batch system (`scancel`, `timeout`), and a terminal that is closed.
ENDED_FROM_OUTSIDE = (signal.SIGTERM, signal.SIGHUP)


def exit_code_of(command: Callable[[], int], arguments: Sequence[str] | None = None) -> int:
    """Run a command as the last thing that this process does, and return the exit code.

    An error of this project is printed on standard error without a traceback. The same holds if memory runs out, if the
    system refuses access, if the working folder is gone, if standard output cannot be written, and if Ctrl-C, SIGTERM
    or SIGHUP interrupts it. arguments: the words that the command was given, if not this process's command line.
    """
    prepare_streams()
    _end_as_by_ctrl_c()
    try:
        _check_arguments(sys.argv[1:] if arguments is None else arguments)
        code = command()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as ended:
        # While Ray starts in a process, SIGTERM ends it with this code.
        if ended.code != signal.SIGTERM:
            raise
        return _interrupted()
    except MemoryError as error:
        print(f"error: {_no_memory(error)}", file=sys.stderr)
        return WorkerError.exit_code
    except FileNotFoundError:
        if _has_working_folder():
            raise
        print(f"error: {_no_working_folder()}", file=sys.stderr)
        return InputError.exit_code
    except (PermissionError, InputError, StorageError, WorkerError) as error:
        # Ray wraps an error that a task on another machine raised, with a traceback.
        error = getattr(error, "cause", None) or error
        told = _no_access(error) if isinstance(error, PermissionError) else error
        print(f"error: {told}", file=sys.stderr)
        return told.exit_code


def leave(code: int) -> NoReturn:
    """End this process at once with this exit code, after all that is registered for its end (atexit) is done.

    Python's own way takes a second more to free what a command has loaded, and a request that an outage left hanging
    may abort the process then. Files must be closed before. If output cannot be written, 0 becomes 120, as in Python.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # it is None if it was closed before Python started
                stream.flush()
        except (OSError, StorageError):
            code = code or 120
    os._exit(code)


def _end_as_by_ctrl_c() -> None:
    """Let signals from outside end this process as Ctrl-C does, unless its caller has it ignore them (`nohup`). By
    default they would end it at once, and leave behind what it had started and not yet written."""
    if threading.current_thread() is threading.main_thread():  # Python lets no other thread decide it
        for number in ENDED_FROM_OUTSIDE:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)


def _check_arguments(words: Sequence[str]) -> None:
    """Raise InputError where a word of the command line is not UTF-8. Reports, records and tables are UTF-8, so it
    could be written into none of them. The error does not repeat the word: it may name a patient's file."""
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
    """Return the error for a refused access that no other code has explained. It does not name the path, which may be
    that of a patient's file."""
    return InputError(
        "A file or folder that this command needs may not be looked at, read or written.",
        where="a path that it was given, or a file that it needs",
        expected="files and folders that you may use, in folders that you may enter",
        found=os.strerror(error.errno or 0),
        do="mend the rights of these paths and of the folders above them (`namei -l PATH` shows both)",
    )


def _has_working_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _no_working_folder() -> InputError:
    return InputError(
        "The folder in which the command was given has been deleted.",
        where="the working folder",
        expected="one that stays until the command has ended",
        found="none",
        do="go to another folder, and give the same command again there: relative paths count from it",
    )


def _interrupted() -> int:
    print("Interrupted.", file=sys.stderr)
    return INTERRUPTED
