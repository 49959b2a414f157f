"""Reads volumes from NIfTI, Analyze pairs and MGH by nibabel."""

import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError, SpatialImage
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray
from scipy.io.matlab import MatReadError

from data_prep.dicom.header import quiet
from data_prep.files.first_bytes import (
    cause_of,
    check_one_volume,
    is_mgh,
    mgh_shape,
    no_volume,
    places_itself,
    shape_in_words,
    unpacked_head,
    unreadable,
    values_begin_at,
)
from data_prep.files.stated import placed_by, written_as
from data_prep.volumes.padding import measured
from data_prep.volumes.volume import MAX_BYTES, MAX_VOXELS, Grid, Volume
from hnscc.base.in_words import count_of

MAX_HEADER_BYTES = 2**26  # bytes before the values, for a header and its extensions
MAX_PADDING_BYTES = 2**26  # bytes after the values of a compressed file
NIBABEL_ENDINGS = (".nii", ".nii.gz", ".hdr", ".img", ".mgz")  # endings of file names that nibabel reads
# What nibabel, gzip, NumPy and SciPy raise for files that are cut short, damaged, or not what their name says.
_UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    HeaderTypeError,
    WrapStructError,
    OSError,
    EOFError,
    zlib.error,
    ValueError,
    TypeError,
    OverflowError,
    LookupError,
    NotImplementedError,
    MatReadError,
)

Answer = TypeVar("Answer")


def is_nibabel_file(path: Path) -> bool:
    """Return whether the name of a file has an ending that is read here."""
    return path.name.lower().endswith(NIBABEL_ENDINGS) and not path.is_dir()


def read_nibabel_grid(path: Path, where: str) -> Grid:
    """Read the grid of a volume from its header; arguments and errors are as in `read.read_grid`."""
    return _grid(_open(path, where), path, where)


def read_nibabel_numbers(path: Path, where: str) -> str:
    """Read how a volume's numbers are stored; arguments and errors are as in `read.read_numbers`."""
    return np.dtype(_open(path, where).get_data_dtype()).name


def read_nibabel_volume(path: Path, where: str, *, labels: bool = False) -> Volume:
    """Read a whole volume; arguments and errors are as in `read.read_volume`."""
    image = _open(path, where)
    grid = _grid(image, path, where)
    if _is_gzip(path):
        data = _by_library(lambda: _unzipped(path, where).reshape(grid.shape), path, where)
    else:
        data = _by_library(lambda: _values(image).reshape(grid.shape), path, where)
        _check_behind(_behind_values(image), image, where)
    return replace(measured(data, grid, where, labels=labels), written=written_as(image))


def _open(path: Path, where: str) -> SpatialImage:
    """Return the image of a NIfTI, Analyze or MGH file with its header read, but not its values."""
    if is_mgh(path):
        _check_mgh(path, where)
    if _is_gzip(path):
        return _by_library(lambda: _unzipped_header(path, where), path, where)
    image = _by_library(lambda: nib.load(path, mmap=False), path, where)
    if not isinstance(image, SpatialImage):
        raise unreadable(cause_of(path), where)
    return image


def _check_mgh(path: Path, where: str) -> None:
    """Raise InputError for what nibabel accepts: values that would unpack to gigabytes, and a default place."""
    head = unpacked_head(path)
    shape = mgh_shape(head)
    if not any(shape):
        raise unreadable(cause_of(path), where)
    _check_size(shape, 4, where)
    if not places_itself(head):
        raise no_volume("The volume does not say how it lies in space.", where, "goodRASFlag 1", "0")


def _is_gzip(path: Path) -> bool:
    return path.name.lower().endswith((".gz", ".mgz"))


def _by_library(read: Callable[[], Answer], path: Path, where: str) -> Answer:
    """Return the result of `read`, which only calls nibabel, gzip, NumPy and SciPy on the file at `path`,
    named `where`.

    nibabel would log what it finds in a damaged header, with the header's own text.
    """
    try:
        with quiet():
            return read()
    except _UNREADABLE:
        raise unreadable(cause_of(path), where) from None


def _grid(image: SpatialImage, path: Path, where: str) -> Grid:
    shape = _shape(image, where)
    if image.get_data_dtype().kind not in "iuf":
        raise no_volume(
            "The volume does not hold real numbers.", where, "integers or floats", "complex or colour"
        )
    _check_begin(image, where)
    stated = _by_library(lambda: placed_by(image, where), path, where)
    affine = np.asarray(image.affine, dtype=np.float64)
    # In any unit: voxels in metres would otherwise seem to have no size (whether they are in mm is checked later).
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not steps.all() or abs(np.linalg.det(affine[:3, :3] / steps)) < 1e-6:
        raise no_volume(
            "The volume's affine cannot be inverted.", where, "a regular 4 x 4 matrix", "a singular one"
        )
    return Grid(shape, affine, oriented=bool(stated), stated_by=stated)


