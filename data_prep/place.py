"""One grid for all modalities of a scan, then square slices; and the way back for predicted masks.

1. The grid is that of the mask, or of the reference modality where a scan has none. Its axes are turned and
   flipped, never interpolated, so that slices are transaxial, rows run to posterior and columns to the patient's left.
2. The other modalities are sampled there linearly through their affines. Outside of a modality's volume stands the
   volume's minimum. A volume without an orientation (Analyze) is taken to lie on the grid, in file order, but only if
   shape and spacing agree.
3. Each slice becomes size x size square pixels around the centre of the grid: images by a triangle filter that is as
   wide as a stored pixel when it shrinks (anti-aliased) and linear when it enlarges; masks by area: 1 where lesion
   covers at least half of the stored pixel.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from data_prep.grids import cannot_place, check_axes, same_grid, size_text, to_lps, turn_to_lps
from data_prep.off_grid import off_grid
from data_prep.read import Grid, Volume
from data_prep.resize import (
    Window,
    area_weights,
    make_window,
    resize_image,
    resize_mask,
    stored_affine,
    stored_spacing,
    weigh,
)
from data_prep.sampling import sampled
from hnscc.base.errors import InputError

MIN_COVERAGE = 0.5  # of the grid's voxels that each modality must cover
MIN_LESION_COVERAGE = 0.9  # of the lesion's voxels
MAX_LESION_LOSS = 0.5  # of a slice's lesion that a fixed pixel size may crop off


@dataclass(frozen=True)
class Placed:
    """One scan, ready to be stored: images (Z, C, H, W) in raw units, mask (Z, H, W) of 0 and 1.

    The rest is told by hnscc.cohort.store_format.Scan.
    """

    images: NDArray[np.float32]
    mask: NDArray[np.uint8]
    source_lesion_px: tuple[int, ...]
    spacing_mm: tuple[float, float, float]
    affine: tuple[tuple[float, ...], ...]
    placement: dict[str, Any]


def place_scan(
    volumes: dict[str, Volume],
    mask: Volume | None,
    *,
    reference: str,
    size: int,
    pixel_mm: float | None,
    scan: str,
) -> Placed:
    """Bring the modalities and the mask of one scan onto square slices of one grid.

    Where `pixel_mm` is None, the whole field of view is kept, padded to a square; otherwise stored pixels are of that
    size, and the field of view is cropped or padded around its centre. `scan` is how errors name it (row and scan).

    InputError is raised where the mask is not binary or not on the reference's grid, where a volume cannot be placed,
    where slices are not transaxial, and where most of a slice's lesion would be cropped off.
    """
    drawn = volumes[reference] if mask is None else mask
    check_axes(drawn.grid, scan)
    lesion = None if mask is None else _lesion(mask, volumes[reference].grid, f"{scan}, column mask")
    grid = to_lps(drawn.grid)
    if lesion is None:
        lesion = np.zeros(grid.shape[::-1], dtype=bool)
    window = make_window(grid, size, pixel_mm)
    cropped = _cropped(lesion, window, scan)
    images: list[NDArray[np.float32]] = []
    coverage: dict[str, float] = {}
    fill: dict[str, float] = {}
    for name, volume in volumes.items():
        slices, fill[name], coverage[name] = _on_grid(
            volume, drawn.grid, grid, window, lesion, f"{scan}, column {name}"
        )
        images.append(slices)
    placement = {
        "reference": reference,
        "input_shape": list(drawn.grid.shape),
        "input_affine": drawn.grid.affine.tolist(),
        "input_axes": "".join(orientations.aff2axcodes(drawn.grid.affine)),
        "size": size,
        "scale": list(window.scale),
        "offset": list(window.offset),
        "coverage": coverage,
        "fill": fill,
        "assumed": [name for name, volume in volumes.items() if not volume.grid.oriented],
        "lesion_px_cropped": cropped,
    }
    return Placed(
        images=np.stack(images, axis=1),
        mask=np.stack([resize_mask(slice_, window) for slice_ in lesion]),
        source_lesion_px=tuple(int(count) for count in lesion.sum(axis=(1, 2))),
        spacing_mm=stored_spacing(grid, window),
        affine=tuple(tuple(float(value) for value in row) for row in stored_affine(grid, window)),
        placement=placement,
    )


def to_input_grid(
    mask: NDArray[np.uint8] | NDArray[np.bool_], placement: dict[str, Any]
) -> NDArray[np.uint8]:
    """Turn a mask of stored slices (Z, H, W) into one (x, y, z) in the voxel order of the file whose grid was used.

    It is 1 where lesion covers at least half of the voxel, and 0 outside of the stored slices. The affine to write it
    with is placement["input_affine"]. ValueError is raised where the mask's shape is not that of the stored slices.
    """
    axes, lps = (orientations.axcodes2ornt(codes) for codes in (placement["input_axes"], "LPS"))
    order = np.argsort(orientations.ornt_transform(axes, lps)[:, 0])
    width, height, depth = (placement["input_shape"][axis] for axis in order)
    if mask.shape != (depth, placement["size"], placement["size"]):
        raise ValueError("the mask must have the shape of the scan's stored slices")
    scale, offset, size = placement["scale"], placement["offset"], placement["size"]
    rows = area_weights(height, size, 1 / scale[0], -offset[0] / scale[0])
    columns = area_weights(width, size, 1 / scale[1], -offset[1] / scale[1])
    share = np.stack([weigh(slice_.astype(np.float64), rows, columns) for slice_ in mask])
    back: NDArray[np.uint8] = orientations.apply_orientation(
        (share >= 0.5 - 1e-9).astype(np.uint8).T, orientations.ornt_transform(lps, axes)
    )
    return back


def _on_grid(
    volume: Volume, drawn: Grid, grid: Grid, window: Window, lesion: NDArray[np.bool_], where: str
) -> tuple[NDArray[np.float32], float, float]:
    """The stored slices (Z, size, size), the fill value, and the share of the grid that the volume covers."""
    if not (volume.grid.oriented and drawn.oriented):
        if not same_grid(volume.grid, drawn):
            raise cannot_place(
                "A volume without orientation (Analyze) is not on the grid.",
                where,
                f"{size_text(drawn)}, or NIfTI files, which say how they lie",
                size_text(volume.grid),
            )
        volume = Volume(volume.data, drawn)
    fill = float(volume.data.min())
    slices, covered, covered_lesion = [], 0, 0
    for (values, inside), drawn_lesion in zip(sampled(volume, grid), lesion, strict=True):
        covered += int(inside.sum())
        covered_lesion += int((inside & drawn_lesion).sum())
        slices.append(resize_image(np.where(inside, values, np.float32(fill)), window, fill))
    coverage = covered / lesion.size
    _check_coverage(coverage, covered_lesion, int(lesion.sum()), where)
    return np.stack(slices), fill, coverage


def _lesion(mask: Volume, reference: Grid, where: str) -> NDArray[np.bool_]:
    """(Z, Y, X): where the lesion is on the mask's own grid, turned to LPS."""
    if not same_grid(mask.grid, reference):
        raise off_grid(mask.grid, {"the reference modality": reference}, where)
    lesion: NDArray[np.bool_] = mask.data != 0
    if lesion.all() or (lesion & (mask.data != mask.data.max())).any():
        values = np.unique(mask.data)
        raise cannot_place(
            "The mask is not binary.",
            where,
            "0 and one other value",
            f"{len(values)} values, from {values[0]:g} to {values[-1]:g}",
        )
    turned: NDArray[np.bool_] = orientations.apply_orientation(lesion, turn_to_lps(mask.grid)).T
    return turned


