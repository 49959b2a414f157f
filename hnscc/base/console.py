"""The one place that prints rows, lines and progress to a terminal. Nothing else in the project imports rich.

Text is printed as it is: what looks like rich's markup (`[red]`) or like a number is not coloured or swallowed.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from hnscc.base.steps import Progress as Told

__all__ = [
    "Console",
    "Progress",
    "counted",
    "print_line",
    "print_records",
    "print_rows",
    "progress_bars",
    "terminal",
    "too_narrow",
    "with_interval",
]

# A cell longer than this, in columns of a terminal, is as easy to read if it is folded over several lines.
FOLDED = 40


def terminal(width_elsewhere: int = 120) -> Console:
    """Return standard output as a console: as wide as the terminal, or `width_elsewhere` characters if it is a file or
    a pipe."""
    return Console(width=None if sys.stdout.isatty() else width_elsewhere)


def print_line(console: Console, line: str, style: str | None = None) -> None:
    """Print one line, never broken, so that a program that reads it finds it whole. style: a colour that rich knows."""
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def print_rows(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str | None = None,
    numbers: Iterable[str] = (),
) -> None:
    """Print rows below a header, with a frame. Cells that do not fit are folded, so that no character is lost.

    columns: the header; two columns may have the same name. rows: a cell per column. numbers: the columns that are
    aligned right.
    """
    right = set(numbers)
    framed = Table(title=None if title is None else Text(title), title_justify="left")
    for name in columns:
        framed.add_column(Text(name), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        framed.add_row(*map(Text, row))
    console.print(framed)


def print_records(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the same as `print_rows` with one value per line. A line above each row's values counts the rows."""
    longest = max(map(len, columns), default=0)
    for number, row in enumerate(rows, start=1):
        print_line(console, f"-- row {number} of {len(rows)}")
        for name, cell in zip(columns, row, strict=True):
            print_line(console, f"{name:<{longest}}  {cell}".rstrip())
    if not rows:
        print_line(console, f"no rows of {', '.join(columns)}")


def too_narrow(width: int, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Return whether rows cannot be read on `width` characters, so that one value per line is better.

    They can be read if every column fits its header and its longest cell, unbroken on one line; of longer cells, 40
    characters are enough. The frame takes 3 characters for each column, and one more.
    """
    widths = [len(name) for name in columns]
    for row in rows:
        widths = [max(before, len(cell)) for before, cell in zip(widths, row, strict=True)]
    return sum(min(each, FOLDED) + 3 for each in widths) + 1 > width


def progress_bars(console: Console) -> Progress:
    """Return bars with a count, the time that has passed, the time that is left, and a task's field `note` behind them.
    Nothing is shown where the console is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )


@contextlib.contextmanager
def counted(description: str, console: Console | None = None) -> Iterator[Told]:
    """Show one bar, on standard error unless a console is given, and yield the function that moves it. It does not
    show names."""
    with progress_bars(console or Console(stderr=True)) as bars:
        task = bars.add_task(description, total=None, note="")

        def tell(done: int, total: int, now: str, /) -> None:
            bars.update(task, completed=done, total=total)

        yield tell


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """Return a number with its interval, such as `0.712 (0.655 to 0.760)`; a dash where there is no number."""
    if value is None:
        return "–"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
