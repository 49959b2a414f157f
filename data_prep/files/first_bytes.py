"""Says, by its first bytes and its size, what a file really is that cannot be read as a volume."""

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of

# A volume of 2 GiB and its header; data that unpack to more are not unpacked to the end.
MAX_UNPACKED_BYTES = 2**31 + 2**26
HEAD_BYTES = 1024  # bytes that tell what a file is
_COPY = "Copy, download or export the file again."
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Cause:
    """What was found instead of a volume, and what to do about it, in the words of an error."""

    found: str
    do: str


NRRD = Cause("an NRRD file", "Convert it to NIfTI, or give it the ending .nrrd.")
META_IMAGE = Cause("a MetaImage file", "Convert it to NIfTI, or give it the ending .mha.")
# First bytes of files, what such files are, and what to do where a volume was expected.
_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer, which stands for the file", "Fetch it: `git lfs pull`."),
    (b"/annex/objects/", "a git-annex pointer, which stands for the file", "Fetch it: `git annex get`."),
    (
        (b"<!doctype html", b"<html", b"<head", b"<!--"),
        "a web page (HTML)",
        "Download the file again: the server sent a page, such as a login or an error, in its place.",
    ),
    (
        (b"<?xml", b"<error"),
        "an XML text",
        "Download the file again: the server may have sent an error in its place.",
    ),
    (b"PK\x03\x04", "a zip archive", "Unpack it."),
    (b"BZh", "data compressed with bzip2", "Unpack it with bunzip2."),
    (b"\xfd7zXZ\x00", "data compressed with xz", "Unpack it with unxz."),
    (b"\x28\xb5\x2f\xfd", "data compressed with zstd", "Unpack it with unzstd."),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it."),
    (b"Rar!", "a RAR archive", "Unpack it."),
    (b"NRRD000", *astuple(NRRD)),
    (b"ObjectType", *astuple(META_IMAGE)),
    ((b"\x89HDF", b"CDF\x01", b"CDF\x02"), "an HDF5, MINC or netCDF file", "Convert it to NIfTI."),
    (b"MATLAB 5.0", "a MATLAB file", "Convert it to NIfTI."),
    (b"\x93NUMPY", "a NumPy array", "Write it as NIfTI, with the affine of its image."),
    ((b"\x89PNG", b"\xff\xd8\xff", b"GIF8"), "a picture (PNG, JPEG, GIF)", _COPY),
    (b"%PDF", "a PDF document", _COPY),
)


def no_volume(problem: str, where: str, expected: str, found: str, do: str = "") -> InputError:
    """Return the error for a file that can be read but holds no usable volume."""
    do = do or "Look at the file that this cell names; copy or export it again, or take the scan out."
    return InputError(problem, where=where, expected=expected, found=found, do=do)


def unreadable(cause: Cause, where: str) -> InputError:
    """Return the error of a file that cannot be read, which says what it is instead: a library's own text may hold the
    file's name."""
    return InputError(
        "The file cannot be read.",
        where=where,
        expected="a whole, undamaged volume",
        found=cause.found,
        do=f"{cause.do} Or take the scan out of the manifest.",
    )


def shape_in_words(shape: Sequence[int]) -> str:
    """Return a shape in voxels as text, such as `20 x 16 x 5 voxels`."""
    return f"{' x '.join(map(str, shape)) or 'no'} voxels"


def check_one_volume(shape: Sequence[int], where: str) -> None:
    """Raise InputError for a shape, in voxels, that has fewer axes than three, or more than one frame along
    the others."""
    if len(shape) >= 3 and all(count == 1 for count in shape[3:]):
        return
    raise no_volume(
        "The file does not hold one 3D volume.",
        where,
        "three axes, one frame",
        shape_in_words(shape),
        "Write the frame that is meant (one b-value, echo or time) to a file of its own, and name that; nibabel's "
        "four_to_three parts a file."
        if len(shape) > 3
        else "Give the array a third axis of one slice (data[:, :, None] in NumPy) with the distance of slices in the "
        "header, and name that file.",
    )