def _cropped(lesion: NDArray[np.bool_], window: Window, scan: str) -> int:
    """Count the lesion pixels whose centre lies outside of the stored slices.

    InputError is raised where a slice loses most of its own.
    """
    kept = []
    for axis in (0, 1):
        centre = np.arange(lesion.shape[axis + 1]) + 0.5 - window.offset[axis]
        kept.append((centre >= 0) & (centre <= window.size * window.scale[axis]))
    lost = (lesion & ~(kept[0][:, None] & kept[1])).sum(axis=(1, 2))
    for z in np.flatnonzero(lost > MAX_LESION_LOSS * lesion.sum(axis=(1, 2))):
        raise InputError(
            "The lesion lies outside of the stored slices.",
            where=f"{scan}, column mask, slice {z}",
            expected=f"at most {MAX_LESION_LOSS:.0%} of a slice's lesion cropped off",
            found=f"{lost[z]} of {lesion[z].sum()} lesion pixels cropped off",
            do="Prepare with larger pixels or more of them (--pixel-mm, --size), or without --pixel-mm.",
        )
    return int(lost.sum())


def _check_coverage(coverage: float, lesion_covered: int, lesion: int, where: str) -> None:
    if coverage < MIN_COVERAGE:
        raise cannot_place(
            "The volume does not cover the grid of the slices.",
            where,
            f"at least {MIN_COVERAGE:.0%} of its voxels inside the volume",
            f"{coverage:.1%}",
        )
    if lesion_covered < MIN_LESION_COVERAGE * lesion:
        raise cannot_place(
            "The volume does not cover the lesion.",
            where,
            f"at least {MIN_LESION_COVERAGE:.0%} of its voxels inside the volume",
            f"{lesion_covered / lesion:.1%}",
        )
