"""Finds the DICOM files of a folder and reads their headers; damaged files cannot make it use more memory."""

import hashlib
import io
import os
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from data_prep.dicom.header import EXPORT_AGAIN, UNREADABLE, fault_of, lacking_attribute, text_of, unusable
from hnscc.base.in_words import count_of

MAX_FILES = 100_000  # of one folder, those below it included
MAX_FILE_BYTES = 2**31 + 2**26  # bytes: a volume of 2 GiB and its header
SMALL_BYTES = 2**18  # bytes: a slice's file up to this size is read whole, which is faster than in pieces
SMALL_WITH_PIXELS_BYTES = 2**22  # bytes: the same, where all of it is wanted
MAX_AT_ONCE_BYTES = 2**28  # bytes of a folder that are read at once, its pixels with the headers
ENDINGS = (".dcm", ".ima")  # a file of such a name is DICOM, or damaged
DICOMDIR = "1.2.840.10008.1.3.10"
_PREAMBLE_BYTES = 128  # before the mark DICM: DICOM, part 10
_AT_ONCE_BYTES = 2**16  # bytes that may be asked for without checking how many are left

# What is read of a header. It has no texts that name a person or a place, or are a user's, except for the ids by which
# `hnscc scan` tells patients apart.
TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("PatientID", "Modality", "ImageType"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "NumberOfSlices"),
    *("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("AcquisitionNumber", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "ContentTime"),
    *("EchoTime", "EchoNumbers", "InversionTime", "TriggerTime", "TemporalPositionIdentifier"),
    *("DiffusionBValue", "FrameReferenceTime", "SeriesDate", "SeriesTime", "ActualFrameDuration"),
    "TimezoneOffsetFromUTC",
    *("Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientWeight", "PatientSize", "PatientSex"),
    "RadiopharmaceuticalInformationSequence",
    *("0x00090010", "0x0009100d", "0x70530010", "0x70531000", "0x70531009"),  # of GE and Philips, for SUV
)
PIXELS = ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")


@dataclass(frozen=True)
class Instance:
    """One DICOM file: its path, and what `TAGS` names of its header, perhaps with pixels. Neither may go into
    a text."""

    file: Path = field(repr=False)
    header: FileDataset = field(repr=False)


class _Bounded(io.BufferedReader):
    """A file that takes no more memory than it has bytes, since a damaged length may claim 4 GiB."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _AT_ONCE_BYTES:
            size = min(size, max(0, self._size - self.tell()))
        return super().read(size)


def is_dicom(path: Path) -> bool:
    """Return whether a file begins as DICOM does: with its mark, or with the first attributes where that is missing.

    It is False where the file cannot be opened.
    """
    try:
        return _begins(path)
    except OSError:
        return False


def _begins(path: Path) -> bool:
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe, which nothing may ever come out of
        raise OSError
    with path.open("rb") as file:
        head = file.read(_PREAMBLE_BYTES + 4)
    return head[_PREAMBLE_BYTES:] == b"DICM" or _without_mark(head)


def _is_lost(file: Path) -> bool:
    """Return whether a file is what a full disk or a broken copy leaves of a slice: empty, or zeros instead of
    the mark.

    Files of other kinds, which may be empty, have a word after the dot of their name; slices have none, or a number.
    """
    if file.suffix[1:].isalpha():
        return False
    with file.open("rb") as opened:
        head = opened.read(_PREAMBLE_BYTES + 4)
    return not head[:_PREAMBLE_BYTES].strip(b"\0") and b"DICM".startswith(
        head[_PREAMBLE_BYTES:].rstrip(b"\0")
    )


def _without_mark(head: bytes) -> bool:
    """Return whether a data set begins at once, as old programs write it: with group 8, in little endian."""
    if len(head) < 8:
        return False
    group, element = struct.unpack_from("<HH", head)
    return group == 8 and element in (0x00, 0x01, 0x05, 0x08, 0x12, 0x16, 0x18)


def instances_of(path: Path, where: str, *, pixels: bool = False) -> list[Instance]:
    """Return the DICOM files of a folder and of those below it, or the one file that `path` is, by name.

    With `pixels` their pixel data are read too, so that no file is read twice, unless the folder is too large for it.

    Other files are left out, and so are indices (DICOMDIR) and exact copies of an instance. InputError where a file or
    folder cannot be opened, which may hold slices; where a file that is named as DICOM is none, or one that is DICOM
    cannot be read; where two files that differ bear one SOPInstanceUID; and where there is none.
    """
    files, strange = dicom_files(path, where) if path.is_dir() else ([path], 0)
    if strange:
        raise unusable(
            "A file of the folder is empty, cannot be opened, or is named as DICOM and is none.",
            where,
            "whole DICOM files",
            f"{count_of(strange, 'that is a link', 'that are links')} to nothing, unreadable, empty or damaged",
            "Copy the series again; take files out that are no slices, empty ones too.",
        )
    at_once = pixels and sum(file.stat().st_size for file in files) <= MAX_AT_ONCE_BYTES
    tags = [*TAGS, *PIXELS] if at_once else TAGS
    found = [Instance(file, read_attributes(file, where, tags)) for file in files]
    instances = [each for each in found if text_of(each.header, "SOPClassUID", where) != DICOMDIR]
    if not instances:
        raise unusable(
            "The folder holds no DICOM file.",
            where,
            "the files of a series",
            "none",
            "Where the folder holds a file of another kind, such as NIfTI, name that file itself; else export or copy "
            "the series again, or take the scan out.",
        )
    return without_copies(instances, where)


def dicom_files(folder: Path, where: str) -> tuple[list[Path], int]:
    """Return the DICOM files of a folder and of those below it, by name, and how many others may hold slices. Links to
    folders are followed.

    These are files and folders that cannot be opened (a link to nothing, no right to read, a pipe), files that are
    named as DICOM and are none, and those that are empty or begin with zeros alone; hidden ones count for nothing.
    InputError where the folder holds more than MAX_FILES.
    """
    files: list[Path] = []
    closed: list[OSError] = []
    strange = 0
    for at, names in folders_below(folder, closed.append):
        for name in names:
            file = Path(at) / name
            found = _is_or_may_be(file)
            if found:
                files.append(file)
            elif found is None:
                strange += 1
        if len(files) > MAX_FILES:
            raise unusable(
                "The folder holds too many files.",
                where,
                f"at most {MAX_FILES} files",
                f"{len(files)} or more",
                "Name a folder below it, such as that of one scan.",
            )
    return sorted(files), strange + len(closed)


def folders_below(folder: Path, failed: Callable[[OSError], None]) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and all below it, linked ones too, each once, with the names of its files; links cannot make
    it loop."""
    seen: set[tuple[int, int]] = set()
    for at, below, names in os.walk(folder, onerror=failed, followlinks=True):
        known = Path(at).stat()
        if (known.st_dev, known.st_ino) in seen:
            below.clear()
        else:
            seen.add((known.st_dev, known.st_ino))
            yield at, names


