"""Makes single slices of DICOM instances: where each lies and how its stored values are scaled.

A classic instance is one slice; an enhanced one holds many frames, whose attributes stand in functional groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from data_prep.dicom.header import (
    EXPORT_AGAIN,
    check_grey,
    check_groups,
    first_item,
    lacking_attribute,
    maybe_numbers,
    numbers_of,
    text_of,
    unusable,
    value_of,
    whole_number,
)
from data_prep.dicom.instances import Instance
from hnscc.base.arrays import Floats

MAX_SIDE = 2**15  # pixels
MAX_FRAMES = 2**16
MAX_MM = 1e5  # of a position
_SQUARE = 1e-3  # how far a direction may be from length 1, and two from a right angle
# Attributes by which acquisitions at one position differ, and the functional groups that they stand in.
TELLING = {
    "": (
        *(
            "AcquisitionNumber",
            "AcquisitionTime",
            "AcquisitionDateTime",
            "EchoTime",
            "EchoNumbers",
            "ImageType",
        ),
        *(
            "InversionTime",
            "TriggerTime",
            "TemporalPositionIdentifier",
            "DiffusionBValue",
            "FrameReferenceTime",
        ),
    ),
    "FrameContentSequence": ("TemporalPositionIndex", "FrameAcquisitionNumber", "FrameAcquisitionDateTime"),
    "MREchoSequence": ("EffectiveEchoTime",),
    "MRDiffusionSequence": ("DiffusionBValue",),
    "MRImageFrameTypeSequence": ("FrameType", "ComplexImageComponent"),
}


@dataclass(frozen=True)
class Slice:
    """One slice, or one frame of a file.

    `position` (3,) is that of the first pixel's centre, in mm, in DICOM's axes (x to left, y to posterior, z to
    superior). `axes` (2, 3) are the directions in which the column and the row count, of length 1; `pixel` the steps
    along them. Stored values times `slope` plus `intercept` are the file's values. `groups` hold its attributes:
    functional groups, where there are any, and last the file's header.
    """

    file: Path = field(repr=False)
    frame: int
    columns: int
    rows: int
    position: Floats
    axes: Floats
    pixel: tuple[float, float]
    slope: float
    intercept: float
    groups: tuple[Dataset, ...] = field(repr=False)


def slices_of(instance: Instance, modality: str, where: str) -> list[Slice]:
    """Return the slices of one file in its order: one, or its frames.

    InputError where it does not say where they lie, how large they are, or how their values are scaled.
    """
    header = instance.header
    check_grey(header, where)
    if value_of(header, "ModalityLUTSequence", where) is not None:
        raise unusable(
            "The values are scaled by a table (ModalityLUTSequence).",
            where,
            "RescaleSlope, RescaleIntercept",
            "a table",
            "Convert it to NIfTI with the table applied, or take the scan out.",
        )
    frames = value_of(header, "PerFrameFunctionalGroupsSequence", where)
    if frames is None:
        if (maybe_numbers(header, "NumberOfFrames", 1, where) or (1,)) != (1,):
            raise unusable(
                "A file holds many frames and does not say where each lies.",
                where,
                "single slices, or an enhanced object with PerFrameFunctionalGroupsSequence",
                "an old multi-frame object",
                "Export it again with a file for each slice, or take the scan out.",
            )
        return [_slice(instance, 0, [header], modality, where)]
    check_groups(header, frames, MAX_FRAMES, where)
    shared = first_item(header, "SharedFunctionalGroupsSequence", where)
    rest = [*([shared] if shared else []), header]
    return [_slice(instance, at, [frame, *rest], modality, where) for at, frame in enumerate(frames)]


def _slice(instance: Instance, frame: int, groups: Sequence[Dataset], modality: str, where: str) -> Slice:
    position = _numbers(groups, "PlanePositionSequence", "ImagePositionPatient", 3, where)
    farthest = max(abs(each) for each in position)
    if farthest > MAX_MM:
        expected, found = f"up to {MAX_MM:g} mm", f"{farthest:.4g} mm"
        raise unusable(
            "The attribute ImagePositionPatient is out of range.", where, expected, found, EXPORT_AGAIN
        )
    between_rows, between_columns = _numbers(groups, "PixelMeasuresSequence", "PixelSpacing", 2, where)
    if not (1e-3 <= between_rows <= 1e3 and 1e-3 <= between_columns <= 1e3):
        found = f"{between_rows:.4g} and {between_columns:.4g} mm"
        raise unusable(
            "The attribute PixelSpacing is out of range.", where, "0.001 to 1000 mm", found, EXPORT_AGAIN
        )
    slope, intercept = _scale(groups, modality, where)
    return Slice(
        file=instance.file,
        frame=frame,
        columns=whole_number(instance.header, "Columns", 1, MAX_SIDE, where),
        rows=whole_number(instance.header, "Rows", 1, MAX_SIDE, where),
        position=np.array(position),
        axes=_axes(_numbers(groups, "PlaneOrientationSequence", "ImageOrientationPatient", 6, where), where),
        pixel=(between_columns, between_rows),
        slope=slope,
        intercept=intercept,
        groups=tuple(groups),
    )


def _holder(groups: Sequence[Dataset], sequence: str, keyword: str, where: str) -> Dataset | None:
    """The data set that holds an attribute: an item of a functional group, or the header itself."""
    *functional, header = groups
    for group in functional:
        item = first_item(group, sequence, where) if sequence else None
        if item is not None and value_of(item, keyword, where) is not None:
            return item
    return header if not functional and value_of(header, keyword, where) is not None else None


def _numbers(
    groups: Sequence[Dataset], sequence: str, keyword: str, count: int, where: str
) -> tuple[float, ...]:
    holder = _holder(groups, sequence, keyword, where)
    if holder is None:
        raise lacking_attribute(keyword, where)
    return numbers_of(holder, keyword, count, where)


def _scale(groups: Sequence[Dataset], modality: str, where: str) -> tuple[float, float]:
    """Slope and intercept. MR may leave both out, since it has no unit of values; PET and CT must state them."""
    holder = _holder(groups, "PixelValueTransformationSequence", "RescaleSlope", where)
    if holder is None:
        alone = _holder(groups, "PixelValueTransformationSequence", "RescaleIntercept", where)
        if modality != "MR" or alone is not None:
            raise lacking_attribute("RescaleSlope", where)
        return 1.0, 0.0
    (slope,) = numbers_of(holder, "RescaleSlope", 1, where)
    (intercept,) = numbers_of(holder, "RescaleIntercept", 1, where)
    if not 1e-20 <= abs(slope) <= 1e20 or abs(intercept) > 1e20:
        expected, found = "a slope other than 0", f"slope {slope:.4g}, intercept {intercept:.4g}"
        raise unusable("The attribute RescaleSlope is unusable.", where, expected, found, EXPORT_AGAIN)
    return slope, intercept


def rescale_type(of: Slice, where: str) -> str:
    """Return the unit of values that a slice states (RescaleType), in capitals; "" where it states none."""
    holder = _holder(of.groups, "PixelValueTransformationSequence", "RescaleType", where)
    return "" if holder is None else text_of(holder, "RescaleType", where)


def _axes(cosines: tuple[float, ...], where: str) -> Floats:
    """The directions of rows and of columns, (2, 3), each of length 1. InputError where they are none at a
    right angle."""
    axes = np.array(cosines).reshape(2, 3)
    lengths = np.linalg.norm(axes, axis=1)
    cosine = axes[0] @ axes[1]
    if np.abs(lengths - 1).max() > _SQUARE or abs(cosine) > _SQUARE:
        raise unusable(
            "The attribute ImageOrientationPatient is unusable.",
            where,
            "two directions of length 1 at a right angle, whose product is 0",
            f"lengths {lengths[0]:.4g} and {lengths[1]:.4g}, product {cosine:.4g}",
            EXPORT_AGAIN,
        )
    unit: Floats = axes / lengths[:, None]
    return unit


def differing(one: Slice, other: Slice, where: str) -> set[str]:
    """Return the attributes of `TELLING` in which two slices differ."""
    first, second = _telling(one, where), _telling(other, where)
    return {keyword for keyword in first.keys() | second.keys() if first.get(keyword) != second.get(keyword)}


def _telling(of: Slice, where: str) -> dict[str, str]:
    *functional, header = of.groups
    told = {keyword: text_of(header, keyword, where) for keyword in TELLING[""]}
    for sequence, keywords in TELLING.items():
        items = [first_item(group, sequence, where) for group in functional] if sequence else []
        for keyword in keywords:
            texts = [text_of(item, keyword, where) for item in items if item is not None]
            told[keyword] = "".join([told.get(keyword, ""), *texts[:1]])
    return told
