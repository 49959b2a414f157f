"""The errors that are told without a traceback: bad input, a storage that gave way, a process that died."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from hnscc.base.in_words import count_of


class _Told(Exception):
    """Says what is wrong, where, what was expected, what was found and what to do.

    Name scans by their pseudonym, columns and rows by name and number, settings by their path in the study
    file. Never put a path of a patient's file, or anything read from its header, into the text.
    """

    exit_code: int

    def __init__(self, problem: str, *, where: str, expected: str, found: str, do: str) -> None:
        self.problem, self.where, self.expected, self.found, self.do = problem, where, expected, found, do
        super().__init__(
            f"{problem}\n  where:      {where}\n  expected:   {expected}\n  found:      {found}\n  what to do: {do}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process borders (workers of `hnscc prepare`, of Ray); the default would lose the keywords.
        return _rebuild, (type(self), self.problem, self.where, self.expected, self.found, self.do)


class InputError(_Told):
    """The user gave something wrong: the command prints this and ends with exit code 2."""

    exit_code = 2


class InputErrors(InputError):
    """Several faults of the input, told in one message; `several` makes it."""

    def __init__(self, faults: Sequence[InputError]) -> None:
        self.faults = tuple(faults)
        lines = [
            f"{each.where}: {each.problem} Expected {each.expected}; found {each.found}." for each in faults
        ]
        super().__init__(
            f"{count_of(len(faults), 'fault was', 'faults were')} found.",
            where="each line below says where",
            expected="none",
            found="".join(f"\n    {number}. {line}" for number, line in enumerate(lines, start=1)),
            do=" ".join(dict.fromkeys(each.do for each in faults)),
        )

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
    """Return one error that tells all of the faults, a line for each, in their order; of one fault, that fault itself.

    Faults that are told in the same words are told once, and so is what to do about several. ValueError is raised
    where there is no fault.
    """
    flat = [
        each for fault in faults for each in (fault.faults if isinstance(fault, InputErrors) else [fault])
    ]
    different = list({str(each): each for each in flat}.values())
    if len(different) < 2:
        (only,) = different
        return only
    return InputErrors(different)


def exit_code_of(command: Callable[[], int]) -> int:
    """Run a command as the last thing that this process does; an error that is told is printed on standard error.
    Returns the exit code, or at StorageError ends the process with it."""
    try:
        return command()
    except _Told as error:
        # One that a task on another machine raised comes from Ray with a traceback around it.
        error = getattr(error, "cause", None) or error
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error, StorageError):
            # A request that an outage left hanging may abort the process while Python shuts down.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(error.exit_code)
        return error.exit_code


def _rebuild(kind: type[_Told], problem: str, where: str, expected: str, found: str, do: str) -> _Told:
    return kind(problem, where=where, expected=expected, found=found, do=do)
