"""Reads the manifest, one CSV row per scan, and checks it as a whole before any volume is opened."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.dicom.instances import ENDINGS
from data_prep.dicom.series_volume import named_series
from data_prep.files.first_bytes import other_half
from data_prep.files.read import VOLUME_ENDINGS
from data_prep.manifest.cells import Cells, ManifestLine, read_cells, with_empty_column
from data_prep.manifest.columns import (
    LESION_FREE,
    OPTIONAL,
    REQUIRED,
    SAFE,
    SAFE_NAMES,
    TO_FILL_IN,
    cell_says,
    modality_columns,
    spelled,
)
from data_prep.manifest.ids import alike, lines_of, rows_text
from data_prep.manifest.nearly import nothing_there
from data_prep.manifest.paths import elsewhere, is_elsewhere, path_of
from hnscc.base.errors import InputError, several
from hnscc.base.in_words import count_of
from hnscc.base.locations import ZARR_ROOT
from hnscc.base.split_names import SPLITS

_UNKNOWN = "unknown"  # the split of a row whose cell names none
# What to do where no single cell or scan is wrong.
_ROWS = "Write a row for each scan below the header, and prepare again."
_CELLS = "Write as many cells as the header has, one with a comma in it between quotes, and prepare again."
_ONE_SPLIT = "Write one split into all rows of the patient, and prepare again."
_ALL_SPLITS = "Write a split into every row, or into none, and prepare again."
_UNIQUE = "Give each scan an id of its own in the whole cohort, such as p001_baseline, and prepare again."
_OWN = "Name the file that belongs here, or leave the scan out."
_A_PATH = f"a path relative to the manifest (every column but {', '.join(REQUIRED + OPTIONAL)} is a modality)"
_OF_FILES = (*VOLUME_ENDINGS, *ENDINGS, ZARR_ROOT)  # of a store the last, beside folders named by ids
Fault = tuple[int, InputError]  # the manifest's line, counted from 1, and what is wrong with it


@dataclass(frozen=True)
class Row:
    """One row of a manifest, whose files exist. `line` counts the lines of the CSV, from 1 for the header; it is 0
    where the scan was named without a manifest (data_prep.manifest.without), and its ids were made up. `mask` is
    None for a scan without lesion; `said_free` is true if the cell says so and is not just empty. `region` is what
    the column `roi` says of the mask (data_prep.dicom.regions). `told` are sentences on how its files were chosen
    of several."""

    line: int
    patient_id: str
    scan_id: str
    files: dict[str, Path]  # by modality, in the manifest's order
    mask: Path | None
    split: str | None
    region: str | None = None
    said_free: bool = False
    told: tuple[str, ...] = ()

    @property
    def columns(self) -> list[tuple[str, Path]]:
        """The columns that name a file, with their files: the modalities, then the mask if there is one."""
        return [*self.files.items(), *([("mask", self.mask)] if self.mask else [])]

    @property
    def where(self) -> str:
        return f"{f'manifest row {self.line}, ' if self.line else ''}scan {self.scan_id}"


def raise_all(faults: Iterable[Fault]) -> None:
    """Raise one InputError with all faults in the order of their lines; return where there is none."""
    in_order = [fault for _, fault in sorted(faults, key=lambda each: each[0])]
    if in_order:
        raise several(in_order)


def examine_manifest(
    manifest: str | Path, *, needed: Sequence[str] | None = None, reference: str | None = None
) -> tuple[list[Row], list[Fault]]:
    """Return the rows without a fault, and the faults of the others.

    needed: for new scans, the modalities that must have a column, and the only ones that are checked; the column `mask`
    may then be missing, and an empty cell, or one to be filled in, says nothing. None means every column that is a
    modality. reference: the needed modality that every variant needs. InputError is raised where the file or its
    columns leave no row to check.
    """
    path = Path(manifest)
    cells = spelled(read_cells(path), needed)
    if needed is not None and "mask" not in cells.names:
        cells = with_empty_column(cells, "mask")
    modalities = modality_columns(cells, path.parent, needed, reference)
    if not cells.rows and not cells.broken:
        raise refused("The cohort is empty.", "manifest", "at least one row below the header", "none", _ROWS)
    faults = [(line.number, _wrong_width(line, cells.width)) for line in cells.broken]
    rows = []
    for line in cells.rows:
        row, own = _row(line, cells, modalities, path.parent)
        faults += [(line.number, fault) for fault in own]
        rows += [row] if row else []
    faults += elsewhere(cells, (*modalities, "mask"), path.parent)
    faults += [*_cohort_faults(rows), *(_forgotten_masks(cells, rows) if needed is None else [])]
    faulty = {line for line, _ in faults}
    return [row for row in rows if row.line not in faulty], faults


def _wrong_width(line: ManifestLine, width: int) -> InputError:
    where, found = f"manifest row {line.number}", str(len(line.cells))
    return refused("A row has another number of cells than the header.", where, str(width), found, _CELLS)


def _row(
    line: ManifestLine, cells: Cells, modalities: tuple[str, ...], folder: Path
) -> tuple[Row | None, list[InputError]]:
    """Return the row as far as it can be read (None without usable ids), and what is wrong with it.

    An unknown split, and files that do not exist, are left out of the row.
    """
    where = f"manifest row {line.number}"
    values = dict(zip(cells.names, line.cells, strict=True))
    faults: list[InputError] = []
    for name in ("scan_id", "patient_id"):
        if fault := _id_fault(name, values[name], f"{where}, column {name}"):
            faults.append(fault)
    if faults:
        return None, faults
    where += f", scan {values['scan_id']}"
    files: dict[str, Path] = {}
    said_free = cell_says(LESION_FREE, values["mask"])
    names_mask = bool(values["mask"]) and not said_free and not cell_says(TO_FILL_IN, values["mask"])
    for name in (*modalities, *(["mask"] if names_mask else [])):
        if is_elsewhere(values[name], folder):
            continue  # reported once for all rows
        try:
            files[name] = named_file(values[name], folder, f"{where}, column {name}")
        except InputError as fault:
            faults.append(fault)
    region = values.get("roi") or None
    if region is not None and not names_mask:
        at, expected = f"{where}, column roi", "an empty cell where the row has no mask"
        faults.append(refused("A region is named, and no mask.", at, expected, "a region"))
    split = values.get("split") or None
    if split is not None and split not in SPLITS:
        found = f"another word, of {count_of(len(split), 'character')}"
        faults.append(refused("The split is unknown.", f"{where}, column split", ", ".join(SPLITS), found))
        split = _UNKNOWN
    mask = files.pop("mask", None)
    ids = values["patient_id"], values["scan_id"]
    return Row(line.number, *ids, files, mask, split, region, said_free), faults


def _id_fault(name: str, value: str, where: str) -> InputError | None:
    """Return an error without the value, which is the path of a patient's file if cells have shifted; None for
    an id."""
    if not value:
        return refused(f"The {name} is missing.", where, SAFE_NAMES, "an empty cell")
    if not SAFE.fullmatch(value):
        found = "other characters" if len(value) <= 100 else "more than 100 characters"
    elif value.lower().endswith(_OF_FILES):
        found = "the name of a file"
    else:
        return None
    return refused(f"The {name} is unusable.", where, SAFE_NAMES, found)


def named_file(cell: str, folder: Path, where: str, expected: str = _A_PATH, do: str = "") -> Path:
    """Return the file that a cell names. InputError does not repeat the cell, which is the path of a patient's file."""
    if not cell:
        raise refused("A modality is missing.", where, expected, "an empty cell", do)
    path = path_of(cell, folder)
    other = other_half(path)
    try:
        place = named_series(path)[0]
        there = place.exists()
        found = "" if there else nothing_there(cell, place)
        whole = not other or other.exists()
    except OSError as error:
        # The name is too long, or a folder denies access; the error's own text has the path.
        raise refused(
            "The file cannot be looked up.", where, expected, error.strerror or type(error).__name__, do
        ) from None
    if not there:
        raise refused("The file does not exist.", where, expected, found, do)
    if not (place.is_file() or place.is_dir()):  # a pipe, for example, which may never deliver anything
        raise refused("What is named is no file.", where, expected, "a pipe, a socket or a device", do)
    if not whole:
        raise refused(
            "Half of the pair is missing.", where, "a .hdr and an .img of one name", "one of them", do
        )
    return path


