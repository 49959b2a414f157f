"""Makes the rows of the tables that summarise a study, by the corrected reading and by all three side by side."""

from collections.abc import Iterator
from dataclasses import asdict, fields

import numpy as np

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.results import (
    NO_REPEAT,
    CountedSlices,
    Medians,
    Results,
    join_reasons,
    median_slices,
    repeat_slices,
    shared_threshold,
)
from hnscc.aggregation.whole_patients import pooled_of_scans
from hnscc.base import fewest
from hnscc.base.split_names import SPLITS
from hnscc.scores.counts import (
    CONVENTIONS,
    Classification,
    Counts,
    classify,
    threshold_of,
)
from hnscc.scores.crossed import Estimate, fraction_interval
from hnscc.scores.describe import Line, distribution, fit_line
from hnscc.scores.metrics import Metric, metrics_at
from hnscc.scores.slice_sets import SLICE_SETS, in_set
from hnscc.scores.thresholds import READINGS, Reading

OUTCOME_COUNTS = tuple(each.name for each in fields(Classification))
RATES = ("sensitivity", "specificity", "accuracy")


def pooled_rows(results: Results) -> Iterator[TableRow]:
    for variant in results.study.variants:
        for split in SPLITS:
            yield _pooled_row(results, variant, split)


def _pooled_row(results: Results, variant: str, split: str) -> TableRow:
    medians = results.main_medians(variant)
    threshold, reasons = shared_threshold(medians)
    row = {"variant": variant, "split": split, "threshold": threshold}
    row |= _at_half(medians, split) | _repeats(results, variant, split, reasons)
    slices = median_slices(medians, split)
    if slices is not None and not len(slices.patient):
        reasons.append("no slice in this split")
        slices = None
    row |= _pooled(None if slices is None else slices.counts)
    row |= {"n_empty": None if slices is None else int(slices.counts.empty.sum())}
    row |= _intervals(slices, reasons)
    of_scans, why = pooled_of_scans(results, variant, split)
    row |= of_scans | {"scans_reason": join_reasons(why)}
    return row | {"reason": join_reasons(reasons)}


def _pooled(counts: Counts | None, column: str = "{}") -> TableRow:
    """Return the pooled score by each metric, in the column of this name; None of each without counts."""
    pooled = None if counts is None else counts.pooled()
    return {
        column.format(metric.name): None if pooled is None else float(metric.of(pooled))
        for metric in metrics_at("pooled")
    }


def _intervals(slices: CountedSlices | None, reasons: list[str | None]) -> TableRow:
    """Return the interval of each pooled score over patients, for a fixed model."""
    counts = None if slices is None else slices.by_patient()
    row: TableRow = {"effective_patients": None}
    for metric in metrics_at("pooled"):
        found = _interval(metric, counts)
        row |= {f"{metric.name}_low": found.low, f"{metric.name}_high": found.high}
        row["effective_patients"] = row["effective_patients"] or found.effective_patients
        reasons.append(found.reason)
    return row


def _interval(metric: Metric, counts: Counts | None) -> Estimate:
    """Return a pooled score with its interval, for one model's counts (P,), or for a variant's repeats (R, P)."""
    if counts is None or not len(counts):
        return Estimate(None)
    if metric.fraction is None:
        return Estimate(None, reason=f"{metric.label} does not pool as a ratio of sums: no interval")
    return fraction_interval((counts.overlap, counts.pred, counts.truth), metric.fraction)


def _at_half(medians: Medians, split: str) -> TableRow:
    """Return what needs no chosen threshold: scores at 0.5, how much was scored, and whether the model collapsed."""
    slices = median_slices(medians, split, at_half=True)
    if slices is None or not len(slices.patient):
        absent = ("slices", "patients", "collapsed", "highest_probability")
        return _pooled(None, "{}_at_half") | dict.fromkeys(absent)
    results = [each.result for each in medians if each is not None]
    return _pooled(slices.counts, "{}_at_half") | {
        "slices": len(slices.counts),
        "patients": len(np.unique(slices.patient)),
        "collapsed": all(each.collapsed for each in results),
        "highest_probability": max(each.highest_probability for each in results),
    }


def _repeats(results: Results, variant: str, split: str, reasons: list[str | None]) -> TableRow:
    """Return the distribution over repeats at 0.5; a repeat counts once it is completed in every fold."""
    status = [each.status for each in results.of(variant)]
    slices = repeat_slices(results, variant, split)
    pooled, by_patient = slices.counts.pooled(), slices.by_patient() if len(slices.patient) else None
    row: TableRow = {"repeats": len(pooled)} | {each: status.count(each) for each in ("failed", "missing")}
    for metric in metrics_at("pooled"):
        found = asdict(distribution(metric.of(pooled)))
        row |= {f"{metric.name}_repeats_{key}": value for key, value in found.items() if key != "n"}
        over_both = _interval(metric, by_patient) if len(pooled) >= fewest.REPEATS else Estimate(None)
        row |= {f"{metric.name}_repeats_low": over_both.low, f"{metric.name}_repeats_high": over_both.high}
        reasons.append(over_both.reason and f"repeats at 0.5: {over_both.reason}")
    if len(pooled) < fewest.REPEATS:
        reasons.append("one repeat: no sd and no interval over repeats" if len(pooled) else NO_REPEAT)
    return row


