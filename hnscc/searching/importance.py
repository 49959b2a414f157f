"""How much of the differences between configurations' scores each searched setting explains by itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hnscc.aggregation.column_types import TableRow
from hnscc.base import fewest
from hnscc.searching.configurations import columns_of
from hnscc.study.ranges import search_of
from hnscc.study.schema import Study
from hnscc.study.search_schema import Range


def importances(study: Study, rows: Sequence[TableRow]) -> dict[str, float]:
    """Return the adjusted R² of the scores (of the configurations that have one) on each setting alone.

    A list's values are groups; in a range the model is a parabola in the value, or in its logarithm. Settings with too
    few configurations (fewer than 5 beyond the model's own parameters) are left out.
    `rows` are those of table `configurations`.
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
    """Return the model's columns (N, K), the constant first."""
    if isinstance(values, Range):
        x = np.log(np.array(each, float)) if values.log else np.array(each, float)
        x = (x - x.mean()) / (x.std() or 1.0) if len(x) else x
        return np.stack([np.ones_like(x), x, x**2], axis=1)
    kinds = sorted({str(value) for value in each})
    return np.array([[kind == str(value) for kind in kinds] for value in each], float).reshape(len(each), -1)


def _adjusted_r2(design: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> float | None:
    n, rank = len(scores), int(np.linalg.matrix_rank(design))
    total = float(((scores - scores.mean()) ** 2).sum())
    if rank < 2 or n - rank < fewest.VALUES_BEYOND_MODEL or total == 0:
        return None
    rest = scores - design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    return 1 - float((rest**2).sum()) / (n - rank) / (total / (n - 1))
