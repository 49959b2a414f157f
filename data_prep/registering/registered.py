"""Lays the modalities of a scan on its reference modality by rigid motions, and says how well that went.

Only affines change: a moved modality is resampled once, on the grid of the slices, like any other. The reference
modality and its grid stay as they are.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from data_prep.masks.mask_of_cell import goes_with
from data_prep.registering.judged import (
    MOST_SHIFT_MM,
    check_frames,
    check_registration,
    no_overlap,
    one_value,
    shift_of,
    to_register,
    too_thin,
    turn_of,
)
from data_prep.registering.rigid import Copy, Motion, find_motion, similarity, small_copy
from data_prep.settings import REGISTER_SEED, check_register
from data_prep.volumes.volume import Volume

LEAST_VOXELS = 4  # of a small copy, along each axis, that the search's smoothing takes
LEAST_COVERED_SHARE = 0.2  # of the reference, from where on a search may begin
SAME_START_MM = 5.0  # starts that lie nearer to each other are one
SAME_MM, SAME_DEGREES = 3.0, 2.0  # what a search may be off by


Registration = dict[str, Any]


def laid_together(
    volumes: dict[str, Volume], mask: Volume | None, reference: str, register: str | None, where: str
) -> tuple[dict[str, Volume], Volume | None, dict[str, Registration]]:
    """Lay the modalities of a scan on its reference modality, as `register` says (data_prep.settings.REGISTER); return
    the volumes, the mask, and the facts of each modality that was registered, by name.

    volumes: each oriented. None and "none" take them as they lie. Else every modality is registered, on its own, that
    does not share the reference's frame of reference (data_prep.registering.judged); a mask moves with the modality
    that it was drawn on (data_prep.masks.mask_of_cell.goes_with).
    Facts of one: `to` (the reference), `information_before` and `information_after` (mutual information in nats, as the
    files lie and as registered), `shift_mm` of the middle of the reference's volume, `turn_degrees`, `covered` (the
    share of the reference), and `motion`, 4 x 4, from mm of the reference to mm of the modality's file.
    InputError for another `register`, as a study's store may have by a later version; and, naming `where`: an image in
    another frame of reference, where `register` is None; one that cannot be registered, or whose registration is not to
    be trusted (data_prep.registering.judged).
    """
    check_register(register, "`register` of the study's store")
    grids = {name: volume.grid for name, volume in volumes.items()}
    if register is None:
        check_frames(grids, reference, where)
    if register in (None, "none"):
        return volumes, mask, {}
    moving = to_register(grids, reference)
    fixed = small_copy(volumes[reference])
    laid: dict[str, Volume] = dict(volumes)
    facts: dict[str, Registration] = {}
    drawn_on = goes_with(mask.grid, grids, reference) if mask else None
    for name in moving:
        column = f"{where}, column {name}"
        motion, facts[name] = _registered(fixed, small_copy(volumes[name]), reference, column)
        laid[name] = _moved(volumes[name], motion)
        if mask and name == drawn_on:
            mask = _moved(mask, motion)
    return laid, mask, facts


def _registered(fixed: Copy, moving: Copy, reference: str, where: str) -> tuple[Motion, Registration]:
    """Return the motion, 4 x 4 in mm, that lays `moving` on `fixed`, and what is kept of it. InputError, which names
    `where`, is raised for copies that cannot be laid on one another."""
    if not (np.ptp(fixed.values) and np.ptp(moving.values)):
        raise one_value(where, reference)
    if min(*fixed.values.shape, *moving.values.shape) < LEAST_VOXELS:
        raise too_thin(where, reference)
    starts = list(_starts(fixed, moving))
    if not starts:
        raise no_overlap(where, reference)
    try:
        motion = find_motion(fixed, moving, starts, seed=REGISTER_SEED)
    except RuntimeError:  # the search left the images
        raise no_overlap(where, reference) from None
    before, covered_before = similarity(fixed, moving, np.eye(4))
    after, covered = similarity(fixed, moving, motion)
    if after < before and _came_back(motion, fixed):
        motion, after, covered = np.eye(4), before, covered_before
    facts = {
        "to": reference,
        "information_before": round(before, 6),
        "information_after": round(after, 6),
        "shift_mm": round(shift_of(motion, fixed.centre), 4),
        "turn_degrees": round(turn_of(motion), 4),
        "covered": round(covered, 6),
        "motion": motion.tolist(),
    }
    check_registration(facts, where)
    return motion, facts


def _came_back(motion: Motion, fixed: Copy) -> bool:
    """Return whether a search ended where the files lie, within its accuracy, so that they lie together already.
    motion: 4 x 4 in mm."""
    return shift_of(motion, fixed.centre) <= SAME_MM and turn_of(motion) <= SAME_DEGREES


def _starts(fixed: Copy, moving: Copy) -> Iterator[Motion]:
    """Yield motions, 4 x 4 in mm, to start from: as the files lie, and with the bodies' centres on one another, each
    where the images then overlap."""
    starts = [np.eye(4)]
    shift = moving.body_centre - fixed.body_centre
    if SAME_START_MM < np.linalg.norm(shift) <= MOST_SHIFT_MM:
        starts.append(np.eye(4))
        starts[1][:3, 3] = shift
    for start in starts:
        if similarity(fixed, moving, start)[1] >= LEAST_COVERED_SHARE:
            yield start


def _moved(volume: Volume, motion: Motion) -> Volume:
    """Return the volume, with its grid alone changed, where a motion, 4 x 4 in mm from the fixed image to this one,
    lays it."""
    return replace(volume, grid=replace(volume.grid, affine=np.linalg.inv(motion) @ volume.grid.affine))
