"""Maps masks and probabilities of stored slices back to the grid of a scan's own files, or of its mask.

It also maps a lesion to the voxels of an image, so that the image is measured as its file holds it: resampled on a
finer grid, an image loses its highest values, since no voxel of that grid lies exactly where they are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import nibabel as nib
import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from data_prep.masks.lesions import around, covered
from data_prep.volumes.resize import HALF_SHARE, Window, area_weights, overlapped, weigh
from data_prep.volumes.volume import Grid, Volume, box_of, to_lps
from hnscc.base.arrays import Bools, Floats, Integers, Masks
from hnscc.cohort.placement import WayBack
from hnscc.cohort.store_format import DrawnMask

Kind = TypeVar("Kind", bound=np.generic)


def own_voxels(lesion: Bools, grid: Grid, image: Grid) -> Bools:
    """Return the voxels of an image of which a lesion covers at least half, by area: bool (Z, Y, X), turned to LPS.

    If it covers half of no voxel, these are the voxels of which it covers most; none if it lies outside of the image.
    lesion: bool (Z, Y, X) on `grid`, which lies LPS.
    """
    lps = to_lps(image)
    found = np.zeros(lps.shape[::-1], dtype=bool)
    box, share = _covered_shares(lesion, grid, lps)
    most = float(share.max(initial=0))
    if most > 0:
        found[box] = share >= min(HALF_SHARE, most)
    return found


def half_covered(lesion: Bools, grid: Grid, other: Grid) -> Bools:
    """Return the voxels of another grid of which a lesion covers at least half, by area: bool (Z, Y, X).

    lesion: bool (Z, Y, X) on `grid`. Both grids lie LPS.
    """
    found = np.zeros(other.shape[::-1], dtype=bool)
    box, share = _covered_shares(lesion, grid, other)
    found[box] = share >= HALF_SHARE
    return found


def _covered_shares(lesion: Bools, grid: Grid, other: Grid) -> tuple[tuple[slice, ...], Floats]:
    """Return the box (z, y, x) of the other grid that a lesion (Z, Y, X) may touch, and the share, 0..1, that it covers
    of each voxel there, in the shape of the box."""
    nothing = (slice(0, 0),) * 3, np.zeros((0, 0, 0))
    held = box_of(lesion)
    if held is None:
        return nothing
    cut = np.ascontiguousarray(lesion[held].T, np.float32)
    wide, tall, deep = cut.shape
    part = _moved(grid, np.array([each.start for each in held[::-1]]), (wide, tall, deep))
    low, high = around(cut, part, other)
    if (low >= high).any():
        return nothing
    x, y, z = (int(count) for count in high - low)
    box = tuple(slice(first, last) for first, last in zip(low[::-1], high[::-1], strict=True))
    return box, covered(Volume(cut, part), _moved(other, low, (x, y, z)))


def _moved(grid: Grid, first: Integers, shape: tuple[int, int, int]) -> Grid:
    """Return the part of a grid that begins at the voxel `first` (x, y, z)."""
    affine = grid.affine.copy()
    affine[:3, 3] = (grid.affine @ [*first, 1.0])[:3]
    return Grid(shape, affine, grid.oriented)


def lesion_back(mask: Masks | Bools, placement: WayBack) -> Bools:
    """Return a mask of stored slices as a mask with its axes turned to LPS: bool (Z, Y, X), on the grid that
    data_prep.volumes.volume.to_lps gives of the reference's file.

    It is true where lesion covers at least half of the voxel, and false outside of the stored slices. mask: bool or 0
    and 1, (Z, H, W). ValueError is raised where the mask's shape is not that of the stored slices.
    """
    return np.stack([share >= HALF_SHARE for share in _shares(mask, placement)])


def sent_back(mask: Bools, lesion: Bools, placement: WayBack) -> Bools:
    """Return the part, bool (Z, H, W), of a mask of stored slices that the mask mapped back overlaps.

    The rest left nothing, such as pixels in the padding around the grid. mask: bool (Z, H, W). lesion: bool (Z, Y, X),
    of `lesion_back`.
    """
    scale, offset = placement["scale"], placement["offset"]
    window = Window(placement["size"], (scale[0], scale[1]), (offset[0], offset[1]))
    return np.stack([of & overlapped(slice_, window) for of, slice_ in zip(mask, lesion, strict=True)])


def back_as_drawn(mask: Masks | Bools, placement: WayBack, drawn: DrawnMask) -> Bools:
    """Return a mask of stored slices on the grid that the scan's own mask was drawn on: bool (Z, Y, X), lying
    as `drawn.voxels`.

    If that is the reference's grid, it is `lesion_back`. Else `lesion_back` is resampled to the mask's grid, where
    lesion is what it covers at least half of, as everywhere. mask: bool or 0 and 1, (Z, H, W). ValueError is raised as
    by `lesion_back`.
    """
    lesion = lesion_back(mask, placement)
    if drawn.on in (None, placement["reference"]):
        return lesion
    x, y, z = placement["input_shape"]
    grid = Grid((x, y, z), np.array(placement["input_affine"], np.float64), oriented=True)
    deep, high, wide = drawn.voxels.shape
    own = Grid((wide, high, deep), np.array(drawn.affine, np.float64), oriented=True)
    return half_covered(lesion, to_lps(grid), own)


def values_back(values: NDArray[np.floating], placement: WayBack) -> NDArray[np.float32]:
    """Return values of stored slices, finite floats (Z, H, W), on the grid of `lesion_back`, as float32 (Z, Y, X).

    Each is the mean over its voxel in the unit of the values, such as probabilities in 0..1, and 0 outside of the
    stored slices. ValueError is raised as by `lesion_back`.
    """
    return np.stack([share.astype(np.float32) for share in _shares(values, placement)])


def in_file_order(values: NDArray[Kind], placement: WayBack) -> NDArray[Kind]:
    """Return values (Z, Y, X), whose grid lies LPS, as (x, y, z) in the voxel order of the file of that grid.

    The result is a view. values: of any number type and unit of values, which are kept.
    """
    turn = orientations.ornt_transform(*_axes(placement)[::-1])
    turned: NDArray[Kind] = orientations.apply_orientation(values.T, turn)
    return turned


def _axes(placement: WayBack) -> tuple[Floats, Floats]:
    """Return the file's axes and those of LPS, in nibabel's form, each (3, 2): numbers of axes, and directions."""
    file, lps = (orientations.axcodes2ornt(codes) for codes in (placement["input_axes"], "LPS"))
    return file, lps


def _shares(values: NDArray[Any], placement: WayBack) -> Iterator[Floats]:
    """Return, for each slice of the grid, (Y, X), the mean over each voxel of the stored pixels, weighted by
    covered area.

    values: (Z, H, W), of any number type and unit of values, which the means keep. ValueError is raised for another
    shape than that of the stored slices.
    """
    order = np.argsort(orientations.ornt_transform(*_axes(placement))[:, 0])
    width, height, depth = (placement["input_shape"][axis] for axis in order)
    stored = (depth, placement["size"], placement["size"])
    if values.shape != stored:
        raise ValueError(
            f"what is brought back must have the shape of the scan's stored slices, {stored}, not {values.shape}; give "
            "a value for each pixel of each"
        )
    scale, offset, size = placement["scale"], placement["offset"], placement["size"]
    rows = area_weights(height, size, 1 / scale[0], -offset[0] / scale[0])
    columns = area_weights(width, size, 1 / scale[1], -offset[1] / scale[1])
    nothing = np.zeros((height, width))
    return (weigh(slice_.astype(np.float64), rows, columns) if slice_.any() else nothing for slice_ in values)


def save_nifti(path: Path, values: NDArray[Any], placement: WayBack) -> None:
    """Write values (Z, Y, X), whose grid lies LPS, as a NIfTI file on the grid of the scan's own file.

    The file is compressed if the name of `path` says so, and overwrites a file of that name. values: masks, uint8 of 0
    and 1, or float32 in any unit of values, such as probabilities in 0..1. The file has their number type, without a
    scaling, and states no unit of values; lengths are in mm.
    """
    affine = np.array(placement["input_affine"], dtype=np.float64)
    image = nib.Nifti1Image(in_file_order(values, placement), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    if not np.allclose(image.get_qform(), affine, atol=1e-3):  # a qform cannot hold the slightest shear
        image.set_qform(None, code=0)
    image.to_filename(path)
