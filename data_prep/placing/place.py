"""Places a scan: brings all its modalities onto one grid, then into square slices (back: data_prep.placing.way_back).

1. The grid is that of the reference modality, whether the scan has a mask or not. Its axes are turned and flipped,
   never interpolated, so that slices are transaxial, rows run to posterior and columns to the patient's left. A mask
   that was drawn on another modality's grid is resampled to it by area: lesion is what it covers at least half of.
2. If that is asked for, the other modalities are registered first (data_prep.registering), which changes their affines
   alone. They are resampled on the grid through their affines: linearly, or where the grid is coarser, as means over
   its voxels. Outside of a modality's volume, and where its file holds no number (NaN around a field of view), stands
   the volume's minimum. For files that state no orientation (Analyze) see data_prep.volumes.lying.
3. Each slice becomes size x size square pixels around the centre of the grid: images by a triangle filter that is as
   wide as a stored pixel when it shrinks (anti-aliased) and linear when it enlarges; masks by area: 1 where lesion
   covers at least half of the stored pixel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from nibabel import orientations

from data_prep.masks.lesions import LesionMask, lesion_on
from data_prep.masks.pieces import pieces_of
from data_prep.placing.drawn_shape import drawn_ml, fits, hollow, stored_ml
from data_prep.placing.found import facts_of, input_of, share_of_body
from data_prep.placing.gridded import Gridded, check_coverage, check_steps, gridded
from data_prep.placing.numbers import number_facts
from data_prep.registering.registered import Registration, laid_together
from data_prep.volumes.lying import check_place_known, lying
from data_prep.volumes.resize import (
    Window,
    make_window,
    resize_mask,
    stored_affine,
    stored_spacing,
)
from data_prep.volumes.volume import Grid, Volume, check_axes, to_lps
from hnscc.base.arrays import Bools, Images, Masks, Spacing
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from hnscc.cohort.placement import LesionFacts, Placement, WayBack
from hnscc.cohort.store_format import Placing

LARGE_SHARE = 0.1  # Of the body in the stored slices: a larger lesion is compared with the whole body too.
MAX_LESION_LOSS = 0.5  # of a slice's lesion: a fixed pixel size may crop off so much


@dataclass(frozen=True)
class PlacedScan:
    """One scan, ready to be stored: images (Z, C, H, W) in raw values, mask (Z, H, W) of 0 and 1.

    `volumes` are the modalities as they were resampled: oriented and, where that was asked for, registered. `lesion` is
    the mask as it was drawn, and on the grid that the modalities were resampled on. `before` are the slices (Z, H, W)
    of each registered modality without registration, at its position among the C, where they were asked for. Scan in
    hnscc.cohort.store_format says what the other attributes are.
    """

    images: Images
    mask: Masks
    source_lesion_px: tuple[int, ...]
    spacing_mm: Spacing
    affine: tuple[tuple[float, ...], ...]
    placement: Placement
    volumes: dict[str, Volume]
    lesion: LesionMask
    before: dict[int, Images]


def place_scan(
    volumes: dict[str, Volume],
    mask: Volume | None,
    placing: Placing,
    *,
    where: str,
    show_before: bool = False,
) -> PlacedScan:
    """Bring the modalities and the mask of one scan onto square slices of one grid.

    Where `placing.pixel_mm` is None, the whole field of view is kept, padded to a square; otherwise stored pixels are
    of that size, and the field of view is cropped or padded around its centre. `where` is how errors name the scan (row
    and scan). show_before: also keep the slices before registration.

    InputError is raised where the mask is not binary or lies on no modality's grid, where a volume cannot be placed or
    registered (data_prep.registering.registered), where slices are not transaxial, and where most of a slice's lesion
    would be cropped off.
    """
    reference = placing.reference
    laid = _laid(volumes, mask, reference, placing.register, where)
    lesion = lesion_on(laid.mask, laid.grids, reference, f"{where}, column mask")
    grid = to_lps(laid.input_grid)
    window = make_window(grid, placing.size, placing.pixel_mm)
    cropped = _cropped(lesion.voxels, window, where)
    shown = {name: gridded(volume, grid, window, lesion.voxels) for name, volume in laid.volumes.items()}
    _check_shown(shown, laid.grids, reference, where)
    images = np.stack([each.slices for each in shown.values()], axis=1)
    stored = np.stack([resize_mask(slice_, window) for slice_ in lesion.voxels])
    return PlacedScan(
        images=images,
        mask=stored,
        source_lesion_px=lesion.source_px,
        spacing_mm=stored_spacing(grid, window),
        affine=tuple(tuple(float(value) for value in row) for row in stored_affine(grid, window)),
        placement={
            **_where(laid.input_grid, window, reference),
            **_coverage(shown),
            **_of_files(laid, cropped),
            **_found(laid, shown, lesion, grid, images, stored, window),
        },
        volumes=laid.volumes,
        lesion=lesion,
        before=_before(laid, grid, window, lesion) if show_before else {},
    )


@dataclass(frozen=True)
class _Laid:
    """The files of one scan, laid on one another.

    `volumes` and `mask` are oriented and, where that was asked for, registered; `registered` tells the result of this
    by modality. `filed` are the same volumes before registration. `input_grid` is the grid of the reference's file.
    `assumed` names the files that state no orientation, `fitting` the modalities whose grids a mask without
    orientation fits.
    """

    volumes: dict[str, Volume]
    mask: Volume | None
    registered: dict[str, Registration]
    filed: dict[str, Volume]
    input_grid: Grid
    assumed: list[str]
    fitting: list[str]

    @property
    def grids(self) -> dict[str, Grid]:
        return {name: volume.grid for name, volume in self.volumes.items()}


def _laid(
    volumes: dict[str, Volume], mask: Volume | None, reference: str, register: str | None, where: str
) -> _Laid:
    """Lay the files of one scan on one another; arguments and InputError are as in `place_scan`."""
    assumed = [name for name, volume in _with_mask(volumes, mask).items() if not volume.grid.oriented]
    fitting = fits(mask, {name: volume.grid for name, volume in volumes.items()})
    volumes, mask = lying(volumes, mask, reference, where)
    if register is None:
        check_place_known(volumes, reference, where)
    input_grid = volumes[reference].grid
    check_axes(input_grid, where)
    filed = _with_mask(volumes, mask)
    volumes, mask, registered = laid_together(volumes, mask, reference, register, where)
    laid = _Laid(
        volumes=volumes,
        mask=mask,
        registered=registered,
        filed=filed,
        input_grid=input_grid,
        assumed=assumed,
        fitting=fitting,
    )
    check_steps(laid.grids, reference, where)
    return laid


def _check_shown(shown: Mapping[str, Gridded], grids: Mapping[str, Grid], reference: str, where: str) -> None:
    """Raise InputError where a modality shows too little of the slices or of the lesion."""
    coverage = {name: each.coverage for name, each in shown.items()}
    lesion = {name: each.lesion_coverage for name, each in shown.items()}
    check_coverage(coverage, lesion, grids, reference, where)


def _of_files(laid: _Laid, cropped: int) -> Placement:
    """Return how the files lie and are written. cropped: lesion pixels outside of the stored slices."""
    facts: Placement = {
        "assumed": laid.assumed,
        "lesion_px_cropped": cropped,
        "inputs": {name: input_of(volume) for name, volume in laid.filed.items()},
    }
    if laid.registered:
        facts["registered"] = laid.registered
    facts["numbers"] = {name: number_facts(volume) for name, volume in laid.volumes.items()}
    return facts


def _found(
    laid: _Laid,
    shown: Mapping[str, Gridded],
    lesion: LesionMask,
    grid: Grid,
    images: Images,
    stored: Masks,
    window: Window,
) -> Placement:
    """Return what is known of the values of each modality and of the lesion.

    images, stored: the stored images (Z, C, H, W), in raw values, and their mask (Z, H, W). shown: the modalities on
    the grid of the slices.
    """
    unseen = {name: each.unseen for name, each in shown.items()}
    values, facts = facts_of(laid.volumes, laid.mask, lesion, grid, images, stored, window, unseen)
    if facts["share_of_body"] > LARGE_SHARE and max(window.offset) > 0:
        facts["share_of_whole"] = _share_of_whole(laid.volumes, lesion.voxels, grid, window)
    of_lesion: LesionFacts = {
        **facts,
        "fits": laid.fitting,
        "hollow": hollow(lesion.voxels),
        "pieces": pieces_of(lesion.drawn),
        "drawn_ml": drawn_ml(laid.mask),
        "stored_ml": stored_ml(stored, stored_spacing(grid, window)),
    }
    return {"values": values, "lesion": of_lesion}


def _before(laid: _Laid, grid: Grid, window: Window, lesion: LesionMask) -> dict[int, Images]:
    """Return, for each registered modality by its position, its slices (Z, H, W) without registration, in its unit
    of values."""
    return {
        at: gridded(laid.filed[name], grid, window, lesion.voxels).slices
        for at, name in enumerate(laid.volumes)
        if name in laid.registered
    }


def _share_of_whole(volumes: Mapping[str, Volume], lesion: Bools, grid: Grid, window: Window) -> float:
    """Return the share of the body that is lesion in the whole field of view, of which the stored slices show a part.
    lesion: (Z, Y, X), on the grid."""
    wide, high = grid.shape[:2]
    whole = make_window(grid, ceil(max(high / window.scale[0], wide / window.scale[1])), None)
    images = np.stack([gridded(each, grid, whole, lesion).slices for each in volumes.values()], axis=1)
    stored = np.stack([resize_mask(slice_, whole) for slice_ in lesion])
    return share_of_body(images, stored, grid, whole)


def _where(input_grid: Grid, window: Window, reference: str) -> WayBack:
    """Return where the stored slices lie on the grid of the reference's file, by which a mask of them is
    mapped back."""
    return {
        "reference": reference,
        "input_shape": list(input_grid.shape),
        "input_affine": input_grid.affine.tolist(),
        "input_axes": "".join(orientations.aff2axcodes(input_grid.affine)),
        "size": window.size,
        "scale": list(window.scale),
        "offset": list(window.offset),
    }


def _coverage(shown: Mapping[str, Gridded]) -> Placement:
    """Return what of the stored slices each modality shows."""
    return {
        "coverage": {name: each.coverage for name, each in shown.items()},
        "fill": {name: each.fill for name, each in shown.items()},
        "outside": {name: each.unseen for name, each in shown.items()},
        "absent": {name: each.absent for name, each in shown.items()},
        "planes": {name: each.planes for name, each in shown.items()},
    }


def _with_mask(volumes: dict[str, Volume], mask: Volume | None) -> dict[str, Volume]:
    return volumes if mask is None else {**volumes, "mask": mask}


def _cropped(lesion: Bools, window: Window, where: str) -> int:
    """Return the number of lesion pixels, of (Z, Y, X) on the reference's grid, with a centre outside of the
    stored slices.

    InputError is raised where a slice loses most of its lesion.
    """
    kept = []
    for axis in (0, 1):
        centre = np.arange(lesion.shape[axis + 1]) + 0.5 - window.offset[axis]
        kept.append((centre >= 0) & (centre <= window.size * window.scale[axis]))
    lost = (lesion & ~(kept[0][:, None] & kept[1])).sum(axis=(1, 2))
    for z in np.flatnonzero(lost > MAX_LESION_LOSS * lesion.sum(axis=(1, 2))):
        raise InputError(
            "The lesion lies outside of the stored slices.",
            where=f"{where}, column mask, slice {z}",
            expected=f"at most {MAX_LESION_LOSS:.0%} of a slice's lesion cropped off",
            found=f"{lost[z]} of {count_of(lesion[z].sum(), 'lesion pixel')} cropped off",
            do="Prepare the store with a larger --size, or without --pixel-mm.",
        )
    return int(lost.sum())
