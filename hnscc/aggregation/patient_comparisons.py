"""The rows of table `comparisons` of scores that a patient's whole scans have: own overlap, surfaces, lesions, volumes.

Each patient counts alike: what is compared is the mean over the test patients, those with lesion where a score is of
their lesions alone. Overlap that pools the pixels of all patients is compared in `comparisons`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from hnscc.aggregation.cases import lacking
from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.folds import Fold
from hnscc.aggregation.results import Results
from hnscc.aggregation.scans import BY_SLICE, SAMPLED
from hnscc.base.arrays import Floats
from hnscc.scores.better import chance_of_better, equivalence
from hnscc.scores.crossed import Estimate, mean_difference
from hnscc.scores.paired_tests import Comparison, signed_rank
from hnscc.scores.patient_metrics import PATIENT_METRICS, PatientMetric
from hnscc.scores.planner import smallest_seen_by
from hnscc.scores.scans import ScanScore, together
from hnscc.scores.thresholds import MAIN_READING

Patients = Mapping[str, ScanScore]  # by patient, in sorted order: those of all test patients
NOT_WHOLE = {"validation": BY_SLICE, "test": "some test scans are not scored whole"}
NO_REPEAT = "no repeat is completed"
NO_LESION = "no test patient has a lesion"


@dataclass(frozen=True)
class WholeScans:
    """A variant's scores of every test patient: of the median models at their chosen thresholds, and of each repeat
    that is completed in all folds at 0.5. Where there are none, `no_median` and `no_repeats` say why."""

    variant: str
    median: Patients
    repeats: Sequence[Patients]
    no_median: str | None
    no_repeats: str | None


def whole_scans_of(results: Results, variant: str) -> WholeScans:
    """All that a variant has of whole test scans."""
    medians = results.medians[variant][MAIN_READING]
    no_median = lacking(medians)
    scored = [(each.fold, each.scans) for each in medians if each]
    median = None if no_median else _patients(scored, "test")
    repeats, no_repeats = repeats_of(results, variant, "test")
    no_median = no_median or (None if median else _not_whole(results, "test"))
    return WholeScans(variant, median or {}, repeats, no_median, no_repeats)


def _not_whole(results: Results, split: str) -> str:
    return SAMPLED if results.study.evaluation.slices == "sampled" else NOT_WHOLE[split]


def repeats_of(results: Results, variant: str, split: str) -> tuple[list[Patients], str | None]:
    """The patients of validation or test by each repeat that is completed in all folds, at 0.5; else none, and why."""
    repeats = _repeats(results, variant, split)
    whole = [each for each in repeats if each is not None]
    if whole and len(whole) == len(repeats):
        return whole, None
    return [], _not_whole(results, split) if repeats else NO_REPEAT


def _repeats(results: Results, variant: str, split: str) -> list[Patients | None]:
    """Of each repeat that is completed in all folds; None where its scans are not whole."""
    parts: dict[int, list[tuple[Fold, Mapping[str, ScanScore]] | None]] = {}
    for each in results.of(variant):
        seen = None if each.counts is None else (results.folds[each.trial.fold], each.scans)
        parts.setdefault(each.trial.repeat, []).append(seen)
    complete = [[part for part in own if part] for own in parts.values() if all(own)]
    return [_patients(own, split) for own in complete]


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


def patient_rows_of(a: WholeScans, b: WholeScans, *, paired: bool) -> Iterator[TableRow]:
    """A row per metric and method of one pair of variants. paired: whether their repeats are, one by one."""
    for metric in PATIENT_METRICS:
        tests = {"wilcoxon": _wilcoxon(a, b, metric), "two_way_t": _two_way_t(a, b, metric, paired)}
        for method, found in tests.items():
            row: TableRow = {
                "variant_a": a.variant,
                "variant_b": b.variant,
                "metric": metric.name,
                "slice_set": "all",
            }
            row |= {"unit": "patient", "method": method, "higher_is_better": metric.higher_is_better}
            yield row | asdict(found)


def values_of(metric: PatientMetric, patients: Patients) -> Floats:
    """Its value of each patient that it has one of, (P,)."""
    scores = [each for each in patients.values() if metric.of_all or each.truth_px]
    return np.array([metric.of(each) for each in scores], np.float64)


def _wilcoxon(a: WholeScans, b: WholeScans, metric: PatientMetric) -> Comparison:
    """The median models at their chosen thresholds, patient by patient."""
    for each in (a, b):
        if each.no_median:
            return Comparison(n=0, reason=f"{each.variant}: {each.no_median}")
    of_a, of_b = (values_of(metric, each.median) for each in (a, b))
    return signed_rank(of_a, of_b, "patient") if len(of_a) else Comparison(n=0, reason=NO_LESION)


def _two_way_t(a: WholeScans, b: WholeScans, metric: PatientMetric, paired: bool) -> Comparison:
    """All repeats at 0.5, by the t test over patients and repeats, of the means over patients."""
    for each in (a, b):
        if each.no_repeats:
            return Comparison(n=0, reason=f"{each.variant}: {each.no_repeats}")
    of_a, of_b = (np.stack([values_of(metric, patients) for patients in each.repeats]) for each in (a, b))
    if not of_a.shape[1]:
        return Comparison(n=0, reason=NO_LESION)
    found = mean_difference(of_a, of_b, paired, bounds=metric.bounds)
    sign = 1 if metric.higher_is_better else -1
    better = chance_of_better(sign * of_a, sign * of_b)
    return as_comparison(of_a.shape[1], found, better, paired=paired)


def as_comparison(
    patients: int, found: Estimate, better: Estimate, margin: float | None = None, *, paired: bool
) -> Comparison:
    """A difference over patients and repeats, and the chance that one scores better, as a row's comparison."""
    return Comparison(
        n=patients,
        p=found.p,
        difference=found.value,
        low=found.low,
        high=found.high,
        repeats_a=found.repeats[0],
        repeats_b=found.repeats[1],
        effective_patients=found.effective_patients,
        smallest_seen=smallest_seen_by(found),
        margin=margin,
        p_equal=None if margin is None else equivalence(found, margin),
        better=better.value,
        better_low=better.low,
        better_high=better.high,
        paired=paired,
        reason=found.reason,
    )
