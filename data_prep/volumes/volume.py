"""What every reader returns: a grid of voxels in space, and the values on it; and how grids lie.

Axes are turned to LPS, grids are compared, and what slices need of a grid is checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from hnscc.base.arrays import Bools, Floats
from hnscc.base.errors import InputError

# DICOM and ITK count mm towards the patient's left and posterior, NIfTI towards right and anterior.
TO_RAS = np.diag([-1.0, -1.0, 1.0])
MAX_VOXELS = 2**29  # 2 GiB as float32; a damaged header can claim any size
MAX_BYTES = 2**31  # of one volume in memory, in the file's type or as float32, whichever is larger
Kind = TypeVar("Kind", bound=np.generic)
SAME_GRID_VOXELS = 0.05  # voxels: corners of equal grids lie no farther apart


@dataclass(frozen=True)
class Whose:
    """Whose scan a DICOM file says it is: digests of PatientID, StudyInstanceUID and FrameOfReferenceUID, "" if it
    has none.

    They are compared while a cohort is prepared, and kept nowhere.
    """

    patient: str = field(default="", repr=False)
    dicom_study: str = field(default="", repr=False)
    frame: str = field(default="", repr=False)


@dataclass(frozen=True)
class Grid:
    """The place of voxels in space.

    `shape` counts the voxels along x, y and z in the file's order. `affine` is 4 x 4 and maps a voxel's index to mm (as
    in NIfTI: x to right, y to anterior, z to superior). `oriented` is False for Analyze without SPM's .mat, whose
    affine is assumed. `stated_by` says what in the file gives the affine: sform, qform, both, SPM's .mat, or the kind
    of file (DICOM, NRRD, MetaImage, MGH); it is "" for Analyze. `series` and `frame_of_reference` are the UIDs of a
    DICOM series, "" for other files. `slice_names` are the names of its slices along z (data_prep.dicom.named_slices),
    empty for other files. These are only compared, and written into no text. `whose` says whose a DICOM series is.
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
        """Return the voxel size in mm along the three axes of the array: (3,)."""
        spacing: Floats = np.linalg.norm(self.affine[:3, :3], axis=0)
        return spacing


@dataclass(frozen=True)
class Padding:
    """A value that stands for nothing, and how many voxels hold it.

    `mixed` of the `voxels` hold a mixture of `value` with the image, as interpolation leaves at its border. `filled`:
    they are treated like NaN.
    """

    value: float
    voxels: int
    filled: bool
    mixed: int = 0


@dataclass(frozen=True)
class Volume:
    """Values on a grid: `data` is (x, y, z), finite, in the file's voxel order and unit of values (scaled as its
    header says).

    `blank`, of that shape, says for which voxels the file holds no number (NaN around the field of view, or
    `padding`, a value that stands for nothing); in `data` they hold the minimum. It is None where there are none.
    `unit` is the unit of values where the file states it, SUV or HU, else "". `written` tells how the file is
    written (data_prep.files.stated).
    """

    data: NDArray[np.float32]
    grid: Grid
    blank: Bools | None = None
    unit: str = ""
    padding: Padding | None = None
    written: Mapping[str, str] = field(default_factory=dict)


def axis_of_slices(grid: Grid) -> int:
    """Return the axis of the voxels, 0 to 2, that runs nearest to the direction from foot to head."""
    return int(np.flatnonzero(orientations.io_orientation(grid.affine)[:, 0] == 2)[0])


def to_lps(grid: Grid) -> Grid:
    """Return the grid of the same voxels with axes turned and flipped: x runs to left, y to posterior, z
    to superior."""
    turn = turn_to_lps(grid)
    x, y, z = (grid.shape[axis] for axis in np.argsort(turn[:, 0]))
    return Grid((x, y, z), grid.affine @ orientations.inv_ornt_aff(turn, grid.shape), grid.oriented)


def turn_to_lps(grid: Grid) -> Floats:
    """Return the turn that brings an array in the file's order to LPS, in nibabel's form: (3, 2), numbers of axes
    and directions.

    It is cached and must not be written to.
    """
    return _turn_to_lps(tuple(grid.affine.ravel().tolist()))


