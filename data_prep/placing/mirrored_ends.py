"""Finds slices at an end of a volume that show the slices before them again, mirrored, even if they were
resampled since.

A program that brings a volume to a given length, or lays it on a grid beyond its end, may continue it by its mirror
image (NumPy's pad modes reflect and symmetric, SciPy's modes mirror and reflect). If no voxel moved since, these slices
are copies, which data_prep.placing.neighbours finds. If they were resampled, their voxels lie between the old ones, but
the volume is still symmetric about a plane at any height, oblique to the slices if the grid was turned. No patient is,
and no noise.

The plane is searched for in each patch of the slices by itself, and then fitted to all voxels near it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from data_prep.volumes.percentiles import percentiles
from hnscc.base.arrays import Bools, Floats, Integers

MOST_BLOCKS = 24  # blocks along a side of a slice whose means are used to search for mirrors
PATCH_BLOCKS = 2  # blocks along the side of a patch
PAIRS = 4  # pairs of slices across a mirror that are used to find it; also the fewest heights that judge it
# Share of the difference of neighbouring slices in a patch (root mean square): pairs across a mirror differ by no more.
# If the mirror lies between two slices half remains; untouched volumes have 1.4 or more, apart from single patches.
PAIR_SHARE = 0.75
# Share of the median patch's mean square difference of neighbours; a patch with less says nothing.
QUIET_SHARE = 0.01
# Share, and least number, of the patches that say something whose mirrors must lie in one plane: of 34 untouched
# volumes of the public cohort and of phantoms none had as many at either end.
PATCHES_SHARE, LEAST_PATCHES = 0.15, 4
NEAR_SLICES = 0.75  # slices between the plane and the mirror of a patch that belongs to it, at most
FITS = 12  # times that a plane is fitted to the patches, weighting those near the last fit more
MOST_TANGENT = 0.27  # of the angle between mirror and slices, at most: 15 degrees
SETTLED = 1e-4  # share by which the difference must still shrink for a further step: thousandths of a slice
EVERY_PLACES = 64  # voxels along a side of a slice by which the plane is refined and judged
# Of the way from the lowest value to the 99th percentile: what is brighter is body, and only that is compared.
BODY_SHARE = 0.05
LEAST_PLACES = 50  # places that one height above the plane needs to be judged
FLAT_SHARE = 0.05  # of the median height's difference of neighbours: a height with less was filled
# How much the values above the mirror may differ from their mirror image, as a share of the difference of neighbouring
# slices at that height (medians): in half of the heights, at any height, and at the second. Interpolation leaves up to
# 0.6, and 0.9 at a single height. At 394 planes that were put into untouched volumes 0.76 or more was left in half of
# the heights. In a noisy symmetric body noise is most of the difference near its plane, and at the lowest height a
# place and its image nearly coincide.
IMAGE_SHARE, MOST_SHARE, SECOND_SHARE = 0.65, 1.0, 0.55
# A smooth symmetric body, as phantoms are, changes in proportion to the distance from its plane: from two slices to
# four it changes place by place as from none to two, but about twice as much. Two of 1000 slices of untouched volumes
# pass a correlation of 0.7 and a factor of 1.3.
FAR_SLICES, GROWS_ALIKE, GROWS_TIMES = 2, 0.7, 1.3
BEYOND_SLICES = 0.25  # slices above the mirror, from which on a voxel counts as mirrored


def mirrored_ends(data: NDArray[np.float32], spacing: Floats) -> Bools | None:
    """Return which voxels of a volume repeat, mirrored, what lies before them at either end, (x, y, z); None where
    there are none.

    data: (x, y, z), turned to LPS, in raw values. spacing: (3,), the size of its voxels in mm.
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
    """Return the means over blocks of a volume's slices, at most MOST_BLOCKS along a side, and a block's width
    and height.

    Width and height are in voxels; voxels at the upper borders that fill no block are left out. data and the means:
    both (x, y, z), in raw values.
    """
    wide, high = (-(-side // MOST_BLOCKS) for side in data.shape[:2])
    across, down = data.shape[0] // wide, data.shape[1] // high
    whole = data[: across * wide, : down * high].reshape(across, wide, down, high, -1)
    return whole.mean(axis=(1, 3)), (wide, high)


def _plane(blocks: NDArray[np.float32], size: tuple[int, int]) -> Floats | None:
    """Return the plane in a volume's upper half about which its patches are symmetric, (3,); None where too few
    share one.

    It is given by its height in slices at the first voxel, and by its slopes per voxel along x and y. blocks: (x, y,
    z), in raw values. size: the width and height of the blocks in voxels.
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
    """Return the height in slices, in the upper half of a volume, about which each patch is symmetric: (patches,).

    It is infinite where a patch is not symmetric, and NaN where it hardly changes from slice to slice. blocks: (x, y,
    z), in raw values.
    """
    slices = blocks.shape[2]
    apart = [_squares(blocks, lag) for lag in range(2 * PAIRS + 2)]
    so_far = np.cumsum(np.insert(apart[1], 0, 0, axis=1), axis=1)
    change = np.median(apart[1], axis=1)
    quiet = QUIET_SHARE * float(np.median(change))
    totals = range(slices - 1, 2 * slices - 2 * PAIRS - 1)  # sums of the positions of a pair's two slices
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
    """Return the mean square difference in each patch of slices that lie `lag` apart: (patches, z - lag).

    blocks: (x, y, z), in raw values.
    """
    across, down = (side // PATCH_BLOCKS for side in blocks.shape[:2])
    whole = blocks[: across * PATCH_BLOCKS, : down * PATCH_BLOCKS]
    squares = (whole[:, :, lag:] - whole[:, :, : whole.shape[2] - lag]) ** 2
    patches = squares.reshape(across, PATCH_BLOCKS, down, PATCH_BLOCKS, -1).mean(
        axis=(1, 3), dtype=np.float64
    )
    return np.asarray(patches.reshape(across * down, -1))


def _heights(at: Integers, plane: Floats) -> Floats:
    """Return how far above a plane (3,) some places (3, places), in voxels, lie, in slices: (places,)."""
    return np.asarray(at[2] - plane[0] - plane[1] * at[0] - plane[2] * at[1])


def _image(data: NDArray[np.float32], at: Integers, plane: Floats, spacing: Floats) -> Floats:
    """Return the values of a volume (x, y, z), in raw values, at the mirror images of places (3, places), in
    voxels: (places,).

    Values are interpolated linearly. plane: (3,), the mirror. spacing: (3,), in mm.
    """
    normal = np.array([-plane[1], -plane[2], 1.0]) / spacing
    back = 2 * (normal / spacing / (normal @ normal))[:, None] * _heights(at, plane)
    return np.asarray(ndimage.map_coordinates(data, at - back, order=1, mode="nearest", output=np.float64))


def _places(data: NDArray[np.float32], plane: Floats, low: float, high: float) -> Integers:
    """Return places, (3, places), in voxels, of the body in a volume (x, y, z), in raw values, spread evenly.

    They lie from `low` to below `high` slices above a plane (3,).
    """
    every = [-(-side // EVERY_PLACES) for side in data.shape[:2]]
    thin = data[:: every[0], :: every[1]]
    air, bright = percentiles(thin, [0, 99])
    body = thin > air + BODY_SHARE * (bright - air)
    at = np.stack(np.nonzero(body)) * np.array([*every, 1])[:, None]
    height = _heights(at, plane)
    return np.asarray(at[:, (height >= low) & (height < high)])


def _change(data: NDArray[np.float32], at: Integers) -> Floats:
    """Return how much the values at places (3, places) differ from the next slice, or the last slice from the one
    before it.

    data: (x, y, z), in raw values, as the result, (places,), is.
    """
    beside = at[2] + np.where(at[2] < data.shape[2] - 1, 1, -1)
    return np.asarray(np.abs(data[at[0], at[1], beside] - data[tuple(at)]), dtype=np.float64)


def _settled(data: NDArray[np.float32], plane: Floats, spacing: Floats) -> Floats:
    """Return the plane (3,) near the given one that mirrors best what lies up to PAIRS slices above it.

    data: (x, y, z), in raw values. plane: (3,), as `_plane` returns it. spacing: (3,), in mm.
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
    """Return whether all that lies above a plane, up to the volume's end, is the mirror image of what lies below it.

    data: (x, y, z), in raw values. plane: (3,), as `_settled` returns it. spacing: (3,), in mm.
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
    shares = shares[: max(PAIRS, len(shares) - 1)]  # the last height may be filled in part
    each = shares.max() <= MOST_SHARE and shares[1] <= SECOND_SHARE
    return bool(each and np.median(shares) <= IMAGE_SHARE)


def _grows(data: NDArray[np.float32], plane: Floats) -> bool:
    """Return whether a volume (x, y, z), in raw values, changes below its plane (3,) ever more, as a symmetric
    body does."""
    x, y, z = _places(data, plane, -1, 0)
    x, y, z = (each[z >= 2 * FAR_SLICES] for each in (x, y, z))
    here, near, far = (data[x, y, z - back].astype(np.float64) for back in (0, FAR_SLICES, 2 * FAR_SLICES))
    first, second = near - here, far - near
    alike = first @ second
    least = max(GROWS_ALIKE * np.linalg.norm(second), GROWS_TIMES * np.linalg.norm(first))
    return bool(alike > least * np.linalg.norm(first))
