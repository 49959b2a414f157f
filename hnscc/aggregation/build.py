"""Builds the tables of a run folder from its folds and trials, and writes them atomically.

The same trials give the same bytes: rows are in a fixed order, random numbers are keyed by the study's seed, and no
measured time stands outside columns named `seconds`.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.comparisons import comparison_rows
from hnscc.aggregation.detection import detection_rows, reliability_rows
from hnscc.aggregation.folds import Fold
from hnscc.aggregation.results import Results, load_results
from hnscc.aggregation.scans import drawn_rows, lesion_rows, patient_rows, scan_rows
from hnscc.aggregation.schemas import STUDY_TABLES, WRITTEN_LAST, schema
from hnscc.aggregation.summary import (
    classification_rows,
    per_slice_rows,
    pooled_rows,
    protocol_rows,
    regression_rows,
)
from hnscc.aggregation.trials import Completed, Result
from hnscc.aggregation.whole_patients import mean_rows
from hnscc.base.arrays import Integers
from hnscc.base.encode import parquet_bytes
from hnscc.base.files import delete, write_bytes
from hnscc.base.in_words import count_of, noun_of
from hnscc.base.split_names import SPLITS
from hnscc.scores.counts import HALF, OUTCOMES, THRESHOLDS, Counts, misplaced, outcome_codes, threshold_of
from hnscc.scores.metrics import metrics_at
from hnscc.study.identity import versions_text
from hnscc.study.run_folder import WEIGHTS_FILE, RunFolder
from hnscc.training.earlier import lines_of_left_out

Part = dict[str, Any]  # a part of a table by column: each an array, or one value for all its rows
COLUMN = np.ndarray | pa.Array | pa.ChunkedArray
_RECORDED = ("best_epoch", "epochs", "stop_reason", "best_val_soft_jaccard", "seconds", "device")
_PREDICTED = ("collapsed", "highest_probability")


@dataclass(frozen=True)
class TrialProblem:
    """A sentence that tells the user about trials without scores. unusable: whether a trial left results that are not
    used; `hnscc run` of the same study repairs that, unless the trial is of other settings."""

    text: str
    unusable: bool = False


def write_tables(run: RunFolder) -> list[TrialProblem]:
    """Build every table from study.yaml, folds/ and trials/ alone, and write tables/*.parquet.

    Return what to tell the user: which trials failed, which cannot be used, how many are missing, and which trained
    ones the study leaves out. Raises InputError where the study or a fold cannot be read, before anything is written.
    """
    results = load_results(run)
    # A thread encodes Parquet while the next tables are built.
    with ThreadPoolExecutor() as pool:
        files = {name: pool.submit(table_bytes, name, build_table(name, results)) for name in STUDY_TABLES}
        write_files(run, {name: each.result() for name, each in files.items()})
    return [*problems(results), *map(TrialProblem, lines_of_left_out(results.study, run))]


def write_files(run: RunFolder, contents: Mapping[str, bytes]) -> None:
    """Write the files of tables, by name. `trials` is removed first and written last, and nobody reads the others
    without it. So tables of different times are never read together, wherever this is interrupted. The report's pages
    are removed too, so that none describes other tables than those beside it."""
    last = run.table(WRITTEN_LAST)
    for earlier in (*run.pages(), last):
        delete(earlier)
    others = [name for name in contents if name != WRITTEN_LAST]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: write_bytes(run.table(name), contents[name]), others))
    if WRITTEN_LAST in contents:
        write_bytes(last, contents[WRITTEN_LAST])


def build_table(name: str, results: Results) -> pa.Table:
    """Return the table of this name, of a study or of a search; not `configurations`."""
    if name in ROWS:
        return table_of_rows(name, ROWS[name](results))
    return table_of_parts(name, list(PARTS[name](results)))


def table_of_rows(name: str, rows: Iterable[TableRow], wanted: pa.Schema | None = None) -> pa.Table:
    """Return the table of rows that each give every column of it, None where a value does not exist. Else ValueError.

    wanted: its columns, where these depend on the study; else the columns that all tables of this name have.
    """
    rows, wanted = list(rows), wanted or schema(name)
    for row in rows:
        _check_columns(name, row, wanted)
    return pa.table([pa.array([row[field.name] for row in rows], field.type) for field in wanted], wanted)


def _check_columns(name: str, given: TableRow, wanted: pa.Schema) -> None:
    names = set(wanted.names)
    if given.keys() != names:
        absent, unknown = sorted(names - given.keys()), sorted(given.keys() - names)
        raise ValueError(
            f"a row of table `{name}` must give each of its columns and no other, and absent are "
            f"{', '.join(absent) or 'none'}, unknown {', '.join(unknown) or 'none'}; give what schemas.py lists"
        )


def table_of_parts(name: str, parts: list[Part]) -> pa.Table:
    """Return the table of parts, one after another, whose columns are of equal length; a single value stands for a
    whole column. ValueError where a part lacks a column of the table, or has another one."""
    wanted = schema(name)
    for part in parts:
        _check_columns(name, part, wanted)
    part_of_row = np.repeat(np.arange(len(parts)), [_rows(each) for each in parts])
    return pa.table(
        [_column([part[field.name] for part in parts], field.type, part_of_row) for field in wanted], wanted
    )


def _rows(part: Part) -> int:
    return max(len(value) for value in part.values() if isinstance(value, COLUMN))


def _column(values: list[Any], kind: pa.DataType, part_of_row: Integers) -> pa.Array:
    """Return one column of all parts, each of which gives a column or a single value. part_of_row: (rows,), the number
    of the part to which each row belongs."""
    if not values or not isinstance(values[0], COLUMN):
        return pa.array(values, kind).take(pa.array(part_of_row))
    if isinstance(values[0], np.ndarray):
        return pa.array(np.concatenate(values), kind)
    chunks = [
        chunk
        for value in values
        for chunk in (value.chunks if isinstance(value, pa.ChunkedArray) else [value])
    ]
    return pa.concat_arrays(chunks)


def _columns_of(table: pa.Table) -> Part:
    return {name: table[name] for name in table.column_names}


def trial_rows(results: Results) -> Iterable[TableRow]:
    """Yield one row per trial of the study, in its order."""
    medians = results.median_of
    for each in results.results:
        row: TableRow = {**each.trial.named, "seed": each.seed, "status": each.status, "reason": each.reason}
        row |= {"unusable": each.unusable, "is_median": each.trial in medians}
        yield row | _recorded(each) | _pooled_at_half(each, results.folds[each.trial.fold])


def _recorded(result: Result) -> TableRow:
    """Return the values that only a completed trial has, except its scores; None of any other trial."""
    if not isinstance(result, Completed):
        return dict.fromkeys((*_RECORDED, "weights_sha256", "versions", *_PREDICTED))
    record = result.record
    row: TableRow = {name: getattr(record, name) for name in _RECORDED}
    row["weights_sha256"] = record.files.get(WEIGHTS_FILE)
    row["versions"] = versions_text(record.versions)
    return row | {name: getattr(result, name) for name in _PREDICTED}


def _pooled_at_half(result: Result, fold: Fold) -> TableRow:
    """Return the pooled scores of each split at 0.5; None for a split without slices, and for a trial that is
    not completed."""
    row: TableRow = {}
    for split, short in zip(SPLITS, ("train", "val", "test"), strict=True):
        rows = fold.rows[split]
        pooled = result.counts[rows].pooled() if isinstance(result, Completed) and len(rows) else None
        for metric in metrics_at("pooled"):
            row[f"{short}_{metric.name}"] = None if pooled is None else float(metric.of(pooled))
    return row


def _cohort(results: Results) -> Iterable[Part]:
    return (_columns_of(fold.cohort) for fold in results.folds)


def _epochs(results: Results) -> Iterable[Part]:
    """Yield the epochs of every trial that has a history. Whatever else a history holds stands in no table."""
    names = schema("epochs").names
    for each in results.results:
        if each.history is not None:
            history = _columns_of(each.history)
            yield {name: _finite(history[name]) for name in names if name in history} | each.trial.named


def _finite(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace NaN and infinite numbers by null: a loss may be either."""
    return pc.if_else(pc.is_finite(values), values, None) if pa.types.is_floating(values.type) else values


def _slices(results: Results) -> Iterable[Part]:
    """Yield the slices of every completed trial at 0.5, then those of the median model at its chosen threshold too."""
    medians = results.median_of
    cutoff_px = results.study.evaluation.cutoff_px
    for each in results.results:
        if isinstance(each, Completed):
            fold = results.folds[each.trial.fold]
            yield _slice_part(each, fold, each.counts, HALF, cutoff_px)
            median = medians.get(each.trial)
            if median and (own := median.beside_half):
                k, counts = own
                yield _slice_part(each, fold, counts, k, cutoff_px)


def _slice_part(result: Result, fold: Fold, counts: Counts, k: int, cutoff_px: int) -> Part:
    slices = {name: fold.slices[name] for name in ("split", "patient_id", "scan_id", "z", "used")}
    pixels = {"truth_px": counts.truth, "pred_px": counts.pred, "overlap_px": counts.overlap}
    scores = {metric.name: metric.of(counts) for metric in metrics_at("slice")}
    outcome = pa.array(OUTCOMES).take(pa.array(outcome_codes(counts, cutoff_px)))
    judged = {"outcome": outcome, "misplaced": misplaced(counts, cutoff_px)}
    return result.trial.named | slices | {"threshold": threshold_of(k)} | pixels | scores | judged


def _thresholds(results: Results) -> Iterable[Part]:
    for variant in results.study.variants:
        for median in filter(None, results.main_medians(variant)):
            for split in SPLITS:
                counts = median.sweeps[split]
                yield {
                    "variant": variant,
                    "fold": median.fold.number,
                    "split": split,
                    "threshold": np.array([threshold_of(k) for k in THRESHOLDS.tolist()]),
                    "chosen": np.equal(THRESHOLDS, median.k or 0),
                    **{metric.name: metric.of(counts) for metric in metrics_at("pooled")},
                }


# What makes each table: rows one by one, or parts of whole columns where there may be a million rows.
ROWS: dict[str, Callable[[Results], Iterable[TableRow]]] = {
    "trials": trial_rows,
    "pooled": pooled_rows,
    "means": mean_rows,
    "per_slice": per_slice_rows,
    "comparisons": comparison_rows,
    "classification": classification_rows,
    "regression": regression_rows,
    "protocol": protocol_rows,
    "scans": scan_rows,
    "patients": patient_rows,
    "lesions": lesion_rows,
    "drawn_scans": drawn_rows,
    "detection": detection_rows,
    "reliability": reliability_rows,
}
PARTS: dict[str, Callable[[Results], Iterable[Part]]] = {
    "cohort": _cohort,
    "epochs": _epochs,
    "slices": _slices,
    "thresholds": _thresholds,
}


def problems(results: Results) -> list[TrialProblem]:
    """Return what the user must know about trials without scores, in the study's order."""
    unusual = [
        TrialProblem(f"{each.trial.trial_id}: {each.reason}", each.unusable)
        for each in results.results
        if each.status == "failed" or each.unusable
    ]
    absent = sum(each.status == "missing" for each in results.results)
    trials, are = count_of(len(results.results), "trial"), noun_of(absent, "is", "are")
    missing = TrialProblem(f"{absent} of {trials} {are} missing")
    return [*unusual, missing] if absent else unusual


def table_bytes(name: str, table: pa.Table) -> bytes:
    """Return the Parquet file of the table of this name. ValueError where a value is NaN: a value that does not exist
    is null."""
    for column in table.column_names:
        if pa.types.is_floating(table[column].type) and pc.any(pc.is_nan(table[column])).as_py():
            raise ValueError(
                f"column {column} of table {name} holds NaN; give null for a value that does not exist"
            )
    return parquet_bytes(table)