def _is_or_may_be(file: Path) -> bool | None:
    """Return whether a file is DICOM; None where it should be by its name, lost its content, or cannot be opened, if
    not hidden."""
    try:
        if _begins(file):
            return True
        strange = file.suffix.lower() in ENDINGS or _is_lost(file)
    except OSError:
        strange = True
    return None if strange and not file.name.startswith(".") else False


def read_attributes(path: Path, where: str, tags: Sequence[str]) -> FileDataset:
    """Read those attributes of a file that `tags` names; InputError where it cannot be read."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise unusable(
                "A file is too large.",
                where,
                f"at most {MAX_FILE_BYTES} bytes",
                count_of(size, "byte"),
                "Crop or resample the volume that it holds, or take the file out of the folder.",
            )
        content = (
            path.read_bytes()
            if size <= (SMALL_WITH_PIXELS_BYTES if "PixelData" in tags else SMALL_BYTES)
            else None
        )
        with _Bounded(path) if content is None else io.BytesIO(content) as file:
            if _may_be_deflated(content) and _transfer_syntax(file) == DeflatedExplicitVRLittleEndian:
                raise unusable(
                    "A DICOM file is deflated as a whole (Deflated Explicit VR Little Endian).",
                    where,
                    "a plain data set, whose pixels may be compressed",
                    "a deflated one",
                    "Export it again as Explicit VR Little Endian, or take the scan out.",
                )
            file.seek(0)
            return dcmread(
                file, force=True, specific_tags=_tags(tuple(tags)), stop_before_pixels="PixelData" not in tags
            )
    except UNREADABLE as error:
        damaged = unusable(
            "A DICOM file cannot be read.",
            where,
            "whole, undamaged files",
            "one cut short or damaged",
            EXPORT_AGAIN,
        )
        raise fault_of(error, damaged) from None


@lru_cache
def _tags(names: tuple[str, ...]) -> list[BaseTag]:
    return [Tag(name) for name in names]


def _may_be_deflated(content: bytes | None) -> bool:
    """Return False where the name of that transfer syntax is nowhere in a file, so that its first group need not be
    read alone."""
    return content is None or DeflatedExplicitVRLittleEndian.encode() in content


def _transfer_syntax(file: _Bounded | io.BytesIO) -> str:
    """Return the transfer syntax by the file's first group; nothing else may be unpacked before it is known."""
    if file.read(_PREAMBLE_BYTES + 4)[_PREAMBLE_BYTES:] != b"DICM":
        return ""
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    return str(meta.get("TransferSyntaxUID", ""))


def without_copies(instances: Sequence[Instance], where: str) -> list[Instance]:
    """Return the instances, each once: a folder may hold a file twice, under two names.

    InputError where two files that differ bear one SOPInstanceUID, and where one bears none.
    """
    kept: dict[str, Instance] = {}
    for each in instances:
        uid = text_of(each.header, "SOPInstanceUID", where)
        if not uid:
            raise lacking_attribute("SOPInstanceUID", where)
        first = kept.setdefault(uid, each)
        if first is not each and _digest(first.file) != _digest(each.file):
            raise unusable(
                "Two files that differ bear one SOPInstanceUID.",
                where,
                "one file for each instance",
                "two",
                "Leave the one in the folder that is right, or export the series again.",
            )
    return list(kept.values())


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
