"""All that tables are built from: a study, its folds, what its trials left, and the median models."""

from dataclasses import dataclass

from hnscc.aggregation.folds import Fold, scored_fold
from hnscc.aggregation.medians import Median, medians_of
from hnscc.aggregation.trials import Result, load_trial
from hnscc.scores.repeats import mostly_collapsed
from hnscc.scores.thresholds import MAIN_READING, READINGS
from hnscc.study.loading import load_study
from hnscc.study.plan import plan_trials
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study


@dataclass(frozen=True)
class Results:
    """medians[variant][reading]: one entry per fold, None where no trial of the variant is completed."""

    study: Study
    folds: tuple[Fold, ...]
    results: tuple[Result, ...]
    medians: dict[str, dict[str, tuple[Median | None, ...]]]

    def of(self, variant: str, fold: int | None = None) -> list[Result]:
        """The results of a variant (and fold), in the plan's order."""
        return [
            each for each in self.results if each.trial.variant == variant and fold in (None, each.trial.fold)
        ]

    def main_medians(self, variant: str) -> tuple[Median | None, ...]:
        """The median models of a variant by the main reading, one entry per fold."""
        return self.medians[variant][MAIN_READING]

    def collapsed(self, variant: str) -> bool:
        """Whether more than half of a variant's completed trainings marked no pixel."""
        return mostly_collapsed(
            [bool(each.collapsed) for each in self.of(variant) if each.status == "completed"]
        )


def load_results(run: RunFolder) -> Results:
    """Read the study, its folds and every planned trial's folder; nothing else.

    A trial without a record is `missing`; so is one whose files are not what its record says: it is not used,
    and says why. Raises InputError where a fold is missing or damaged.
    """
    study = load_study(run.study)
    read = read_trials(run, study)
    for variant in study.variants:
        tolerance_mm = study.evaluation.tolerance_mm
        found = [medians_of(run, read.of(variant, fold.number), fold, tolerance_mm) for fold in read.folds]
        read.medians[variant] = {name: tuple(each[name] for each in found) for name in READINGS}
    return read


def read_trials(run: RunFolder, study: Study) -> Results:
    """The folds and every planned trial of a study, without medians; see `load_results`."""
    folds = tuple(scored_fold(run, study, number) for number in range(study.split.folds))
    results = tuple(load_trial(run, study, trial, folds[trial.fold]) for trial in plan_trials(study))
    return Results(study, folds, results, {})
