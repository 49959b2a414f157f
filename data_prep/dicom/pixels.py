"""Reads the stored values of slices: decodes them, checks that they are complete, and scales them slice by slice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from data_prep.dicom.header import (
    EXPORT_AGAIN,
    UNREADABLE,
    check_grey,
    fault_of,
    lacking_attribute,
    unusable,
    value_of,
    whole_number,
)
from data_prep.dicom.instances import PIXELS, read_attributes
from data_prep.dicom.jpeg import Coded, decode_jpeg
from data_prep.dicom.slices import MAX_FRAMES, MAX_SIDE, Slice
from hnscc.base.arrays import Integers
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of

AS_THEY_ARE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
PLAIN = (*AS_THEY_ARE, ExplicitVRBigEndian)
# Which decoder is used for which compression; one each, since another may accept what the first refuses as damaged.
DECODERS = {
    RLELossless: "pydicom",
    **dict.fromkeys((JPEG2000, JPEG2000Lossless, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL), "pylibjpeg"),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "pyjpegls"),
}
JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)  # by GDCM (data_prep.dicom.jpeg)
_TAGS = (
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", *PIXELS),
)
_ITEM = b"\xfe\xff\x00\xe0"  # the tag that begins an item of encapsulated pixels
_END = b"\xff\xd9"  # of a JPEG or JPEG 2000 code stream


def values_of_slices(ordered: Sequence[Slice], where: str) -> NDArray[np.float32]:
    """Return the values of slices of one size, (x, y, z), z in the order given, in the unit of values to which their
    slopes and intercepts bring them, such as HU.

    InputError where pixels are missing, cut short, damaged, of an unknown compression, or no grey values.
    """
    values = np.empty((ordered[0].columns, ordered[0].rows, len(ordered)), np.float32, order="F")
    for z, stored in _stored_values(ordered, where):
        scaled = stored.astype(np.float64)
        scaled *= ordered[z].slope
        scaled += ordered[z].intercept
        values[:, :, z] = scaled.T
    return values


def _stored_values(ordered: Sequence[Slice], where: str) -> Iterator[tuple[int, NDArray[np.integer]]]:
    """Yield the position of each slice in the volume and its stored values (rows, columns); JPEG comes last, all
    at once."""
    jpeg: list[tuple[int, Coded]] = []
    for file, wanted in _by_file(ordered).items():
        header = ordered[wanted[0][0]].groups[-1]
        whole = _whole(header if "PixelData" in header else read_attributes(file, where, _TAGS), where)
        if whole.syntax in JPEG:
            jpeg += [(z, _coded(whole, frame)) for z, frame in wanted]
        else:
            yield from ((z, _decoded(whole, frame, where)) for z, frame in wanted)
    if jpeg:
        decoded = decode_jpeg([coded for _, coded in jpeg], where)
        if decoded is None:
            raise _damaged(where)
        for (z, coded), pixels in zip(jpeg, decoded, strict=True):
            yield z, _significant(pixels, coded.stored, coded.signed)


def _by_file(ordered: Sequence[Slice]) -> dict[Path, list[tuple[int, int]]]:
    """Return, for each file, the positions in the volume and the frames of its slices, in the order of the frames."""
    found: dict[Path, list[tuple[int, int]]] = {}
    for z, each in enumerate(ordered):
        found.setdefault(each.file, []).append((z, each.frame))
    return {file: sorted(wanted, key=lambda pair: pair[1]) for file, wanted in found.items()}


@dataclass(frozen=True)
class _Whole:
    """A file with all of its pixels: its header with them, and its frames where they are compressed."""

    header: Dataset
    syntax: UID
    shape: tuple[int, int]
    frames: list[bytes]


def _whole(header: Dataset, where: str) -> _Whole:
    shape = (
        whole_number(header, "Rows", 1, MAX_SIDE, where),
        whole_number(header, "Columns", 1, MAX_SIDE, where),
    )
    _check_kind(header, where)
    if value_of(header, "PixelData", where) is None:
        raise lacking_attribute("PixelData", where)
    syntax = _syntax(header, where)
    return _Whole(header, syntax, shape, _frames_of(header, syntax, shape, where))


def _coded(whole: _Whole, frame: int) -> Coded:
    bits = {
        name: int(whole.header[name].value) for name in ("BitsAllocated", "BitsStored", "PixelRepresentation")
    }
    return Coded(whole.frames[frame], str(whole.syntax), *whole.shape, *bits.values())


def _decoded(whole: _Whole, frame: int, where: str) -> NDArray[np.integer]:
    """Return the stored numbers (rows, columns) of one frame, counted from 0. InputError where they cannot
    be decoded."""
    stored, signed = int(whole.header.BitsStored), int(whole.header.PixelRepresentation)
    if whole.syntax in AS_THEY_ARE:  # complete, too; pydicom's decoder would take as long as all the rest
        kind = np.dtype(f"<{'i' if signed else 'u'}{int(whole.header.BitsAllocated) // 8}")
        size = whole.shape[0] * whole.shape[1]
        plain = np.frombuffer(whole.header.PixelData, kind, size, frame * size * kind.itemsize)
        return _significant(plain.reshape(whole.shape), stored, signed)
    try:
        pixels, _ = get_decoder(whole.syntax).as_array(
            whole.header, raw=True, index=frame, decoding_plugin=DECODERS.get(whole.syntax, "")
        )
    except UNREADABLE as error:
        raise fault_of(error, _damaged(where)) from None
    if pixels.shape != whole.shape:
        raise _damaged(where)
    return _significant(pixels, stored, signed)


def _syntax(header: Dataset, where: str) -> UID:
    """Return the transfer syntax; where the file states none, the default of old files without a first group."""
    meta = getattr(header, "file_meta", None)
    syntax = UID(str(meta.get("TransferSyntaxUID", "") if meta is not None else ""))
    if not syntax:
        syntax = ImplicitVRLittleEndian if header.original_encoding[0] else ExplicitVRLittleEndian
        header.file_meta.TransferSyntaxUID = syntax
    if syntax not in (*PLAIN, *DECODERS, *JPEG):
        name = "an unknown one" if syntax.name == syntax else syntax.name
        raise unusable(
            "The pixels are compressed in a way that is not read here.",
            where,
            "plain pixels, RLE, JPEG, JPEG-LS or JPEG 2000",
            name,
            "Decompress the files, for example with gdcmconv --raw or dcmdjpeg, or export them again.",
        )
    return syntax


def _check_kind(header: Dataset, where: str) -> None:
    """Raise InputError unless the pixels are grey values in whole numbers."""
    check_grey(header, where)
    whole_number(header, "SamplesPerPixel", 1, 1, where)
    whole_number(header, "PixelRepresentation", 0, 1, where)
    allocated = whole_number(header, "BitsAllocated", 8, 32, where)
    stored = whole_number(header, "BitsStored", 1, allocated, where)
    high = whole_number(header, "HighBit", 0, allocated - 1, where)
    if allocated not in (8, 16, 32) or high != stored - 1:
        raise unusable(
            "The pixels are packed in an unusual way.",
            where,
            "8, 16 or 32 bits, HighBit one below BitsStored",
            f"{allocated} bits, HighBit {high}, BitsStored {stored}",
            "Convert it to NIfTI, or take the scan out.",
        )


def _frames_of(header: Dataset, syntax: UID, shape: tuple[int, int], where: str) -> list[bytes]:
    """Return the compressed frames; an empty list where pixels are not compressed.

    InputError is raised unless there are as many bytes, or complete compressed frames, as the header says.
    """
    frames = _frames(header, where)
    data: bytes = header.PixelData
    if syntax in PLAIN:
        needed = shape[0] * shape[1] * frames * (int(header.BitsAllocated) // 8)
        if len(data) not in (needed, needed + needed % 2):
            raise unusable(
                "The pixel data are cut short, or do not fit the size of the slice.",
                where,
                count_of(needed, "byte"),
                count_of(len(data), "byte"),
                EXPORT_AGAIN,
            )
        return []
    if not _ends_with_its_items(data):
        raise _damaged(where)
    try:
        pieces = list(generate_frames(data, number_of_frames=frames, extended_offsets=_offsets(header)))
    except UNREADABLE as error:
        raise fault_of(error, _damaged(where)) from None
    if len(pieces) != frames:
        raise unusable("Compressed frames are missing.", where, f"{frames}", f"{len(pieces)}", EXPORT_AGAIN)
    for piece in pieces if syntax != RLELossless else ():
        if not piece.rstrip(b"\0").endswith(_END) or coded_size(piece) != shape:
            raise _damaged(where)
    return pieces


def _ends_with_its_items(encapsulated: bytes) -> bool:
    """Return whether the lengths of the items add up to the bytes that are there; a decoder of RLE does not notice a
    byte missing in the middle, since those after it move up."""
    at = 0
    while at + 8 <= len(encapsulated):
        tag, length = encapsulated[at : at + 4], int.from_bytes(encapsulated[at + 4 : at + 8], "little")
        if tag != _ITEM:
            return False
        at += 8 + length
    return at == len(encapsulated)


def _offsets(header: Dataset) -> tuple[bytes, bytes] | None:
    offsets, lengths = header.get("ExtendedOffsetTable"), header.get("ExtendedOffsetTableLengths")
    return (offsets, lengths) if offsets and lengths else None


def _frames(header: Dataset, where: str) -> int:
    if value_of(header, "NumberOfFrames", where) is None:
        return 1
    return whole_number(header, "NumberOfFrames", 1, MAX_FRAMES, where)


def coded_size(stream: bytes) -> tuple[int, int] | None:
    """Return rows and columns as a JPEG, JPEG-LS or JPEG 2000 code stream states them; None where it states none.

    A decoder takes memory for that size before it looks at the rest.
    """
    if stream.startswith(b"\xff\x4f\xff\x51") and len(stream) >= 24:
        x, y, left, top = (int.from_bytes(stream[at : at + 4], "big") for at in (8, 12, 16, 20))
        return y - top, x - left
    at = 2
    while stream.startswith(b"\xff\xd8") and at + 9 <= len(stream) and stream[at] == 0xFF:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a byte of padding before a marker
            at += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = (int.from_bytes(stream[at + each : at + each + 2], "big") for each in (5, 7))
            return rows, columns
        else:
            at += 2 + length
    return None


def _significant(pixels: NDArray[np.generic], stored: int, signed: int) -> NDArray[np.integer]:
    """Return the stored bits with their sign, without what old files keep in the bits above (overlays). pixels: stored
    numbers of any shape, which the result has too."""
    if stored == 8 * pixels.itemsize and pixels.dtype.kind == ("i" if signed else "u"):
        return np.asarray(pixels)  # there are no bits above; most PET
    values: Integers = pixels.astype(np.int64) & ((1 << stored) - 1)
    return np.where(values >> (stored - 1), values - (1 << stored), values) if signed else values


def _damaged(where: str) -> InputError:
    return unusable(
        "The compressed pixels of a slice cannot be decoded.",
        where,
        "whole, undamaged pixels of the size that the header states",
        "cut short or damaged ones",
        EXPORT_AGAIN,
    )
