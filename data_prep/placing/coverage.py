"""Whether a scan's modalities cover the grid of its slices, and its lesion, and whether two columns look exchanged."""

from collections.abc import Collection, Mapping

import numpy as np

from data_prep.volumes.sampling import parts_of
from data_prep.volumes.volume import CannotPlace, Grid, cannot_place, check_axes, to_lps, voxels_of

MIN_COVERAGE = 0.5  # of the grid's voxels that each modality must cover
MIN_LESION_COVERAGE = 0.9  # of the lesion's voxels; of the grid's, were two columns exchanged
WHOLLY = 0.99  # of a grid's voxels, for another modality to cover it whatever the lesion
MAX_PARTS = 100  # voxels of a modality along one of the grid: more come of lengths in another unit alone
LOOKED_AT_VOXELS = 24  # voxels along each axis of a grid, at most, by which that is estimated


def check_steps(grids: Mapping[str, Grid], reference: str, scan: str) -> None:
    """InputError where a modality's voxels are so much smaller than the reference's that lengths of one of the two
    cannot be in mm: means over them would take memory without end. `scan` is how the error names it."""
    grid = to_lps(grids[reference])
    for name, each in grids.items():
        most = max(parts_of(to_lps(each), grid))
        if most > MAX_PARTS:
            raise cannot_place(
                f"The voxels are far smaller than those of {reference}: are the lengths of both in mm?",
                f"{scan}, column {name}",
                f"at most {MAX_PARTS} of its voxels along one of {reference}",
                f"{most}",
                "Look at the voxel sizes in both files' headers; convert the one that is wrong again, in mm.",
            )


def check_coverage(
    coverage: Mapping[str, float],
    lesion: Mapping[str, float],
    grids: Mapping[str, Grid],
    reference: str,
    scan: str,
) -> None:
    """InputError where a modality covers too little of the grid of the reference, or of the lesion. `scan` is how the
    error names it.

    coverage, lesion: the shares that each modality covers, 0 to 1. grids: those of the modalities, each oriented.
    """
    for name in grids:
        if coverage[name] < MIN_COVERAGE:
            problem, least, share = "the grid of the slices", MIN_COVERAGE, coverage[name]
        elif lesion[name] < MIN_LESION_COVERAGE:
            problem, least, share = "the lesion", MIN_LESION_COVERAGE, lesion[name]
        else:
            continue
        raise cannot_place(
            f"The volume does not cover {problem}.",
            f"{scan}, column {name}",
            f"at least {least:.0%} of its voxels inside the volume",
            f"{share:.1%}",
            _exchanged(name, reference, grids),
        )


def _exchanged(name: str, reference: str, grids: Mapping[str, Grid]) -> str | None:
    """What to do where a modality covers too little, but would be covered well if it stood in the reference's place: it
    is the smaller one, rightly (of a reference that was chosen so) or since two columns were exchanged in a row."""
    share = _covered(grids[name], grids[reference])
    if share < MIN_LESION_COVERAGE:
        return None
    return (
        f"Look whether the columns {name} and {reference} were exchanged in that row, since {share:.0%} of the grid of "
        f"{name} lies within that of {reference}; or take the scan out."
    )


def may_be_reference(grids: Mapping[str, Grid], drawn_on: Collection[str] | None, name: str) -> bool:
    """Whether nothing in the headers of a scan keeps its slices from lying on the grid of this modality.

    grids: those of its modalities. drawn_on: the modalities on whose grid its mask lies, None for no mask. All must say
    how they lie, every other one must cover the grid, and the mask must lie on it.
    """
    if not all(grid.oriented for grid in grids.values()) or name not in (drawn_on or [name]):
        return False
    try:
        check_axes(grids[name], name)
        check_steps(grids, name, name)
    except CannotPlace:
        return False
    return all(_covered(grids[name], other) >= WHOLLY for other in grids.values())


def _covered(grid: Grid, by: Grid) -> float:
    """The share of a grid's voxels that lie within the outer faces of another, by some of them, spread evenly."""
    lps, box = to_lps(grid), to_lps(by)
    axes = [np.linspace(0, count - 1, min(count, LOOKED_AT_VOXELS)) for count in lps.shape]
    at = np.stack([each.ravel() for each in np.meshgrid(*axes, indexing="ij")])
    matrix = voxels_of(box, lps)
    inside = matrix[:3, :3] @ at + matrix[:3, 3:]
    size = np.array(box.shape)[:, None]
    return float(((inside >= -0.5) & (inside <= size - 0.5)).all(axis=0).mean())
