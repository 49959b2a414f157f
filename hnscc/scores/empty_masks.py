"""What every score of two masks needs first: checks of masks and spacing, the box around all marked voxels, and the
rule for empty masks that all scores follow.

**The rule.** Whether a score exists depends on the truth alone, never on the prediction, so that a model cannot leave a
mean over scans by predicting nothing. Where it exists, it is

- the best value where truth and prediction are both empty: there was nothing to find, and nothing was predicted;
- the worst value where exactly one of them is empty: everything was missed, or everything is a false alarm. For a
  distance, the worst value is the diagonal of the scan, which no two points of the scan exceed; means and medians
  use it like any other value. Scores of false alarms alone (`fp_ml`, `false_lesions`, specificity) cannot see a
  miss, and `fn_ml` and sensitivity cannot see a false alarm: never read one of them without its counterpart. Sizes
  and counts have no worst value.

So missing a lesion that was predicted exactly never improves a score: if it is removed from a prediction, even as the
last one, every score gets worse or stays as it is. For predictions that are not exact, this holds

- for counts of lesions and for the calls of scans and patients, for every predicted component that touches a lesion;
- for ml, shares of voxels and Dice, for every component that lies within the truth (removing one that reaches beyond
  the truth also removes false positives);
- for distances of surfaces, only for a component that is the lesion itself: HD95, ASSD and NSD may improve where a
  lesion that was only touched is given up, since voxels amid a large lesion lie far from its surface. Only the last
  step is certain: predicting nothing is never better than predicting anything.

The difference of two sizes is a description and not a score: a false alarm hides a miss of as many ml.
"""

import math

import numpy as np

from hnscc.base.arrays import Bools, Spacing


def check_masks(pred: Bools, truth: Bools, spacing_mm: Spacing) -> None:
    """Raise ValueError unless the masks are bool (Z, H, W) of one shape and the spacing is three numbers of mm
    above 0."""
    for name, mask in (("prediction", pred), ("truth", truth)):
        if mask.dtype != np.bool_ or mask.ndim != 3:
            raise ValueError(
                f"the {name} is bool (Z, H, W), not {mask.dtype} {mask.shape}; give one mask of a whole scan"
            )
    if pred.shape != truth.shape:
        raise ValueError(
            f"prediction and truth have one shape, not {pred.shape} and {truth.shape}; bring both on one grid"
        )
    if len(spacing_mm) != 3 or not all(math.isfinite(each) and each > 0 for each in spacing_mm):
        raise ValueError(
            f"the spacing is three numbers of mm above 0 (z, y, x), not {spacing_mm}; take it from the scan's grid"
        )


def voxel_ml(spacing_mm: Spacing) -> float:
    """Return the size of a voxel in ml."""
    return math.prod(float(each) for each in spacing_mm) / 1000


def crop(pred: Bools, truth: Bools) -> tuple[Bools, Bools]:
    """Return both masks within the smallest box that holds all marked voxels of either: views (z, y, x), of shape (0,
    0, 0) if nothing is marked. pred, truth: bool (Z, H, W), of one shape."""
    rows = [_marked(pred, axis) | _marked(truth, axis) for axis in range(3)]
    if not rows[0].any():
        return pred[:0, :0, :0], truth[:0, :0, :0]
    ends = [np.flatnonzero(each)[[0, -1]] for each in rows]
    box = tuple(slice(int(first), int(last) + 1) for first, last in ends)
    return pred[box], truth[box]


def _marked(mask: Bools, axis: int) -> Bools:
    """Return which indices along an axis of a mask (Z, H, W) hold a marked voxel: bool (n,), n the length of
    the axis."""
    others = tuple(each for each in range(3) if each != axis)
    return np.asarray(mask.any(axis=others))
