"""The rows of table `comparisons` of scores that a patient's whole scans have: own overlap, surfaces, lesions, volumes.

Each patient counts alike: what is compared is the mean over the test patients, those with lesion where a score is of
their lesions alone. Overlap that pools the pixels of all patients is compared in `comparisons`.
"""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.whole_patients import NO_LESION, WholeScans, values_of
from hnscc.scores.better import chance_of_better, equivalence
from hnscc.scores.crossed import Estimate, mean_difference
from hnscc.scores.paired_tests import Comparison, signed_rank
from hnscc.scores.patient_metrics import PATIENT_METRICS, PatientMetric
from hnscc.scores.planner import smallest_seen_by


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


def _wilcoxon(a: WholeScans, b: WholeScans, metric: PatientMetric) -> Comparison:
    """The median models at their chosen thresholds, patient by patient."""
    for each in (a, b):
        if each.no_median:
            return Comparison(n=0, reason=f"{each.variant}: {each.no_median}")
    of_a, of_b = (values_of(metric, each.median) for each in (a, b))
    return (
        signed_rank(of_a, of_b, "patient")
        if len(of_a)
        else Comparison(n=0, reason=NO_LESION.format(split="test"))
    )


def _two_way_t(a: WholeScans, b: WholeScans, metric: PatientMetric, paired: bool) -> Comparison:
    """All repeats at 0.5, by the t test over patients and repeats, of the means over patients."""
    for each in (a, b):
        if each.no_repeats:
            return Comparison(n=0, reason=f"{each.variant}: {each.no_repeats}")
    of_a, of_b = (np.stack([values_of(metric, patients) for patients in each.repeats]) for each in (a, b))
    if not of_a.shape[1]:
        return Comparison(n=0, reason=NO_LESION.format(split="test"))
    found = mean_difference(of_a, of_b, paired, bounds=metric.bounds)
    sign = 1 if metric.higher_is_better else -1
    better = chance_of_better(sign * of_a, sign * of_b)
    return as_comparison(of_a.shape[1], found, better, paired=paired)


def as_comparison(
    patients: int, found: Estimate, better: Estimate, margin: float | None = None, *, paired: bool
) -> Comparison:
    """Return a difference over patients and repeats, and the chance that one scores better, as a row's comparison."""
    reason = found.reason
    if better.value is not None and better.reason:
        reason = reason or f"no interval of `better`: {better.reason}"
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
        reason=reason,
    )
