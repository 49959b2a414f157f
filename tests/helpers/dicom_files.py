"""DICOM files written by pydicom: classic series, enhanced objects, compressed pixels, and identifiers planted in them.

Positions, directions and lengths are DICOM's: mm, x to left, y to posterior, z to superior.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import gdcm
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

STORAGE = "1.2.840.10008.5.1.4.1.1."
CLASSES = {"CT": "2", "MR": "4", "PT": "128", "enhanced MR": "4.1", "capture": "7", "RTSTRUCT": "481.3"}
AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)

_NUMBERS = itertools.count()
# Attributes that identify, or may identify: each gets a text of its own, which no output may contain.
IDENTIFYING = (
    *(
        "PatientName",
        "PatientID",
        "OtherPatientIDs",
        "PatientBirthName",
        "PatientMotherBirthName",
        "PatientAddress",
    ),
    *(
        "PatientComments",
        "AccessionNumber",
        "InstitutionName",
        "InstitutionAddress",
        "ReferringPhysicianName",
    ),
    *("PerformingPhysicianName", "OperatorsName", "StudyDescription", "SeriesDescription", "StudyID"),
    *("ProtocolName", "StationName", "DeviceSerialNumber", "RequestingPhysician", "ImageComments"),
)


def planted(attribute: str) -> str:
    """Return the text that stands in an identifying attribute."""
    return f"SECRET^{attribute[:9]}"


def image(modality: str, pixels: np.ndarray, **attributes: object) -> Dataset:
    """Return one instance of an image: pixels (rows, columns), or (frames, rows, columns), of 8, 16 or 32 bits."""
    data = Dataset()
    data.SOPClassUID = STORAGE + CLASSES[modality]
    data.SOPInstanceUID = f"1.2.826.0.1.4.{next(_NUMBERS)}"
    data.Modality = modality if modality in ("CT", "MR", "PT") else "MR" if "MR" in modality else "OT"
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.826.0.1.1", "1.2.826.0.1.2"
    data.FrameOfReferenceUID = "1.2.826.0.1.3"
    data.ImageType = ["ORIGINAL", "PRIMARY"]
    data.StudyDate, data.SeriesDate, data.AcquisitionDate = "20200102", "20200102", "20200102"
    data.StudyTime, data.SeriesTime, data.AcquisitionTime = "100000", "101500", "101500"
    for name in IDENTIFYING:
        setattr(data, name, planted(name))
    data.private_block(0x0019, "SECRET", create=True).add_new(0x10, "LO", planted("private"))
    data.Rows, data.Columns = pixels.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8 * pixels.dtype.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    data["PixelData"].VR = "OW"
    for name, value in attributes.items():
        setattr(data, name, value)
    return data


def classic_series(
    values: np.ndarray,
    *,
    modality: str = "MR",
    orientation: Sequence[float] = AXIAL,
    origin: Sequence[float] = (-20.0, -30.0, 40.0),
    pixel: tuple[float, float] = (2.0, 1.5),
    step: Sequence[float] | float = 3.0,
    slopes: Iterable[float] = (),
    intercept: float = 0.0,
    **attributes: object,
) -> list[Dataset]:
    """Return one instance for each slice of stored values (x, y, z): columns, rows, slices.

    `pixel` is the length between columns and between rows. `step` is the way from slice to slice, along the normal
    where it is a number. `slopes` has one for each slice; all are 1 unless given.
    """
    axes = np.reshape(orientation, (2, 3)).astype(float)
    way = np.cross(*axes) * step if np.ndim(step) == 0 else np.asarray(step)
    slopes = list(slopes) or [1.0] * values.shape[2]
    series = []
    for z in range(values.shape[2]):
        data = image(modality, np.ascontiguousarray(values[:, :, z].T))
        data.ImagePositionPatient = [f"{each:.8g}" for each in np.asarray(origin) + z * way]
        data.ImageOrientationPatient = [f"{each:.10g}" for each in orientation]
        data.PixelSpacing = [pixel[1], pixel[0]]
        data.InstanceNumber = z + 1
        data.RescaleSlope, data.RescaleIntercept = f"{slopes[z]:.10g}", f"{intercept:g}"
        for name, value in attributes.items():
            setattr(data, name, value)
        series.append(data)
    return series


def enhanced(series: Sequence[Dataset]) -> Dataset:
    """Return one enhanced MR object whose frames are the slices of a classic series, in their order."""
    first = series[0]
    pixels = np.stack([each.pixel_array for each in map(with_meta, series)])
    data = image("enhanced MR", pixels, NumberOfFrames=len(series))
    data.SeriesInstanceUID = first.SeriesInstanceUID
    data.SharedFunctionalGroupsSequence = Items(
        [
            group(
                PixelMeasuresSequence={"PixelSpacing": first.PixelSpacing},
                PlaneOrientationSequence={"ImageOrientationPatient": first.ImageOrientationPatient},
            )
        ]
    )
    data.PerFrameFunctionalGroupsSequence = Items(
        [
            group(
                PlanePositionSequence={"ImagePositionPatient": each.ImagePositionPatient},
                PixelValueTransformationSequence={
                    "RescaleSlope": each.RescaleSlope,
                    "RescaleIntercept": each.RescaleIntercept,
                },
            )
            for each in series
        ]
    )
    return data


def pet_attributes(**changes: object) -> dict[str, object]:
    """Return what a PET in Bq/ml states: 370 MBq of F-18 at 09:00, scan and acquisition at 10:00, 70 kg."""
    injection: dict[str, object] = {"RadionuclideTotalDose": 370e6, "RadionuclideHalfLife": 6586.2}
    injection["RadiopharmaceuticalStartTime"] = "090000"
    attributes: dict[str, object] = {
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["DECY", "ATTN", "SCAT"],
        "PatientWeight": 70,
        "SeriesTime": "100000",
        "AcquisitionTime": "100000",
    }
    for name, value in changes.items():
        (injection if name.startswith("Radio") else attributes)[name] = value
    made = group(RadiopharmaceuticalInformationSequence={k: v for k, v in injection.items() if v is not None})
    sequence = made.RadiopharmaceuticalInformationSequence
    return {**attributes, "RadiopharmaceuticalInformationSequence": sequence}


def group(**sequences: dict[str, object]) -> Dataset:
    """Return a data set of sequences, each with one item of those attributes."""
    made = Dataset()
    for name, attributes in sequences.items():
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        setattr(made, name, Items([item]))
    return made


def with_meta(data: Dataset) -> Dataset:
    """Return the same data set, ready to be written in explicit VR little endian."""
    if not getattr(data, "file_meta", None):
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    return data


def write(
    folder: Path,
    series: Iterable[Dataset],
    change: Callable[[Dataset, int], None] | None = None,
    name: str = "IM",
) -> Path:
    """Write instances into a folder, under names whose order is not that of the slices; `change` may alter
    each first."""
    folder.mkdir(parents=True, exist_ok=True)
    for at, data in enumerate(series):
        if change:
            change(data, at)
        with_meta(data).save_as(folder / f"{name}{(at * 7919) % 9973:04d}{at:04d}", enforce_file_format=True)
    return folder


def compressed_by_gdcm(file: Path, syntax: int) -> None:
    """Compress the pixels of a file in place; `syntax` is a constant of gdcm.TransferSyntax."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(file))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(file))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


def opened(file: Path) -> Dataset:
    """Return the data set of a file, read whole."""
    return dcmread(file)


def shortened(encapsulated: bytes) -> bytes:
    """Return compressed pixels of one frame without their last third, correctly wrapped."""
    (frame,) = generate_frames(encapsulated, number_of_frames=1)
    return encapsulate([frame[: 2 * len(frame) // 3 & ~1]])
