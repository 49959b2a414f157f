"""Gives an orientation to volumes whose files state none (Analyze pairs), and says how the grid of a mask differs.

A volume that states no orientation is given that of one that does, and the user is told. The grid of a scan is always
that of its reference modality, never that of its mask: if the mask's grid decided, scans with and without lesion would
be stored by different rules.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from data_prep.volumes.volume import (
    SAME_GRID_VOXELS,
    Grid,
    Volume,
    cannot_place,
    corners,
    on_same_voxels,
    same_grid,
    size_text,
    to_lps,
    voxels_of,
)
from hnscc.base.arrays import Floats
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of, listed

_SIDES = (("left", "right"), ("posterior", "anterior"), ("superior", "inferior"))
_EXPORT = (
    "Export the mask again on the grid of the image that it was drawn on, if that stands in the row; drawn on another, "
    "resample it onto one that does, by nearest neighbour; or take the scan out."
)
NOWHERE = "Analyze's default axes"


def off_grid(mask: Grid, grids: dict[str, Grid], where: str) -> InputError:
    """Return the error for a mask on none of `grids` (by modality), which compares it with the most similar grid.

    The error says which of shape, spacing, axes and origin differ, and by how much. Where the mask's grid is a piece of
    a whole one, it says how 3D Slicer writes the whole.
    """
    name = min(grids, key=lambda each: _unlikeness(mask, grids[each]))
    found = "; ".join(grid_differences(mask, grids[name]))
    do = _EXPORT
    if is_piece(mask, grids[name]):
        found += f": a piece of the grid of {name}, cropped"
        do = (
            f"Export the mask on the whole grid: in 3D Slicer, choose {name} as 'Reference volume' in the export "
            "of the segmentation; or take the scan out."
        )
    elif lost := _lost(mask, grids[name]):
        found += f" ({lost}: its place was lost)"
        do = "Write the mask with the affine of the image that it was drawn on, or take the scan out."
    return InputError(
        "The mask is off the grid of every modality."
        if len(grids) > 1
        else f"The mask is not on the grid of {name}.",
        where=where,
        expected=f"the shape, spacing, axes and origin of {' or '.join(grids)}",
        found=f"compared with {name}, {found}",
        do=do,
    )


def grid_differences(mask: Grid, other: Grid) -> list[str]:
    """Return in what a mask's grid differs from another: shape, spacing, axes and origin, each that differs with
    its amount.

    Both grids are turned to LPS first. Where one has no orientation (Analyze), only shape and spacing are compared, in
    file order.
    """
    oriented = mask.oriented and other.oriented
    if oriented:
        mask, other = to_lps(mask), to_lps(other)
    told = []
    if mask.shape != other.shape:
        told.append(f"shape: {_product(mask.shape)} voxels, not {_product(other.shape)}")
    longest = np.maximum(mask.shape, other.shape)
    if (np.abs(mask.spacing / other.spacing - 1) * longest > SAME_GRID_VOXELS).any():
        told.append(f"spacing: {_product(mask.spacing)} mm, not {_product(other.spacing)}")
    if not oriented:
        return told
    if (angle := _angle(mask, other)) * longest.max() > SAME_GRID_VOXELS:
        told.append(f"axes: turned by {np.degrees(angle):.3g} degrees")
    if moved := _moved(mask, other):
        told.append(f"origin: {moved}")
    if not told:
        apart = np.linalg.norm(((mask.affine - other.affine) @ corners(mask.shape))[:3], axis=0).max()
        told.append(
            f"shape, spacing, axes and origin by little each, which comes to {apart:.3g} mm at a corner"
        )
    return told


def is_piece(mask: Grid, other: Grid) -> bool:
    """Return whether the mask's grid is a part of the other grid, cropped by whole voxels."""
    if not (mask.oriented and other.oriented) or to_lps(mask).shape == to_lps(other).shape:
        return False
    mask, other = to_lps(mask), to_lps(other)
    ends = (voxels_of(other, mask) @ corners(mask.shape))[:3]
    whole = np.abs(ends - np.rint(ends)).max() <= SAME_GRID_VOXELS
    last = np.array(other.shape)[:, None] - 1
    inside = bool((np.rint(ends) >= 0).all() and (np.rint(ends) <= last).all())
    same_step = np.array_equal(np.ptp(np.rint(ends), axis=1) + 1, mask.shape)
    return bool(whole) and inside and same_step


def _lost(mask: Grid, other: Grid) -> str | None:
    """Return what shows that a mask was written without the affine of its image, or None."""
    if not (mask.oriented and other.oriented):
        return None
    if np.array_equal(mask.affine, np.eye(4)):
        return "its affine is the identity"
    at_zero = not mask.affine[:3, 3].any() and other.affine[:3, 3].any()
    return "its origin is 0, 0, 0" if at_zero else None


def _unlikeness(mask: Grid, other: Grid) -> tuple[bool, bool, int, float]:
    """Return how unlike two grids are, in order of weight; the mask was most likely drawn on the grid with
    the least."""
    apart = float(np.linalg.norm(mask.affine[:3, 3] - other.affine[:3, 3]))
    shapes = sorted(mask.shape) != sorted(other.shape)
    return not is_piece(mask, other), shapes, len(grid_differences(mask, other)), apart


