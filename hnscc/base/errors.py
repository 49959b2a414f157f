"""The errors that are told without a traceback: bad input, a storage that failed, a process that died."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from hnscc.base.in_words import count_of


class _Told(Exception):
    """An error whose text says what is wrong, where, what was expected, what was found and what to do.

    Name scans by their pseudonym, columns and rows by name and number, settings by their path in the study file. Never
    put a path of a patient's file into the text, nor what its header says of the patient. Of a header, only numbers
    about the images may be told, and words that the format itself defines.
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
        # Exceptions are pickled between processes (workers of `hnscc prepare`, of Ray). The default way would lose the
        # keyword arguments.
        return _rebuild, (type(self), self.problem, self.where, self.expected, self.found, self.do)


class InputError(_Told):
    """The user gave something wrong: the command prints this and ends with exit code 2."""

    exit_code = 2


class InputErrors(InputError):
    """Several faults of the input, told in one message; `several` makes it.

    The message numbers the faults. What to do is told below each fault. If the same cure holds for several in a row, it
    is told once, below the last of them, and later ones refer to the number of the first.
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
    """A process that the command started died, or memory ran out: exit code 1. Nothing is left half-written."""

    exit_code = 1


class StorageError(_Told):
    """The disk is full, or the storage does not answer: exit code 1. What was written before is whole, and the same
    command continues once the storage works again."""

    exit_code = 1


def several(faults: Sequence[InputError]) -> InputError:
    """Return one error that tells all of the faults, a line for each; if there is only one fault, that fault itself.

    Faults with the same words are told once. ValueError is raised where there is no fault.
    """
    flat = [
        each for fault in faults for each in (fault.faults if isinstance(fault, InputErrors) else [fault])
    ]
    different = list({str(each): each for each in flat}.values())
    if len(different) < 2:
        (only,) = different
        return only
    return InputErrors(different)


def _rebuild(kind: type[_Told], problem: str, where: str, expected: str, found: str, do: str) -> _Told:
    return kind(problem, where=where, expected=expected, found=found, do=do)
