"""Slices at an end of a volume that show those before them once more, the other way round, on whatever grid since.

A program that brings a volume to a wanted length, or lays it on a grid beyond its end, may go on with its mirror image
(NumPy's pad modes reflect and symmetric, SciPy's modes mirror and reflect). Where no voxel moved since, its slices are
copies, which data_prep.placing.neighbours finds. Laid on another grid they lie between, but the volume still mirrors
itself: in a plane at any height, oblique to the slices where the grid was turned. No patient does, and no noise.

The plane is looked for in patches of the slices, each by itself, and then fitted to all voxels near it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from data_prep.volumes.percentiles import percentiles
from hnscc.base.arrays import Bools, Floats, Integers

MOST_BLOCKS = 24  # along a side of a slice, by whose means mirrors are looked for
PATCH_BLOCKS = 2  # the side of a patch
PAIRS = 4  # of slices on both sides of a mirror, by which it is looked for, and by whose heights it is judged at least
# Of what neighbours in a patch differ by (root of the mean square), what the slices of such pairs may. A mirror that
# stands amid two slices leaves half of it; untouched volumes have 1.4 times as much and more, but for single patches.
PAIR_SHARE = 0.75
# Of the median patch's mean square, what neighbours in a patch differ by at least where something is said of it.
QUIET_SHARE = 0.01
# Of the patches of which something is said, those whose mirrors lie in one plane: of 34 untouched volumes of the public
# cohort and of phantoms none had as many at either end.
PATCHES_SHARE, LEAST_PATCHES = 0.15, 4
NEAR_SLICES = 0.75  # from the plane to the mirror of a patch that lies in it
FITS = 12  # of a plane to the patches, each time to those near it
MOST_TANGENT = 0.27  # of the angle between mirror and slices: 15 degrees
SETTLED = 1e-4  # of what differs, what a further step would gain: thousandths of a slice
EVERY_PLACES = 64  # along a side of a slice, of whose voxels the plane is settled and judged
# Of the way from the lowest value to the 99th percentile: what is brighter is body, of which alone is asked.
BODY_SHARE = 0.05
LEAST_PLACES = 50  # within a slice's height above the plane, of which something is said
FLAT_SHARE = 0.05  # of the median height's difference of neighbours; one with less is filled
# Of the median difference of neighbours at a height above the mirror, the median one of places from their image there:
# in half of the heights, in each, and at the second. Interpolation leaves up to 0.6, and 0.9 at a single height; at 394
# planes that were laid into untouched volumes 0.76 and more was left in half of the heights. Where a symmetric body has
# noise, this is most of what differs near its plane; at the lowest height image and place are nearly one.
IMAGE_SHARE, MOST_SHARE, SECOND_SHARE = 0.65, 1.0, 0.55
# A smooth symmetric body, as phantoms are, changes in proportion to the distance from its plane: from two slices on to
# four as up to two, place by place, but about twice as much. By a correlation of 0.7, and 1.3 times as much, two of
# 1000 slices of untouched volumes do.
FAR_SLICES, GROWS_ALIKE, GROWS_TIMES = 2, 0.7, 1.3
BEYOND_SLICES = 0.25  # above the mirror, from which on a voxel is no image


def mirrored_ends(data: NDArray[np.float32], spacing: Floats) -> Bools | None:
    """Return which voxels of a volume repeat, mirrored, what lies before them at either end, (x, y, z); None where
    none do.

    data: (x, y, z), turned to LPS, in raw values. spacing: (3,), its voxels' size in mm.
    """
    if min(data.shape[:2]) < 4 * PATCH_BLOCKS or data.shape[2] <= 2 * PAIRS + 1:
        return None
    found = np.zeros(data.shape, dtype=bool)
    x, y = np.ogrid[: data.shape[0], : data.shape[1]]
    blocks, size = _blocks(data)
    for way in (1, -1):
        low, marked = data[:, :, ::way], found[:, :, ::way]
        plane = _plane(blocks[:, :, ::way], size)
        if plane is not None and np.hypot(*(plane[1:] / spacing[:2])) * spacing[2] <= MOST_TANGENT:
            plane = _settled(low, plane, spacing)
            if _is_mirror(low, plane, spacing):
                for z in range(data.shape[2]):
                    marked[:, :, z] |= z - plane[0] - plane[1] * x - plane[2] * y > BEYOND_SLICES
    return found if found.any() else None


def _blocks(data: NDArray[np.float32]) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """The means of blocks of a volume's slices, at most MOST_BLOCKS along a side, and how many voxels wide and high
    these are. What is left at the upper borders is left out. data and the means: both (x, y, z), in raw values."""
    wide, high = (-(-side // MOST_BLOCKS) for side in data.shape[:2])
    across, down = data.shape[0] // wide, data.shape[1] // high
    whole = data[: across * wide, : down * high].reshape(across, wide, down, high, -1)
    return whole.mean(axis=(1, 3)), (wide, high)


def _plane(blocks: NDArray[np.float32], size: tuple[int, int]) -> Floats | None:
    """The plane in which the patches of a volume mirror themselves, in its upper half: its height in slices at the
    first voxel, and what it rises by from voxel to voxel along x and y, (3,); None where too few share one.

    blocks: (x, y, z), in raw values. size: how many voxels wide and high they are.
    """
    heights = _own_mirrors(blocks)
    patches = np.indices([side // PATCH_BLOCKS for side in blocks.shape[:2]])
    x, y = (
        (each.ravel() + 0.5) * PATCH_BLOCKS * voxels - 0.5 for each, voxels in zip(patches, size, strict=True)
    )
    least = max(LEAST_PATCHES, PATCHES_SHARE * np.count_nonzero(~np.isnan(heights)))
    has = np.isfinite(heights)
    if has.sum() < least:
        return None
    places, heights = np.stack([np.ones(len(x)), x, y], axis=1)[has], heights[has]
    plane, limit = np.array([np.median(heights), 0.0, 0.0]), np.inf
    for _ in range(FITS):
        weight = 1 / (1 + ((places @ plane - heights) / limit) ** 2)
        plane = np.linalg.lstsq(places * weight[:, None], heights * weight, rcond=None)[0]
        limit = max(NEAR_SLICES, float(np.median(np.abs(places @ plane - heights))))
    near = np.abs(places @ plane - heights) < NEAR_SLICES
    return plane if near.sum() >= least else None


def _own_mirrors(blocks: NDArray[np.float32]) -> Floats:
    """The height in slices, in the upper half of a volume (x, y, z), in raw values, in which each patch mirrors itself:
    (patches,); infinite where it does so nowhere, NaN where next to nothing changes in it from slice to slice."""
    slices = blocks.shape[2]
    apart = [_squares(blocks, lag) for lag in range(2 * PAIRS + 2)]
    so_far = np.cumsum(np.insert(apart[1], 0, 0, axis=1), axis=1)
    change = np.median(apart[1], axis=1)
    quiet = QUIET_SHARE * float(np.median(change))
    totals = range(slices - 1, 2 * slices - 2 * PAIRS - 1)  # of the places of a pair's two slices
    shares = np.full((len(change), len(totals)), np.inf)
    for at, total in enumerate(totals):
        lags = [2 * pair + total % 2 for pair in range(1, PAIRS + 1)]
        differ = np.mean([apart[lag][:, (total - lag) // 2] for lag in lags], axis=0)
        low, high = (total - lags[-1]) // 2, (total + lags[-1]) // 2
        usual = (so_far[:, high] - so_far[:, low]) / (high - low)
        np.divide(differ, usual, out=shares[:, at], where=usual > quiet)
    heights = np.where(shares.min(axis=1) < PAIR_SHARE**2, totals[0] / 2 + shares.argmin(axis=1) / 2, np.inf)
    return np.where(change > quiet, heights, np.nan)


def _squares(blocks: NDArray[np.float32], lag: int) -> Floats:
    """What slices so far apart differ by in each patch of a volume (x, y, z), in raw values, the mean
    square: (patches, z - lag)."""
    across, down = (side // PATCH_BLOCKS for side in blocks.shape[:2])
    whole = blocks[: across * PATCH_BLOCKS, : down * PATCH_BLOCKS]
    squares = (whole[:, :, lag:] - whole[:, :, : whole.shape[2] - lag]) ** 2
    patches = squares.reshape(across, PATCH_BLOCKS, down, PATCH_BLOCKS, -1).mean(
        axis=(1, 3), dtype=np.float64
    )
    return np.asarray(patches.reshape(across * down, -1))


def _heights(at: Integers, plane: Floats) -> Floats:
    """How far above a plane (3,) places (3, places), in voxels, lie, in slices: (places,)."""
    return np.asarray(at[2] - plane[0] - plane[1] * at[0] - plane[2] * at[1])


def _image(data: NDArray[np.float32], at: Integers, plane: Floats, spacing: Floats) -> Floats:
    """The values of a volume (x, y, z), in raw values, where a plane (3,) mirrors places (3, places), in voxels:
    (places,), linearly between its voxels. spacing: (3,), in mm."""
    normal = np.array([-plane[1], -plane[2], 1.0]) / spacing
    back = 2 * (normal / spacing / (normal @ normal))[:, None] * _heights(at, plane)
    return np.asarray(ndimage.map_coordinates(data, at - back, order=1, mode="nearest", output=np.float64))


def _places(data: NDArray[np.float32], plane: Floats, low: float, high: float) -> Integers:
    """Places of the body in a volume (x, y, z), in raw values, evenly spread, so many slices above a plane (3,), from
    `low` to below `high`: (3, places), in voxels."""
    every = [-(-side // EVERY_PLACES) for side in data.shape[:2]]
    thin = data[:: every[0], :: every[1]]
    air, bright = percentiles(thin, [0, 99])
    body = thin > air + BODY_SHARE * (bright - air)
    at = np.stack(np.nonzero(body)) * np.array([*every, 1])[:, None]
    height = _heights(at, plane)
    return np.asarray(at[:, (height >= low) & (height < high)])


def _change(data: NDArray[np.float32], at: Integers) -> Floats:
    """By how much the values at places (3, places) differ from those in the next slice, of the last slice from those
    before: (places,). data: (x, y, z), in raw values, as the result is."""
    beside = at[2] + np.where(at[2] < data.shape[2] - 1, 1, -1)
    return np.asarray(np.abs(data[at[0], at[1], beside] - data[tuple(at)]), dtype=np.float64)


def _settled(data: NDArray[np.float32], plane: Floats, spacing: Floats) -> Floats:
    """The plane (3,) near the given one that mirrors best what lies up to PAIRS slices above it.

    data: (x, y, z), in raw values. plane: (3,), as _plane gives it. spacing: (3,), in mm.
    """
    at = _places(data, plane, 0, PAIRS)
    usual = float(np.median(_change(data, at))) if len(at[0]) >= LEAST_PLACES else 0.0
    if not usual:
        return plane
    values = data[tuple(at)]
    fit = optimize.least_squares(
        lambda of: (_image(data, at, of, spacing) - values) / usual,
        plane,
        loss="soft_l1",
        x_scale="jac",
        ftol=SETTLED,
    )
    return np.asarray(fit.x)


def _is_mirror(data: NDArray[np.float32], plane: Floats, spacing: Floats) -> bool:
    """Whether all that lies above a plane is the mirror image of what lies below it, up to the volume's end.

    data: (x, y, z), in raw values. plane: (3,), as _settled gives it. spacing: (3,), in mm.
    """
    at = _places(data, plane, 0, np.inf)
    height = _heights(at, plane).astype(np.intp)
    change, off = _change(data, at), np.abs(_image(data, at, plane, spacing) - data[tuple(at)])
    asked = np.flatnonzero(np.bincount(height) >= LEAST_PLACES)
    if len(asked) < PAIRS or _grows(data, plane):
        return False
    changes, offs = (
        np.array([np.median(each[height == level]) for level in asked]) for each in (change, off)
    )
    tells = changes > FLAT_SHARE * np.median(changes)
    if not tells[:PAIRS].all():
        return False
    shares = offs[tells] / changes[tells]
    shares = shares[: max(PAIRS, len(shares) - 1)]  # the last may be filled in part
    each = shares.max() <= MOST_SHARE and shares[1] <= SECOND_SHARE
    return bool(each and np.median(shares) <= IMAGE_SHARE)


def _grows(data: NDArray[np.float32], plane: Floats) -> bool:
    """Whether a volume (x, y, z), in raw values, changes as a symmetric body does below its plane (3,): ever more."""
    x, y, z = _places(data, plane, -1, 0)
    x, y, z = (each[z >= 2 * FAR_SLICES] for each in (x, y, z))
    here, near, far = (data[x, y, z - back].astype(np.float64) for back in (0, FAR_SLICES, 2 * FAR_SLICES))
    first, second = near - here, far - near
    alike = first @ second
    least = max(GROWS_ALIKE * np.linalg.norm(second), GROWS_TIMES * np.linalg.norm(first))
    return bool(alike > least * np.linalg.norm(first))
