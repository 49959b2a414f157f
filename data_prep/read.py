"""Files -> volumes: NIfTI (.nii, .nii.gz) and Analyze pairs (.hdr with .img).

Whatever cannot be read whole and with certainty is refused. No error names a file, or repeats text of a
header.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError
from nibabel.wrapstruct import WrapStructError

from hnscc.base.errors import InputError

MAX_VOXELS = 2**29  # 2 GiB as float32; a damaged header can claim any size
_UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    HeaderTypeError,
    WrapStructError,
    OSError,
    EOFError,
    zlib.error,
    ValueError,
    OverflowError,
    MemoryError,
    LookupError,
)


@dataclass(frozen=True)
class Grid:
    """Where voxels lie. shape: voxels along x, y, z in file order. affine: 4 x 4 float64, voxel index -> mm
    (NIfTI: x to right, y to anterior, z to superior). oriented: False for Analyze, whose affine is only an
    assumption."""

    shape: tuple[int, int, int]
    affine: np.ndarray
    oriented: bool

    @property
    def spacing(self) -> np.ndarray:
        """Voxel size in mm along the three axes of the array."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


@dataclass(frozen=True)
class Volume:
    """data: float32 (x, y, z), finite, in the file's voxel order and units (scaled as its header says)."""

    data: np.ndarray
    grid: Grid


def read_volume(path: Path, where: str) -> Volume:
    """The whole volume at `path`; `where` (row, column, scan) is how errors name it.

    InputError: unreadable, truncated, corrupt, not one 3D volume of finite real numbers, orientation not
    stated.
    """
    image = _open(path, where)
    grid = _grid(image, where)
    try:
        data = (_unzipped(path, image) if path.name.lower().endswith(".gz") else _data(image)).reshape(
            grid.shape
        )
    except _UNREADABLE as error:
        raise _unreadable(where, error) from None
    if not np.isfinite(data).all():
        count = int(np.size(data) - np.isfinite(data).sum())
        raise _refused(
            "The volume holds values that are no numbers.", where, "finite values", f"{count} others"
        )
    return Volume(data, grid)


def read_grid(path: Path, where: str) -> Grid:
    """The grid of the volume at `path`, from its header alone; errors as `read_volume`."""
    return _grid(_open(path, where), where)


def _open(path: Path, where: str) -> nib.spatialimages.SpatialImage:
    """The one place that tells formats apart; the header is read, the data not yet."""
    if path.is_dir():  # a DICOM series will be read here
        raise InputError(
            "DICOM series are not supported yet.",
            where=where,
            expected="a NIfTI file (.nii, .nii.gz) or an Analyze pair (.hdr, .img)",
            found="a folder",
            do="Convert the series to NIfTI, for example with dcm2niix.",
        )
    if not path.name.lower().endswith((".nii", ".nii.gz", ".hdr", ".img")):
        raise _refused(
            "The file is of an unknown kind.",
            where,
            ".nii, .nii.gz, .hdr or .img",
            "another file name ending",
        )
    try:
        return nib.load(path, mmap=False)
    except _UNREADABLE as error:
        raise _unreadable(where, error) from None


def _grid(image: nib.spatialimages.SpatialImage, where: str) -> Grid:
    shape = _shape(image, where)
    if image.get_data_dtype().kind not in "iuf":
        raise _refused(
            "The volume does not hold real numbers.", where, "integers or floats", "complex or colour"
        )
    oriented = isinstance(image, nib.Nifti1Pair)  # and its subclasses: single files, NIfTI-2
    if oriented and not (int(image.header["sform_code"]) or int(image.header["qform_code"])):
        raise _refused(
            "The volume does not say how it lies in space.",
            where,
            "an sform or qform code above 0",
            "both are 0",
        )
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise _refused(
            "The volume's affine cannot be inverted.", where, "a regular 4 x 4 matrix", "a singular one"
        )
    return Grid(shape, affine, oriented)


def _shape(image: nib.spatialimages.SpatialImage, where: str) -> tuple[int, int, int]:
    shape = tuple(int(count) for count in image.shape)
    found = f"{' x '.join(map(str, shape)) or 'no'} voxels"
    if len(shape) < 3 or any(count != 1 for count in shape[3:]):
        raise _refused("The file does not hold one 3D volume.", where, "three axes, one frame", found)
    if min(shape) < 1 or np.prod(shape, dtype=object) > MAX_VOXELS:
        raise _refused(
            "The volume has an impossible size.",
            where,
            f"1 to {MAX_VOXELS} voxels, each axis at least 1",
            found,
        )
    return shape[:3]


def _data(image: nib.spatialimages.SpatialImage) -> np.ndarray:
    return np.asarray(image.dataobj, dtype=np.float32)


def _unzipped(path: Path, image: nib.spatialimages.SpatialImage) -> np.ndarray:
    """gzip checks its checksum only at the end of the stream, which nibabel does not reach."""
    with gzip.open(path) as stream:
        data = _data(type(image).from_stream(stream))
        while stream.read(1 << 20):
            pass
    return data


def _unreadable(where: str, error: Exception) -> InputError:
    # The library's own text is left out: it names the file.
    return _refused("The file cannot be read.", where, "a whole, undamaged volume", type(error).__name__)


def _refused(problem: str, where: str, expected: str, found: str) -> InputError:
    do = "Look at the file that this cell names; copy or export it again, or take the scan out."
    return InputError(problem, where=where, expected=expected, found=found, do=do)
