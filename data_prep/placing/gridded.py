"""Brings a modality onto the grid of the slices: it is resampled through its affine and resized, slice by slice.

Here it is also checked whether the modalities cover this grid and the lesion, and whether two columns look exchanged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.placing.absent import absent
from data_prep.placing.continued import continued
from data_prep.placing.mirrored_ends import mirrored_ends
from data_prep.placing.planes import planes_of
from data_prep.volumes.resampling import ROUNDING_VOXELS, parts_of, resampled
from data_prep.volumes.resize import Window, resize_image
from data_prep.volumes.volume import (
    Grid,
    Volume,
    cannot_place,
    nearly_same_grid,
    to_lps,
    turned_to_lps,
    voxels_of,
)
from hnscc.base.arrays import Bools, Floats, Images, Integers
from hnscc.base.in_words import percent_below
from hnscc.cohort.placement import PlaneFacts

MIN_COVERAGE = 0.5  # of the grid's voxels: each modality must cover so many
# Of the lesion's voxels; also of the grid's, to say that two columns were exchanged.
MIN_LESION_COVERAGE = 0.9
# Voxels of a modality along one voxel of the grid: where there are more, a length is not in mm.
MAX_PARTS = 100
LOOKED_AT_VOXELS = 24  # voxels along each axis of a grid, at most, by which coverage is estimated
# Of a volume's range: a slice whose values differ by no more counts as one value, whatever wrote it.
FLAT_SHARE = 1e-5
# Of a slice, beyond what most slices lack: a slice in which more is no image is not shown (data_prep.placing.absent).
MORE_ABSENT_SHARE = 0.1
MOST_ABSENT_SHARE = 0.9  # of a slice: where more is absent, it shows nothing


def check_steps(grids: Mapping[str, Grid], reference: str, where: str) -> None:
    """Raise InputError where a modality's voxels are so much smaller than the reference's that a length cannot be
    in mm.

    The means over them would take unlimited memory. `where` is how the error names the scan.
    """
    grid = to_lps(grids[reference])
    for name, each in grids.items():
        most = max(parts_of(to_lps(each), grid))
        if most > MAX_PARTS:
            raise cannot_place(
                f"The voxels are far smaller than those of {reference}: are the lengths of both in mm?",
                f"{where}, column {name}",
                f"at most {MAX_PARTS} of its voxels along one of {reference}",
                f"{most}",
                "Look at the voxel sizes in both files' headers; convert the one that is wrong again, in mm.",
            )


def check_coverage(
    coverage: Mapping[str, float],
    lesion: Mapping[str, float],
    grids: Mapping[str, Grid],
    reference: str,
    where: str,
) -> None:
    """Raise InputError where a modality covers too little of the reference's grid or of the lesion.

    coverage, lesion: the shares that each modality covers, 0 to 1. grids: those of the modalities, each oriented.
    `where` is how the error names the scan.
    """
    for name in grids:
        if coverage[name] < MIN_COVERAGE:
            problem, least, share = "the grid of the slices", MIN_COVERAGE, coverage[name]
        elif lesion[name] < MIN_LESION_COVERAGE:
            problem, least, share = "the lesion", MIN_LESION_COVERAGE, lesion[name]
        else:
            continue
        raise cannot_place(
            f"The volume does not cover {problem}.",
            f"{where}, column {name}",
            f"at least {least:.0%} of its voxels inside the volume",
            percent_below(share, least),
            _exchanged(name, reference, grids),
        )


def _exchanged(name: str, reference: str, grids: Mapping[str, Grid]) -> str | None:
    """Return advice on exchanged columns where a modality covers too little but would be covered well as the reference;
    or None.

    Such a modality is smaller than the reference, which is right where the user chose this reference; else two columns
    of a row may have been exchanged.
    """
    share = covered_by(grids[reference], grids[name])
    if name == reference or share < MIN_LESION_COVERAGE:
        return None
    return (
        f"Look whether the columns {name} and {reference} were exchanged in that row, since {share:.0%} of the grid of "
        f"{name} lies within that of {reference}; or take the scan out."
    )


def covered_by(other: Grid, grid: Grid, lesion: Bools | None = None) -> float:
    """Return the share, 0 to 1, of a grid's voxels, or of a lesion's, that lie within the outer faces of another grid.

    It is estimated by some of the grid's voxels, spread evenly. lesion: (Z, Y, X), on the grid turned to LPS; where it
    is empty, the share is 1.
    """
    lps, box = to_lps(grid), to_lps(other)
    if lesion is None:
        axes = [np.linspace(0, count - 1, min(count, LOOKED_AT_VOXELS)) for count in lps.shape]
        at = np.stack([each.ravel() for each in np.meshgrid(*axes, indexing="ij")])
    else:
        at = np.stack(np.nonzero(lesion)[::-1]).astype(np.float64)
    matrix = voxels_of(box, lps)
    inside = matrix[:3, :3] @ at + matrix[:3, 3:]
    size = np.array(box.shape)[:, None]
    within = ((inside >= -0.5) & (inside <= size - 0.5)).all(axis=0)
    return float(within.mean()) if at.size else 1.0


@dataclass(frozen=True)
class Gridded:
    """A modality on the grid of the slices.

    slices: (Z, size, size), as they are stored. fill: the value outside of the volume. coverage, lesion_coverage: the
    shares of the grid and of the lesion that it covers, 0 to 1. absent: the share that most slices lack, since the file
    holds something there that is no image (data_prep.placing.absent, continued, mirrored_ends). unseen: the slices (z)
    that it does not show, since it covers less than half of them, they are of one value throughout, or they lack more
    than others. planes: what the volume's planes hold that no scanner produces (data_prep.placing.planes).
    """

    slices: Images
    fill: float
    coverage: float
    lesion_coverage: float
    absent: float
    unseen: list[int]
    planes: PlaneFacts


def gridded(volume: Volume, grid: Grid, window: Window, lesion: Bools) -> Gridded:
    """Resample a modality on the grid of the slices and resize it. lesion: bool (Z, Y, X), on that grid."""
    fill = float(volume.data.min())
    flat = FLAT_SHARE * (float(volume.data.max()) - fill)
    data = turned_to_lps(volume.data, volume.grid)
    blank = None if volume.blank is None else turned_to_lps(volume.blank, volume.grid)
    marked = _marked(data, to_lps(volume.grid))
    gone = _gone(marked, blank, volume, grid)
    usual = _usual(gone)
    slices, unseen, covered, covered_lesion = [], [], 0, 0
    resampling = zip(resampled(volume, grid), _held(volume, grid), lesion, strict=True)
    for z, ((values, inside), held, drawn_lesion) in enumerate(resampling):
        shown = inside & held
        count = int(np.count_nonzero(shown))
        covered += count
        covered_lesion += int(np.count_nonzero(shown & drawn_lesion))
        image = values if count == shown.size else np.where(shown, values, np.float32(fill))
        if (
            count < MIN_COVERAGE * shown.size
            or image.max() - image.min() <= flat
            or gone[z] > usual + MORE_ABSENT_SHARE
        ):
            unseen.append(z)
        slices.append(resize_image(image, window, fill))
    lesion_covered = covered_lesion / int(np.count_nonzero(lesion)) if lesion.any() else 1.0
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


def _marked(data: NDArray[np.float32], lps: Grid) -> Bools | None:
    """Return which voxels are no image, (x, y, z); None where there are none.

    data: (x, y, z), turned to LPS, in raw values. lps: the grid of the data.
    """
    kinds = absent(data), continued(data, lps.spacing), mirrored_ends(data, lps.spacing)
    found = [each for each in kinds if each is not None]
    return np.logical_or.reduce(found) if found else None


def _gone(marked: Bools | None, blank: Bools | None, volume: Volume, grid: Grid) -> Floats:
    """Return the share, 0..1, of each slice of the grid, (Z,), where the volume holds something that is no image.

    It is 1 for slices that are copies as a whole. marked, blank: (x, y, z), lying LPS, the voxels that are no image,
    and those without a number.
    """
    if marked is None:
        return np.zeros(grid.shape[2])
    shown = marked if blank is None else marked & ~blank
    lps = to_lps(volume.grid)
    if nearly_same_grid(lps, grid, ROUNDING_VOXELS):
        return np.asarray(shown.mean(axis=(0, 1)))
    gone = np.zeros(grid.shape[2])
    first, last = _crossed(np.flatnonzero(shown.any(axis=(0, 1))), lps, grid)
    part = _slices_of(grid, first, last)
    slices = resampled(Volume(shown.astype(np.float32), lps), part) if first < last else ()
    gone[first:last] = [
        int(np.count_nonzero((values >= 0.5) & inside)) / values.size for values, inside in slices
    ]
    return gone


def _crossed(planes: Integers, lps: Grid, grid: Grid) -> tuple[int, int]:
    """Return the first slice of a grid that touches the range of some planes (n,), and the one behind the last
    that does.

    planes: positions in a volume on the grid `lps`. Both grids lie LPS.
    """
    if not len(planes):
        return 0, 0
    # The range reaches to the planes beside them, and beyond the volume, where its outer planes are continued.
    low = planes[0] - 1 if planes[0] else -np.inf
    high = planes[-1] + 1 if planes[-1] < lps.shape[2] - 1 else np.inf
    along = voxels_of(lps, grid)[2]
    # The corners of the grid's slices lie half a voxel outside of the outer voxels' centres.
    across = along[:2] @ [
        [-0.5, -0.5, grid.shape[0] - 0.5, grid.shape[0] - 0.5],
        [-0.5, grid.shape[1] - 0.5] * 2,
    ]
    heights = along[2] * np.arange(grid.shape[2]) + along[3]
    reach = abs(along[2]) / 2
    crossed = (heights + across.max() + reach > low) & (heights + across.min() - reach < high)
    found = np.flatnonzero(crossed)
    return (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)


def _slices_of(grid: Grid, first: int, last: int) -> Grid:
    """Return the part of a grid from the slice `first` to the one before `last`."""
    affine = grid.affine.copy()
    affine[:3, 3] += first * affine[:3, 2]
    return Grid((*grid.shape[:2], last - first), affine, grid.oriented)


def _usual(gone: Floats) -> float:
    """Return the share that most slices lack, of those that show something, 0..1. gone: (Z,), shares 0..1.

    It is the lower quartile, since a cut is not seen in slices with little body.
    """
    some = gone[gone < MOST_ABSENT_SHARE]
    return float(np.percentile(some, 25)) if len(some) else 0.0


def _held(volume: Volume, grid: Grid) -> Iterator[Bools]:
    """Yield for each slice of the grid where the volume's file holds numbers: (y, x)."""
    if volume.blank is None:
        yield from (np.broadcast_to(np.bool_(True), grid.shape[1::-1]) for _ in range(grid.shape[2]))
    else:
        held = Volume((~volume.blank).astype(np.float32), volume.grid)
        yield from (values >= 0.5 for values, _ in resampled(held, grid))
