"""Writes a manifest of the scans that a folder holds, with notes on what a user must look at in it.

It also reads and writes the file that says which patient each pseudonym stands for, and so identifies patients.
"""

import contextlib
import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep.dicom.series_in_folder import ListedSeries
from data_prep.files.names import MASK
from data_prep.manifest.columns import LESION_FREE, TO_FILL_IN, USUAL
from data_prep.manifest.folder import A_FEW_VISITS, FolderListing
from data_prep.manifest.listed import ListedScan
from hnscc.base.errors import InputError
from hnscc.base.files import write_errors, write_text
from hnscc.base.in_words import count_of

_PSEUDONYMS = ("pseudonym", "patient")  # a manifest's patient_id is the pseudonym
_NAMED_BEFORE = ("pseudonym", "dicom_patient_id")  # the header of older files, which are read alike
NAMED_SCANS = 3  # scans that a note names if there are more


def read_pseudonyms(path: Path) -> dict[str, str]:
    """Return the pseudonyms in a file, by PatientID of DICOM or else by the words of the path that say whose a file is.

    It is empty where there is no file. InputError is raised where the file is not such a table: it says what was found,
    without repeating the file's text.
    """
    if not path.exists():
        return {}
    try:
        lines = list(csv.reader(io.StringIO(path.read_text("utf-8")), strict=True))
    except (OSError, ValueError, csv.Error):
        raise _no_pseudonyms("a file that cannot be read as CSV in UTF-8") from None
    if not lines or tuple(lines[0]) not in (_PSEUDONYMS, _NAMED_BEFORE):
        raise _no_pseudonyms("other words in its first line" if lines else "an empty file")
    given: dict[str, str] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(_PSEUDONYMS):
            raise _no_pseudonyms(f"{count_of(len(cells), 'cell')} in line {number}")
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


def write_pseudonyms(pseudonyms: Mapping[str, str], path: Path) -> None:
    """Write which patient each pseudonym stands for; `pseudonyms` holds them by the patients' ids.

    The file identifies patients, so only its owner may read it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_PSEUDONYMS)
    writer.writerows(sorted((pseudonym, patient) for patient, pseudonym in pseudonyms.items()))
    before = os.umask(0o077)
    try:
        with write_errors(path.parent):
            write_text(path, text.getvalue())
    finally:
        os.umask(before)


@dataclass(frozen=True)
class ManifestNotes:
    """What a user must look at in a manifest, in sentences; the scans whose mask must be filled in, those whose mask
    needs a named region, and those that lack an image."""

    notes: tuple[str, ...]
    to_fill_in: tuple[str, ...]
    without_region: tuple[str, ...]
    without_image: tuple[str, ...]


def with_notes(listing: FolderListing, made: ManifestNotes) -> FolderListing:
    """Return the listing with the notes on the manifest that was made of it."""
    notes = (*listing.notes, *_of_one_id(listing.series), *_unread(listing.series), *made.notes)
    return replace(listing, **{**vars(made), "notes": notes})


def _of_one_id(series: Sequence[ListedSeries]) -> tuple[str, ...]:
    """Return notes on patients with more scans in DICOM than one is likely to have, without reports and plans."""
    scans: dict[str, set[str]] = {}
    for each in (each for each in series if each.modality):
        scans.setdefault(each.patient, set()).add(each.scan)
    return tuple(
        f"{patient}: {count_of(len(own), 'scan')} of one PatientID; if an anonymiser wrote it into the files of "
        "several patients, write a patient_id for each"
        for patient, own in scans.items()
        if len(own) > A_FEW_VISITS
    )


def _unread(series: Sequence[ListedSeries]) -> tuple[str, ...]:
    """Return notes on the scans of which no series of a modality can be read, with the reasons.

    Where that is so in all scans, the manifest has no column for the modality, and a scan without any other has no row.
    """
    faults: dict[tuple[str, str], list[str]] = {}
    for each in series:
        if each.modality:
            faults.setdefault((each.scan, each.modality), []).append(each.fault)
    return _together(
        [
            (
                scan,
                f"no series of {modality} can be read, so none is named: {' '.join(dict.fromkeys(own))}",
            )
            for (scan, modality), own in faults.items()
            if all(own)
        ]
    )


def check_new(manifest: Path) -> None:
    """Raise InputError where the manifest that is to be written exists already."""
    if manifest.exists():
        raise InputError(
            "The manifest is there already.",
            where="--manifest",
            expected="a name that is not there yet",
            found="a folder" if manifest.is_dir() else "a file",
            do="Give another name, or move it away.",
        )


def write_manifest(scans: Sequence[ListedScan], manifest: Path) -> ManifestNotes:
    """Write a manifest of scans, and return what the user must look at in it.

    Where a scan has no mask, or it is unclear which file is the mask, the cell says FILL-IN, which `prepare` refuses,
    since a scan is not free of lesion just because its contours were not exported. InputError is raised where the
    manifest exists already, or no scan holds a volume.
    """
    check_new(manifest)
    columns = image_columns(scans)
    if not columns:
        raise InputError(
            "No scan of the folder can be prepared.",
            where="the folder",
            expected="a series of PET, MR or CT, or a file of an image, without a fault",
            found=_no_image(scans) or "none",
            do="See the table that `hnscc scan FOLDER` prints: it says what keeps each of them from being read, or is "
            "taken for what. Where several files may be meant, `--prefer PATTERN` says which is, by its "
            "name.",
        )
    rows = [["patient_id", "scan_id", *columns, "mask", "roi"]]
    rows += [_row(each, columns, manifest.parent) for each in scans]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    _write(manifest, text.getvalue())
    return ManifestNotes(
        _parts_of_one(scans)
        + _together([(each.scan, note) for each in scans for note in _notes(each, columns)]),
        tuple(each.scan for each in scans if not each.mask),
        tuple(each.scan for each in scans if len(each.regions) > 1),
        tuple(each.scan for each in scans if any(name not in each.images for name in columns)),
    )


def _parts_of_one(scans: Sequence[ListedScan]) -> tuple[str, ...]:
    """Return a note on patients with two scans of which each has images that the other lacks, as of two scanners."""
    of_patient: dict[str, list[ListedScan]] = {}
    for each in scans:
        of_patient.setdefault(each.patient, []).append(each)
    pairs = [own for own in of_patient.values() if len(own) == 2]
    return _together(
        [
            (
                f"{one.scan} and {other.scan}",
                "neither has the other's images; if they show one visit, write all of them into one row (`hnscc "
                "prepare --register rigid` where they do not lie together)",
            )
            for one, other in pairs
            if not one.images.keys() & other.images.keys() and one.images and other.images
        ],
        "more pair",
    )


@contextlib.contextmanager
def taken_back_unless_done(manifest: Path) -> Iterator[None]:
    """Delete a manifest that was just written, unless the `with` block, which writes what belongs to it, succeeds.

    The manifest would be useless alone, and would be in the way if the same command is given again.
    """
    with contextlib.ExitStack() as undone:
        undone.callback(manifest.unlink, missing_ok=True)  # also after an interrupt
        yield
        undone.pop_all()


def _no_image(scans: Sequence[ListedScan]) -> str:
    """Return what is unclear about the scans' images, each sentence once."""
    told = dict.fromkeys(why for each in scans for name, why in each.unclear.items() if name != MASK)
    return "; ".join(told)


