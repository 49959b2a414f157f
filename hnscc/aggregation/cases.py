"""The slices that summaries and comparisons are of: of the median models, or of every repeat, over all folds, and the
reasons where there are none."""

from dataclasses import dataclass

import numpy as np

from hnscc.aggregation.folds import NO_TRIAL, in_fold
from hnscc.aggregation.medians import Median
from hnscc.aggregation.results import Results
from hnscc.base.arrays import Bools, Integers, Texts
from hnscc.scores.counts import Counts, concatenate, stack, threshold_of
from hnscc.scores.thresholds import SliceChoice
from hnscc.study.plan import fold_name

Medians = tuple[Median | None, ...]  # of a variant, one entry per fold


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


def why_unscored(medians: Medians) -> str | None:
    """Return why a variant has no scores at its chosen threshold, or None where it has."""
    for fold, median in enumerate(medians):
        reason = NO_TRIAL if median is None else median.reason
        if reason:
            return in_fold(reason, fold, len(medians))
    return None


def shared_threshold(medians: Medians) -> tuple[float | None, list[str | None]]:
    """Return the chosen threshold that all folds share, else None; and the reasons."""
    reason = why_unscored(medians)
    if reason:
        return None, [reason]
    chosen = [(each.fold.number, threshold_of(each.k)) for each in medians if each and each.k is not None]
    if len({threshold for _, threshold in chosen}) == 1:
        return chosen[0][1], []
    each_own = ", ".join(f"{fold_name(fold)} {threshold:.3f}" for fold, threshold in chosen)
    return None, [f"each fold has its own threshold: {each_own}"]


def join_reasons(reasons: list[str | None]) -> str | None:
    """Reasons in order, each once."""
    return "; ".join(dict.fromkeys(each for each in reasons if each)) or None


def cases_of(
    medians: Medians, split: str, at_half: bool = False, slices: SliceChoice = "all"
) -> Cases | None:
    """Return the median models' slices of a split at their chosen thresholds (or 0.5); None where one is lacking."""
    counts, patients = [], []
    for median in medians:
        if median is None:
            return None
        found = median.result.counts if at_half else median.at_threshold
        if found is None:
            return None
        rows = median.fold.rows_of(split, slices)
        counts.append(found[rows])
        patients.append(median.fold.patient[rows])
    return Cases(concatenate(counts), np.concatenate(patients))


def repeat_cases(results: Results, variant: str, split: str) -> Cases:
    """Return the R repeats of a variant that are completed in all folds, at 0.5: counts (R, N) of a split's slices."""
    rows = [fold.rows[split] for fold in results.folds]
    patient = np.concatenate([fold.patient[where] for fold, where in zip(results.folds, rows, strict=True)])
    repeats = [
        concatenate([each.counts[at] for each, at in zip(parts, rows, strict=True)])
        for parts in results.completed_in_all_folds(variant).values()
    ]
    return Cases(stack(repeats, len(patient)), patient)
