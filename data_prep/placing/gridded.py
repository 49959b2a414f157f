"""A modality on the grid of the slices: sampled through its affine, resized, and what of the slices it shows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.placing.absent import absent
from data_prep.placing.coverage import MIN_COVERAGE
from data_prep.placing.planes import planes_of
from data_prep.volumes.resize import Window, resize_image
from data_prep.volumes.sampling import ROUNDING_VOXELS, sampled
from data_prep.volumes.volume import Grid, Volume, nearly_same_grid, to_lps, turned_to_lps
from hnscc.base.arrays import Bools, Floats, Images
from hnscc.cohort.placement import PlaneFacts

FLAT_SHARE = 1e-5  # of a volume's range: a slice that differs by no more is one value, whatever wrote it
# Of a slice, beyond the scan's other slices: what shows no image there (data_prep.placing.absent).
MORE_ABSENT_SHARE = 0.1
MOST_ABSENT_SHARE = 0.9  # of a slice: it shows nothing


@dataclass(frozen=True)
class Gridded:
    """A modality on the grid of the slices.

    slices: (Z, size, size), as they are stored. fill: the value outside of the volume. coverage, lesion_coverage: the
    shares of the grid and of the lesion that it covers, 0 to 1. absent: the share of most slices where the file holds
    something that is no image (data_prep.placing.absent). unseen: the slices (z) that it does not show, since it covers
    less than half of them, they are of one value throughout, or more is absent than in others. planes: what the
    volume's planes hold that no scanner gives (data_prep.placing.planes).
    """

    slices: Images
    fill: float
    coverage: float
    lesion_coverage: float
    absent: float
    unseen: list[int]
    planes: PlaneFacts


def gridded(volume: Volume, grid: Grid, window: Window, lesion: Bools) -> Gridded:
    """Sample a modality on the grid of the slices and resize it. lesion: (Z, Y, X), on that grid."""
    fill = float(volume.data.min())
    flat = FLAT_SHARE * (float(volume.data.max()) - fill)
    data = turned_to_lps(volume.data, volume.grid)
    blank = None if volume.blank is None else turned_to_lps(volume.blank, volume.grid)
    marked = absent(data)
    gone = _gone(marked, blank, volume, grid)
    usual = _usual(gone)
    slices, unseen, covered, covered_lesion = [], [], 0, 0
    sampling = zip(sampled(volume, grid), _held(volume, grid), lesion, strict=True)
    for z, ((values, inside), held, drawn_lesion) in enumerate(sampling):
        shown = inside & held
        covered += int(shown.sum())
        covered_lesion += int((shown & drawn_lesion).sum())
        image = values if shown.all() else np.where(shown, values, np.float32(fill))
        if (
            shown.mean() < MIN_COVERAGE
            or image.max() - image.min() <= flat
            or gone[z] > usual + MORE_ABSENT_SHARE
        ):
            unseen.append(z)
        slices.append(resize_image(image, window, fill))
    lesion_covered = covered_lesion / int(lesion.sum()) if lesion.any() else 1.0
    share = covered / lesion.size
    planes = planes_of(data, marked, blank)
    return Gridded(
        slices=np.stack(slices),
        fill=fill,
        coverage=share,
        lesion_coverage=lesion_covered,
        absent=usual,
        unseen=unseen,
        planes=planes,
    )


def _gone(marked: Bools | None, blank: Bools | None, volume: Volume, grid: Grid) -> Floats:
    """(Z,): the share of each slice of the grid where the volume, which lies LPS in `marked` and `blank`, holds
    something that is no image; 1 for copies of a slice as a whole."""
    if marked is None:
        return np.zeros(grid.shape[2])
    shown = marked if blank is None else marked & ~blank
    lps = to_lps(volume.grid)
    if nearly_same_grid(lps, grid, ROUNDING_VOXELS):
        return np.asarray(shown.mean(axis=(0, 1)))
    held = Volume(shown.astype(np.float32), lps)
    shares = [float(((values >= 0.5) & inside).mean()) for values, inside in sampled(held, grid)]
    return np.array(shares)


def _usual(gone: Floats) -> float:
    """What most slices lack, of those that show something: a cut is not seen in slices with little body."""
    some = gone[gone < MOST_ABSENT_SHARE]
    return float(np.percentile(some, 25)) if len(some) else 0.0


def _held(volume: Volume, grid: Grid) -> Iterator[Bools]:
    """For each slice of the grid, where the volume's file holds numbers: (y, x)."""
    if volume.blank is None:
        yield from (np.broadcast_to(np.bool_(True), grid.shape[1::-1]) for _ in range(grid.shape[2]))
    else:
        held = Volume((~volume.blank).astype(np.float32), volume.grid)
        yield from (values >= 0.5 for values, _ in sampled(held, grid))
