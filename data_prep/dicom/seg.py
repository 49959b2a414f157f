"""Reads a DICOM segmentation (SEG) as a mask on the grid of its own frames."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from data_prep.dicom.header import (
    EXPORT_AGAIN,
    UNREADABLE,
    WHOSE_TAGS,
    check_groups,
    fault_of,
    first_item,
    lacking_attribute,
    maybe_numbers,
    numbers_of,
    text_of,
    unusable,
    value_of,
    whole_number,
    whose_is,
)
from data_prep.dicom.named_slices import Piece, slices_named_in
from data_prep.dicom.regions import by_number, chosen
from data_prep.volumes.volume import MAX_VOXELS, TO_RAS, Grid, Volume, Whose, degrees_apart
from hnscc.base.arrays import Bools, Floats

TAGS = (
    *("SegmentSequence", "SegmentationType", "MaximumFractionalValue", *WHOSE_TAGS),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ReferencedSeriesSequence"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
)
HALF_FRACTION = 0.5  # of the largest possible value of a fraction: from there on it is lesion
_ONE_PLANE_MM = 0.01  # mm: frames that lie no farther apart show one plane
_UNEVEN_STEPS = 0.05  # of a step: a plane may lie so far from a whole number of steps
_PARALLEL = 0.999  # least cosine between the directions from slice to slice and from plane to plane
_MOST_COUNT = 2**16  # segments, frames and pixels of a side


@dataclass(frozen=True)
class Segmentation:
    """A mask on the grid of its frames and of those between them that the file leaves out: 1 where any chosen segment
    is lesion.

    With it come the UIDs of its frame of reference ("" for none) and of the series it refers to; sentences on it; the
    frames of these segments, by their corners, with the slices that they name; whose the file is; and whether it states
    the distance of its planes.
    """

    volume: Volume
    frame: str = field(repr=False)
    series: frozenset[str] = field(repr=False)
    told: tuple[str, ...]
    pieces: tuple[Piece, ...]
    whose: Whose
    apart_stated: bool


def segmentation_of(header: Dataset, region: str | None, where: str) -> Segmentation:
    """Return the segments that `region` (data_prep.dicom.regions) names, of a SEG of which TAGS were read.

    Frames may stand in any order; those without a pixel of the segments are mostly left out, and are 0 here. A
    fraction is lesion from half of the largest value on. InputError: no such segment; frames that do not say where
    they lie, lie in no even steps, or overlap; pixels that are damaged.
    """
    segments = value_of(header, "SegmentSequence", where) or []
    numbered = by_number(segments, "SegmentNumber", _MOST_COUNT, where)
    # Label maps name the background too, as segment 0.
    names = {number: text_of(item, "SegmentLabel", where) for number, item in numbered.items() if number}
    numbers = chosen(names, region, where)
    frames = _frames(header, where)
    pixels = _pixels(header, len(frames), where)
    grid, planes, apart_stated = _grid(header, frames, where)
    data = np.zeros(grid.shape, dtype=np.float32)
    pieces = []
    for plane, frame, lesion in zip(planes, frames, _lesion(header, pixels, numbers, where), strict=True):
        if frame.segment is None or frame.segment in numbers:
            data[:, :, plane] = np.maximum(data[:, :, plane], lesion.T)
            pieces.append(Piece(_corners(grid, plane), frame.names))
    told = [f"segments that are lesion together: {len(numbers)}"] if len(numbers) > 1 else []
    return Segmentation(
        Volume(data, grid),
        text_of(header, "FrameOfReferenceUID", where),
        frozenset(series_of_segments(header, where)),
        tuple(told),
        tuple(pieces),
        whose_is(header, where),
        apart_stated,
    )


def series_of_segments(header: Dataset, where: str) -> list[str]:
    """Return the UIDs of the image series that a segmentation refers to."""
    items = value_of(header, "ReferencedSeriesSequence", where) or []
    return [text_of(each, "SeriesInstanceUID", where) for each in items if isinstance(each, Dataset)]


def with_steps_of(own: Volume, grid: Grid) -> Volume:
    """Return a mask with planes as far apart as the slices of its image if each plane with lesion lies on one of these
    slices; else return it unchanged.

    grid: that of the image. This is for a file that states how thick its slices are but not how far apart, which cannot
    be known where frames are left out.
    """
    normal = own.grid.affine[:3, 2] / own.grid.spacing[2]
    lengths = np.abs(grid.affine[:3, :3].T @ normal)
    axis = int(np.argmax(lengths))
    step = float(lengths[axis])
    planes = np.flatnonzero(own.data.any(axis=(0, 1)))
    if not len(planes) or step < _PARALLEL * grid.spacing[axis]:
        return own
    affine = own.grid.affine.copy()
    affine[:3, 3] += planes[0] * affine[:3, 2]
    first = (np.linalg.inv(grid.affine) @ affine[:, 3])[axis]
    along = (planes - planes[0]) * own.grid.spacing[2] / step
    number = np.rint(along).astype(np.int64)
    if max(abs(first - np.rint(first)), np.abs(along - number).max()) > _UNEVEN_STEPS:
        return own
    last = first + np.copysign(number[-1], grid.affine[:3, axis] @ normal)
    if not 0 <= np.rint(min(first, last)) <= np.rint(max(first, last)) < grid.shape[axis]:
        return own
    data = np.zeros((*own.grid.shape[:2], int(number[-1]) + 1), dtype=np.float32)
    data[:, :, number] = own.data[:, :, planes]
    affine[:3, 2] = normal * step
    return replace(own, data=data, grid=replace(own.grid, shape=data.shape, affine=affine))


def _corners(grid: Grid, plane: int) -> Floats:
    """Return the centres of the corner pixels of a plane, (4, 3) in mm as Grid counts them."""
    columns, rows = (side - 1 for side in grid.shape[:2])
    corners = np.array([(x, y, plane) for x in (0, columns) for y in (0, rows)])
    mm: Floats = corners @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    return mm


@dataclass(frozen=True)
class _Frame:
    """One frame: the place of its first pixel, (3,) in DICOM's mm; its segment, None where the pixels name it (labels);
    and the slices that it says it was drawn on."""

    position: Floats
    segment: int | None
    names: frozenset[str] = field(repr=False)


def _frames(header: Dataset, where: str) -> list[_Frame]:
    groups = value_of(header, "PerFrameFunctionalGroupsSequence", where) or []
    check_groups(header, groups, _MOST_COUNT, where)
    labels = text_of(header, "SegmentationType", where) == "LABELMAP"
    frames = []
    for group in groups:
        item = _group(header, group, "SegmentIdentificationSequence", where)
        segment = None if labels else whole_number(item, "ReferencedSegmentNumber", 1, _MOST_COUNT, where)
        position = numbers_of(
            _group(header, group, "PlanePositionSequence", where), "ImagePositionPatient", 3, where
        )
        derived = value_of(group, "DerivationImageSequence", where) or []
        items = [item for item in derived if isinstance(item, Dataset)]
        sources = [each for item in items for each in value_of(item, "SourceImageSequence", where) or []]
        frames.append(_Frame(np.array(position), segment, slices_named_in(sources, where)))
    return frames


def _group(header: Dataset, group: Dataset, sequence: str, where: str) -> Dataset:
    """Return the first item of a sequence in a frame's functional groups, else in those that all frames share, else an
    empty one."""
    shared = first_item(header, "SharedFunctionalGroupsSequence", where) or Dataset()
    return first_item(group, sequence, where) or first_item(shared, sequence, where) or Dataset()


def _grid(header: Dataset, frames: Sequence[_Frame], where: str) -> tuple[Grid, list[int], bool]:
    """Return the grid of all planes from the first to the last, the plane of each frame on it, and whether the file
    states how far apart they are."""
    groups = value_of(header, "PerFrameFunctionalGroupsSequence", where)
    orientations = [
        numbers_of(
            _group(header, each, "PlaneOrientationSequence", where), "ImageOrientationPatient", 6, where
        )
        for each in groups
    ]
    if np.ptp(orientations, axis=0).max() > 1e-4:
        apart = (
            f"orientations up to {degrees_apart(np.array(orientations).reshape(-1, 2, 3)):.3g} degrees apart"
        )
        raise unusable("The frames differ in orientation.", where, "one orientation", apart, EXPORT_AGAIN)
    measures = _group(header, groups[0], "PixelMeasuresSequence", where)
    between_rows, between_columns = numbers_of(measures, "PixelSpacing", 2, where)
    along_row, along_column = np.array(orientations[0]).reshape(2, 3)
    normal = np.cross(along_row, along_column)
    positions = np.array([frame.position for frame in frames])
    along = positions @ normal
    step, stated = _step(along, measures, where)
    planes = np.rint((along - along.min()) / step)
    first = positions[np.argmin(along)]
    aside = positions - first - np.outer(planes * step, normal)
    if np.abs(aside).max() > _UNEVEN_STEPS * max(step, _ONE_PLANE_MM):
        found = f"a frame {np.abs(aside).max():.3g} mm away from where they put it"
        expected = f"even steps of {step:.4g} mm"
        raise unusable(
            "The frames do not lie in even steps above each other.", where, expected, found, EXPORT_AGAIN
        )
    affine = np.eye(4)
    steps = [along_row * between_columns, along_column * between_rows, normal * step, first]
    affine[:3] = TO_RAS @ np.column_stack(steps)
    determinant = np.linalg.det(affine[:3, :3])
    if not abs(determinant) > 1e-9:
        found = f"axes whose determinant is {determinant:.3g}"
        raise unusable("The frames span no volume.", where, "axes that are independent", found, EXPORT_AGAIN)
    columns, rows = (whole_number(header, name, 1, _MOST_COUNT, where) for name in ("Columns", "Rows"))
    deep = int(planes.max()) + 1
    _check_size(columns * rows * deep, where)
    return Grid((columns, rows, deep), affine, True, "DICOM"), [int(plane) for plane in planes], stated


def _check_size(voxels: int, where: str) -> None:
    if voxels > MAX_VOXELS:
        raise unusable(
            "The segmentation is too large.",
            where,
            f"at most {MAX_VOXELS} voxels",
            f"{voxels}",
            "Crop or resample it, and name the file that holds the result; or take the scan out.",
        )


def _step(along: Floats, measures: Dataset, where: str) -> tuple[float, bool]:
    """Return the distance of planes in mm, and whether the file states it; if not, it is the smallest distance
    that occurs.

    along: where each frame lies along the normal, (n,) in mm. Since empty frames may be left out, the smallest distance
    may be that of several planes; a stated thickness that fits it is preferred.
    """
    apart = np.diff(np.unique(np.round(along, 4)))
    apart = apart[apart > _ONE_PLANE_MM]
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        stated = maybe_numbers(measures, name, 1, where)
        if stated and stated[0] > 0:
            steps = apart / stated[0]
            if not len(apart) or (
                np.abs(steps - np.rint(steps)).max() <= _UNEVEN_STEPS and steps.min() > 0.5
            ):
                return float(stated[0]), name == "SpacingBetweenSlices"
    if not len(apart):
        raise lacking_attribute("SpacingBetweenSlices", where)
    return float(apart.min()), False


def _pixels(header: Dataset, frames: int, where: str) -> NDArray[np.generic]:
    """Return the stored numbers of the frames, as their segmentation type defines them: (frames, rows, columns)."""
    columns, rows = (whole_number(header, name, 1, _MOST_COUNT, where) for name in ("Columns", "Rows"))
    _check_size(columns * rows * frames, where)
    try:
        pixels: NDArray[np.generic] = header.pixel_array.reshape(frames, rows, columns)
    except UNREADABLE as error:
        damaged = unusable(
            "The pixels of the segmentation cannot be read.",
            where,
            "whole, undamaged pixels",
            "cut short or damaged ones",
            EXPORT_AGAIN,
        )
        raise fault_of(error, damaged) from None
    return pixels


def _lesion(header: Dataset, pixels: NDArray[np.generic], numbers: Sequence[int], where: str) -> Bools:
    """Return which pixels are lesion if the frame is of a chosen segment, in the same shape.

    pixels: stored numbers (frames, rows, columns). numbers: of the chosen segments, as a label map holds them.
    """
    kind = text_of(header, "SegmentationType", where)
    if kind == "BINARY":
        return np.asarray(pixels != 0)
    if kind == "FRACTIONAL":
        most = whole_number(header, "MaximumFractionalValue", 1, 2**16, where)
        return np.asarray(pixels.astype(np.float64) >= HALF_FRACTION * most)
    if kind == "LABELMAP":
        return np.isin(pixels, numbers)
    expected, found = "BINARY, FRACTIONAL or LABELMAP", "another word" if kind else "none"
    raise unusable("The segmentation is of an unknown type.", where, expected, found, EXPORT_AGAIN)
