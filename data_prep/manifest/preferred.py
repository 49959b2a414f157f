"""Which of several files that may be meant is: those whose names fit the patterns of `--prefer`."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol, TypeVar

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of


class _File(Protocol):
    @property
    def path(self) -> Path: ...

    @property
    def column(self) -> str: ...


File = TypeVar("File", bound=_File)


def preferred(files: Sequence[File], prefer: Sequence[str]) -> list[File]:
    """Return of several files those that the first pattern that fits any of them fits, else all of them."""
    for pattern in prefer if len(files) > 1 else ():
        fitting = [each for each in files if _fits(each.path.name, pattern)]
        if fitting:
            return fitting
    return list(files)


def check_prefer(files: Iterable[_File], prefer: Sequence[str]) -> None:
    """InputError where there are patterns, and none of them fits the name of a file of an image or a mask."""
    names = [each.path.name for each in files if each.column]
    if prefer and not any(_fits(name, pattern) for name in names for pattern in prefer):
        raise InputError(
            "No file is preferred.",
            where="--prefer",
            expected="a pattern that fits the name of a file of an image or a mask, such as '*T1_mask*'",
            found=f"{count_of(len(prefer), 'pattern')} and {count_of(len(names), 'file')}, and none fits",
            do="Correct the pattern; `hnscc scan FOLDER` lists the scans without it.",
        )


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name.casefold(), pattern.casefold())
