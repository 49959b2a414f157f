"""The scores of patients' whole scans, for tables `means`, `pooled` and `comparisons`.

Each patient counts alike: the mean over the test patients is compared, or over those with lesion if a score is of their
lesions alone. Overlap that pools the pixels of all patients is compared in `comparisons`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from statistics import fmean

import numpy as np

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.folds import Fold
from hnscc.aggregation.results import NO_REPEAT, Results, join_reasons, why_unscored
from hnscc.aggregation.scans import not_whole
from hnscc.base import fewest
from hnscc.base.arrays import Floats
from hnscc.base.split_names import HELD_OUT
from hnscc.scores.better import chance_of_better, equivalence
from hnscc.scores.crossed import Estimate, fraction_interval, mean_difference, mean_of_patients
from hnscc.scores.forecasts import smallest_seen_by
from hnscc.scores.paired_tests import Comparison, signed_rank
from hnscc.scores.patient_metrics import PATIENT_METRICS, POOLED_METRICS, PatientMetric, Pooling
from hnscc.scores.scans import ScanScore, scans_together

# For each patient of a split, in sorted order: the patient's scans together, once for each fold that has the patient
# there. A test patient is in one fold; validation patients are chosen at random again in each fold.
Patients = Mapping[str, Sequence[ScanScore]]
NO_LESION = "no {split} patient has a lesion"
ONE_REPEAT = "one repeat: no interval over repeats"
NOT_TRAIN = "training scans are not scored whole: no precision, and no lesions found"


@dataclass(frozen=True)
class WholeScans:
    """A variant's scores of every patient of validation or test: by the median models at their chosen thresholds,
    and by each repeat that is completed in all folds, at 0.5. Where there are none, `no_median` and `no_repeats`
    say why."""

    variant: str
    median: Patients
    repeats: Sequence[Patients]
    no_median: str | None
    no_repeats: str | None


def whole_scans_of(results: Results, variant: str, split: str) -> WholeScans:
    """Return all scores that a variant has of whole scans of validation or test."""
    medians = results.main_medians(variant)
    no_median = why_unscored(medians)
    scored = [(each.fold, each.scans) for each in medians if each]
    median = None if no_median else _patients(scored, split)
    repeats, no_repeats = _complete(results, variant, split)
    no_median = no_median or (None if median else not_whole(results.study, split))
    return WholeScans(variant, median or {}, repeats, no_median, no_repeats)


def _complete(results: Results, variant: str, split: str) -> tuple[list[Patients], str | None]:
    """Return the patients of validation or test for each repeat that is completed in all folds, at 0.5; else none,
    and why."""
    repeats = [
        _patients([(results.folds[each.trial.fold], each.scans) for each in parts], split)
        for parts in results.completed_in_all_folds(variant).values()
    ]
    whole = [each for each in repeats if each is not None]
    if whole and len(whole) == len(repeats):
        return whole, None
    return [], not_whole(results.study, split) if repeats else NO_REPEAT


def _patients(parts: Sequence[tuple[Fold, Mapping[str, ScanScore]]], split: str) -> Patients | None:
    """Return the scores of the patients of a split, one for each fold that has them there; None where a scan of a
    patient is not scored whole."""
    found: dict[str, list[ScanScore]] = {}
    for fold, scans in parts:
        for patient, names in fold.scan_ids[split].items():
            if not all(name in scans for name in names):
                return None
            found.setdefault(patient, []).append(scans_together([scans[name] for name in names]))
    return {patient: found[patient] for patient in sorted(found)} or None


def metric_values(metric: PatientMetric, patients: Patients) -> Floats:
    """Return the metric's value of each patient that has one, float64 (P,), in its unit: the mean over the folds in
    which the patient stands."""
    scores = [each for each in patients.values() if metric.of_all or each[0].truth_px]
    return np.array([fmean(map(metric.of, each)) for each in scores], np.float64)


def mean_rows(results: Results) -> Iterator[TableRow]:
    """Yield a row per variant, split of whole scans and score of patients: for all repeats at 0.5, and for the
    median models."""
    for variant in results.study.variants:
        for split in HELD_OUT:
            whole = whole_scans_of(results, variant, split)
            for metric in PATIENT_METRICS:
                found, of_median = _over_repeats(whole, metric), _of_median_models(whole, metric)
                row: TableRow = {"variant": variant, "split": split, "metric": metric.name}
                row |= {"mean": found.value, "low": found.low, "high": found.high}
                row |= {"patients": found.patients, "repeats": found.repeats[0]}
                row |= {"median_model": of_median.value}
                row |= {"median_model_low": of_median.low, "median_model_high": of_median.high}
                reason = join_reasons([found.reason, _said(whole, of_median)])
                yield row | {"higher_is_better": metric.higher_is_better, "reason": reason}


def _over_repeats(whole: WholeScans, metric: PatientMetric) -> Estimate:
    if whole.no_repeats:
        return Estimate(None, reason=whole.no_repeats, repeats=(0,))
    scores = np.stack([metric_values(metric, patients) for patients in whole.repeats])
    return mean_of_patients(scores, share=metric.is_share)


def _of_median_models(whole: WholeScans, metric: PatientMetric) -> Estimate:
    if whole.no_median:
        return Estimate(None, reason=whole.no_median)
    return mean_of_patients(metric_values(metric, whole.median), share=metric.is_share)


def _said(whole: WholeScans, of_median: Estimate) -> str | None:
    """Return why the median models have no value; None if there is no repeat either, since that is said already."""
    if whole.no_median:
        return None if whole.no_repeats else whole.no_median
    return of_median.reason and f"median model: {of_median.reason}"


def pooled_of_scans(results: Results, variant: str, split: str) -> tuple[TableRow, list[str | None]]:
    """Return the columns of every metric that can be pooled, for one row of table `pooled`, and why there are none."""
    row: TableRow = {}
    reasons: list[str | None] = [] if split in HELD_OUT else [NOT_TRAIN]
    whole = whole_scans_of(results, variant, split) if split in HELD_OUT else None
    for metric in POOLED_METRICS:
        median = repeats = Estimate(None)
        if whole:
            median = _pooled(metric, [whole.median], split) if not whole.no_median else median
            repeats = _pooled(metric, whole.repeats, split) if not whole.no_repeats else repeats
            # An interval over patients alone does not cover repeats.
            if 0 < len(whole.repeats) < fewest.REPEATS:
                repeats = replace(repeats, low=None, high=None)
                reasons.append(ONE_REPEAT)
            reasons += [
                whole.no_median,
                whole.no_repeats,
                *_said_of_pooled(metric, median, repeats),
            ]
        row |= {metric.name: median.value}
        row |= {f"{metric.name}_low": median.low, f"{metric.name}_high": median.high}
        row |= {f"{metric.name}_repeats_mean": repeats.value}
        row |= {f"{metric.name}_repeats_low": repeats.low, f"{metric.name}_repeats_high": repeats.high}
    return row, reasons


def _pooled(metric: PatientMetric, repeats: Sequence[Patients], split: str) -> Estimate:
    """Return a pooled score of one model, or the mean over repeats. It exists wherever a patient has a lesion, whatever
    is predicted."""
    if not any(folds[0].truth_px for folds in repeats[0].values()):
        return Estimate(None, reason=NO_LESION.format(split=split))
    value = float(np.mean([metric.of(scans_together([*chain(*each.values())])) for each in repeats]))
    return (
        replace(_over_patients(metric.pooling, repeats), value=value) if metric.pooling else Estimate(value)
    )


def _over_patients(pooling: Pooling, repeats: Sequence[Patients]) -> Estimate:
    counts = np.array(
        [[pooling.counts(scans_together(folds)) for folds in each.values()] for each in repeats]
    )
    overlap, pred, truth = np.moveaxis(counts.astype(np.float64), -1, 0)
    return fraction_interval((overlap, pred, truth), pooling.fraction)


def _said_of_pooled(metric: PatientMetric, median: Estimate, repeats: Estimate) -> Iterator[str]:
    """Yield why the median models, and why the repeats, have no value or interval; a reason that is the same for both
    is given once."""
    if median.reason:
        yield f"{metric.label}: {median.reason}"
    if repeats.reason and repeats.reason != median.reason:
        yield f"repeats at 0.5: {metric.label}: {repeats.reason}"


def patient_rows_of(a: WholeScans, b: WholeScans, *, paired: bool) -> Iterator[TableRow]:
    """Yield a row per metric and method for one pair of variants. paired: whether their repeats are compared one
    by one."""
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


def _wilcoxon(a: WholeScans, b: WholeScans, metric: PatientMetric) -> Comparison:
    """Compare the median models at their chosen thresholds, patient by patient."""
    for each in (a, b):
        if each.no_median:
            return Comparison(n=0, reason=f"{each.variant}: {each.no_median}")
    of_a, of_b = (metric_values(metric, each.median) for each in (a, b))
    return (
        signed_rank(of_a, of_b, "patient")
        if len(of_a)
        else Comparison(n=0, reason=NO_LESION.format(split="test"))
    )


def _two_way_t(a: WholeScans, b: WholeScans, metric: PatientMetric, paired: bool) -> Comparison:
    """Compare the means over patients of all repeats at 0.5, by the t test over patients and repeats."""
    for each in (a, b):
        if each.no_repeats:
            return Comparison(n=0, reason=f"{each.variant}: {each.no_repeats}")
    of_a, of_b = (np.stack([metric_values(metric, patients) for patients in each.repeats]) for each in (a, b))
    if not of_a.shape[1]:
        return Comparison(n=0, reason=NO_LESION.format(split="test"))
    found = mean_difference(of_a, of_b, paired, bounds=metric.bounds)
    sign = 1 if metric.higher_is_better else -1
    better = chance_of_better(sign * of_a, sign * of_b)
    most = metric.bounds and metric.bounds[1]
    return as_comparison(of_a.shape[1], found, better, most, paired=paired)


def as_comparison(
    patients: int,
    found: Estimate,
    better: Estimate,
    most: float | None,
    margin: float | None = None,
    *,
    paired: bool,
) -> Comparison:
    """Return the comparison of a difference over patients and repeats, with the chance that one variant has the better
    score. most: the largest possible difference, None where there is none."""
    seen = smallest_seen_by(found, most)
    reasons = [found.reason, seen if isinstance(seen, str) else None]
    if better.value is not None and better.reason and not found.reason:
        reasons.append(f"no interval of `better`: {better.reason}")
    return Comparison(
        n=patients,
        p=found.p,
        difference=found.value,
        low=found.low,
        high=found.high,
        repeats_a=found.repeats[0],
        repeats_b=found.repeats[1],
        effective_patients=found.effective_patients,
        smallest_seen=None if isinstance(seen, str) else seen,
        margin=margin,
        p_equal=None if margin is None else equivalence(found, margin),
        better=better.value,
        better_low=better.low,
        better_high=better.high,
        paired=paired,
        reason=join_reasons(reasons),
    )
