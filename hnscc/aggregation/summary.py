"""The rows of the tables that summarise a study: of the corrected reading, and of all three side by side."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from hnscc.aggregation.results import Cases, Median, Results, cases_of, lacking, repeat_cases
from hnscc.base.seeds import generator
from hnscc.scores.metrics import (
    CONVENTIONS,
    SLICE_SETS,
    Classification,
    Counts,
    classify,
    dice,
    jaccard,
    outcomes,
)
from hnscc.scores.stats import fit_line, pooled_intervals, spread
from hnscc.scores.thresholds import READINGS, Reading
from hnscc.study.plan import SPLITS

Row = dict[str, Any]
Medians = tuple[Median | None, ...]


def in_set(counts: Counts, slice_set: str, cutoff_px: int, convention: str = "slice") -> np.ndarray:
    """Which slices stand in a set, bool (N,): true_positive by convention, lesion, all, partial."""
    if slice_set == "true_positive":
        return outcomes(counts, cutoff_px, convention) == "tp"
    if slice_set == "lesion":
        return counts.truth > 0
    if slice_set == "partial":
        return (counts.dice > 0) & (counts.dice < 1)
    return np.ones(len(counts), bool)


def pooled_rows(results: Results) -> Iterator[Row]:
    for variant in results.study.variants:
        for split in SPLITS:
            yield _pooled_row(results, variant, split)


def _pooled_row(results: Results, variant: str, split: str) -> Row:
    medians = results.medians[variant]["corrected"]
    bootstraps = results.study.evaluation.bootstraps
    threshold, reasons = _threshold(medians)
    row = {"variant": variant, "split": split, "threshold": threshold}
    row |= _at_half(medians, split) | _repeats(results, variant, split, reasons)
    cases = cases_of(medians, split)
    if cases is not None and not len(cases.patient):
        reasons.append("no slice in this split")
    elif cases is not None:
        row |= _pooled(cases.counts) | {"n_empty": int(cases.counts.empty.sum())}
        draw = generator(results.study.seed, "pooled", variant, split)
        intervals = pooled_intervals(cases.by_patient(), (dice, jaccard), draw, bootstraps)
        for name, interval in zip(("dice", "jaccard"), intervals, strict=True):
            row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
            reasons.append(interval.reason)
    return row | {"reason": _join(reasons)}


def _pooled(counts: Counts, ending: str = "") -> Row:
    pooled = counts.pooled()
    return {f"dice{ending}": float(pooled.dice), f"jaccard{ending}": float(pooled.jaccard)}


def _at_half(medians: Medians, split: str) -> Row:
    """What needs no chosen threshold: scores at 0.5, how much was scored, whether it collapsed."""
    cases = cases_of(medians, split, at_half=True)
    if cases is None or not len(cases.patient):
        return {}
    return _pooled(cases.counts, "_at_half") | {
        "slices": len(cases.counts),
        "patients": len(np.unique(cases.patient)),
        "collapsed": all(each.result.collapsed for each in medians),
        "highest_probability": max(each.result.highest_probability for each in medians),
    }


def _repeats(results: Results, variant: str, split: str, reasons: list[str | None]) -> Row:
    """The distribution over repeats at 0.5; a repeat counts once it is completed in every fold."""
    status = [each.status for each in results.of(variant)]
    pooled = repeat_cases(results, variant, split).counts.pooled()
    row: Row = {"repeats": len(pooled)} | {each: status.count(each) for each in ("failed", "missing")}
    for name in ("dice", "jaccard"):
        found = asdict(spread(getattr(pooled, name)))
        row |= {f"{name}_repeats_{key}": value for key, value in found.items() if key != "n"}
    if len(pooled) < 2:
        reasons.append("no repeat is completed" if not len(pooled) else "one repeat: no sd over repeats")
    return row


def _threshold(medians: Medians) -> tuple[float | None, list[str | None]]:
    """The chosen threshold that all folds share, else None; and the reasons."""
    reason = lacking(medians)
    if reason:
        return None, [reason]
    if len({each.k for each in medians}) == 1:
        return medians[0].k / 1000, []
    each_own = ", ".join(f"f{each.fold.number} {each.k / 1000:.3f}" for each in medians)
    return None, [f"each fold has its own threshold: {each_own}"]


def _join(reasons: list[str | None]) -> str | None:
    """Reasons in order, each once."""
    return "; ".join(dict.fromkeys(each for each in reasons if each)) or None


def per_slice_rows(results: Results) -> Iterator[Row]:
    for variant in results.study.variants:
        medians = results.medians[variant]["corrected"]
        threshold, reasons = _threshold(medians)
        for split in SPLITS:
            cases = cases_of(medians, split)
            for slice_set in SLICE_SETS:
                row = {"variant": variant, "split": split, "slice_set": slice_set, "threshold": threshold}
                found, lack = _slice_means(cases, slice_set, results.study.evaluation.cutoff_px)
                yield row | found | {"reason": _join([*reasons, lack])}


def _slice_means(cases: Cases | None, slice_set: str, cutoff_px: int) -> tuple[Row, str | None]:
    if cases is None:
        return {}, None
    cases = cases[in_set(cases.counts, slice_set, cutoff_px)]
    row: Row = {
        "n": len(cases.counts),
        "n_empty": int(cases.counts.empty.sum()),
        "patients": len(np.unique(cases.patient)),
    }
    for name in ("dice", "jaccard"):
        found = spread(getattr(cases.counts, name))
        row |= {f"{name}_mean": found.mean, f"{name}_sd": found.sd}
    lack = {0: "no slice in this set", 1: "one slice: no sd"}.get(len(cases.counts))
    return row, lack


def classification_rows(results: Results) -> Iterator[Row]:
    cutoff_px = results.study.evaluation.cutoff_px
    for variant in results.study.variants:
        medians = results.medians[variant]["corrected"]
        threshold, reasons = _threshold(medians)
        for split in SPLITS:
            cases = cases_of(medians, split)
            for convention in CONVENTIONS:
                row = {"variant": variant, "split": split, "convention": convention, "threshold": threshold}
                row |= {"cutoff_px": cutoff_px}
                lack = None
                if cases is not None:
                    found = classify(cases.counts, cutoff_px, convention)
                    row |= {"n": len(cases.counts), **_rates(found), **asdict(found)}
                    lack = _no_rate(found)
                yield row | {"reason": _join([*reasons, lack])}


def _rates(found: Classification) -> Row:
    return {name: getattr(found, name) for name in ("sensitivity", "specificity", "accuracy")}


def _no_rate(found: Classification) -> str | None:
    lacks = {
        "no slice": found.accuracy is None,
        "no positive slice: no sensitivity": found.sensitivity is None,
        "no negative slice: no specificity": found.specificity is None,
    }
    return next((reason for reason, holds in lacks.items() if holds), None)


def regression_rows(results: Results) -> Iterator[Row]:
    for variant in results.study.variants:
        medians = results.medians[variant]["corrected"]
        threshold, reasons = _threshold(medians)
        for split in SPLITS:
            row = {"variant": variant, "split": split, "slice_set": "all", "threshold": threshold}
            cases = cases_of(medians, split)
            lack = None
            if cases is not None:
                line = fit_line(cases.counts.truth, cases.counts.pred)
                row |= {
                    "n": len(cases.counts),
                    "slope": line.slope,
                    "intercept": line.intercept,
                    "r2": line.r2,
                }
                lack = line.reason
            yield row | {"reason": _join([*reasons, lack])}


def protocol_rows(results: Results) -> Iterator[Row]:
    for variant in results.study.variants:
        for name, reading in READINGS.items():
            medians = results.medians[variant][name]
            row = {"variant": variant, "reading": name, "study_protocol": results.study.protocol}
            row |= {
                each: getattr(reading, each)
                for each in ("median_on", "threshold_on", "slice_set", "convention")
            }
            yield row | _read(medians, reading, results.study.evaluation.cutoff_px)


def _read(medians: Medians, reading: Reading, cutoff_px: int) -> Row:
    """What one reading makes of one variant's test slices."""
    threshold, reasons = _threshold(medians)
    row: Row = {
        "threshold": threshold,
        "slice_threshold": reading.slice_k / 1000 if reading.slice_k else threshold,
    }
    row["trial_ids"] = " ".join(each.result.trial.trial_id for each in medians if each) or None
    cases = cases_of(medians, "test")
    if cases is not None:
        found = classify(cases.counts, cutoff_px, reading.convention)
        kept = ("tp", "tn", "fp", "fn", "misplaced")
        row |= _rates(found) | {each: getattr(found, each) for each in kept}
        row |= {f"pooled_{each}": value for each, value in _pooled(cases.counts).items()}
        reasons.append(_no_rate(found))
    scored = cases if reading.slice_k is None else cases_of(medians, "test", at_half=True)
    if scored is not None:
        counts = scored.counts[in_set(scored.counts, reading.slice_set, cutoff_px, reading.convention)]
        row |= {"n": len(counts), "n_empty": int(counts.empty.sum())}
        for name in ("dice", "jaccard"):
            found = spread(getattr(counts, name))
            row |= {name: found.mean, f"{name}_sd": found.sd}
        lack = {0: f"no {reading.slice_set} slice", 1: "one slice: no sd"}
        reasons.append(lack.get(len(counts)))
    return row | {"reason": _join(reasons)}
