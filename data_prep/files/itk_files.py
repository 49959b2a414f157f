"""Reads volumes from NRRD (.nrrd) and MetaImage (.mha) files; SimpleITK reads what their headers say of space."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from data_prep.files.first_bytes import (
    META_IMAGE,
    NRRD,
    Cause,
    cause_of,
    check_one_volume,
    no_volume,
    shape_in_words,
    unreadable,
)
from data_prep.files.itk_header import (
    Header,
    HeaderOf,
    meta_image_header,
    nrrd_header,
    read_itk_header,
    read_values,
)
from data_prep.volumes.padding import measured
from data_prep.volumes.volume import MAX_BYTES, MAX_VOXELS, TO_RAS, Grid, Volume
from hnscc.base.arrays import Floats
from hnscc.base.environment import WhileNeeded
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of


class ItkReader(NamedTuple):
    """What reads a format.

    image_io: the reader of SimpleITK, the only one that may open the file. stated_by: what gives a grid's affine, in
    words. header_of: reads the header's text, of which SimpleITK says too little.
    """

    image_io: str
    stated_by: str
    header_of: HeaderOf


# Readers by the ending of a file's name.
READERS = {
    ".nrrd": ItkReader("NrrdImageIO", "NRRD", nrrd_header),
    ".mha": ItkReader("MetaImageIO", "MetaImage", meta_image_header),
}
NUMBERS = {
    **{sitk.sitkInt8: "i1", sitk.sitkUInt8: "u1", sitk.sitkInt16: "i2", sitk.sitkUInt16: "u2"},
    **{sitk.sitkInt32: "i4", sitk.sitkUInt32: "u4", sitk.sitkInt64: "i8", sitk.sitkUInt64: "u8"},
    **{sitk.sitkFloat32: "f4", sitk.sitkFloat64: "f8"},
}

_OF_LAYERS = (
    "3D Slicer writes segments that overlap in layers: export the segment of the lesion alone, or all as a labelmap, "
    "and name that file."
)

sitk.ProcessObject.SetGlobalWarningDisplay(False)  # its warnings contain the file's name


@contextmanager
def _no_standard_error() -> Iterator[None]:
    """Keep the MetaImage library from writing to standard error, which no setting prevents."""
    with Path(os.devnull).open("wb") as nowhere:
        before = os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)


_NO_STANDARD_ERROR = WhileNeeded(_no_standard_error)


def is_itk_file(path: Path) -> bool:
    """Return whether the name of a file has an ending that is read here."""
    return path.suffix.lower() in READERS


def _reader_of(path: str | Path) -> ItkReader:
    return READERS[Path(path).suffix.lower()]


def read_itk_volume(path: Path, where: str, *, labels: bool = False) -> Volume:
    """Read the whole volume; `where` (row, column, scan) is how errors name it.

    InputError is raised where the file is unreadable, cut short or damaged, is not one 3D volume of finite real
    numbers, or does not say how it lies in space.
    """
    reader, header = _opened(path, where)
    grid = _grid(reader, where)
    try:
        data = read_values(path, header, NUMBERS[reader.GetPixelID()], math.prod(grid.shape), where)
    except OSError:
        raise _unreadable(path, where) from None
    values = np.ascontiguousarray(data.reshape(grid.shape[::-1]).T, dtype=np.float32)
    return measured(values, grid, where, labels=labels)


def read_itk_grid(path: Path, where: str) -> Grid:
    """Read the grid of a volume from its header; errors are those of `read_itk_volume`, without damaged values."""
    return _grid(_opened(path, where)[0], where)


def read_itk_numbers(path: Path, where: str) -> str:
    """Read from a header how the numbers are stored, such as uint8; errors are those of `read_itk_grid`."""
    reader = _opened(path, where)[0]
    _grid(reader, where)
    return np.dtype(NUMBERS[reader.GetPixelID()]).name


def _opened(path: Path, where: str) -> tuple[sitk.ImageFileReader, Header]:
    """Return a reader that has read the file's header, and that header's text."""
    reader, kind = sitk.ImageFileReader(), _reader_of(path)
    reader.SetImageIO(kind.image_io)
    reader.SetFileName(str(path))
    try:
        header = read_itk_header(path, kind.header_of, where)
        if header is None:
            raise _unreadable(path, where)
        with _NO_STANDARD_ERROR:
            reader.ReadImageInformation()
    except (RuntimeError, OSError):
        raise _unreadable(path, where) from None
    return reader, header


def _grid(reader: sitk.ImageFileReader, where: str) -> Grid:
    size = tuple(int(count) for count in reader.GetSize())
    check_one_volume(size, where)
    kind = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if reader.GetNumberOfComponents() != 1 or reader.GetPixelID() not in NUMBERS:
        raise no_volume(
            "The volume does not hold real numbers.",
            where,
            "one integer or float for each voxel",
            f"{count_of(reader.GetNumberOfComponents(), 'number')} for each: {kind}",
            _OF_LAYERS if reader.GetFileName().lower().endswith(".seg.nrrd") else "",
        )
    bytes_each = max(np.dtype(NUMBERS[reader.GetPixelID()]).itemsize, 4)
    if min(size) < 1 or math.prod(size) > MAX_VOXELS or math.prod(size) * bytes_each > MAX_BYTES:
        expected = f"at most {MAX_VOXELS} voxels and {MAX_BYTES / 2**30:g} GiB"
        raise no_volume("The volume has an impossible size.", where, expected, shape_in_words(size))
    x, y, z = size[:3]
    return Grid((x, y, z), _affine(reader, where), True, _reader_of(reader.GetFileName()).stated_by)


def _affine(reader: sitk.ImageFileReader, where: str) -> Floats:
    """Return the affine, 4 x 4, from an index (x, y, z) to mm as in NIfTI; a trailing axis is left out."""
    axes = reader.GetDimension()
    direction = np.array(reader.GetDirection()).reshape(axes, axes)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = TO_RAS @ direction * np.array(reader.GetSpacing()[:3])
    affine[:3, 3] = TO_RAS @ np.array(reader.GetOrigin()[:3])
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        found = f"axes whose determinant is {np.linalg.det(affine[:3, :3]):.3g}"
        raise no_volume("The volume's affine cannot be inverted.", where, "axes that are independent", found)
    return affine


def _unreadable(path: Path, where: str) -> InputError:
    """Return the error that says what the file is instead."""
    cause = cause_of(path)
    if cause in (NRRD, META_IMAGE):
        cause = Cause(
            "a header that is damaged, or does not fit the values", "Copy or export the file again."
        )
    return unreadable(cause, where)
