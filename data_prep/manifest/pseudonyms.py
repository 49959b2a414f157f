"""The file that says which patient each pseudonym of a listing stands for; it identifies patients."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

from hnscc.base.errors import InputError
from hnscc.base.files import write_errors, write_text
from hnscc.base.in_words import count_of

_PSEUDONYMS = ("pseudonym", "dicom_patient_id")  # a manifest's patient_id is the pseudonym


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
    """Write which patient each of the pseudonyms, which stand by the patients' ids, stands for.

    The file identifies patients: only its owner may read it.
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