def _angle(mask: Grid, other: Grid) -> float:
    """Return the largest angle between axes of the two grids, in radians."""
    cosines = np.sum((mask.affine[:3, :3] / mask.spacing) * (other.affine[:3, :3] / other.spacing), axis=0)
    sines = np.cross((mask.affine[:3, :3] / mask.spacing).T, (other.affine[:3, :3] / other.spacing).T)
    return float(np.arctan2(np.linalg.norm(sines, axis=1), cosines).max())


def _moved(mask: Grid, other: Grid) -> str:
    """Return how far the mask's first voxel lies from the other grid's, along that grid's axes; "" where it
    does not."""
    steps = np.linalg.solve(other.affine[:3, :3], mask.affine[:3, 3] - other.affine[:3, 3])
    told = [
        f"{abs(step) * mm:.3g} mm ({count_of(abs(step), 'voxel')}) to {sides[int(step < 0)]}"
        for step, mm, sides in zip(steps, other.spacing, _SIDES, strict=True)
        if abs(step) > SAME_GRID_VOXELS / 2
    ]
    return ", ".join(told)


def _product(values: tuple[int, ...] | Floats) -> str:
    """Return numbers of voxels, or their sizes in mm, along three axes (3,), as text."""
    return " x ".join(f"{value:.6g}" for value in values)


def lying(
    volumes: dict[str, Volume], mask: Volume | None, reference: str, where: str
) -> tuple[dict[str, Volume], Volume | None]:
    """Give each volume of a scan an orientation; `grid.stated_by` says what states it ("as mri" where it is assumed).

    If the reference modality states none, it is given that of the first modality of its shape and spacing that does,
    else of the mask, else Analyze's default. Any other modality that states none is laid voxel by voxel on the
    reference's grid, in file order; a mask that states none likewise, or on the grid of another modality of its shape
    and spacing. InputError is raised where no grid has its shape and spacing. `where` is how the error names the scan.
    """
    grid = _of_reference(volumes, mask, reference)
    laid = {reference: replace(volumes[reference], grid=grid)}
    for name, volume in volumes.items():
        if name != reference:
            column = f"{where}, column {name}"
            laid[name] = volume if volume.grid.oriented else _on_reference(volume, reference, grid, column)
    if mask is not None:
        mask = mask_lying(mask, {name: volume.grid for name, volume in laid.items()}, reference, where)
    return {name: laid[name] for name in volumes}, mask


def mask_lying(mask: Volume, grids: Mapping[str, Grid], reference: str, where: str) -> Volume:
    """Return a mask with an orientation: its own, or else that of a modality of its shape and spacing, the
    reference first.

    grids: of the modalities, each oriented. InputError is raised where none has its shape and spacing.
    """
    if mask.grid.oriented:
        return mask
    reference_first = {reference: grids[reference], **grids}
    found = on_same_voxels(mask.grid, reference_first)
    if not found:
        raise off_grid(mask.grid, reference_first, f"{where}, column mask")
    return _laid(mask, found[0], grids[found[0]])


def check_place_known(volumes: dict[str, Volume], reference: str, where: str) -> None:
    """Raise InputError where no file states where the reference lies although another modality's file states its
    own place.

    Nobody knows then how one lies on the other. volumes: as returned by `lying`. `where` is how the error names
    the scan.
    """
    grid = volumes[reference].grid
    stating = [
        name for name, volume in volumes.items() if volume.grid.stated_by not in (NOWHERE, f"as {reference}")
    ]
    if grid.stated_by == NOWHERE and stating:
        raise cannot_place(
            f"The volume does not say where it lies (Analyze), so that {listed(stating)} cannot be laid on it.",
            f"{where}, column {reference}",
            f"a file that states its place, as {listed(stating)} does, or one of the same voxels",
            f"an Analyze pair of {size_text(grid)}; "
            + ", ".join(f"{name} of {size_text(volumes[name].grid)}" for name in stating),
            f"Give {reference} as NIfTI with its place, from the program or the DICOM series that it comes from (a "
            "mask of its shape may stay as it is), or take the scan out.",
        )


def _of_reference(volumes: dict[str, Volume], mask: Volume | None, reference: str) -> Grid:
    own = volumes[reference].grid
    if own.oriented:
        return own
    stating = {**volumes, **({} if mask is None else {"mask": mask})}
    for name, volume in stating.items():
        if volume.grid.oriented and same_grid(own, volume.grid):
            return replace(volume.grid, stated_by=f"as {name}")
    return replace(own, oriented=True, stated_by=NOWHERE)


def _on_reference(volume: Volume, reference: str, grid: Grid, where: str) -> Volume:
    """Return the volume on the reference's grid. InputError is raised where that has another shape or spacing."""
    if not same_grid(volume.grid, grid):
        raise cannot_place(
            "A volume without orientation (Analyze) is not on the grid.",
            where,
            f"{size_text(grid)}, or NIfTI files, which say how they lie",
            size_text(volume.grid),
            "Give it as NIfTI with its place, from the program or the DICOM series that it comes from, or take the "
            "scan out.",
        )
    return _laid(volume, reference, grid)


def _laid(volume: Volume, name: str, grid: Grid) -> Volume:
    return replace(volume, grid=replace(grid, stated_by=f"as {name}"))
