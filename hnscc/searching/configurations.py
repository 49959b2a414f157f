"""The table `configurations`: what was found of each configuration, and its value of each searched setting. Also how
much of the differences between their scores each setting explains by itself."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hnscc.aggregation.build import table_of_rows
from hnscc.aggregation.column_types import REAL, TEXT, WHOLE, YES, TableRow
from hnscc.aggregation.schemas import schema
from hnscc.base import fewest
from hnscc.searching.race import Race
from hnscc.searching.standings import Standing, chosen_of
from hnscc.study.ranges import Configuration, name_of, search_of
from hnscc.study.schema import Study
from hnscc.study.search_schema import Range


def configurations_table(study: Study, race: Race, standings: list[Standing], trials: pa.Table) -> pa.Table:
    """Return the table `configurations`: one row each, the winner first; the last columns are the searched settings.

    trials: the search's table of that name.
    """
    dice = _validation_dice(trials)
    written = chosen_of(study, standings)
    rows = []
    for rank, each in enumerate(standings):
        curves = [curve for (c, _), curve in race.curves.items() if c == each.configuration]
        row = asdict(each) | {"configuration": name_of(each.configuration), "rank": rank + 1}
        row |= {"written": each.configuration in written, "trials": len(curves)}
        row |= {"val_dice_mean": dice.get(name_of(each.configuration))}
        row |= {"epochs": sum(len(curve.scores) for curve in curves)}
        row |= {"seconds": float(sum(curve.seconds for curve in curves))}
        rows.append(row | settings_by_column(study, race.configurations[each.configuration]))
    wanted = _with_settings(study, race)
    return table_of_rows("configurations", [_as_written(row, wanted) for row in rows], wanted)


def _validation_dice(trials: pa.Table) -> dict[str, float]:
    """Map each configuration to its mean validation Dice at 0.5 over its completed repeats; those without one
    are absent."""
    found: dict[str, list[float]] = {}
    for row in trials.select(["variant", "val_dice"]).to_pylist():
        if row["val_dice"] is not None:
            found.setdefault(row["variant"], []).append(row["val_dice"])
    return {name: fmean(each) for name, each in found.items()}


def _as_written(row: TableRow, wanted: pa.Schema) -> TableRow:
    """Return the row with text in the columns of text, as the columns of settings with values of several kinds are."""
    texts = {field.name for field in wanted if field.type == TEXT}
    return {name: str(value) if name in texts and value is not None else value for name, value in row.items()}


def columns_of(study: Study) -> dict[str, str]:
    """Map each searched setting to its column: the last part of its path. Where two have the same last part, or the
    table has such a column already, it is the whole path with underscores."""
    paths = list(search_of(study).ranges)
    last = [path.rpartition(".")[2] for path in paths]
    taken = set(schema("configurations").names)
    return {
        path: name if last.count(name) == 1 and name not in taken else path.replace(".", "_")
        for path, name in zip(paths, last, strict=True)
    }


def settings_by_column(study: Study, settings: Configuration) -> dict[str, Any]:
    """Return the settings by column. A value that is neither a number, text, nor yes or no is JSON."""
    columns = columns_of(study)
    return {columns[path]: table_value(value) for path, value in settings.items()}


def table_value(value: Any) -> bool | int | float | str | None:
    """Return a setting's value as a table holds it: lists and mappings are written as JSON."""
    return value if isinstance(value, bool | int | float | str) or value is None else json.dumps(value)


def _with_settings(study: Study, race: Race) -> pa.Schema:
    fields = list(schema("configurations"))
    for path, column in columns_of(study).items():
        kinds = {type(table_value(each[path])) for each in race.configurations} - {type(None)}
        about = {"description": f"the setting {path}"}
        fields.append(pa.field(column, _kind(kinds), metadata=about))
    return pa.schema(fields, metadata=schema("configurations").metadata)


def _kind(kinds: set[type]) -> pa.DataType:
    if kinds <= {bool}:
        return YES
    if kinds <= {int}:
        return WHOLE
    return REAL if kinds <= {int, float} else TEXT


def nothing_found(rows: Sequence[TableRow]) -> str | None:
    """Return the sentence to show where no configuration found a pixel of lesion at 0.5; None where one did.

    rows: those of table `configurations`.
    """
    dice = [row["val_dice_mean"] for row in rows if row["val_dice_mean"] is not None]
    if not dice or any(dice):
        return None
    return (
        "No configuration found anything: the validation Dice of each is 0. So the winner, which is by soft Jaccard, "
        "tells little: search with more epochs, or in other ranges."
    )


def importances(study: Study, rows: Sequence[TableRow]) -> dict[str, float]:
    """Return the adjusted R² of the scores (of the configurations that have one) on each setting alone.

    Values of a list are groups; for a range the fit is a parabola in the value, or in its logarithm. Settings
    with too few configurations (fewer than 5 more than the fit has parameters) are left out. rows: those of
    table `configurations`.
    """
    scored = [row for row in rows if row["score"] is not None]
    found = {}
    for path, column in columns_of(study).items():
        values, each = search_of(study).ranges[path], [row[column] for row in scored]
        design = _design(values, each)
        adjusted = _adjusted_r2(design, np.array([row["score"] for row in scored])) if len(scored) else None
        if adjusted is not None:
            found[path] = adjusted
    return found


def _design(values: Range | tuple[Any, ...], each: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Return the columns of the fit (N, K): for a range 1, the value or its logarithm, standardised, and the square of
    that; for a list 0 or 1 for each word."""
    if isinstance(values, Range):
        x = np.log(np.array(each, float)) if values.log else np.array(each, float)
        x = (x - x.mean()) / (x.std() or 1.0) if len(x) else x
        return np.stack([np.ones_like(x), x, x**2], axis=1)
    kinds = sorted({str(value) for value in each})
    return np.array([[kind == str(value) for kind in kinds] for value in each], float).reshape(len(each), -1)


def _adjusted_r2(design: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> float | None:
    """Return the adjusted R² of scores (N,), in any unit, on columns (N, K); None where values are too few, or do
    not vary."""
    n, rank = len(scores), int(np.linalg.matrix_rank(design))
    total = float(((scores - scores.mean()) ** 2).sum())
    if rank < 2 or n - rank < fewest.VALUES_BEYOND_FIT or total == 0:
        return None
    rest = scores - design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    return 1 - float((rest**2).sum()) / (n - rank) / (total / (n - 1))
