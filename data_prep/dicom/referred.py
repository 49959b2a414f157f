"""Copies what a mask written as DICOM takes from the series that it refers to, and writes such masks."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from data_prep.dicom.header import UNREADABLE, quiet, text_of, unusable
from data_prep.dicom.series import VOLUMES
from data_prep.dicom.series_volume import source_slices
from data_prep.dicom.slices import Slice
from hnscc.base.in_words import count_of

# What a reference to a slice, and its place in space, are made of.
_PLACE = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("Rows", "Columns", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
)
# Attributes that must be there, and may be empty.
MAY_BE_EMPTY = (
    *("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName"),
)


def write_referring(
    path: Path,
    source: Path,
    save: Callable[[list[Slice], BytesIO, bool], None],
    *,
    kind: str,
    keep_identity: bool,
    where: str,
) -> None:
    """Write a mask, of kind `kind`, that `save` makes over the slices of the series that a manifest's cell
    `source` names.

    keep_identity: whether it holds what identifies the patient. InputError is raised, and nothing is written, where the
    series cannot be referred to or its attributes cannot be copied, and as by
    data_prep.dicom.series_volume.read_dicom_volume; `where` is how it names the scan.
    """
    with quiet():
        slices = source_slices(source, where)
        _check_reference(slices, where, kind)
        content, failed = BytesIO(), False
        try:
            save(slices, content, keep_identity)
        except UNREADABLE:
            if not keep_identity:
                raise
            failed = True  # the text of this error quotes the header
        if failed:
            save(slices, BytesIO(), False)  # what fails without the header's texts is a fault of this program
            raise unusable(
                f"No DICOM {kind} can be made of the series' attributes.",
                where,
                "attributes as DICOM defines them",
                "one or more that cannot be written",
                "Use the NIfTI mask, or leave --keep-identity out.",
            )
    path.write_bytes(content.getvalue())


def say_pseudonymous(made: Dataset) -> None:
    """State in a mask that a pseudonym stands for the patient."""
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = "a pseudonym in place of all but the UIDs referred to"


def _check_reference(slices: list[Slice], where: str, kind: str) -> None:
    """Raise InputError where the mask could not say which instances it lies over; kind: the mask in words."""
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        if not all(text_of(each.groups[-1], name, where) for each in slices):
            raise unusable(
                f"A DICOM {kind} cannot refer to the series.",
                where,
                f"a {name} in every file",
                "none",
                "Use the NIfTI mask, or export the series again with that UID.",
            )
    files = {each.file for each in slices}
    if 1 < len(files) < len(slices):
        raise unusable(
            f"A DICOM {kind} cannot refer to the series.",
            where,
            "one file for each slice, or one for all",
            f"{count_of(len(slices), 'slice')} in {count_of(len(files), 'file')}",
            "Use the NIfTI mask, or export the series again as one of these.",
        )


def referred(slice_: Slice, patient_id: str, keep_identity: bool) -> Dataset:
    """Return what a mask may copy of a slice's file: of the patient only the pseudonym, unless keep_identity."""
    header = slice_.groups[-1]
    if keep_identity:
        made: Dataset = dcmread(slice_.file, stop_before_pixels=True)
    else:
        made = Dataset()
        for name in _PLACE:
            if name in header:
                made[name] = header[name]
        made.PatientID = patient_id
    # The file's own modality may be any text.
    made.Modality = VOLUMES[text_of(header, "SOPClassUID", "")]
    for name in MAY_BE_EMPTY:
        if name not in made:
            setattr(made, name, "")
    return made
