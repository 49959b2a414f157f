"""The errors that are told without a traceback: bad input, a storage that gave way, a process that died."""

import atexit
import os
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NoReturn

from hnscc.base.in_words import count_of


class _Told(Exception):
    """Says what is wrong, where, what was expected, what was found and what to do.

    Name scans by their pseudonym, columns and rows by name and number, settings by their path in the study
    file. Never put a path of a patient's file into the text, or what its header says of the patient; of a header tell
    numbers of the images, and words that the format itself defines.
    """

    exit_code: int

    def __init__(self, problem: str, *, where: str, expected: str, found: str, do: str) -> None:
        self.problem, self.where, self.expected, self.found, self.do = problem, where, expected, found, do
        super().__init__(self._message())

    def _message(self) -> str:
        return (
            f"{self.problem}\n  where:      {self.where}\n  expected:   {self.expected}\n  found:      {self.found}\n"
            f"  what to do: {self.do}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process borders (workers of `hnscc prepare`, of Ray); the default would lose the keywords.
        return _rebuild, (type(self), self.problem, self.where, self.expected, self.found, self.do)


class InputError(_Told):
    """The user gave something wrong: the command prints this and ends with exit code 2."""

    exit_code = 2


class InputErrors(InputError):
    """Several faults of the input, told in one message; `several` makes it.

    The message numbers the faults. What to do stands below its fault; of several in a row that are mended alike it is
    said once, below the last of them, and later ones name the number of the first.
    """

    def __init__(self, faults: Sequence[InputError]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            f"{count_of(len(faults), 'fault was', 'faults were')} found.",
            where="; ".join(dict.fromkeys(each.where for each in faults)),
            expected="none",
            found="; ".join(dict.fromkeys(each.problem for each in faults)),
            do=" ".join(dict.fromkeys(each.do for each in faults)),
        )

    def _message(self) -> str:
        lines = [self.problem]
        said: dict[str, int] = {}
        for do, alike in groupby(enumerate(self.faults, start=1), key=lambda each: each[1].do):
            numbered = list(alike)
            for number, each in numbered:
                told = f"{each.where}: {each.problem} Expected {each.expected}; found {each.found}."
                lines.append(f"  {number}. {told}")
            now, first = numbered[0][0], said.setdefault(do, numbered[0][0])
            lines.append(f"     what to do: {do if first == now else f'as for {first}'}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return InputErrors, (self.faults,)


class WorkerError(_Told):
    """A process that the command started died, or memory ran out: exit code 1. Nothing half-written is left."""

    exit_code = 1


class StorageError(_Told):
    """The disk is full, or the storage does not answer: exit code 1. What was written before is whole, and the
    same command continues once the storage is well."""

    exit_code = 1


def several(faults: Sequence[InputError]) -> InputError:
    """Return one error that tells all of the faults, a line for each; of one fault, that fault itself.

    Faults that are told in the same words are told once. ValueError is raised where there is no fault.
    """
    flat = [
        each for fault in faults for each in (fault.faults if isinstance(fault, InputErrors) else [fault])
    ]
    different = list({str(each): each for each in flat}.values())
    if len(different) < 2:
        (only,) = different
        return only
    return InputErrors(different)


def exit_code_of(command: Callable[[], int], arguments: Sequence[str] | None = None) -> int:
    """Run a command as the last thing that this process does; an error that is told is printed on standard error, and
    so is that memory ran out. Returns the exit code. arguments: those that the command was given, if not by this
    process's command line."""
    try:
        _check_arguments(sys.argv[1:] if arguments is None else arguments)
        return command()
    except MemoryError as error:
        print(f"error: {_no_memory(error)}", file=sys.stderr)
        return WorkerError.exit_code
    except _Told as error:
        # One that a task on another machine raised comes from Ray with a traceback around it.
        error = getattr(error, "cause", None) or error
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


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


def _rebuild(kind: type[_Told], problem: str, where: str, expected: str, found: str, do: str) -> _Told:
    return kind(problem, where=where, expected=expected, found=found, do=do)
