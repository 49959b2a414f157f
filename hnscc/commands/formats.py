"""Writes the rows of a query on standard output: as a table, one value per line, CSV, JSON or Parquet."""

import csv
import json
import math
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from hnscc.base.console import print_records, print_rows, terminal, too_narrow
from hnscc.base.errors import InputError


def writer(form: str) -> Callable[[pa.Table], None]:
    """Return the function that prints a pyarrow.Table in this format: table, csv, json or parquet. InputError
    for another."""
    writers = {"table": _write_table, "csv": _write_csv, "json": _write_json, "parquet": _write_parquet}
    if form not in writers:
        raise InputError(
            "There is no such format.",
            where="--format",
            expected=", ".join(writers),
            found=form,
            do="choose one of these",
        )
    return partial(_written, writers[form])


def _written(write: Callable[[pa.Table], None], table: pa.Table) -> None:
    """Print a table; InputError where it holds what the format, or Python, does not know."""
    try:
        write(table)
    except (OverflowError, pa.ArrowNotImplementedError):
        raise InputError(
            "The query gives values that this format cannot hold.",
            where="the query's result",
            expected="numbers, texts, and dates of the years 1 to 9999; in parquet no intervals and no unions",
            found=", ".join(f"{each.name}: {each.type}" for each in table.schema),
            do="turn them into text, for example `CAST(a AS VARCHAR)`",
        ) from None


def _write_table(table: pa.Table) -> None:
    columns = table.column_names
    rows = [[_cell(value) for value in row] for row in _rows(table)]
    # If the output is no terminal, rows must not be folded to the width of one.
    console = terminal(width_elsewhere=10_000)
    if too_narrow(console.width, columns, rows):
        print_records(console, columns, rows)
    else:
        print_rows(console, columns, rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write_csv(table: pa.Table) -> None:
    rows = [table.column_names, *_rows(table)]
    csv.writer(sys.stdout, lineterminator="\n").writerows(rows)


def _write_json(table: pa.Table) -> None:
    names = table.column_names
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise InputError(
            "Two columns have one name, and JSON can hold only one of them.",
            where="the query's result",
            expected="a name of its own for every column",
            found=f"{', '.join(twice)} more than once",
            do="rename with AS, for example `a.variant AS first, b.variant AS second`",
        )
    rows = [dict(zip(names, map(_json_value, row), strict=True)) for row in _rows(table)]
    print(json.dumps(rows, default=str, allow_nan=False))


def _rows(table: pa.Table) -> Iterator[tuple[object, ...]]:
    """Yield the rows as tuples: dictionaries would lose a column that has the same name as another."""
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _json_value(value: object) -> object:
    """Return a value that JSON can hold: null for NaN and infinity, which it lacks, and a number, not text, for
    a decimal."""
    if isinstance(value, dict):
        return {name: _json_value(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(each) for each in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_parquet(table: pa.Table) -> None:
    pq.write_table(table, sys.stdout.buffer)
