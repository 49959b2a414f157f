"""How a report writes a value: decimals, signs, intervals, counts and lists of names.

A value that does not exist is an en dash, and its reason becomes the cell's note. Minus signs are real ones (U+2212).
"""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from hnscc.aggregation.column_types import TableRow
from hnscc.base import fewest
from hnscc.reporting.blocks import Cell
from hnscc.scores.describe import DIGITS, Distribution, quartered
from hnscc.scores.intervals import ALPHA

DASH = "–"


def score(value: float) -> str:
    """Write a Dice, Jaccard, share or slope with three decimals."""
    return f"{value:.3f}".replace("-", "−")


def pixels(value: float) -> str:
    """Write a number of pixels that need not be whole with one decimal."""
    return f"{value:.1f}".replace("-", "−")


def whole(value: int) -> str:
    """Write a count; raises ValueError for a number that is not an integer."""
    return f"{value:d}"


def signed(value: float, decimals: int = 3) -> str:
    """Write a difference with so many decimals and with its sign, also if they round it to 0. A difference of 0, apart
    from rounding, has none."""
    written = f"{value:+.{decimals}f}".replace("-", "−")
    return written if round(value, DIGITS) else written[1:]


def between(low: str, high: str) -> str:
    """Write an interval in brackets, which no line break divides."""
    return f"({low} to {high})".replace(" ", "\u00a0")


def p_value(value: float) -> str:
    """Write a p with three decimals, or as smaller than they can show. A p that they would round to the limit of
    significance gets as many decimals as show on which side of it the p lies."""
    if value < 0.001:
        return "< 0.001"
    shown = (f"{value:.{decimals}f}" for decimals in count(3))
    return next(each for each in shown if value == ALPHA or float(each) != ALPHA)


def duration(seconds: float) -> str:
    """Write a time in the largest two of hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def number_range(values: Sequence[int]) -> str:
    """Write one number where all are the same, else the least and the most."""
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


# --- cells of a table's row


def known(row: TableRow | None, column: str, write: Callable[[Any], str]) -> Cell:
    """Return the row's value as `write` writes it, or a dash with the row's reason."""
    if row is None:
        return Cell(DASH, "not in the tables")
    if row[column] is None:
        return Cell(DASH, row.get("reason") or "not defined")
    return Cell(write(row[column]))


def wholes(column: str) -> Callable[[TableRow], Cell]:
    """Return the function that writes a column of counts."""
    return lambda row: known(row, column, str)


def scores(column: str) -> Callable[[TableRow], Cell]:
    """Return the function that writes a column of scores; published ones are written as they were printed, with fewer
    decimals than ours."""
    return lambda row: known(row, column, lambda value: value if isinstance(value, str) else score(value))


def interval(row: TableRow, value: str, low: str, high: str, write: Callable[[float], str] = score) -> Cell:
    """Return the value and the interval of these columns; where the interval does not exist, the value stands alone and
    the note says why."""
    if row[value] is None:
        return Cell(DASH, row["reason"])
    if row[low] is None:
        return Cell(f"{write(row[value])} ({DASH})", row["reason"])
    return Cell(f"{write(row[value])} {between(write(row[low]), write(row[high]))}")


def middle(found: Distribution, write: Callable[[float], str], one: str) -> Cell:
    """Return the median of values, with their quartiles in brackets. Too few values have the least and the most
    in brackets instead, which the note says, and one value has none. one: what a single value belongs to, such
    as `repeat`."""
    if found.median is None:
        return Cell(DASH, f"no {one}")
    if found.n < fewest.VALUES_FOR_SPREAD:
        return Cell(write(found.median), f"one {one}: no spread")
    ends = (found.q25, found.q75) if quartered(found.n) else (found.min, found.max)
    low, high = (write(each) for each in ends if each is not None)
    few = None if quartered(found.n) else f"{found.n} {one}s: the least and the most, for want of quartiles"
    return Cell(f"{write(found.median)} {between(low, high)}", few)


def mean_sd(row: TableRow, mean: str, sd: str) -> Cell:
    """Return the mean and the standard deviation of these columns."""
    if row[mean] is None:
        return Cell(DASH, row["reason"])
    if row[sd] is None:
        return Cell(f"{score(row[mean])} ± {DASH}", row["reason"])
    return Cell(f"{score(row[mean])} ± {score(row[sd])}")
