"""Finds files that hold the same image, compared as they were read, before they are placed.

A file that was copied into another row is resampled on another grid there, that of the row's reference, so its stored
slices differ from the first's by a part of a voxel or by many. The files themselves hold the same values, whatever
their number type, scale, order of axes and header. Of each file, at most 16 slices are kept, reduced to 16 x 16 means.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.oddities.twins import FLIPS, SIDE_PIXELS
from data_prep.volumes.resize import area_weights, weigh
from data_prep.volumes.volume import Volume, turned_to_lps

KEPT_SLICES = 16  # slices of a file, evenly spread over its length
# The least correlation of what is kept of two files: they differ by 0.4 % of the contrast, and rounding to 256 values
# causes half of that. Two acquisitions of one head at rest differ by several %.
COPIED_CORRELATION = 0.99999
# The same for files that may be copies: smoothed by half a voxel, or cut off at the top. Visits of made-up patients
# have 0.97 at most.
NEARLY_CORRELATION = 0.9995


@dataclass(frozen=True)
class Kept:
    """What is kept of a file's image to find its copies.

    shape: its voxels along x, y and z, with axes turned to LPS. means: (values,), of mean 0 and length 1; zeros where
    the image is of one value.
    """

    shape: tuple[int, ...]
    means: NDArray[np.float32]


@dataclass(frozen=True)
class Copied:
    """Two files that hold the same image, or nearly (not `same`), the earlier first.

    Each is given by the positions of its scan and of its modality.
    """

    first: tuple[int, int]
    second: tuple[int, int]
    correlation: float

    @property
    def same(self) -> bool:
        return self.correlation > COPIED_CORRELATION


def kept_of(volume: Volume) -> Kept:
    """Return what is kept of a volume as it was read."""
    slices = turned_to_lps(volume.data, volume.grid).T
    deep = min(KEPT_SLICES, len(slices))
    picked = ((np.arange(deep) + 0.5) / deep * len(slices)).astype(np.int64)
    rows, columns = (area_weights(SIDE_PIXELS, side, side / SIDE_PIXELS, 0.0) for side in slices.shape[1:])
    means = weigh(slices[picked].astype(np.float64), rows, columns).ravel()
    centred = means - means.mean()
    length = float(np.linalg.norm(centred))
    if length <= 1e-6 * float(np.abs(means).max()) * np.sqrt(means.size):  # only rounding is left
        centred, length = np.zeros_like(means), 1.0
    return Kept(slices.shape[::-1], (centred / length).astype(np.float32))


def find_copies(files: Sequence[Sequence[Kept]]) -> list[Copied]:
    """Return every pair of files that hold the same image, or nearly, even if mirrored in the plane of the slices.

    files: what `kept_of` returned for the modalities of each scan, in the same order.
    """
    alike: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for scan, kept in enumerate(files):
        for modality, each in enumerate(kept):
            alike.setdefault(each.shape, []).append((scan, modality))
    found = [
        Copied(places[one], places[other], correlation)
        for places in alike.values()
        for one, other, correlation in _same(
            np.stack([files[scan][modality].means for scan, modality in places])
        )
    ]
    return sorted(found, key=lambda each: (each.second, each.first))


def _same(means: NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """Return the pairs of files of one image, the earlier first, and their correlations.

    means: (n, values), of files of one shape, each less its mean and of length 1.
    """
    whole = means.astype(np.float64)
    slices = whole.reshape(len(whole), -1, SIDE_PIXELS, SIDE_PIXELS)
    flipped = (np.flip(slices, tuple(axis + 2 for axis in flip)).reshape(whole.shape) for flip in FLIPS)
    alike = np.max([whole @ each.T for each in flipped], axis=0)
    found = np.argwhere(np.triu(alike > NEARLY_CORRELATION, 1))
    return [(int(one), int(other), float(alike[one, other])) for one, other in found]