def cause_of(path: Path) -> Cause:
    """Return why the file at `path`, which could not be read as a volume, is none; no content of the file makes
    it raise.

    Both files of an Analyze or NIfTI pair are looked at. The text holds no name and nothing of a header.
    """
    other = other_half(path)
    if not other:
        return _cause(path)
    header, values = sorted((path, other), key=lambda half: half.suffix.lower())
    of_header = _cause(header)
    if of_header != _NO_FIT:
        return Cause(f"{of_header.found}, as the .hdr", of_header.do)
    of_values = _of_size(values)
    if of_values:
        return Cause(f"{of_values.found}, as the .img", of_values.do)
    return _NO_FIT if _of_size(header.with_suffix(".mat")) else _NO_FIT_SPM


def other_half(path: Path) -> Path | None:
    """Return the other file of an Analyze or NIfTI pair (.hdr and .img, in either case); None for another name."""
    other = {".hdr": ".img", ".img": ".hdr", ".HDR": ".IMG", ".IMG": ".HDR"}.get(path.suffix)
    return path.with_suffix(other) if other else None


def unpacked_head(path: Path) -> bytes:
    """Return the first HEAD_BYTES of a file, unpacked if it is compressed with gzip; b"" where it is unreadable."""
    try:
        with path.open("rb") as file:
            start = file.read(4 * HEAD_BYTES)
        return (
            zlib.decompressobj(31).decompress(start, HEAD_BYTES)
            if start.startswith(_GZIP)
            else start[:HEAD_BYTES]
        )
    except (OSError, zlib.error):
        return b""


def values_begin_at(head: bytes) -> float:
    """Return the byte at which the values begin by a NIfTI header (its vox_offset); 0 where it is no NIfTI."""
    if not _is_nifti(head):
        return 0.0
    order = "<" if head[0] else ">"
    wide = max(head[0], head[3]) == 28  # 540, the size of a NIfTI-2 header, is 2 x 256 + 28
    offset: float = struct.unpack_from(f"{order}{'q' if wide else 'f'}", head, 168 if wide else 108)[0]
    return float(offset)


def is_mgh(path: Path) -> bool:
    """Return whether the name of a file ends like those of FreeSurfer's volumes (MGH, compressed with gzip)."""
    return path.name.lower().endswith(".mgz")


def mgh_shape(head: bytes) -> tuple[int, ...]:
    """Return the four counts of voxels in the first bytes of an MGH file; one of them is 0 where it is no MGH."""
    version, *shape = struct.unpack_from(">5i", head) if len(head) >= 30 else (0,)
    return tuple(shape) if version == 1 else (0,)


def places_itself(head: bytes) -> bool:
    """Return whether the first bytes of an MGH file say that the rest of its header places the volume (goodRASFlag)."""
    return struct.unpack_from(">h", head, 28) != (0,)


# The manifest was checked before, so the file was there then.
_GONE = Cause("no file any more", "Put the file back, and leave the files alone while they are read.")
_EMPTY = Cause("an empty file (0 bytes)", _COPY)
_NO_FIT = Cause("a header and values that do not fit together: the file is cut short or damaged", _COPY)
_NO_FIT_SPM = Cause(
    "a header, values and a .mat of SPM that do not fit together: one of them is cut short or damaged, or the .mat is "
    "of version 7.3 (HDF5)",
    f"{_COPY} Where the .mat is no place of the volume, take it out of the folder.",
)


def _cause(path: Path) -> Cause:
    try:
        with path.open("rb") as file:
            start = file.read(HEAD_BYTES)
    except FileNotFoundError:
        return _GONE
    except OSError as error:
        return _no_access(error)
    if not start:
        return _EMPTY
    named_gzip = path.name.lower().endswith((".gz", ".mgz"))
    if start.startswith(_GZIP):
        if named_gzip:
            return _in_gzip(path)
        return Cause(
            "data compressed with gzip, under a name that says they are not", "Give it the ending .nii.gz."
        )
    if named_gzip and _is_nifti(start):
        return Cause(
            "a plain NIfTI file, not compressed with gzip", "Give it the ending .nii, or compress it."
        )
    kind = _kind(start)
    return Cause(f"{kind.found}, not data compressed with gzip", kind.do) if named_gzip else kind


