"""What a mask that is written as DICOM takes over from the series that it refers to, and how it is written."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.config import RAISE
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName, validate_value

from data_prep.dicom.header import UNREADABLE, quiet, text_of, unusable
from data_prep.dicom.series_volume import source_slices
from data_prep.dicom.slices import Slice
from hnscc.base.in_words import count_of

# What a reference to a slice, and its place in space, are made of.
_PLACE = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("Modality", "Rows", "Columns", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient"),
    "PixelSpacing",
)
# Attributes that must be there, and may be empty.
MAY_BE_EMPTY = (
    *("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName"),
)


def write_referring(
    path: Path,
    source: Path,
    save: Callable[[list[Slice], BytesIO], None],
    *,
    kind: str,
    keep_identity: bool,
    where: str,
) -> None:
    """Write what `save` makes of the slices of the series that a manifest's cell `source` names; `kind` is it in words.

    InputError, and nothing is written, where the series cannot be referred to, where its attributes cannot be copied,
    and as by data_prep.dicom.series_volume.read_dicom_volume; `where` is how it names the scan.
    """
    with quiet():
        slices = source_slices(source, where)
        _check_reference(slices, where, kind)
        content = BytesIO()
        try:
            save(slices, content)
        except UNREADABLE:  # its text quotes the header
            files = {each.file: each for each in slices}.values()
            if all(_as_defined(referred(each, "", keep_identity)) for each in files):
                raise  # a fault of this program
            raise unusable(
                f"No DICOM {kind} can be made of the series' attributes.",
                where,
                "attributes as DICOM defines them",
                "one or more that pydicom cannot write",
                "Use the NIfTI mask" + (", or leave --keep-identity out." if keep_identity else "."),
            ) from None
    path.write_bytes(content.getvalue())


def say_pseudonymous(made: Dataset) -> None:
    """Say in a mask that a pseudonym stands for the patient."""
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = "a pseudonym in place of all but the UIDs referred to"


def _check_reference(slices: list[Slice], where: str, kind: str) -> None:
    """InputError where what is written, `kind` in words, could not say which instances it lies over."""
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


def _as_defined(header: Dataset) -> bool:
    """Whether all attributes can be decoded, and their texts are as DICOM defines them for their types."""
    try:
        for element in header.iterall():
            for value in element.value if element.VM > 1 else [element.value]:
                if isinstance(value, (str, PersonName)):
                    validate_value(element.VR, value, RAISE)
    except UNREADABLE:
        return False
    return True


def referred(slice_: Slice, patient_id: str, keep_identity: bool) -> Dataset:
    """Return what a mask may know of a slice's file: of the patient the pseudonym alone, unless keep_identity."""
    if keep_identity:
        made: Dataset = dcmread(slice_.file, stop_before_pixels=True)
    else:
        header = slice_.groups[-1]
        made = Dataset()
        for name in _PLACE:
            if name in header:
                made[name] = header[name]
        made.PatientID = patient_id
    for name in MAY_BE_EMPTY:
        if name not in made:
            setattr(made, name, "")
    return made
