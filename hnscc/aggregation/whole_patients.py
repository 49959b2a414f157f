"""The scores of patients' whole scans: what tables `means`, `pooled` and `comparisons` have of them beside overlap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hnscc.aggregation.cases import lacking
from hnscc.aggregation.folds import Fold
from hnscc.aggregation.results import NO_REPEAT, Results
from hnscc.aggregation.scans import not_whole
from hnscc.base.arrays import Floats
from hnscc.scores.patient_metrics import PatientMetric
from hnscc.scores.scans import ScanScore, together

Patients = Mapping[str, ScanScore]  # by patient, in sorted order: all of a split
NO_LESION = "no {split} patient has a lesion"


@dataclass(frozen=True)
class WholeScans:
    """A variant's scores of every patient of validation or test: of the median models at their chosen thresholds, and
    of each repeat that is completed in all folds at 0.5. Where there are none, `no_median` and `no_repeats` say why."""

    variant: str
    median: Patients
    repeats: Sequence[Patients]
    no_median: str | None
    no_repeats: str | None


def whole_scans_of(results: Results, variant: str, split: str) -> WholeScans:
    """Return all that a variant has of whole scans of validation or test."""
    medians = results.main_medians(variant)
    no_median = lacking(medians)
    scored = [(each.fold, each.scans) for each in medians if each]
    median = None if no_median else _patients(scored, split)
    repeats, no_repeats = _complete(results, variant, split)
    no_median = no_median or (None if median else not_whole(results.study, split))
    return WholeScans(variant, median or {}, repeats, no_median, no_repeats)


def _complete(results: Results, variant: str, split: str) -> tuple[list[Patients], str | None]:
    """The patients of validation or test by each repeat that is completed in all folds, at 0.5; else none, and why."""
    repeats = [
        _patients([(results.folds[each.trial.fold], each.scans) for each in parts], split)
        for parts in results.completed_in_all_folds(variant).values()
    ]
    whole = [each for each in repeats if each is not None]
    if whole and len(whole) == len(repeats):
        return whole, None
    return [], not_whole(results.study, split) if repeats else NO_REPEAT


def _patients(parts: Sequence[tuple[Fold, Mapping[str, ScanScore]]], split: str) -> Patients | None:
    """The scores of the patients of a split, of all folds together, since folds may validate on the same patients; None
    where a scan of one of them is not scored whole."""
    found: dict[str, list[ScanScore]] = {}
    for fold, scans in parts:
        for patient, names in fold.scans_of(split).items():
            if not all(name in scans for name in names):
                return None
            found.setdefault(patient, []).extend(scans[name] for name in names)
    return {patient: together(found[patient]) for patient in sorted(found)} or None


def values_of(metric: PatientMetric, patients: Patients) -> Floats:
    """Its value of each patient that it has one of, (P,)."""
    scores = [each for each in patients.values() if metric.of_all or each.truth_px]
    return np.array([metric.of(each) for each in scores], np.float64)
