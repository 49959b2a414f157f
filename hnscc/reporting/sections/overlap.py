"""The sections on overlap with the true outline: of all test slices together (Table 1), and by slice (Table 2)."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from hnscc.aggregation.column_types import TableRow
from hnscc.base.in_words import count_of
from hnscc.reporting.blocks import Block, Cell, Columns, ReportTable, Section, Text, report_table
from hnscc.reporting.plotting import repeats as plotting
from hnscc.reporting.plotting.style import picture
from hnscc.reporting.sections.comparisons import pairs_of_variants, tests
from hnscc.reporting.sections.published import published, published_of, with_remark
from hnscc.reporting.source import SET_IN_WORDS, Source
from hnscc.reporting.values import DASH, interval, mean_sd, middle, score, scores, whole, wholes
from hnscc.scores.describe import Distribution
from hnscc.scores.metrics import metrics_at
from hnscc.scores.slice_sets import SLICE_SETS

# --- Table 1


def overlap_over_all_test_slices(source: Source) -> Section:
    """Write Table 1, and how far apart repeats and variants lie."""
    return Section("Overlap with the true outline: all test slices", tuple(_all_test_slices(source)))


def _all_test_slices(source: Source) -> Iterator[Block]:
    title = "Table 1. Overlap over all test slices together"
    yield pooled_block(
        source, title, with_remark(source, f"Scored: {source.scored_in_words}. {POOLED}"), "test"
    )
    yield from picture(
        plotting.dice_over_repeats(source.tables["trials"], source.appearances),
        "repeats",
        "How much repeats of the same variant differ",
        f"Scored: {source.scored_in_words}. Every dot is one repeat, a training from another random start (with "
        "several folds: one repeat in one fold). A difference between variants that is smaller than the spread of the "
        "dots can come from chance in training.",
        "Dot plot of test Dice of every repeat per variant with median and quartiles",
    )
    yield from picture(
        plotting.forest_plot(pairs_of_variants(source), source.appearances),
        "differences",
        "Differences between variants",
        f"Scored: {source.scored_in_words}. "
        "Difference of the means over repeats of the pooled test Dice at 0.5, with its 95 % interval over patients "
        "and repeats. An interval that includes 0 leaves open which variant is better; one that leaves it out is to be "
        "read with the corrected p.",
        "Forest plot of the difference in pooled Dice for every pair of variants",
    )
    if len(source.appearances) < 2:
        yield Text("One variant was trained: there is no difference to show.")


POOLED = (
    "Pooled: all pixels of all test slices are counted together, so large lesions weigh more. First comes "
    "how the score spreads over the repeats of a variant, each at threshold 0.5, and their mean with its 95 % interval "
    "for other patients and other trainings like these; then the median model alone, at the threshold chosen on the "
    "validation slices. Its 95 % interval says how much the score would move with other patients, this one model being "
    "fixed: it says nothing of another training."
)


def pooled_block(source: Source, title: str, explanation: str, *splits: str) -> ReportTable:
    """Write the rows of table `pooled` for these splits. Published values stand only beside those of the
    test slices."""
    columns: dict[str, Callable[[TableRow], Cell | str]] = {
        **_first_columns(source, splits),
        "Repeats": _repeats,
    }
    metrics = metrics_at("pooled")
    for metric in metrics:
        columns[f"{metric.label} over repeats: median (quartiles)"] = _quartiles_of(metric.name)
        columns[f"{metric.label} over repeats: mean (95 % over patients and repeats)"] = partial(
            interval,
            value=f"{metric.name}_repeats_mean",
            low=f"{metric.name}_repeats_low",
            high=f"{metric.name}_repeats_high",
        )
    columns["Median model: threshold"] = scores("threshold")
    for metric in metrics:
        columns[f"Median model: {metric.label} (95 % over patients)"] = partial(
            interval, value=metric.name, low=f"{metric.name}_low", high=f"{metric.name}_high"
        )
    if source.papers and splits == ("test",):
        theirs = published_of(metrics, "pooled")
        names = [f"pooled_{metric.name}" for metric in theirs]
        columns[f"Published: {' / '.join(metric.label for metric in theirs)}"] = published(*names)
    rows = [row for row in source.tables["pooled"] if row["split"] in splits]
    return report_table(title, explanation, columns, rows)


def _first_columns(source: Source, splits: Sequence[str]) -> Columns:
    """Return the column of the variant, and that of the split where there are several."""
    variant: Columns = {"Variant": source.label}
    return {**variant, "Slices of": lambda row: row["split"]} if len(splits) > 1 else variant


def _repeats(row: TableRow) -> Cell:
    lost = [count_of(row[key], key, key) for key in ("failed", "missing") if row[key]]
    return Cell(whole(row["repeats"]), f"{' and '.join(lost)} of its trials" if lost else None)


def _quartiles_of(metric: str) -> Callable[[TableRow], Cell]:
    def write(row: TableRow) -> Cell:
        found = {key: row[f"{metric}_repeats_{key}"] for key in ("median", "q25", "q75", "min", "max")}
        if found["median"] is None:
            return Cell(DASH, row["reason"])
        return middle(Distribution(row["repeats"], **found), score, "repeat")

    return write


# --- Table 2


def overlap_slice_by_slice(source: Source) -> Section:
    """Write Table 2, and the tests between variants."""
    return Section("Overlap slice by slice", tuple(_slice_by_slice(source)))


def _slice_by_slice(source: Source) -> Iterator[Block]:
    title = "Table 2. Overlap slice by slice, test slices"
    yield per_slice_block(
        source, title, f"Scored: {source.scored_in_words}. {PER_SLICE}", ("test",), SLICE_SETS
    )
    if source.papers:
        yield _published_slices_block(source)
    if len(source.appearances) > 1:
        yield from tests(source)


PER_SLICE = (
    "Each slice is scored by itself, then the mean is taken, so every slice weighs the same. True "
    "positive slices are those on which both the scan's mask and the model hold a lesion of the cut-off size or "
    "more, also where the model's is beside the lesion: this leaves out every missed lesion, so it flatters. "
    "Slices with lesion count the missed ones "
    "too. All slices also count those without lesion, where an empty prediction scores 1 and any mark "
    "scores 0."
)


def per_slice_block(
    source: Source, title: str, explanation: str, splits: Sequence[str], sets: Sequence[str]
) -> ReportTable:
    """Write the rows of table `per_slice` for these splits and sets of slices."""
    columns: dict[str, Callable[[TableRow], Cell | str]] = {
        **_first_columns(source, splits),
        "Slices counted": lambda row: SET_IN_WORDS[row["slice_set"]],
        "Slices": wholes("n"),
        "of these both empty": wholes("n_empty"),
        "Patients": wholes("patients"),
    }
    for metric in published_of(metrics_at("slice"), "slice"):
        columns[f"{metric.label}: mean ± SD"] = partial(
            mean_sd, mean=f"{metric.name}_mean", sd=f"{metric.name}_sd"
        )
    rows = [row for row in source.tables["per_slice"] if row["split"] in splits and row["slice_set"] in sets]
    return report_table(title, explanation, columns, rows)


def _published_slices_block(source: Source) -> ReportTable:
    """Write the reading `as_written` beside the paper's Table 2, so that values of the same kind are compared."""
    columns: dict[str, Callable[[TableRow], Cell | str]] = {
        "Variant": source.label,
        "Slices": wholes("n"),
        "of these both empty": wholes("n_empty"),
    }
    for metric in published_of(metrics_at("slice"), "slice"):
        columns[f"{metric.label}: mean ± SD"] = partial(mean_sd, mean=metric.name, sd=f"{metric.name}_sd")
        columns[f"Published: {metric.label}"] = published(f"slice_{metric.name}")
    return report_table(
        "Table 2, as the published study counted it",
        "The reading `as written`, below: the sampled slices alone; median model and threshold chosen on the test "
        "slices, and of the true positive slices those left out on which the model's and the true outline share no "
        "pixel.",
        columns,
        source.rows("protocol", reading="as_written"),
    )
