"""On which modality of its row a mask was drawn: by the series it refers to, else by its frame of reference, else by
its voxels."""

from collections.abc import Mapping

from data_prep.volumes.grids import matching
from data_prep.volumes.volume import Grid
from hnscc.base.errors import InputError


def images_of(
    frame: str, series: frozenset[str], grids: Mapping[str, Grid], where: str
) -> tuple[list[str], bool]:
    """Return the modalities that a mask may lie on, and whether it refers to them by their series.

    frame, series: the UIDs of the mask's frame of reference ("" for none) and of the series that it refers to.
    grids: those of the row's images, by modality. Those that are no DICOM say nothing of either, and may be made of
    that series. InputError where every modality lies in another frame of reference.
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
    """Return the modality on which a mask that was read lies: with it the mask moves where that is registered.

    mask: the grid of the mask, which bears the series of the image where the mask was drawn in DICOM; else it is the
    modality of the same voxels, and of several of them the reference, or else the first. None where there is none.
    """
    names = [name for name, grid in grids.items() if mask.series and grid.series == mask.series]
    names = names or matching(mask, grids)
    return reference if reference in names else next(iter(names), None)
