"""From a DICOM series to a volume: classic slices in any order, or an enhanced object (PET, MR, CT).

A cell of the manifest names a folder (or the file of an enhanced object), and where the folder holds several series,
the series behind a `#`: `scans/p01#1.2.840.113619.2.5` or `scans/p01#3f2a9c1e`, the key that errors and
`hnscc scan` list. Each slice has a slope and intercept of its own, which PET uses.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_prep.dicom.header import EXPORT_AGAIN, maybe_numbers, quiet, text_of, unusable, whose_is
from data_prep.dicom.instances import is_dicom
from data_prep.dicom.named_slices import slice_name
from data_prep.dicom.pixels import values_of_slices
from data_prep.dicom.series import Series, all_series, choose_series
from data_prep.dicom.slices import Slice, rescale_type, slices_of
from data_prep.dicom.stack import stack_slices
from data_prep.dicom.suv import BODY_WEIGHT, UNITS, check_activity, suv_factors
from data_prep.volumes.padding import measured
from data_prep.volumes.volume import MAX_VOXELS, Grid, Volume
from hnscc.base.in_words import count_of

_SEPARATOR = "#"
# Of a series in the folder of the manifest itself, whose cell begins with the `#`; no other word is one.
_KEY_OR_UID = re.compile(r"[0-9a-f.]+")


def named_series(path: Path) -> tuple[Path, str | None]:
    """Split what a cell names into the folder or file, and the series behind a `#`; None where it names none.

    A path that exists as it stands is taken so, whatever characters it has.
    """
    name, mark, series = path.name.rpartition(_SEPARATOR)
    if not mark or path.exists() or not (name or _KEY_OR_UID.fullmatch(series)):
        return path, None
    return path.with_name(name) if name else path.parent, series


def names_dicom(path: Path) -> bool:
    """Return whether a cell names DICOM: a folder, a series in one, or a file that begins as DICOM does."""
    place, series = named_series(path)
    return series is not None or place.is_dir() or is_dicom(place)


def read_dicom_volume(path: Path, where: str, suv: str = BODY_WEIGHT) -> Volume:
    """Read the series that `path` names (see `named_series`), in the order of its slices along their normal.

    The array is (x, y, z): columns, rows, slices. PET is turned into SUV, by body weight or as `suv` says
    (data_prep.dicom.suv); CT is in HU, unless it says otherwise, MR in the file's values. InputError where a file
    cannot be read whole, where it is not clear which series is meant, where its slices make no volume
    (data_prep.dicom.stack), and where a PET lacks what SUV needs.
    """
    with quiet():
        series = _named(path, where, pixels=True)
        ordered, grid = series_stack(series, where)
        if series.modality == "PT":
            ordered = _in_suv(ordered, suv, where)
        unit = _unit(series, ordered, suv, where)
        volume = measured(values_of_slices(ordered, where), grid, where, unit)
        if series.modality == "PT":
            ml = float(np.prod(grid.spacing)) / 1000
            check_activity(ordered[0].groups[-1], float(volume.data.sum(dtype=np.float64)) * ml, where)
    return volume


def _unit(series: Series, ordered: list[Slice], suv: str, where: str) -> str:
    """The unit of values; "" of MR, and of CT that states another than HU, as maps of iodine or density do."""
    if series.modality == "PT":
        return UNITS[suv]
    if series.modality != "CT":
        return ""
    return "HU" if {rescale_type(each, where) for each in ordered} <= {"", "HU"} else ""


def read_dicom_grid(path: Path, where: str) -> Grid:
    """Read the grid of the series that `path` names from its headers alone; errors are those of `read_dicom_volume`."""
    with quiet():
        return series_stack(_named(path, where), where)[1]


def source_slices(path: Path, where: str) -> list[Slice]:
    """Return the slices of the series that `path` names, without pixels, in the order of `read_dicom_volume`."""
    with quiet():
        return series_stack(_named(path, where), where)[0]


def _named(path: Path, where: str, *, pixels: bool = False) -> Series:
    place, chosen = named_series(path)
    return choose_series(all_series(place, where, pixels=pixels), chosen, where)


def _in_suv(ordered: list[Slice], suv: str, where: str) -> list[Slice]:
    factors = suv_factors([each.groups[-1] for each in ordered], suv, where)
    return [
        replace(each, slope=each.slope * factor, intercept=each.intercept * factor)
        for each, factor in zip(ordered, factors, strict=True)
    ]


def series_stack(series: Series, where: str) -> tuple[list[Slice], Grid]:
    """Return the slices of a series in order, and their grid; InputError where they make none."""
    frames = {text_of(each.header, "FrameOfReferenceUID", where) for each in series.instances}
    if len(frames) > 1:
        raise unusable(
            "The slices of the series have several frames of reference.",
            where,
            "one for all",
            f"{len(frames)}",
            EXPORT_AGAIN,
        )
    _check_count(series, where)
    _check_size(series, where)
    slices = [slice_ for each in series.instances for slice_ in slices_of(each, series.modality, where)]
    ordered, grid = stack_slices(slices, where)
    names = tuple(_name(each, where) for each in ordered)
    grid = replace(
        grid,
        series=series.uid,
        frame_of_reference=series.frame_of_reference,
        slice_names=names,
        whose=whose_is(series.instances[0].header, where),
    )
    return ordered, grid


def _name(slice_: Slice, where: str) -> str:
    """How a mask would name a slice."""
    header = slice_.groups[-1]
    many = "PerFrameFunctionalGroupsSequence" in header
    return slice_name(text_of(header, "SOPInstanceUID", where), str(slice_.frame + 1) if many else "")


def _check_count(series: Series, where: str) -> None:
    """InputError where a PET says that it has more slices than are there: those at the ends leave no gap."""
    stated = maybe_numbers(series.instances[0].header, "NumberOfSlices", 1, where)
    if series.modality == "PT" and stated and series.slices < stated[0]:
        raise unusable(
            "Slices of the series are missing.",
            where,
            f"{stated[0]:g}, which NumberOfSlices states",
            f"{series.slices}",
            EXPORT_AGAIN,
        )


def _check_size(series: Series, where: str) -> None:
    header = series.instances[0].header
    sides = [maybe_numbers(header, name, 1, where) or (1.0,) for name in ("Columns", "Rows")]
    voxels = series.slices * sides[0][0] * sides[1][0]
    if voxels > MAX_VOXELS:
        raise unusable(
            "The series is too large for memory.",
            where,
            f"at most {count_of(MAX_VOXELS, 'voxel')}",
            count_of(int(voxels), "voxel"),
            "Crop or resample it, and name the NIfTI file that holds the result; or take the scan out.",
        )
