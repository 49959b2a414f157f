"""Which modality's grid the slices of every scan are taken from."""

from data_prep.manifest.manifest import Fault, Row, refused
from data_prep.row_files import grids_of
from data_prep.volumes.volume import Grid
from hnscc.base.errors import InputError


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