def image_columns(scans: Sequence[ListedScan]) -> list[str]:
    """Return the modalities that some scan has, or may have: the usual ones, then the others by name.

    It is empty where no scan surely has any.
    """
    found = {name for each in scans for name in (*each.images, *each.unclear)} - {MASK}
    if not any(each.images for each in scans):
        return []
    return [*(name for name in USUAL if name in found), *sorted(found - {*USUAL})]


def _together(notes: Sequence[tuple[str, str]], noun: str = "more scan") -> tuple[str, ...]:
    """Return the notes with the scans that they are about; notes with the same words are merged. noun: what those are
    that are counted and not named."""
    about: dict[str, list[str]] = {}
    for scan, note in notes:
        about.setdefault(note, []).append(scan)
    told = []
    for note, scans in about.items():
        more = f" and {count_of(len(scans) - NAMED_SCANS, noun)}" if len(scans) > NAMED_SCANS + 1 else ""
        told.append(f"{', '.join(scans[:NAMED_SCANS] if more else scans)}{more}: {note}")
    return tuple(told)


def _row(scan: ListedScan, columns: Sequence[str], beside: Path) -> list[str]:
    images = [_relative(scan.images[name], beside) if name in scan.images else "" for name in columns]
    mask = _relative(scan.mask, beside) if scan.mask else TO_FILL_IN
    return [scan.patient, scan.scan, *images, mask, scan.region]


def _notes(scan: ListedScan, columns: Sequence[str]) -> list[str]:
    """Return what a user must look at in the row of a scan."""
    told = [scan.chosen[name] for name in scan.images if name in scan.chosen]
    for name in columns:
        if name in scan.unclear:
            told.append(f"{scan.unclear[name]}; the cell of column {name} is empty: {_right_one(scan, name)}")
        elif name not in scan.images:
            told.append(f"nothing for the column {name}; fill its cell, or leave the scan or the column out")
    if MASK in scan.unclear:
        told.append(
            f"{scan.unclear[MASK]}; its cell says {TO_FILL_IN}: {_right_one(scan, MASK)}, or `{LESION_FREE}` where the "
            "scan has no lesion"
        )
    elif not scan.mask:
        told.append(
            f"no mask found; its cell says {TO_FILL_IN}: write a mask there, or `{LESION_FREE}` where the scan has no "
            "lesion"
        )
    told += [scan.chosen[MASK]] if MASK in scan.chosen else []
    if len(scan.regions) > 1:
        told.append(f"the mask holds {count_of(len(scan.regions), 'region')}; write one into the column roi")
    return told


def _right_one(scan: ListedScan, name: str) -> str:
    """Return what a user should do about a cell left empty although there is something for it."""
    there = "write the right one there"
    return (
        f"{there} (or say which by `--prefer`, as in `--prefer '*T1_mask*'`)"
        if name in scan.several
        else there
    )


def _write(manifest: Path, text: str) -> None:
    try:
        with write_errors(manifest.parent):
            write_text(manifest, text)
    except UnicodeEncodeError:
        raise InputError(
            "The name of a file or folder cannot be written into a manifest.",
            where="the folder",
            expected="names in UTF-8",
            found="one with bytes that are no text in UTF-8, as old systems write umlauts",
            do="Rename it to letters and digits (`LC_ALL=C ls` shows such bytes as ?), and scan again.",
        ) from None


def _relative(path: Path, beside: Path) -> str:
    try:
        return Path(os.path.relpath(path.absolute(), beside.absolute())).as_posix()
    except ValueError:  # another drive of Windows
        return str(path.absolute())
