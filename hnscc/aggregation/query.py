"""Reads the tables of a run folder, runs SQL on them, and tells which ended trials they lack."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from hnscc.aggregation.column_types import WHOLE
from hnscc.aggregation.schemas import SEARCH_TABLES, STUDY_TABLES, TABLES, WRITTEN_LAST, schema
from hnscc.base.encode import table_of_parquet
from hnscc.base.errors import InputError
from hnscc.base.files import read_errors, storage_errors
from hnscc.base.in_words import as_typed, count_of, noun_of
from hnscc.base.locations import Location
from hnscc.scores.counts import k_of
from hnscc.study.loading import kept_study
from hnscc.study.run_folder import RunFolder, TrialFolder, inside
from hnscc.study.trials import Trial, trials_of
from hnscc.training.states import recorded_state

# DuckDB's types of statements that only read: SHOW and DESCRIBE are SELECT, PIVOT is MULTI.
ASKING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI)


def read_table(run: RunFolder, name: str) -> pa.Table:
    """Return one table of a run folder. Raises InputError for an unknown name, or where it is not written yet or
    damaged; StorageError where the disk does not answer."""
    if name not in TABLES:
        raise InputError(
            "There is no such table.",
            where=f"tables of {run.root}",
            expected=", ".join(TABLES),
            found=name,
            do="name one of these tables",
        )
    path = _written(run, name)
    with _damage_told(path):
        table = table_of_parquet(path.read_bytes())
    expected = schema(name)
    absent = [column for column in expected.names if column not in table.column_names]
    if absent:
        raise _damaged(run.table(name), f"no column {', '.join(absent)}: another version of hnscc wrote it")
    others = [each.name for each in expected if table.schema.field(each.name).type != each.type]
    if others:
        raise _damaged(
            run.table(name), f"column {', '.join(others)} of another type: another program wrote it"
        )
    return table


def chosen_k(run: RunFolder) -> dict[tuple[str, int], int]:
    """Return {(variant, fold): k}: the threshold of each median model, as k of k / 1000, where one was chosen.

    Raises InputError as `read_table` does.
    """
    chosen = read_table(run, "thresholds").filter(pc.field("chosen")).to_pylist()
    return {(row["variant"], row["fold"]): k_of(row["threshold"]) for row in chosen}


def written_schema(run: RunFolder, name: str) -> tuple[pa.Schema, int] | None:
    """Return the Arrow schema of a table as it is written, descriptions included, and its number of rows, without
    reading rows.

    None where the table is not written yet. InputError where its file is damaged.
    """
    path = run.table(name)
    with _damage_told(path):
        if not path.is_file():
            return None
        # Only the footer of a file is read, but the whole of an object on S3.
        file = pq.ParquetFile(path if isinstance(path, Path) else pa.BufferReader(path.read_bytes()))
        with file:
            return file.schema_arrow, file.metadata.num_rows


@contextlib.contextmanager
def _damage_told(path: Location) -> Iterator[None]:
    """Turn errors in reading a table within a `with` block into InputError, or into StorageError where the disk does
    not answer: then the table may be whole."""
    try:
        with storage_errors(path):
            yield
    except PermissionError:
        with read_errors(path, f"{inside(path)} of the run folder"):
            raise
    except (pa.ArrowException, OSError):
        raise _damaged(path, "a file that is not whole, or no Parquet file") from None


def _damaged(table: Location, found: str) -> InputError:
    return InputError(
        "A table cannot be read.",
        where=f"{inside(table)} of the run folder",
        expected="the table as this version of hnscc writes it",
        found=found,
        do="`hnscc aggregate RUN` writes the tables again",
    )


def _written(run: RunFolder, name: str) -> Location:
    path = run.table(name)
    with storage_errors(path):
        lacking = next((each for each in (run.table(WRITTEN_LAST), path) if not each.is_file()), None)
    if lacking is None:
        return path
    if name not in names_of_tables(run):
        raise _of_another_kind(run, name)
    unfinished = lacking == run.table(WRITTEN_LAST)
    problem = "The tables are not all of one time." if unfinished else "A table is missing."
    raise InputError(
        problem if run.tables.is_dir() else "The run folder has no tables yet.",
        where=str(run.root),
        expected=inside(lacking) + (", which is written after all others" if unfinished else ""),
        found="nothing",
        do="`hnscc search STUDY` goes on with the search and writes its tables"
        if run.holds_search
        else f"hnscc aggregate {as_typed(run.root)}",
    )


def _of_another_kind(run: RunFolder, name: str) -> InputError:
    """Return the error for a table that `hnscc aggregate` never writes here: one of a study in a search, or
    the reverse."""
    command = f"hnscc run {as_typed(run.winners)}"
    winners = f"`{command}` trains the study of its winners, whose run folder has this table"
    if not run.winners.is_file():
        winners = (
            "`hnscc search STUDY` goes on with the search; once it has winners, their study has this table"
        )
    return InputError(
        f"A {'search' if run.holds_search else 'study without a search'} has no such table.",
        where=str(run.root),
        expected=", ".join(names_of_tables(run)),
        found=name,
        do=winners if run.holds_search else "name one of these tables; a search has the other",
    )


def names_of_tables(run: RunFolder) -> tuple[str, ...]:
    """Return the names of the tables of a study, or of a search, whether they are written yet or not."""
    return SEARCH_TABLES if run.holds_search else STUDY_TABLES


def not_in_tables(run: RunFolder) -> list[Trial]:
    """Return the study's trials that have ended and whose results the tables lack, in the study's order. In table
    `trials` such a trial is missing, or failed though it is completed by now, or has no row. The table is older then,
    or rows were removed from it.

    The result is empty where the tables or the study cannot be read: other functions, which need them, say what is
    wrong. StorageError where the disk does not answer. Records are trusted; those of trials that are completed in the
    tables are not read. A trial that the tables call missing because its results are not used is left out: making the
    tables again would change nothing.
    """
    try:
        trials, rows = trials_of(kept_study(run)), _rows_of_trials(run)
    except InputError:
        return []
    left = [each for each in trials if rows.get(each.trial_id, {}).get("status") != "completed"]
    recorded = {each.trial_id: each for each in run.recorded} if left else {}
    return [
        each
        for each in left
        if each.trial_id in recorded and _lacks(recorded[each.trial_id], rows.get(each.trial_id))
    ]


def _rows_of_trials(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Return the rows of table `trials`, by trial, without the columns that older tables lack. InputError where there
    is none."""
    path = _written(run, "trials")
    with _damage_told(path):
        table = table_of_parquet(path.read_bytes())
    columns = [name for name in ("trial_id", "status", "unusable") if name in table.column_names]
    return {row["trial_id"]: row for row in table.select(columns).to_pylist()}


