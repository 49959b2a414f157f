"""Reads the headers of NRRD and MetaImage files and the values behind them, and refuses what SimpleITK must not read.

SimpleITK places the volume. But it accepts damaged compressed values, fills in what a header does not say about space,
and follows a header to other files.
"""

import math
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of, word_among

MAX_HEADER_BYTES = 2**22  # bytes: 3D Slicer writes the name and colour of every segment there
_SPACES = (
    *("left-posterior-superior", "lps", "right-anterior-superior", "ras"),
    *("left-anterior-superior", "las"),
)
# What a MetaImage header must say of space, each by one of its names; without it, SimpleITK takes a default.
_PLACE = (
    ("transformmatrix", "rotation", "orientation"),
    ("offset", "position", "origin"),
    ("elementspacing",),
)
_ORDER = ("binarydatabyteordermsb", "elementbyteordermsb")
# Names of MetaImage that an error may repeat; other names come from programs, and may be those of people.
_NAMES = (
    *(name for names in (*_PLACE, _ORDER) for name in names),
    *("objecttype", "ndims", "dimsize", "elementtype", "elementsize", "elementnumberofchannels"),
    *("binarydata", "compresseddata", "distanceunits", "anatomicalorientation", "centerofrotation"),
)
_CHUNK = 1 << 20
_ENCODINGS = ("raw", "gzip", "gz", "ascii", "text", "txt", "hex", "bzip2", "bz2")
_OTHER_UNITS = ("m", "cm", "um", "µm", "nm", "in", "meter", "centimeter", "micrometer", "pixels")
_OF_SEGMENT = re.compile(rb"(Segment\d+)_(Name|LabelValue):=(.*?)\r?", re.IGNORECASE)  # of 3D Slicer
_TRUE, _FALSE = ("true", "1"), ("false", "0")


@dataclass(frozen=True)
class Header:
    """At which byte the values begin, whether they are compressed, and whether their low bytes come first; None where
    the header does not say."""

    begin: int
    packed: bool
    little: bool | None


# Reads the header from the first bytes of a file; the text is how errors name the file.
HeaderOf = Callable[[bytes, str], Header | None]


# What a MetaImage header states, if anything, where the values begin after the header and are not scaled by factors or
# offsets, which ITK ignores.
_AS_THEY_STAND = {
    "HeaderSize": 0.0,
    "ElementToIntensityFunctionSlope": 1.0,
    "ElementToIntensityFunctionOffset": 0.0,
}


def read_itk_header(path: Path, header_of: HeaderOf, where: str) -> Header | None:
    """Return the header of a file, read by `header_of`; None where the file does not begin like one of that format.

    InputError is raised where the values are in another file or are written in a way that is not read here, and where
    the header does not say in mm how the volume lies in space.
    """
    with path.open("rb") as file:
        return header_of(file.read(MAX_HEADER_BYTES), where)


def segment_names(path: Path) -> dict[int, str]:
    """Return the names of the segments in a .seg.nrrd of 3D Slicer by their labels; empty for other files.

    Slicer numbers segments as they were made, so that one lesion may have another label in each scan. A segment without
    a label is the only one, which older versions wrote as 1.
    """
    with path.open("rb") as file:
        header = file.read(MAX_HEADER_BYTES).partition(b"\n\n")[0]
    told: dict[bytes, dict[bytes, str]] = {}
    for line in header.split(b"\n") if header.startswith(b"NRRD000") else ():
        if found := _OF_SEGMENT.fullmatch(line):
            told.setdefault(found[1].lower(), {})[found[2].lower()] = found[3].decode("utf-8", "replace")
    labels = {each.get(b"labelvalue", "1"): each[b"name"] for each in told.values() if b"name" in each}
    return {int(label): name for label, name in labels.items() if label.isdecimal()}


def read_values(path: Path, header: Header, dtype: str, count: int, where: str) -> NDArray[np.generic]:
    """Return `count` values, (count,), of the number type `dtype` (such as i2), in the order of the file.

    InputError is raised unless the file holds exactly so many, undamaged as far as its compression can tell, and says
    in which order the bytes of a number come, if it has several.
    """
    number = np.dtype((">" if header.little is False else "<") + dtype)
    if header.little is None and number.itemsize > 1:
        raise _refused(
            "The header does not say in which order the bytes of a number stand.",
            where,
            "endian: little or big (NRRD), BinaryDataByteOrderMSB = True or False (MetaImage)",
            f"numbers of {count_of(number.itemsize, 'byte')}, in either order",
        )
    expected = number.itemsize * count
    with path.open("rb") as file:
        file.seek(header.begin)
        held = path.stat().st_size - header.begin
        content = _unpacked(file, expected) if header.packed else file.read(expected)
    if len(content) < expected or (held != expected and not header.packed):
        raise _refused(
            "The file is cut short or damaged, or its header is another file's.",
            where,
            f"{count_of(expected, 'byte')} of values, as its header tells",
            "fewer or more, or compressed ones that are no more whole" if header.packed else f"{held}",
            "Copy, download or export the file again.",
        )
    return np.frombuffer(content, number, count)


