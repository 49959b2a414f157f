"""The lesions of one mask, and the image values within each: the list that goes with a predicted mask.

SUVpeak is the highest mean over a sphere of 1 ml whose centre lies in the lesion (Wahl et al., J Nucl Med 2009;50 Suppl
1:122S, PERCIST); the sphere may reach beyond the lesion.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, generate_binary_structure, label
from scipy.signal import oaconvolve

from hnscc.base.arrays import Bools, Spacing
from hnscc.scores.empty_masks import voxel_ml

PEAK_ML = 1.0
PEAK_RADIUS_MM = float((3 * 1000 * PEAK_ML / (4 * np.pi)) ** (1 / 3))


@dataclass(frozen=True)
class Uptake:
    """The values of one image within a lesion, in the image's unit of values. peak: the highest mean over a sphere of
    1 ml."""

    highest: float
    mean: float
    peak: float


@dataclass(frozen=True)
class MarkedLesion:
    """One connected component (26 neighbours) of a mask. lesion: its number from 1 on, in the order of first voxels by
    z, y, x. centre: the mean index of its voxels along z, y, x. box and inside: its voxels are those of the mask's part
    `box` (Z, Y, X) where `inside`, bool of the same shape, is true."""

    lesion: int
    voxels: int
    volume_ml: float
    centre: tuple[float, float, float]
    box: tuple[slice, ...]
    inside: Bools

    def on_grid(self, shape: tuple[int, ...]) -> Bools:
        """Return its voxels as a mask of this shape (Z, Y, X), which must be that of the mask in which it was found."""
        whole = np.zeros(shape, dtype=bool)
        whole[self.box] = self.inside
        return whole


def marked_lesions(mask: Bools, spacing_mm: Spacing) -> list[MarkedLesion]:
    """Return the lesions of a mask, bool (Z, Y, X). spacing_mm: between voxels along z, y, x."""
    labels, _ = label(mask, generate_binary_structure(3, 3))
    return [
        _lesion(number, labels, box, spacing_mm) for number, box in enumerate(find_objects(labels), start=1)
    ]


def _lesion(
    number: int, labels: NDArray[np.integer], box: tuple[slice, ...], spacing_mm: Spacing
) -> MarkedLesion:
    """Return the lesion with this number in `labels` (Z, Y, X), where `box` is its bounding box."""
    lesion = labels[box] == number
    voxels = int(lesion.sum())
    z, y, x = (float(each.mean()) + part.start for each, part in zip(np.nonzero(lesion), box, strict=True))
    return MarkedLesion(
        lesion=number,
        voxels=voxels,
        volume_ml=voxels * voxel_ml(spacing_mm),
        centre=(z, y, x),
        box=box,
        inside=lesion,
    )


def uptake_of(image: NDArray[np.float32], lesion: Bools, spacing_mm: Spacing) -> Uptake | None:
    """Return the values of an image (Z, Y, X) within a lesion, bool (Z, Y, X), in the image's unit of values; None
    where the lesion has no voxel there.

    spacing_mm: between voxels along z, y, x.
    """
    if not lesion.any():
        return None
    (box,) = find_objects(lesion.astype(np.uint8))
    inside = lesion[box]
    values = image[box][inside].astype(np.float64)
    return Uptake(float(values.max()), float(values.mean()), _peak(image, inside, box, spacing_mm))


def _peak(image: NDArray[np.float32], lesion: Bools, box: tuple[slice, ...], spacing_mm: Spacing) -> float:
    """Return the highest mean over a sphere about a voxel of the lesion, in the unit of values of the image (Z, Y, X).
    lesion: bool (z, y, x), in its bounding box.

    The sphere consists of the voxels whose centres lie in it; at the image's border, of those that exist.
    """
    reach = [int(PEAK_RADIUS_MM // step) for step in spacing_mm]
    around = tuple(
        slice(max(0, part.start - more), part.stop + more) for part, more in zip(box, reach, strict=True)
    )
    inner = tuple(
        slice(part.start - wide.start, part.stop - wide.start) for part, wide in zip(box, around, strict=True)
    )
    sphere = _sphere(reach, spacing_mm)
    near = image[around].astype(np.float64)
    sums = oaconvolve(near, sphere, mode="same")[inner][lesion]
    if near.shape == tuple(size + 2 * more for size, more in zip(lesion.shape, reach, strict=True)):
        return float(sums.max() / sphere.sum())
    counts = oaconvolve(np.ones_like(near), sphere, mode="same")[inner][lesion]
    return float((sums / np.round(counts)).max())


def _sphere(reach: list[int], spacing_mm: Spacing) -> NDArray[np.float64]:
    """Return which voxels are within the sphere, as 0 or 1: (Z, Y, X), 2 x reach + 1 voxels along each axis."""
    steps = (step * np.arange(-more, more + 1.0) for more, step in zip(reach, spacing_mm, strict=True))
    z, y, x = np.meshgrid(*steps, indexing="ij")
    return (z**2 + y**2 + x**2 <= PEAK_RADIUS_MM**2).astype(np.float64)
