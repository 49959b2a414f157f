"""Which lesions of a scan were found, and how many false ones were predicted.

A lesion is a connected component (26 neighbours) of a mask in 3D. A true lesion is found if at least one of its voxels
is predicted. A predicted lesion is false if it holds no voxel of the truth. So removing a predicted lesion that touches
the truth can reduce the found lesions, and never the false ones. The rule for empty masks is that of `empty_masks`.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import generate_binary_structure, label

from hnscc.base.arrays import Bools, Floats, Integers, Spacing
from hnscc.scores.empty_masks import check_masks, crop, voxel_ml
from hnscc.scores.metrics import dice

# Classes of true lesions, as columns name them: from so many ml on, up to, but not including, so many.
SIZES_ML = {"under_1_ml": (0.0, 1.0), "1_to_5_ml": (1.0, 5.0), "over_5_ml": (5.0, math.inf)}


@dataclass(frozen=True)
class Lesion:
    """One true lesion of a scan.

    lesion: its number from 1 on, in the order of first voxels by z, y, x. truth_ml: its size. pred_ml: the size of all
    predicted lesions that touch it, as wholes. overlap_ml: the size of its predicted part. dice: the Dice, 0..1, of it
    and the predicted lesions that touch it, 0 where none does.
    """

    lesion: int
    truth_ml: float
    pred_ml: float
    overlap_ml: float
    dice: float
    found: bool


@dataclass(frozen=True)
class Lesions:
    """The true lesions of a scan, or of several. false: how many predicted lesions hold no voxel of the truth.
    false_ml: the size of these. predicted: how many predicted lesions there are. scans: how many scans these are."""

    lesions: tuple[Lesion, ...]
    false: int
    false_ml: float
    predicted: int
    scans: int = 1

    @property
    def found(self) -> int:
        """How many true lesions were found."""
        return sum(each.found for each in self.lesions)

    @property
    def missed(self) -> int:
        """How many true lesions were not found."""
        return len(self.lesions) - self.found


def find_lesions(pred: Bools, truth: Bools, spacing_mm: Spacing) -> Lesions:
    """Return the lesions of two masks, bool (Z, H, W) of one scan.

    spacing_mm: between voxels along z, y, x. Raises ValueError for other masks, or a spacing that is not above 0.
    """
    check_masks(pred, truth, spacing_mm)
    neighbours = generate_binary_structure(3, 3)
    of_pred, of_truth = (label(each, neighbours)[0].ravel() for each in crop(pred, truth))
    pred_px, truth_px = np.bincount(of_pred, minlength=1), np.bincount(of_truth, minlength=1)
    touching = _touching(of_truth, of_pred)
    voxel = voxel_ml(spacing_mm)
    records = tuple(
        _lesion(number, int(truth_px[number]), pred_px, *touching.get(number, _NOTHING), voxel)
        for number in range(1, len(truth_px))
    )
    true = np.unique(np.concatenate([[0], *(each[0] for each in touching.values())]).astype(np.int64))
    return Lesions(
        records,
        false=len(pred_px) - len(true),
        false_ml=float((pred_px.sum() - pred_px[true].sum()) * voxel),
        predicted=len(pred_px) - 1,
    )


def lesions_together(scans: Sequence[Lesions]) -> Lesions:
    """Return the lesions of several scans together; each keeps its number in its scan."""
    return Lesions(
        tuple(itertools.chain.from_iterable(each.lesions for each in scans)),
        false=sum(each.false for each in scans),
        false_ml=sum(each.false_ml for each in scans),
        predicted=sum(each.predicted for each in scans),
        scans=sum(each.scans for each in scans),
    )


def lesion_sensitivity(lesions: Lesions) -> float | None:
    """Return found lesions / true lesions, 0..1; None where there is no true lesion."""
    return lesions.found / len(lesions.lesions) if lesions.lesions else None


def false_per_scan(lesions: Lesions) -> float | None:
    """Return the number of false lesions per scan; None without scans."""
    return lesions.false / lesions.scans if lesions.scans else None


def f1(lesions: Lesions) -> float:
    """Return 2 found / (2 found + missed + false), 0..1; 1 where there is neither a true nor a false lesion."""
    total = 2 * lesions.found + lesions.missed + lesions.false
    return 2 * lesions.found / total if total else 1.0


def sensitivity_by_size(lesions: Lesions) -> dict[str, tuple[int, float | None]]:
    """Return, for each class of SIZES_ML, how many true lesions it holds, and the share of these that was found, None
    where there are none."""
    found = {
        name: [each.found for each in lesions.lesions if low <= each.truth_ml < high]
        for name, (low, high) in SIZES_ML.items()
    }
    return {name: (len(each), sum(each) / len(each) if each else None) for name, each in found.items()}


# The predicted lesions that touch a true one, and the voxels that each shares with it.
Touching = tuple[Integers, Integers]
_NOTHING: Touching = (np.empty(0, np.int64), np.empty(0, np.int64))


def _touching(of_truth: Integers, of_pred: Integers) -> dict[int, Touching]:
    """Return, by number of each true lesion, the numbers of the predicted lesions that touch it and how many voxels
    each shares with it, both (n,). of_truth, of_pred: the number of the lesion at each voxel of both masks (N,), 0
    outside of lesions."""
    both = (of_truth > 0) & (of_pred > 0)
    pairs, shared = np.unique(np.stack([of_truth[both], of_pred[both]]), axis=1, return_counts=True)
    numbers, starts = np.unique(pairs[0], return_index=True)
    parts = zip(np.split(pairs[1], starts[1:]), np.split(shared, starts[1:]), strict=True)
    return dict(zip(numbers.tolist(), parts, strict=False))


def _lesion(
    number: int, truth_px: int, pred_px: Integers, touching: Integers, shared: Integers, voxel: float
) -> Lesion:
    """Return one true lesion. pred_px: the voxels of each predicted lesion, int (P + 1,), by its number. touching:
    the numbers of those that touch this one. shared: how many voxels each of these shares with it. The last two are
    int (n,)."""
    touching_px, overlap_px = int(pred_px[touching].sum()), int(shared.sum())
    return Lesion(
        number,
        truth_ml=truth_px * voxel,
        pred_ml=touching_px * voxel,
        overlap_ml=overlap_px * voxel,
        dice=float(dice(overlap_px, touching_px, truth_px)),
        found=overlap_px > 0,
    )


def lesion_dice(lesions: Lesions) -> float | None:
    """Return the mean Dice of the true lesions, 0 for each missed one; None where there is no true lesion."""
    each: Floats = np.array([lesion.dice for lesion in lesions.lesions])
    return float(each.mean()) if len(each) else None
