"""Compares where contours and frames lie with the slices that they name: a DICOM mask states its place twice.

Coordinates count. If they lie elsewhere than the slices that the same file names, one of the two is wrong, and only its
maker can say which.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydicom.dataset import Dataset

from data_prep.dicom.header import text_of
from data_prep.volumes.volume import Grid
from hnscc.base.arrays import Floats
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of

# Of the distance of slices: a contour between two slices may name the nearer one, half of that away, with rounding.
APART_STEPS = 0.75
MOST_SHARE = 0.5  # of the pieces: where more of them lie apart, the mask is refused


@dataclass(frozen=True)
class Piece:
    """A contour or frame of a mask: its points, or the corners of a frame, (n, 3) in mm as Grid counts them, and the
    slices that it names (`slice_name`), which are only compared and go into no text."""

    points: Floats
    names: frozenset[str] = field(repr=False)


def slice_name(uid: str, frame: str = "") -> str:
    """Return the name of a slice: the SOPInstanceUID of its file and, if that holds many frames, the frame's number
    from 1."""
    return f"{uid} {frame}".rstrip()


def slices_named_in(items: Iterable[object], where: str) -> frozenset[str]:
    """Return the slices that items of a sequence name, such as ContourImageSequence and SourceImageSequence."""
    return frozenset(
        slice_name(uid, frame.strip())
        for item in items
        if isinstance(item, Dataset) and (uid := text_of(item, "ReferencedSOPInstanceUID", where))
        for frame in text_of(item, "ReferencedFrameNumber", where).split("\\")
    )


def check_named_slices(
    pieces: Sequence[Piece], grids: Mapping[str, Grid], what: str, where: str
) -> tuple[str, ...]:
    """Return what is told of contours or frames that lie elsewhere than the slices that they name, in sentences.

    what: such as contour, for texts. Those that name no slice, or one that is on none of `grids`, say nothing; of
    several slices the nearest counts. InputError where more than MOST_SHARE of the others lie farther from theirs than
    APART_STEPS of the distance of slices.
    """
    planes = {name: plane for grid in grids.values() for name, plane in _planes(grid).items()}
    known = [each for each in pieces if each.names and each.names <= planes.keys()]
    mm_and_steps = [
        min((_apart(each.points, planes[name]) for name in each.names), key=lambda pair: pair[1])
        for each in known
    ]
    beside = [pair for pair in mm_and_steps if pair[1] > APART_STEPS]
    if not beside:
        return ()
    mm, steps = max(beside, key=lambda pair: pair[1])
    count = f"{len(beside)} of {count_of(len(known), what)}"
    far = f"up to {mm:.3g} mm, or {count_of(round(steps), 'slice')}"
    if len(beside) <= MOST_SHARE * len(known):
        return (
            f"{count} lie {far} away from the slices of the image that they name; their coordinates count",
        )
    raise InputError(
        f"The {what}s lie elsewhere than the slices of the image that they name.",
        where=where,
        expected=f"each {what} in the plane of its slice, or at most {APART_STEPS} of a slice away from it",
        found=f"{count} apart, by {far}",
        do="Look at images and mask in the program that drew it, correct there whichever lies wrong, and export both "
        "again; or take the scan out.",
    )


@dataclass(frozen=True)
class _Plane:
    """A slice of a grid: its number `at`; `along` (4,), which gives the slice that a point (x, y, z, 1) in mm lies in;
    `step` in mm."""

    at: int
    along: Floats
    step: float


def _planes(grid: Grid) -> dict[str, _Plane]:
    """Return the planes of the slices of a grid by name; empty for a grid whose slices have no names."""
    if not grid.slice_names:
        return {}
    along, step = np.linalg.inv(grid.affine)[2], float(grid.spacing[2])
    return {name: _Plane(at, along, step) for at, name in enumerate(grid.slice_names)}


def _apart(points: Floats, plane: _Plane) -> tuple[float, float]:
    """Return how far points (n, 3), in mm, lie from a plane, in mm and in slices; 0 where they lie on both sides
    of it."""
    slices = points @ plane.along[:3] + plane.along[3] - plane.at
    steps = max(0.0, float(slices.min()), -float(slices.max()))
    return steps * plane.step, steps