def _lacks(folder: TrialFolder, row: Mapping[str, Any] | None) -> bool:
    """Return whether a trial that has a record is in another state than its row in table `trials` says."""
    state = recorded_state(folder)
    if row is None or row["status"] == "missing":
        known = row is not None and row.get("unusable")
        return state.status != "missing" and not known
    # Trainings that a search stopped keep that status. If predicting again fails, the trial itself is completed.
    return row["status"] == "failed" and state.completed is not None and not state.completed.failure


def note_of_older_tables(run: RunFolder, named: str) -> str | None:
    """Return the sentence that says how many ended trials the tables lack and what to do; None where they lack none.

    named: what the sentence calls the run folder, since no path stands in a report.
    """
    lacking = not_in_tables(run)
    if not lacking:
        return None
    do = f"`hnscc aggregate {as_typed(named)}` makes the tables again"
    if run.holds_search:
        do = "`hnscc search STUDY` goes on with the search and makes them again"
    return f"The tables lack the results of {ended_trials(len(lacking))}: {do}"


def ended_trials(number: int) -> str:
    """Return the number of ended trials as text."""
    return f"{count_of(number, 'trial')} that {noun_of(number, 'has', 'have')} ended"


def query(run: RunFolder, sql: str) -> pa.Table:
    """Return the rows of one SQL query over the run folder's tables, each of which is a view, in DuckDB.

    The query can reach nothing else: no file, no network, no extension, no setting. Raises InputError with DuckDB's
    message where the SQL is bad, and where a table is not written yet or is damaged. Whole numbers that DuckDB returns
    as decimals (sums) are int64 where they fit.
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
            statements = connection.extract_statements(sql)
            if len(statements) == 1 and statements[0].type in ASKING:
                return _whole_numbers(connection.sql(sql).to_arrow_table())
            kinds = ", ".join(each.type.name for each in statements)
            message = f"{count_of(len(statements), 'statement')}: {kinds}" if statements else "no statement"
        except duckdb.Error as error:
            for path in map(run.table, names):  # a table that cannot be read is no error in the SQL
                with _damage_told(path):
                    table_of_parquet(path.read_bytes())
            message = str(error)
    described = "pooled" if "pooled" in names else names[-1]
    raise InputError(
        "The query cannot be answered.",
        where=" ".join(sql.split())[:200] or "an empty query",
        expected=f"one SELECT over {', '.join(names)}",
        found=message.strip(),
        do=_quotes(sql, message) or f"mend the SQL; `DESCRIBE {described}` lists the columns of a table",
    )


def _quotes(sql: str, message: str) -> str | None:
    """Return what to do where a text has no quotes, or double ones: DuckDB takes it for a column's name, and guesses
    which column is meant. None where the query compares no such name with anything."""
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
    with _damage_told(path):
        # The query reads only what it needs of a file, but the whole of an object on S3.
        return ds.dataset(path if isinstance(path, Path) else table_of_parquet(path.read_bytes()))


def _whole_numbers(table: pa.Table) -> pa.Table:
    for position, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0 and _fits(table.column(position)):
            values = table.column(position).cast(WHOLE)
            table = table.set_column(position, field.with_type(WHOLE), values)
    return table


def _fits(values: pa.ChunkedArray) -> bool:
    bounds = pc.min_max(values).as_py().values()
    return all(each is None or -(2**63) <= each < 2**63 for each in bounds)
