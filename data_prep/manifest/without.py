"""Makes rows of scans that are named without a manifest: one by its files, or those that folders hold."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from data_prep.dicom.series_volume import names_dicom
from data_prep.manifest.columns import LESION_FREE, cell_says, why_needed
from data_prep.manifest.folder import FolderListing, list_scans_below, scans_in
from data_prep.manifest.listed import ListedScan
from data_prep.manifest.made import read_pseudonyms, write_pseudonyms
from data_prep.manifest.manifest import Row, files_twice, named_file
from data_prep.manifest.of_series import COLUMNS
from hnscc.base.errors import InputError, several
from hnscc.base.in_words import count_of, listed, noun_of

_NEAR = 0.7  # for get_close_matches: pt is near pet, maks near mask
_PATIENT, _SCAN = "patient-1", "scan-1"  # not a file's name, which may be that of a patient
_BY_MANIFEST = (
    "Give folders of these scans alone, name the files of one scan (pet=FILE mri=FILE), or correct the manifest that "
    "`hnscc scan FOLDER --manifest FILE` writes, and give that."
)


def row_of_files(files: Mapping[str, str | Path], needed: Sequence[str], reference: str | None = None) -> Row:
    """Return the row of one scan, of which a file is given for each column: the modalities, and perhaps `mask`
    and `roi`.

    A file may be given as in a cell of a manifest, relative to the working directory, and columns in any capitals.
    Names other than a needed modality, mask or roi are left out, and `told` says so. reference: the modality that every
    variant needs. InputError reports all files that are missing, and a region without a mask.
    """
    where, columns = f"scan {_SCAN}", [*needed, "mask", "roi"]
    files = {_column(name, columns, files): cell for name, cell in files.items()}
    unused = [name for name in files if name not in columns]
    nearly = [near for name in unused for near in get_close_matches(name.casefold(), columns, 1, _NEAR)]
    given = {name: str(cell) for name, cell in files.items()}
    said_free = cell_says(LESION_FREE, given.get("mask", ""))
    faults: list[InputError] = []
    found: dict[str, Path] = {}
    for name in (*needed, *(["mask"] if "mask" in given and not said_free else [])):
        try:
            do = _name_it(name, reference, misspelt=name in nearly and name not in given)
            found[name] = _given_file(name, given.get(name, ""), f"{where}, column {name}", do)
        except InputError as fault:
            faults.append(fault)
    mask = found.pop("mask", None)
    if given.get("roi") and "mask" not in given:
        faults.append(
            InputError(
                "A region is named, and no mask.",
                where=f"{where}, column roi",
                expected="mask=FILE beside roi",
                found="roi alone",
                do="Name the mask, or leave the region out.",
            )
        )
    row = Row(
        line=0,
        patient_id=_PATIENT,
        scan_id=_SCAN,
        files=found,
        mask=mask,
        split=None,
        region=given.get("roi") if mask else None,
        said_free=said_free,
        told=_unread(len(unused), columns, nearly) if unused else (),
    )
    faults += [fault for _, fault in files_twice(row, {})]
    if faults:
        raise several(faults)
    return row


def _column(name: str, columns: Sequence[str], given: Iterable[str]) -> str:
    """Return the column that a name in other capitals means, if no other of the given names could; else the name."""
    alike = [each for each in given if each.casefold() == name.casefold()]
    return next((each for each in columns if each.casefold() == name.casefold() and len(alike) == 1), name)


def _unread(count: int, columns: Sequence[str], nearly: Sequence[str]) -> tuple[str, ...]:
    """Return what is said of names that are no columns, and which columns some nearly name.

    It does not repeat the names, since a path that contains = may have been taken for one.
    """
    known = listed(columns, "or")
    them = noun_of(count, "is not {}: nothing is read of it", "are not {}: nothing is read of them").format(
        known
    )
    near = "".join(f"; one is nearly {each}" for each in nearly)
    return (f"{count_of(count, 'name')} given with = {them}{near}",)


def _name_it(name: str, reference: str | None, *, misspelt: bool) -> str:
    why = f": {why_needed(name)}" if name == reference else ""
    near = f" A name that was given with = is nearly {name}." if misspelt else ""
    return f"Name the file behind {name}={why}.{near}"


def _given_file(name: str, cell: str, where: str, do: str) -> Path:
    return named_file(cell, Path(), where, f"{name}=FILE, relative to the working directory", do)


def rows_of_folders(
    folders: Sequence[Path],
    needed: Sequence[str],
    reference: str | None = None,
    pseudonyms: Path | None = None,
) -> list[Row]:
    """Return the rows that `hnscc scan` would write for the scans in some folders, with the needed modalities alone.

    A mask of which a user would have to choose a region, or one of several files, is left out, and `told` says so.
    reference: the modality that every variant needs. pseudonyms: the file that keeps them, as of `hnscc scan`.
    InputError reports every scan that lacks a modality, or that the file of pseudonyms is not such a table.
    """
    listing = list_scans_below(folders, read_pseudonyms(pseudonyms) if pseudonyms else {})
    scans = scans_in(listing)
    faults = [
        _lacking(each, name, listing, reference)
        for each in scans
        for name in needed
        if name not in each.images
    ]
    if not scans:
        faults = [
            _refused("The folders hold no scan.", "the folders", "series of PET, MR or CT", _faults(listing))
        ]
    if faults:
        raise several(faults)
    if pseudonyms:
        write_pseudonyms(listing.pseudonyms, pseudonyms)
    return [_row(each, needed) for each in scans]


def _row(scan: ListedScan, needed: Sequence[str]) -> Row:
    told = [f"{name}: {scan.chosen[name]}" for name in (*needed, "mask") if name in scan.chosen]
    several_regions = scan.mask is not None and not scan.region and names_dicom(scan.mask)
    mask = None if several_regions else scan.mask
    if several_regions:
        told.append(
            f"mask: it was left out, and is not scored, since it holds {count_of(len(scan.regions), 'region')}"
        )
    if "mask" in scan.unclear:
        told.append(f"mask: {scan.unclear['mask']}, so it is not scored")
    files = {name: scan.images[name] for name in needed}
    return Row(
        line=0,
        patient_id=scan.patient,
        scan_id=scan.scan,
        files=files,
        mask=mask,
        split=None,
        region=scan.region or None,
        told=tuple(told),
    )


def _lacking(scan: ListedScan, name: str, listing: FolderListing, reference: str | None) -> InputError:
    kinds = [kind for kind, column in COLUMNS.items() if column == name]
    where = f"scan {scan.scan}, column {name}"
    expected = f"a series of {kinds[0]} without a fault" if kinds else f"one of {', '.join(COLUMNS.values())}"
    if listing.files:
        expected = f"a file or series whose name or kind says {name}, one for the scan"
    if name == reference:
        expected += f": {why_needed(name)}"
    faults = [scan.unclear[name]] if name in scan.unclear else _faults(listing, scan.scan, kinds)
    return _refused("A modality is missing.", where, expected, faults)


def _faults(listing: FolderListing, scan: str | None = None, kinds: Sequence[str] = ()) -> list[str]:
    """Return why series cannot be read: of one scan and of these kinds, if they are given."""
    return [
        each.fault
        for each in listing.series
        if each.fault and (scan is None or (each.scan == scan and each.modality in kinds))
    ]


def _refused(problem: str, where: str, expected: str, faults: Iterable[str]) -> InputError:
    return InputError(
        problem,
        where=where,
        expected=expected,
        found=" ".join(dict.fromkeys(faults)) or "none",
        do=_BY_MANIFEST,
    )
