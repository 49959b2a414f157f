"""What a mask that is written as DICOM takes over from the series that it refers to."""

from pydicom import dcmread
from pydicom.dataset import Dataset

from data_prep.dicom.header import text_of, unusable
from data_prep.dicom.slices import Slice

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


def check_reference(slices: list[Slice], where: str, kind: str) -> None:
    """InputError where what is written, `kind` in words, could not say which images it lies over."""
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        if not all(text_of(each.groups[-1], name, where) for each in slices):
            raise unusable(
                f"A DICOM {kind} cannot refer to the series.", where, f"a {name} in every file", "none"
            )
    files = {each.file for each in slices}
    if 1 < len(files) < len(slices):
        raise unusable(
            f"A DICOM {kind} cannot refer to the series.",
            where,
            "one file for each slice, or one for all",
            f"{len(slices)} slices in {len(files)} files",
        )


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