@lru_cache(maxsize=64)  # asked for dozens of times per scan
def _turn_to_lps(affine: tuple[float, ...]) -> Floats:
    """Return `turn_to_lps` for an affine given as 4 x 4 numbers row by row."""
    turn: Floats = orientations.ornt_transform(
        orientations.io_orientation(np.reshape(affine, (4, 4))), orientations.axcodes2ornt("LPS")
    )
    turn.flags.writeable = False
    return turn


def turned_to_lps(data: NDArray[Kind], grid: Grid) -> NDArray[Kind]:
    """Return an array, which is in the order of the grid's file, with its axes turned and flipped as by `to_lps`.

    data: of the shape of the grid, of any type and unit of values. The result is (x, y, z), x to the left, y to
    posterior, z to superior, of the same type and values: a view of data.
    """
    lps: NDArray[Kind] = orientations.apply_orientation(data, turn_to_lps(grid))
    return lps


def voxels_of(one: Grid, other: Grid) -> Floats:
    """Return a matrix, 4 x 4, from an index of the other grid to the position in this one, in its voxels."""
    matrix: Floats = np.linalg.inv(one.affine) @ other.affine
    return matrix


def on_same_voxels(one: Grid, grids: Mapping[str, Grid]) -> list[str]:
    """Return the names of those grids that hold the same voxels, in their order."""
    return [name for name, grid in grids.items() if same_grid(one, grid)]


def same_grid(one: Grid, other: Grid) -> bool:
    """Return whether two grids hold the same voxels, in whatever order of axes.

    Where one has no orientation (Analyze), only shape and spacing in file order can be compared.
    """
    if not (one.oriented and other.oriented):
        return one.shape == other.shape and bool(np.allclose(one.spacing, other.spacing, rtol=1e-3))
    return nearly_same_grid(to_lps(one), to_lps(other), SAME_GRID_VOXELS)


def nearly_same_grid(one: Grid, other: Grid, voxels: float) -> bool:
    """Return whether two grids that lie LPS have the same shape, and corners at most so many voxels of `one` apart."""
    if one.shape != other.shape:
        return False
    apart = np.linalg.norm(((one.affine - other.affine) @ corners(one.shape))[:3], axis=0)
    return bool(apart.max() <= voxels * one.spacing.min())


def box_of(shown: NDArray[Any]) -> tuple[slice, ...] | None:
    """Return the box of (Z, H, W) that holds all that is shown, true or not 0; None where nothing is. SciPy's takes ten
    times as long."""
    plane: Bools = np.any(shown, axis=0)
    found = [np.flatnonzero(each) for each in (shown.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0))]
    return tuple(slice(int(at[0]), int(at[-1]) + 1) for at in found) if len(found[0]) else None


def corners(shape: tuple[int, int, int]) -> Floats:
    """Return the indices of the eight corner voxels, in voxels, as homogeneous coordinates: (4, 8)."""
    ends = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64).T
    last: Floats = np.array([*(count - 1 for count in shape), 1], dtype=np.float64)
    return ends * last[:, None]


def degrees_apart(axes: Floats) -> float:
    """Return the largest angle, in degrees, between the first pair of directions and any other pair, (n, 2, 3)."""
    directions = axes / np.maximum(np.linalg.norm(axes, axis=2, keepdims=True), 1e-12)
    return float(np.degrees(np.arccos(np.clip((directions * directions[0]).sum(axis=2), -1, 1))).max())


def check_axes(grid: Grid, where: str) -> None:
    """Raise InputError unless the axes are at right angles and the slices nearer to transaxial than to another plane.

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
    """Return shape and spacing as an error names them."""
    voxels, steps = " x ".join(map(str, grid.shape)), " x ".join(f"{step:.3g}" for step in grid.spacing)
    return f"{voxels} voxels of {steps} mm"


class CannotPlace(InputError):
    """The volumes of a scan do not fit on the grid of the reference modality; on that of another they may."""


def cannot_place(problem: str, where: str, expected: str, found: str, do: str | None = None) -> CannotPlace:
    """Return the error of a scan whose volumes do not fit together; `do` is given where better advice is known.

    It names no other reference, since one scan cannot tell which one all scans of a cohort allow.
    """
    do = do or "Check that the row's files belong together and are whole, or take the scan out."
    return CannotPlace(problem, where=where, expected=expected, found=found, do=do)
