"""The DICOM object that a mask cell names: a structure set in a file or in a folder, whatever else lies there."""

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from data_prep import rtstruct
from data_prep.dicom import named_series, names_dicom
from data_prep.dicom_files import read_header
from data_prep.dicom_header import refused, text_of
from data_prep.dicom_series import all_series

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
KINDS = {RTSTRUCT: "a structure set (RTSTRUCT)"}


@dataclass(frozen=True)
class DicomMask:
    """The header of the object, of it what its reader asks for, and its file; neither is for any text."""

    path: Path
    header: Dataset


def read_dicom_mask(path: Path, where: str) -> DicomMask | None:
    """Return the object that a cell names; None where the cell names an image or no DICOM at all.

    `path` may be a file, a folder, or a folder and the series behind a # (data_prep.dicom.named_series). InputError
    where a folder holds several such objects and none is named.
    """
    if not names_dicom(path):
        return None
    place, series = named_series(path)
    groups = all_series(place, where)
    if series is not None:
        groups = [each for each in groups if series.strip().upper() in (each.uid, each.key.upper())]
    files = [
        instance.file
        for each in groups
        for instance in each.instances
        if text_of(instance.header, "SOPClassUID", where) in KINDS
    ]
    if not files:
        return None
    if len(files) > 1:
        raise refused(
            "The folder holds several masks.",
            where,
            " or ".join(KINDS.values()),
            f"{len(files)} of them",
            "Name the file itself in the mask column; or the series behind the folder, after a #.",
        )
    (file,) = files
    return DicomMask(file, read_header(file, where, rtstruct.TAGS))
