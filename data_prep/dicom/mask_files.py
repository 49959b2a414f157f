"""Reads the DICOM mask that a cell names: a structure set or a segmentation, in a file or in a folder with
other objects."""

from pathlib import Path

from data_prep.dicom import rtstruct, seg
from data_prep.dicom.header import quiet, text_of, unusable
from data_prep.dicom.instances import read_attributes
from data_prep.dicom.rtstruct import Structure, structure_of
from data_prep.dicom.seg import Segmentation, segmentation_of
from data_prep.dicom.series import Series, all_series, choose_series
from data_prep.dicom.series_volume import named_series, names_dicom
from hnscc.base.errors import InputError

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # the second: label maps


def read_dicom_mask(path: Path, region: str | None, where: str) -> Structure | Segmentation | None:
    """Return the regions that `region` (data_prep.dicom.regions) names; None for a file that is no DICOM.

    `path` may be a file, a folder, or a folder and the series behind a # (data_prep.dicom.series_volume.named_series).
    InputError where it holds no mask (images are none, whatever they show), where a folder holds several masks and none
    is named, and those of `structure_of` and `segmentation_of`.
    """
    with quiet():
        if not names_dicom(path):
            return None
        file, sop_class = _mask_file(path, where)
        if sop_class == RTSTRUCT:
            return structure_of(read_attributes(file, where, rtstruct.TAGS), region, where)
        return segmentation_of(read_attributes(file, where, seg.TAGS), region, where)


def _mask_file(path: Path, where: str) -> tuple[Path, str]:
    """The file of the mask that a cell names, and its SOP class."""
    place, series = named_series(path)
    groups = all_series(place, where)
    if series is not None:
        named = [each for each in groups if series.strip().upper() in (each.uid, each.key.upper())]
        # If none has that name, choosing raises the error that lists all of them.
        groups = named or [choose_series(groups, series, where)]
    classes = {
        instance.file: text_of(instance.header, "SOPClassUID", where)
        for each in groups
        for instance in each.instances
    }
    masks = [(file, kind) for file, kind in classes.items() if kind in (RTSTRUCT, *SEGMENTATIONS)]
    if len(masks) > 1:
        raise unusable(
            "The folder holds several masks.",
            where,
            "one structure set (RTSTRUCT) or segmentation (SEG)",
            f"{len(masks)} of them",
            "Name the file itself in the mask column; or the series behind the folder, after a #.",
        )
    if not masks:
        raise _no_mask(groups, where)
    return masks[0]


def _no_mask(groups: list[Series], where: str) -> InputError:
    return unusable(
        "The DICOM that is named as a mask is none.",
        where,
        "a structure set (RTSTRUCT) or segmentation (SEG), or a mask in a file of another format",
        ", ".join(sorted({each.kind for each in groups})),
        "Name the file of the contours or segments, which `hnscc scan FOLDER` lists. A mask that was saved as a series "
        "of images has to be converted, to NIfTI for example.",
    )
