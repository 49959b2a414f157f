"""The rows of table `comparisons`: every pair of variants, on the test slices."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations, groupby
from typing import Any

import numpy as np

from hnscc.aggregation.results import Cases, Results, cases_of, lacking, repeat_cases
from hnscc.aggregation.summary import in_set
from hnscc.base.seeds import generator
from hnscc.scores.metrics import SLICE_SETS, Counts, dice, jaccard
from hnscc.scores.stats import Comparison, holm, median_differences, signed_rank
from hnscc.study.schema import Study

Row = dict[str, Any]
SCORES = {"dice": dice, "jaccard": jaccard}
FAMILY = ("metric", "slice_set", "unit", "method")


@dataclass(frozen=True)
class Side:
    """The test slices of a variant. median: the median models' at their chosen thresholds, or None and why.

    repeats: counts (R, N) of all repeats at 0.5.
    """

    variant: str
    median: Cases | None
    reason: str | None
    repeats: Cases


def comparison_rows(results: Results) -> list[Row]:
    """Pairs in the study's order of variants; p_holm over the pairs of each family that have a p."""
    sides = [_side(results, variant) for variant in results.study.variants]
    rows = [row for pair in combinations(sides, 2) for row in _pair_rows(results.study, *pair)]
    for _, family in groupby(sorted(rows, key=_family), key=_family):
        members = list(family)
        for row, p in zip(members, holm([each["p"] for each in members]), strict=True):
            row["p_holm"] = p
    return rows


def _side(results: Results, variant: str) -> Side:
    medians = results.medians[variant]["corrected"]
    median = cases_of(medians, "test")
    return Side(variant, median, lacking(medians), repeat_cases(results, variant, "test"))


def _family(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in FAMILY)


def _pair_rows(study: Study, a: Side, b: Side) -> Iterator[Row]:
    found = {(each, *test): TESTS[test](study, a, b, each) for each in SLICE_SETS for test in TESTS}
    for place, metric in enumerate(SCORES):
        for (slice_set, unit, method), comparisons in found.items():
            row = {"variant_a": a.variant, "variant_b": b.variant, "metric": metric, "slice_set": slice_set}
            yield row | {"unit": unit, "method": method} | asdict(comparisons[place])


def _wilcoxon(unit: str, study: Study, a: Side, b: Side, slice_set: str) -> list[Comparison]:
    """The median models at their chosen thresholds, over the slices that stand in the set for both."""
    for each in (a, b):
        if each.reason:
            return [Comparison(n=0, reason=f"{each.variant}: {each.reason}")] * len(SCORES)
    cutoff_px = study.evaluation.cutoff_px
    sides = (a.median, b.median)
    common = np.logical_and(*(in_set(each.counts, slice_set, cutoff_px) for each in sides))
    kept = [each[common] for each in sides]
    counts = [each.counts if unit == "slice" else each.by_patient() for each in kept]
    return [signed_rank(*(getattr(each, metric) for each in counts), unit) for metric in SCORES]


def _bootstrap(study: Study, a: Side, b: Side, slice_set: str) -> list[Comparison]:
    """All repeats at 0.5: the set must be the same for all, so true positives have none."""
    if slice_set == "true_positive":
        reason = "the true positive slices differ from repeat to repeat"
        return [Comparison(n=0, reason=reason)] * len(SCORES)
    for each in (a, b):
        if not len(each.repeats.counts):
            return [Comparison(n=0, reason=f"{each.variant}: no repeat is completed")] * len(SCORES)
    kept = [each.repeats[_same_for_all(each.repeats.counts, slice_set)].by_patient() for each in (a, b)]
    draw = generator(study.seed, "comparisons", a.variant, b.variant, slice_set)
    return median_differences(*kept, list(SCORES.values()), draw, study.evaluation.bootstraps)


def _same_for_all(repeats: Counts, slice_set: str) -> np.ndarray:
    """Which slices stand in a set that truth alone decides, lesion or all: bool (N,) of counts (R, N)."""
    truth = repeats.truth[0]
    return truth > 0 if slice_set == "lesion" else np.ones(len(truth), bool)


# (unit, method) -> what gives a comparison for each of SCORES.
TESTS: dict[tuple[str, str], Callable[[Study, Side, Side, str], list[Comparison]]] = {
    ("slice", "wilcoxon"): partial(_wilcoxon, "slice"),
    ("patient", "wilcoxon"): partial(_wilcoxon, "patient"),
    ("patient", "bootstrap"): _bootstrap,
}
