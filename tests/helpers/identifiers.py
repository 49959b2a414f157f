"""Identifiers planted in whatever a hospital's files have for them: DICOM attributes, private ones, UIDs, dates, the
texts of NIfTI, the names of files and folders. Each bears a mark by which `leaks` finds it.
"""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from dicom_files import IDENTIFYING, with_meta
from nibabel.nifti1 import Nifti1Extension
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

MARK = "Vqxzj"  # every text begins with it, and with the number of the place that it stands in
UID = "1.2.826.0.1.3680043.7390512"  # every UID of a source begins with it
BIRTH, STUDY = "19031207", "20170813"  # dates
# Attributes of DICOM's patient and study modules; `--keep-identity` copies only these.
PATIENT_AND_STUDY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "OtherPatientIDs", "OtherPatientNames"),
    *("PatientComments", "EthnicGroup", "Occupation", "AdditionalPatientHistory", "ResponsiblePerson"),
    *("ResponsibleOrganization", "AccessionNumber", "ReferringPhysicianName", "StudyDescription", "StudyID"),
    *("NameOfPhysiciansReadingStudy", "PhysiciansOfRecord", "AdmittingDiagnosesDescription", "AdmissionID"),
    "RequestingService",
)
_MORE = (
    *("PatientTelephoneNumbers", "MedicalRecordLocator", "PatientReligiousPreference", "CountryOfResidence"),
    *("RegionOfResidence", "MilitaryRank", "BranchOfService", "InstitutionalDepartmentName"),
    *("ReferringPhysicianAddress", "ReferringPhysicianTelephoneNumbers"),
    *("RequestedProcedureDescription", "RequestedProcedureID", "PerformedProcedureStepDescription"),
    *("PerformedProcedureStepID", "DerivationDescription", "CurrentPatientLocation"),
)
STRUCTURES = ("StructureSetLabel", "StructureSetName", "StructureSetDescription", "ReviewerName")
REGIONS = ("ROIDescription", "ROIGenerationDescription")
OBSERVATIONS = ("ROIObservationLabel", "ROIInterpreter")
CONTENTS = ("ContentLabel", "ContentDescription", "ContentCreatorName")
SEGMENTS = ("SegmentDescription", "TrackingID")
_OTHER = (
    *("private", "private creator", "private sequence", "item of a sequence", "image type"),
    *("preamble", "padding"),
    *("descrip", "aux_file", "db_name", "intent_name", "comment", "DICOM in NIfTI", "name in gzip"),
    *("folder of the hospital", "folder of the patient", "file"),
)
_EVERYWHERE = tuple(dict.fromkeys((*IDENTIFYING, *PATIENT_AND_STUDY, *_MORE)))
PLACES = (*_EVERYWHERE, *STRUCTURES, *REGIONS, *OBSERVATIONS, *CONTENTS, *SEGMENTS, *_OTHER)


def planted(place: str) -> str:
    """Return the text that stands in such a place: 14 letters, since short texts of DICOM hold 16, one of them
    not ASCII."""
    return f"{MARK}{PLACES.index(place):03d}Müller"


def place_of(number: int) -> str:
    return PLACES[number]


def _in_capitals(place: str) -> str:
    """Return the planted text in the letters that a code of DICOM may have."""
    return planted(place).upper().replace("Ü", "UE")


def put(data: Dataset, *places: str) -> None:
    """Plant in the attributes that have these places' names."""
    for name in places:
        text, kind = planted(name), dictionary_VR(name)
        value = f"{text}^Jürgen" if kind == "PN" else _in_capitals(name) if kind == "CS" else text
        setattr(data, name, value)


def plant(data: Dataset, patient: int, series: int, number: int) -> Dataset:
    """Plant in all attributes that any object has, in private ones and around the data set; its UIDs are its own."""
    data.SpecificCharacterSet = "ISO_IR 192" if patient % 2 else "ISO_IR 100"
    put(data, *_EVERYWHERE)
    data.PatientID = f"{planted('PatientID')}{patient}"
    data.PatientBirthDate, data.PatientSex = BIRTH, "F"
    data.SliceThickness = data.get("SliceThickness") or 3
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = STUDY
    if "ImageType" in data:
        data.ImageType = [*data.ImageType[:2], _in_capitals("image type")]
    own = data.private_block(0x0029, planted("private creator"), create=True)
    own.add_new(0x11, "LO", planted("private"))
    own.add_new(0x12, "SQ", Items([_item("PatientName", "private sequence")]))
    data.RequestAttributesSequence = Items([_item("RequestedProcedureDescription", "item of a sequence")])
    data.DataSetTrailingPadding = planted("padding").encode().ljust(32, b"\0")
    data.StudyInstanceUID, data.FrameOfReferenceUID = f"{UID}.{patient}.1", f"{UID}.{patient}.2"
    data.SeriesInstanceUID = f"{UID}.{patient}.3.{series}"
    data.SOPInstanceUID = f"{data.SeriesInstanceUID}.{number}"
    with_meta(data).file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.preamble = planted("preamble").encode().ljust(128, b"\0")
    return data


def _item(attribute: str, place: str) -> Dataset:
    made = Dataset()
    setattr(made, attribute, planted(place))
    return made


def write_nifti(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write a compressed NIfTI file with every text that it has room for, and a name within the compression."""
    image = nib.Nifti1Image(values, affine)
    image.set_sform(affine, code=1)
    for name, size in (("descrip", 80), ("aux_file", 24), ("db_name", 18), ("intent_name", 16)):
        image.header[name] = planted(name).encode("latin-1")[:size]
    for code, place in ((6, "comment"), (2, "DICOM in NIfTI")):
        image.header.extensions.append(Nifti1Extension(code, planted(place).encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, gzip.GzipFile(planted("name in gzip"), "wb", fileobj=file) as packed:
        packed.write(image.to_bytes())
