"""A report is made of sections, and a section of blocks: paragraphs, lists, tables and pictures.

Blocks hold text, not markup: `pages` writes them as HTML and as Markdown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hnscc.aggregation.column_types import TableRow


@dataclass(frozen=True)
class Cell:
    """A cell holds text and, where needed, a note below the table: why the text is a dash, or what else it means."""

    text: str
    note: str | None = None


Columns = Mapping[str, Callable[[TableRow], Cell | str]]  # heading -> what writes its cell of a row


@dataclass(frozen=True)
class Marked:
    """A cell as it is printed: `mark` is the letter of its note, or empty."""

    text: str
    mark: str


@dataclass(frozen=True)
class Table:
    """A table has a head and rows of cells, of which the first names the row; its notes are pairs of mark and text."""

    title: str
    explanation: str
    head: tuple[str, ...]
    rows: tuple[tuple[Marked, ...], ...]
    notes: tuple[tuple[str, str], ...]
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """A picture is a figure with its words, rendered twice.

    `name` is the file's in figures/, without ending; `alt` says what it shows to those who cannot see it; `png` and
    `svg` are the files' bytes.
    """

    name: str
    title: str
    caption: str
    alt: str
    png: bytes
    svg: bytes
    kind: str = "picture"


@dataclass(frozen=True)
class Text:
    """A paragraph; what stands between back-quotes is code."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Points:
    """A list of points below a heading, which may be empty."""

    heading: str
    items: tuple[str, ...]
    kind: str = "points"


@dataclass(frozen=True)
class Histogram:
    """A drawn histogram; `marked` where it belongs to something that is told as odd."""

    svg: str
    marked: bool


@dataclass(frozen=True)
class Histograms:
    """A table with a row for each scan: its id, a histogram below each of `head`, and a text behind them."""

    explanation: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Histogram, ...], str], ...]
    kind: str = "histograms"


@dataclass(frozen=True)
class Sheet:
    """A scan's contact sheet: pictures in `rows` and `columns`, which these say in words, all in one JPEG; `told` are
    sentences on what is odd, `facts` other ones."""

    scan_id: str
    patient_id: str
    told: tuple[str, ...]
    facts: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    jpeg: bytes


@dataclass(frozen=True)
class Sheets:
    """Contact sheets, with a list of links to them in front."""

    explanation: str
    sheets: tuple[Sheet, ...]
    kind: str = "sheets"


Block = Table | Picture | Text | Points


@dataclass(frozen=True)
class Section:
    """A section has a title and its blocks in order."""

    title: str
    blocks: tuple[Block | Histograms | Sheets, ...]


def table(title: str, explanation: str, columns: Columns, rows: Sequence[TableRow]) -> Table:
    """Write a table with one line per row; `columns` maps each heading to what writes the row's cell.

    Notes are collected below the table: cells with the same note share its mark.
    """
    notes: dict[str, str] = {}
    written = []
    for row in rows:
        cells = [_as_cell(write(row)) for write in columns.values()]
        written.append(tuple(Marked(cell.text, _mark(notes, cell.note)) for cell in cells))
    return Table(
        title,
        explanation,
        tuple(columns),
        tuple(written),
        tuple((mark, note) for note, mark in notes.items()),
    )


def _as_cell(value: Cell | str) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)


def _mark(notes: dict[str, str], note: str | None) -> str:
    """Marks are a, b, ... z, aa, ab, ...; the same note has the same mark."""
    if note is None:
        return ""
    if note not in notes:
        position = len(notes)
        notes[note] = (chr(96 + position // 26) if position >= 26 else "") + chr(97 + position % 26)
    return notes[note]
