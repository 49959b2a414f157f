r"""What a cell of the manifest names: also from home (`~`), and as Windows spells it (`a\b.nii`, `C:\a\b.nii`)."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.dicom.series_volume import named_series
from data_prep.manifest.cells import Cells
from data_prep.manifest.ids import rows_text
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of, noun_of

_OF_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")  # a drive, or a server of its network


def path_of(cell: str, folder: Path) -> Path:
    """Return the path that a cell names, relative to the manifest's `folder` or absolute; it need not exist.

    The cell is taken literally where that exists. Otherwise a leading `~` or `~user` is a home folder, and a backslash
    separates folders as a slash does.
    """
    ways = [folder / way for text in (cell, cell.replace("\\", "/")) for way in (text, _from_home(text))]
    return next((way for way in ways if _is_there(way)), ways[-1])


def is_elsewhere(cell: str, folder: Path) -> bool:
    """Return whether a cell names a drive or server of Windows on another system, and no file here has that name."""
    return os.name != "nt" and bool(_OF_WINDOWS.match(cell)) and not _is_there(path_of(cell, folder))


def elsewhere(cells: Cells, columns: Sequence[str], folder: Path) -> Iterator[tuple[int, InputError]]:
    """Yield the lines of the rows with such a cell (`is_elsewhere`) in these columns, all with the same error."""
    positions = [cells.names.index(column) for column in columns]
    found = [
        (row.number, cells.names[position])
        for row in cells.rows
        for position in positions
        if is_elsewhere(row.cells[position], folder)
    ]
    lines = list(dict.fromkeys(line for line, _ in found))
    for line in lines:
        named = [column for column in columns if any(each == column for _, each in found)]
        yield (
            line,
            InputError(
                "The manifest names files on a drive or server of Windows, and this machine has none.",
                where=f"manifest {rows_text(lines)}, {noun_of(len(named), 'column')} {', '.join(named)}",
                expected="a path relative to the manifest, or one of this machine",
                found=f"paths that begin as C:\\ or \\\\server do, in {count_of(len(found), 'cell')}",
                do="Copy the files to this machine, replace what those cells begin with by the folder in which "
                "the files lie here, and prepare again.",
            ),
        )


def _from_home(text: str) -> str:
    try:
        return str(Path(text).expanduser())
    except RuntimeError:  # there is no such user
        return text


def _is_there(path: Path) -> bool:
    try:
        return named_series(path)[0].exists()
    except OSError:  # the name is too long, or a folder denies access
        return False
