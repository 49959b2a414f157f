"""The manifest: one CSV row per scan, checked as a whole before any volume is opened."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hnscc.base.errors import InputError

REQUIRED = ("patient_id", "scan_id", "mask")
OPTIONAL = ("split", "roi")
SPLITS = ("train", "validation", "test")
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SAFE_NAMES = "letters, digits, '.', '_' and '-', at most 100, beginning with a letter or digit"
_HEADER = "manifest row 1"


@dataclass(frozen=True)
class Row:
    """One row of a manifest, its files known to exist. `line` counts the lines of the CSV, from 1 for the header."""

    line: int
    patient_id: str
    scan_id: str
    files: dict[str, Path]  # by modality, in the manifest's order
    mask: Path | None
    split: str | None

    @property
    def where(self) -> str:
        return f"manifest row {self.line}, scan {self.scan_id}"


def read_manifest(manifest: str | Path) -> list[Row]:
    """The rows of a manifest, checked without opening a volume; InputError names row, column and scan."""
    path = Path(manifest)
    lines = _csv_lines(path)
    header = [name.strip() for name in next(lines, (0, []))[1]]
    modalities = _modalities(header)
    rows = [_row(line, cells, header, modalities, path.parent) for line, cells in lines]
    if not rows:
        raise refused("The cohort is empty.", "manifest", "at least one row below the header", "none")
    _check_cohort(rows)
    return rows


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every line that is not blank."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, cells
    except FileNotFoundError:
        raise refused("There is no such manifest.", "manifest", "a CSV file", "nothing there") from None
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise refused(
            "The manifest cannot be read.", "manifest", "a CSV file in UTF-8", type(error).__name__
        ) from None


def _modalities(header: list[str]) -> tuple[str, ...]:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise refused(
            "The manifest lacks a column.",
            _HEADER,
            f"{', '.join(REQUIRED)}, separated by commas",
            f"no {', '.join(missing)}",
        )
    if len(set(header)) < len(header):
        raise refused("Two columns have the same name.", _HEADER, "different names", _twice(header))
    modalities = tuple(name for name in header if name not in REQUIRED + OPTIONAL)
    if not modalities:
        raise refused("The manifest has no modality.", _HEADER, "a column per modality, e.g. pet", "none")
    for name in modalities:
        if not _SAFE.fullmatch(name):
            where = f"{_HEADER}, column {header.index(name) + 1}"
            raise refused("A modality has an unusable name.", where, _SAFE_NAMES, "other characters")
    return modalities


def _twice(header: list[str]) -> str:
    """The first columns of one name, by number: the name may be a patient's file where cells have shifted."""
    second = next(i for i, name in enumerate(header) if name in header[:i])
    return f"one name for columns {header.index(header[second]) + 1} and {second + 1}"


def _row(line: int, cells: list[str], header: list[str], modalities: tuple[str, ...], folder: Path) -> Row:
    where = f"manifest row {line}"
    if len(cells) != len(header):
        raise refused(
            "A row has another number of cells than the header.", where, str(len(header)), str(len(cells))
        )
    values = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    for name in ("scan_id", "patient_id"):
        _check_id(name, values[name], f"{where}, column {name}")
    where += f", scan {values['scan_id']}"
    files = {name: _file(values[name], folder, f"{where}, column {name}") for name in modalities}
    mask = _file(values["mask"], folder, f"{where}, column mask") if values["mask"] else None
    if values.get("roi"):
        raise refused(
            "A region can be named only in DICOM structures, which are not supported yet.",
            f"{where}, column roi",
            "an empty cell",
            "a name",
        )
    split = values.get("split") or None
    if split is not None and split not in SPLITS:
        raise refused("The split is unknown.", f"{where}, column split", ", ".join(SPLITS), "another word")
    return Row(line, values["patient_id"], values["scan_id"], files, mask, split)


def _check_id(name: str, value: str, where: str) -> None:
    """What is no id stays out of the error: where cells have shifted, it is the path of a patient's file."""
    if not value:
        raise refused(f"The {name} is missing.", where, _SAFE_NAMES, "an empty cell")
    if not _SAFE.fullmatch(value):
        found = "other characters" if len(value) <= 100 else "more than 100 characters"
        raise refused(f"The {name} is unusable.", where, _SAFE_NAMES, found)


def _file(cell: str, folder: Path, where: str) -> Path:
    """The file a cell names. The cell's text stays out of errors: it is the path of a patient's file."""
    others = ", ".join(REQUIRED + OPTIONAL)
    expected = f"a path relative to the manifest (every column but {others} is a modality)"
    if not cell:
        raise refused("A modality is missing.", where, expected, "an empty cell")
    path = folder / cell
    pair = {".hdr": ".img", ".img": ".hdr"}.get(path.suffix.lower())
    try:
        there = path.exists()
        whole = not pair or path.with_suffix(pair).exists()
    except (
        OSError
    ) as error:  # too long a name, or a folder that may not be looked into; its text has the path
        raise refused(
            "The file cannot be looked up.", where, expected, error.strerror or type(error).__name__
        ) from None
    if not there:
        raise refused("The file does not exist.", where, expected, "nothing there")
    if not whole:
        raise refused("Half of the pair is missing.", where, "a .hdr and an .img of one name", "one of them")
    return path


def _check_cohort(rows: list[Row]) -> None:
    scans: dict[str, Row] = {}
    splits: dict[str, Row] = {}
    files: dict[Path, tuple[Row, str]] = {}
    for row in rows:
        # Some file systems do not tell capitals apart.
        first = scans.setdefault(row.scan_id.lower(), row)
        if first is not row:
            raise refused(
                "A scan_id stands twice.", row.where, "one row per scan", f"also in row {first.line}"
            )
        first = splits.setdefault(row.patient_id, row)
        if first.split != row.split:
            found = f"{row.split or 'none'} here, {first.split or 'none'} in row {first.line}"
            raise refused(
                "A patient is in two splits.", f"{row.where}, column split", "one per patient", found
            )
        if (row.split is None) != (rows[0].split is None):
            raise refused(
                "The split is missing.", f"{row.where}, column split", "one in every row, or none", "some"
            )
        _check_files(row, files)


def _check_files(row: Row, files: dict[Path, tuple[Row, str]]) -> None:
    """A file named twice is a slip of the pen: under two scans it could put one image on both sides of a
    split, in two columns it would make one modality, or the truth, of another."""
    for column, path in [*row.files.items(), *([("mask", row.mask)] if row.mask else [])]:
        first, other = files.setdefault(_identity(path), (row, column))
        where = f"{row.where}, column {column}"
        if first is not row:
            found = f"also in row {first.line}, scan {first.scan_id}"
            raise refused("A file is used by two scans.", where, "files of this scan alone", found)
        if other != column:
            raise refused(
                "A file is named in two columns.", where, "a file of its own", f"also in column {other}"
            )


def _identity(path: Path) -> Path:
    """One path for one image, whichever half of an Analyze pair names it."""
    path = path.resolve()
    return path.with_suffix(".hdr") if path.suffix == ".img" else path


def refused(problem: str, where: str, expected: str, found: str) -> InputError:
    """An error of the manifest or of a setting."""
    do = "Correct the manifest or the setting, or take the scan out of the manifest, and prepare again."
    return InputError(problem, where=where, expected=expected, found=found, do=do)
