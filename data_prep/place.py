"""One grid for all modalities of a scan, then square slices; and the way back for predicted masks.

1. The grid is that of the mask (or of the reference modality where a scan has none), its axes turned and
flipped,
   never interpolated, so that slices are transaxial, rows run to posterior and columns to the patient's left.
2. The other modalities are sampled there linearly through their affines. Outside of a modality's volume
stands the
   volume's minimum. A volume without an orientation (Analyze) is taken to lie on the grid, in file order,
   only if shape and spacing agree.
3. Each slice becomes size x size square pixels around the centre of the grid: images by a triangle filter
that is
   as wide as a stored pixel when it shrinks (anti-aliased) and linear when it enlarges; masks by area: 1
   where lesion covers at least half of the stored pixel.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from nibabel import orientations
from scipy import ndimage, sparse

from data_prep.read import Grid, Volume
from hnscc.base.errors import InputError

MIN_COVERAGE = 0.5  # of the grid's voxels that each modality must cover
MIN_LESION_COVERAGE = 0.9  # of the lesion's voxels
MAX_LESION_LOSS = 0.5  # of a slice's lesion that a fixed pixel size may crop off
SAME_GRID = 0.05  # voxels: the most that corners of equal grids may lie apart
DECIMALS = 6  # of a place in a volume, in voxels: what lies nearer to a voxel than this lies on it
NOTHING = 0.4 * 10**-DECIMALS  # voxels: what such a rounding takes away
_LPS = orientations.axcodes2ornt("LPS")


@dataclass(frozen=True)
class Placed:
    """images (Z, C, H, W) float32 in raw units; mask (Z, H, W) uint8; the rest as in hnscc.cohort.store.Scan."""

    images: np.ndarray
    mask: np.ndarray
    source_lesion_px: tuple[int, ...]
    spacing_mm: tuple[float, float, float]
    affine: tuple[tuple[float, ...], ...]
    placement: dict[str, Any]


@dataclass(frozen=True)
class Window:
    """Where size x size stored pixels lie on the slices of the grid, in grid pixels (y, x): stored pixel i
    spans offset + i * scale to offset + (i + 1) * scale; 0 is the outer edge of the first grid pixel."""

    size: int
    scale: tuple[float, float]
    offset: tuple[float, float]


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

    pixel_mm None: the whole field of view, padded to a square. Otherwise stored pixels of that size, the
    field of view cropped or padded around its centre. `scan` is how errors name it (row and scan).
    InputError: mask not binary or not on the reference's grid, volumes that cannot be placed, slices that
    are not transaxial, lesion cropped off.
    """
    drawn = volumes[reference] if mask is None else mask
    _check_axes(drawn.grid, scan)
    lesion = None if mask is None else _lesion(mask, volumes[reference].grid, f"{scan}, column mask")
    grid = to_lps(drawn.grid)
    if lesion is None:
        lesion = np.zeros(grid.shape[::-1], dtype=bool)
    window = make_window(grid, size, pixel_mm)
    cropped = _cropped(lesion, window, scan)
    images, coverage, fill = [], {}, {}
    for name, volume in volumes.items():
        slices, fill[name], coverage[name] = _place(
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
        spacing_mm=_stored_spacing(grid, window),
        affine=tuple(tuple(float(value) for value in row) for row in _stored_affine(grid, window)),
        placement=placement,
    )


def to_input_grid(mask: np.ndarray, placement: dict[str, Any]) -> np.ndarray:
    """A mask on stored slices (Z, H, W) -> uint8 (x, y, z) in the voxel order of the file whose grid was
    used.

    1 where lesion covers at least half of the voxel; 0 outside of the stored slices. The affine to write it
    with is placement["input_affine"].
    """
    axes = orientations.axcodes2ornt(placement["input_axes"])
    there = orientations.ornt_transform(axes, _LPS)
    order = [int(axis) for axis in np.argsort(there[:, 0])]
    width, height, depth = (placement["input_shape"][axis] for axis in order)
    if mask.shape != (depth, placement["size"], placement["size"]):
        raise ValueError("the mask must have the shape of the scan's stored slices")
    scale, offset, size = placement["scale"], placement["offset"], placement["size"]
    rows = area_weights(height, size, 1 / scale[0], -offset[0] / scale[0])
    columns = area_weights(width, size, 1 / scale[1], -offset[1] / scale[1])
    back = np.stack([_weigh(slice_.astype(np.float64), rows, columns) >= 0.5 - 1e-9 for slice_ in mask])
    return orientations.apply_orientation(back.astype(np.uint8).T, orientations.ornt_transform(_LPS, axes))


