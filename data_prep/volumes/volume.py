"""What every reader gives, a grid of voxels that lies in space, and the values on it; how grids lie: their axes turned
to LPS, whether two hold the same voxels, and what slices need of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from hnscc.base.arrays import Bools, Floats
from hnscc.base.errors import InputError

# DICOM and ITK count mm to the patient's left and to posterior, NIfTI to right and to anterior.
TO_RAS = np.diag([-1.0, -1.0, 1.0])
MAX_VOXELS = 2**29  # 2 GiB as float32; a damaged header can claim any size
MAX_BYTES = 2**31  # of one volume in memory, in the file's type or as float32, whichever is larger
Kind = TypeVar("Kind", bound=np.generic)
SAME_GRID_VOXELS = 0.05  # voxels: the most that corners of equal grids may lie apart


@dataclass(frozen=True)
class Whose:
    """Whose a file of DICOM says it is: digests of its PatientID, StudyInstanceUID and FrameOfReferenceUID, "" where it
    gives none. They are compared while a cohort is prepared, and kept nowhere."""

    patient: str = field(default="", repr=False)
    dicom_study: str = field(default="", repr=False)
    frame: str = field(default="", repr=False)


@dataclass(frozen=True)
class Grid:
    """Where voxels lie.

    `shape` counts the voxels along x, y and z in the file's order. `affine` is 4 x 4 and maps a voxel's index to mm
    (as in NIfTI: x to right, y to anterior, z to superior). `oriented` is False for Analyze without SPM's .mat, whose
    affine is assumed. `stated_by` says what in the file gives the affine: sform, qform, both, SPM's .mat, or the kind
    of file (DICOM, NRRD, MetaImage, MGH); for Analyze nothing (""). `series` and `frame_of_reference` are the UIDs of a
    DICOM series, "" of other files, and `slice_names` those of its slices along z (data_prep.dicom.named_slices), none
    of other files; they are for comparisons, and for no text. `whose` is that of a DICOM series.
    """

    shape: tuple[int, int, int]
    affine: Floats
    oriented: bool
    stated_by: str = ""
    series: str = field(default="", repr=False)
    frame_of_reference: str = field(default="", repr=False)
    slice_names: tuple[str, ...] = field(default=(), repr=False)
    whose: Whose = field(default_factory=Whose, repr=False)

    @property
    def spacing(self) -> Floats:
        """Voxel size in mm along the three axes of the array: (3,)."""
        spacing: Floats = np.linalg.norm(self.affine[:3, :3], axis=0)
        return spacing


@dataclass(frozen=True)
class Padding:
    """`voxels` of a volume hold `value`, which stands for nothing, `mixed` of them a mixture of it with the image, as
    interpolation leaves at its border. `filled`: they are taken as NaN is."""

    value: float
    voxels: int
    filled: bool
    mixed: int = 0


@dataclass(frozen=True)
class Volume:
    """`data` is (x, y, z), finite, in the file's voxel order and unit of values (scaled as its header says).

    `blank`, of that shape, says which voxels the file holds no number for (NaN around the field of view, or
    `padding`, a value that stands for nothing; they are the minimum in `data`), and is None where there are none.
    `unit` is that of the values where the file states it: SUV, HU; else "". `written` tells how the file is
    written (data_prep.files.stated).
    """

    data: NDArray[np.float32]
    grid: Grid
    blank: Bools | None = None
    unit: str = ""
    padding: Padding | None = None
    written: Mapping[str, str] = field(default_factory=dict)


def axis_of_slices(grid: Grid) -> int:
    """Return the axis of the voxels, 0 to 2, that runs nearest to that from foot to head."""
    return int(np.flatnonzero(orientations.io_orientation(grid.affine)[:, 0] == 2)[0])


def to_lps(grid: Grid) -> Grid:
    """The same voxels, axes turned and flipped so that x runs to the left, y to posterior and z to superior."""
    turn = turn_to_lps(grid)
    x, y, z = (grid.shape[axis] for axis in np.argsort(turn[:, 0]))
    return Grid((x, y, z), grid.affine @ orientations.inv_ornt_aff(turn, grid.shape), grid.oriented)


def turn_to_lps(grid: Grid) -> Floats:
    """The turn that brings an array in the order of the grid's file to LPS, as nibabel writes it: (3, 2), numbers of
    axes and directions, not to be written to."""
    return _turn_to_lps(tuple(grid.affine.ravel().tolist()))


@lru_cache(maxsize=64)  # a scan's grids are asked for it dozens of times
def _turn_to_lps(affine: tuple[float, ...]) -> Floats:
    """`turn_to_lps` of an affine, 4 x 4 numbers row by row."""
    turn: Floats = orientations.ornt_transform(
        orientations.io_orientation(np.reshape(affine, (4, 4))), orientations.axcodes2ornt("LPS")
    )
    turn.flags.writeable = False
    return turn


def turned_to_lps(data: NDArray[Kind], grid: Grid) -> NDArray[Kind]:
    """An array in the order of the grid's file, its axes turned and flipped to those of `to_lps`.

    data: of the shape of the grid, of any type and unit of values. The result is (x, y, z), x to the left, y to
    posterior, z to superior, of the same type, values and memory.
    """
    lps: NDArray[Kind] = orientations.apply_orientation(data, turn_to_lps(grid))
    return lps


def voxels_of(one: Grid, other: Grid) -> Floats:
    """4 x 4: from an index of the other grid to the position in this one, in its voxels."""
    matrix: Floats = np.linalg.inv(one.affine) @ other.affine
    return matrix


def on_same_voxels(one: Grid, grids: Mapping[str, Grid]) -> list[str]:
    """The names of those grids that hold the same voxels, in their order."""
    return [name for name, grid in grids.items() if same_grid(one, grid)]


def same_grid(one: Grid, other: Grid) -> bool:
    """Whether two grids hold the same voxels, whatever the order of their axes in the file.

    Where one has no orientation (Analyze), only shape and spacing in file order can be compared.
    """
    if not (one.oriented and other.oriented):
        return one.shape == other.shape and bool(np.allclose(one.spacing, other.spacing, rtol=1e-3))
    return nearly_same_grid(to_lps(one), to_lps(other), SAME_GRID_VOXELS)


def nearly_same_grid(one: Grid, other: Grid, voxels: float) -> bool:
    """Whether two grids that lie LPS have one shape, and no corners farther apart than so many voxels of `one`."""
    if one.shape != other.shape:
        return False
    apart = np.linalg.norm(((one.affine - other.affine) @ corners(one.shape))[:3], axis=0)
    return bool(apart.max() <= voxels * one.spacing.min())


def corners(shape: tuple[int, int, int]) -> Floats:
    """The indices of the eight corner voxels, in voxels, as homogeneous coordinates: (4, 8)."""
    ends = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64).T
    last: Floats = np.array([*(count - 1 for count in shape), 1], dtype=np.float64)
    return ends * last[:, None]


def degrees_apart(axes: Floats) -> float:
    """The most degrees by which one of many pairs of directions, (n, 2, 3), points elsewhere than the first pair."""
    directions = axes / np.maximum(np.linalg.norm(axes, axis=2, keepdims=True), 1e-12)
    return float(np.degrees(np.arccos(np.clip((directions * directions[0]).sum(axis=2), -1, 1))).max())


def check_axes(grid: Grid, where: str) -> None:
    """InputError unless the axes are at right angles, and the slices nearer to transaxial than to anything else.

    Resizing in mm needs both. `where` is how the error names the scan.
    """
    axes = to_lps(grid).affine[:3, :3] / to_lps(grid).spacing
    off = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if off > 0.01:
        found = f"two that are {np.degrees(np.arcsin(min(off, 1))):.3g} degrees away from one"
        raise cannot_place("The grid is skewed.", where, "axes at right angles", found)
    tilt = float(np.degrees(np.arccos(np.clip(axes[2, 2], -1, 1))))
    if tilt > 45:
        raise cannot_place(
            "The slices are not transaxial.", where, "a tilt of at most 45 degrees", f"{tilt:.0f}"
        )


def size_text(grid: Grid) -> str:
    """Shape and spacing as an error tells them."""
    voxels, steps = " x ".join(map(str, grid.shape)), " x ".join(f"{step:.3g}" for step in grid.spacing)
    return f"{voxels} voxels of {steps} mm"


class CannotPlace(InputError):
    """The volumes of a scan do not fit on the grid of the reference modality; on that of another they may."""


def cannot_place(problem: str, where: str, expected: str, found: str, do: str | None = None) -> CannotPlace:
    """The error of a scan whose volumes do not fit together; `do`, where more is known than that.

    It names no other reference: which one every scan of a cohort allows, one scan cannot tell.
    """
    do = do or "Check that the row's files belong together and are whole, or take the scan out."
    return CannotPlace(problem, where=where, expected=expected, found=found, do=do)
