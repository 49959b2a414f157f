"""How a lesion was drawn and what is left of it: outlines that nobody filled, and volume that coarser voxels lose."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.volumes.volume import Volume


def hollow(voxels: NDArray[np.bool_]) -> float:
    """The share of what a lesion (Z, Y, X) encloses in its slices that is not lesion, 0 (no holes) to 1."""
    drawn, filled = 0, 0
    for slice_ in voxels[voxels.any(axis=(1, 2))]:
        rows, columns = (np.flatnonzero(slice_.any(axis=axis)) for axis in (1, 0))
        part = slice_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        drawn += int(part.sum())
        filled += int(ndimage.binary_fill_holes(part).sum())
    return 1 - drawn / filled if filled else 0.0


def drawn_ml(mask: Volume | None) -> float:
    """The volume of a mask of 0 and one other value, as its file holds it, in ml; 0 without a mask."""
    if mask is None:
        return 0.0
    return float(np.count_nonzero(mask.data > mask.data.max() / 2) * np.prod(mask.grid.spacing) / 1000)


def stored_ml(stored: NDArray[np.uint8], spacing_mm: tuple[float, float, float]) -> float:
    """The volume of a stored mask (Z, H, W), in ml."""
    return float(np.count_nonzero(stored) * np.prod(spacing_mm) / 1000)
