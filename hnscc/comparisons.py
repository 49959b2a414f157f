"""The rows of table `comparisons`: every pair of variants, on the test slices."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import combinations, groupby
from typing import Any

import numpy as np

from hnscc.metrics import SLICE_SETS, Counts, dice, jaccard
from hnscc.results import Cases, Results, cases_of, lacking, repeat_cases
from hnscc.seeds import generator
from hnscc.stats import Comparison, holm, median_difference, signed_rank
from hnscc.summary import in_set

Row = dict[str, Any]
SCORES = {"dice": dice, "jaccard": jaccard}
FAMILY = ("metric", "slice_set", "unit", "method")


def comparison_rows(results: Results) -> list[Row]:
    """Pairs in the study's order of variants; p_holm over the pairs of each family that have a p."""
    rows = [row for pair in combinations(results.study.variants, 2) for row in _pair_rows(results, *pair)]
    for _, family in groupby(sorted(rows, key=_family), key=_family):
        members = list(family)
        for row, p in zip(members, holm([each["p"] for each in members]), strict=True):
            row["p_holm"] = p
    return rows


def _family(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in FAMILY)


def _pair_rows(results: Results, a: str, b: str) -> Iterator[Row]:
    for metric in SCORES:
        for slice_set in SLICE_SETS:
            for unit, method in (("slice", "wilcoxon"), ("patient", "wilcoxon"), ("patient", "bootstrap")):
                if method == "bootstrap":
                    found = _bootstrap(results, a, b, metric, slice_set)
                else:
                    found = _wilcoxon(results, a, b, metric, slice_set, unit)
                row = {"variant_a": a, "variant_b": b, "metric": metric, "slice_set": slice_set}
                yield row | {"unit": unit, "method": method} | asdict(found)


def _wilcoxon(results: Results, a: str, b: str, metric: str, slice_set: str, unit: str) -> Comparison:
    """The median models at their chosen thresholds, over the slices that stand in the set for both."""
    sides = []
    for variant in (a, b):
        medians = results.medians[variant]["corrected"]
        if reason := lacking(medians):
            return Comparison(n=0, reason=f"{variant}: {reason}")
        sides.append(cases_of(medians, "test"))
    cutoff_px = results.study.evaluation.cutoff_px
    common = np.logical_and(*(in_set(each.counts, slice_set, cutoff_px) for each in sides))
    kept = [each[common] for each in sides]
    counts = [each.counts if unit == "slice" else each.by_patient() for each in kept]
    scores = [getattr(each, metric) for each in counts]
    return signed_rank(*scores, unit)


def _bootstrap(results: Results, a: str, b: str, metric: str, slice_set: str) -> Comparison:
    """All repeats at 0.5: the set must be the same for all, so true positives have none."""
    if slice_set == "true_positive":
        return Comparison(n=0, reason="the true positive slices differ from repeat to repeat")
    repeats = [repeat_cases(results, variant, "test") for variant in (a, b)]
    for variant, each in zip((a, b), repeats, strict=True):
        if not each:
            return Comparison(n=0, reason=f"{variant}: no repeat is completed")
    cutoff_px = results.study.evaluation.cutoff_px
    matrices = [
        _by_patient([one[in_set(one.counts, slice_set, cutoff_px)] for one in each]) for each in repeats
    ]
    draw = generator(results.study.seed, "comparisons", a, b, slice_set)
    return median_difference(*matrices, SCORES[metric], draw, results.study.evaluation.bootstraps)


def _by_patient(repeats: list[Cases]) -> Counts:
    """Counts (R, P) of R repeats that hold the same slices."""
    each = [cases.by_patient() for cases in repeats]
    return Counts(*(np.stack([getattr(one, part) for one in each]) for part in ("overlap", "pred", "truth")))