def nrrd_header(start: bytes, where: str) -> Header | None:
    """Return the header of an NRRD file from its first bytes; None and InputError are as in `read_itk_header`."""
    ends = [start.find(mark) + len(mark) for mark in (b"\n\n", b"\r\n\r\n") if mark in start]
    if not start.startswith(b"NRRD000") or not ends:
        return None
    lines = start[: min(ends)].decode("latin-1").splitlines()
    pairs = [line.split(": ", 1) for line in lines if ": " in line]
    fields = {name.strip().lower(): value.strip() for name, value in pairs}
    if {"data file", "datafile"} & set(fields):
        raise _detached(where)
    encoding = fields.get("encoding", "").lower()
    skips = any(fields.get(name, "0") != "0" for name in ("line skip", "lineskip", "byte skip", "byteskip"))
    if encoding not in ("raw", "gzip", "gz") or skips:
        raise _refused(
            "The values are written in a way that is not read.",
            where,
            "encoding raw or gzip, without a skip",
            f"encoding {word_among(encoding, _ENCODINGS)}{', with a skip' if skips else ''}",
        )
    if fields.get("space", "").lower() not in _SPACES or not {"space directions", "space origin"} <= set(
        fields
    ):
        raise _nowhere("a space of left or right, space directions and space origin", where)
    for unit in fields.get("space units", '"mm"').replace('"', "").split():
        if unit not in ("mm", "millimeter", "millimeters", "none", "???"):
            raise _not_in_mm(unit, where)
    # Written where numbers were rounded to whole ones to save space.
    for name in ("old min", "oldmin", "old max", "oldmax"):
        if name in fields:
            raise _other_values(
                name, f"no {name}", "another range than that of the numbers in the file", where
            )
    little = {"little": True, "big": False}.get(fields.get("endian", "").lower())
    return Header(min(ends), encoding != "raw", little)


def meta_image_header(start: bytes, where: str) -> Header | None:
    """Return the header of a MetaImage file from its first bytes; None and InputError are as in `read_itk_header`."""
    at = start.find(b"ElementDataFile")
    end = start.find(b"\n", at) + 1
    if b"=" not in start[:64] or at < 0 or not end:
        return None
    pairs = [line.split("=", 1) for line in start[:end].decode("latin-1").splitlines() if "=" in line]
    fields = {name.strip().lower(): value.strip() for name, value in pairs}
    _check_once(pairs, where)
    if fields.get("elementdatafile", "").upper() != "LOCAL":
        raise _detached(where)
    if fields.get("binarydata", "").lower() not in _TRUE:
        found = word_among(fields.get("binarydata", "").lower(), _FALSE)
        raise _refused("The values are written as text.", where, "BinaryData = True", found)
    if not all(set(names) & set(fields) for names in _PLACE):
        raise _nowhere("TransformMatrix, Offset and ElementSpacing", where)
    unit = fields.get("distanceunits", "mm").lower()
    if unit not in ("mm", "?"):
        raise _not_in_mm(unit, where)
    for name, usual in _AS_THEY_STAND.items():
        stated = _number(fields.get(name.lower(), ""), usual)
        if stated != usual:
            raise _other_values(name, f"{name} = {usual:g}, or none", f"{stated:g}", where)
    packed = fields.get("compresseddata", "").lower() in _TRUE
    order = next((fields[name] for name in _ORDER if name in fields), "").lower()
    little = None if order not in (*_TRUE, *_FALSE) else order in _FALSE
    return Header(end, packed, little)


def _check_once(pairs: list[list[str]], where: str) -> None:
    """Raise InputError where a MetaImage header states one thing twice, under the same or different names, with
    different values.

    Programs may take either, so it is unclear where the volume lies. pairs: name and value, line by line.
    """
    first_name = {name: names[0] for names in (*_PLACE, _ORDER) for name in names}
    stated: dict[str, list[float] | str] = {}
    for name, value in pairs:
        thing = name.strip().lower()
        values = [_number(word, math.nan) for word in value.split()]
        as_said = value.strip().lower() if any(map(math.isnan, values)) else values
        if stated.setdefault(first_name.get(thing, thing), as_said) != as_said:
            called = name.strip() if thing in _NAMES else "each"
            raise _refused(
                "The header states one thing twice, and not alike.",
                where,
                f"{called} once, by whichever of its names",
                "two values",
            )


def _unpacked(file: BinaryIO, expected: int) -> bytes:
    """Return the remaining values of a file, unpacked; b"" where they are damaged, or more or fewer than expected."""
    pieces, held = [], 0
    unzip, rest = zlib.decompressobj(47), file.read(_CHUNK)  # 47: gzip or zlib, whichever the data begin with
    try:
        while rest and not unzip.eof and held <= expected:
            pieces.append(unzip.decompress(rest, _CHUNK))
            held += len(pieces[-1])
            rest = unzip.unconsumed_tail or file.read(_CHUNK)
    except zlib.error:
        return b""
    return b"".join(pieces) if unzip.eof and held == expected else b""


def _number(text: str, usual: float) -> float:
    """Return the number that a header states: the usual one where it states none, NaN where the text is not
    a number."""
    try:
        return float(text) if text else usual
    except ValueError:
        return math.nan


def _other_values(name: str, expected: str, found: str, where: str) -> InputError:
    return _refused(
        f"The header's {name} makes other values of those in the file.",
        where,
        expected,
        found,
        "Save the volume again with 3D Slicer or SimpleITK, and check its values, or take the scan out.",
    )


def _detached(where: str) -> InputError:
    return _refused(
        "The values are in another file.",
        where,
        "one file that holds header and values (.nrrd, .mha)",
        "a header alone",
        "Save the volume as one file, for example as .nii.gz.",
    )


def _not_in_mm(unit: str, where: str) -> InputError:
    return _refused(
        "The header states lengths that are not in mm.", where, "mm", word_among(unit, _OTHER_UNITS)
    )


def _nowhere(expected: str, where: str) -> InputError:
    return _refused("The volume does not say how it lies in space.", where, expected, "not all of it")


def _refused(problem: str, where: str, expected: str, found: str, do: str = "") -> InputError:
    do = do or "Export the volume again, for example as .nii.gz, or take the scan out."
    return InputError(problem, where=where, expected=expected, found=found, do=do)