def to_lps(grid: Grid) -> Grid:
    """The same voxels with axes turned and flipped so that x runs to the left, y to posterior, z to
    superior."""
    turn = _turn(grid)
    shape = tuple(grid.shape[axis] for axis in np.argsort(turn[:, 0]))
    return Grid(shape, grid.affine @ orientations.inv_ornt_aff(turn, grid.shape), grid.oriented)


def same_grid(one: Grid, other: Grid) -> bool:
    """Whether two grids hold the same voxels, whatever the order of their axes in the file.

    Where one has no orientation (Analyze), only shape and spacing in file order can be compared.
    """
    if not (one.oriented and other.oriented):
        return one.shape == other.shape and bool(np.allclose(one.spacing, other.spacing, rtol=1e-3))
    return _near(to_lps(one), to_lps(other), SAME_GRID)


def make_window(grid: Grid, size: int, pixel_mm: float | None) -> Window:
    """Stored pixels around the centre of a grid that lies LPS; pixel_mm None fits the longer side."""
    width, height = grid.shape[:2]
    wide, high = grid.spacing[:2]
    pixel = max(width * wide, height * high) / size if pixel_mm is None else pixel_mm
    scale = (float(pixel / high), float(pixel / wide))
    return Window(size, scale, ((height - size * scale[0]) / 2, (width - size * scale[1]) / 2))


def resize_mask(lesion: np.ndarray, window: Window) -> np.ndarray:
    """(H, W) of the grid -> (size, size) uint8: 1 where lesion covers at least half of the stored pixel."""
    rows, columns = (
        area_weights(window.size, lesion.shape[axis], window.scale[axis], window.offset[axis])
        for axis in (0, 1)
    )
    # The small allowance keeps exact halves in, whatever the rounding of the weights.
    return (_weigh(lesion.astype(np.float64), rows, columns) >= 0.5 - 1e-9).astype(np.uint8)


def resize_image(image: np.ndarray, window: Window, fill: float) -> np.ndarray:
    """(H, W) of the grid -> (size, size) float32, anti-aliased; `fill` where the centre lies outside of the
    grid."""
    rows, columns = (
        smooth_weights(window.size, image.shape[axis], window.scale[axis], window.offset[axis])
        for axis in (0, 1)
    )
    resized = _weigh(image.astype(np.float64), rows, columns)
    resized[~_inside(window, image.shape[0], 0)] = fill
    resized[:, ~_inside(window, image.shape[1], 1)] = fill
    return resized.astype(np.float32)


# Kept, as all slices of a scan ask for the same; nobody changes them.
@lru_cache(maxsize=8)
def area_weights(out: int, count: int, scale: float, offset: float) -> sparse.csr_array:
    """(out, count): the share of output pixel i that input pixel j covers; rows sum to 1 inside, less at the
    edge."""
    start = offset + scale * np.arange(out)[:, None]
    pixel = np.arange(count)[None]
    return sparse.csr_array(
        np.clip(np.minimum(start + scale, pixel + 1) - np.maximum(start, pixel), 0, None) / scale
    )


@lru_cache(maxsize=8)
def smooth_weights(out: int, count: int, scale: float, offset: float) -> sparse.csr_array:
    """(out, count): a triangle around each output pixel's centre, as wide as two output or two input pixels,
    whichever is more; rows sum to 1 (0 where no input pixel is near)."""
    centre = offset + scale * (np.arange(out)[:, None] + 0.5)
    distance = np.abs(np.arange(count)[None] + 0.5 - np.clip(centre, 0.5, count - 0.5))
    weights = np.clip(1 - distance / max(scale, 1.0), 0, None)
    return sparse.csr_array(weights / weights.sum(axis=1, keepdims=True))


def _weigh(image: np.ndarray, rows: sparse.csr_array, columns: sparse.csr_array) -> np.ndarray:
    # Sparse products add in a fixed order, so that digests do not depend on a BLAS library's threads.
    return (columns @ (rows @ image).T).T


def _place(
    volume: Volume, drawn: Grid, grid: Grid, window: Window, lesion: np.ndarray, where: str
) -> tuple[np.ndarray, float, float]:
    """(Z, size, size) float32, the fill value, the share of the grid that the volume covers."""
    if not (volume.grid.oriented and drawn.oriented):
        if not same_grid(volume.grid, drawn):
            raise _cannot_place(
                "A volume without orientation (Analyze) is not on the grid.",
                where,
                f"{_size(drawn)}, or NIfTI files, which say how they lie",
                _size(volume.grid),
            )
        volume = Volume(volume.data, drawn)
    fill = float(volume.data.min())
    slices, covered, covered_lesion = [], 0, 0
    for (values, inside), drawn_lesion in zip(_sampled(volume, grid), lesion, strict=True):
        covered += int(inside.sum())
        covered_lesion += int((inside & drawn_lesion).sum())
        slices.append(resize_image(np.where(inside, values, np.float32(fill)), window, fill))
    coverage = covered / lesion.size
    _check_coverage(coverage, covered_lesion, int(lesion.sum()), where)
    return np.stack(slices), fill, coverage


