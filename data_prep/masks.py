"""From the mask cell of a manifest to a mask: volumes, of which `roi` may name a label, and DICOM contours.

Contours have no voxels of their own: they take the grid of the modality that they were drawn on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.contours import fill_contours
from data_prep.dicom_header import quiet
from data_prep.dicom_masks import read_dicom_mask
from data_prep.drawn_on import images_of
from data_prep.grids import matching
from data_prep.lesions import labelled
from data_prep.off_grid import off_grid
from data_prep.read import read_grid, read_volume
from data_prep.regions import number_of
from data_prep.rtstruct import Structure, structure_of
from data_prep.volumes import Grid, Volume
from hnscc.base.errors import InputError


@dataclass(frozen=True)
class Mask:
    """A mask on the grid of one of its row's modalities, and what was assumed or left out, in sentences."""

    volume: Volume
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """What a row says of its mask: the file or folder, the region of it that is lesion (None: the only one), the
    row's images by modality, and how errors name the cell (row, column, scan)."""

    path: Path
    region: str | None
    images: Mapping[str, Path]
    where: str


def read_mask(cell: Cell, grids: Mapping[str, Grid], reference: str) -> Mask:
    """Read a mask; `grids` are those of the row's modalities, `reference` the modality whose slices are stored.

    InputError: the file cannot be read, the region is not in it (data_prep.regions), contours cannot be filled
    (data_prep.contours) or were drawn on another image than those of the row (data_prep.drawn_on).
    """
    structure = _structure(cell)
    if structure is None:
        return Mask(_volume(cell))
    candidates, referred = images_of(structure.frame, structure.series, cell.images, cell.where)
    name = reference if reference in candidates else candidates[0]
    told = [] if referred else [f"contours that refer to no series of the row are taken as drawn on {name}"]
    return _filled(structure, grids[name], told, cell.where)


def drawn_on(cell: Cell, grids: Mapping[str, Grid]) -> list[str]:
    """Return the modalities on whose grid a mask is drawn, or may be, from headers; InputError where there is none.

    Where `grids` lacks some of the row's images, since these cannot be read, none is no error: they may be the ones.
    """
    structure = _structure(cell)
    if structure is None:
        grid = read_grid(cell.path, cell.where)
        names = matching(grid, grids)
        if not names and len(grids) == len(cell.images):
            raise off_grid(grid, dict(grids), cell.where)
        return names
    return images_of(structure.frame, structure.series, cell.images, cell.where)[0]


def _structure(cell: Cell) -> Structure | None:
    """The contours that a cell names; None where it names a volume."""
    with quiet():
        found = read_dicom_mask(cell.path, cell.where)
        return structure_of(found.header, cell.region, cell.where) if found else None


def _volume(cell: Cell) -> Volume:
    """A mask on the grid of its own file: of a label map, 1 where it holds the label that the region names."""
    volume = read_volume(cell.path, cell.where)
    if cell.region is None:
        return volume
    number = number_of(cell.region)
    if number is None:
        raise InputError(
            "A label map knows no names.",
            where=cell.where,
            expected="the number of the lesion in the column `roi`, such as label:3",
            found="a name",
            do="Write the label's number into the column `roi` of this row.",
        )
    return labelled(volume, number, cell.where)


def _filled(structure: Structure, grid: Grid, told: list[str], where: str) -> Mask:
    if not grid.oriented:
        raise InputError(
            "The image of the contours does not say how it lies (Analyze).",
            where=where,
            expected="contours drawn on a DICOM series or on a NIfTI file",
            found="an Analyze pair",
            do="Give the image as DICOM or as NIfTI, or the mask as a volume.",
        )
    lesion = np.zeros(grid.shape, dtype=bool)
    told = [*told, *structure.told]
    for region in structure.regions:
        drawn = fill_contours(region.contours, grid, where, odd_is_meant=region.odd_is_meant)
        lesion |= drawn.voxels
        told += drawn.told
    return Mask(Volume(lesion.astype(np.float32), grid), tuple(told))
