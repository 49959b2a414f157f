"""What the published study and others reported: their values beside the study's own, and the section "Other studies".

The values are those of `hnscc.study.paper`. They stand only in reports of the paper's own study (`Source.papers`).
"""

from collections.abc import Callable, Iterable
from dataclasses import fields

from hnscc.aggregation.column_types import TableRow
from hnscc.base.split_names import SPLITS
from hnscc.reporting.blocks import Cell, ReportTable, Section, report_table
from hnscc.reporting.sections.patients import split_counts
from hnscc.reporting.source import Source
from hnscc.reporting.values import DASH, known, number_range, score
from hnscc.scores.metrics import Metric
from hnscc.study import paper

NO_MRI = "the paper's MRI model did not yield segmentation results"
LITERATURE = (
    "Mean Dice of the true positive test slices here, by the reading `as written`, which is how the "
    "published study counted it (sampled slices, median model and threshold chosen on them, which flatters); "
    "the others counted in their own ways, on other patients, so the numbers are not strictly comparable. "
    "Numbers of patients as tabulated by Liedes et al. 2023; Guo et al. gave a median."
)
OF_SCANS = "In its own row 42, 7 and 13 count its 62 scans, not its 44 patients."
CHOSEN_ON_TEST = (
    "The published model and threshold were chosen on the test slices; like stands beside like in "
    "the reading `as written`, below."
)
PUBLISHED_P = (
    "The published p compare models and thresholds chosen on the test slices, over true positive slices without "
    "those on which the model's and the true outline share no pixel; here these are otherwise chosen and counted."
)
METRICS_OF_P = ("dice", "jaccard")  # in the order of the two p of a pair in `paper.PUBLISHED_P`


def with_remark(source: Source, text: str, remark: str = CHOSEN_ON_TEST) -> str:
    """Return the text, followed by the remark where published values stand beside it."""
    return f"{text} {remark}" if source.papers else text


def published_of(metrics: Iterable[Metric], of: str) -> list[Metric]:
    """Return those of the metrics that the paper gives. of: which of its values, pooled or slice."""
    given = {field.name for field in fields(paper.Published)}
    return [metric for metric in metrics if f"{of}_{metric.name}" in given]


def published(*names: str) -> Callable[[TableRow], Cell | str]:
    """Return the function that writes the paper's values for a row's variant, with a slash between them."""

    def write(row: TableRow) -> Cell | str:
        if row["variant"] not in paper.PUBLISHED:
            return Cell(DASH, NO_MRI)
        values = [getattr(paper.PUBLISHED[row["variant"]], name) for name in names]
        found = [_printed(value) for value in values if value is not None]
        return " / ".join(found) if len(found) == len(values) else Cell(DASH, "not published")

    return write


def _printed(value: float | int | tuple[float, float]) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:.2f} ± {value[1]:.2f}"
    return f"{value:d}" if isinstance(value, int) else f"{value:.2f}"


def published_p(row: TableRow, metric: str) -> str:
    """Return the paper's p for a row of table `comparisons`, or nothing where it gives none."""
    found = paper.PUBLISHED_P.get(frozenset({row["variant_a"], row["variant_b"]}))
    if found is None or row["slice_set"] != "true_positive" or metric not in METRICS_OF_P:
        return ""
    return f"{found[METRICS_OF_P.index(metric)]:.3f}"


def other_studies(source: Source) -> Section:
    """Write the mean Dice in other studies, and in this one."""
    return Section("Other studies", (_literature_block(source),))


def _literature_block(source: Source) -> ReportTable:
    """Make Table 4, which lists other studies, and has a row for each variant of this one."""
    others = [*paper.LITERATURE, *([paper.THE_PAPER] if source.papers else [])]
    return report_table(
        "Table 4. Mean Dice in other studies",
        with_remark(source, LITERATURE, OF_SCANS),
        {
            "Study": lambda row: str(row["study"]),
            "Modalities": lambda row: _modalities(source, row),
            "Patients: training": lambda row: str(row["train"]),
            "validation": lambda row: str(row["validation"]),
            "test": lambda row: str(row["test"]),
            "Mean Dice": lambda row: (
                known(row["own"], "dice", score) if "own" in row else f"{row['dice']:.2f}"
            ),
        },
        [*(vars(each) for each in others), *_own_rows(source)],
    )


def _own_rows(source: Source) -> list[TableRow]:
    counts = list(split_counts(source))
    sizes = {
        split: number_range([row["patients"] for row in counts if row["split"] == split]) for split in SPLITS
    }
    return [
        {"study": f"this study: {source.label(row)}", "own": row, **sizes}
        for row in source.rows("protocol", reading="as_written")
    ]


def _modalities(source: Source, row: TableRow) -> str:
    if "own" not in row:
        return str(row["modality"])
    return "-".join(each.upper() for each in source.study.variants[row["own"]["variant"]].modalities)
