"""The tables of a run folder, read back and asked by SQL."""

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from hnscc.aggregation.column_types import WHOLE
from hnscc.aggregation.schemas import SEARCH_TABLES, STUDY_TABLES, TABLES, schema
from hnscc.base.errors import InputError
from hnscc.base.locations import Location
from hnscc.scores.counts import k_of
from hnscc.study.run_folder import RunFolder, inside


def read_table(run: RunFolder, name: str) -> pa.Table:
    """One table of a run folder. Raises InputError for an unknown name, or where it is not written yet."""
    if name not in TABLES:
        raise InputError(
            "There is no such table.",
            where=f"tables of {run.root}",
            expected=", ".join(TABLES),
            found=name,
            do="name one of these tables",
        )
    try:
        table = _parquet_of(_written(run, name))
    except (pa.ArrowException, OSError):
        raise _damaged(run.table(name), "a file that is not whole, or no Parquet file") from None
    absent = [column for column in schema(name).names if column not in table.column_names]
    if absent:
        raise _damaged(run.table(name), f"no column {', '.join(absent)}: another version of hnscc wrote it")
    return table


def chosen_k(run: RunFolder) -> dict[tuple[str, int], int]:
    """(variant, fold) -> the threshold of its median model, as k of k / 1000, where one was chosen.

    Raises InputError as `read_table` does.
    """
    chosen = read_table(run, "thresholds").filter(pc.field("chosen")).to_pylist()
    return {(row["variant"], row["fold"]): k_of(row["threshold"]) for row in chosen}


def written_schema(run: RunFolder, name: str) -> tuple[pa.Schema, int] | None:
    """The Arrow schema of a table as it is written, descriptions included, and its number of rows; no row is read.

    None where the table is not written yet. InputError where its file is damaged.
    """
    path = run.table(name)
    if not path.is_file():
        return None
    try:
        # Of a file only the footer is read, an object on S3 whole.
        file = pq.ParquetFile(path if isinstance(path, Path) else pa.BufferReader(path.read_bytes()))
    except (pa.ArrowException, OSError):
        raise _damaged(run.table(name), "a file that is not whole, or no Parquet file") from None
    with file:
        return file.schema_arrow, file.metadata.num_rows


def _damaged(table: Location, found: str) -> InputError:
    return InputError(
        "A table cannot be read.",
        where=f"{inside(table)} of the run folder",
        expected="the table as this version of hnscc writes it",
        found=found,
        do="`hnscc aggregate RUN` writes the tables again",
    )


def _parquet_of(path: Location) -> pa.Table:
    return pq.read_table(pa.BufferReader(path.read_bytes()))


def _written(run: RunFolder, name: str) -> Location:
    path = run.table(name)
    if not path.is_file():
        raise InputError(
            "The run folder has no tables yet." if not run.tables.is_dir() else "A table is missing.",
            where=str(run.root),
            expected=inside(path),
            found="nothing",
            do=f"hnscc aggregate {run.root}",
        )
    return path


def names_of_tables(run: RunFolder) -> tuple[str, ...]:
    """The tables of a study, or of a search, whether they are written yet or not."""
    return SEARCH_TABLES if run.holds_search else STUDY_TABLES


def query(run: RunFolder, sql: str) -> pa.Table:
    """The rows of one SQL query over the run folder's tables, one view each, in DuckDB.

    The query can reach nothing else: no file, no network, no extension, no setting. Raises InputError with
    DuckDB's message where the SQL is bad, and where a table is not written yet or is damaged. Whole numbers
    that DuckDB gives as decimals (sums) are int64 where they fit.
    """
    names = names_of_tables(run)
    datasets = {name: _dataset(run, name) for name in names}
    with duckdb.connect(":memory:") as connection:
        for name, dataset in datasets.items():
            connection.register(name, dataset)
        for setting in (
            "python_enable_replacements",
            "enable_external_access",
            "autoinstall_known_extensions",
        ):
            connection.execute(f"SET {setting} = false")
        connection.execute("SET lock_configuration = true")
        try:
            relation = connection.sql(sql)
            if relation is not None:
                return _whole_numbers(relation.to_arrow_table())
            message = "the statement gives no rows"
        except duckdb.Error as error:
            if damaged := next((name for name in names if not _readable(run, name)), None):
                raise _damaged(run.table(damaged), "a file that is not whole") from None
            message = str(error)
    raise InputError(
        "The query cannot be answered.",
        where=" ".join(sql.split())[:200] or "an empty query",
        expected=f"one SELECT over {', '.join(names)}",
        found=message.strip(),
        do=_quotes(sql, message) or "mend the SQL; `DESCRIBE pooled` lists the columns of a table",
    )


def _quotes(sql: str, message: str) -> str | None:
    """What to do where a text stands without quotes, or in double ones: DuckDB takes it for a column's name, and
    guesses which column is meant. None where no such name is compared with anything."""
    unknown = re.search('Referenced (?:column|table) "([^"]+)" not found', message)
    if unknown is None:
        return None
    name = re.escape(unknown[1])
    compared = re.search(
        rf"""(?:[=<>]|\bi?like\b|\bin\s*\([^)]*?)\s*("{name}[^"]*"|\b{name}\b[\w.-]*)""", sql, re.IGNORECASE
    )
    if compared is None:
        return None
    text = compared[1].strip('"')
    return f"put text in single quotes, '{text}' instead of {compared[1]}: without them it is the name of a column"


def _dataset(run: RunFolder, name: str) -> ds.Dataset:
    path = _written(run, name)
    try:
        # A file is read as far as the query needs it, an object on S3 whole.
        return ds.dataset(path if isinstance(path, Path) else _parquet_of(path))
    except (pa.ArrowException, OSError):
        raise _damaged(run.table(name), "a file that is not whole, or no Parquet file") from None


def _readable(run: RunFolder, name: str) -> bool:
    try:
        _parquet_of(run.table(name))
    except (pa.ArrowException, OSError):
        return False
    return True


def _whole_numbers(table: pa.Table) -> pa.Table:
    for position, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0 and _fits(table.column(position)):
            values = table.column(position).cast(WHOLE)
            table = table.set_column(position, field.with_type(WHOLE), values)
    return table


def _fits(values: pa.ChunkedArray) -> bool:
    bounds = pc.min_max(values).as_py().values()
    return all(each is None or -(2**63) <= each < 2**63 for each in bounds)
