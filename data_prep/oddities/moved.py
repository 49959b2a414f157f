"""Finds the same images under two patients, turned, zoomed, sheared, cropped, noisier, inverted or in other
grey values.

If a mark (data_prep.oddities.marks) of a scan looks like one of another scan, and like no other, their places are
paired. Places of different patients pair by chance and in no order; those of a copy all fit one affine map.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from data_prep.oddities.marks import Marks
from data_prep.oddities.twins import ReadImages, Twins
from hnscc.base.arrays import Bools, Floats

# The best look must be nearer than so many times the distance of the second-best in its scan, and of that in
# most others.
CLEARLY_TIMES = 0.85
# With fewer other scans, most of them say little: the best must then be nearer by the second factor in its scan alone.
LEAST_COMPARED_SCANS, CLEARER_TIMES = 4, 0.7
FIRST_PAIRS = 12  # pairs of places, of which any three give a map
NEAR_SHARE, NEAR_SLICES = 0.025, 2.0  # of a slice's side, and slices: how far a place may miss its map
# Times that a map may stretch, and times that it may stretch one direction more than another.
MOST_STRETCH_TIMES, MOST_SKEW_TIMES = 2.5, 1.6
CELL_SHARE = 1 / 16  # of a slice's side: places in one cell count once
# Places that must fit one map, and the correlation of two scans laid on one another. Different patients have 8 such
# places at most, apart from one pair in thousands, which correlates by 0.8; a copy has 15 and more, and 0.85 and more.
LEAST_PLACES, ALIKE_CORRELATION = 12, 0.85
COMPARED_SLICES = 7  # slices of a pair that are compared


def find_moved(
    kept: Sequence[Sequence[Marks]], asked: Callable[[int, int, int], bool], read: ReadImages
) -> list[Twins]:
    """Return every pair of scans whose images of a modality are the same once one is moved.

    asked: whether to compare the scans at two positions by the modality at a third. kept: what `marks` returned for
    each scan. read: reads the stored images (Z, C, H, W) of the scan at a position; only those of found pairs are read.
    `Twins.correlation` is that of most of the compared slices once laid on one another, of their values or of their
    ranks, of either sign. `places` is the number of places that fit one map.
    """
    found = []
    for modality in range(len(kept[0])):
        for (first, second), pairs in sorted(_paired(kept, modality, asked).items()):
            ones, others = (np.array(each) for each in zip(*pairs, strict=True))
            fit = _map(ones, others, kept[first][modality].side)
            if fit is None:
                continue
            places, move = fit
            alike = _compared(read(first)[:, modality], read(second)[:, modality], move)
            if alike >= ALIKE_CORRELATION:
                found.append(Twins(first, second, modality, alike, places))
    return sorted(found, key=lambda twins: (twins.second, twins.first, twins.modality))


def _paired(
    scans: Sequence[Sequence[Marks]], modality: int, asked: Callable[[int, int, int], bool]
) -> dict[tuple[int, int], list[tuple[Floats, Floats]]]:
    """Return, for each pair of scans, pairs of places, each (3,), whose marks look alike, the surest first.

    A place is z, y, x in pixels; the first one of a pair is in the first scan.
    """
    kept = [each[modality] for each in scans]
    filled = [at for at, each in enumerate(kept) if len(each.looks)]
    looks = np.concatenate([kept[at].looks for at in filled]) if filled else np.zeros((0, 1), np.float32)
    starts = np.cumsum([0, *(len(kept[at].looks) for at in filled)])[:-1]
    sure: dict[tuple[int, int], list[tuple[float, Floats, Floats]]] = {}
    for one in filled:
        others = np.array(
            [other != one and asked(min(one, other), max(one, other), modality) for other in filled]
        )
        if not others.any():
            continue
        alike = kept[one].looks @ looks.T
        near, partners, clearly = _likely(alike, starts, others)
        for best in np.unique(partners):
            other = filled[best]
            at = near[partners == best]
            theirs = alike[at, starts[best] : starts[best] + len(kept[other].looks)]
            first, ratio = _clearest(theirs)
            for mark in np.flatnonzero(ratio < clearly):
                places = kept[one].places[at[mark]], kept[other].places[first[mark]]
                ordered = places if one < other else places[::-1]
                sure.setdefault((min(one, other), max(one, other)), []).append((ratio[mark], *ordered))
    return {
        both: [pair[1:] for pair in sorted(pairs, key=lambda pair: pair[0])] for both, pairs in sure.items()
    }


def _likely(
    alike: NDArray[np.float32], starts: NDArray[np.intp], others: Bools
) -> tuple[NDArray[np.intp], NDArray[np.intp], float]:
    """Return the marks that have a match in one other scan that is clearly closer than their best match in most scans.

    They are given as positions (n,), those scans (n,), and the factor by which the best match must be closer than the
    second-best in its scan. alike: (N, M), how alike, -1 to 1, the N marks of a scan are to the M marks of all scans,
    which begin at `starts`, (scans,). others: bool (scans,), which scans are compared.
    """
    best = np.where(others, np.maximum.reduceat(alike, starts, axis=1), -np.inf)
    partner = best.argmax(axis=1)
    if others.sum() < LEAST_COMPARED_SCANS:
        return np.arange(len(partner)), partner, CLEARER_TIMES
    usual = _distance(np.median(best[:, others], axis=1))
    near = np.flatnonzero(_distance(best.max(axis=1)) < CLEARLY_TIMES * usual)
    return near, partner[near], CLEARLY_TIMES


def _clearest(theirs: NDArray[np.float32]) -> tuple[NDArray[np.intp], Floats]:
    """Return the best match of each mark in another scan, (n,), and its distance as a share of the second-best's, (n,).

    The share is 1 where there is no second. theirs: (n, m), how alike, -1 to 1, the marks are to the m marks of
    that scan.
    """
    if theirs.shape[1] < 2:
        return np.zeros(len(theirs), np.intp), np.ones(len(theirs))
    second, best = np.partition(theirs, -2, axis=1)[:, -2:].T
    return theirs.argmax(axis=1), _distance(best) / np.maximum(_distance(second), 1e-6)


def _distance(alike: NDArray[np.floating]) -> Floats:
    """Return the distance, 0 to 2, of vectors of length 1. alike: their products, -1 to 1, of any shape, which
    is kept."""
    distance: Floats = np.sqrt(np.maximum(2 - 2 * alike, 0)).astype(np.float64)
    return distance


def _map(ones: Floats, others: Floats, size: int) -> tuple[int, Floats] | None:
    """Return how many places fit the affine map (4, 3) that most fit, and the map; None where that is chance.

    It maps (z, y, x, 1) of the first scan to (z, y, x) of the second. ones, others: (N, 3) places of a pair, in pixels,
    the surest first.
    """
    if len(ones) < LEAST_PLACES:
        return None
    threes = np.array(list(combinations(range(min(FIRST_PAIRS, len(ones))), 3)))
    maps = _through(ones[threes], others[threes])
    known = np.pad(ones, ((0, 0), (0, 1)), constant_values=1.0)
    best = np.zeros(len(ones), dtype=bool)
    for each in maps:
        good = _on(known, others, each, size)
        if good.sum() > best.sum():
            best = good
    for _ in range(2):
        if _cells(ones[best], size) < LEAST_PLACES:
            return None
        move = _fitted(known[best], others[best])
        best = _on(known, others, move, size)
    return _cells(ones[best], size), move


def _through(ones: Floats, others: Floats) -> Floats:
    """Return the maps through each three pairs of places, (M, 4, 3), without those that no copy can have; (0,) if none
    is left.

    ones, others: (T, 3, 3), three places of each, z, y, x in pixels.
    """
    known = np.concatenate([ones[..., 1:], np.ones((*ones.shape[:2], 1))], axis=2)
    wide = np.abs(np.linalg.det(known)) > 1e-6 * np.abs(ones[..., 1:]).max() ** 2
    known, ones, others = known[wide], ones[wide], others[wide]
    plane = np.linalg.solve(known, others[..., 1:])
    stretch = np.linalg.svd(plane[:, :2], compute_uv=False)
    slope, start = _line(ones[..., 0], others[..., 0])
    kept = (stretch.max(axis=1) < MOST_STRETCH_TIMES) & (stretch.min(axis=1) > 1 / MOST_STRETCH_TIMES)
    kept &= stretch.max(axis=1) < MOST_SKEW_TIMES * stretch.min(axis=1)
    kept &= (np.abs(slope) < MOST_STRETCH_TIMES) & (np.abs(slope) > 1 / MOST_STRETCH_TIMES)
    return np.array([_joined(*each) for each in zip(plane[kept], slope[kept], start[kept], strict=True)])


def _line(ones: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Return slope and intercept of the lines through the z of places, both (...,); the slope is 1 if all lie in
    one slice.

    ones, others: (..., N), in slices. Slopes have no unit; intercepts are in slices.
    """
    mean, theirs = ones.mean(axis=-1), others.mean(axis=-1)
    apart = ones - mean[..., None]
    spread = (apart**2).sum(axis=-1)
    slope = np.where(
        spread > 0, (apart * (others - theirs[..., None])).sum(axis=-1) / np.maximum(spread, 1e-9), 1.0
    )
    return slope, theirs - slope * mean


