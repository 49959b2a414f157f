"""What the files of a manifest's row hold: all of them are read, so that the faults of all are told at once;
and which modality's grid the slices of every scan are taken from."""

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
    """Return the volumes of a row by modality, PET of DICOM in SUV as `suv` says (data_prep.dicom.suv), and its mask.

    InputError tells the faults of all its files.
    """

    def of_cell(cell: MaskCell, volumes: dict[str, Volume]) -> Mask:
        return read_mask(cell, {name: volume.grid for name, volume in volumes.items()}, reference)

    return _each(row, partial(read_volume, suv=suv), of_cell)


def grids_of(row: Row) -> tuple[dict[str, Grid], list[str] | None]:
    """Return the grids of a row by modality, and the modalities that its mask may be drawn on (None: no mask).

    Headers alone are read; InputError tells the faults of all files.
    """
    return _each(row, read_grid, drawn_on)


def mask_of(row: Row, grids: Mapping[str, Grid], reference: str) -> Volume | None:
    """Return the mask of a row, of whose modalities these are the grids; reference and InputError as of `read_mask`."""
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
    # A DICOM mask needs the images, of which one has failed already.
    if row.mask is not None and not (faults and names_dicom(row.mask)):
        try:
            of_mask = read_of_mask(_cell(row, row.mask), answers)
        except InputError as fault:
            faults.append(fault)
    if faults:
        raise several(faults)
    return answers, of_mask


def choose_reference(rows: list[Row], reference: str | None) -> tuple[str, list[Fault]]:
    """Return the modality whose grid the slices of every scan are taken from.

    One for the whole cohort, so that scans without lesion are sliced like those with. Without `reference`:
    the modality on whose grid every mask is drawn (headers only are read); of several, or where no scan has
    a mask, the one with the smallest pixels, then the first in the manifest. Where masks are drawn on different
    modalities, it is the one with the smallest pixels of those: to it the other masks are brought, by area, with the
    least loss. With it come the faults of headers that were read, and of masks on no modality's grid.
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
    # Slices may lie along any axis of the file; of the three faces of a voxel the smallest is the pixel.
    one, two, _ = sorted(float(step) for step in grid.spacing)
    return one * two
