"""What images show within masks: total lesion glycolysis (TLG) of a scan, and the uptake of each lesion of one mask.

TLG is the volume of a mask times its mean uptake, in SUV ml (`volumes`): the sum of SUV over its voxels, times the
volume of one. A trial stores it of truth and of prediction, at every threshold, since images stay in the store and its
threshold is chosen later.

The lesions of one mask are the list that goes with a predicted mask. SUVpeak is the highest mean over a sphere of 1 ml
whose centre lies in the lesion (Wahl et al., J Nucl Med 2009;50 Suppl 1:122S, PERCIST); the sphere may reach beyond
the lesion.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, generate_binary_structure, label
from scipy.signal import oaconvolve

from hnscc.base.arrays import Bools, Floats, Spacing, StoredProbabilities
from hnscc.scores.counts import STEPS, k_reached
from hnscc.scores.masks import voxel_ml
from hnscc.scores.scans import ScanScore

STORED_AS = "glycolysis"  # the array of a trial's predictions that holds what `stored_form` gives


def glycolysis(
    probabilities: StoredProbabilities, truth: Bools, uptake: NDArray[np.floating], spacing_mm: Spacing
) -> Floats:
    """SUV ml of one scan, float64 (1001,): at 0 within the truth, at k where a probability reaches k / 1000.

    probabilities: as stored, uint16 (Z, H, W). truth: bool, and uptake: SUV of each voxel, of the same shape.
    spacing_mm: between voxels along z, y, x. NaN everywhere where an uptake is not finite. ValueError for other shapes.
    """
    if not probabilities.shape == truth.shape == uptake.shape:
        raise ValueError(
            "probabilities, truth and uptake are of one shape, not "
            f"{probabilities.shape}, {truth.shape} and {uptake.shape}; give the same slices of all three"
        )
    suv = uptake.astype(np.float64)
    if not np.isfinite(suv).all():
        return np.full(STEPS, np.nan)
    per_step = np.bincount(k_reached(probabilities).ravel(), suv.ravel(), STEPS)
    found = per_step[::-1].cumsum()[::-1]
    found[0] = suv[truth].sum()
    return found * voxel_ml(spacing_mm)


def stored_form(found: Mapping[str, Floats]) -> NDArray[np.float32]:
    """Return what `glycolysis` found of S scans, one at least, as a trial stores it: float32 (S, 1001), by the sorted
    names of the scans, which are not stored."""
    return np.stack([found[scan] for scan in sorted(found)]).astype(np.float32)


def of_scans(stored: NDArray[np.floating], scans: Collection[str]) -> dict[str, NDArray[np.floating]]:
    """Return what `stored_form` was given, by the names of its S scans in any order, each (1001,). Raises ValueError
    where what is stored has another shape than (S, 1001)."""
    if stored.shape != (len(scans), STEPS):
        raise ValueError(f"glycolysis of {stored.shape}, not {(len(scans), STEPS)}")
    return dict(zip(sorted(scans), stored, strict=True))


def with_glycolysis(
    scans: Mapping[str, ScanScore], found: Mapping[str, NDArray[np.floating]], k: int
) -> dict[str, ScanScore]:
    """Return the scores of scans at the threshold k / 1000, with what `glycolysis` found of each, (1001,); as they were
    where it found nothing."""
    return {scan: _with(score, found[scan], k) if found else score for scan, score in scans.items()}


def _with(score: ScanScore, found: NDArray[np.floating], k: int) -> ScanScore:
    truth, predicted = float(found[0]), float(found[k])
    if np.isnan(truth):
        return score
    return replace(score, volumes=replace(score.volumes, tlg_truth=truth, tlg_pred=predicted))


PEAK_ML = 1.0
PEAK_RADIUS_MM = float((3 * 1000 * PEAK_ML / (4 * np.pi)) ** (1 / 3))


@dataclass(frozen=True)
class Uptake:
    """Values of one image within a lesion, in the image's units. peak: over spheres of 1 ml."""

    highest: float
    mean: float
    peak: float


@dataclass(frozen=True)
class MarkedLesion:
    """One connected component (26 neighbours) of a mask. lesion: its number, from 1, in the order of its first voxel
    by z, y, x. centre: the mean index of its voxels along z, y, x. uptake: by image of the mask's grid. box and inside:
    its voxels are those of the mask's part `box` (Z, Y, X) where `inside`, of the same shape, is true."""

    lesion: int
    voxels: int
    volume_ml: float
    centre: tuple[float, float, float]
    uptake: Mapping[str, Uptake]
    box: tuple[slice, ...]
    inside: Bools

    def on_grid(self, shape: tuple[int, ...]) -> Bools:
        """Its voxels in a mask of this shape (Z, Y, X), which is that of the mask it was found in."""
        whole = np.zeros(shape, dtype=bool)
        whole[self.box] = self.inside
        return whole


def marked_lesions(
    mask: Bools, images: Mapping[str, NDArray[np.float32]], spacing_mm: Spacing
) -> list[MarkedLesion]:
    """Return the lesions of a mask, bool (Z, Y, X), with their values in images (Z, Y, X) of the same grid.

    spacing_mm: between voxels along z, y, x.
    """
    labels, _ = label(mask, generate_binary_structure(3, 3))
    return [
        _lesion(number, labels, box, images, spacing_mm)
        for number, box in enumerate(find_objects(labels), start=1)
    ]


def _lesion(
    number: int,
    labels: NDArray[np.integer],
    box: tuple[slice, ...],
    images: Mapping[str, NDArray[np.float32]],
    spacing_mm: Spacing,
) -> MarkedLesion:
    lesion = labels[box] == number
    voxels = int(lesion.sum())
    z, y, x = (float(each.mean()) + part.start for each, part in zip(np.nonzero(lesion), box, strict=True))
    uptake = {name: _uptake(image, lesion, box, spacing_mm) for name, image in images.items()}
    return MarkedLesion(
        lesion=number,
        voxels=voxels,
        volume_ml=voxels * voxel_ml(spacing_mm),
        centre=(z, y, x),
        uptake=uptake,
        box=box,
        inside=lesion,
    )


def uptake_of(image: NDArray[np.float32], lesion: Bools, spacing_mm: Spacing) -> Uptake | None:
    """Return what an image (Z, Y, X) shows within a lesion, bool of the same grid; None where the lesion has no
    voxel there.

    spacing_mm: between voxels along z, y, x.
    """
    if not lesion.any():
        return None
    (box,) = find_objects(lesion.astype(np.uint8))
    return _uptake(image, lesion[box], box, spacing_mm)


def _uptake(image: NDArray[np.float32], lesion: Bools, box: tuple[slice, ...], spacing_mm: Spacing) -> Uptake:
    """Of an image (Z, Y, X) within a lesion, bool (z, y, x) of its bounding box there."""
    values = image[box][lesion].astype(np.float64)
    return Uptake(float(values.max()), float(values.mean()), _peak(image, lesion, box, spacing_mm))


def _peak(image: NDArray[np.float32], lesion: Bools, box: tuple[slice, ...], spacing_mm: Spacing) -> float:
    """The highest mean of a sphere about a voxel of the lesion; arrays as of `_uptake`.

    The sphere holds the voxels whose centres lie in it; at the image's border those that are there.
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
    """1 within the sphere and 0 elsewhere, of 2 x reach + 1 voxels along z, y and x."""
    steps = (step * np.arange(-more, more + 1.0) for more, step in zip(reach, spacing_mm, strict=True))
    z, y, x = np.meshgrid(*steps, indexing="ij")
    return (z**2 + y**2 + x**2 <= PEAK_RADIUS_MM**2).astype(np.float64)
