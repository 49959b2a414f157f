"""How volumes without an orientation (Analyze pairs) are taken to lie: as what states its orientation, and said so.

The grid of a scan is always that of its reference modality, never that of its mask: where the mask's grid decided,
scans with and without lesion would be stored by different rules.
"""

from dataclasses import replace

from data_prep.volumes.off_grid import off_grid
from data_prep.volumes.volume import Grid, Volume, cannot_place, on_same_voxels, same_grid, size_text

NOWHERE = "Analyze's default axes"


def lying(
    volumes: dict[str, Volume], mask: Volume | None, reference: str, scan: str
) -> tuple[dict[str, Volume], Volume | None]:
    """Give each volume of a scan an orientation: `grid.stated_by` says by what ("as mri" where it is assumed).

    The reference modality, if it states none, lies as the first modality of its shape and spacing that does, else as
    the mask, else by Analyze's own default. A modality that states none lies voxel by voxel on the reference's grid, in
    file order; a mask that states none on the reference's grid too, or on that of another modality of its shape and
    spacing. InputError where there is no grid of its shape and spacing. `scan` is how the error names the scan.
    """
    grid = _of_reference(volumes, mask, reference)
    laid = {reference: replace(volumes[reference], grid=grid)}
    for name, volume in volumes.items():
        if name != reference:
            where = f"{scan}, column {name}"
            laid[name] = volume if volume.grid.oriented else _on_reference(volume, reference, grid, where)
    if mask is not None and not mask.grid.oriented:
        grids = {reference: grid, **{name: volume.grid for name, volume in laid.items()}}
        found = on_same_voxels(mask.grid, grids)
        if not found:
            raise off_grid(mask.grid, grids, f"{scan}, column mask")
        mask = _laid(mask, found[0], grids[found[0]])
    return {name: laid[name] for name in volumes}, mask


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
    """The volume on the reference's grid; InputError where that has another shape or spacing."""
    if not same_grid(volume.grid, grid):
        raise cannot_place(
            "A volume without orientation (Analyze) is not on the grid.",
            where,
            f"{size_text(grid)}, or NIfTI files, which say how they lie",
            size_text(volume.grid),
        )
    return _laid(volume, reference, grid)


def _laid(volume: Volume, name: str, grid: Grid) -> Volume:
    return replace(volume, grid=replace(grid, stated_by=f"as {name}"))
