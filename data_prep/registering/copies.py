"""Small copies of volumes, on which a registration is searched: a few mm a voxel, grey values from 0 to 1."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.volumes.grids import to_lps, turned
from data_prep.volumes.volume import Volume

VOXEL_MM = 3.0  # of a copy, about; what is coarser stays as it is
LOW, HIGH = 0.5, 99.5  # percentiles, which become 0 and 1: a bladder in PET must not make all else one grey


@dataclass(frozen=True)
class Copy:
    """Grey values 0 to 1, float32 (x, y, z), of a volume turned to LPS; `affine` maps an index to mm as in NIfTI."""

    values: NDArray[np.float32]
    affine: NDArray[np.float64]

    @property
    def centre(self) -> NDArray[np.float64]:
        """The middle of the copy in mm, (3,)."""
        middle = (np.array(self.values.shape) - 1) / 2
        return np.asarray(self.affine[:3, :3] @ middle + self.affine[:3, 3])

    @property
    def body_centre(self) -> NDArray[np.float64]:
        """Where the middle of the grey values lies in mm, (3,)."""
        values = self.values.astype(np.float64)
        sums = [values.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
        at = np.array([(each * np.arange(len(each))).sum() / max(each.sum(), 1e-12) for each in sums])
        return np.asarray(self.affine[:3, :3] @ at + self.affine[:3, 3])


def small_copy(volume: Volume) -> Copy:
    """Means over blocks of voxels, and of these the square root, so that faint uptake counts beside hot uptake."""
    grid = to_lps(volume.grid)
    data = turned(volume.data, volume.grid)
    block = np.maximum(1, np.floor(VOXEL_MM / grid.spacing + 0.05)).astype(int)
    block = np.minimum(block, data.shape)
    count = np.array(data.shape) // block
    x, y, z = count * block
    sides = [int(each) for pair in zip(count, block, strict=True) for each in pair]
    means = data[:x, :y, :z].reshape(sides).mean(axis=(1, 3, 5), dtype=np.float32)
    step = np.diag([*block.astype(float), 1.0])
    step[:3, 3] = (block - 1) / 2
    return Copy(_greys(means), grid.affine @ step)


def _greys(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(values, [LOW, HIGH])
    share = np.clip((values - low) / (high - low if high > low else 1.0), 0, 1)
    return np.asarray(np.sqrt(share), dtype=np.float32)
