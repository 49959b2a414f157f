"""From predictions to scores: counts at every threshold at once, the choice of a threshold, and the median model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Bools, Integers, StoredProbabilities, Texts
from hnscc.base.split_names import SPLITS
from hnscc.scores.counts import HALF, ONE, STEPS, THRESHOLDS, Counts, count_at, k_reached
from hnscc.scores.metrics import DICE, metrics_at

_REACHED = k_reached(np.arange(ONE + 1))  # for every q that can be stored

# Which slices of validation and test a reading scores: all that were predicted, or those that are sampled.
SliceChoice = Literal["all", "sampled"]


@dataclass(frozen=True)
class Reading:
    """How stored predictions are evaluated when tables are made (docs/explanation/protocol.md, Evaluation).

    median_on, threshold_on: the splits whose pooled Dice decides on the median model and on the threshold. rule: see
    `choose_threshold`. slice_set, slice_k: the slices whose mean Dice is reported, and their threshold (None: the
    chosen one). convention: that of the classification and of the true positives. slices: which slices are scored.
    """

    median_on: Literal["validation", "test"]
    threshold_on: Literal["validation", "test"]
    rule: Literal["first", "plateau"]
    slice_set: Literal["true_positive", "lesion", "partial"]
    slice_k: int | None
    convention: Literal["lesion", "overlap"]
    slices: SliceChoice


READINGS = {
    "as_written": Reading(
        median_on="test",
        threshold_on="test",
        rule="first",
        slice_set="true_positive",
        slice_k=None,
        convention="overlap",
        slices="sampled",
    ),
    "as_coded": Reading(
        median_on="test",
        threshold_on="test",
        rule="first",
        slice_set="partial",
        slice_k=HALF,
        convention="overlap",
        slices="sampled",
    ),
    "corrected": Reading(
        median_on="validation",
        threshold_on="validation",
        rule="plateau",
        slice_set="lesion",
        slice_k=None,
        convention="lesion",
        slices="all",
    ),
}
MAIN_READING = "corrected"  # every table is made by this one; only `protocol` has the others too


def score_trial(
    probabilities: StoredProbabilities, masks: NDArray[np.uint8], splits: Sequence[str]
) -> dict[str, Any]:
    """Return the scores for a trial's record, from its stored probabilities: pooled over each split at 0.5.

    probabilities: uint16 (N, H, W). masks: 0/1 (N, H, W). splits: N names. The result has `scores` {split: {metric:
    value}} for the splits that hold a slice, `collapsed` (no pixel of validation or test reaches 0.5) and
    `highest_probability` (0..1, in validation and test).
    """
    split_of = np.asarray(splits)
    counts = count_at(probabilities, masks, HALF)
    pooled = {split: counts[split_of == split].pooled() for split in SPLITS if split in splits}
    return {
        "scores": {
            split: {metric.name: float(metric.of(each)) for metric in metrics_at("pooled")}
            for split, each in pooled.items()
        },
        "collapsed": has_collapsed(counts.pred, split_of),
        "highest_probability": highest_probability(probabilities.max(axis=(1, 2))[split_of != "train"]),
    }


def has_collapsed(pred: Integers, split: Texts) -> bool:
    """Return whether a trial collapsed: no pixel of validation or test reaches 0.5.

    pred: how many pixels of each slice reach it, int (N,). split: the split of each slice, str (N,).
    """
    return not pred[split != "train"].any()


def highest_probability(probabilities: StoredProbabilities) -> float:
    """Return the highest of stored probabilities of any shape, 0..1; 0 where there is none."""
    return int(probabilities.max(initial=0)) / ONE


def sweep(probabilities: StoredProbabilities, masks: Bools) -> Counts:
    """Return the pooled counts at all 1000 thresholds: arrays (1000,), at index k - 1.

    probabilities: uint16, masks: bool, of one shape.
    """
    truth = np.full(len(THRESHOLDS), np.count_nonzero(masks), np.int64)
    return Counts(_reach(probabilities[masks]), _reach(probabilities), truth)


def _reach(probabilities: StoredProbabilities) -> Integers:
    """Return how many of the probabilities, of any shape, reach each threshold, int64 (1000,), by one histogram and its
    sums from the top."""
    histogram = np.bincount(probabilities.ravel(), minlength=ONE + 1)
    per_step = np.bincount(_REACHED, histogram, STEPS).astype(np.int64)
    return per_step[::-1].cumsum()[::-1][1:]


def choose_threshold(pooled: Counts, rule: str) -> tuple[int | None, str | None]:
    """Return (k, None), or (None, reason) where no threshold can be chosen, from the pooled counts of `sweep`.

    rule `plateau`: find the longest run of neighbouring thresholds whose Dice equals the maximum (of equally long runs
    the lowest), and take its middle (of two middle ones the lower). rule `first`: take the lowest threshold with the
    maximum. A split without a lesion pixel only tells whether a threshold keeps it empty, and where Dice is 0
    everywhere no threshold is better than another: both give None, and no other threshold is used instead. Raises
    ValueError for another rule.
    """
    if rule not in ("first", "plateau"):
        raise ValueError(f"the rule of a threshold is first or plateau, not {rule!r}; name one of these")
    if pooled.truth[0] == 0:
        return None, "no lesion pixel in the split that the threshold is chosen on"
    if pooled.overlap[0] == 0:
        return None, "pooled Dice is 0 at every threshold from 0.001 to 1 in the split it is chosen on"
    scores = DICE.of(pooled)
    best = THRESHOLDS[scores == scores.max()]
    if rule == "first":
        return int(best[0]), None
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    longest = max(runs, key=len)  # max keeps the first of equals: the lowest run
    return int(longest[(len(longest) - 1) // 2]), None


def median_position(scores: Sequence[float], repeats: Sequence[int]) -> int:
    """Return the position of the median model by score: the middle one, or the lower of two middle ones, where equal
    scores are in the order of their repeat numbers.

    scores: pooled Dice; repeats: their numbers. There is at least one repeat.
    """
    order = sorted(range(len(scores)), key=lambda each: (scores[each], repeats[each]))
    return order[(len(order) - 1) // 2]
