"""A predicted mask as a DICOM segmentation (SEG) that refers to the series it was predicted from.

Every slice of the series has its frame, empty ones too, so that viewers lay the mask over the images. The UIDs of
study, series and instances are the source's, since a reference is made of them; nothing else of it is copied unless
asked for.
"""

from importlib.metadata import version
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from data_prep.dicom.referred import referred, say_pseudonymous, write_referring
from data_prep.dicom.slices import Slice
from hnscc.base.arrays import Masks


def save_seg(
    path: Path,
    mask: Masks,
    source: Path,
    *,
    patient_id: str,
    keep_identity: bool,
    where: str,
) -> None:
    """Write a mask (x, y, z) in the order of the source series, which a manifest's cell `source` names, as a SEG.

    patient_id: the pseudonym that stands for the patient; with keep_identity the modules of the source's patient and
    DICOM study are copied instead. InputError, and nothing is written, where the series cannot be referred to, where
    its attributes cannot be copied, and as by data_prep.dicom.series_volume.read_dicom_volume; `where` is how it names
    the scan.
    """
    write_referring(
        path,
        source,
        lambda slices, to, keep: _made(slices, mask, patient_id, keep).save_as(to),
        kind="segmentation",
        keep_identity=keep_identity,
        where=where,
    )


def _made(slices: list[Slice], mask: Masks, patient_id: str, keep_identity: bool) -> hd.seg.Segmentation:
    """A segmentation whose one segment is the mask (x, y, z), z in the order of the slices."""
    files = {each.file: each for each in slices}
    thickness = float(np.linalg.norm(slices[1].position - slices[0].position))
    images = [referred(each, patient_id, keep_identity) for each in files.values()]
    frames = np.ascontiguousarray(mask.T)
    if len(files) == 1:  # an enhanced object keeps its frames in an order of its own
        order = np.argsort([each.frame for each in slices])
        frames = frames[order]
        _set_groups(images[0], [slices[at] for at in order], thickness)
    else:
        for image in images:
            image.SliceThickness = image.get("SliceThickness") or f"{thickness:.6g}"
    made = _segmentation(images, frames)
    if not keep_identity:
        say_pseudonymous(made)
    return made


def _segmentation(images: list[Dataset], frames: NDArray[np.uint8]) -> hd.seg.Segmentation:
    """The object of one segment whose frames (Z, H, W), 0 and 1, lie on these instances in their order."""
    by = hd.AlgorithmIdentificationSequence("hnscc", codes.DCM.ArtificialIntelligence, version("hnscc"))
    lesion = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="Lesion",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=by,
    )
    return hd.seg.Segmentation(
        source_images=images,
        pixel_array=frames,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[lesion],
        series_instance_uid=hd.UID(),
        series_number=1000,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="hnscc",
        manufacturer_model_name="hnscc predict",
        software_versions=version("hnscc"),
        device_serial_number="0",
        omit_empty_frames=False,
    )


def _set_groups(image: Dataset, in_order: list[Slice], thickness: float) -> None:
    """Say anew where the frames of an enhanced object lie: its own groups may lack the thickness, and hold more."""
    first = in_order[0]
    measures = hd.PixelMeasuresSequence([first.pixel[1], first.pixel[0]], thickness)
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence = measures
    shared.PlaneOrientationSequence = hd.PlaneOrientationSequence("PATIENT", first.axes.ravel().tolist())
    for each in in_order:
        frame = Dataset()
        frame.PlanePositionSequence = hd.PlanePositionSequence("PATIENT", each.position.tolist())
        frames.append(frame)
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = frames