def _in_gzip(path: Path) -> Cause:
    """Return what is wrong with the compression, or else with what it holds."""
    try:
        head, behind, whole = _unpack(path)
    except zlib.error:
        return Cause("damaged data: what gzip compressed does not agree with its checksum", _COPY)
    except OSError as error:
        return Cause(f"no access ({os.strerror(error.errno or 0)})", _COPY)
    if head.startswith(_GZIP):
        return Cause("a file compressed twice with gzip", "Unpack it once (`gunzip`), and name that .nii.gz.")
    if head and not _is_nifti(head) and not (is_mgh(path) and any(mgh_shape(head))):
        kind = _kind(head)
        return Cause(f"{kind.found}, compressed with gzip", kind.do)
    if not whole:
        return Cause("compressed data without their end: the file is cut short", _COPY)
    if behind:
        return Cause(
            f"{count_of(behind, 'byte')} of something else behind the end of the compressed data", _COPY
        )
    return Cause("an empty file, compressed with gzip", _COPY) if not head else _NO_FIT


def _unpack(path: Path) -> tuple[bytes, int, bool]:
    """Return the first bytes, how many bytes after the last gzip member belong to none, and whether that member
    is complete.

    zlib.error is raised where the compressed data are damaged. Only a few chunks are held in memory. Data that unpack
    to more than MAX_UNPACKED_BYTES are not followed to their end, and count as complete.
    """
    size, head, unpacked = path.stat().st_size, b"", 0
    with path.open("rb") as file:
        unzip, rest = zlib.decompressobj(31), file.read(1 << 20)
        while rest and unpacked < MAX_UNPACKED_BYTES:
            data = unzip.decompress(rest, 1 << 20)
            head, unpacked = (head + data)[:HEAD_BYTES], unpacked + len(data)
            rest = unzip.unconsumed_tail or unzip.unused_data or file.read(1 << 20)
            if unzip.eof:
                if not rest.startswith(_GZIP):
                    # gzip pads with zeros, which its readers skip.
                    behind = size - file.tell() + len(rest) if rest.strip(b"\0") else 0
                    return head, behind, True
                unzip = zlib.decompressobj(31)
    return head, 0, unpacked >= MAX_UNPACKED_BYTES


def _kind(start: bytes) -> Cause:
    """Return what the first bytes of a file that is not a complete volume say."""
    if _is_nifti(start):
        return _NO_FIT
    text = start.lstrip(b"\xef\xbb\xbf \r\n\t")
    for marks, found, do in _KINDS:
        for mark in marks if isinstance(marks, tuple) else (marks,):
            if start.startswith(mark) or text[:64].lower().startswith(mark.lower()):
                return Cause(found, do)
    if start[128:132] == b"DICM":
        return Cause("a DICOM file", "Name the folder of its series, or convert the series with dcm2niix.")
    if start[257:262] == b"ustar":
        return Cause("a tar archive", "Unpack it.")
    if not start.strip(b"\0"):
        return Cause("zeros alone: room for a file that was never written", _COPY)
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start):
        return Cause("plain text", _COPY)
    return Cause("bytes of no kind that is known here", _COPY)


def _is_nifti(head: bytes) -> bool:
    """Return whether a NIfTI or Analyze header begins like this: with its size in bytes, in either byte order."""
    return len(head) >= 348 and head[:4] in [struct.pack(f"{o}i", size) for o in "<>" for size in (348, 540)]


def _of_size(path: Path) -> Cause | None:
    """Return why a file has no bytes to read: it is missing, access is denied, or it is empty; None where it
    has some."""
    try:
        return None if path.stat().st_size else _EMPTY
    except FileNotFoundError:
        return _GONE
    except OSError as error:
        return _no_access(error)


def _no_access(error: OSError) -> Cause:
    return Cause(f"no access ({os.strerror(error.errno or 0)})", "Let the file be read, or copy it again.")
