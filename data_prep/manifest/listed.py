"""A manifest made from what a folder of DICOM holds, and the file that says which patient each pseudonym stands for."""

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_prep.dicom.listing import ListedSeries, Listing
from data_prep.manifest.columns import LESION_FREE, TO_FILL_IN
from hnscc.base.errors import InputError
from hnscc.base.files import write_text

COLUMNS = {"PT": "pet", "MR": "mri", "CT": "ct"}  # of the manifest, by modality
_PSEUDONYMS = ("pseudonym", "dicom_patient_id")  # a manifest's patient_id is the pseudonym


@dataclass(frozen=True)
class ListedScan:
    """A scan of a listing that holds a volume.

    images: the absolute path of the series of each column, its key behind a `#`; of several series of a modality, that
    of the most slices. mask: the file of its contours or segments, of several the one whose region bears the name that
    most scans have; None where there is none. regions: the names in it. chosen: by column, what was taken of several,
    in a sentence.
    """

    patient: str
    scan: str
    images: dict[str, Path] = field(repr=False)
    mask: Path | None = field(repr=False)
    regions: tuple[str, ...]
    chosen: dict[str, str]

    @property
    def region(self) -> str:
        """The only region of its mask; empty where there are several, of which a user has to choose."""
        return self.regions[0] if len(self.regions) == 1 else ""


def scans_of(listing: Listing) -> list[ListedScan]:
    """Return the scans of a listing that hold a volume without a fault, in its order."""
    scans: dict[str, list[ListedSeries]] = {}
    for each in listing.series:
        scans.setdefault(each.scan, []).append(each)
    names = Counter(
        name for series in scans.values() for name in {n for each in series for n in each.regions}
    )
    return [_scan(series, found, names) for series in scans.values() if (found := _usable(series))]


def _scan(
    series: Sequence[ListedSeries], found: dict[str, list[ListedSeries]], names: Counter[str]
) -> ListedScan:
    images, chosen = {}, {}
    for modality, (first, *others) in found.items():
        column = COLUMNS[modality]
        images[column] = Path(f"{_common(first.paths)}#{first.key}")
        if others:
            keys = ", ".join(f"#{each.key}" for each in others)
            chosen[column] = f"of {1 + len(others)} series of {modality}, #{first.key} was taken, not {keys}"

    def rank(mask: ListedSeries) -> tuple[int, tuple[str, ...], str]:
        return -max((names[name] for name in mask.regions), default=0), mask.regions, mask.key

    masks = sorted((each for each in series if each.is_mask), key=rank)
    if masks and (len(masks) > 1 or masks[0].files > 1):
        chosen["mask"] = f"of several masks, a file of #{masks[0].key} was taken"
    mask = min(masks[0].paths).absolute() if masks else None
    regions = masks[0].regions if masks else ()
    return ListedScan(series[0].patient, series[0].scan, images, mask, regions, chosen)


def write_manifest(listing: Listing, manifest: Path) -> Listing:
    """Write a manifest of the scans that hold a volume; returns the listing with what the user must look at in it.

    Of several series or masks one is taken (`ListedScan`). Where a scan has no mask, the cell says FILL-IN, which
    `prepare` refuses: no scan is free of lesion because its contours were not exported. InputError where the manifest
    is there already, or no scan holds a volume.
    """
    if manifest.exists():
        raise InputError(
            "The manifest is there already.",
            where="--manifest",
            expected="a name that is not there yet",
            found="a file",
            do="Give another name, or move the file away.",
        )
    scans = scans_of(listing)
    columns = [name for name in COLUMNS.values() if any(name in each.images for each in scans)]
    if not columns:
        raise InputError(
            "No scan of the folder can be prepared.",
            where="the folder",
            expected="a series of PET, MR or CT without a fault",
            found="none",
            do="See the table that `hnscc scan FOLDER` prints: it says what keeps each series from being read.",
        )
    rows = [["patient_id", "scan_id", *columns, "mask", "roi"]]
    rows += [_row(each, columns, manifest.parent) for each in scans]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    _write(manifest, text.getvalue())
    told = [f"{each.scan}: {note}" for each in scans for note in _notes(each, columns)]
    maskless = [each.scan for each in scans if not each.mask]
    return replace(listing, notes=tuple(told), to_fill_in=tuple(maskless))


def _row(scan: ListedScan, columns: Sequence[str], beside: Path) -> list[str]:
    images = [_relative(scan.images[name], beside) if name in scan.images else "" for name in columns]
    mask = _relative(scan.mask, beside) if scan.mask else TO_FILL_IN
    return [scan.patient, scan.scan, *images, mask, scan.region]


def _notes(scan: ListedScan, columns: Sequence[str]) -> list[str]:
    """What a user must look at in the row of a scan."""
    told = [scan.chosen[name] for name in scan.images if name in scan.chosen]
    told += [f"no series for the column {name}" for name in columns if name not in scan.images]
    if not scan.mask:
        told.append(
            f"no mask found; its cell says {TO_FILL_IN}: write a mask there, or `{LESION_FREE}` where the scan has no "
            "lesion"
        )
    told += [scan.chosen["mask"]] if "mask" in scan.chosen else []
    if len(scan.regions) > 1:
        told.append(f"the mask holds {len(scan.regions)} regions; write one into the column roi")
    return told


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
