"""Reads volumes from files: NIfTI, Analyze and MGH by nibabel_files, NRRD and MetaImage by itk_files, DICOM
by data_prep.dicom.

What cannot be read completely and with certainty is refused. No error names a file or repeats a header's text.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep.dicom.series_volume import names_dicom, read_dicom_grid, read_dicom_volume
from data_prep.dicom.suv import BODY_WEIGHT
from data_prep.files.first_bytes import no_volume
from data_prep.files.itk_files import READERS, is_itk_file, read_itk_grid, read_itk_numbers, read_itk_volume
from data_prep.files.nibabel_files import (
    NIBABEL_ENDINGS,
    is_nibabel_file,
    read_nibabel_grid,
    read_nibabel_numbers,
    read_nibabel_volume,
)
from data_prep.volumes.volume import Grid, Volume


@dataclass(frozen=True)
class Format:
    """A kind of files.

    endings: those of their names, in lower case; empty where names say nothing (DICOM). is_mine: whether a path is of
    this kind. read_volume (path, where, suv, labels), read_grid (path, where), read_numbers (path, where): like the
    functions below.
    """

    endings: tuple[str, ...]
    is_mine: Callable[[Path], bool]
    read_volume: Callable[[Path, str, str, bool], Volume]
    read_grid: Callable[[Path, str], Grid]
    read_numbers: Callable[[Path, str], str] = lambda path, where: ""


def read_volume(path: Path, where: str, suv: str = BODY_WEIGHT, *, labels: bool = False) -> Volume:
    """Read the whole volume at `path`; `where` (row, column, scan) is how errors name it.

    PET of DICOM is converted to SUV by body weight ("bw") or lean body mass ("lbm"), as `suv` says. labels: it is a
    mask, in which no value stands for nothing. NaN around the field of view are filled, and so is a value that stands
    for nothing (data_prep.volumes.padding).

    InputError is raised where the file is unreadable, cut short or damaged, is not one 3D volume of finite real
    numbers, or does not say how it lies in space.
    """
    return _format_of(path, where).read_volume(path, where, suv, labels)


def read_grid(path: Path, where: str) -> Grid:
    """Read the grid of the volume at `path` from its header alone; errors are those of `read_volume`."""
    return _format_of(path, where).read_grid(path, where)


def read_numbers(path: Path, where: str) -> str:
    """Read from a volume's header how its numbers are stored, such as uint8; "" for DICOM, where slices may differ.

    Errors are those of `read_grid`.
    """
    return _format_of(path, where).read_numbers(path, where)


def names_volume(path: Path) -> bool:
    """Return whether a path names a volume that can be read, by its name or, for DICOM, by its first bytes."""
    return any(each.is_mine(path) for each in FORMATS)


def _format_of(path: Path, where: str) -> Format:
    found = next((each for each in FORMATS if each.is_mine(path)), None)
    if found is None:
        raise no_volume(
            "The file is of an unknown kind.",
            where,
            f"{', '.join(_ENDINGS)}, a DICOM file, or a folder of a DICOM series",
            "another file name ending",
            next((do for endings, do in OTHERS.items() if path.name.lower().endswith(endings)), ""),
        )
    return found


def ending_of(name: str) -> str:
    """Return the ending, in lower case, that makes a file's name that of a volume; "" where it has none of them."""
    return next((ending for ending in VOLUME_ENDINGS if name.lower().endswith(ending)), "")


# Formats of volumes; the first that accepts a file reads it.
FORMATS = (
    Format(
        NIBABEL_ENDINGS,
        is_nibabel_file,
        lambda path, where, suv, labels: read_nibabel_volume(path, where, labels=labels),
        read_nibabel_grid,
        read_nibabel_numbers,
    ),
    Format(
        (),
        names_dicom,
        lambda path, where, suv, labels: read_dicom_volume(path, where, suv),
        read_dicom_grid,
    ),
    Format(
        tuple(READERS),
        is_itk_file,
        lambda path, where, suv, labels: read_itk_volume(path, where, labels=labels),
        read_itk_grid,
        read_itk_numbers,
    ),
)
_ENDINGS = tuple(ending for each in FORMATS for ending in each.endings)
# The longest endings first, so that a shorter one does not hide a longer one.
VOLUME_ENDINGS = tuple(sorted(_ENDINGS, key=len, reverse=True))

# Volumes that are not read here, by the endings of their names, and how to convert them. A test makes sure that no
# ending in this list is read.
_UNPACK = "Unpack it, and name the file that is in it."
OTHERS: dict[tuple[str, ...], str] = {
    (
        ".mhd",
    ): "Write it as one file that holds header and values, .mha (3D Slicer and ITK-SNAP do), and name that.",
    (".nhdr",): "Write it as one file that holds header and values, .nrrd (3D Slicer does), and name that.",
    (
        ".mgh",
    ): "Compress it with gzip under the ending .mgz, or convert it to NIfTI (mri_convert), and name that.",
    (".mnc",): "Convert it to NIfTI (mnc2nii), and name that.",
    (
        ".par",
        ".rec",
        ".v",
    ): "Convert it to NIfTI (dcm2niix and the scanner's own programs do), and name that.",
    (".bz2", ".zst", ".xz"): "Unpack it, or compress it with gzip (.nii.gz), and name that.",
    (".zip", ".tar", ".tgz", ".tar.gz", ".rar", ".7z"): _UNPACK,
}
