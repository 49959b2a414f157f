"""Reads the mask that a manifest's cell names: a volume, in which `roi` may name a label, or DICOM contours
or segments.

Contours have no voxels of their own, and segments hold only the frames with lesion. Both are brought to the grid of the
modality that they were drawn on: the series that they refer to; else one of their frame of reference; else one of the
same voxels.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from data_prep.dicom.mask_files import read_dicom_mask
from data_prep.dicom.named_slices import check_named_slices
from data_prep.dicom.regions import chosen, region_number
from data_prep.dicom.rtstruct import Structure
from data_prep.dicom.seg import Segmentation, with_steps_of
from data_prep.files.itk_files import is_itk_file
from data_prep.files.itk_header import segment_names
from data_prep.files.read import read_grid, read_volume
from data_prep.masks.contours import fill_contours
from data_prep.masks.lesions import check_kept, covered, labelled
from data_prep.volumes.lying import is_piece, off_grid
from data_prep.volumes.resize import HALF_SHARE
from data_prep.volumes.volume import Grid, Volume, Whose, on_same_voxels, same_grid, to_lps
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of


def images_of(
    frame: str, series: frozenset[str], grids: Mapping[str, Grid], where: str
) -> tuple[list[str], bool]:
    """Return the modalities that a mask may lie on, and whether it refers to them by their series.

    frame, series: the UIDs of the mask's frame of reference ("" for none) and of the series that it refers to. grids:
    those of the row's images, by modality. Images that are not DICOM have neither UID; they may have been converted
    from that series. InputError is raised where every modality lies in another frame of reference.
    """
    if referred := [name for name, grid in grids.items() if grid.series in series - {""}]:
        return referred, True
    shared = [name for name, grid in grids.items() if frame and grid.frame_of_reference == frame]
    silent = [name for name, grid in grids.items() if not frame or not grid.frame_of_reference]
    if not shared and not silent:
        raise InputError(
            "The mask lies in another frame of reference than the images.",
            where=where,
            expected="a mask drawn on one of the row's series, or on another of the same frame of reference",
            found="neither such a series nor such a frame",
            do="Check that mask and images are of one scan; or take the scan out.",
        )
    return shared or silent, False


def goes_with(mask: Grid, grids: Mapping[str, Grid], reference: str) -> str | None:
    """Return the modality that a mask lies on, and with which it moves if that is registered; None where there is none.

    mask: the grid of the mask. If the mask was drawn in DICOM, the grid holds the series of its image, which decides.
    Else it is the modality of the same voxels: of several the reference, or else the first.
    """
    names = [name for name, grid in grids.items() if mask.series and grid.series == mask.series]
    names = names or on_same_voxels(mask, grids)
    return reference if reference in names else next(iter(names), None)


@dataclass(frozen=True)
class Mask:
    """A mask on the grid of one of its row's modalities; sentences on what was assumed or left out; and whose its file
    says it is."""

    volume: Volume
    told: tuple[str, ...] = ()
    whose: Whose = field(default_factory=Whose, repr=False)


@dataclass(frozen=True)
class MaskCell:
    """What a row says of its mask: the file or folder, the region in it that is lesion (None: the only one), the row's
    modalities, and how errors name the cell (row, column, scan)."""

    path: Path
    region: str | None
    modalities: Collection[str]
    where: str


def read_mask(cell: MaskCell, grids: Mapping[str, Grid], reference: str) -> Mask:
    """Read a mask; `grids` are those of the row's modalities, `reference` is the modality whose slices are stored.

    InputError is raised where the file cannot be read, the region is not in it (data_prep.dicom.regions),
    contours cannot be filled (data_prep.masks.contours), or a DICOM mask was drawn on an image that is not in the
    row (`images_of`).
    """
    found = read_dicom_mask(cell.path, cell.region, cell.where)
    if found is None:
        return _of_volume(cell)
    names, referred, beside = _drawn_on(found, cell, grids)
    name = reference if reference in names else names[0]
    what = "contours" if isinstance(found, Structure) else "segments"
    told = [] if referred else [f"{what} that refer to no series of the row are taken as drawn on {name}"]
    told += beside
    if isinstance(found, Segmentation):
        if referred and not found.apart_stated:
            found = replace(found, volume=with_steps_of(found.volume, grids[name]))
        return _on_grid_of(name, found, grids[name], told, cell.where)
    return _filled(found, grids[name], told, cell.where)


def drawn_on(cell: MaskCell, grids: Mapping[str, Grid]) -> list[str]:
    """Return the modalities on whose grid a mask is drawn, or may be; InputError is raised where there is none.

    If `grids` lacks some of the row's images, since these cannot be read, it is no error that none is found.
    """
    found = read_dicom_mask(cell.path, cell.region, cell.where)
    if found is not None:
        return _drawn_on(found, cell, grids)[0]
    grid = read_grid(cell.path, cell.where)
    names = on_same_voxels(grid, grids)
    if not names and len(grids) == len(cell.modalities):
        raise off_grid(grid, dict(grids), cell.where)
    return names


def _drawn_on(
    found: Structure | Segmentation, cell: MaskCell, grids: Mapping[str, Grid]
) -> tuple[list[str], bool, tuple[str, ...]]:
    """Return the modalities that a DICOM mask may be drawn on, one or more; whether it refers to them by their series;
    and sentences on contours or frames that do not lie on the slices that they name."""
    names, referred = images_of(found.frame, found.series, grids, cell.where)
    images = {name: grids[name] for name in names}
    if isinstance(found, Structure):
        contours = [each for region in found.regions for each in region.pieces]
        beside = check_named_slices(contours, images, "contour", cell.where)
    else:
        beside = check_named_slices(found.pieces, images, "frame", cell.where)
    if isinstance(found, Segmentation) and not referred:
        grid = found.volume.grid
        names = [
            name for name in names if same_grid(grid, grids[name]) or is_piece(grid, grids[name])
        ] or names
    return names, referred, beside


def _on_grid_of(name: str, found: Segmentation, grid: Grid, told: list[str], where: str) -> Mask:
    """Return a segmentation on the whole grid of an image; its own grid is a part, since frames without lesion are
    left out."""
    _check_oriented(grid, where)
    own, lps = found.volume, to_lps(grid)
    share = covered(own, lps)
    voxels = share >= HALF_SHARE
    check_kept(share, voxels, float(own.data.sum() * np.prod(own.grid.spacing)), lps, where)
    told = [*told, *found.told]
    if not (same_grid(own.grid, grid) or is_piece(own.grid, grid)):
        told.append(f"segments on a grid of their own are brought to {name}, by area")
    lps = replace(lps, series=grid.series, frame_of_reference=grid.frame_of_reference)
    return Mask(Volume(np.ascontiguousarray(voxels.T, dtype=np.float32), lps), tuple(told), found.whose)


def _of_volume(cell: MaskCell) -> Mask:
    """Return a mask on the grid of its own file; of a label map, it is 1 where the map holds a label that the
    region names."""
    volume = read_volume(cell.path, cell.where, labels=True)
    _check_background(volume, cell.where)
    if cell.region is None:
        return Mask(volume)
    numbers = _labels(cell, cell.region)
    told = [f"segments that are lesion together: {len(numbers)}"] if len(numbers) > 1 else []
    return Mask(labelled(volume, numbers, cell.where), tuple(told))


def _labels(cell: MaskCell, region: str) -> list[int]:
    """Return the labels that a region of a label map means: its number, or the segments of 3D Slicer that it names."""
    number = region_number(region)
    if number is not None:
        return [number]
    names = segment_names(cell.path) if is_itk_file(cell.path) else {}
    if not names:
        raise InputError(
            "A label map knows no names.",
            where=cell.where,
            expected="the number of the lesion in the column `roi`, such as label:3",
            found="a name, or several numbers",
            do="Write the label's number into the column `roi` of this row; where several labels are lesion together, "
            "name a file that holds them as one.",
        )
    return chosen(names, region, cell.where)


def _check_background(mask: Volume, where: str) -> None:
    """Raise InputError for a mask that holds NaN and no 0: voxels without a number would count as lesion, or as its
    lowest label."""
    if mask.blank is None or not mask.data.all():
        return
    held = np.unique(mask.data[~mask.blank])
    values = (
        f"{held[0]:g}"
        if len(held) == 1
        else f"{count_of(len(held), 'value')}, from {held[0]:g} to {held[-1]:g},"
    )
    raise InputError(
        "The mask holds NaN, which is no number, and no 0.",
        where=where,
        expected="0 in every voxel that is no lesion",
        found=f"NaN in {count_of(mask.blank.sum(), 'voxel')} of {mask.blank.size:,}, and {values} in all others",
        do="If there is no lesion where NaN stands, write 0 there (numpy.nan_to_num does), and save the mask again as "
        "whole numbers; or take the scan out.",
    )


def _filled(structure: Structure, grid: Grid, told: list[str], where: str) -> Mask:
    _check_oriented(grid, where)
    lesion = np.zeros(grid.shape, dtype=bool)
    told = [*told, *structure.told]
    lost = 0
    for region in structure.regions:
        drawn = fill_contours(region.contours, grid, where, odd_is_meant=region.odd_is_meant)
        lesion |= drawn.voxels
        told += drawn.told
        lost += int(not drawn.voxels.any())
    if not lesion.any():  # else it would look like a scan without lesion
        raise InputError(
            "The lesion is lost on the image's grid: its contours cover half of no voxel.",
            where=where,
            expected="a lesion of at least one voxel",
            found=count_of(sum(len(each.pieces) for each in structure.regions), "contour"),
            do="Look whether the contours are those of the lesion, and not a slip of the pen; or take the scan out.",
        )
    told += [f"regions that cover half of no voxel, and are lost: {lost}"] if lost else []
    return Mask(Volume(lesion.astype(np.float32), grid), tuple(told), structure.whose)


def _check_oriented(grid: Grid, where: str) -> None:
    if not grid.oriented:
        raise InputError(
            "The image of a DICOM mask does not say how it lies (Analyze).",
            where=where,
            expected="a mask drawn on a DICOM series or on a NIfTI file",
            found="an Analyze pair",
            do="Give the image as DICOM or as NIfTI, or the mask as a volume.",
        )
