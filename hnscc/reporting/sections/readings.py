"""The section "The same predictions read in three ways": as the paper says, as its code does, and corrected."""

from collections.abc import Callable, Iterator

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.summary import RATES
from hnscc.reporting.blocks import Block, Cell, Points, ReportTable, Section, Text, report_table
from hnscc.reporting.sections.lesion_slices import OUTCOMES, published_outcomes
from hnscc.reporting.sections.published import NO_MRI
from hnscc.reporting.source import SET_IN_WORDS, Source
from hnscc.reporting.values import DASH, known, scores, wholes
from hnscc.scores.metrics import metrics_at
from hnscc.study import paper

READ_THREE_WAYS = (
    "The published study leaves choices open, and its authors' code sometimes differs from its text. As written: "
    "what the paper says. As coded: what its code does. Corrected: nothing is chosen on the test slices. The first "
    "two choose the median model and the threshold on the very slices that are scored, and leave missed lesions out "
    "of the mean: their scores look better than new patients would see. They score the sampled slices, as many without "
    "lesion as with; corrected scores every slice of the test scans, unless the study says otherwise."
)


def readings(source: Source) -> Section:
    """Write the three readings side by side, and say which parts of the authors' code are not reproduced."""
    return Section("The same predictions read in three ways", tuple(_blocks(source)))


def _blocks(source: Source) -> Iterator[Block]:
    yield Text(
        f"{READ_THREE_WAYS} All three are read from the same repeats, by the preset `{source.study.protocol}`."
    )
    yield _overlap_block(source)
    yield _outcome_block(source)
    yield Points("Of `as coded`, not reproduced in training", paper.NOT_REPRODUCED_IN_TRAINING)
    yield Points(
        "Of `as coded`, not reproduced when the scans were prepared", paper.NOT_REPRODUCED_IN_PREPARATION
    )
    yield Points("Of `as coded`, not reproduced in evaluation", paper.NOT_REPRODUCED_IN_EVALUATION)


def _reading(row: TableRow) -> str:
    return str(row["reading"]).replace("_", " ")


def _overlap_block(source: Source) -> ReportTable:
    columns: dict[str, Callable[[TableRow], Cell | str]] = {
        "Variant": source.label,
        "Reading": _reading,
        "Model and threshold chosen on": _chosen_on,
        "Threshold": scores("threshold"),
        **{f"Pooled {metric.label}": scores(f"pooled_{metric.name}") for metric in metrics_at("pooled")},
        "Mean over": _mean_over,
        "at threshold": scores("slice_threshold"),
        "Slices": wholes("n"),
        **{f"Mean {metric.label}": scores(metric.name) for metric in metrics_at("slice")},
        "Slices scored": lambda row: str(row["scored"]) if source.holds_whole_scans else "sampled",
    }
    if source.papers:
        columns["Published: pooled Dice / mean Dice"] = _published_dice
    title = "The three readings side by side: overlap, test slices"
    return report_table(title, "", columns, source.tables["protocol"])


def _chosen_on(row: TableRow) -> str:
    model, threshold = str(row["median_on"]), str(row["threshold_on"])
    return model if model == threshold else f"{model}, {threshold}"


def _mean_over(row: TableRow) -> str:
    """Return what a reading's mean is taken over. True positives are by the reading's convention: the paper's excludes
    misplaced slices, which Table 2 of the report counts."""
    beside = row["slice_set"] == "true_positive" and row["convention"] != "slice"
    return SET_IN_WORDS[row["slice_set"]] + (", misplaced ones left out" if beside else "")


def _published_dice(row: TableRow) -> Cell | str:
    if row["reading"] != "as_written":
        return ""
    if row["variant"] not in paper.PUBLISHED:
        return Cell(DASH, NO_MRI)
    found = paper.PUBLISHED[row["variant"]]
    return f"{found.pooled_dice:.2f} / {found.slice_dice[0]:.2f}"


def _outcome_block(source: Source) -> ReportTable:
    columns: dict[str, Callable[[TableRow], Cell | str]] = {
        "Variant": source.label,
        "Reading": _reading,
        "Counted by": lambda row: row["convention"],
        **{head: wholes(name) for name, head in OUTCOMES.items()},
        **{name.capitalize(): scores(name) for name in RATES},
        "Median model": lambda row: known(row, "trial_ids", str),
    }
    rows = source.tables["protocol"]
    if source.papers:
        rows = [each for row in rows for each in (row, *_published_row(row))]
    title = "The three readings side by side: slices with and without lesion"
    return report_table(title, "", columns, rows)


def _published_row(row: TableRow) -> Iterator[TableRow]:
    """Yield the paper's Table 3, which stands below the reading by which it was made."""
    if row["reading"] == "as_written":
        for each in published_outcomes(row):
            yield each | {"reading": "published", "convention": "overlap", "trial_ids": None}