def per_slice_rows(results: Results) -> Iterator[TableRow]:
    for variant in results.study.variants:
        medians = results.main_medians(variant)
        threshold, reasons = shared_threshold(medians)
        for split in SPLITS:
            slices = median_slices(medians, split)
            for slice_set in SLICE_SETS:
                row = {"variant": variant, "split": split, "slice_set": slice_set, "threshold": threshold}
                found, lack = _slice_means(slices, slice_set, results.study.evaluation.cutoff_px)
                yield row | found | {"reason": join_reasons([*reasons, lack])}


def _slice_means(slices: CountedSlices | None, slice_set: str, cutoff_px: int) -> tuple[TableRow, str | None]:
    if slices is None:
        return dict.fromkeys(("n", "n_empty", "patients")) | _means(None, "{}_mean"), None
    slices = slices[in_set(slices.counts, slice_set, cutoff_px)]
    row: TableRow = {
        "n": len(slices.counts),
        "n_empty": int(slices.counts.empty.sum()),
        "patients": len(np.unique(slices.patient)),
    }
    lack = {0: "no slice in this set", 1: "one slice: no sd"}.get(len(slices.counts))
    return row | _means(slices.counts, "{}_mean"), lack


def _means(counts: Counts | None, column: str) -> TableRow:
    """Return mean, in the column of this name, and standard deviation over the slices, by each metric; None of each
    without counts."""
    row: TableRow = {}
    for metric in metrics_at("slice"):
        found = distribution(np.zeros(0) if counts is None else metric.of(counts))
        row |= {column.format(metric.name): found.mean, f"{metric.name}_sd": found.sd}
    return row


def classification_rows(results: Results) -> Iterator[TableRow]:
    cutoff_px = results.study.evaluation.cutoff_px
    for variant in results.study.variants:
        medians = results.main_medians(variant)
        threshold, reasons = shared_threshold(medians)
        for split in SPLITS:
            slices = median_slices(medians, split)
            for convention in CONVENTIONS:
                row = {"variant": variant, "split": split, "convention": convention, "threshold": threshold}
                row |= {"cutoff_px": cutoff_px, "n": None if slices is None else len(slices.counts)}
                found = None if slices is None else classify(slices.counts, cutoff_px, convention)
                row |= _classified(found, OUTCOME_COUNTS)
                yield row | {"reason": join_reasons([*reasons, _no_rate(found)])}


def _classified(found: Classification | None, counts: tuple[str, ...]) -> TableRow:
    """Return these counts, then the rates; None of each without a classification."""
    return {name: getattr(found, name) if found else None for name in (*counts, *RATES)}


def _no_rate(found: Classification | None) -> str | None:
    if found is None:
        return None
    lacks = {
        "no slice": found.accuracy is None,
        "neither tp nor fn: no sensitivity": found.sensitivity is None,
        "neither tn nor fp: no specificity": found.specificity is None,
    }
    return next((reason for reason, holds in lacks.items() if holds), None)


def regression_rows(results: Results) -> Iterator[TableRow]:
    for variant in results.study.variants:
        medians = results.main_medians(variant)
        threshold, reasons = shared_threshold(medians)
        for split in SPLITS:
            row = {"variant": variant, "split": split, "slice_set": "all", "threshold": threshold}
            slices = median_slices(medians, split)
            row["n"] = None if slices is None else len(slices.counts)
            line = (
                Line(None, None, None)
                if slices is None
                else fit_line(slices.counts.truth, slices.counts.pred)
            )
            row |= asdict(line)
            yield row | {"reason": join_reasons([*reasons, line.reason])}


def protocol_rows(results: Results) -> Iterator[TableRow]:
    for variant in results.study.variants:
        for name, reading in READINGS.items():
            medians = results.medians[variant][name]
            row = {"variant": variant, "reading": name, "study_protocol": results.study.protocol}
            row |= {
                each: getattr(reading, each)
                for each in ("median_on", "threshold_on", "slice_set", "convention")
            }
            row["scored"] = reading.slices
            yield row | _read(medians, reading, results.study.evaluation.cutoff_px)


def _read(medians: Medians, reading: Reading, cutoff_px: int) -> TableRow:
    """Return the scores of one variant's test slices by one reading."""
    threshold, reasons = shared_threshold(medians)
    row: TableRow = {
        "threshold": threshold,
        "slice_threshold": threshold_of(reading.slice_k) if reading.slice_k else threshold,
    }
    row["trial_ids"] = " ".join(each.result.trial.trial_id for each in medians if each) or None
    slices = median_slices(medians, "test", slices=reading.slices)
    found = None if slices is None else classify(slices.counts, cutoff_px, reading.convention)
    row |= _classified(found, ("tp", "tn", "fp", "fn", "misplaced"))
    row |= _pooled(None if slices is None else slices.counts, "pooled_{}")
    reasons.append(_no_rate(found))
    scored = (
        slices
        if reading.slice_k is None
        else median_slices(medians, "test", at_half=True, slices=reading.slices)
    )
    row |= _means_of_set(scored, reading, cutoff_px, reasons)
    return row | {"reason": join_reasons(reasons)}


def _means_of_set(
    slices: CountedSlices | None, reading: Reading, cutoff_px: int, reasons: list[str | None]
) -> TableRow:
    """Return the mean scores of the slices that a reading uses."""
    if slices is None:
        return {"n": None, "n_empty": None} | _means(None, "{}")
    counts = slices.counts[in_set(slices.counts, reading.slice_set, cutoff_px, reading.convention)]
    reasons.append({0: f"no {reading.slice_set} slice", 1: "one slice: no sd"}.get(len(counts)))
    return {"n": len(counts), "n_empty": int(counts.empty.sum())} | _means(counts, "{}")
