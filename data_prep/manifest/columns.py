"""Checks the columns of a manifest: the names that it needs, and what a column holds if it holds no paths."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_prep.dicom.series_volume import named_series
from data_prep.manifest.cells import Cells
from data_prep.manifest.paths import path_of
from hnscc.base.errors import InputError, several

REQUIRED = ("patient_id", "scan_id", "mask")
OPTIONAL = ("split", "roi")
USUAL = ("pet", "mri", "ct")  # modalities that reports and pictures know by these names
LESION_FREE = "none"  # in the mask's cell: the scan has no lesion, and its mask was not forgotten
# In the mask's cell: `hnscc scan` found no mask or several, and the user must fill in what is true.
TO_FILL_IN = "FILL-IN"
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SAFE_NAMES = "letters, digits, '.', '_' and '-', at most 100, beginning with a letter or digit"
_HEADER = "manifest row 1"
_CORRECT = "Correct the manifest, and prepare again."
# What paths have and numbers, dates and words have not: an ending of letters, or a separator beside a word.
_PATH = re.compile(r"\.[A-Za-z]\w{0,7}$|[A-Za-z]{2}[\w.-]*[/\\]|[/\\][\w.-]*[A-Za-z]{2}")
_LONGEST_WORD = 60


def spelled(cells: Cells, needed: Sequence[str] | None = None) -> Cells:
    """Return the cells with the names of `needed`, REQUIRED, OPTIONAL and USUAL in their usual spelling.

    The header may have them in any capitals; in names of REQUIRED, a space, a dash or nothing may replace the
    underscore (Patient ID, scanId). Other names stay as they are. `modality_columns` reports names that differ by
    capitals alone.
    """
    return replace(cells, names=_spelled(cells.names, needed))


def _spelled(names: Sequence[str], needed: Sequence[str] | None = None) -> list[str]:
    known = {re.sub("_", "", name): name for name in REQUIRED}
    exact = {name.casefold(): name for name in (*USUAL, *(needed or ()), *REQUIRED, *OPTIONAL)}
    plain = [name.casefold() for name in names]
    spelled_so = [exact.get(name) or known.get(re.sub(r"[\s_-]", "", name)) for name in plain]
    return [so or name for so, name in zip(spelled_so, names, strict=True)]


def modality_columns(
    cells: Cells, folder: Path, needed: Sequence[str] | None = None, reference: str | None = None
) -> tuple[str, ...]:
    """Return the columns that name one file of each scan, in the manifest's order; `folder` is the folder of
    the manifest.

    needed: the only modalities that are searched for and returned; what other columns hold is then no fault. reference:
    the needed modality that every variant needs. One InputError reports all faults of columns.
    """
    faults: list[InputError] = []
    missing = [name for name in REQUIRED if name not in cells.names]
    if missing and (header := _header_below(cells)):
        expected = f"{', '.join(REQUIRED)} and the modalities in the first row"
        found = f"them in row {header}"
        raise _fault(
            "The header is not in the first row.",
            _HEADER,
            expected,
            found,
            f"Delete the rows above row {header}, and prepare again.",
        )
    if missing:
        expected = f"{', '.join(REQUIRED)}, separated by commas"
        faults.append(_fault("The manifest lacks a column.", _HEADER, expected, f"no {', '.join(missing)}"))
    if twice := _twice(cells):
        faults.append(
            _fault(
                "Two columns have the same name.", _HEADER, "names that differ by more than capitals", twice
            )
        )
    modalities = [position for position, name in enumerate(cells.names) if name not in (*REQUIRED, *OPTIONAL)]
    if needed is not None and not missing:
        faults += _lacking(needed, [cells.names[position] for position in modalities], reference)
        modalities = [position for position in modalities if cells.names[position] in needed]
    elif not modalities:
        faults.append(
            _fault("The manifest has no modality.", _HEADER, "a column per modality, e.g. pet", "none")
        )
    checked = [*modalities, *(position for position, name in enumerate(cells.names) if name == "mask")]
    named = len(missing) < len(REQUIRED)  # otherwise the first row may be a scan's, with a patient's names
    faults += [fault for at in checked if (fault := _column_fault(cells, at, folder, named=named))]
    if faults:
        raise several(faults)
    return tuple(cells.names[position] for position in modalities)


def _header_below(cells: Cells) -> int | None:
    """Return the first row after the header that holds all required names, which follows a title or merged cells;
    or None."""
    lines = sorted((*cells.rows, *cells.broken), key=lambda line: line.number)
    return next((line.number for line in lines if {*REQUIRED} <= {*_spelled(line.cells)}), None)


def why_needed(reference: str) -> str:
    """Return why a new scan needs the reference modality, whatever the variant, in words."""
    return f"every variant needs {reference}, on whose grid the study's slices lie"


def _lacking(needed: Sequence[str], there: Sequence[str], reference: str | None) -> list[InputError]:
    lacking = [name for name in needed if name not in there]
    if not lacking:
        return []
    others = ", ".join(name for name in there if SAFE.fullmatch(name)) or "none"
    return [
        _fault(
            "The manifest lacks a modality that the predictions need.",
            _HEADER,
            f"columns {', '.join(needed)}: what the variant sees, and the one whose grid the slices lie on",
            f"no {', '.join(lacking)} among {others}",
            f"Add the column: {why_needed(reference)}."
            if reference in lacking
            else "Add the column, or choose a variant that does without it (--variant).",
        )
    ]


def cell_says(word: str, cell: str) -> bool:
    """Return whether a mask's cell holds this word, in any capitals."""
    return cell.casefold() == word.casefold()