def _joined(plane: Floats, slope: float, start: float) -> Floats:
    """Return a map (4, 3), from (z, y, x, 1) to (z, y, x), in pixels, made of one in the plane and one of the slices.

    plane: (3, 2), from (y, x, 1). slope, start: of the slices.
    """
    move = np.zeros((4, 3))
    move[1:, 1:] = plane
    move[0, 0], move[3, 0] = float(slope), float(start)
    return move


def _fitted(known: Floats, others: Floats) -> Floats:
    """Return the map (4, 3) that fits best by least squares, from places `known` (N, 4), z, y, x and 1, to `others` (N,
    3), z, y and x, all in pixels."""
    plane: Floats = np.linalg.lstsq(known[:, 1:], others[:, 1:], rcond=None)[0].astype(np.float64)
    slope, start = _line(known[:, 0], others[:, 0])
    return _joined(plane, float(slope), float(start))


def _on(known: Floats, others: Floats, move: Floats, size: int) -> Bools:
    """Return which of N pairs of places fit a map, bool (N,).

    known: (N, 4), z, y, x and 1 in one scan. others: (N, 3), z, y and x in the other. move: (4, 3), the map. size: of
    the slices. All are in pixels.
    """
    missed = known @ move - others
    on: Bools = np.linalg.norm(missed[:, 1:], axis=1) < max(1.0, NEAR_SHARE * size)
    return on & (np.abs(missed[:, 0]) < NEAR_SLICES)


