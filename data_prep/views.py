"""Views of a scan for the page that `hnscc prepare` writes: a few slices, a coronal plane and a histogram.

They are made while the scan is in memory. They are small, since those of a whole cohort are kept until its page
is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Bools, Floats, Images, Integers, Masks, Spacing
from hnscc.cohort.placement import unseen_by_modality
from hnscc.cohort.store_format import Scan

AXIAL_SLICES = 6  # slices that are shown
MOST_SIDE_PIXELS = 160  # a shown slice has at most so many pixels along a side
LEVELS = 65535
BINS = 256
EVERY_PIXELS = 2  # the histogram counts every second pixel along rows and columns


@dataclass(frozen=True)
class View:
    """A scan as the page shows it, cropped to the pixels on which some modality shows anything.

    axial: (A, C, h, w) uint16, the slices at the positions `slices` (z). coronal: (C, Z, w) uint16, the stored row
    `row` of all slices. A value is low + (high - low) * level / 65535, where `low` and `high` are the lowest and
    highest value of each modality in the scan. outlines (A, h, w) and coronal_outline (Z, w), bool, are the mask on
    these pictures. spacing_mm: of their pixels, along z, y and x. histogram: (C, 256) int64, how many of the scan's
    pixels above `low` lie in each bin (bin_edges). before: for each registered modality, at its position among the
    modalities, its axial (A, h, w) and coronal (Z, w) pictures without registration, on the same scale.
    """

    scan_id: str
    slices: tuple[int, ...]
    row: int
    axial: NDArray[np.uint16]
    coronal: NDArray[np.uint16]
    outlines: Bools
    coronal_outline: Bools
    spacing_mm: Spacing
    low: tuple[float, ...]
    high: tuple[float, ...]
    histogram: Integers
    before: Mapping[int, tuple[NDArray[np.uint16], NDArray[np.uint16]]]


def view_of(
    images: Images,
    mask: Masks,
    scan: Scan,
    before: Mapping[int, Images] | None = None,
) -> View:
    """Return a view of a scan's stored images (Z, C, H, W), in raw values, and of its stored mask (Z, H, W).

    before: for each registered modality, at its position among the C, its slices (Z, H, W) without registration.
    """
    low, high = images.min(axis=(0, 2, 3)), images.max(axis=(0, 2, 3))
    span = np.where(high > low, high - low, np.float32(1))
    rows, columns = (_range(shown) for shown in _shown(images, low))
    slices, row = slices_to_show(scan), _row_to_show(mask, rows)
    step = -(-max(rows.stop - rows.start, columns.stop - columns.start) // MOST_SIDE_PIXELS)

    def planes(values: NDArray[np.float32], at: slice) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Return the axial and the coronal pictures of `View`, levels (A, C, h, w) and (C, Z, w), of raw values (Z, C,
        H, W). at: which modalities these are."""
        axial = pooled(values[slices, :, rows, columns], step, step)
        coronal = pooled(values[:, :, row, columns].swapaxes(0, 1), 1, step)
        return _scaled(axial, low[at], span[at]), _scaled(coronal, low[at], span[at])

    axial, coronal = planes(images, slice(None))
    z, y, x = scan.spacing_mm
    return View(
        scan_id=scan.scan_id,
        slices=tuple(slices),
        row=row,
        axial=axial,
        coronal=coronal,
        outlines=pooled(mask[slices, rows, columns], step, step) >= 0.5,
        coronal_outline=pooled(mask[:, row, columns], 1, step) >= 0.5,
        spacing_mm=(z, y * step, x * step),
        low=tuple(map(float, low)),
        high=tuple(map(float, high)),
        histogram=np.stack(
            [_histogram(image, *ends) for image, *ends in zip(images.swapaxes(0, 1), low, high, strict=True)]
        ),
        before={at: _alone(planes(each[:, None], slice(at, at + 1))) for at, each in (before or {}).items()},
    )


