"""What every score of two masks begins with: checks of masks and spacing, the box that holds what is marked, and the
one rule for empty masks that all scores follow.

**The rule.** Whether a score exists depends on the truth alone, never on the prediction: a model cannot leave a mean
over scans by predicting nothing. Where it exists, it is

- the best value where truth and prediction are both empty: nothing was to be found, and nothing was alleged;
- the worst value where one of them is empty and the other is not: all was missed, or all is a false alarm. The worst
  of a distance is the diagonal of the scan, which no two points of the scan exceed: means and medians take it as it
  is. What tells of alarms alone (`fp_ml`, `false_lesions`, specificity) cannot see a miss, nor `fn_ml` and
  sensitivity an alarm: none of these is to be read without its partner. Sizes and counts have no worst value.

So missing a lesion that was predicted exactly never improves a score: taking it out of a prediction, the last one too,
makes every score worse or leaves it. Of what was predicted otherwise this holds

- for counts of lesions and for the calls of scans and patients, of every predicted component that touches a lesion;
- for ml, shares of voxels and Dice, of every component that lies within the truth (one that reaches beyond it
  also takes false positives away);
- for distances of surfaces, of no component but the lesion itself: HD95, ASSD and NSD may improve where a lesion that
  was only touched is given up, for hits amid a large lesion lie far from its surface. Only the last step is certain: to
  predict nothing is never better than to predict anything.

The difference of two sizes is a description and no score: a false alarm hides a miss of as many ml.
"""

import math

import numpy as np

from hnscc.base.arrays import Bools, Spacing


def check_masks(pred: Bools, truth: Bools, spacing_mm: Spacing) -> None:
    """Raises ValueError unless the masks are bool (Z, H, W) of one shape and the spacing is three mm above 0."""
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
    """Return how many ml a voxel takes."""
    return math.prod(float(each) for each in spacing_mm) / 1000


def crop(pred: Bools, truth: Bools) -> tuple[Bools, Bools]:
    """Both masks within the smallest box that holds all that either marks: views (z, y, x); of shape (0, 0, 0) if
    nothing is. pred, truth: bool (Z, H, W), of one shape."""
    rows = [_marked(pred, axis) | _marked(truth, axis) for axis in range(3)]
    if not rows[0].any():
        return pred[:0, :0, :0], truth[:0, :0, :0]
    ends = [np.flatnonzero(each)[[0, -1]] for each in rows]
    box = tuple(slice(int(first), int(last) + 1) for first, last in ends)
    return pred[box], truth[box]


def _marked(mask: Bools, axis: int) -> Bools:
    """Which indices of an axis of a mask (Z, H, W) hold a marked voxel: bool (n,), n the axis' length."""
    others = tuple(each for each in range(3) if each != axis)
    return np.asarray(mask.any(axis=others))
