"""Whether scans, or patients, with lesion are told from those without.

A case is a scan or a patient. It is called positive where anything is predicted in it (or by whatever rule the caller
has), and has a score that rises with the evidence for a lesion, such as its highest stored probability or its
predicted volume. Every case has both, so that none leaves a rate for want of a prediction. Rates without a denominator
are None; whether they exist depends on the truth alone (the rule of `empty_masks`).
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from hnscc.base.arrays import Bools, Floats, Integers
from hnscc.base.in_words import count_of


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
                raise ValueError(
                    f"{name} is bool ({len(self.truth)},), not {each.dtype} {each.shape}; give one of each case"
                )
        if self.score.shape != self.truth.shape or not np.isfinite(self.score).all():
            raise ValueError(
                f"the score is a finite number of each of the {count_of(len(self.truth), 'case')}; give one without "
                "it the least"
            )

    def by_group(self, group: Integers, groups: int) -> "Calls":
        """The patients of scans: `group` int (N,) in 0..groups-1, each at least once -> a case per group.

        A patient holds lesion, and is called positive, if any scan does or is; the score is the highest of the scans.
        ValueError where a number has no case.
        """
        if groups and not np.array_equal(np.unique(group), np.arange(groups)):
            raise ValueError(
                f"every one of the {count_of(groups, 'group')} has a case; number the groups from 0 on without a gap"
            )
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
