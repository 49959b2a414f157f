"""How far apart the surfaces of a predicted and a true mask lie: HD95, average distance, normalised surface Dice.

Every element of each surface (`surface_elements`) has a distance to the nearest element of the other surface, in mm,
and is weighted by its size. A scan of one slice is scored in its plane, by contours. Masks that reach the border of the
scan have a surface there. The rule for empty masks is that of `empty_masks`: an absent surface counts as being as far
away as the diagonal of the scan is long.

MONAI's HD95 and average distance use the centres of border voxels instead, each counted once. Its surface Dice with
subvoxels uses the same sizes as here, but places every element in the middle of its cell.

Definitions: HD95 as in Metrics Reloaded (Maier-Hein et al., doi:10.1038/s41592-023-02151-z), normalised surface Dice as
Nikolov et al. (doi:10.2196/26151).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from hnscc.base.arrays import Bools, Floats, Spacing
from hnscc.scores.empty_masks import check_masks, crop
from hnscc.scores.surface_elements import Elements, elements

# Distances in mm are rounded to so many decimals, so that distances that are equal on paper are equal here: no score,
# and no comparison of two, depends on the last bit.
_DECIMALS = 9
# Rounding of the spacing, or of a distance, must not decide whether 5 mm are within 5 mm.
_SLACK = 2e-9


@dataclass(frozen=True)
class SurfaceDistances:
    """How far each element of one surface is from the other surface.

    truth_mm, pred_mm: distances (T,) and (P,) in mm of the elements of the truth's and of the prediction's surface; the
    diagonal where the other surface is absent. truth_size, pred_size: the elements' sizes, (T,) and (P,), in mm2 (in a
    plane: mm). diagonal_mm: the diagonal of the scan, from the outer corner of its first voxel to that of its last; no
    distance exceeds it.
    """

    truth_mm: Floats
    truth_size: Floats
    pred_mm: Floats
    pred_size: Floats
    diagonal_mm: float


def surface_distances(pred: Bools, truth: Bools, spacing_mm: Spacing) -> SurfaceDistances:
    """Return the distances between the surfaces of two masks, bool (Z, H, W) of one scan.

    spacing_mm: between voxels along z, y, x. Raises ValueError for other masks or a spacing that is not above 0.
    """
    check_masks(pred, truth, spacing_mm)
    axes = slice(0 if len(truth) > 1 else 1, 3)
    spacing = tuple(float(each) for each in spacing_mm)[axes]
    diagonal = math.hypot(*(n * mm for n, mm in zip(truth.shape[axes], spacing, strict=True)))
    diagonal = round(diagonal, _DECIMALS)
    # Drop the axis of a single slice, which has no thickness to count.
    cropped = (each.reshape(each.shape[axes]) for each in crop(pred, truth))
    of_pred, of_truth = (elements(each, spacing) for each in cropped)
    return SurfaceDistances(
        _nearest(of_truth, of_pred, diagonal),
        of_truth.size,
        _nearest(of_pred, of_truth, diagonal),
        of_pred.size,
        diagonal,
    )


def hd95(distances: SurfaceDistances) -> float:
    """Return the robust Hausdorff distance in mm: the larger of the two surfaces' 95th percentiles of distance.

    A percentile is the least distance within which at least 95 % of the surface's size lie; it is not interpolated. It
    is 0 where both masks are empty, and the diagonal where one is.
    """
    return max(
        _percentile(distances.truth_mm, distances.truth_size),
        _percentile(distances.pred_mm, distances.pred_size),
    )


def average_distance(distances: SurfaceDistances) -> float:
    """Return the average symmetric surface distance (ASSD) in mm: the mean over both surfaces together, weighted
    by size.

    It is 0 where both masks are empty, and the diagonal where one is.
    """
    total = distances.truth_size.sum() + distances.pred_size.sum()
    if total == 0:
        return 0.0
    weighted = distances.truth_mm * distances.truth_size, distances.pred_mm * distances.pred_size
    return round(float((weighted[0].sum() + weighted[1].sum()) / total), _DECIMALS)


def surface_dice(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Return the normalised surface Dice, 0..1: the share of both surfaces that lies within the tolerance of the
    other one.

    It is 1 where both masks are empty, and 0 where one is, whatever the tolerance. Raises ValueError for a
    negative tolerance.
    """
    if not tolerance_mm >= 0:
        raise ValueError(
            f"the tolerance is a number of mm from 0 on, not {tolerance_mm}; give the distance that does not matter"
        )
    if not len(distances.truth_size) or not len(distances.pred_size):
        return float(len(distances.truth_size) == len(distances.pred_size))
    near = tolerance_mm + _SLACK
    within = (
        distances.truth_size[distances.truth_mm <= near].sum()
        + distances.pred_size[distances.pred_mm <= near].sum()
    )
    total = distances.truth_size.sum() + distances.pred_size.sum()
    return float(within / total)


