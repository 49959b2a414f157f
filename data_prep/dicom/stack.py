"""Puts slices in order along their normal and makes one grid of them; where they make none, the error says why."""

from collections.abc import Sequence

import numpy as np

from data_prep.dicom.header import unusable
from data_prep.dicom.slices import Slice, differing
from data_prep.volumes.volume import TO_RAS, Grid, degrees_apart
from hnscc.base.arrays import Floats
from hnscc.base.in_words import count_of

# Voxels: how far a slice may lie from where even steps put it (the tolerance of equal grids).
APART_VOXELS = 0.05
# Of a step: how far slices may be shifted against one another (half a degree of gantry tilt).
TILT_STEPS = 0.01
STATED_BY = "DICOM"
_EXPORT = "Export the whole series again, or take the scan out."


def stack_slices(slices: Sequence[Slice], where: str) -> tuple[list[Slice], Grid]:
    """Return the slices in the order of their positions along the normal, and the grid (x, y, z) that they make.

    x counts columns, y rows, z slices; the affine is that of NIfTI (mm; x to right, y to anterior, z to superior).
    InputError where they differ in size, pixel spacing or orientation, where two lie at one position, where slices are
    missing or uneven, and where each is shifted against the one before (gantry tilt).
    """
    if len(slices) < 2:
        raise unusable(
            "The series holds one slice.",
            where,
            "a volume of 2 slices or more",
            "a single slice",
            "Name the whole series: its folder, or its enhanced file.",
        )
    _check_alike(slices, where)
    normal = np.cross(*slices[0].axes)
    along = np.array([each.position @ normal for each in slices])
    order = np.argsort(along, kind="stable")
    ordered = [slices[int(at)] for at in order]
    _check_once(ordered, along[order], where)
    _check_even(along[order], where)
    positions = np.array([each.position for each in ordered])
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    _check_straight(positions, step, normal, min(slices[0].pixel), where)
    return ordered, _grid(ordered, step)


def _grid(ordered: Sequence[Slice], step: Floats) -> Grid:
    """step: (3,), from one slice to the next, in mm in DICOM's directions (left, posterior, superior)."""
    first = ordered[0]
    affine = np.eye(4)
    directions = [first.axes[0] * first.pixel[0], first.axes[1] * first.pixel[1], step, first.position]
    affine[:3] = TO_RAS @ np.column_stack(directions)
    return Grid((first.columns, first.rows, len(ordered)), affine, oriented=True, stated_by=STATED_BY)


def _check_alike(slices: Sequence[Slice], where: str) -> None:
    sizes = {(each.columns, each.rows) for each in slices}
    if len(sizes) > 1:
        raise unusable(
            "The slices of the series differ in size.",
            where,
            "one size",
            count_of(len(sizes), "size"),
            _EXPORT,
        )
    first = slices[0]
    side = max(first.columns, first.rows)
    pixels = np.array([each.pixel for each in slices])
    if (np.abs(pixels / pixels[0] - 1) * side > APART_VOXELS).any():
        found = f"spacings from {pixels.min():.6g} to {pixels.max():.6g} mm"
        raise unusable("The slices differ in pixel spacing.", where, "one spacing", found, _EXPORT)
    axes = np.array([each.axes for each in slices])
    if np.abs(axes - axes[0]).max() * side > 2 * APART_VOXELS:
        raise unusable(
            "The slices of the series differ in orientation.",
            where,
            "one orientation",
            f"orientations up to {degrees_apart(axes):.3g} degrees apart (a localiser has three planes, 90 apart)",
            "Name a series of one orientation, or take the scan out.",
        )


def _check_once(ordered: Sequence[Slice], along: Floats, where: str) -> None:
    """InputError where two slices lie at one position, with the attributes by which they differ.

    along: where each of the slices, which stand in this order, lies along their normal, (n,) in mm.
    """
    steps = np.diff(along)
    again = steps <= max(1e-3, 0.1 * float(np.median(steps)))
    if not again.any():
        return
    pairs = [(ordered[at], ordered[at + 1]) for at in map(int, np.flatnonzero(again))]
    names = sorted(set().union(*(differing(*pair, where) for pair in pairs)))
    positions = len(ordered) - int(again.sum())
    count = f"{count_of(len(ordered), 'slice')} at {count_of(positions, 'position')}"
    if not names:
        raise unusable("Slices of the series stand twice.", where, "one for each position", count, _EXPORT)
    raise unusable(
        "The series holds several acquisitions at the same positions (times, echoes, gates or weightings).",
        where,
        "one slice for each position",
        f"{count}, which differ in {', '.join(names)}",
        "Export each acquisition as a series of its own, and name one of them.",
    )


def _check_even(along: Floats, where: str) -> None:
    """InputError where slices are missing between others, or steps differ; along as that of `_check_once`,
    (n,) in mm."""
    steps = np.diff(along)
    usual = float(np.median(steps))
    even = np.linspace(along[0], along[-1], len(along))
    if np.abs(along - even).max() <= APART_VOXELS * usual:
        return
    ratios = steps / steps.min()
    whole = np.rint(ratios)
    if (np.abs(ratios - whole) < 0.1).all() and (whole >= 1).all():
        raise unusable(
            "Slices of the series are missing.",
            where,
            f"a slice every {steps.min():.4g} mm",
            f"{int((whole - 1).sum())} missing between the others, in {count_of(int((whole > 1).sum()), 'place')}",
            _EXPORT,
        )
    raise unusable(
        "The slices do not follow each other in even steps.",
        where,
        "one step between all slices",
        f"steps from {steps.min():.4g} to {steps.max():.4g} mm",
        _EXPORT,
    )


def _check_straight(
    positions: Floats,
    step: Floats,
    normal: Floats,
    pixel: float,
    where: str,
) -> None:
    """InputError where slices do not lie straight above each other. In mm of the patient: the slices' positions (n, 3),
    the mean step from one to the next (3,), and the side of a pixel; normal: (3,) of length 1."""
    aside = step - (step @ normal) * normal
    if np.linalg.norm(aside) > TILT_STEPS * np.linalg.norm(step):
        angle = np.degrees(np.arctan2(np.linalg.norm(aside), step @ normal))
        raise unusable(
            "Each slice is shifted against the one before, as with a tilted gantry.",
            where,
            "slices straight above each other",
            f"a tilt of {angle:.3g} degrees",
            "Correct the tilt with the scanner's software or dcm2niix, or take the scan out.",
        )
    even = positions[0] + np.arange(len(positions))[:, None] * step
    off_line = float(np.linalg.norm(positions - even, axis=1).max())
    if off_line > APART_VOXELS * max(pixel, float(np.linalg.norm(step))):
        found = f"a slice {off_line:.3g} mm away from it"
        raise unusable("The slices do not lie on one line.", where, "one line", found, _EXPORT)