def _sampled(volume: Volume, grid: Grid) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each slice of the grid: the volume there, linear, (y, x) float32; and where that is inside of its outer
    faces, (y, x) bool."""
    lps = to_lps(volume.grid)
    data = orientations.apply_orientation(volume.data, _turn(volume.grid))
    matrix = np.linalg.inv(lps.affine) @ grid.affine
    if _near(lps, grid, NOTHING):  # every voxel lies on one of the grid's
        yield from ((values, np.broadcast_to(True, values.shape)) for values in data.T)
    elif _turned_about_x(matrix, grid.shape):
        yield from _sampled_by_lines(data, matrix, grid.shape)
    else:
        yield from _sampled_by_voxels(data, matrix, grid.shape)


def _turned_about_x(matrix: np.ndarray, shape: tuple[int, int, int]) -> bool:
    """Whether the grid's lines along x are lines along x of the volume: level grids, and most tilted ones."""
    drift = np.abs(matrix[:3, :3]) * (np.array(shape) - 1)
    return bool(drift[0, 1] + drift[0, 2] <= NOTHING and drift[1:, 0].max() <= NOTHING)


def _sampled_by_lines(
    data: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each line along x is weighed out of the four around it, then sampled: the sums are those by voxels, but fewer."""
    wide, high, deep = data.shape
    width, height, depth = shape
    lines = data.T.astype(np.float64, order="C").reshape(-1, wide)  # (z * y, x)
    at_x = np.round(matrix[0, 0] * np.arange(width) + matrix[0, 3], DECIMALS)
    columns = _picked(*_neighbours(at_x, wide), wide)
    inside_x = _within(at_x, wide)
    for z in range(depth):
        at_y, at_z = np.round(
            np.outer(matrix[1:3, 1], np.arange(height)) + (matrix[1:3, 2:3] * z + matrix[1:3, 3:]), DECIMALS
        )
        (y, share_y), (at_deep, share_z) = _neighbours(at_y, high), _neighbours(at_z, deep)
        index = at_deep[:, :, None] * high + y[:, None, :]
        rows = _picked(index, share_z[:, :, None] * share_y[:, None, :], len(lines))
        inside = (_within(at_y, high) & _within(at_z, deep))[:, None] & inside_x
        yield _weigh(lines, rows, columns).astype(np.float32), inside


def _neighbours(at: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The two voxels around each place on a line of `count`, and their shares by linear interpolation: both (n, 2)."""
    at = np.clip(at, 0, count - 1)
    low = np.floor(at).astype(np.int64)
    share = at - low
    return np.stack([low, np.minimum(low + 1, count - 1)], axis=1), np.stack([1 - share, share], axis=1)


def _picked(index: np.ndarray, share: np.ndarray, count: int) -> sparse.csr_array:
    """(n, count): row i has share[i] at the columns index[i]."""
    index, share = index.reshape(len(index), -1), share.reshape(len(index), -1)
    ends = np.arange(len(index) + 1) * index.shape[1]
    return sparse.csr_array((share.ravel(), index.ravel(), ends), shape=(len(index), count))


def _within(at: np.ndarray, count: int) -> np.ndarray:
    """Which places on a line of `count` voxels lie inside of its outer faces."""
    return (at >= -0.5) & (at <= count - 0.5)


def _sampled_by_voxels(
    data: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    width, height, depth = shape
    # A grid whose corners lie inside of a box lies there as a whole.
    whole = _is_inside(np.round((matrix @ _corners(shape))[:3], DECIMALS), data.shape).all()
    for z in range(depth):
        at = _places(matrix, width, height, z)
        values = ndimage.map_coordinates(data, at, order=1, mode="nearest", output=np.float32)
        yield values, np.broadcast_to(True, values.shape) if whole else _is_inside(at, data.shape)


def _places(matrix: np.ndarray, width: int, height: int, z: int) -> np.ndarray:
    """Where slice z of the grid lies in a volume, in voxels of the volume: (3, y, x) float64.

    Rounded, so that a voxel which lies exactly on another stays one voxel, and a face stays a face.
    """
    along_x, along_y, along_z, origin = matrix[:3].T
    columns = np.outer(along_x, np.arange(width))
    rows = np.outer(along_y, np.arange(height)) + (along_z * z + origin)[:, None]
    at = rows[:, :, None] + columns[:, None, :]
    return np.round(at, DECIMALS, out=at)


def _is_inside(at: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which of the places (3, ...), in voxels, lie inside of the outer faces of a volume of this shape."""
    return np.logical_and.reduce([_within(axis, count) for axis, count in zip(at, shape, strict=True)])


def _near(one: Grid, other: Grid, voxels: float) -> bool:
    """Whether two grids that lie LPS have one shape, and no corners farther apart than this."""
    if one.shape != other.shape:
        return False
    apart = np.linalg.norm(((one.affine - other.affine) @ _corners(one.shape))[:3], axis=0)
    return bool(apart.max() <= voxels * one.spacing.min())


def _corners(shape: tuple[int, int, int]) -> np.ndarray:
    """The indices of the eight corner voxels, homogeneous: (4, 8) float64."""
    ends = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64).T
    return ends * np.array([*(np.array(shape) - 1), 1])[:, None]


def _lesion(mask: Volume, reference: Grid, where: str) -> np.ndarray:
    """(Z, Y, X) bool on the mask's own grid, turned to LPS."""
    if not same_grid(mask.grid, reference):
        raise _cannot_place(
            "The mask is not on the grid of the reference modality.",
            where,
            f"{_size(reference)}, at the same place",
            _size(mask.grid)
            + ("" if mask.grid.shape != reference.shape else ", elsewhere or in another order"),
        )
    lesion = mask.data != 0
    if lesion.all() or (lesion & (mask.data != mask.data.max())).any():
        values = np.unique(mask.data)
        raise _cannot_place(
            "The mask is not binary.",
            where,
            "0 and one other value",
            f"{len(values)} values, from {values[0]:g} to {values[-1]:g}",
        )
    return orientations.apply_orientation(lesion, _turn(mask.grid)).T


def _turn(grid: Grid) -> np.ndarray:
    return orientations.ornt_transform(orientations.io_orientation(grid.affine), _LPS)


def _inside(window: Window, count: int, axis: int) -> np.ndarray:
    centre = window.offset[axis] + window.scale[axis] * (np.arange(window.size) + 0.5)
    return (centre >= 0) & (centre <= count)


def _cropped(lesion: np.ndarray, window: Window, scan: str) -> int:
    """Lesion pixels whose centre lies outside of the stored slices; refused where a slice loses most of
    them."""
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


def _check_axes(grid: Grid, scan: str) -> None:
    """Resizing in mm needs right angles in the slice, and slices must be nearer to transaxial than to
    anything else."""
    axes = to_lps(grid).affine[:3, :3] / to_lps(grid).spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > 0.01:
        raise _cannot_place("The grid is skewed.", scan, "axes at right angles", "axes at other angles")
    tilt = float(np.degrees(np.arccos(np.clip(axes[2, 2], -1, 1))))
    if tilt > 45:
        raise _cannot_place(
            "The slices are not transaxial.", scan, "a tilt of at most 45 degrees", f"{tilt:.0f}"
        )


def _check_coverage(coverage: float, lesion_covered: int, lesion: int, where: str) -> None:
    if coverage < MIN_COVERAGE:
        raise _cannot_place(
            "The volume does not cover the grid of the slices.",
            where,
            f"at least {MIN_COVERAGE:.0%} of its voxels inside the volume",
            f"{coverage:.1%}",
        )
    if lesion_covered < MIN_LESION_COVERAGE * lesion:
        raise _cannot_place(
            "The volume does not cover the lesion.",
            where,
            f"at least {MIN_LESION_COVERAGE:.0%} of its voxels inside the volume",
            f"{lesion_covered / lesion:.1%}",
        )


def _stored_spacing(grid: Grid, window: Window) -> tuple[float, float, float]:
    wide, high, deep = (float(step) for step in grid.spacing)
    return (deep, high * window.scale[0], wide * window.scale[1])


def _stored_affine(grid: Grid, window: Window) -> np.ndarray:
    step = np.diag([window.scale[1], window.scale[0], 1.0, 1.0])
    step[0, 3] = window.offset[1] + window.scale[1] / 2 - 0.5
    step[1, 3] = window.offset[0] + window.scale[0] / 2 - 0.5
    return grid.affine @ step


def _size(grid: Grid) -> str:
    voxels, steps = " x ".join(map(str, grid.shape)), " x ".join(f"{step:.3g}" for step in grid.spacing)
    return f"{voxels} voxels of {steps} mm"


def _cannot_place(problem: str, where: str, expected: str, found: str) -> InputError:
    do = "Check that the row's files belong together and are whole; or choose the grid with --reference."
    return InputError(problem, where=where, expected=expected, found=found, do=do)
