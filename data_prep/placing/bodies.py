"""Where each modality shows the body in the stored slices, and how wide.

Modalities of one scan show one body: where it lies elsewhere or turned in one, that one is placed wrongly.
What a model sees of a body is its place in the slices, whatever the header says (data_prep.oddities.bodies).
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from data_prep.placing.cut_outlines import cut_off
from data_prep.volumes.padding import enclosed_across
from hnscc.base.arrays import Bools, Floats, Spacing
from hnscc.cohort.placement import BodyFacts

DIRECTIONS = 90  # in which the distance of the skin from the centre is measured: every 4 degrees
MIDDLE_SHARE = 0.3  # of the median area: slices with less of the body are not looked at
STEP_PIXELS = 0.25  # from one point to the next along each direction
LEANING_SLICES = 5  # slices, from which it is told how the centre moves along them
# Of a body's outline, from which a slice is left out that a straight border cuts off so; and of the slices, that are
# left at least where it is told how the body leans and is sheared.
MOST_CUT_SHARE, LEAST_UNCUT_SHARE = 0.5, 0.5
DISC = np.hypot(*np.mgrid[-4:5, -4:5]) <= 4  # pixels: what it does not fit into is no body
FACES = ndimage.generate_binary_structure(3, 1)  # neighbours that share a face


def placed_bodies(
    bodies: Sequence[Bools], spacing_mm: Spacing, lowest: Sequence[Bools] | None = None
) -> list[BodyFacts | None]:
    """The place and the shape of each modality's body, in slices that show it in all of them; None where no slice does.

    bodies: (Z, H, W) of each modality, lying LPS. spacing_mm: of z, y and x. lowest: (Z, H, W) of each modality, where
    it holds its lowest value; None where that says nothing. How a body leans and is sheared is told by the slices in
    which none of them is cut off (data_prep.placing.cut_outlines), and of none where most are.
    """
    # A body goes on across slices that one of them does not show.
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
    """(Z, H, W): the largest piece of what is shown, (Z, H, W), each slice without its holes and what is thin, such as
    noise in air."""
    thick = _opened(shown)
    largest = np.zeros_like(thick)
    if box := _box(thick):
        pieces, number = ndimage.label(thick[box] | enclosed_across(~thick[box], 0, FACES))
        largest[box] = pieces == (1 + int(np.argmax(np.bincount(pieces.ravel())[1:])) if number > 1 else 1)
    return largest


def _box(shown: Bools) -> tuple[slice, ...] | None:
    """The part of (Z, H, W) that holds all that is shown; None where nothing is. SciPy's takes ten times as long."""
    plane: Bools = np.any(shown, axis=0)
    found = [np.flatnonzero(each) for each in (shown.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0))]
    return tuple(slice(int(at[0]), int(at[-1]) + 1) for at in found) if len(found[0]) else None


def _opened(shown: Bools) -> Bools:
    """(Z, H, W): the union of all discs (DISC) that fit into a slice of what is shown, (Z, H, W), and within
    its borders."""
    ends = ((0, 0), *((side // 2, side // 2) for side in DISC.shape))
    padded = np.pad(shown, ends)
    fitting = ~_spread(~padded)
    rows, columns = (slice(before, -after) for before, after in ends[1:])
    return np.ascontiguousarray(_spread(fitting)[:, rows, columns])


def _spread(shown: Bools) -> Bools:
    """(Z, H, W): where a disc (DISC) around the pixel holds one that is shown, of those that lie on the slice.

    Row by row of the disc, for whole volumes: SciPy's dilation of any shape takes ten times as long.
    """
    halves = [int(row.sum()) // 2 for row in DISC[len(DISC) // 2 :]]
    wide = [shown]  # by how many pixels to each side are looked at
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
    """share: (H, W), of the slices, 0..1, in which a pixel lies within the body."""
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
    """How the body leans and is sheared, in mm per mm. shown: (n, H, W); heights_mm: (n,), of its slices."""
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
    """How far rows are moved along themselves from one to the next, in mm per mm, were the body a disc without that: a
    disc of radius R, sheared by k, has radii R (1 + k / 2 sin 2 angle). radii: (DIRECTIONS,), in mm."""
    harmonics = np.fft.rfft(radii)
    mean = float(harmonics[0].real)
    return -4 * float(harmonics[2].imag) / mean if mean > 0 else 0.0


def _slope(heights: Floats, places: Floats) -> float:
    """The median slope over half of the length, which a few slices do not change (Theil 1950). heights, places: (n,),
    of slices, in mm."""
    half = len(heights) // 2
    return float(
        np.median(
            (places[half:] - places[: len(places) - half]) / (heights[half:] - heights[: len(heights) - half])
        )
    )