def _cohort_faults(rows: list[Row]) -> Iterator[Fault]:
    """Yield what is wrong between rows, each with the line of the later row."""
    yield from _scans_twice(rows)
    yield from _ids_alike(rows)
    yield from _split_faults(rows)
    files: dict[Path, tuple[Row, str]] = {}
    for row in rows:
        yield from files_twice(row, files)


def _scans_twice(rows: list[Row]) -> Iterator[Fault]:
    scans: dict[str, Row] = {}
    for row in rows:
        # Some file systems ignore capitals.
        first = scans.setdefault(row.scan_id.lower(), row)
        if first is not row:
            where, found = f"{row.where}, column scan_id", f"also in row {first.line}"
            yield row.line, refused("A scan_id stands twice.", where, "one row per scan", found, _UNIQUE)


def _ids_alike(rows: list[Row]) -> Iterator[Fault]:
    """Yield ids that are alike: mistyped at a second visit, one patient becomes two, who may be trained and
    tested on."""
    for column, lines in (
        ("patient_id", lines_of((row.patient_id, row.line) for row in rows)),
        ("scan_id", lines_of((row.scan_id, row.line) for row in rows)),
    ):
        for later, first in alike(lines):
            if column == "scan_id" and later.lower() == first.lower():
                continue  # reported by _scans_twice
            yield (
                lines[later][0],
                InputError(
                    f"A {column} differs from another by capitals, leading zeros, dashes, underscores or dots alone.",
                    where=f"manifest {rows_text(lines[later])}, column {column}",
                    expected="one spelling of each id, and more difference between two",
                    found=f"{later}, and {first} in {rows_text(lines[first])}",
                    do=f"Write one {column} in one way in all of its rows, or give two ids that differ by more.",
                ),
            )


