"""What a report is made of: sections of paragraphs, tables and figures; and how a value is written.

A value that does not exist is an en dash with a mark, and its reason stands under the table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

DASH = "–"


@dataclass(frozen=True)
class Cell:
    """`note` is why the text is a dash, or what else must be known of it."""

    text: str
    note: str | None = None


@dataclass(frozen=True)
class Marked:
    """A cell as written: `mark` is the letter of its note, or empty."""

    text: str
    mark: str


@dataclass(frozen=True)
class Table:
    """rows: cells, the first names the row. notes: (mark, text)."""

    title: str
    explanation: str
    head: tuple[str, ...]
    rows: tuple[tuple[Marked, ...], ...]
    notes: tuple[tuple[str, str], ...]
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """name: of the file in figures/, without ending. alt: what it shows, for who cannot see it."""

    name: str
    title: str
    caption: str
    alt: str
    png: bytes
    svg: bytes
    kind: str = "picture"


@dataclass(frozen=True)
class Text:
    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Points:
    """A list; `heading` may be empty."""

    heading: str
    items: tuple[str, ...]
    kind: str = "points"


Block = Table | Picture | Text | Points


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


Columns = dict[str, Callable[[Row], Cell | str]]


def table(title: str, explanation: str, columns: Columns, rows: Sequence[Row]) -> Table:
    """One table row per row; `columns` maps each heading to what it writes."""
    notes: dict[str, str] = {}
    written = []
    for row in rows:
        cells = [as_cell(write(row)) for write in columns.values()]
        written.append(tuple(Marked(cell.text, _mark(notes, cell.note)) for cell in cells))
    return Table(
        title,
        explanation,
        tuple(columns),
        tuple(written),
        tuple((mark, note) for note, mark in notes.items()),
    )


def as_cell(value: Cell | str) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)


def _mark(notes: dict[str, str], note: str | None) -> str:
    """a, b, ... z, aa, ab, ...; the same note has the same mark."""
    if note is None:
        return ""
    if note not in notes:
        place = len(notes)
        notes[note] = (chr(96 + place // 26) if place >= 26 else "") + chr(97 + place % 26)
    return notes[note]


def known(row: Row | None, column: str, write: Callable[[Any], str]) -> Cell:
    """The row's value as written, or a dash with the row's reason."""
    if row is None:
        return Cell(DASH, "not in the tables")
    if row[column] is None:
        return Cell(DASH, row.get("reason") or "not defined")
    return Cell(write(row[column]))


def score(value: float) -> str:
    """Dice, Jaccard, shares, slopes: three decimals."""
    return f"{value:.3f}".replace("-", "−")


def pixels(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def whole(value: int) -> str:
    return f"{value:d}"


def signed(value: float) -> str:
    """A difference: three decimals with a sign, 0.000 without one."""
    written = f"{value:+.3f}".replace("-", "−")
    return "0.000" if written in ("+0.000", "−0.000") else written


def between(low: str, high: str) -> str:
    """An interval in brackets that no line break divides."""
    return f"({low} to {high})".replace(" ", "\u00a0")


def p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """In the largest two of hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def several(count: int, one: str, many: str | None = None) -> str:
    """`1 patient`, `2 patients`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
