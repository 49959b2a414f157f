"""All that tables are built from: a study, its folds, what its trials left, and the median models."""

from dataclasses import dataclass, replace

from hnscc.aggregation.folds import Fold, scored_fold
from hnscc.aggregation.medians import Median, Unreadable, medians_of
from hnscc.aggregation.trials import Completed, Result, load_trial
from hnscc.scores.intervals import mostly_collapsed
from hnscc.scores.thresholds import MAIN_READING, READINGS
from hnscc.study.loading import load_study
from hnscc.study.plan import Trial, plan_trials
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.training.states import not_used

NO_REPEAT = "no repeat is completed"  # in all folds


@dataclass(frozen=True)
class Results:
    """medians[variant][reading]: one entry per fold, None where no trial of the variant is completed."""

    study: Study
    folds: tuple[Fold, ...]
    results: tuple[Result, ...]
    medians: dict[str, dict[str, tuple[Median | None, ...]]]

    def of(self, variant: str, fold: int | None = None) -> list[Result]:
        """Return the results of a variant (and fold), in the plan's order."""
        return [
            each for each in self.results if each.trial.variant == variant and fold in (None, each.trial.fold)
        ]

    def completed(self, variant: str) -> list[Completed]:
        """Return the completed ones of these."""
        return [each for each in self.of(variant) if isinstance(each, Completed)]

    def completed_in_all_folds(self, variant: str) -> dict[int, list[Completed]]:
        """Return the repeats of a variant that are completed in all folds, by number: of each its results, fold
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
        """The trials that are a median model by the main reading, each with it."""
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
        """Return the same, but for a trial that is not used, and why."""
        results = tuple(
            Result(trial=trial, seed=each.seed, status="missing", reason=not_used(why), unusable=True)
            if each.trial == trial
            else each
            for each in self.results
        )
        return replace(self, results=results)


def load_results(run: RunFolder) -> Results:
    """Read the study, its folds and every planned trial's folder; nothing else.

    A trial without a record is `missing`; so is one whose files are not what its record says: it is not used,
    and says why. Raises InputError where a fold is missing or damaged.
    """
    study = load_study(run.study)
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
    """The median models of a variant in a fold; and the results, without trials whose predictions cannot be used."""
    while True:
        try:
            own = read.of(variant, fold.number)
            return read, medians_of(run, own, fold, read.study.evaluation.tolerance_mm)
        except Unreadable as damage:
            read = read.without(damage.trial, str(damage))


def read_trials(run: RunFolder, study: Study) -> Results:
    """Return the folds and every planned trial of a study, without medians; see `load_results`."""
    folds = tuple(scored_fold(run, study, number) for number in range(study.split.folds))
    results = tuple(load_trial(run, study, trial, folds[trial.fold]) for trial in plan_trials(study))
    return Results(study, folds, results, {})