def _split_faults(rows: list[Row]) -> Iterator[Fault]:
    firsts: dict[str, Row] = {}
    some = any(row.split for row in rows)
    for row in (row for row in rows if row.split != _UNKNOWN):
        where = f"{row.where}, column split"
        first = firsts.setdefault(row.patient_id, row)
        if first.split != row.split:
            found = f"{row.split or 'none'} here, {first.split or 'none'} in row {first.line}"
            yield (
                row.line,
                refused("A patient is in two splits.", where, "one per patient", found, _ONE_SPLIT),
            )
        elif row.split is None and some:
            found = f"none here, and one in {count_of(sum(bool(each.split) for each in rows), 'row')}"
            yield (
                row.line,
                refused("The split is missing.", where, "one in every row, or none", found, _ALL_SPLITS),
            )


def _forgotten_masks(cells: Cells, rows: list[Row]) -> Iterator[Fault]:
    """Yield cells still to be filled in, and empty ones where other rows say that their scans have no lesion: a mask
    may have been forgotten there. rows: those with usable ids, which name their scans."""
    masks = cells.column(cells.names.index("mask"))
    some_free = any(cell_says(LESION_FREE, cell) for cell in masks)
    named = {row.line: row.where for row in rows}
    for line, cell in zip(cells.rows, masks, strict=True):
        where = f"{named.get(line.number) or f'manifest row {line.number}'}, column mask"
        if cell_says(TO_FILL_IN, cell):
            expected = f"a mask, or `{LESION_FREE}` for a scan without lesion"
            yield line.number, refused("The mask is still to be filled in.", where, expected, TO_FILL_IN)
        elif some_free and not cell:
            expected = f"a mask, or `{LESION_FREE}` as in other rows where the scan has no lesion"
            yield line.number, refused("The mask is missing.", where, expected, "an empty cell")


def files_twice(row: Row, files: dict[Path, tuple[Row, str]]) -> Iterator[Fault]:
    """Yield files that a row names although it or another row does already: in two scans they could put one image into
    two splits, in two columns they would make one modality, or the truth, of another."""
    for column, path in row.columns:
        # The folder of a scan's series may also hold its contours.
        named = _identity(path) / "mask" if column == "mask" and path.is_dir() else _identity(path)
        first, other = files.setdefault(named, (row, column))
        where = f"{row.where}, column {column}"
        if first is not row:
            found = f"also in row {first.line}, scan {first.scan_id}"
            fault = refused("A file is used by two scans.", where, "files of this scan alone", found, _OWN)
            yield row.line, fault
        elif other != column:
            found = f"also in column {other}"
            fault = refused("A file is named in two columns.", where, "a file of its own", found, _OWN)
            yield row.line, fault


def _identity(path: Path) -> Path:
    """Return the same path for both halves of an Analyze pair, which hold one image."""
    path = path.resolve()
    other = other_half(path)
    return min(path, other) if other else path


def refused(problem: str, where: str, expected: str, found: str, do: str = "") -> InputError:
    """Return an error of the manifest; without `do`, it says that a row must be corrected."""
    do = do or "Correct the manifest, or take the scan out of it, and prepare again."
    return InputError(problem, where=where, expected=expected, found=found, do=do)