@dataclass(frozen=True)
class ScanMetric:
    """A score of a whole scan by the distances of its surfaces, as data; for several scans, the mean of those
    with lesion.

    name: its name in `ScanScore.surface`, of its column, and in column `metric`. label: its name in a report.
    measured_in: mm, or None for a ratio. meaning: what it is, in a few words. column: the rest of its column's meaning.
    function: computes its value from the distances and the tolerance in mm. range: the least and the most that it can
    be, None where there is no most. decimals: how many a report writes.
    """

    name: str
    label: str
    meaning: str
    column: str
    higher_is_better: bool
    function: Callable[[SurfaceDistances, float], float]
    measured_in: str | None = None
    range: tuple[float, float] | None = None
    decimals: int = 3


# A part of the meaning of each metric.
_TOUCHED = (
    "it may improve where a lesion that was only touched is missed instead: read it beside lesions_found"
)

# The only list of these metrics. What trials store, the columns of tables and of the report, and the metrics by which
# variants are compared (`patient_metrics`) follow from it.
SCAN_METRICS = (
    ScanMetric(
        name="hd95_mm",
        label="HD95",
        measured_in="mm",
        meaning="95 % Hausdorff distance",
        column="in mm, all but 5 % of each surface lies so near to the other; 0 where neither mask holds a voxel, the "
        f"diagonal of the scan where one of them does; {_TOUCHED}",
        higher_is_better=False,
        function=lambda distances, tolerance_mm: hd95(distances),
        decimals=1,
    ),
    ScanMetric(
        name="assd_mm",
        label="ASSD",
        measured_in="mm",
        meaning="average surface distance",
        column=f"the mean over both surfaces, in mm; empty masks count as for hd95_mm; {_TOUCHED}",
        higher_is_better=False,
        function=lambda distances, tolerance_mm: average_distance(distances),
        decimals=1,
    ),
    ScanMetric(
        name="nsd",
        label="NSD",
        meaning="normalised surface Dice",
        column="the share of both surfaces that lies within `evaluation.tolerance_mm` of the other; 1 where neither "
        f"mask holds a voxel, 0 where one of them does; {_TOUCHED}",
        higher_is_better=True,
        function=surface_dice,
        range=(0.0, 1.0),
    ),
)


def _nearest(of: Elements, to: Elements, absent: float) -> Floats:
    """Return the distance in mm of each element from the nearest of the other surface: (N,); `absent` if that
    has none."""
    if not len(of.size) or not len(to.size):
        return np.full(len(of.size), absent)
    # Cells lie on a grid, so halving boxes is as good as halving numbers of points, and takes a third of the time.
    tree = cKDTree(to.position, balanced_tree=False, compact_nodes=False)
    found: Floats = np.round(tree.query(of.position)[0], _DECIMALS)
    return found


def _percentile(values: Floats, sizes: Floats) -> float:
    """Return the least value that at least 95 % of the total size do not exceed; 0 without values. values: (N,)
    in mm; sizes: (N,), in mm2, or in mm for contours."""
    if not len(values):
        return 0.0
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(sizes[order])
    position = int(np.searchsorted(upto, upto[-1] * (95 / 100) * (1 - _SLACK)))
    return float(values[order[position]])
