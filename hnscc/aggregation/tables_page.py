"""The reference page of the tables, as Markdown, from the schemas: `make docs` writes it."""

from collections.abc import Iterator

import pyarrow as pa

from hnscc.aggregation.column_types import REAL, TEXT, WHOLE, YES
from hnscc.aggregation.schemas import TABLES, schema
from hnscc.scores.metrics import METRICS, Metric

TYPES = {TEXT: "text", WHOLE: "whole number", REAL: "real number", YES: "yes or no"}
INTRODUCTION = """
A run folder holds its tables as Parquet files, `tables/NAME.parquet`, and what is said of columns here travels in them
as metadata. `hnscc query RUN "SQL"` asks them by SQL; `pandas.read_parquet` opens them. A value that does not exist is
null, and the column `reason` of its row, where the table has one, says why. Rows stand in a fixed order, and two runs
of one study give the same values but for `seconds`. 'The paper' is the one that the protocol comes from.
""".strip()


def tables_page() -> str:
    """Return the whole page: every table with its row, and of each column its type and meaning; then the metrics."""
    sections = [
        "# Tables",
        "<!-- Generated from the schemas by `make docs`; do not edit by hand. -->",
        INTRODUCTION,
        _contents(),
    ]
    sections += [part for name in TABLES for part in _table(name)]
    return "\n\n".join([*sections, *_metrics()]) + "\n"


def _contents() -> str:
    return "\n".join(f"- [{name}](#{name}): one row per {table.row}" for name, table in TABLES.items())


def _table(name: str) -> Iterator[str]:
    yield f"## {name}"
    yield f"One row per {TABLES[name].row}."
    yield _rows(("column", "type", "meaning"), (_column(field) for field in schema(name)))


def _column(field: pa.Field) -> tuple[str, ...]:
    return f"`{field.name}`", TYPES[field.type], field.metadata[b"description"].decode()


def _metrics() -> Iterator[str]:
    yield "## Metrics"
    yield "What a trial is scored by; each metric has the columns above that bear its name."
    heads = ("metric", "name", "unit", "range", "better", "value of empty masks")
    yield _rows(heads, map(_metric, METRICS.values()))


def _metric(metric: Metric) -> tuple[str, ...]:
    lowest, highest = metric.range
    better = "higher" if metric.higher_is_better else "lower"
    said = (metric.label, metric.unit or "none", f"{lowest:g} to {highest:g}", better, metric.when_empty)
    return f"`{metric.name}`", *said


def _rows(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
