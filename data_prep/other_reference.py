"""Finds another reference on whose grid all scans fit, where some do not fit on the given one's, so that errors
advise it."""

from collections.abc import Mapping, Sequence

from data_prep.manifest.manifest import Fault, Row
from data_prep.masks.lesions import lesion_on
from data_prep.placing.gridded import check_coverage, check_steps, covered_by
from data_prep.row_files import grids_of, mask_of
from data_prep.settings import PrepareSettings
from data_prep.volumes.lying import mask_lying
from data_prep.volumes.volume import CannotPlace, Grid, check_axes
from hnscc.base.arrays import Bools
from hnscc.base.errors import InputError


def with_reference(
    found: list[Fault], rows: Sequence[Row], reference: str, settings: PrepareSettings
) -> list[Fault]:
    """Return the faults; where scans do not fit on the reference's grid, the faults name a modality on whose grid
    all do.

    This is decided by headers and masks, so it cannot be said of images that are to be registered. If headers and masks
    say that the reference itself fits, no modality is named: they do not show what is wrong, and another modality might
    fail too.
    """
    if settings.register == "rigid" or not any(isinstance(fault, CannotPlace) for _, fault in found):
        return found
    try:
        headers = [grids_of(row)[0] for row in rows]
    except InputError:  # this fault is among those found
        return found
    fitting = [name for name in rows[0].files if name != reference and _fits_all(rows, headers, name)]
    if not fitting or _fits_all(rows, headers, reference):
        return found
    do = (
        f"Prepare with --reference {fitting[0]}: by their headers and masks, all scans fit on the grid of {fitting[0]}."
        " Or, where few rows are named here, see whether their files belong together and stand in the right columns."
    )
    return [
        (line, CannotPlace(each.problem, where=each.where, expected=each.expected, found=each.found, do=do))
        if isinstance(each, CannotPlace)
        else (line, each)
        for line, each in found
    ]


def _fits_all(rows: Sequence[Row], headers: Sequence[Mapping[str, Grid]], name: str) -> bool:
    """Return whether headers and masks of all scans allow their slices to lie on this modality's grid.

    headers: the grids of each scan's modalities. Masks are read only where no header of any scan rules it out already.
    """
    return all(_covered(row, grids, name, None) for row, grids in zip(rows, headers, strict=True)) and all(
        _holds_lesion(row, grids, name) for row, grids in zip(rows, headers, strict=True)
    )


def _holds_lesion(row: Row, grids: Mapping[str, Grid], name: str) -> bool:
    """Return whether the lesion of a scan lies on a modality's grid, and all modalities cover as much of it as
    they must.

    It is False, too, where the mask cannot be read, which is reported as another fault.
    """
    try:
        mask = mask_of(row, grids, name)
        if mask is None:
            return True
        mask = mask_lying(mask, grids, name, row.where)
        return _covered(row, grids, name, lesion_on(mask, dict(grids), name, row.where).voxels)
    except InputError:
        return False


def _covered(row: Row, grids: Mapping[str, Grid], name: str, lesion: Bools | None) -> bool:
    """Return whether all modalities of a scan state an orientation, and cover as much as they must of this grid
    and lesion.

    name: the modality whose grid is meant. lesion: bool (Z, Y, X) on that grid turned to LPS; None: it is not checked.
    """
    if not all(each.oriented for each in grids.values()):
        return False
    try:
        check_axes(grids[name], row.where)
        check_steps(grids, name, row.where)
        of_grid = {other: covered_by(grids[other], grids[name]) for other in grids}
        of_lesion = {
            other: 1.0 if lesion is None else covered_by(grids[other], grids[name], lesion) for other in grids
        }
        check_coverage(of_grid, of_lesion, grids, name, row.where)
    except CannotPlace:
        return False
    return True
