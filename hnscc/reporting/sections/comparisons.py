"""The tests between variants: the report table of all pairs, how to read it, and which row represents a pair."""

from collections.abc import Callable, Iterator

from hnscc.aggregation.column_types import TableRow
from hnscc.base import fewest
from hnscc.base.in_words import listed
from hnscc.reporting.blocks import Block, Cell, Points, ReportTable, report_table
from hnscc.reporting.sections.published import PUBLISHED_P, published_p, with_remark
from hnscc.reporting.source import SET_IN_WORDS, Source
from hnscc.reporting.values import DASH, interval, known, p_value, score, signed, whole
from hnscc.scores.intervals import hardly_overlaps, mostly_collapsed
from hnscc.scores.metrics import DICE, Metric
from hnscc.scores.patient_metrics import PATIENT_METRICS, PatientMetric
from hnscc.study.section_schema import UntilPrecise

TESTS = (
    "Every pair of variants on the same test slices. Holm's correction makes each p larger for the number of pairs "
    "compared, since among several comparisons one may differ by chance; read the corrected p, in brackets. Intervals "
    "are of each pair by itself: they are not made wider for the number of pairs. The three tests look at different "
    "things, so their differences may differ too, even in sign: the t test at the pixels of all slices together, all "
    "repeats at threshold 0.5; the Wilcoxon tests at patients or slices one by one, the two median models at their "
    "chosen thresholds."
)
READ_TESTS = (
    "t test over patients and repeats: both stand for many others, and all repeats count at 0.5. It answers "
    "whether one variant is better for other patients and other trainings like these. This is the main answer. Its p "
    "holds for a number of repeats that was settled before: repeats that are added because it was not small make it "
    "too small.",
    "Wilcoxon over patients: each patient's pooled score by the two median models is one pair. It is a statement about "
    f"these two trained models alone, and needs at least {fewest.PAIRS_FOR_P} patients who differ.",
    "Wilcoxon over slices: the paper's test. Slices of one patient resemble each other and are not "
    "independent, so its p is too small; it is given for comparison with the paper.",
)
STOPPED = (
    "How many repeats each variant has followed from its scores (`repeats.until`): in simulation such studies called "
    "equal variants different in 7 to 8 of 100 at 0.05, and not in 5."
)
REACH = "Table 2, reach of the t test. All test slices"
READ_REACH = (
    "Seen from: a true difference of that size would be found in 80 of 100 such studies by its own p, before Holm's "
    "correction; the more pairs there are, the fewer find it after that. Smaller ones are missed more often. First "
    "higher: the chance that a new training of the first scores higher than one of the second on a new patient with "
    "lesion; 0.5 is even."
)
LEARNT_NOTHING = "trainings that collapsed, or hardly overlap the lesions, tell nothing of others"
OTHERS = "Table 2, other scores. Differences of whole test scans, patient by patient"
READ_OTHERS = (
    "The t test over patients and repeats again, all repeats at threshold 0.5, of the mean over patients: those with "
    "lesion, or all where false predictions are counted. Patients' own Dice counts every patient alike, where pooled "
    "Dice weighs large lesions more. Pooled Dice stays the main answer: Holm's correction is made for each score over "
    "its pairs, not over the scores, so of many scores one may differ by chance."
)


def tests(source: Source) -> Iterator[Block]:
    """Yield the tests of the differences in Dice, how to read them, and briefly those of other scores."""
    yield comparison_block(source, "Table 2, tests. Differences in Dice between variants", DICE)
    yield _reach(source)
    yield _others(source)
    stopped = (STOPPED,) if isinstance(source.study.repeats, UntilPrecise) else ()
    yield Points("How to read the tests", (*READ_TESTS, *_paired(source), *stopped))


def _paired(source: Source) -> Iterator[str]:
    """Say, in a study of paired repeats, which pairs of variants the t test compared repeat by repeat."""
    if not source.study.paired:
        return
    pairs = pairs_of_variants(source)
    done = [pair(source, row) for row in pairs if row["paired"]]
    yield (
        "Paired repeats: repeat r of one variant is compared with repeat r of the other, and a repeat that one of them "
        f"lacks is left out of both, from {fewest.PAIRED_REPEATS} on that both completed; with fewer the t test takes "
        "them as independent, which is somewhat too careful. Compared in pairs: "
        f"{'all' if len(done) == len(pairs) else listed(done) or 'none'}."
    )


def pairs_of_variants(source: Source) -> list[TableRow]:
    """Return one row of table `comparisons` per pair of variants: the t test of pooled Dice over all test slices."""
    return source.rows("comparisons", metric="dice", slice_set="all", unit="patient", method="two_way_t")


def pair(source: Source, row: TableRow) -> str:
    """Return the names of the two variants, in the direction of every difference."""
    return f"{source.appearances[row['variant_a']].label} minus {source.appearances[row['variant_b']].label}"


def collapsed_of_pair(source: Source, row: TableRow) -> list[str]:
    """Return which variants of a pair mostly collapsed."""
    found = []
    for variant in (row["variant_a"], row["variant_b"]):
        trials = source.rows("trials", variant=variant, status="completed")
        if mostly_collapsed([each["collapsed"] for each in trials]):
            found.append(variant)
    return found


