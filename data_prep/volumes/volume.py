"""What every reader gives: a grid of voxels that lies in space, and the values on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Bools, Floats

# DICOM and ITK count mm to the patient's left and to posterior, NIfTI to right and to anterior.
TO_RAS = np.diag([-1.0, -1.0, 1.0])
MAX_VOXELS = 2**29  # 2 GiB as float32; a damaged header can claim any size
MAX_BYTES = 2**31  # of one volume in memory, in the file's type or as float32, whichever is larger


@dataclass(frozen=True)
class Grid:
    """Where voxels lie.

    `shape` counts the voxels along x, y and z in the file's order. `affine` is 4 x 4 and maps a voxel's index to mm
    (as in NIfTI: x to right, y to anterior, z to superior). `oriented` is False for Analyze without SPM's .mat, whose
    affine is assumed. `stated_by` says what in the file gives the affine: sform, qform, both, SPM's .mat, or the kind
    of file (DICOM, NRRD, MetaImage, MGH); for Analyze nothing (""). `series` and `frame_of_reference` are the UIDs of a
    DICOM series, "" of other files; they are for comparisons, and for no text.
    """

    shape: tuple[int, int, int]
    affine: Floats
    oriented: bool
    stated_by: str = ""
    series: str = field(default="", repr=False)
    frame_of_reference: str = field(default="", repr=False)

    @property
    def spacing(self) -> Floats:
        """Voxel size in mm along the three axes of the array: (3,)."""
        spacing: Floats = np.linalg.norm(self.affine[:3, :3], axis=0)
        return spacing


@dataclass(frozen=True)
class Padding:
    """`voxels` of a volume hold `value`, which stands for nothing. `filled`: they are taken as NaN is."""

    value: float
    voxels: int
    filled: bool


@dataclass(frozen=True)
class Volume:
    """`data` is (x, y, z), finite, in the file's voxel order and units (scaled as its header says).

    `blank` says which voxels the file holds no number for (NaN around the field of view, or `padding`, a value that
    stands for nothing; they are the minimum in `data`), and is None where there are none. `unit` is that of the values
    where the file states it: SUV, HU; else "".
    `written` tells how the file is written (data_prep.files.stated).
    """

    data: NDArray[np.float32]
    grid: Grid
    blank: Bools | None = None
    unit: str = ""
    padding: Padding | None = None
    written: Mapping[str, str] = field(default_factory=dict)
