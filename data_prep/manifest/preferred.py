"""Chooses the file or region that a user means: the first whose name fits a pattern of `--prefer`."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from data_prep.dicom.regions import plain_name
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of


def fits_pattern(name: str, pattern: str) -> bool:
    """Return whether a name fits a pattern such as *T1_mask*, in any capitals and however accents are written."""
    return fnmatchcase(plain_name(name), plain_name(pattern))


def first_fitting(names: Sequence[str], prefer: Sequence[str]) -> str | None:
    """Return the first pattern that fits any of these names; None where none does."""
    return next((pattern for pattern in prefer if any(fits_pattern(name, pattern) for name in names)), None)


def check_prefer(names: Sequence[str], prefer: Sequence[str]) -> None:
    """Raise InputError where there are patterns and none of them fits a name.

    names: of files of images and masks, and of DICOM regions.
    """
    if prefer and first_fitting(names, prefer) is None:
        raise InputError(
            "Nothing is preferred.",
            where="--prefer",
            expected="a pattern that fits the name of a file of an image or a mask, or of a region of DICOM, such as "
            "'*T1_mask*'",
            found=f"{count_of(len(prefer), 'pattern')} and {count_of(len(names), 'name')}, and none fits",
            do="Correct the pattern; `hnscc scan FOLDER` lists the scans without it.",
        )
