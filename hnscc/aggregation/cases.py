"""The slices that summaries and comparisons are of: of the median models, or of every repeat, over all folds."""

from dataclasses import dataclass

import numpy as np

from hnscc.aggregation.medians import Median
from hnscc.aggregation.results import Results
from hnscc.aggregation.trials import Result
from hnscc.base.arrays import Bools, Integers, Texts
from hnscc.scores.counts import Counts, concatenate, stack
from hnscc.scores.thresholds import SliceChoice
from hnscc.study.plan import fold_name


@dataclass(frozen=True)
class Cases:
    """Slices of one split over all folds, fold after fold in stored order: patient str (N,).

    counts: (N,), or (R, N) of R repeats.
    """

    counts: Counts
    patient: Texts

    def __getitem__(self, cases: Bools | Integers) -> "Cases":
        return Cases(self.counts[cases], self.patient[cases])

    def by_patient(self) -> Counts:
        """Counts (P,) or (R, P) pooled per patient, patients in sorted order."""
        names, group = np.unique(self.patient, return_inverse=True)
        return self.counts.by_group(group, len(names))


def lacking(medians: tuple[Median | None, ...]) -> str | None:
    """Why a variant has no scores at its chosen threshold, or None where it has."""
    several = len(medians) > 1
    for fold, median in enumerate(medians):
        reason = "no completed trial" if median is None else median.reason
        if reason:
            return f"{reason} in fold {fold_name(fold)}" if several else reason
    return None


def cases_of(
    medians: tuple[Median | None, ...], split: str, at_half: bool = False, slices: SliceChoice = "all"
) -> Cases | None:
    """The median models' slices of a split at their chosen thresholds (or 0.5); None where one is lacking."""
    counts, patients = [], []
    for median in medians:
        if median is None:
            return None
        found = median.result.counts if at_half else median.chosen
        if found is None:
            return None
        rows = median.fold.rows_of(split, slices)
        counts.append(found[rows])
        patients.append(median.fold.patient[rows])
    return Cases(concatenate(counts), np.concatenate(patients))


def repeat_cases(results: Results, variant: str, split: str) -> Cases:
    """The R repeats of a variant that are completed in all folds, at 0.5: counts (R, N) of a split's slices."""
    rows = [fold.rows[split] for fold in results.folds]
    patient = np.concatenate([fold.patient[where] for fold, where in zip(results.folds, rows, strict=True)])
    by_repeat: dict[int, list[Result]] = {}
    for each in results.of(variant):
        by_repeat.setdefault(each.trial.repeat, []).append(each)
    repeats = [
        concatenate([counts[where] for counts, where in zip(found, rows, strict=True)])
        for parts in by_repeat.values()
        if len(found := [each.counts for each in parts if each.counts is not None]) == len(parts)
    ]
    return Cases(stack(repeats, len(patient)), patient)
