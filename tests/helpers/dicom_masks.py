"""Masks as DICOM: structure sets (RTSTRUCT) written by pydicom, and segmentations (SEG) written by highdicom."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from dicom_files import STORAGE, classic_series, with_meta, write
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid


def box(x: float, y: float, wide: float, high: float, z: float) -> list[float]:
    """Return a box's corners in DICOM's mm, from its outer corner on voxels of 1 x 1 x 3 mm, of which the first has its
    centre at 0."""
    corners = [(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)]
    return [value for a, b in corners for value in (a - 0.5, b - 0.5, 3.0 * z)]


def items(*made: dict[str, object]) -> Items:
    sets = []
    for attributes in made:
        sets.append(Dataset())
        for name, value in attributes.items():
            setattr(sets[-1], name, value)
    return Items(sets)


def contour(data: Sequence[float], kind: str = "CLOSED_PLANAR", **more: object) -> dict[str, object]:
    return {"ContourGeometricType": kind, "NumberOfContourPoints": len(data) // 3, "ContourData": data} | more


def structures(
    path: Path,
    regions: dict[str, list[dict[str, object]]],
    frame: str = "1.2.826.0.1.3",
    series: str = "1.2.826.0.1.2",
) -> Path:
    """Write an RTSTRUCT; `regions` are lists of contours by name."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = STORAGE + "481.3", generate_uid(), "RTSTRUCT"
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.826.0.1.1", generate_uid()
    referred = items({"SeriesInstanceUID": series})
    data.ReferencedFrameOfReferenceSequence = items(
        {
            "FrameOfReferenceUID": frame,
            "RTReferencedStudySequence": items({"RTReferencedSeriesSequence": referred}),
        }
    )
    data.StructureSetROISequence = items(
        *(
            {"ROINumber": number, "ROIName": name, "ReferencedFrameOfReferenceUID": frame}
            for number, name in enumerate(regions, 1)
        )
    )
    data.ROIContourSequence = items(
        *(
            {"ReferencedROINumber": number, "ContourSequence": items(*contours)}
            for number, contours in enumerate(regions.values(), 1)
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with_meta(data).save_as(path, enforce_file_format=True)
    return path


def series_for_masks(folder: Path, shape: tuple[int, int, int], **options: Any) -> list[Dataset]:
    """Write an image series of that shape into `folder`; return it slice by slice, as highdicom needs it."""
    values = np.arange(np.prod(shape)).reshape(shape).astype(np.uint16)
    made = [with_meta(each) for each in classic_series(values, origin=(0, 0, 0), **options)]
    for each in made:
        each.AccessionNumber, each.StudyID = "1", "1"
        each.PatientName, each.PatientBirthDate, each.PatientSex = "A^B", "", ""
        each.PatientID, each.ReferringPhysicianName, each.SliceThickness = "P", "", 2.5
    write(folder, made)
    return made


def segmentation(
    path: Path, images: list[Dataset], *masks: np.ndarray, kind: str = "BINARY", **more: Any
) -> Path:
    """Write a SEG of masks (x, y, z), one segment for each: GTV, then Node."""
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Neoplasm,
            algorithm_type="MANUAL",
        )
        for number, label in zip(range(1, len(masks) + 1), ("GTV", "Node"), strict=False)
    ]
    made = hd.seg.Segmentation(
        source_images=images,
        pixel_array=np.stack([mask.transpose(2, 1, 0) for mask in masks], axis=-1),
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid=hd.UID(),
        series_number=2,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="test",
        manufacturer_model_name="test",
        software_versions="1",
        device_serial_number="1",
        **more,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path)
    return path
