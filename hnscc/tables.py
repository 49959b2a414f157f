"""The tables of a run folder: built from its folds and trials, written atomically, read back, queried by SQL.

The same trials give the same bytes: rows stand in canonical order, draws are keyed by the study's seed, and
no wall-clock value stands outside columns named `seconds`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from hnscc.comparisons import comparison_rows
from hnscc.encode import parquet_bytes
from hnscc.errors import InputError
from hnscc.files import write_bytes
from hnscc.metrics import HALF, THRESHOLDS, Counts, misplaced, outcomes
from hnscc.places import Place
from hnscc.plan import SPLITS, RunFolder
from hnscc.results import UNUSABLE, Fold, Result, Results, load_results
from hnscc.schemas import TABLES, WHOLE, schema
from hnscc.summary import (
    classification_rows,
    per_slice_rows,
    pooled_rows,
    protocol_rows,
    regression_rows,
)

Columns = dict[str, Any]


def write_tables(run: RunFolder) -> list[str]:
    """Build every table from study.yaml, folds/ and trials/ alone, and write tables/*.parquet.

    Gives the problems to tell the user, one text each: failed trials, trials that cannot be used, how many
    are missing. Raises InputError where the study or a fold cannot be read, before anything is written.
    """
    results = load_results(run)
    for name, table in build_tables(results).items():
        write_bytes(run.table(name), _parquet(table))
    return problems(results)


def build_tables(results: Results) -> dict[str, pa.Table]:
    rows = {
        "trials": trial_rows(results),
        "pooled": pooled_rows(results),
        "per_slice": per_slice_rows(results),
        "comparisons": comparison_rows(results),
        "classification": classification_rows(results),
        "regression": regression_rows(results),
        "protocol": protocol_rows(results),
    }
    parts = {
        "cohort": [_columns_of(fold.cohort) for fold in results.folds],
        "epochs": [_epochs(each) for each in results.results if each.history is not None],
        "slices": list(_slices(results)),
        "thresholds": list(_thresholds(results)),
    }
    built = {name: _from_rows(name, each) for name, each in rows.items()}
    built |= {name: _from_parts(name, each) for name, each in parts.items()}
    return {name: built[name] for name in TABLES}


def _from_rows(name: str, rows: Iterable[Columns]) -> pa.Table:
    """Absent keys are null; keys that the table does not have are left out."""
    rows = list(rows)
    wanted = schema(name)
    return pa.table([pa.array([row.get(field.name) for row in rows], field.type) for field in wanted], wanted)


def _from_parts(name: str, parts: list[Columns]) -> pa.Table:
    """Parts of equal length columns, one after another; a single value stands for a whole column."""
    wanted = schema(name)
    tables = []
    for part in parts:
        rows = max(
            len(value) for value in part.values() if hasattr(value, "__len__") and not isinstance(value, str)
        )
        tables.append(pa.table([_array(part[field.name], field.type, rows) for field in wanted], wanted))
    return pa.concat_tables(tables).combine_chunks() if tables else wanted.empty_table()


def _array(value: Any, kind: pa.DataType, rows: int) -> pa.Array | pa.ChunkedArray:
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value.cast(kind)
    if isinstance(value, np.ndarray):
        return pa.array(value, kind)
    return pa.repeat(pa.scalar(value, kind), rows)


def _columns_of(table: pa.Table) -> Columns:
    return {name: table[name] for name in table.column_names}


def trial_rows(results: Results) -> Iterable[Columns]:
    """One row per planned trial, in the plan's order."""
    medians = {
        median.result.trial.trial_id
        for variant in results.medians.values()
        for median in variant["corrected"]
        if median
    }
    for each in results.results:
        row = {"trial_id": each.trial.trial_id, "variant": each.trial.variant, "fold": each.trial.fold}
        row |= {"repeat": each.trial.repeat, "seed": each.seed, "status": each.status, "reason": each.reason}
        row["is_median"] = each.trial.trial_id in medians
        if each.status == "completed":
            row |= _completed(each, results.folds[each.trial.fold])
        yield row


_RECORDED = ("best_epoch", "epochs", "stop_reason", "best_val_soft_jaccard", "seconds", "device")


def _completed(result: Result, fold: Fold) -> Columns:
    row = {name: result.record.get(name) for name in _RECORDED}
    row["weights_sha256"] = result.record["files"].get("weights.safetensors")
    row |= {"collapsed": result.collapsed, "highest_probability": result.highest_probability}
    for split, short in zip(SPLITS, ("train", "val", "test"), strict=True):
        rows = fold.split == split
        if rows.any():
            pooled = result.counts[rows].pooled()
            row |= {f"{short}_dice": float(pooled.dice), f"{short}_jaccard": float(pooled.jaccard)}
    return row


def _names(result: Result) -> Columns:
    trial = result.trial
    return {"trial_id": trial.trial_id, "variant": trial.variant, "fold": trial.fold, "repeat": trial.repeat}


def _epochs(result: Result) -> Columns:
    columns = _columns_of(result.history)
    for name, values in columns.items():
        if pa.types.is_floating(values.type):
            columns[name] = pc.if_else(pc.is_finite(values), values, None)
    return columns | _names(result)


def _slices(results: Results) -> Iterable[Columns]:
    """Every completed trial at 0.5, then the median trial at its chosen threshold too."""
    chosen = {
        median.result.trial: median
        for variant in results.medians.values()
        for median in variant["corrected"]
        if median and median.chosen is not None and median.k != HALF
    }
    cutoff_px = results.study.evaluation.cutoff_px
    for each in results.results:
        if each.counts is not None:
            fold = results.folds[each.trial.fold]
            yield _slice_part(each, fold, each.counts, HALF, cutoff_px)
            if median := chosen.get(each.trial):
                yield _slice_part(each, fold, median.chosen, median.k, cutoff_px)


def _slice_part(result: Result, fold: Fold, counts: Counts, k: int, cutoff_px: int) -> Columns:
    places = {name: fold.slices[name] for name in ("split", "patient_id", "scan_id", "z")}
    pixels = {"truth_px": counts.truth, "pred_px": counts.pred, "overlap_px": counts.overlap}
    scores = {"dice": counts.dice, "jaccard": counts.jaccard}
    judged = {"outcome": outcomes(counts, cutoff_px), "misplaced": misplaced(counts, cutoff_px)}
    return _names(result) | places | {"threshold": k / 1000} | pixels | scores | judged


def _thresholds(results: Results) -> Iterable[Columns]:
    for variant in results.study.variants:
        for median in results.medians[variant]["corrected"]:
            for split in SPLITS if median else ():
                counts = median.sweeps[split]
                yield {
                    "variant": variant,
                    "fold": median.fold.number,
                    "split": split,
                    "threshold": THRESHOLDS / 1000,
                    "dice": counts.dice,
                    "jaccard": counts.jaccard,
                    "chosen": np.equal(THRESHOLDS, median.k or 0),
                }


def problems(results: Results) -> list[str]:
    """What the user must know of trials that stand in no score, in the plan's order."""
    unusual = [
        f"{each.trial.trial_id}: {each.reason}"
        for each in results.results
        if each.status == "failed" or (each.reason or "").startswith(UNUSABLE)
    ]
    absent = sum(each.status == "missing" for each in results.results)
    return unusual + ([f"{absent} of {len(results.results)} trials are missing"] if absent else [])


def _parquet(table: pa.Table) -> bytes:
    for name in table.column_names:
        if pa.types.is_floating(table[name].type) and pc.any(pc.is_nan(table[name])).as_py():
            raise ValueError(f"column {name} holds NaN")
    return parquet_bytes(table)


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
        raise _damaged(name, "a file that is not whole, or no Parquet file") from None
    absent = [column for column in schema(name).names if column not in table.column_names]
    if absent:
        raise _damaged(name, f"no column {', '.join(absent)}: another version of hnscc wrote it")
    return table


def _damaged(name: str, found: str) -> InputError:
    return InputError(
        "A table cannot be read.",
        where=f"tables/{name}.parquet of the run folder",
        expected="the table as this version of hnscc writes it",
        found=found,
        do="`hnscc aggregate RUN` writes the tables again",
    )


def _parquet_of(path: Place) -> pa.Table:
    return pq.read_table(pa.BufferReader(path.read_bytes()))


def _written(run: RunFolder, name: str) -> Place:
    path = run.table(name)
    if not path.is_file():
        raise InputError(
            "The run folder has no tables yet." if not run.tables.is_dir() else "A table is missing.",
            where=str(run.root),
            expected=f"tables/{path.name}",
            found="nothing",
            do=f"hnscc aggregate {run.root}",
        )
    return path


def query(run: RunFolder, sql: str) -> pa.Table:
    """The rows of one SQL query over the run folder's tables, one view each, in DuckDB.

    The query can reach nothing else: no file, no network, no extension, no setting. Raises InputError with
    DuckDB's message where the SQL is bad, and where a table is not written yet or is damaged. Whole numbers
    that DuckDB gives as decimals (sums) are int64 where they fit.
    """
    datasets = {name: _dataset(run, name) for name in TABLES}
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
            if damaged := next((name for name in TABLES if not _readable(run, name)), None):
                raise _damaged(damaged, "a file that is not whole") from None
            message = str(error)
    raise InputError(
        "The query cannot be answered.",
        where=" ".join(sql.split())[:200] or "an empty query",
        expected=f"one SELECT over {', '.join(TABLES)}",
        found=message.strip(),
        do="mend the SQL; `DESCRIBE pooled` lists the columns of a table",
    )


def _dataset(run: RunFolder, name: str) -> ds.Dataset:
    path = _written(run, name)
    try:
        # A file is read as far as the query needs it, an object on S3 whole.
        return ds.dataset(path if isinstance(path, Path) else _parquet_of(path))
    except (pa.ArrowException, OSError):
        raise _damaged(name, "a file that is not whole, or no Parquet file") from None


def _readable(run: RunFolder, name: str) -> bool:
    try:
        _parquet_of(run.table(name))
    except (pa.ArrowException, OSError):
        return False
    return True


def _whole_numbers(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0 and _fits(table.column(place)):
            values = table.column(place).cast(WHOLE)
            table = table.set_column(place, field.with_type(WHOLE), values)
    return table


def _fits(values: pa.ChunkedArray) -> bool:
    bounds = pc.min_max(values).as_py().values()
    return all(each is None or -(2**63) <= each < 2**63 for each in bounds)
