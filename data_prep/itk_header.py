"""The text before the values of an NRRD or MetaImage file, and whether the values behind it are whole.

SimpleITK takes compressed values that are damaged, fills in what a header does not say about space, and follows a
header to other files. What it must not be asked to read is refused here, before it.
"""

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

from hnscc.base.errors import InputError

MAX_HEADER = 2**22  # bytes: 3D Slicer writes every segment's name and colour there
_SPACES = (
    *("left-posterior-superior", "lps", "right-anterior-superior", "ras"),
    *("left-anterior-superior", "las"),
)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Header:
    """What the text before the values says, by its own words in small letters, and the byte at which they begin."""

    fields: dict[str, str]
    begin: int
    packed: bool


def read_header(path: Path, where: str) -> Header | None:
    """Return the header of an NRRD (.nrrd) or MetaImage (.mha) file; None where the file does not begin as one.

    InputError where the values are in another file or written in a way that is not read here, and where the header
    does not say how the volume lies in space, in mm.
    """
    with path.open("rb") as file:
        start = file.read(MAX_HEADER)
    return _nrrd(start, where) if path.name.lower().endswith(".nrrd") else _meta_image(start, where)


def check_whole(path: Path, header: Header, expected: int, where: str) -> None:
    """InputError unless the file holds `expected` bytes of values, undamaged as far as its compression can tell."""
    size = path.stat().st_size - header.begin
    held = _unpacked(path, header.begin, expected) if header.packed else size
    if held < expected:
        raise _refused(
            "The file is cut short or damaged.",
            where,
            f"{expected} bytes of values, as its header tells",
            f"{size} bytes behind the header that cannot be unpacked to them" if header.packed else f"{size}",
            "Copy, download or export the file again.",
        )


def _nrrd(start: bytes, where: str) -> Header | None:
    ends = [start.find(mark) + len(mark) for mark in (b"\n\n", b"\r\n\r\n") if mark in start]
    if not start.startswith(b"NRRD000") or not ends:
        return None
    lines = start[: min(ends)].decode("latin-1").splitlines()
    pairs = [line.split(": ", 1) for line in lines if ": " in line and not line.startswith("#")]
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
            "another encoding or a skip",
        )
    if fields.get("space", "").lower() not in _SPACES or "space directions" not in fields:
        raise _nowhere("a space of left or right, and space directions", where)
    units = fields.get("space units", '"mm"').replace('"', "").split()
    if any(unit not in ("mm", "millimeter", "millimeters", "none", "???") for unit in units):
        raise _refused("The header states lengths in another unit.", where, "mm", "another unit")
    return Header(fields, min(ends), encoding != "raw")


def _meta_image(start: bytes, where: str) -> Header | None:
    at = start.find(b"ElementDataFile")
    end = start.find(b"\n", at) + 1
    if b"=" not in start[:64] or at < 0 or not end:
        return None
    pairs = [line.split("=", 1) for line in start[:end].decode("latin-1").splitlines() if "=" in line]
    fields = {name.strip().lower(): value.strip() for name, value in pairs}
    if fields["elementdatafile"].upper() != "LOCAL":
        raise _detached(where)
    if fields.get("binarydata", "").lower() not in ("true", "1"):
        raise _refused("The values are written as text.", where, "BinaryData = True", "another way")
    if not {"transformmatrix", "rotation", "orientation"} & set(fields) or not (
        {"offset", "position", "origin"} & set(fields)
    ):
        raise _nowhere("TransformMatrix and Offset", where)
    if fields.get("distanceunits", "mm").lower() not in ("mm", "?"):
        raise _refused("The header states lengths in another unit.", where, "mm", "another unit")
    return Header(fields, end, fields.get("compresseddata", "").lower() in ("true", "1"))


def _unpacked(path: Path, begin: int, most: int) -> int:
    """How many bytes the values unpack to; 0 where they are damaged. No more is unpacked than a little over `most`."""
    held = 0
    try:
        with path.open("rb") as file:
            file.seek(begin)
            unzip, rest = zlib.decompressobj(47), file.read(_CHUNK)  # 47: gzip or zlib, as the data begin
            while rest and not unzip.eof and held <= most:
                held += len(unzip.decompress(rest, _CHUNK))
                rest = unzip.unconsumed_tail or file.read(_CHUNK)
    except zlib.error:
        return 0
    return held if unzip.eof or held > most else 0


def bytes_of(shape: tuple[int, ...], itemsize: int) -> int:
    """How many bytes an array takes, as a number of any size."""
    return math.prod(shape) * itemsize


def _detached(where: str) -> InputError:
    return _refused(
        "The values are in another file.",
        where,
        "one file that holds header and values (.nrrd, .mha)",
        "a header alone",
        "Save the volume as one file, for example as .nii.gz.",
    )


def _nowhere(expected: str, where: str) -> InputError:
    return _refused("The volume does not say how it lies in space.", where, expected, "nothing of the kind")


def _refused(problem: str, where: str, expected: str, found: str, do: str = "") -> InputError:
    do = do or "Export the volume again, for example as .nii.gz, or take the scan out."
    return InputError(problem, where=where, expected=expected, found=found, do=do)
