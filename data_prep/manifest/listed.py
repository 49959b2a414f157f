"""The scans that a folder of DICOM holds, and the file that says which patient each pseudonym stands for."""

import csv
import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.dicom.listing import ListedSeries, Listing
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
    in a sentence; unclear: by column, why nothing was taken though there is something, in a sentence.
    """

    patient: str
    scan: str
    images: dict[str, Path] = field(repr=False)
    mask: Path | None = field(repr=False)
    regions: tuple[str, ...]
    chosen: dict[str, str]
    unclear: dict[str, str] = field(default_factory=dict)

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


def _usable(series: Sequence[ListedSeries]) -> dict[str, list[ListedSeries]]:
    """The volumes without a fault by modality, those of most slices first."""
    found: dict[str, list[ListedSeries]] = {}
    for each in sorted(series, key=lambda each: (-each.slices, each.key)):
        if each.modality and not each.fault:
            found.setdefault(each.modality, []).append(each)
    return found


def _common(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent.absolute() for path in paths]))


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


def write_pseudonyms(pseudonyms: Mapping[str, str], path: Path) -> None:
    """Write which patient each of the pseudonyms, which stand by the patients' ids, stands for.

    The file identifies patients: only its owner may read it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_PSEUDONYMS)
    writer.writerows(sorted((pseudonym, patient) for patient, pseudonym in pseudonyms.items()))
    before = os.umask(0o077)
    try:
        write_text(path, text.getvalue())
    finally:
        os.umask(before)
