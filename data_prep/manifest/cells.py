"""Reads the text of a manifest as cells: encodings, separators, and the empty rows and columns of spreadsheets."""

import codecs
import csv
import io
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from hnscc.base.errors import InputError

# First bytes of files of spreadsheet programs: .xlsx and .ods are zip archives, .xls is an OLE file.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SEPARATORS = (",", ";", "\t")
# Around a cell: blanks and invisible signs (a second byte order mark; what Windows copies in front of a path).
_UNSEEN = r"[\s\ufeff\u200b-\u200f\u202a-\u202e\u2060]+"
_AROUND = re.compile(rf"^{_UNSEEN}|{_UNSEEN}$")
_SAVE_AS = "Save the table as 'CSV UTF-8' in the spreadsheet program, and prepare again."


@dataclass(frozen=True)
class ManifestLine:
    """The cells of one row, stripped of blanks and invisible signs; `number` counts the lines of the file, from 1."""

    number: int
    cells: list[str]


@dataclass(frozen=True)
class Cells:
    """The header's names, the number of each column in the file (from 1), and the rows below the header.

    Rows without text are left out, and so are columns that have neither a name nor a cell with text. A row whose number
    of cells differs from the header's keeps its cells as they are in the file; `broken` lists those rows.
    """

    names: list[str]
    numbers: list[int]
    rows: list[ManifestLine]
    broken: list[ManifestLine]
    width: int

    def column(self, position: int) -> list[str]:
        """Return the cells of the column at `position` of `names`, in the order of `rows`."""
        return [row.cells[position] for row in self.rows]


def read_cells(path: Path) -> Cells:
    """Read a CSV of UTF-8 or UTF-16, with or without a byte order mark, separated by commas, semicolons or tabs.

    InputError is raised where there is no such file, or it is not a CSV.
    """
    text = _text(path)
    # The separator after `sep=` may be a tab, which must not be stripped.
    first, separator = text.split("\n", 1)[0].strip(' "\r'), ""
    if first[:4].lower() == "sep=":  # only Excel writes such a line, and it does not count as a row
        separator = first[4:5]
    # A title above the header has no separator, and a row that Excel left empty has nothing else.
    named = (line for line in text.splitlines() if any(sign.isalnum() for sign in line))
    header = next((line for line in named if any(sign in line for sign in _SEPARATORS)), "")
    lines = _lines(text, separator or max(_SEPARATORS, key=header.count))[bool(separator) :]
    if not lines:
        return Cells([], [], [], [], 0)
    return _without_empty(lines[0].cells, lines[1:])


def with_empty_column(cells: Cells, name: str) -> Cells:
    """Return the cells with one more column, empty in every row, after the others."""
    rows = [ManifestLine(row.number, [*row.cells, ""]) for row in cells.rows]
    return replace(
        cells, names=[*cells.names, name], numbers=[*cells.numbers, 1 + len(cells.names)], rows=rows
    )


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _unusable(
            "There is no such manifest.", "a CSV file", "nothing there", "Correct the manifest's path."
        ) from None
    except IsADirectoryError:
        raise _unusable(
            "The manifest is no CSV.",
            "a CSV file",
            "a folder",
            "Name a manifest; `hnscc scan FOLDER --manifest manifest.csv` writes that of a folder of scans.",
        ) from None
    except OSError as error:
        raise _unusable("The manifest cannot be read.", "a CSV file", os.strerror(error.errno or 0)) from None
    if content.startswith(_WORKBOOKS):
        raise _unusable("The manifest is no CSV.", "a CSV file in UTF-8", "a spreadsheet program's own file")
    if not content.strip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"):
        raise _unusable(
            "The manifest is empty.", "a CSV file with a header and a row for each scan", "no text"
        )
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        do = (
            "If a spreadsheet program opens it as a table, save that as 'CSV UTF-8'; else download it again: the "
            "server sent a page, such as a login, in its place."
        )
        raise _unusable("The manifest is no CSV.", "a CSV file in UTF-8", "a web page (HTML), or XML", do)
    try:
        return content.decode(_encoding(content))
    except UnicodeDecodeError:
        found = "another encoding, such as the one that Excel gives plain CSV"
        raise _unusable("The manifest cannot be read.", "a CSV file in UTF-8", found) from None


def _encoding(content: bytes) -> str:
    """Return the encoding. UTF-16 is recognised by its mark or, without one, by a zero in one of the first
    two bytes."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in content[:2]:
        return "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    return "utf-8-sig"


def _lines(text: str, separator: str) -> list[ManifestLine]:
    """Return every line that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    lines: list[ManifestLine] = []
    try:
        for cells in reader:
            lines.append(ManifestLine(reader.line_num, [_AROUND.sub("", cell) for cell in cells]))
    except csv.Error:
        begun = lines[-1].number + 1 if lines else 1  # a quoted cell may hold several lines
        found = f"a quotation mark or a line that does not end, from line {begun} on"
        raise _unusable("The manifest cannot be read.", "a CSV file in UTF-8", found) from None
    return [line for line in lines if any(line.cells)]


def _without_empty(header: list[str], below: list[ManifestLine]) -> Cells:
    kept = [
        position
        for position, name in enumerate(header)
        if name or any(position < len(line.cells) and line.cells[position] for line in below)
    ]
    least = max(kept) + 1
    rows, broken = [], []
    for line in below:
        if len(line.cells) < least or any(line.cells[len(header) :]):
            broken.append(line)
        else:
            rows.append(ManifestLine(line.number, [line.cells[position] for position in kept]))
    names, numbers = [header[position] for position in kept], [position + 1 for position in kept]
    return Cells(names, numbers, rows, broken, least)


def _unusable(problem: str, expected: str, found: str, do: str = _SAVE_AS) -> InputError:
    return InputError(problem, where="manifest", expected=expected, found=found, do=do)
