"""Whole scans on the grids that their masks were drawn on: what a model marks on stored slices is brought back there.

So nothing that the slices lost is forgiven: lesion that was cropped off, or that coarser pixels do not hold, is missed.
"""

from data_prep.placing.way_back import back_as_drawn
from hnscc.aggregation.folds import Fold
from hnscc.base.arrays import StoredProbabilities
from hnscc.scores.counts import positive
from hnscc.scores.metrics import dice
from hnscc.scores.scans import ScanScore, score_scan


def drawn_scores(
    probabilities: StoredProbabilities, fold: Fold, k: int, tolerance_mm: float
) -> dict[str, ScanScore]:
    """Return the score of each whole scan whose mask the fold keeps as drawn, from stored probabilities of its slices,
    uint16 (N, H, W), at the threshold k / 1000. tolerance_mm: of the surface Dice."""
    found = {}
    for scan, mask in fold.drawn.items():
        drawn, marked = mask.drawn, positive(probabilities[fold.scan_rows[scan]], k)
        pred = back_as_drawn(marked, mask.placement, drawn)
        found[scan] = score_scan(pred, drawn.voxels, drawn.spacing_mm, tolerance_mm)
    return found


def dice_of_masks_sent_back(fold: Fold) -> dict[str, float]:
    """Of each of these scans, the Dice of its mask with itself once it was placed on the stored slices and sent back:
    what a perfect model would reach."""
    found = {}
    for scan, mask in fold.drawn.items():
        drawn = mask.drawn
        back = back_as_drawn(fold.masks[fold.scan_rows[scan]], mask.placement, drawn)
        found[scan] = float(dice((back & drawn.voxels).sum(), back.sum(), drawn.voxels.sum()))
    return found
