"""On which modality of its row a DICOM mask was drawn: by the series it refers to, else by its frame of reference."""

from collections.abc import Mapping
from pathlib import Path

from data_prep.dicom import named_series, names_dicom
from data_prep.dicom_header import quiet
from data_prep.dicom_series import Series, all_series, choose
from hnscc.base.errors import InputError


def images_of(
    frame: str, series: frozenset[str], images: Mapping[str, Path], where: str
) -> tuple[list[str], bool]:
    """Return the modalities that a mask may lie on, and whether it refers to them by name.

    frame, series: the UIDs of the mask's frame of reference ("" for none) and of the series that it refers to.
    images: the files or folders of the row, by modality. Those that are no DICOM say nothing of either, and may be
    made of that series. InputError where every modality lies in another frame of reference.
    """
    with quiet():
        known = {name: _series(path, where) for name, path in images.items() if names_dicom(path)}
    if referred := [name for name, each in known.items() if each.uid in series]:
        return referred, True
    shared = [name for name, each in known.items() if frame and each.frame_of_reference == frame]
    silent = [name for name in images if name not in known or not known[name].frame_of_reference or not frame]
    if not shared and not silent:
        raise InputError(
            "The mask lies in another frame of reference than the images.",
            where=where,
            expected="a mask drawn on one of the row's series, or on another of the same frame of reference",
            found="neither such a series nor such a frame",
            do="Check that mask and images are of one scan; or take the scan out.",
        )
    return shared or silent, False


def _series(path: Path, where: str) -> Series:
    place, chosen = named_series(path)
    return choose(all_series(place, where), chosen, where)