def bin_edges(low: float, high: float) -> Floats:
    """Return the edges, (257,), of the bins of a view's histogram, in the unit of values of `low` and `high`.

    Bins are narrow near `low`, since most values of a PET are far below its highest.
    """
    return low + (high - low) * np.linspace(0, 1, BINS + 1) ** 2


def slices_to_show(scan: Scan) -> list[int]:
    """Return the slices (z) that are shown, in rising order.

    They are spread evenly from the first slice with lesion to the last and include the one with the most lesion. In a
    scan without lesion, they are spread over the slices that every modality shows.
    """
    pixels = np.array(scan.lesion_px)
    if pixels.any():
        among = np.flatnonzero(pixels)
    else:
        seen = sorted(set(range(scan.slices)) - scan.unseen(unseen_by_modality(scan.placement))) or range(
            scan.slices
        )
        edge = len(seen) // 10  # the ends of a scan show little
        among = np.array(seen[edge : len(seen) - edge])
    spread = among[np.unique(np.linspace(0, len(among) - 1, AXIAL_SLICES).round().astype(int))]
    if pixels.any() and (most := int(pixels.argmax())) not in spread:
        spread[np.abs(spread - most).argmin()] = most
    return [int(z) for z in spread]


def pooled(values: NDArray[np.generic], rows: int, columns: int) -> NDArray[np.float32]:
    """Return the means over blocks of `rows` x `columns` pixels: (..., H, W) -> (..., H // rows, W // columns) float32.

    The unit of values stays. Rows and columns at the end that fill no block are left out.
    """
    height, width = (length // step for length, step in zip(values.shape[-2:], (rows, columns), strict=True))
    cut = values[..., : height * rows, : width * columns]
    split = cut.reshape(*values.shape[:-2], height, rows, width, columns)
    means: NDArray[np.float32] = split.mean(axis=(-3, -1), dtype=np.float32)
    return means


def _shown(images: Images, low: NDArray[np.float32]) -> list[Bools]:
    """Return the rows, (H,), and the columns, (W,), on which some modality shows more than its lowest value.

    images: (Z, C, H, W), in raw values. low: (C,), the lowest value of each modality.
    """
    shown = (images.max(axis=0) > low[:, None, None]).any(axis=0)
    return [shown.any(axis=1), shown.any(axis=0)]


def _range(shown: Bools) -> slice:
    """Return the pixels of a line (n,) from the first that is shown to the last; the whole line where none is."""
    found = np.flatnonzero(shown)
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, len(shown))


def _row_to_show(mask: Masks, rows: slice) -> int:
    """Return the row with the most lesion in a mask (Z, H, W), or the middle one of `rows`."""
    lesion = mask.sum(axis=(0, 2), dtype=np.int64)
    return int(lesion.argmax()) if lesion.any() else (rows.start + rows.stop) // 2


def _alone(
    planes: tuple[NDArray[np.uint16], NDArray[np.uint16]],
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return the levels of a single modality without its axis: (A, 1, h, w) and (1, Z, w) -> (A, h, w) and (Z, w)."""
    axial, coronal = planes
    return axial[:, 0], coronal[0]


def _scaled(
    values: NDArray[np.float32], low: NDArray[np.float32], span: NDArray[np.float32]
) -> NDArray[np.uint16]:
    """Return values as levels 0..65535, both (..., C, h, w).

    values, low, span: raw values. low, span: (C,), the lowest value and the range of each modality.
    """
    shares = (values - low[:, None, None]) / span[:, None, None]
    levels: NDArray[np.uint16] = np.clip(shares * LEVELS, 0, LEVELS).astype(np.uint16)
    return levels


def _histogram(image: Images, low: float, high: float) -> Integers:
    """Return the number of pixels, (256,), in each bin (`bin_edges`) of an image (Z, H, W) in the unit of `low`
    and `high`."""
    some = image[:, ::EVERY_PIXELS, ::EVERY_PIXELS].ravel()
    if high <= low:
        return np.zeros(BINS, np.int64)
    at = np.sqrt((some[some > low] - low) / (high - low)) * BINS
    return np.bincount(np.minimum(at.astype(np.int64), BINS - 1), minlength=BINS)
