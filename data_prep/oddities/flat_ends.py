"""Finds masks that end flat amid their lesion, so that its upper or lower part, or all beyond a plane, was not drawn.

A lesion grows smaller towards its ends, and beyond its last layer the image shows little of it. A part is missing where
the mask's last layer is about as large as its largest one and the image beyond stands out as the lesion does.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.masks.pieces import TOUCHING
from data_prep.oddities.odd import comparable
from data_prep.oddities.oddity import LEAST_SCANS, MASK, Odd, of_some
from data_prep.oddities.off_border import has_border
from data_prep.placing.edges import SIDES
from data_prep.volumes.percentiles import median
from hnscc.base.arrays import Bools, Images, Integers, Spacing
from hnscc.cohort.store_format import Scan

BEYOND_MM = 8.0  # mm beyond the last layer, or one layer if that is thicker, that are compared
# Distances in mm between which the surroundings of a lesion lie. PET blurs its uptake as far as the first.
NEAR_MM, AROUND_MM = 4.0, 14.0
LARGE_PIECE_SHARE = 0.25  # of the lesion: a larger piece of the mask is judged by itself
# Of the largest layer: the least size of the last one. Of how far the lesion stands out: how far the image does
# beyond it. The real cohort's 34 masks have none of these flat ends on PET, and those of four made-up cohorts have
# 0.21 at most.
FLAT_SHARE, ON_SHARE = 0.5, 0.5
# Of the scans with lesion: the lesion must stand out in so many on a modality that is used.
SHOWN_SCANS_SHARE = 0.5


@dataclass(frozen=True)
class _FlatEnd:
    """A flat end of a mask. layers: (n,), the layers beyond it, along the axis of its side. last: its last layer, and
    around: what lies around that in the plane; both of one shape."""

    side: int
    layers: Integers
    last: Bools
    around: Bools


def ends_of(images: Images, lesion: Bools, scan: Scan) -> NDArray[np.float32]:
    """Return how far each modality stands out beyond the end of the mask on each side (edges.SIDES): (C, 6).

    It is a share of how far the lesion stands out, and 0 where the mask does not end flat or ends with the image.
    images: (Z, C, H, W), in raw values. lesion: (Z, H, W).
    """
    found = np.zeros((images.shape[1], 6), np.float32)
    if not lesion.any():
        return found
    box = _with_margin(lesion, scan.spacing_mm)
    drawn = lesion[box]
    ends = list(_flat_ends(drawn, scan.spacing_mm))
    if not ends or not (around := _ring(drawn, scan.spacing_mm)).any():
        return found
    for at in range(len(found)):
        image = images[:, at][box]
        contrast = float(image[drawn].mean() - median(image[around]))
        for end in ends if contrast else ():
            planes = np.moveaxis(image, end.side // 2, 0)[end.layers]
            out = planes[:, end.last].mean() - median(planes[:, end.around])
            found[at, end.side] = max(found[at, end.side], out / contrast)
    return found


def _with_margin(lesion: Bools, spacing_mm: Spacing) -> tuple[slice, ...]:
    """Return the part of a mask (Z, H, W) that holds the lesion and what lies around it."""
    margins = [int(np.ceil(AROUND_MM / step)) for step in spacing_mm]
    (held,) = ndimage.find_objects(lesion.astype(np.uint8))
    return tuple(
        slice(max(0, part.start - margin), part.stop + margin)
        for part, margin in zip(held, margins, strict=True)
    )


def _flat_ends(lesion: Bools, spacing_mm: Spacing) -> Iterator[_FlatEnd]:
    """Yield the ends of the large pieces of a mask (Z, H, W) whose last layer is about as large as their
    largest one."""
    numbered, count = ndimage.label(lesion, TOUCHING)
    for piece in (numbered == number for number in range(1, count + 1)):
        if piece.sum() < LARGE_PIECE_SHARE * lesion.sum():
            continue
        for side in range(6):
            axis, way = side // 2, 1 - 2 * (side % 2)
            across = [other for other in range(3) if other != axis]
            areas = piece.sum(axis=tuple(across))
            at = int(np.flatnonzero(areas)[-1 if way > 0 else 0])
            if areas[at] < FLAT_SHARE * areas.max():
                continue
            layers = at + way * np.arange(1, 1 + max(1, round(BEYOND_MM / spacing_mm[axis])))
            layers = layers[(layers >= 0) & (layers < lesion.shape[axis])]
            last = np.take(piece, at, axis=axis)
            around = _ring(last, [spacing_mm[other] for other in across])
            if len(layers) and around.any():
                yield _FlatEnd(side, layers, last, around)


def _ring(drawn: Bools, spacing_mm: Sequence[float]) -> Bools:
    """Return the surroundings of a lesion in a layer of two axes, such as (H, W), in its shape."""
    apart = ndimage.distance_transform_edt(~drawn, sampling=spacing_mm)
    ring: Bools = (apart > NEAR_MM) & (apart <= AROUND_MM)
    return ring


def ended_flat(
    scans: Sequence[Scan],
    modalities: Sequence[str],
    ends: Sequence[NDArray[np.float32]],
    known: Container[tuple[str, str]] = (),
) -> Iterator[Odd]:
    """Yield a sentence on the scans whose masks end flat amid the lesion, by side.

    Each scan is reported by the first modality that shows it; boxes, and masks that leave out slices, are not, since
    these are reported as such. ends: (C, 6) of each scan, shares, as returned by `ends_of`. known: scans with a
    modality, or with a mask (MASK), about which something more likely is reported.
    """
    asked = [at for at, scan in enumerate(scans) if _may_end_flat(scan)]
    for number, modality in enumerate(modalities):
        ids = {scan.scan_id for scan in comparable(scans, modality, known)}
        shown = [at for at in asked if scans[at].scan_id in ids and has_border(scans[at], modality)]
        if len(shown) < max(LEAST_SCANS, SHOWN_SCANS_SHARE * len(asked)):
            continue
        cut = [at for at in shown if ends[at][number].max() >= ON_SHARE]
        asked = [at for at in asked if at not in cut]
        for at, side in enumerate(name for pair in SIDES for name in pair):
            chosen = [scans[each] for each in cut if ends[each][number].argmax() == at]
            text = (
                f"the mask ends flat amid the lesion: its {side} end is nearly as wide as the rest, and {modality} "
                "goes on beyond it as within it; was what lies there not drawn? Draw it, or take the scan out"
            )
            yield from of_some(scans, chosen, text, files=(MASK,), shown_in=MASK)


def _may_end_flat(scan: Scan) -> bool:
    lesion = scan.placement["lesion"]
    return scan.has_lesion and not lesion["box"] and not lesion["left_out"]
