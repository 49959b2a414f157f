"""Finds the same images under two scans by content, whatever their masks, number type, scale, mirroring or ids.

Every slice of a modality is first reduced to 16 x 16 means, and these to mean 0 and length 1. Slices whose reduced
forms nearly agree are candidates, whose stored slices are then compared.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.volumes.resize import area_weights, weigh
from hnscc.base.arrays import Floats, Images
from hnscc.cohort.store_format import Scan

SIDE_PIXELS = 16  # pixels along the sides of a reduced slice
CANDIDATE_CORRELATION = 0.9995  # correlation of reduced slices
# The same for scans of one patient: a copy on another grid is a part of a voxel off.
BETWEEN_VISITS_CORRELATION = 0.99
# Correlation of stored slices: noise of 1.4 % of their contrast. Rounding to 16 bits makes 0.002 %, another visit of
# the same patient 10 %.
SAME_CORRELATION = 0.9999
# A lower correlation, which resampling or compression leaves between the same images: noise of 10 %.
ALIKE_CORRELATION = 0.995
SHARED_SLICES_SHARE = 0.5  # of the shorter scan's slices: so many must be found in the other

# Flips of a slice (y, x): an export that lost its orientation may be mirrored.
FLIPS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))

ReadImages = Callable[[int], Images]


@dataclass(frozen=True)
class Twins:
    """Two scans, by their positions, that hold the same images of a modality (its position), or nearly (not `same`).

    `correlation` is that of at least half of the shorter scan's slices. `places` is the number of places that agree
    once one scan is moved onto the other (oddities.moved); None where the stored slices agree as they lie.
    """

    first: int
    second: int
    modality: int
    correlation: float
    places: int | None = None

    @property
    def same(self) -> bool:
        return self.correlation > SAME_CORRELATION


def means_of(images: Images) -> Floats:
    """Return the means of equal parts of each slice, in raw values: (Z, C, H, W) -> (C, Z, 16, 16)."""
    size = images.shape[-1]
    weights = area_weights(SIDE_PIXELS, size, size / SIDE_PIXELS, 0.0)
    return np.array(
        [weigh(channel.astype(np.float64), weights, weights) for channel in images.swapaxes(0, 1)]
    )


def reduced(means: Floats) -> NDArray[np.float32]:
    """Return the means of `means_of`, (C, Z, 16, 16), with each slice of mean 0 and length 1, in the same shape; zeros
    where a slice has one value."""
    return _unit(means.reshape(*means.shape[:2], -1)).reshape(means.shape).astype(np.float32)


def seen_patterns(scan: Scan, modality: str, patterns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what `reduced` returned for a modality, (Z, 16, 16) float32, as (Z, 256), each slice of length 1.

    Slices that this modality does not show are zeros.
    """
    found = patterns.reshape(len(patterns), -1).copy()
    found[sorted(scan.unseen([modality]))] = 0
    return found


def find_twins(patterns: Sequence[NDArray[np.float32]], read: ReadImages) -> list[Twins]:
    """Return every pair of scans that shares a modality, or nearly, in order.

    patterns: (C, Z, 16, 16) float32 of each scan, as returned by `reduced`: slices of length 1. read: reads the stored
    images (Z, C, H, W) of the scan at a position, in raw values; only candidates are read.
    """
    found = []
    for modality in range(len(patterns[0])):
        for pair, slices in sorted(_candidates([scan[modality] for scan in patterns]).items()):
            found += _agreeing(patterns, pair, modality, slices, read)
    return sorted(found, key=lambda twins: (twins.second, twins.first, twins.modality))


def find_between(
    patterns: Sequence[NDArray[np.float32]], pairs: Iterable[tuple[int, int]], read: ReadImages
) -> list[Twins]:
    """Return the modalities that the scans of a pair share, or nearly, as they lie or a part of a voxel off.

    patterns: (C, Z, 16, 16) float32 of each scan, as returned by `reduced`: slices of length 1. pairs: positions of
    scans. read: as in `find_twins`.
    """
    found = []
    for first, second in pairs:
        for modality in range(len(patterns[0])):
            one, other = (
                patterns[each][modality].reshape(-1, SIDE_PIXELS * SIDE_PIXELS) for each in (first, second)
            )
            near = [
                (int(z1), int(z2), ()) for z1, z2 in np.argwhere(one @ other.T > BETWEEN_VISITS_CORRELATION)
            ]
            found += _agreeing(patterns, (first, second), modality, near, read)
    return found


