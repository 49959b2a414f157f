"""All that tables are built from: a study, its folds, what its trials left, and the median models. Also the slices
that summaries and comparisons use, of the median models or of every repeat, over all folds, with the reasons where
there are none."""

from dataclasses import dataclass, replace

import numpy as np

from hnscc.aggregation.folds import NO_TRIAL, Fold, in_fold, scored_fold
from hnscc.aggregation.medians import Median, Unreadable, medians_of
from hnscc.aggregation.trials import Completed, Result, load_trial
from hnscc.base.arrays import Bools, Integers, Texts
from hnscc.scores.counts import Counts, concatenate, stack, threshold_of
from hnscc.scores.intervals import mostly_collapsed
from hnscc.scores.thresholds import MAIN_READING, READINGS, SliceChoice
from hnscc.study.loading import kept_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.study.trials import Trial, fold_name, trials_of
from hnscc.training.states import not_used

NO_REPEAT = "no repeat is completed in every fold"


@dataclass(frozen=True)
class Results:
    """A study with its folds and trials. medians[variant][reading]: one entry per fold, None where no trial of the
    variant is completed."""

    study: Study
    folds: tuple[Fold, ...]
    results: tuple[Result, ...]
    medians: dict[str, dict[str, tuple[Median | None, ...]]]

    def of(self, variant: str, fold: int | None = None) -> list[Result]:
        """Return the results of a variant (and fold), in the study's order."""
        return [
            each for each in self.results if each.trial.variant == variant and fold in (None, each.trial.fold)
        ]

    def completed(self, variant: str) -> list[Completed]:
        """Return the completed results of a variant, in the study's order."""
        return [each for each in self.of(variant) if isinstance(each, Completed)]

    def completed_in_all_folds(self, variant: str) -> dict[int, list[Completed]]:
        """Return the repeats of a variant that are completed in all folds: for each repeat number its results, fold
        after fold."""
        repeats: dict[int, list[Completed]] = {each.trial.repeat: [] for each in self.of(variant)}
        for each in self.completed(variant):
            repeats[each.trial.repeat].append(each)
        return {number: parts for number, parts in repeats.items() if len(parts) == len(self.folds)}

    def main_medians(self, variant: str) -> tuple[Median | None, ...]:
        """Return the median models of a variant by the main reading, one entry per fold."""
        return self.medians[variant][MAIN_READING]

    @property
    def median_of(self) -> dict[Trial, Median]:
        """The trials that are a median model by the main reading, each with that model."""
        return {
            median.result.trial: median
            for variant in self.medians
            for median in self.main_medians(variant)
            if median
        }

    def mostly_collapsed(self, variant: str) -> bool:
        """Return whether more than half of a variant's completed trials marked no pixel."""
        return mostly_collapsed([each.collapsed for each in self.completed(variant)])

    def number_collapsed(self, variant: str) -> int:
        """Return how many of a variant's completed trials marked no pixel."""
        return sum(each.collapsed for each in self.completed(variant))

    def without(self, trial: Trial, why: str) -> "Results":
        """Return the same results, but with one trial not used, and why."""
        results = tuple(
            Result(trial=trial, seed=each.seed, status="missing", reason=not_used(why), unusable=True)
            if each.trial == trial
            else each
            for each in self.results
        )
        return replace(self, results=results)


def load_results(run: RunFolder) -> Results:
    """Read the study, its folds and the folder of each of its trials; nothing else.

    A trial without a record is `missing`. So is one whose files differ from what its record says: it is not used, and
    its reason says why. Raises InputError where a fold is missing or damaged.
    """
    study = kept_study(run)
    read = read_trials(run, study)
    medians = {}
    for variant in study.variants:
        found = []
        for fold in read.folds:
            read, of_fold = _medians(run, read, variant, fold)
            found.append(of_fold)
        medians[variant] = {name: tuple(each[name] for each in found) for name in READINGS}
    return replace(read, medians=medians)


def _medians(
    run: RunFolder, read: Results, variant: str, fold: Fold
) -> tuple[Results, dict[str, Median | None]]:
    """Return the median models of a variant in a fold; and the results, without trials whose predictions cannot
    be used."""
    while True:
        try:
            own = read.of(variant, fold.number)
            return read, medians_of(run, own, fold, read.study.evaluation.tolerance_mm)
        except Unreadable as damage:
            read = read.without(damage.trial, str(damage))


def read_trials(run: RunFolder, study: Study) -> Results:
    """Return the folds and every trial of a study, without medians; see `load_results`."""
    folds = tuple(scored_fold(run, study, number) for number in range(study.split.folds))
    results = tuple(load_trial(run, study, trial, folds[trial.fold]) for trial in trials_of(study))
    return Results(study, folds, results, {})


Medians = tuple[Median | None, ...]  # of a variant, one entry per fold


@dataclass(frozen=True)
class CountedSlices:
    """The slices of one split over all folds, fold after fold in stored order: patient str (N,).

    counts: (N,), or (R, N) of R repeats.
    """

    counts: Counts
    patient: Texts

    def __getitem__(self, which: Bools | Integers) -> "CountedSlices":
        """Return the chosen slices. which: bool (N,), or int (n,)."""
        return CountedSlices(self.counts[which], self.patient[which])

    def by_patient(self) -> Counts:
        """Return the counts (P,) or (R, P) pooled per patient, with patients in sorted order."""
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
    """Return the chosen threshold if all folds have the same one, else None; and the reasons."""
    reason = why_unscored(medians)
    if reason:
        return None, [reason]
    chosen = [(each.fold.number, threshold_of(each.k)) for each in medians if each and each.k is not None]
    if len({threshold for _, threshold in chosen}) == 1:
        return chosen[0][1], []
    each_own = ", ".join(f"{fold_name(fold)} {threshold:.3f}" for fold, threshold in chosen)
    return None, [f"each fold has its own threshold: {each_own}"]


def join_reasons(reasons: list[str | None]) -> str | None:
    """Return the reasons in order, each once."""
    return "; ".join(dict.fromkeys(each for each in reasons if each)) or None


def median_slices(
    medians: Medians, split: str, at_half: bool = False, slices: SliceChoice = "all"
) -> CountedSlices | None:
    """Return the median models' slices of a split at their chosen thresholds (or 0.5); None where a fold has no median
    model or threshold."""
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
    return CountedSlices(concatenate(counts), np.concatenate(patients))


def repeat_slices(results: Results, variant: str, split: str) -> CountedSlices:
    """Return the R repeats of a variant that are completed in all folds, at 0.5: counts (R, N) of a split's slices."""
    rows = [fold.rows[split] for fold in results.folds]
    patient = np.concatenate([fold.patient[where] for fold, where in zip(results.folds, rows, strict=True)])
    repeats = [
        concatenate([each.counts[at] for each, at in zip(parts, rows, strict=True)])
        for parts in results.completed_in_all_folds(variant).values()
    ]
    return CountedSlices(stack(repeats, len(patient)), patient)
