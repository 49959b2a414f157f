"""Whether scans, or patients, with lesion are told from those without, and whether stored probabilities are right.

A case is a scan or a patient. It is called positive where anything is predicted in it (or by whatever rule the caller
has), and has a score that rises with the evidence for a lesion, such as its highest stored probability or its
predicted volume. Every case has both, so that none leaves a rate for want of a prediction. Rates without a denominator
are None; whether they exist depends on the truth alone (the rule of `masks`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hnscc.scores.arrays import Bools, Floats, Integers, Levels
from hnscc.scores.counts import LEVELS


@dataclass(frozen=True)
class Calls:
    """What was said of N cases. truth: bool (N,), whether each holds lesion. called: bool (N,), whether each was
    called positive. score: finite floats (N,), higher where a lesion is likelier. Raises ValueError otherwise."""

    truth: Bools
    called: Bools
    score: Floats

    def __post_init__(self) -> None:
        for name, each in (("truth", self.truth), ("called", self.called)):
            if each.dtype != np.bool_ or each.shape != (len(self.truth),):
                raise ValueError(f"{name} is bool ({len(self.truth)},), not {each.dtype} {each.shape}")
        if self.score.shape != self.truth.shape or not np.isfinite(self.score).all():
            raise ValueError(f"the score is a finite number of each of the {len(self.truth)} cases")

    def by_group(self, group: Integers, groups: int) -> "Calls":
        """The patients of scans: `group` int (N,) in 0..groups-1, each at least once -> a case per group.

        A patient holds lesion, and is called positive, if any scan does or is; the score is the highest of the scans.
        """
        if groups and not np.array_equal(np.unique(group), np.arange(groups)):
            raise ValueError(f"every one of the {groups} groups has a case")
        truth, called = (np.bincount(group, each, groups) > 0 for each in (self.truth, self.called))
        score = np.full(groups, -np.inf)
        np.maximum.at(score, group, self.score)
        return Calls(truth, called, score)


def sensitivity(calls: Calls) -> float | None:
    """Of the cases with lesion, the part that was called positive, 0..1; None without such a case."""
    positive = calls.called[calls.truth]
    return float(positive.mean()) if len(positive) else None


def specificity(calls: Calls) -> float | None:
    """Of the cases without lesion, the part that was not called positive, 0..1; None without such a case."""
    positive = calls.called[~calls.truth]
    return float((~positive).mean()) if len(positive) else None


def auc(calls: Calls) -> float | None:
    """The area under the ROC curve, 0..1: how often a case with lesion has a higher score than one without.

    Equal scores count half (Mann and Whitney). None unless there are cases of both kinds.
    """
    with_lesion = int(calls.truth.sum())
    without = len(calls.truth) - with_lesion
    if not with_lesion or not without:
        return None
    ranks = rankdata(calls.score)[calls.truth].sum()
    return float((ranks - with_lesion * (with_lesion + 1) / 2) / (with_lesion * without))


@dataclass(frozen=True)
class LevelCounts:
    """How many voxels have each stored probability: int64 (65536,), of those without lesion and of those with.

    Level q stands for q / 65535. Those of several scans add up (`+`), so that pooling needs no voxels.
    """

    without: Integers
    with_lesion: Integers

    def __add__(self, other: "LevelCounts") -> "LevelCounts":
        return LevelCounts(self.without + other.without, self.with_lesion + other.with_lesion)


@dataclass(frozen=True)
class ReliabilityBin:
    """The voxels whose probability is above `low` (the first bin: from 0 on) and at most `high`.

    n: how many. predicted: their mean probability; observed: the part of them that holds lesion; both None for none.
    """

    low: float
    high: float
    n: int
    predicted: float | None
    observed: float | None


def count_levels(levels: Levels, truth: Bools) -> LevelCounts:
    """Counts of stored probabilities, uint16 of any shape, by a bool truth of that shape; else ValueError."""
    if levels.dtype != np.uint16 or truth.dtype != np.bool_ or levels.shape != truth.shape:
        raise ValueError(
            f"probabilities are uint16 and the truth is bool, of one shape, not {levels.dtype} {levels.shape} "
            f"and {truth.dtype} {truth.shape}"
        )
    every = np.bincount(levels.ravel(), minlength=LEVELS + 1)
    with_lesion = np.bincount(levels[truth], minlength=LEVELS + 1)
    return LevelCounts(every - with_lesion, with_lesion)


def brier(counts: LevelCounts) -> float | None:
    """The mean squared difference of probability and truth (0 or 1) over voxels, 0..1; None of no voxel.

    The sum is of whole numbers, so exact up to 2e9 voxels.
    """
    level = np.arange(LEVELS + 1, dtype=np.int64)
    n = int(counts.without.sum() + counts.with_lesion.sum())
    squares = int((counts.without * level**2).sum()) + int((counts.with_lesion * (LEVELS - level) ** 2).sum())
    return squares / (n * LEVELS**2) if n else None


def reliability(counts: LevelCounts, bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Predicted against observed in bins of equal width, for a reliability curve. Raises ValueError without a bin."""
    if bins < 1:
        raise ValueError(f"a reliability curve has at least one bin, not {bins}")
    level = np.arange(LEVELS + 1, dtype=np.int64)
    # In whole numbers, so that a level on an edge is always in the lower bin.
    position = np.maximum(-(-level * bins // LEVELS) - 1, 0)
    every = counts.without + counts.with_lesion
    n, total, lesion = (_by_bin(each, position, bins) for each in (every, every * level, counts.with_lesion))
    return tuple(
        ReliabilityBin(
            low=each / bins,
            high=(each + 1) / bins,
            n=n[each],
            predicted=total[each] / (n[each] * LEVELS) if n[each] else None,
            observed=lesion[each] / n[each] if n[each] else None,
        )
        for each in range(bins)
    )


def _by_bin(values: Integers, position: NDArray[np.int64], bins: int) -> list[int]:
    sums = np.zeros(bins, np.int64)
    np.add.at(sums, position, values)
    return [int(each) for each in sums]