def both_hardly_overlap(source: Source, row: TableRow) -> bool:
    """Return whether both variants of a pair hardly overlap the lesions, by the median over their repeats."""
    pooled = [source.row("pooled", split="test", variant=row[f"variant_{side}"]) for side in "ab"]
    medians = [None if each is None else each["dice_repeats_median"] for each in pooled]
    return all(each is not None and hardly_overlaps(each) for each in medians)


def tells_of_others(source: Source, row: TableRow) -> bool:
    """Return whether a pair's spread says anything about other trainings. As in `hnscc plan`, it does not where a
    variant mostly collapsed or both hardly overlap the lesions."""
    return not collapsed_of_pair(source, row) and not both_hardly_overlap(source, row)


def comparison_block(source: Source, title: str, metric: Metric) -> ReportTable:
    """Write a report table with one row per set of slices and pair, its three tests side by side."""
    rows = source.rows("comparisons", metric=metric.name, unit="patient", method="two_way_t")
    rows.sort(key=lambda row: list(SET_IN_WORDS).index(row["slice_set"]))

    def wilcoxon(row: TableRow, unit: str) -> TableRow | None:
        same = {key: row[key] for key in ("variant_a", "variant_b", "metric", "slice_set")}
        return source.row("comparisons", **same, unit=unit, method="wilcoxon")

    columns: dict[str, Callable[[TableRow], Cell | str]] = {
        "Pair: first minus second": lambda row: pair(source, row),
        "Slices compared": lambda row: SET_IN_WORDS[row["slice_set"]],
        f"t test: difference in pooled {metric.label} (95 %)": _difference,
        "t test: p (Holm)": _p_and_holm,
        "Patients, Wilcoxon: mean difference; pairs": lambda row: _pairs(wilcoxon(row, "patient")),
        "p (Holm), patients": lambda row: _p_and_holm(wilcoxon(row, "patient")),
        "Slices, Wilcoxon: mean difference; pairs": lambda row: _pairs(wilcoxon(row, "slice")),
        "p (Holm), slices": lambda row: _p_and_holm(wilcoxon(row, "slice")),
    }
    if source.papers:
        columns["Published p (slices)"] = lambda row: published_p(row, metric.name)
    return report_table(title, with_remark(source, TESTS, PUBLISHED_P), columns, rows)


def _reach(source: Source) -> ReportTable:
    """Write a report table with one row per pair: how small a difference the main test could have seen, and which
    variant is likely to score better."""

    def seen_from(row: TableRow) -> Cell:
        if row["smallest_seen"] is not None and not tells_of_others(source, row):
            return Cell(DASH, LEARNT_NOTHING)
        return known(row, "smallest_seen", score)

    columns: dict[str, Callable[[TableRow], Cell | str]] = {
        "Pair: first minus second": lambda row: pair(source, row),
        "Difference in pooled Dice (95 %)": _difference,
        "Seen from": seen_from,
        "First higher (95 %)": lambda row: interval(row, "better", "better_low", "better_high", score),
    }
    return report_table(REACH, READ_REACH, columns, pairs_of_variants(source))


def _others(source: Source) -> ReportTable:
    """Write a report table with one row per pair and score of whole scans."""
    metrics = {each.name: each for each in PATIENT_METRICS}
    rows = [row for row in source.rows("comparisons", method="two_way_t") if row["metric"] in metrics]

    def written(row: TableRow) -> Cell:
        places = metrics[row["metric"]].decimals
        return interval(row, "difference", "low", "high", lambda value: signed(value, places))

    def wilcoxon(row: TableRow) -> TableRow | None:
        same = {key: row[key] for key in ("variant_a", "variant_b", "metric")}
        return source.row("comparisons", **same, method="wilcoxon")

    columns: dict[str, Callable[[TableRow], Cell | str]] = {
        "Pair: first minus second": lambda row: pair(source, row),
        "Score": lambda row: name_of_metric(metrics[row["metric"]]),
        "Better": lambda row: "higher" if row["higher_is_better"] else "lower",
        "Mean difference (95 %)": written,
        "p (Holm)": _p_and_holm,
        "Patients": lambda row: whole(row["n"]),
        "Two median models, Wilcoxon: p (Holm)": lambda row: _p_and_holm(wilcoxon(row)),
    }
    return report_table(OTHERS, READ_OTHERS, columns, rows)


def name_of_metric(metric: PatientMetric) -> str:
    """Return the name of a score of patients, with its unit."""
    return f"{metric.label} ({metric.measured_in})" if metric.measured_in else metric.label


def _difference(row: TableRow) -> Cell:
    return interval(row, "difference", "low", "high", signed)


def _pairs(row: TableRow | None) -> Cell:
    """Return the mean difference, whose sign may differ from the t test's, how many pairs there are, and how
    many differ."""
    if row is None or row["n_nonzero"] is None:
        return known(row, "n", whole)
    return Cell(f"{signed(row['difference'])}; {row['n']}\u00a0pairs, {row['n_nonzero']}\u00a0differ")


def _p_and_holm(row: TableRow | None) -> Cell:
    if row is None or row["p"] is None:
        return known(row, "p", p_value)
    corrected = known(row, "p_holm", p_value)
    return Cell(f"{p_value(row['p'])} ({corrected.text})".replace("< ", "<\u00a0"), corrected.note)
