"""Looks for planted identifiers in every byte that was written: plain or compressed, in the texts of pictures, and
in names."""

import base64
import binascii
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import zarr
from identifiers import BIRTH, MARK, STUDY, UID, place_of
from PIL import Image

_EMBEDDED = re.compile(rb"base64,([A-Za-z0-9+/=\s]+)")


def _in_utf_16(text: str) -> bytes:
    """Return a pattern of the text in UTF-16 of either byte order, without the zero at its end."""
    return re.escape(b"\0".join(bytes([each]) for each in text.lower().encode()))


# Texts are found in UTF-8 and latin-1, which write them alike, and in UTF-16. Digits within longer numbers are no date.
_ROOT = ".".join(UID.split(".")[-2:])
_TEXTS, _DATES = [MARK.lower(), _ROOT], [BIRTH, STUDY]
_MARKED = re.compile(
    b"|".join(
        [
            *(re.escape(each.encode()) for each in _TEXTS),
            *map(_in_utf_16, _TEXTS),
            *(rb"(?<![\d.])%s-?%s-?%s(?!\d)" % (d[:4], d[4:6], d[6:]) for d in map(str.encode, _DATES)),
            *(rb"(?<![\d.]\0)%s(?!\0\d)" % _in_utf_16(each) for each in _DATES),
        ]
    )
)


def found_in(content: bytes) -> set[str]:
    """Return the places whose identifiers stand in these bytes, also unpacked; "a UID" and "a date" for those."""
    return {place for layer in _layers(content) for place in _marked(layer)}


def found_below(folder: Path) -> dict[str, set[str]]:
    """Return what `found_in` finds in every file and folder below one, their names included, by the path within. A path
    where nothing is found is left out."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        within = str(path.relative_to(folder))
        places = found_in(path.name.encode())
        if path.is_symlink():
            places |= found_in(str(path.readlink()).encode())
        elif path.is_file():
            places |= found_in(path.read_bytes())
        elif path.suffix == ".zarr":
            places |= {place for values in _arrays(path) for place in _marked(values)}
        if places:
            found[within] = places
    return found


def _marked(content: bytes) -> set[str]:
    lower, found = content.lower(), set()
    for match in _MARKED.finditer(lower):
        text = match[0].replace(b"\0", b"").decode()
        if text == MARK.lower():
            number = lower[match.end() : match.end() + 8].replace(b"\0", b"")[:3]
            found.add(place_of(int(number)) if number.isdigit() else "a part of a text")
        else:
            found.add("a UID" if text == _ROOT else "a date")
    return found


def _layers(content: bytes) -> Iterator[bytes]:
    """Yield the bytes, and those that are packed in them, to any depth."""
    yield content
    for inner in _unpacked(content):
        yield from _layers(inner)


def _unpacked(content: bytes) -> Iterator[bytes]:
    if content.startswith(b"\x1f\x8b"):
        # the bytes that can still be unpacked from a damaged file count too
        unpacker = zlib.decompressobj(wbits=31)
        try:
            yield unpacker.decompress(content)
        except zlib.error:
            return
    elif content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for each in packed.infolist():
                yield each.filename.encode()
                yield packed.read(each)
    elif content.startswith(b"PAR1"):
        table = pq.read_table(io.BytesIO(content))
        yield repr((table.schema.metadata, table.to_pydict())).encode()
    elif content.startswith(b"\x89PNG"):
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            yield repr(picture.info).encode()
    for embedded in _EMBEDDED.findall(content):
        try:
            yield base64.b64decode(embedded)
        except binascii.Error:
            continue


def _arrays(store: Path) -> Iterator[bytes]:
    """Yield the decoded values of every array of a Zarr hierarchy."""
    for described in store.rglob("zarr.json"):
        if json.loads(described.read_text())["node_type"] == "array":
            yield np.asarray(zarr.open_array(described.parent, mode="r")[...]).tobytes()
