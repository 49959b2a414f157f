"""The section "Finding the slices with lesion" (Table 3 and Figure 4): which slices the model calls positive."""

from collections.abc import Callable, Iterator

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.summary import RATES
from hnscc.base.in_words import count_of
from hnscc.reporting.blocks import Block, Cell, Points, ReportTable, Section, report_table
from hnscc.reporting.plotting.outcomes import pixel_counts
from hnscc.reporting.plotting.style import picture
from hnscc.reporting.sections.published import NO_MRI, published, with_remark
from hnscc.reporting.sections.whole_scans import AT
from hnscc.reporting.source import Source
from hnscc.reporting.values import known, pixels, scores, wholes
from hnscc.study import paper

CONVENTIONS = (
    "slice: any mark on a slice with lesion counts as found",
    "lesion: a mark beside the lesion counts as missed",
    "overlap (the paper's): a mark beside the lesion counts as a false alarm",
)
OUTCOMES = {"tp": "True positive", "tn": "True negative", "fp": "False positive", "fn": "False negative"}


def lesion_slices(source: Source) -> Section:
    """Write Table 3, Figure 4 and the regression lines in it."""
    return Section("Finding the slices with lesion", tuple(_blocks(source)))


def _blocks(source: Source) -> Iterator[Block]:
    cutoff_px = source.study.evaluation.cutoff_px
    explained = (
        f"Scored: {source.scored_in_words}. "
        f"From {count_of(cutoff_px, 'pixel')} on a slice counts as with lesion, by the scan's mask, and as called "
        "positive, by the prediction. "
        "Misplaced: both marked that much and share no pixel; the three conventions differ in how they "
        f"count these. Small truths: lesions of fewer pixels, which count as without. "
        "Median model at its chosen threshold."
    )
    title = "Table 3. Slices with and without lesion, test slices"
    yield classification_block(source, title, with_remark(source, explained), "test")
    yield Points("", CONVENTIONS)
    yield from picture(
        pixel_counts(
            source.median_slices, source.rows("regression", split="test"), source.appearances, cutoff_px
        ),
        "fig4_pixels",
        "Figure 4. Size of the model's outline against size of the true outline",
        f"Scored: {source.scored_in_words}. "
        "One mark per slice, by its outcome at the cut-off (convention `slice`). On the dotted line "
        "both sizes are equal. A ring marks a slice on which the model's and the true outline share no pixel. "
        f"{AT}",
        "Scatter of predicted against true pixel counts per variant with regression line",
    )
    yield _regression_block(source)


def classification_block(source: Source, title: str, explanation: str, *splits: str) -> ReportTable:
    """Write a report table with one row per variant, split and convention. In the paper's own study, the published row
    stands below `overlap`."""
    columns: dict[str, Callable[[TableRow], Cell | str]] = {"Variant": source.label}
    if len(splits) > 1:
        columns["Slices of"] = lambda row: row["split"]
    columns["Counted by"] = lambda row: row["convention"]
    names = OUTCOMES | {"misplaced": "Misplaced", "small_truth": "Small truths"}
    columns |= {head: wholes(name) for name, head in names.items()}
    columns |= {name.capitalize(): scores(name) for name in RATES}
    rows = [row for row in source.tables["classification"] if row["split"] in splits]
    if source.papers and splits == ("test",):
        rows = [each for row in rows for each in (row, *published_outcomes(row))]
    return report_table(title, explanation, columns, rows)


def published_outcomes(row: TableRow) -> Iterator[TableRow]:
    """Yield the paper's Table 3 as a row of ours, with the values as printed, for the convention by which it was
    counted; nothing for others."""
    if row["convention"] != "overlap":
        return
    found = paper.PUBLISHED.get(row["variant"])
    values = {name: found and str(getattr(found, name)) for name in OUTCOMES}
    values |= {name: found and f"{getattr(found, name):.2f}" for name in RATES}
    reason = "not published" if found else NO_MRI
    yield (
        {"variant": row["variant"], "convention": "published", "reason": reason}
        | dict.fromkeys(("misplaced", "small_truth"))
        | values
    )


def _regression_block(source: Source) -> ReportTable:
    columns: dict[str, Callable[[TableRow], Cell | str]] = {
        "Variant": source.label,
        "Slices": wholes("n"),
        "Slope": scores("slope"),
        "Intercept (pixels)": lambda row: known(row, "intercept", pixels),
        "R²": scores("r2"),
    }
    if source.papers:
        columns["Published R²"] = published("r2")
    explained = "Least squares over all test slices: model's pixels = intercept + slope x true pixels."
    rows = source.rows("regression", split="test")
    return report_table("Lines of Figure 4", with_remark(source, explained), columns, rows)
