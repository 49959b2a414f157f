"""A manifest made from what a folder of DICOM holds, and the key file that tells pseudonyms and patients apart."""

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data_prep.dicom.listing import ListedSeries, Listing
from hnscc.base.errors import InputError
from hnscc.base.files import write_text

COLUMNS = {"PT": "pet", "MR": "mri", "CT": "ct"}  # of the manifest, by modality
_KEY = ("pseudonym", "patient_id")


def write_manifest(listing: Listing, manifest: Path) -> list[str]:
    """Write a manifest of the scans that hold a volume; returns what the user must look at, in sentences.

    Of several series of a modality the one with the most slices is taken, of several masks the one whose region bears
    the name that most scans have. InputError where the manifest is there already, or no scan holds a volume.
    """
    if manifest.exists():
        raise InputError(
            "The manifest is there already.",
            where="--manifest",
            expected="a name that is not there yet",
            found="a file",
            do="Give another name, or move the file away.",
        )
    scans: dict[str, list[ListedSeries]] = {}
    for each in listing.series:
        scans.setdefault(each.scan, []).append(each)
    volumes = {scan: _usable(series) for scan, series in scans.items()}
    columns = [name for kind, name in COLUMNS.items() if any(kind in found for found in volumes.values())]
    if not columns:
        raise InputError(
            "No scan of the folder can be prepared.",
            where="the folder",
            expected="a series of PET, MR or CT without a fault",
            found="none",
            do="See the table that `hnscc scan FOLDER` prints: it says what keeps each series from being read.",
        )
    names = Counter(
        name for series in scans.values() for name in {n for each in series for n in each.regions}
    )
    told: list[str] = []
    rows = [["patient_id", "scan_id", *columns, "mask", "roi"]]
    for scan, found in volumes.items():
        if found:
            cells = _images(scan, found, columns, manifest.parent, told)
            mask = _mask(scan, scans[scan], names, manifest.parent, told)
            rows.append([scans[scan][0].patient, scan, *cells, *mask])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(manifest, text.getvalue())
    return told


def _usable(series: Sequence[ListedSeries]) -> dict[str, list[ListedSeries]]:
    """The volumes without a fault by modality, those of most slices first."""
    found: dict[str, list[ListedSeries]] = {}
    for each in sorted(series, key=lambda each: (-each.slices, each.key)):
        if each.modality and not each.fault:
            found.setdefault(each.modality, []).append(each)
    return found


def _images(
    scan: str, found: dict[str, list[ListedSeries]], columns: list[str], beside: Path, told: list[str]
) -> list[str]:
    """The cells of the images of a scan; `told` gets what a user must look at."""
    cells = dict.fromkeys(columns, "")
    for modality, ones in found.items():
        first, *others = ones
        cells[COLUMNS[modality]] = f"{_relative(_common(first.paths), beside)}#{first.key}"
        if others:
            keys = ", ".join(f"#{each.key}" for each in others)
            told.append(f"{scan}: of {len(ones)} series of {modality}, #{first.key} was taken, not {keys}")
    told += [f"{scan}: no series for the column {name}" for name, cell in cells.items() if not cell]
    return list(cells.values())


def _mask(
    scan: str, series: Sequence[ListedSeries], names: Counter[str], beside: Path, told: list[str]
) -> tuple[str, str]:
    """The cells `mask` and `roi` of a scan."""

    def rank(mask: ListedSeries) -> tuple[int, tuple[str, ...], str]:
        return -max((names[name] for name in mask.regions), default=0), mask.regions, mask.key

    masks = sorted((each for each in series if each.is_mask), key=rank)
    if not masks:
        told.append(f"{scan}: no mask found; its empty cell says that the scan is free of lesion")
        return "", ""
    mask = masks[0]
    if len(masks) > 1 or mask.files > 1:
        told.append(f"{scan}: of several masks, a file of #{mask.key} was taken")
    region = mask.regions[0] if len(mask.regions) == 1 else ""
    if len(mask.regions) > 1:
        told.append(f"{scan}: the mask holds {len(mask.regions)} regions; write one into the column roi")
    return _relative(min(mask.paths), beside), region


def _common(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent.absolute() for path in paths]))


def _relative(path: Path, beside: Path) -> str:
    try:
        return Path(os.path.relpath(path.absolute(), beside.absolute())).as_posix()
    except ValueError:  # another drive of Windows
        return str(path.absolute())


def read_key(key: Path) -> dict[str, str]:
    """Return the pseudonyms of a key file by PatientID; none where the file is not there.

    InputError where the file is no such table.
    """
    if not key.exists():
        return {}
    try:
        first, *rows = list(csv.reader(io.StringIO(key.read_text("utf-8")), strict=True))
        given = {patient: pseudonym for pseudonym, patient in rows}
    except (OSError, ValueError, csv.Error):
        first, given, rows = [], {}, []
    if tuple(first) != _KEY or len(set(given.values())) != len(rows):
        raise InputError(
            "The key file cannot be read.",
            where="--key",
            expected=f"a CSV with the columns {' and '.join(_KEY)}, each pseudonym and each patient once",
            found="something else",
            do="Give the file that an earlier `hnscc scan` wrote, or a name that is not there yet.",
        )
    return given


def write_key(listing: Listing, key: Path) -> None:
    """Write which patient each pseudonym stands for. The file identifies patients: only its owner may read it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_KEY)
    writer.writerows(sorted((pseudonym, patient) for patient, pseudonym in listing.pseudonyms.items()))
    before = os.umask(0o077)
    try:
        write_text(key, text.getvalue())
    finally:
        os.umask(before)
