"""Decides which modalities of a scan to register, what to report of a registration, and which one to refuse."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from data_prep.volumes.volume import Grid
from hnscc.base.arrays import Floats
from hnscc.base.errors import InputError

MOST_SHIFT_MM = 50.0  # of the middle of the reference's volume
MOST_TURN_DEGREES = 20.0  # degrees: a head that nods further was not laid down to be compared
LEAST_INFORMATION_NATS = 0.05  # nats; images of one body share 0.2 and more, noise and a body 0.00
_DO = (
    "Look at both images in one viewer. If they lie together already, prepare with --register none; if they show one "
    "body, lay one on the other by hand (in 3D Slicer a linear transform, hardened), save it as NIfTI, and prepare "
    "again; or take the scan out of the manifest."
)


def to_register(grids: Mapping[str, Grid], reference: str) -> list[str]:
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


def check_frames(grids: Mapping[str, Grid], reference: str, where: str) -> None:
    """InputError where a modality lies in another frame of reference than the reference modality, by DICOM; `where` is
    how the error names the scan. What states no frame is taken as it lies."""
    frame = grids[reference].frame_of_reference
    for name, grid in grids.items():
        if frame and grid.frame_of_reference not in ("", frame):
            raise InputError(
                f"The modality lies in another frame of reference than {reference}.",
                where=f"{where}, column {name}",
                expected="one frame of reference for all DICOM series of a scan",
                found="another one: nothing says how the two lie to one another",
                do="Prepare the store with --register rigid, which lays one on the other and says how well; or, where "
                "they lie together all the same, with --register none. A study on a store of the same images trains "
                "nothing again.",
            )


def shift_of(motion: Floats, centre: Floats) -> float:
    """How far in mm a rigid motion (4 x 4) moves the point `centre` (3,)."""
    return float(np.linalg.norm(motion[:3, :3] @ centre + motion[:3, 3] - centre))


def turn_of(motion: Floats) -> float:
    """By how many degrees, 0 to 180, a rigid motion (4 x 4) turns."""
    return float(np.degrees(np.arccos(np.clip((np.trace(motion[:3, :3]) - 1) / 2, -1, 1))))


def registrations_told(facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each modality that was registered, from its facts (data_prep.registering.registered)."""
    return [
        f"{name} was registered to {of['to']}: moved by {of['shift_mm']:.1f} mm and turned by {of['turn_degrees']:.1f} "
        f"degrees, mutual information {of['information_before']:.3f} before and {of['information_after']:.3f} after"
        for name, of in facts.items()
    ]


def no_overlap(where: str, reference: str) -> InputError:
    """The error of images that do not overlap where their files place them, nor once moved as far as may be."""
    return InputError(
        f"The image and that of {reference} do not overlap, so that they cannot be registered.",
        where=where,
        expected=f"images that overlap, or whose bodies' centres lie within {MOST_SHIFT_MM:g} mm",
        found="images that lie farther apart by their files",
        do=_DO,
    )


def too_thin(where: str, reference: str) -> InputError:
    """The error of an image of too few voxels for a search, or whose reference has."""
    return InputError(
        f"The image, or that of {reference}, is too thin to be registered.",
        where=where,
        expected="at least 12 mm along every axis",
        found="a slice or a few",
        do="Take the scan out; or, where its images lie together by their files, prepare with --register none.",
    )


def one_value(where: str, reference: str) -> InputError:
    """The error of an image that shows nothing, or whose reference does."""
    return InputError(
        f"The image, or that of {reference}, shows nothing by which they could be registered.",
        where=where,
        expected="images of a body",
        found="next to all voxels of one value",
        do="Look at both images, and export again the one that shows nothing; or take the scan out of the manifest.",
    )


def check_registration(facts: dict[str, Any], where: str) -> None:
    """InputError where a registration is not to be trusted. facts: as data_prep.registering.registered tells them.

    It ended with less mutual information than it began with; it moved further than the modalities of a scan may lie
    apart; or what it found tells next to nothing of the reference.
    """
    before, after = facts["information_before"], facts["information_after"]
    reference = facts["to"]
    if after < before:
        problem = f"The registration to {reference} ended worse than it began."
        expected = f"at least the mutual information with {reference} where the files lie, {before:.3f} nats"
        found = f"{after:.3f} nats"
    elif facts["shift_mm"] > MOST_SHIFT_MM or facts["turn_degrees"] > MOST_TURN_DEGREES:
        problem = f"The registration to {reference} moved the image further than is plausible."
        expected = f"at most {MOST_SHIFT_MM:g} mm and {MOST_TURN_DEGREES:g} degrees"
        found = f"{facts['shift_mm']:.1f} mm and {facts['turn_degrees']:.1f} degrees"
    elif after < LEAST_INFORMATION_NATS:
        problem = f"The image tells next to nothing of that of {reference}, wherever it is laid."
        expected = f"a mutual information of at least {LEAST_INFORMATION_NATS:g} nats"
        found = f"{after:.3f} nats"
    else:
        return
    raise InputError(problem, where=where, expected=expected, found=found, do=_DO)
