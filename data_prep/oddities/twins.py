"""The same images under two scans, found by content: whatever their masks, number type, scale, mirroring or ids.

Every slice of a modality is first reduced to 16 x 16 means, turned into numbers of mean 0 and length 1. Slices whose
reduced forms nearly agree are candidates; of these the stored slices themselves are compared.
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

SIDE_PIXELS = 16  # pixels of a reduced slice
CANDIDATE_CORRELATION = 0.9995  # correlation of reduced slices
# The same of one patient's scans: a copy on another grid lies a part of a voxel off.
BETWEEN_VISITS_CORRELATION = 0.99
# Correlation of stored slices: noise of 1.4 % of their contrast. Rounding to 16 bits makes 0.002 %, another visit of
# the same patient 10 %.
SAME_CORRELATION = 0.9999
# Below SAME_CORRELATION: what resampling or compression leaves of the same images; noise of 10 %.
ALIKE_CORRELATION = 0.995
SHARED_SLICES_SHARE = 0.5  # of the slices of the shorter scan that must be found in the other

# Flips of a slice (y, x): an export that lost its orientation may be mirrored.
FLIPS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))

ReadImages = Callable[[int], Images]


@dataclass(frozen=True)
class Twins:
    """Two scans, by their positions, that hold the same images of a modality (its position), or nearly (not `same`).

    `correlation` is that of at least half of the shorter scan's slices. `places` is how many of them agree once one
    scan is moved onto the other (oddities.moved); None where they lie alike as they are stored.
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
    """(Z, C, H, W) -> (C, Z, 16, 16): means of equal parts of each slice, in raw values."""
    size = images.shape[-1]
    weights = area_weights(SIDE_PIXELS, size, size / SIDE_PIXELS, 0.0)
    return np.array(
        [weigh(channel.astype(np.float64), weights, weights) for channel in images.swapaxes(0, 1)]
    )


def reduced(means: Floats) -> NDArray[np.float32]:
    """What `means_of` gave, (C, Z, 16, 16), each slice of mean 0 and length 1, of the same shape; zeros where a slice
    is of one value."""
    return _unit(means.reshape(*means.shape[:2], -1)).reshape(means.shape).astype(np.float32)


def seen_patterns(scan: Scan, modality: str, patterns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what `reduced` gave of a modality, (Z, 16, 16) float32, as (Z, 256), each of length 1, with zeros in the
    slices that this modality does not show."""
    found = patterns.reshape(len(patterns), -1).copy()
    found[sorted(scan.unseen([modality]))] = 0
    return found


def find_twins(patterns: Sequence[NDArray[np.float32]], read: ReadImages) -> list[Twins]:
    """Every pair of scans that shares a modality, or nearly, in order.

    patterns: (C, Z, 16, 16) float32 of each, what `reduced` gave: slices of length 1. read: the stored images
    (Z, C, H, W) of a scan, in raw values, by its position; only candidates are read.
    """
    found = []
    for modality in range(len(patterns[0])):
        for pair, slices in sorted(_candidates([scan[modality] for scan in patterns]).items()):
            found += _agreeing(patterns, pair, modality, slices, read)
    return sorted(found, key=lambda twins: (twins.second, twins.first, twins.modality))


def find_between(
    patterns: Sequence[NDArray[np.float32]], pairs: Iterable[tuple[int, int]], read: ReadImages
) -> list[Twins]:
    """The modalities that the scans of a pair share, or nearly, as they lie, also by parts of a voxel off.

    patterns: (C, Z, 16, 16) float32 of each scan, what `reduced` gave: slices of length 1. pairs: positions of scans.
    read: as that of `find_twins`.
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
    """The pair, if half of the slices of the shorter scan agree as they are stored; `slices` may: z of both, flip.
    patterns: (C, Z, 16, 16) of each, as of `find_twins`: slices of length 1."""
    needed = SHARED_SLICES_SHARE * min(_informative(patterns[each][modality]) for each in pair)
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
    """For each pair of scans, the slices (z of the first, z of the second, flip of the second) that may be the same.
    patterns: (Z, 16, 16) of each, one modality of what `reduced` gave: slices of length 1."""
    rows = [(scan, z) for scan, slices in enumerate(patterns) for z in range(len(slices)) if slices[z].any()]
    pairs: dict[tuple[int, int], list[tuple[int, int, tuple[int, ...]]]] = {}
    if not rows:
        return pairs
    slices = np.stack([patterns[scan][z] for scan, z in rows])
    tree = cKDTree(_coarse(slices))
    # Vectors of length 1 that correlate by r lie sqrt(2 - 2 r) apart, and coarse ones no farther.
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
    """(N, 16, 16) -> (N, 16), in the same unit of values, for a quick search: differences in the sums of 4 x 4 pixels,
    divided by 4, are no larger than those of the slices."""
    blocks = slices.astype(np.float64).reshape(len(slices), 4, SIDE_PIXELS // 4, 4, SIDE_PIXELS // 4)
    sums: Floats = blocks.sum(axis=(2, 4)).reshape(len(slices), -1) / (SIDE_PIXELS // 4)
    return sums


def _informative(slices: NDArray[np.float32]) -> int:
    """How many slices of a pattern (Z, 16, 16), of length 1, are not all 0."""
    return sum(bool(slice_.any()) for slice_ in slices)


def _alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The correlation, -1 to 1, of two slices, each (H, W) in any unit of values; 0 where one of them is one value."""
    a, b = (_unit(each.astype(np.float64).reshape(1, -1)) for each in (one, other))
    return float((a * b).sum())


def _unit(values: Floats) -> Floats:
    """Values (..., n) in any unit of values, of the same shape: along the last axis less the mean, divided by the
    length; zeros where nothing is left but rounding."""
    centred = values - values.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    largest = np.abs(values).max(axis=-1, keepdims=True, initial=0.0)
    flat = length <= 1e-6 * largest * np.sqrt(values.shape[-1])
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, length))
