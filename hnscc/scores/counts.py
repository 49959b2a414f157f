"""Pixel counts of predicted and true masks, and the outcome of each slice at a cut-off, in pure NumPy.

An overlap score is computed from three whole numbers for each pair of a predicted and a true mask (of a slice, a scan
or a patient). So it is exact up to one rounding, and pooling means adding counts.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Bools, Integers, StoredProbabilities, Texts

ONE = 65535  # a stored probability is q / ONE, q an unsigned 16-bit integer
THRESHOLDS = np.arange(1, 1001)  # the grid 0.001 .. 1.000 as integers k; the threshold is k / 1000
STEPS = len(THRESHOLDS) + 1  # how many values `k_reached` may have: 0, or one of the grid
HALF = 500  # k of the threshold 0.5
BATCH = 64  # slices that are counted at once
# What a misplaced slice counts as, by convention.
MISPLACED_IS = {"slice": "tp", "lesion": "fn", "overlap": "fp"}
CONVENTIONS = tuple(MISPLACED_IS)
OUTCOMES = ("tn", "fn", "fp", "tp")  # the position is 2 * (called positive) + (with lesion)


def threshold_of(k: int) -> float:
    """Return the threshold that k in 1..1000 stands for, as tables and files give it: k / 1000."""
    return k / 1000


def k_of(threshold: float) -> int:
    """Return the k of a threshold from a table or file. Compare thresholds by k, which is a whole number."""
    return round(threshold * 1000)


def positive(probabilities: StoredProbabilities, k: int) -> Bools:
    """Return which pixels are called positive, because their probability reaches k / 1000: bool of the same shape.

    probabilities: uint16, any shape. q / 65535 >= k / 1000 is decided in integers, so it is exact. Raises ValueError
    for another type, or k outside 1..1000.
    """
    if probabilities.dtype != np.uint16 or not 1 <= k <= 1000:
        raise ValueError(
            "stored probabilities are uint16, and k is in 1..1000, not "
            f"{probabilities.dtype} and {k}; give q of q / 65535, and 1000 times the threshold"
        )
    return probabilities >= np.uint16(-(-k * ONE // 1000))


def k_reached(probabilities: StoredProbabilities | Integers) -> Integers:
    """Return the highest k of 1..1000 with q / 65535 >= k / 1000, or 0 where there is none, int64 of the same shape as
    the stored q, 0..65535. So `positive` is true for every k up to this one."""
    reached: Integers = np.asarray(probabilities, np.int64) * (STEPS - 1) // ONE
    return reached


@dataclass(frozen=True)
class Counts:
    """The pixel counts of N pairs of a predicted and a true mask, each pair of a slice, a scan or a patient: int64
    arrays of one shape, (N,), or (R, N) for R repeats."""

    overlap: Integers
    pred: Integers
    truth: Integers

    def __getitem__(self, which: Bools | Integers) -> "Counts":
        """Return the counts of the chosen pairs. which: bool (N,), or int (n,)."""
        return Counts(self.overlap[..., which], self.pred[..., which], self.truth[..., which])

    def __len__(self) -> int:
        return len(self.truth)

    def pooled(self) -> "Counts":
        """Return all pairs as one: sums along the last axis."""
        return Counts(self.overlap.sum(-1), self.pred.sum(-1), self.truth.sum(-1))

    def by_group(self, group: Integers, groups: int) -> "Counts":
        """Return the pairs pooled by group, as counts (..., groups). group: int (N,) in 0..groups-1."""
        shape = (*self.truth.shape[:-1], groups)
        row = np.arange(math.prod(shape[:-1])) * groups
        position = (row[:, None] + group).ravel()
        parts = (self.overlap, self.pred, self.truth)
        sums = (np.bincount(position, part.ravel(), math.prod(shape)) for part in parts)
        return Counts(*(each.astype(np.int64).reshape(shape) for each in sums))

    @property
    def empty(self) -> Bools:
        """Where both truth and prediction are empty, of the same shape; `Metric.when_empty` says the value there."""
        both: Bools = np.logical_and(self.pred == 0, self.truth == 0)
        return both


def count(predicted: Bools, masks: Bools) -> Counts:
    """Return the counts (N,) of bool masks (N, H, W)."""
    predicted, masks = (each.reshape(len(each), -1) for each in (predicted, masks))
    overlap, pred, truth = (np.count_nonzero(each, axis=1) for each in (predicted & masks, predicted, masks))
    return Counts(*(np.asarray(each, dtype=np.int64) for each in (overlap, pred, truth)))


def count_at(probabilities: StoredProbabilities, masks: Bools | NDArray[np.uint8], k: int) -> Counts:
    """Return the counts (N,) of stored probabilities, uint16 (N, H, W), at the threshold k / 1000, against masks bool
    or 0/1 (N, H, W). They are counted in batches: all slices at once would take two more bytes per pixel than the
    predictions themselves."""
    batches = [slice(first, first + BATCH) for first in range(0, len(probabilities), BATCH)]
    return concatenate(
        [count(positive(probabilities[at], k), masks[at].astype(bool)) for at in batches or [slice(0)]]
    )


_PARTS = ("overlap", "pred", "truth")


def stack(repeats: list[Counts], slices: int) -> Counts:
    """Return counts (R, N) of R repeats, which may be none, of N slices each."""
    shape = (len(repeats), slices)
    return Counts(
        *(np.array([getattr(each, name) for each in repeats], np.int64).reshape(shape) for name in _PARTS)
    )


def concatenate(parts: list[Counts]) -> Counts:
    """Return the counts (N,) of all parts, one part after another."""
    return Counts(*(np.concatenate([getattr(each, name) for each in parts]) for name in _PARTS))


def misplaced(counts: Counts, cutoff_px: int) -> Bools:
    """Return which slices are misplaced, bool (N,): truth and prediction both reach the cut-off and share no pixel."""
    both = np.logical_and(counts.pred >= cutoff_px, counts.truth >= cutoff_px)
    apart: Bools = np.logical_and(both, counts.overlap == 0)
    return apart


def outcomes(counts: Counts, cutoff_px: int, convention: str = "slice") -> Texts:
    """Return 'tp', 'tn', 'fp' or 'fn' for each slice, str (N,); see `outcome_codes`."""
    return np.array(OUTCOMES)[outcome_codes(counts, cutoff_px, convention)]


def outcome_codes(counts: Counts, cutoff_px: int, convention: str = "slice") -> Integers:
    """Return the outcome of each slice at a cut-off of `cutoff_px` pixels, as int (N,) positions in OUTCOMES (paper,
    2.4; docs/explanation/protocol.md).

    A truth that reaches the cut-off makes a slice count as with lesion, so that a truth of 1 .. cutoff_px - 1 pixels
    counts as none. A prediction that reaches it makes the slice count as called positive. convention: says what a
    misplaced slice is: 'tp' by slice, 'fn' by lesion, 'fp' by overlap (the paper's).
    """
    code = 2 * (counts.pred >= cutoff_px) + (counts.truth >= cutoff_px)
    code[misplaced(counts, cutoff_px)] = OUTCOMES.index(MISPLACED_IS[convention])
    return code


@dataclass(frozen=True)
class Classification:
    """How many slices have each outcome. small_truth: how many have a truth of 1 .. cutoff_px - 1 pixels, which counts
    as none."""

    tp: int
    tn: int
    fp: int
    fn: int
    misplaced: int
    small_truth: int

    @property
    def sensitivity(self) -> float | None:
        """tp / (tp + fn), or None where both are 0."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    @property
    def specificity(self) -> float | None:
        """tn / (tn + fp), or None where both are 0."""
        return self.tn / (self.tn + self.fp) if self.tn + self.fp else None

    @property
    def accuracy(self) -> float | None:
        """(tp + tn) / all slices, or None without slices."""
        total = self.tp + self.tn + self.fp + self.fn
        return (self.tp + self.tn) / total if total else None


def classify(counts: Counts, cutoff_px: int, convention: str) -> Classification:
    """Return how many slices of `counts` have each outcome in one of CONVENTIONS; see `outcomes`."""
    outcome = outcomes(counts, cutoff_px, convention)
    small = (counts.truth > 0) & (counts.truth < cutoff_px)
    return Classification(
        **{name: int((outcome == name).sum()) for name in ("tp", "tn", "fp", "fn")},
        misplaced=int(misplaced(counts, cutoff_px).sum()),
        small_truth=int(small.sum()),
    )
