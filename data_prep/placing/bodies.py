"""Measures where each modality shows the body in the stored slices, and how wide it is.

The modalities of one scan show the same body. Where one shows it elsewhere or turned, that one is placed
wrongly. The position in the slices is measured, since this is what a model sees, whatever the header
says (data_prep.oddities.bodies).
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from data_prep.placing.cut_outlines import cut_off
from data_prep.volumes.padding import enclosed_across
from data_prep.volumes.volume import box_of
from hnscc.base.arrays import Bools, Floats, Spacing
from hnscc.cohort.placement import BodyFacts

# Directions in which the distance from the centre to the skin is measured: one every 4 degrees.
DIRECTIONS = 90
MIDDLE_SHARE = 0.3  # of the median area: slices with less of the body are left out
STEP_PIXELS = 0.25  # step between points along each direction
LEANING_SLICES = 5  # slices that are needed to measure how the centre moves along them
# A slice is left out where at least this share of the body's outline is a straight cut. How the body leans and is
# sheared is measured only where at least this share of the slices remains.
MOST_CUT_SHARE, LEAST_UNCUT_SHARE = 0.5, 0.5
DISC = np.hypot(*np.mgrid[-4:5, -4:5]) <= 4  # pixels: parts that this disc does not fit into are no body
FACES = ndimage.generate_binary_structure(3, 1)  # voxels that share a face are neighbours


def placed_bodies(
    bodies: Sequence[Bools], spacing_mm: Spacing, lowest: Sequence[Bools] | None = None
) -> list[BodyFacts | None]:
    """Return the position and shape of each modality's body, in slices where all modalities show it; None where there
    are none.

    bodies: (Z, H, W) of each modality, lying LPS. spacing_mm: of z, y and x. lowest: (Z, H, W) of each modality, where
    it holds its lowest value; None where this is not known. How a body leans and is sheared is measured in the slices
    in which no modality cuts it off (data_prep.placing.cut_outlines), and left out where most slices are cut.
    """
    # A body that some slices of one modality do not show continues across them.
    shared = np.flatnonzero(np.all([shown.any(axis=(1, 2)) for shown in bodies], axis=0))
    if not len(shared):
        return [None] * len(bodies)
    whole = [largest_filled(shown[shared]) for shown in bodies]
    areas = [shown.sum(axis=(1, 2)) for shown in whole]
    if not all(area.any() for area in areas):
        return [None] * len(whole)
    seen = np.all([area > MIDDLE_SHARE * np.median(area[area > 0]) for area in areas], axis=0)
    if not seen.any():
        return [None] * len(whole)
    uncut = seen
    if lowest is not None:
        cut = [cut_off(shown, low[shared]) for shown, low in zip(whole, lowest, strict=True)]
        uncut = seen & np.all([share < MOST_CUT_SHARE for share in cut], axis=0)
    told = int(uncut.sum()) >= LEAST_UNCUT_SHARE * int(seen.sum())
    heights_mm = shared[uncut] * np.float64(spacing_mm[0])
    return [
        {
            **_placed(shown[seen].mean(axis=0), spacing_mm[1:]),
            **(_leaning(shown[uncut], heights_mm, spacing_mm[1:]) if told else {}),
        }
        for shown in whole
    ]


def largest_filled(shown: Bools) -> Bools:
    """Return the largest piece, (Z, H, W), of what is shown, (Z, H, W), with holes filled slice by slice.

    Thin parts, such as noise in air, are removed.
    """
    thick = _opened(shown)
    largest = np.zeros_like(thick)
    if box := box_of(thick):
        pieces, number = ndimage.label(thick[box] | enclosed_across(~thick[box], 0, FACES))
        largest[box] = pieces == (1 + int(np.argmax(np.bincount(pieces.ravel())[1:])) if number > 1 else 1)
    return largest


def _opened(shown: Bools) -> Bools:
    """Return the union, (Z, H, W), of all discs (DISC) that fit into a slice of what is shown, (Z, H, W), within
    its borders."""
    ends = ((0, 0), *((side // 2, side // 2) for side in DISC.shape))
    padded = np.pad(shown, ends)
    fitting = ~_spread(~padded)
    rows, columns = (slice(before, -after) for before, after in ends[1:])
    return np.ascontiguousarray(_spread(fitting)[:, rows, columns])


def _spread(shown: Bools) -> Bools:
    """Return what is shown, (Z, H, W), dilated by a disc (DISC) within each slice, in the same shape.

    It goes row by row of the disc, for whole volumes: SciPy's dilation, which takes any shape, needs ten times as long.
    """
    halves = [int(row.sum()) // 2 for row in DISC[len(DISC) // 2 :]]
    wide = [shown]  # what is shown, widened by 0, 1, 2, ... pixels to each side
    for step in range(1, max(halves) + 1):
        wider = wide[-1].copy()
        wider[:, :, step:] |= shown[:, :, :-step]
        wider[:, :, :-step] |= shown[:, :, step:]
        wide.append(wider)
    found = wide[halves[0]].copy()
    for step, half in enumerate(halves[1:], start=1):
        found[:, step:] |= wide[half][:, :-step]
        found[:, :-step] |= wide[half][:, step:]
    return found


def _placed(share: Floats, pixel_mm: tuple[float, float]) -> BodyFacts:
    """Return a body's centre (`back`, `left`) and `radii` in mm.

    share: (H, W), in how many of the slices a pixel lies within the body, 0..1.
    """
    rows, columns = np.indices(share.shape)
    centre = [float((share * at).sum() / share.sum()) for at in (rows, columns)]
    turns = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    far = np.arange(0, max(share.shape), STEP_PIXELS)
    points = [
        centre[0] + np.outer(np.sin(turns), far) * pixel_mm[1] / pixel_mm[0],
        centre[1] + np.outer(np.cos(turns), far),
    ]
    radii = ndimage.map_coordinates(share, points, order=1).sum(axis=1) * STEP_PIXELS * pixel_mm[1]
    back, left = (
        (at - (length - 1) / 2) * step for at, length, step in zip(centre, share.shape, pixel_mm, strict=True)
    )
    return {
        "back": round(back, 2),
        "left": round(left, 2),
        "radii": [round(float(each), 2) for each in radii],
    }


def _leaning(shown: Bools, heights_mm: Floats, pixel_mm: tuple[float, float]) -> BodyFacts:
    """Return how the body leans and is sheared, in mm per mm. shown: (n, H, W); heights_mm: (n,), of its slices."""
    shear = round(_shear(np.array(_placed(shown.mean(axis=0), pixel_mm)["radii"])), 4)
    if len(shown) < LEANING_SLICES:
        return {"lean_back": 0.0, "lean_left": 0.0, "shear": shear}
    centres = [ndimage.center_of_mass(each) for each in shown]
    back, left = (
        round(_slope(heights_mm, np.array(each) * step), 4)
        for each, step in zip(zip(*centres, strict=True), pixel_mm, strict=True)
    )
    return {"lean_back": back, "lean_left": left, "shear": shear}


def _shear(radii: Floats) -> float:
    """Return how far rows are shifted along themselves from one to the next, in mm per mm, if the body is a
    sheared disc.

    A disc of radius R, sheared by k, has radii R (1 + k / 2 sin 2 angle). radii: (DIRECTIONS,), in mm.
    """
    harmonics = np.fft.rfft(radii)
    mean = float(harmonics[0].real)
    return -4 * float(harmonics[2].imag) / mean if mean > 0 else 0.0


def _slope(heights: Floats, places: Floats) -> float:
    """Return the median slope over half of the length, which a few odd slices do not change (Theil 1950).

    heights, places: (n,), of slices, in mm.
    """
    half = len(heights) // 2
    return float(
        np.median(
            (places[half:] - places[: len(places) - half]) / (heights[half:] - heights[: len(heights) - half])
        )
    )
