"""A manifest made from what a folder of DICOM holds, and the file that says which patient each pseudonym stands for."""

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_prep.dicom.listing import ListedSeries, Listing
from data_prep.manifest.columns import LESION_FREE, TO_FILL_IN
from hnscc.base.errors import InputError
from hnscc.base.files import write_text

COLUMNS = {"PT": "pet", "MR": "mri", "CT": "ct"}  # of the manifest, by modality
_PSEUDONYMS = ("pseudonym", "dicom_patient_id")  # a manifest's patient_id is the pseudonym


def write_manifest(listing: Listing, manifest: Path) -> Listing:
    """Write a manifest of the scans that hold a volume; returns the listing with what the user must look at in it.

    Of several series of a modality the one with the most slices is taken, of several masks the one whose region bears
    the name that most scans have. Where a scan has none, the cell says FILL-IN, which `prepare` refuses: no scan is
    free of lesion because its contours were not exported. InputError where the manifest is there already, or no scan
    holds a volume.
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
    maskless: list[str] = []
    rows = [["patient_id", "scan_id", *columns, "mask", "roi"]]
    for scan, found in volumes.items():
        if found:
            cells = _images(scan, found, columns, manifest.parent, told)
            mask = _mask(scan, scans[scan], names, manifest.parent, told)
            rows.append([scans[scan][0].patient, scan, *cells, *mask])
            maskless += [scan] if mask[0] == TO_FILL_IN else []
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    _write(manifest, text.getvalue())
    return replace(listing, notes=tuple(told), to_fill_in=tuple(maskless))


def _write(manifest: Path, text: str) -> None:
    try:
        write_text(manifest, text)
    except UnicodeEncodeError:
        raise InputError(
            "The name of a file or folder cannot be written into a manifest.",
            where="the folder",
            expected="names in UTF-8",
            found="one with bytes that are no text in UTF-8, as old systems write umlauts",
            do="Rename it to letters and digits (`LC_ALL=C ls` shows such bytes as ?), and scan again.",
        ) from None


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
        told.append(
            f"{scan}: no mask found; its cell says {TO_FILL_IN}: write a mask there, or `{LESION_FREE}` where the scan "
            "has no lesion"
        )
        return TO_FILL_IN, ""
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


def read_pseudonyms(path: Path) -> dict[str, str]:
    """Return the pseudonyms of such a file by the patients' DICOM PatientID; none where the file is not there.

    InputError where the file is no such table: it says what was found, and repeats none of its text.
    """
    if not path.exists():
        return {}
    try:
        lines = list(csv.reader(io.StringIO(path.read_text("utf-8")), strict=True))
    except (OSError, ValueError, csv.Error):
        raise _no_pseudonyms("a file that cannot be read as CSV in UTF-8") from None
    if not lines or tuple(lines[0]) != _PSEUDONYMS:
        raise _no_pseudonyms("other words in its first line" if lines else "an empty file")
    given: dict[str, str] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(_PSEUDONYMS):
            raise _no_pseudonyms(f"{len(cells)} cells in line {number}")
        pseudonym, patient = cells
        if patient in given or pseudonym in given.values():
            what = "patient" if patient in given else "pseudonym"
            raise _no_pseudonyms(f"a {what} in line {number} that stands in an earlier line too")
        given[patient] = pseudonym
    return given


def _no_pseudonyms(found: str) -> InputError:
    return InputError(
        "The file of pseudonyms cannot be used.",
        where="--pseudonyms",
        expected=f"a CSV with the columns {' and '.join(_PSEUDONYMS)}, each pseudonym and each patient once",
        found=found,
        do="Give the file that an earlier `hnscc scan` wrote, or a name that is not there yet.",
    )


def write_pseudonyms(listing: Listing, path: Path) -> None:
    """Write which patient each pseudonym stands for. The file identifies patients: only its owner may read it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_PSEUDONYMS)
    writer.writerows(sorted((pseudonym, patient) for patient, pseudonym in listing.pseudonyms.items()))
    before = os.umask(0o077)
    try:
        write_text(path, text.getvalue())
    finally:
        os.umask(before)