def _cells(places: Floats, size: int) -> int:
    """Return in how many cells of the plane places (N, 3), z, y, x in pixels, lie.

    So what appears in every slice, such as a scanner's table, counts once.
    """
    return len(np.unique((places[:, 1:] // (CELL_SHARE * size)).astype(int), axis=0))


def _compared(one: NDArray[np.float32], other: NDArray[np.float32], move: Floats) -> float:
    """Return the median correlation of slices of two scans, (Z, H, W) each, in any unit of values, laid on one another.

    The map (4, 3) is used, and the nearest map of whole pixels; the better of both results is returned.
    """
    picked = np.unique(np.linspace(0, len(one) - 1, 3 * COMPARED_SLICES).round().astype(int))
    best = 0.0
    for each in (move, _whole(move, one.shape)):
        within = [z for z in picked if 0 <= z * each[0, 0] + each[3, 0] <= len(other) - 1]
        within = within[:: max(1, len(within) // COMPARED_SLICES)]
        if within:
            best = max(best, float(np.median([_alike(one[z], other, z, each) for z in within])))
    return best


def _whole(move: Floats, shape: tuple[int, ...]) -> Floats:
    """Return the map (4, 3) of whole pixels that is nearest to a map (4, 3), in pixels; it agrees in the
    scan's middle."""
    middle = np.array([(side - 1) / 2 for side in shape])
    whole = np.zeros_like(move)
    whole[:3] = np.rint(move[:3])
    whole[3] = np.rint(middle @ move[:3] + move[3] - middle @ whole[:3])
    return whole


def _alike(one: NDArray[np.float32], other: NDArray[np.float32], z: int, move: Floats) -> float:
    """Return the correlation, without its sign, of a slice (H, W) and what the map (4, 3) takes it to in another scan
    (Z, H, W).

    It is that of values or of ranks, whichever is higher. Ranks stay when grey values are changed, so any unit of
    values will do. Parts where either image is of one value or ends are left out. z: the slice's position in its scan.
    """
    y, x = np.indices(one.shape)
    at = np.stack([np.full(one.shape, z), y, x, np.ones(one.shape)], axis=-1) @ move
    theirs = ndimage.map_coordinates(other, np.moveaxis(at, -1, 0), order=1, cval=np.nan)
    valid = np.isfinite(theirs)
    for image in (one, np.where(valid, theirs, 0)):
        uneven = ndimage.maximum_filter(image, 3) > ndimage.minimum_filter(image, 3)
        valid &= ndimage.minimum_filter(uneven, 3)
    if valid.sum() < 3:
        return 0.0
    a, b = one[valid].astype(np.float64), theirs[valid].astype(np.float64)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(max(abs(stats.pearsonr(a, b).statistic), abs(stats.spearmanr(a, b).statistic)))
