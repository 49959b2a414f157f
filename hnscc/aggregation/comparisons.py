"""Makes the rows of table `comparisons`: every pair of variants, on the test slices and on whole test scans, with
repeats in pairs where these shared their seeds by design."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import combinations, groupby

import numpy as np

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.results import (
    NO_REPEAT,
    CountedSlices,
    Results,
    median_slices,
    repeat_slices,
    why_unscored,
)
from hnscc.aggregation.whole_patients import WholeScans, as_comparison, patient_rows_of, whole_scans_of
from hnscc.base import fewest
from hnscc.base.arrays import Floats
from hnscc.base.seeds import generator
from hnscc.scores.better import chance_of_better
from hnscc.scores.counts import Counts
from hnscc.scores.crossed import fraction_difference
from hnscc.scores.differences import median_differences
from hnscc.scores.metrics import METRICS, Metric, Unit, metrics_at
from hnscc.scores.paired_tests import Comparison, holm, signed_rank
from hnscc.scores.slice_sets import SLICE_SETS, in_set
from hnscc.study.schema import Study

FAMILY = ("metric", "slice_set", "unit", "method")


def paired_results(results: Results, a: str, b: str) -> tuple[Results, bool]:
    """Return the results by which two variants are compared, and whether repeat r of one is compared with repeat r of
    the other.

    Repeats are paired where the study pairs them and both variants completed at least 5 of the same ones in all
    folds. A repeat that one variant lacks is then left out of both. Neither the correlation of the repeats nor a p
    decides on this.
    """
    if not results.study.paired:
        return results, False
    both = results.completed_in_all_folds(a).keys() & results.completed_in_all_folds(b).keys()
    if len(both) < fewest.PAIRED_REPEATS:
        return results, False
    kept = tuple(each for each in results.results if each.trial.repeat in both)
    return replace(results, results=kept), True


ByMetric = dict[str, Comparison]  # by the name of the metric


@dataclass(frozen=True)
class Side:
    """The test slices of a variant. median: those of the median models at their chosen thresholds, or None with
    the reason.

    pooled: for each set that the truth alone decides, counts (R, P) of all repeats at 0.5, pooled by patient; empty
    where no repeat is completed. paired: whether they are compared with those of the other side one by one.
    """

    variant: str
    median: CountedSlices | None
    reason: str | None
    pooled: dict[str, Counts]
    paired: bool


def comparison_rows(results: Results) -> list[TableRow]:
    """Return the rows for all pairs in the study's order of variants; p_holm and p_equal_holm are over the pairs of
    each family that have a p."""
    alone = cache(lambda variant: _of_variant(results, variant, paired=False))
    rows: list[TableRow] = []
    for pair in combinations(results.study.variants, 2):
        of_pair, paired = paired_results(results, *pair)
        found = [_of_variant(of_pair, each, paired=True) if paired else alone(each) for each in pair]
        (side_a, whole_a), (side_b, whole_b) = found
        rows += [
            *_pair_rows(results.study, side_a, side_b),
            *patient_rows_of(whole_a, whole_b, paired=paired),
        ]
    for _, family in groupby(sorted(rows, key=_family), key=_family):
        members = list(family)
        for name in ("p", "p_equal"):
            for row, p in zip(members, holm([each[name] for each in members]), strict=True):
                row[f"{name}_holm"] = p
    return rows


def _of_variant(results: Results, variant: str, *, paired: bool) -> tuple[Side, WholeScans]:
    return _side(results, variant, paired), whole_scans_of(results, variant, "test")


def _side(results: Results, variant: str, paired: bool) -> Side:
    medians = results.main_medians(variant)
    median = median_slices(medians, "test")
    repeats = repeat_slices(results, variant, "test")
    pooled = {}
    if len(repeats.counts):
        truth = repeats.counts.truth[0]
        stands = {"lesion": truth > 0, "all": np.ones(len(truth), bool)}
        pooled = {name: repeats[slices].by_patient() for name, slices in stands.items()}
    return Side(variant, median, why_unscored(medians), pooled, paired)


def _family(row: TableRow) -> tuple[str, ...]:
    return tuple(row[name] for name in FAMILY)


def _pair_rows(study: Study, a: Side, b: Side) -> Iterator[TableRow]:
    found = {(each, *test): TESTS[test](study, a, b, each) for each in SLICE_SETS for test in TESTS}
    for metric in METRICS:
        for (slice_set, unit, method), comparisons in found.items():
            if metric in comparisons:
                row: TableRow = {"variant_a": a.variant, "variant_b": b.variant, "metric": metric}
                row |= {"slice_set": slice_set, "unit": unit, "method": method}
                row |= {"higher_is_better": METRICS[metric].higher_is_better}
                yield row | asdict(comparisons[metric])


def _none(unit: Unit, reason: str) -> ByMetric:
    return {each.name: Comparison(n=0, reason=reason) for each in metrics_at(unit)}


def _wilcoxon(unit: Unit, study: Study, a: Side, b: Side, slice_set: str) -> ByMetric:
    """Compare the median models at their chosen thresholds, over the slices that belong to the set for both."""
    kept = []
    for each in (a, b):
        if each.median is None:
            return _none(unit, f"{each.variant}: {each.reason}")
        kept.append(each.median)
    stands = [in_set(each.counts, slice_set, study.evaluation.cutoff_px) for each in kept]
    common = [each[stands[0] & stands[1]] for each in kept]
    of_a, of_b = (each.counts if unit == "slice" else each.by_patient() for each in common)
    return {each.name: signed_rank(each.of(of_a), each.of(of_b), unit) for each in metrics_at(unit)}


def _pooled(a: Side, b: Side, slice_set: str) -> tuple[Counts, Counts] | str:
    """Return all repeats of both, or why they cannot be compared: the set must be the same for all, which true
    positives are not."""
    if slice_set == "true_positive":
        return "the true positive slices differ from repeat to repeat"
    for each in (a, b):
        if not each.pooled:
            return f"{each.variant}: {NO_REPEAT}"
    return a.pooled[slice_set], b.pooled[slice_set]


def _bootstrap(study: Study, a: Side, b: Side, slice_set: str) -> ByMetric:
    """Compare all repeats at 0.5, with patients and repeats resampled together."""
    pooled = _pooled(a, b, slice_set)
    if isinstance(pooled, str):
        return _none("pooled", pooled)
    rng = generator(study.seed, "comparisons", a.variant, b.variant, slice_set)
    metrics = metrics_at("pooled")
    scores = [each.function for each in metrics]
    found = median_differences(*pooled, scores, rng, study.evaluation.bootstraps)
    return {each.name: comparison for each, comparison in zip(metrics, found, strict=True)}


def _two_way_t(study: Study, a: Side, b: Side, slice_set: str) -> ByMetric:
    """Compare the means over all repeats at 0.5, by the t test over patients and repeats."""
    pooled = _pooled(a, b, slice_set)
    if isinstance(pooled, str):
        return _none("pooled", pooled)
    counts_a, counts_b = ((each.overlap, each.pred, each.truth) for each in pooled)
    found: ByMetric = {}
    for metric in metrics_at("pooled"):
        if metric.fraction is None:
            found[metric.name] = Comparison(n=0, reason=f"{metric.label} does not pool as a ratio of sums")
        else:
            estimate = fraction_difference(counts_a, counts_b, metric.fraction, paired=a.paired)
            better = chance_of_better(*(_of_patients(each, metric) for each in pooled))
            patients, margin = pooled[0].truth.shape[-1], study.evaluation.margin
            most = metric.range[1] - metric.range[0]
            found[metric.name] = as_comparison(patients, estimate, better, most, margin, paired=a.paired)
    return found


def _of_patients(counts: Counts, metric: Metric) -> Floats:
    """Return the scores (R, P), in the metric's unit, of the patients with lesion, with the higher the better: negated
    if lower ones are better."""
    scores = metric.of(counts[counts.truth[0] > 0])
    return scores if metric.higher_is_better else -scores


# By unit and method: a function that gives a comparison for each metric of the unit. The last two pool patients.
TESTS: dict[tuple[str, str], Callable[[Study, Side, Side, str], ByMetric]] = {
    ("slice", "wilcoxon"): partial(_wilcoxon, "slice"),
    ("patient", "wilcoxon"): partial(_wilcoxon, "patient"),
    ("patient", "two_way_t"): _two_way_t,
    ("patient", "bootstrap"): _bootstrap,
}
