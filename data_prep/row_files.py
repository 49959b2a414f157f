"""Reads all files of a manifest's row, so that their faults are reported together, and chooses the
reference modality."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from data_prep.dicom.series_volume import names_dicom
from data_prep.files.read import read_grid, read_volume
from data_prep.manifest.manifest import Fault, Row, refused
from data_prep.masks.mask_of_cell import Mask, MaskCell, drawn_on, read_mask
from data_prep.volumes.volume import Grid, Volume
from hnscc.base.errors import InputError, several

Read = TypeVar("Read")
OfMask = TypeVar("OfMask")


def volumes_of(row: Row, reference: str, suv: str) -> tuple[dict[str, Volume], Mask | None]:
    """Return the volumes of a row by modality, and its mask.

    PET of DICOM is converted to SUV as `suv` says (data_prep.dicom.suv). InputError reports the faults of all files of
    the row.
    """

    def of_cell(cell: MaskCell, volumes: dict[str, Volume]) -> Mask:
        return read_mask(cell, {name: volume.grid for name, volume in volumes.items()}, reference)

    return _each(row, partial(read_volume, suv=suv), of_cell)


def grids_of(row: Row) -> tuple[dict[str, Grid], list[str] | None]:
    """Return the grids of a row by modality, and the modalities that its mask may be drawn on (None: no mask).

    Only headers are read, and masks of DICOM. InputError reports the faults of all files.
    """
    return _each(row, read_grid, drawn_on)


def mask_of(row: Row, grids: Mapping[str, Grid], reference: str) -> Volume | None:
    """Return the mask of a row, or None. grids: those of the row's modalities. reference and InputError are as
    in `read_mask`."""
    if row.mask is None:
        return None
    return read_mask(_cell(row, row.mask), grids, reference).volume


def _cell(row: Row, mask: Path) -> MaskCell:
    return MaskCell(mask, row.region, row.files, f"{row.where}, column mask")


def _each(
    row: Row, read: Callable[[Path, str], Read], read_of_mask: Callable[[MaskCell, dict[str, Read]], OfMask]
) -> tuple[dict[str, Read], OfMask | None]:
    answers: dict[str, Read] = {}
    faults: list[InputError] = []
    for name, file in row.files.items():
        try:
            answers[name] = read(file, f"{row.where}, column {name}")
        except InputError as fault:
            faults.append(fault)
    of_mask = None
    # A DICOM mask needs all images of the row, and one of them has failed.
    if row.mask is not None and not (faults and names_dicom(row.mask)):
        try:
            of_mask = read_of_mask(_cell(row, row.mask), answers)
        except InputError as fault:
            faults.append(fault)
    if faults:
        raise several(faults)
    return answers, of_mask


def choose_reference(rows: list[Row], reference: str | None) -> tuple[str, list[Fault]]:
    """Return the modality whose grid the slices of every scan are taken from, and the faults found on the way.

    The whole cohort has one reference, so that scans without lesion are sliced like those with lesion. Where the caller
    names none, it is the modality on whose grid every mask is drawn. Where there are several such modalities, or no
    scan has a mask, it is the one of them with the smallest pixels, and among equal ones the first in the manifest.
    Where masks are drawn on different modalities, it is the one of these with the smallest pixels: the other masks are
    resampled to it by area, with the least loss. Only headers are read, and masks of DICOM. The faults are those of
    these files, and of masks that lie on no modality's grid.
    """
    modalities = list(rows[0].files)
    if reference is not None:
        if reference not in modalities:
            raise refused(
                "The reference is no modality.",
                "--reference",
                f"one of {', '.join(modalities)}",
                reference,
                do="Name one of these modalities, or leave --reference out, and prepare again.",
            )
        return reference, []
    drawn_on: list[list[str]] = []
    faults = []
    pixel = dict.fromkeys(modalities, 0.0)
    for row in rows:
        try:
            grids, mask_on = grids_of(row)
        except InputError as fault:
            faults.append((row.line, fault))
            continue
        if mask_on is not None:
            drawn_on.append(mask_on)
        for name, grid in grids.items():
            pixel[name] += _pixel_area(grid)
    everywhere = [name for name in modalities if all(name in names for names in drawn_on)]
    somewhere = [name for name in modalities if any(name in names for names in drawn_on)]
    candidates = everywhere or somewhere or modalities
    return min(candidates, key=lambda name: (pixel[name], modalities.index(name))), faults


def _pixel_area(grid: Grid) -> float:
    # Slices may lie along any axis of the file, so the smallest of a voxel's three faces is taken as the pixel.
    one, two, _ = sorted(float(step) for step in grid.spacing)
    return one * two
