"""Reads contours of regions from a DICOM structure set (RTSTRUCT)."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from pydicom.dataset import Dataset

from data_prep.dicom.header import WHOSE_TAGS, maybe_numbers, text_of, value_of, whose_is
from data_prep.dicom.named_slices import Piece, slices_named_in
from data_prep.dicom.regions import by_number, chosen
from data_prep.volumes.volume import TO_RAS, Whose
from hnscc.base.arrays import Floats
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of

TAGS = ("StructureSetROISequence", "ROIContourSequence", "ReferencedFrameOfReferenceSequence", *WHOSE_TAGS)
_HIGHEST_NUMBER = 2**31 - 1  # what a region's number may be
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(frozen=True)
class Region:
    """Closed contours of one region, each (n, 3) in mm as Grid counts them; n >= 3.

    `odd_is_meant`: the file says that what an even number of them enclose is left out. `pieces`: the contours with the
    slices that they name.
    """

    pieces: tuple[Piece, ...]
    odd_is_meant: bool

    @property
    def contours(self) -> tuple[Floats, ...]:
        """The closed contours alone, each (n, 3) in mm as Grid counts them."""
        return tuple(each.points for each in self.pieces)


@dataclass(frozen=True)
class Structure:
    """The chosen regions, which together are lesion; the UIDs of their frame of reference ("" if the file gives none)
    and of the image series that the file refers to; sentences on what was left out; and whose the file is."""

    regions: tuple[Region, ...]
    frame: str = field(repr=False)
    series: frozenset[str] = field(repr=False)
    told: tuple[str, ...]
    whose: Whose


def structure_of(header: Dataset, region: str | None, where: str) -> Structure:
    """Return what `region` (data_prep.dicom.regions) names in an RTSTRUCT of which TAGS were read.

    Points, and contours of fewer than three corners, are left out beside closed contours, and told. InputError: no
    such region; a region without a closed contour, or with an open one, whose area nobody can know; coordinates that
    are no numbers; regions of several frames of reference.
    """
    rois, drawn = (
        by_number(_items(header, sequence, where), number, _HIGHEST_NUMBER, where)
        for sequence, number in (
            ("StructureSetROISequence", "ROINumber"),
            ("ROIContourSequence", "ReferencedROINumber"),
        )
    )
    items = {number: _items(each, "ContourSequence", where) for number, each in drawn.items()}
    # If the manifest gives no name, regions that were never drawn are no choice.
    offered = [number for number in rois if region is not None or items.get(number)]
    names = {number: text_of(rois[number], "ROIName", where) for number in offered}
    numbers = chosen(names, region, where)
    frames = {text_of(rois[number], "ReferencedFrameOfReferenceUID", where) for number in numbers}
    if len(frames) > 1:
        found = f"{len(frames)} frames of reference"
        raise _refused(
            "The regions lie in several frames of reference.", where, "regions of one image", found
        )
    told = [f"regions that are lesion together: {len(numbers)}"] if len(numbers) > 1 else []
    regions = []
    for number in numbers:
        drawn_region, left_out = _region(items.get(number, []), where)
        regions.append(drawn_region)
        told += left_out
    series = frozenset(series_of_structures(header, where))
    return Structure(tuple(regions), frames.pop(), series, tuple(told), whose_is(header, where))


def _region(items: list[Dataset], where: str) -> tuple[Region, list[str]]:
    """Return the closed contours, and sentences on what was left out."""
    kinds = [text_of(item, "ContourGeometricType", where) for item in items]
    counts = Counter(kinds)
    opened = sum(count for kind, count in counts.items() if kind not in (*_CLOSED, "POINT"))
    if opened:
        raise _refused(
            "The region holds open contours, which enclose nothing.",
            where,
            "closed contours",
            f"{count_of(opened, 'open one')} among {len(items)}",
        )
    drawn = [_piece(item, where) for item, kind in zip(items, kinds, strict=True) if kind in _CLOSED]
    closed = tuple(each for each in drawn if len(each.points) >= 3)
    if not closed:
        found = count_of(counts["POINT"], "single point") if counts["POINT"] else "none"
        raise _refused("The region holds no closed contour.", where, "closed contours", found)
    left_out = {"single points": counts["POINT"], "contours of one or two points": len(drawn) - len(closed)}
    told = [f"{what} left out of the region: {count}" for what, count in left_out.items() if count]
    return Region(closed, counts["CLOSED_PLANAR"] == 0), told


def _piece(item: Dataset, where: str) -> Piece:
    return Piece(_points(item, where), slices_named_in(_items(item, "ContourImageSequence", where), where))


def _points(item: Dataset, where: str) -> Floats:
    """Return the points of a contour, (n, 3), in mm as Grid counts them."""
    values = _numbers(item, where)
    told = maybe_numbers(item, "NumberOfContourPoints", 1, where)
    if len(values) % 3 or (told is not None and told[0] * 3 != len(values)):
        points = f", and NumberOfContourPoints {told[0]:g}" if told is not None else ""
        found = count_of(len(values), "number") + points
        raise _refused("A contour is damaged.", where, "three numbers for each of its points", found)
    finite = int(np.isfinite(values).sum())
    if finite < len(values):
        found = f"{len(values) - finite} of {len(values)} infinite or NaN"
        raise _refused("A contour is damaged.", where, "finite numbers", found)
    mm: Floats = values.reshape(-1, 3) * TO_RAS.diagonal()
    return mm


def _numbers(item: Dataset, where: str) -> Floats:
    """Return the numbers of ContourData, (3 * n,) in mm, from its text, since pydicom takes ten times as long to make
    objects of them."""
    raw = item.get_item("ContourData")
    text = raw.value if raw is not None and isinstance(raw.value, bytes) else b""
    try:
        if raw is None or text:
            return np.array(text.split(b"\\") if text else []).astype(np.float64)
        return np.array(value_of(item, "ContourData", where) or [], dtype=np.float64).reshape(-1)
    except ValueError:
        raise _refused("A contour is damaged.", where, "numbers", "text that is no number") from None


def series_of_structures(header: Dataset, where: str) -> list[str]:
    """Return the UIDs of the image series that a structure set refers to; an empty list for other files."""
    return [
        text_of(series, "SeriesInstanceUID", where)
        for frame in _items(header, "ReferencedFrameOfReferenceSequence", where)
        for study in _items(frame, "RTReferencedStudySequence", where)
        for series in _items(study, "RTReferencedSeriesSequence", where)
    ]


def _items(header: Dataset, sequence: str, where: str) -> list[Dataset]:
    found = value_of(header, sequence, where)
    return [item for item in found if isinstance(item, Dataset)] if found is not None else []


def _refused(problem: str, where: str, expected: str, found: str) -> InputError:
    do = "Correct the region in the program that drew it, and export it again; or take the scan out."
    return InputError(problem, where=where, expected=expected, found=found, do=do)