def _agreeing(
    patterns: Sequence[NDArray[np.float32]],
    pair: tuple[int, int],
    modality: int,
    slices: Sequence[tuple[int, int, tuple[int, ...]]],
    read: ReadImages,
) -> list[Twins]:
    """Return the pair, alone in a list, if half of the slices of the shorter scan agree as stored; else an empty list.

    slices: those that may agree, as z of both and the flip. patterns: (C, Z, 16, 16) of each, as in `find_twins`:
    slices of length 1.
    """
    needed = SHARED_SLICES_SHARE * min(patterns[each][modality].any(axis=(1, 2)).sum() for each in pair)
    if not slices or len({z2 for _, z2, _ in slices}) < needed:
        return []
    one, other = (read(each)[:, modality] for each in pair)
    best: dict[int, float] = {}
    for z1, z2, flip in slices:
        best[z2] = max(best.get(z2, 0.0), _alike(one[z1], np.flip(other[z2], flip)))
    correlation = sorted(best.values(), reverse=True)[max(1, math.ceil(needed)) - 1]
    return [Twins(*pair, modality, correlation)] if correlation > ALIKE_CORRELATION else []


def _candidates(
    patterns: Sequence[NDArray[np.float32]],
) -> dict[tuple[int, int], list[tuple[int, int, tuple[int, ...]]]]:
    """Return, for each pair of scans, slices that may be the same: z of the first, z of the second, flip of the second.

    patterns: (Z, 16, 16) of each, one modality of what `reduced` returned: slices of length 1.
    """
    rows = [(scan, z) for scan, slices in enumerate(patterns) for z in range(len(slices)) if slices[z].any()]
    pairs: dict[tuple[int, int], list[tuple[int, int, tuple[int, ...]]]] = {}
    if not rows:
        return pairs
    slices = np.stack([patterns[scan][z] for scan, z in rows])
    tree = cKDTree(_coarse(slices))
    # Vectors of length 1 with correlation r are sqrt(2 - 2 r) apart, and coarse ones no farther.
    radius = float(np.sqrt(2 - 2 * CANDIDATE_CORRELATION))
    for flip in FLIPS:
        flipped = np.flip(slices, tuple(axis + 1 for axis in flip))
        for at, near in enumerate(tree.query_ball_point(_coarse(flipped), radius)):
            second, z2 = rows[at]
            for each in near:
                first, z1 = rows[each]
                if first < second and float((slices[each] * flipped[at]).sum()) > CANDIDATE_CORRELATION:
                    pairs.setdefault((first, second), []).append((z1, z2, flip))
    return pairs


def _coarse(slices: NDArray[np.float32]) -> Floats:
    """Return coarse slices for a quick search: (N, 16, 16) -> (N, 16), in the same unit of values.

    They are sums of 4 x 4 pixels, divided by 4, so that they differ by no more than the slices do.
    """
    blocks = slices.astype(np.float64).reshape(len(slices), 4, SIDE_PIXELS // 4, 4, SIDE_PIXELS // 4)
    sums: Floats = blocks.sum(axis=(2, 4)).reshape(len(slices), -1) / (SIDE_PIXELS // 4)
    return sums


def _alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the correlation, -1 to 1, of two slices, each (H, W) in any unit of values; 0 where one of them has
    one value."""
    a, b = (_unit(each.astype(np.float64).reshape(1, -1)) for each in (one, other))
    return float((a * b).sum())


def _unit(values: Floats) -> Floats:
    """Return values (..., n), in any unit of values, less their mean along the last axis and divided by their length.

    The result has the same shape, and is zeros where only rounding is left.
    """
    centred = values - values.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    largest = np.abs(values).max(axis=-1, keepdims=True, initial=0.0)
    flat = length <= 1e-6 * largest * np.sqrt(values.shape[-1])
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, length))