def _twice(cells: Cells) -> str | None:
    """Return the first columns whose names differ at most by capitals, by number, since a name may be a patient's file
    if cells have shifted."""
    names = [name.casefold() for name in cells.names]
    for second, name in enumerate(names):
        if name and name in names[:second]:
            first = names.index(name)
            return f"one name for columns {cells.numbers[first]} and {cells.numbers[second]}"
    return None


def _column_fault(cells: Cells, position: int, folder: Path, *, named: bool) -> InputError | None:
    """Return what is wrong with a column of paths as a whole; None where it may name files.

    named: whether the first row names columns; if not, the error does not repeat what it holds.
    """
    name, filled = cells.names[position], [cell for cell in cells.column(position) if cell]
    number = f"column {cells.numbers[position]}"
    column = f"column {name}" if named and SAFE.fullmatch(name) else number
    if (not name or name.startswith("Unnamed:")) and _counts_rows(filled):
        return _fault(
            "A column without a name counts the rows: it is the index that pandas writes.",
            f"{_HEADER}, {number}",
            f"{', '.join(REQUIRED)} and a column per modality",
            "an index",
            "Delete that column, or write the manifest with `to_csv(..., index=False)`.",
        )
    if not name:
        return _fault(
            "A column has no name.", f"{_HEADER}, {number}", "a name for each column", "cells without one"
        )
    if name == "mask" and all(cell_says(LESION_FREE, cell) or cell_says(TO_FILL_IN, cell) for cell in filled):
        return None
    if cells.rows and not filled:
        return _fault(
            f"The {column} is empty in every row.",
            f"manifest, {column}",
            "a path in every row of a modality",
            "empty cells",
            f"Fill the {column}, or leave it out.",
        )
    if filled and not any(_may_name_a_file(cell, folder) for cell in filled):
        return _fault(
            f"The {column} holds no paths.",
            f"manifest, {column}",
            "a path relative to the manifest"
            + (" or, for a scan without lesion, `none` or an empty cell" if name == "mask" else ""),
            "numbers or words, and no file of such a name",
            "Write the paths of the masks there."
            if name == "mask"
            else f"Leave the {column} out: every column but {', '.join(REQUIRED + OPTIONAL)} is a modality.",
        )
    if not SAFE.fullmatch(name):
        found = f"other characters among its {len(name)}" if len(name) <= 100 else "more than 100 characters"
        return _fault("A modality has an unusable name.", f"{_HEADER}, {number}", SAFE_NAMES, found)
    return None


def _counts_rows(cells: list[str]) -> bool:
    return bool(cells) and all(cell.isdecimal() for cell in cells) and len(set(cells)) == len(cells)


def _may_name_a_file(cell: str, folder: Path) -> bool:
    if len(cell) > _LONGEST_WORD or (_PATH.search(cell) and cell.lower() != "n/a"):
        return True
    try:
        return named_series(path_of(cell, folder))[0].exists()
    except OSError:  # a folder without access: the error is reported for its row
        return True


def _fault(problem: str, where: str, expected: str, found: str, do: str = _CORRECT) -> InputError:
    return InputError(problem, where=where, expected=expected, found=found, do=do)
