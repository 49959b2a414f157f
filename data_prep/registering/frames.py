"""Which modalities of a scan lie together by their files, and which have to be registered, or are refused."""

from collections.abc import Mapping

from data_prep.volumes.volume import Grid
from hnscc.base.errors import InputError


def apart(grids: Mapping[str, Grid], reference: str) -> list[str]:
    """Return the modalities that are registered to the reference where that is asked for.

    DICOM series of its frame of reference lie together with it. All others are: those of another frame, and those
    where one of the two states none (NIfTI, NRRD and the like have no frame of reference).
    """
    frame = grids[reference].frame_of_reference
    return [
        name
        for name, grid in grids.items()
        if name != reference and not (frame and grid.frame_of_reference == frame)
    ]


def check_frames(grids: Mapping[str, Grid], reference: str, scan: str) -> None:
    """InputError where a modality lies in another frame of reference than the reference modality, by DICOM; `scan` is
    how the error names the scan. What states no frame is taken as it lies."""
    frame = grids[reference].frame_of_reference
    for name, grid in grids.items():
        if frame and grid.frame_of_reference not in ("", frame):
            raise InputError(
                f"The modality lies in another frame of reference than {reference}.",
                where=f"{scan}, column {name}",
                expected="one frame of reference for all DICOM series of a scan",
                found="another one: nothing says how the two lie to one another",
                do="Prepare the store with --register rigid, which lays one on the other and says how well; or, where "
                "they lie together all the same, with --register none. A study on a store of the same images trains "
                "nothing again.",
            )
