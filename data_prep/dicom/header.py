"""Reads values of DICOM attributes and checks them; errors name the attribute, and only numbers that are not
the patient's.

They repeat no text of a file except words that DICOM defines, since any other may be, or contain, a name.
"""

import contextlib
import hashlib
import logging
import math
import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from pydicom.dataset import Dataset, PrivateBlock
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import Tag

from data_prep.volumes.volume import Whose
from hnscc.base.environment import WhileNeeded
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of, word_among

# What pydicom and its decoders raise on files that are cut short, damaged, or not what they say they are.
UNREADABLE = (
    InvalidDicomError,
    BytesLengthException,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
WHOSE_TAGS = ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID")
# What to do where the file is damaged or lacks something; not where a copy would be the same.
EXPORT_AGAIN = "Export or copy the series again, from the scanner or the archive, or take the scan out."
# What else PhotometricInterpretation may say.
_COLOURS = (
    *("MONOCHROME1", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT"),
    *("YBR_RCT", "XYB"),
)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    logging_before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging_before)


_SILENCE = WhileNeeded(_silence)


def quiet() -> contextlib.AbstractContextManager[None]:
    """Keep pydicom with its decoders, and nibabel, from warning or logging within a `with` block, since they quote
    the file.

    The public modules of this package (series_volume, mask_files, series_in_folder) do this themselves; who calls its
    parts must do it first.
    """
    return _SILENCE


_tag = lru_cache(Tag)


def value_of(header: Dataset, keyword: str, where: str) -> Any:
    """Return what the attribute holds, None where it is missing or empty; InputError where it cannot be decoded."""
    try:
        tag = _tag(keyword)  # pydicom takes four times as long to report a missing attribute by name
        value = header[tag].value if tag in header else None
        empty = value is None or (hasattr(value, "__len__") and len(value) == 0)
    except UNREADABLE as error:
        raise fault_of(error, _undecodable(f"attribute {keyword}", where)) from None
    return None if empty else value


def exact_text_of(header: Dataset, keyword: str, where: str) -> str:
    """Return the attribute's text as it stands, without outer blanks, several values with backslashes between.

    "" where there is none. For what is compared with other texts than a file's, such as PatientID.
    """
    value = value_of(header, keyword, where)
    if value is None:
        return ""
    several = not isinstance(value, (str, bytes)) and isinstance(value, Sequence)
    return ("\\".join(str(each) for each in value) if several else str(value)).strip()


def text_of(header: Dataset, keyword: str, where: str) -> str:
    """Return the attribute's text in capitals, several values with backslashes between; "" where there is none."""
    return exact_text_of(header, keyword, where).upper()


def maybe_numbers(header: Dataset, keyword: str, count: int, where: str) -> tuple[float, ...] | None:
    """Return `count` finite numbers, None where the attribute is missing or empty.

    InputError where it holds another number of them, or something else.
    """
    value = value_of(header, keyword, where)
    if value is None:
        return None
    several = not isinstance(value, (str, bytes)) and isinstance(value, Sequence)
    try:
        numbers = tuple(float(each) for each in (value if several else [value]))
    except (TypeError, ValueError, OverflowError):
        raise _unusable_numbers(keyword, where, count, "text that is no number") from None
    finite = sum(map(math.isfinite, numbers))
    if len(numbers) != count or finite != count:
        infinite = f", {len(numbers) - finite} of them infinite or NaN" if finite < len(numbers) else ""
        raise _unusable_numbers(keyword, where, count, count_of(len(numbers), "number") + infinite)
    return numbers


def _unusable_numbers(keyword: str, where: str, count: int, found: str) -> InputError:
    return unusable(
        f"The attribute {keyword} is unusable.", where, count_of(count, "finite number"), found, EXPORT_AGAIN
    )


def numbers_of(
    header: Dataset, keyword: str, count: int, where: str, do: str = EXPORT_AGAIN
) -> tuple[float, ...]:
    """Return `count` finite numbers; InputError where the attribute is missing, empty or holds something else.

    do: what to do where it is missing.
    """
    numbers = maybe_numbers(header, keyword, count, where)
    if numbers is None:
        raise lacking_attribute(keyword, where, do)
    return numbers


def whole_number(header: Dataset, keyword: str, least: int, most: int, where: str) -> int:
    """Return a whole number of that range; InputError where the attribute does not hold one."""
    (number,) = numbers_of(header, keyword, 1, where)
    if number != int(number) or not least <= number <= most:
        raise unusable(
            f"The attribute {keyword} is out of range.",
            where,
            f"a whole number from {least} to {most}",
            f"{number:.10g}",
            EXPORT_AGAIN,
        )
    return int(number)


def whose_is(header: Dataset, where: str) -> Whose:
    """Return whose a file of DICOM says it is, as digests of WHOSE_TAGS."""
    texts = (exact_text_of(header, keyword, where) for keyword in WHOSE_TAGS)
    return Whose(*(hashlib.sha256(text.encode()).hexdigest() if text else "" for text in texts))


def first_item(header: Dataset, keyword: str, where: str) -> Dataset | None:
    """Return the first item of a sequence, None where the sequence is missing or empty."""
    value = value_of(header, keyword, where)
    return value[0] if isinstance(value, Sequence) and isinstance(value[0], Dataset) else None


def lacking_attribute(keyword: str, where: str, do: str = EXPORT_AGAIN) -> InputError:
    """Return the error of an attribute that is needed and not there."""
    return unusable(f"The attribute {keyword} is missing.", where, "a value", "none", do)


def unusable(problem: str, where: str, expected: str, found: str, do: str) -> InputError:
    """Return the error of a DICOM file or series that cannot be used; `do` is EXPORT_AGAIN where it is damaged."""
    return InputError(problem, where=where, expected=expected, found=found, do=do)


def fault_of(error: Exception, damaged: InputError) -> InputError:
    """Return what to report of a file that raised one of UNREADABLE: `damaged`, unless memory ran out or the disk
    denied access."""
    if isinstance(error, MemoryError):
        return unusable(
            "Memory ran out over a file.",
            damaged.where,
            "memory for what the file holds, or states that it holds",
            "too little",
            "Use fewer --workers or give more memory; if that does not help, export the file again.",
        )
    if isinstance(error, OSError) and error.errno:
        return unusable(
            "A file cannot be read.",
            damaged.where,
            "a file that the system lets be read",
            f"no access ({os.strerror(error.errno)})",
            "Let the file be read, or copy it again.",
        )
    return damaged


def check_groups(header: Dataset, groups: Sequence[Any], most: int, where: str) -> None:
    """Raise InputError unless each frame has its functional groups, and there are at most so many frames."""
    count = whole_number(header, "NumberOfFrames", 1, most, where)
    if len(groups) != count:
        problem = "The functional groups do not fit the frames."
        raise unusable(problem, where, count_of(count, "item"), f"{len(groups)}", EXPORT_AGAIN)


def check_grey(header: Dataset, where: str) -> None:
    """Raise InputError unless the pixels are plain grey values."""
    kind = text_of(header, "PhotometricInterpretation", where)
    if kind != "MONOCHROME2":
        raise unusable(
            "The pixels are no plain grey values.",
            where,
            "MONOCHROME2",
            word_among(kind, _COLOURS),
            "Name the series of the images themselves, not of pictures of them, or take the scan out.",
        )


def private_value(header: Dataset, creator: tuple[int, str], element: int, where: str) -> Any:
    """Return what stands in a vendor's private attribute, None where it is missing.

    InputError where it cannot be decoded.
    """
    group = creator[0]
    try:
        block = _private_block(header, creator)
        return block[element].value if block is not None and element in block else None
    except UNREADABLE as error:
        raise fault_of(
            error, _undecodable(f"private attribute {private_name(group, element)}", where)
        ) from None


def _undecodable(what: str, where: str) -> InputError:
    found = "bytes that cannot be decoded as one"
    return unusable(f"The {what} cannot be read.", where, "a value of its type", found, EXPORT_AGAIN)


def _private_block(header: Dataset, creator: tuple[int, str]) -> PrivateBlock | None:
    try:
        return header.private_block(*creator)
    except KeyError:  # so pydicom says that there is none
        return None


def private_name(group: int, element: int) -> str:
    """Return how a private attribute is named in errors, in the first block of its group."""
    return f"({group:04x},10{element:02x})"


def check_range(
    keyword: str, value: float, least: float, most: float, unit: str, where: str, do: str = EXPORT_AGAIN
) -> None:
    """Raise InputError where a value, which is in `unit`, is outside of what is possible; a patient's value is
    not repeated."""
    if not least <= value <= most:
        of_patient = keyword.startswith("Patient")
        raise unusable(
            f"The attribute {keyword} is out of range.",
            where,
            f"{least:g} to {most:g} {unit}",
            "another value" if of_patient else f"{value:.4g} {unit}",
            do,
        )