def _check_begin(image: SpatialImage, where: str) -> None:
    """Raise InputError where a NIfTI file of header and values does not say where the values begin.

    nibabel would take the header for the first values, and so shift all others; other programs begin at 348 or 352.
    """
    if isinstance(image, nib.Nifti1Image) and not cast(ArrayProxy, image.dataobj).offset:
        raise no_volume(
            "The header does not say where the values begin (vox_offset).",
            where,
            "a byte behind the header",
            "0, where the header itself stands",
        )


def _shape(image: SpatialImage, where: str) -> tuple[int, int, int]:
    shape = tuple(int(count) for count in image.shape)
    check_one_volume(shape, where)
    _check_size(shape, image.get_data_dtype().itemsize, where)
    x, y, z = shape[:3]
    return x, y, z


def _check_size(shape: tuple[int, ...], itemsize: int, where: str) -> None:
    """Raise InputError where an array of this shape, with so many bytes for each value, is empty or too large
    for memory."""
    found = shape_in_words(shape)
    if min(shape) < 1 or np.prod(shape, dtype=object) > MAX_VOXELS:
        raise no_volume(
            "The volume has an impossible size.",
            where,
            f"1 to {MAX_VOXELS} voxels, each axis at least 1",
            found,
        )
    bytes_each = max(itemsize, np.dtype(np.float32).itemsize)
    if np.prod(shape, dtype=object) * bytes_each > MAX_BYTES:
        raise no_volume(
            "The volume is too large for memory.",
            where,
            f"at most {MAX_BYTES / 2**30:g} GiB",
            f"{found} of {count_of(bytes_each, 'byte')}, {np.prod(shape, dtype=object) * bytes_each / 2**30:.1f} GiB",
        )


def _values(image: SpatialImage) -> NDArray[np.float32]:
    """Return the values (x, y, z) of an opened image, in its own unit of values, as its header scales them."""
    return np.asarray(image.dataobj, dtype=np.float32)


class _Unzipping(gzip.GzipFile):
    """A stream that never returns all the rest at once, which nibabel asks for if an extension has no length."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            raise EOFError
        return super().read(size)


def _unzipped_header(path: Path, where: str) -> SpatialImage:
    """Return the image of a compressed file; only its header may be used."""
    begin = values_begin_at(unpacked_head(path))
    if begin > MAX_HEADER_BYTES:
        raise no_volume(
            "The header is too long.",
            where,
            f"values that begin within {MAX_HEADER_BYTES} bytes",
            f"{begin:.0f}",
        )
    with _Unzipping(path) as stream:
        return _from_stream(path, stream)


def _from_stream(path: Path, stream: io.BufferedIOBase) -> SpatialImage:
    wide = nib.Nifti2Header.may_contain_header(unpacked_head(path))
    nifti = nib.Nifti2Image if wide else nib.Nifti1Image
    image: SpatialImage = (nib.MGHImage if is_mgh(path) else nifti).from_stream(stream)
    return image


def _unzipped(path: Path, where: str) -> NDArray[np.float32]:
    """Return the values (x, y, z), as `_values` does, from a stream that is read to its end, where gzip compares
    its checksum.

    What follows the values is read in pieces and dropped; it is refused if it is longer than padding can be.
    """
    with _Unzipping(path) as stream:
        image = _from_stream(path, stream)
        data = _values(image)
        end = stream.tell()
        while stream.read(1 << 20):
            if stream.tell() > end + MAX_PADDING_BYTES:
                raise no_volume(
                    "The file unpacks to more than its header tells.",
                    where,
                    f"at most {MAX_PADDING_BYTES / 2**20:g} MiB behind the last value",
                    f"{(stream.tell() - end) / 2**20:.3g} MiB or more",
                )
        if not is_mgh(path):  # an MGH file has room for notes there
            _check_behind(stream.tell() - end, image, where)
    return data


def _behind_values(image: SpatialImage) -> int:
    """Return how many bytes a file that is not compressed holds after the last value."""
    values = int(np.prod(image.shape, dtype=object)) * image.get_data_dtype().itemsize
    held = Path(cast(str, image.file_map["image"].filename)).stat().st_size
    return int(held - cast(ArrayProxy, image.dataobj).offset - values)


def _check_behind(behind: int, image: SpatialImage, where: str) -> None:
    """Raise InputError where so many bytes follow the values that they may be slices that the header does not count,
    which would be lost."""
    of_slice = int(np.prod(image.shape[:2], dtype=object)) * image.get_data_dtype().itemsize
    if behind >= of_slice:
        raise no_volume(
            "The file holds more values than its header tells.",
            where,
            f"less than a slice ({count_of(of_slice, 'byte')}) behind the last value",
            count_of(behind, "byte"),
        )
