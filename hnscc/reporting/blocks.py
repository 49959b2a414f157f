"""The parts of a report, and how they are written. A report consists of sections, and a section of blocks: paragraphs,
lists, report tables and pictures. Everything is written as one HTML page and as one Markdown page, and the figures also
as files of their own.

Blocks hold text, not markup: `write_pages` adds the markup of HTML and of Markdown.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jinja2
from markupsafe import Markup, escape

from hnscc.aggregation.column_types import TableRow
from hnscc.base.files import delete, write_bytes, write_text
from hnscc.study.run_folder import RunFolder


@dataclass(frozen=True)
class Cell:
    """A cell of a report table: its text and, where needed, a note below the rows that says why the text is a dash, or
    what else it means."""

    text: str
    note: str | None = None


# For each heading, the function that writes the cell of a row.
Columns = Mapping[str, Callable[[TableRow], Cell | str]]


@dataclass(frozen=True)
class Marked:
    """A cell as it is printed. mark: the letter of its note, or empty."""

    text: str
    mark: str


@dataclass(frozen=True)
class ReportTable:
    """A table of a report, such as its Table 1; it is not a file. It has a head and rows of cells, the first of which
    names the row. Its notes are pairs of mark and text."""

    title: str
    explanation: str
    head: tuple[str, ...]
    rows: tuple[tuple[Marked, ...], ...]
    notes: tuple[tuple[str, str], ...]
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """A figure with its texts, rendered twice.

    name: that of its files in figures/, without ending. alt: what it shows, for those who cannot see it. png, svg: the
    bytes of the files.
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
    """A paragraph. Text between back-quotes is code."""

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
    """A histogram as SVG. marked: whether something odd about it is reported."""

    svg: str
    marked: bool


@dataclass(frozen=True)
class Histograms:
    """Rows of histograms, one for each scan: its id, a histogram below each of `head`, and a text behind them."""

    explanation: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Histogram, ...], str], ...]
    kind: str = "histograms"


@dataclass(frozen=True)
class Sheet:
    """A scan's contact sheet: pictures in rows and columns, all in one JPEG. rows, columns: the texts that describe
    them. told: sentences on what is odd. facts: other sentences."""

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


Block = ReportTable | Picture | Text | Points


@dataclass(frozen=True)
class Section:
    """A section of a report: a title and blocks in order."""

    title: str
    blocks: tuple[Block | Histograms | Sheets, ...]


def report_table(title: str, explanation: str, columns: Columns, rows: Sequence[TableRow]) -> ReportTable:
    """Make a report table with one line per row. columns: maps each heading to the function that writes the row's cell.

    Notes are collected below the lines: cells with the same note share its mark.
    """
    notes: dict[str, str] = {}
    written = []
    for row in rows:
        cells = [_as_cell(write(row)) for write in columns.values()]
        written.append(tuple(Marked(cell.text, _mark(notes, cell.note)) for cell in cells))
    return ReportTable(
        title,
        explanation,
        tuple(columns),
        tuple(written),
        tuple((mark, note) for note, mark in notes.items()),
    )


def _as_cell(value: Cell | str) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)


def _mark(notes: dict[str, str], note: str | None) -> str:
    """Return the mark of a note. Marks are a, b, ... z, aa, ab, ...; the same note has the same mark."""
    if note is None:
        return ""
    if note not in notes:
        position = len(notes)
        notes[note] = (chr(96 + position // 26) if position >= 26 else "") + chr(97 + position % 26)
    return notes[note]


def write_pages(run: RunFolder, title: str, sections: Sequence[Section], figures: Sequence[str]) -> None:
    """Write report.html, report.md and figures/*.png and *.svg of a run folder.

    report.html needs no other file and loads nothing. figures: the names of all figures that such a report may have;
    those that an earlier report had and this one has not are removed. Pages of an earlier report are removed first and
    report.html is written last, so that no page stands beside figures of another time, wherever this is interrupted.
    """
    as_markdown, as_html = markdown(title, sections), html(title, sections)
    for earlier in run.pages():
        delete(earlier)
    pictures = [block for section in sections for block in section.blocks if isinstance(block, Picture)]
    for picture in pictures:
        write_bytes(run.figure(picture.name, "png"), picture.png)
        write_bytes(run.figure(picture.name, "svg"), picture.svg)
    for name in set(figures) - {picture.name for picture in pictures}:
        for kind in ("png", "svg"):
            delete(run.figure(name, kind))
    write_text(run.markdown, as_markdown)
    write_text(run.html, as_html)


def html(title: str, sections: Sequence[Section]) -> str:
    """Return the report as one HTML page with its figures inside."""
    environment = _environment(autoescape=True)
    environment.filters["inline"] = _inline_html
    environment.filters["data"] = lambda png: base64.b64encode(png).decode()
    return environment.get_template("report.html.j2").render(title=title, sections=sections)


def markdown(title: str, sections: Sequence[Section]) -> str:
    """Return the report as Markdown, which shows the figures from figures/."""
    environment = _environment(autoescape=False)
    environment.filters["cell"] = _markdown_cell
    environment.filters["inline"] = _markdown_text
    return environment.get_template("report.md.j2").render(title=title, sections=sections)


def _environment(*, autoescape: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("hnscc.reporting", "templates"),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _inline_html(text: str) -> Markup:
    """Return escaped text in which `names` between back-quotes are code."""
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return Markup("`").join(parts)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else part
        for position, part in enumerate(parts)
    )


def _markdown_text(text: str) -> str:
    """Return text in which nothing but back-quotes is markup: names with underscores stay as they are."""
    parts = text.split("`")
    for position in range(0, len(parts), 2):
        for sign in "\\*_[]<>|#":
            parts[position] = parts[position].replace(sign, "\\" + sign)
    return "`".join(parts)


def _markdown_cell(text: str) -> str:
    return _markdown_text(" ".join(text.split()))
