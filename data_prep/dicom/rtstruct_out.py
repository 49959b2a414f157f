"""Writes a predicted mask as contours: a DICOM structure set (RTSTRUCT) that refers to the series it was
predicted from."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from data_prep.dicom.header import text_of, unusable
from data_prep.dicom.outlines import outlines
from data_prep.dicom.referred import MAY_BE_EMPTY, referred, say_pseudonymous, write_referring
from data_prep.dicom.slices import Slice
from hnscc.base.arrays import Bools, Masks

STORAGE = UID("1.2.840.10008.5.1.4.1.1.481.3")
# The standard demands this reference to a study although it retired it.
_STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"
_NAME = "Lesion"


def save_rtstruct(
    path: Path,
    mask: Masks,
    source: Path,
    *,
    patient_id: str,
    keep_identity: bool,
    where: str,
) -> None:
    """Write a mask (x, y, z) in the order of the source series as an RTSTRUCT with one region, `Lesion`.

    Contours run along the edges of pixels, holes are joined to them by keyholes: filled again, they are the mask. The
    other arguments and errors are those of data_prep.dicom.seg_out.save_seg; InputError too where the mask is empty.
    """
    if not mask.any():
        raise unusable(
            "There is nothing to outline.", where, "lesion", "none", "Use the NIfTI mask, which may be empty."
        )
    write_referring(
        path,
        source,
        lambda slices, to, keep: _made(slices, mask.astype(bool), patient_id, keep).save_as(
            to, enforce_file_format=True
        ),
        kind="structure set",
        keep_identity=keep_identity,
        where=where,
    )


def _made(slices: list[Slice], mask: Bools, patient_id: str, keep_identity: bool) -> FileDataset:
    """Return an RTSTRUCT whose one region is the mask (x, y, z), z in the order of the slices."""
    source = referred(slices[0], patient_id, keep_identity)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = STORAGE, generate_uid(prefix=None)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for name in ("PatientID", "StudyInstanceUID", *MAY_BE_EMPTY):
        made[name] = source[name]
    made.SOPClassUID, made.SOPInstanceUID = STORAGE, meta.MediaStorageSOPInstanceUID
    made.SeriesInstanceUID, made.Modality = generate_uid(prefix=None), "RTSTRUCT"
    made.SeriesNumber, made.InstanceNumber, made.OperatorsName = 1001, 1, ""
    made.Manufacturer, made.ManufacturerModelName = "hnscc", "hnscc predict"
    made.StructureSetLabel, made.StructureSetDate, made.StructureSetTime = "PREDICTED", "", ""
    if not keep_identity:
        say_pseudonymous(made)
    frame = text_of(slices[0].groups[-1], "FrameOfReferenceUID", "")
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = frame, ""
    made.ReferencedFrameOfReferenceSequence = _items(_frame(slices, frame))
    made.StructureSetROISequence = _items(
        _set(
            ROINumber=1,
            ReferencedFrameOfReferenceUID=frame,
            ROIName=_NAME,
            ROIGenerationAlgorithm="AUTOMATIC",
        )
    )
    contours = [each for at, slice_ in enumerate(slices) for each in _contours(slice_, mask[:, :, at])]
    made.ROIContourSequence = _items(
        _set(ReferencedROINumber=1, ROIDisplayColor=[255, 0, 0], ContourSequence=Sequence(contours))
    )
    made.RTROIObservationsSequence = _items(
        _set(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="", ROIInterpreter="")
    )
    made.ApprovalStatus = "UNAPPROVED"
    return made


def _frame(slices: list[Slice], frame: str) -> Dataset:
    """Return the frame of reference, and the instances of the series in it."""
    header = slices[0].groups[-1]
    series = _set(
        SeriesInstanceUID=text_of(header, "SeriesInstanceUID", ""),
        ContourImageSequence=Sequence([_image(each) for each in slices]),
    )
    study = _set(
        ReferencedSOPClassUID=_STUDY_COMPONENT,
        ReferencedSOPInstanceUID=text_of(header, "StudyInstanceUID", ""),
        RTReferencedSeriesSequence=_items(series),
    )
    return _set(FrameOfReferenceUID=frame, RTReferencedStudySequence=_items(study))


def _image(slice_: Slice) -> Dataset:
    header = slice_.groups[-1]
    made = _set(
        ReferencedSOPClassUID=text_of(header, "SOPClassUID", ""),
        ReferencedSOPInstanceUID=text_of(header, "SOPInstanceUID", ""),
    )
    if header.get("NumberOfFrames"):
        made.ReferencedFrameNumber = slice_.frame + 1
    return made


def _contours(slice_: Slice, lesion: Bools) -> list[Dataset]:
    """Return the outlines of a slice (x, y), in mm as DICOM counts them, to a tenth of a micrometre."""
    steps = slice_.axes * np.array(slice_.pixel)[:, None]
    made = []
    for outline in outlines(lesion):
        points = slice_.position + outline @ steps
        made.append(
            _set(
                ContourImageSequence=_items(_image(slice_)),
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(points),
                ContourData=[f"{value:.4f}" for value in points.ravel()],
            )
        )
    return made


def _set(**attributes: object) -> Dataset:
    made = Dataset()
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def _items(*made: Dataset) -> Sequence:
    return Sequence(made)
