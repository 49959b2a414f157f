"""Measures how much brighter a lesion is than its surroundings, across its border: where its mask lies, and elsewhere.

At each voxel of the lesion's surface, the mean over a few mm inside is compared with the mean over a few mm outside.
The border of a mask that is mirrored, shifted, too wide or another patient's lies where the image shows no edge, and
often would fit better in another place. Nothing is assumed of how lesions look: what is usual follows from the
cohort (data_prep.oddities.off_border).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft

from data_prep.volumes.volume import box_of
from hnscc.base.arrays import Bools, Floats, Images, Integers, Spacing

DEPTH_MM = 4.0  # mm inside and outside of the border that are compared
MOST_VOXELS = 400  # voxels of each side's surface that are used, at most
MOVES_MM = (8.0, 16.0)  # mm by which the mask is shifted
NEAR_VOXELS = 4  # voxels by which it is shifted, at most, to find where its border is clearest
WIDTHS_MM = (4.0, 8.0)  # mm by which its border is moved in or out
# Multiples of the tissue's brightness: higher values are clipped to this, since a hot spot is no border.
BRIGHTEST_TIMES = 6.0

# The two sides along each axis of slices that lie LPS (z, y, x), to larger and to smaller positions.
SIDES = (("head", "foot"), ("back", "front"), ("left", "right"))
AXES = ("from foot to head", "from front to back", "from left to right")
# How a mask may be turned against its image: which axis each of (z, y, x) is taken from, and in which direction it
# runs. Axes that are read in another convention (LPS as RAS, say) mirror two of them, arrays in the order x, y instead
# of y, x swap rows and columns, and pictures are turned by quarters.
TURNS = {
    "turned by 180 degrees in the slice": ((0, 1, 2), (1, -1, -1)),
    "mirrored from foot to head and from front to back": ((0, 1, 2), (-1, -1, 1)),
    "mirrored from foot to head and from left to right": ((0, 1, 2), (-1, 1, -1)),
    "with rows and columns exchanged": ((0, 2, 1), (1, 1, 1)),
    "with rows and columns exchanged and turned by 180 degrees": ((0, 2, 1), (1, -1, -1)),
    "turned by 90 degrees in the slice, front to left": ((0, 2, 1), (1, 1, -1)),
    "turned by 90 degrees in the slice, front to right": ((0, 2, 1), (1, -1, 1)),
}


@dataclass(frozen=True)
class _Border:
    """Pairs of positions inside and outside of a lesion's surface.

    points: (N, 3), z, y, x. weights: (N,), 1 / n for each of n positions inside, -1 / n outside. outward: (N, 3),
    one voxel away from the lesion. side: (N,), the number of the side, 0 to 5. pairs: (6,), voxels of the surface on
    each side.
    """

    points: Integers
    weights: Floats
    outward: Integers
    side: Integers
    pairs: Integers


@dataclass(frozen=True)
class _Shown:
    """What a modality shows: its image (Z, H, W), contiguous in memory, in raw values; the value of air (`dark`); and
    how far bright tissue stands above that (`brightness`)."""

    image: Images
    dark: float
    brightness: float


def edges_of(
    image: Images,
    lesion: Bools,
    spacing_mm: Spacing,
    dark: float,
    brightness: float,
    own_alone: bool = False,
) -> dict[str, Any] | None:
    """Return how far a modality's values fall across the border of a lesion, as multiples of the tissue's brightness.

    `own` is the mean fall where the mask lies; `sides` is the fall on each side that ends within the image; `elsewhere`
    is the mean fall for the mask mirrored, turned, shifted, and with its border further in or out. None is returned
    where there is no lesion, no side, or no brightness.

    image, lesion: (Z, H, W), lying LPS, the image in raw values. spacing_mm: of z, y and x. dark, brightness: the value
    of air, and how far the brightest tenth of the tissue stands above it, in the same unit of values. own_alone: leave
    `elsewhere` empty.
    """
    border = _border(lesion, spacing_mm)
    if border is None or brightness <= 0:
        return None
    shown = _Shown(np.ascontiguousarray(image), dark, brightness)
    falls = _falls(shown, border, border.points)
    sides = [name for pair in SIDES for name in pair]
    return {
        "own": float(falls.sum() / border.pairs.sum()),
        "sides": {
            name: float(fall / pairs)
            for name, fall, pairs in zip(sides, falls, border.pairs, strict=True)
            if pairs
        },
        "elsewhere": {
            name: float(_falls(shown, border, points).sum() / border.pairs.sum())
            for name, points in ({} if own_alone else _elsewhere(border, image.shape, spacing_mm)).items()
        },
    }


def clearest_move(
    image: Images, lesion: Bools, spacing_mm: Spacing, dark: float, brightness: float
) -> list[float] | None:
    """Return by how many voxels along z, y and x the mask of a lesion must be shifted to fit the clearest
    border nearby.

    That is where values fall most across its border; where they rise across it, where they rise most. The shift is 0
    along an axis on which the mask reaches from one end of the image to the other, as along z in a single slice, since
    nothing tells there where it belongs.

    image, lesion: (Z, H, W), the image in raw values. Other arguments, and None, are as in `edges_of`.
    """
    border = _border(lesion, spacing_mm)
    if border is None or brightness <= 0:
        return None
    shown = _Shown(np.ascontiguousarray(image), dark, brightness)
    sign = 1 if _falls(shown, border, border.points).sum() > 0 else -1
    found = []
    for axis in range(3):
        if not border.pairs[2 * axis : 2 * axis + 2].any():
            found.append(0.0)
            continue
        step = np.zeros(3, np.int64)
        step[axis] = 1
        falls = [
            sign * float(_falls(shown, border, border.points + move * step).sum())
            for move in range(-NEAR_VOXELS, NEAR_VOXELS + 1)
        ]
        found.append(peak_of(np.array(falls)) - NEAR_VOXELS)
    return found


def clearest_within(
    image: Images, lesion: Bools, spacing_mm: Spacing, dark: float, brightness: float, far_mm: float
) -> tuple[float, float] | None:
    """Return how far a modality's values fall at most across the border of a mask shifted by up to `far_mm` mm, and
    that shift.

    The fall is in multiples of the tissue's brightness, the shift in mm, in any direction. image, lesion: (Z, H, W),
    the image in raw values. For lesions that are darker than their surroundings, pass -image and -dark. Other
    arguments, and None, are as in `edges_of`.
    """
    border = _border(lesion, spacing_mm)
    if border is None or brightness <= 0:
        return None
    reach = np.minimum(np.round(far_mm / np.array(spacing_mm)).astype(np.int64), image.shape)
    first, last = border.points.min(axis=0), border.points.max(axis=0)
    weights = np.zeros(last - first + 1, np.float32)
    np.add.at(weights, tuple((border.points - first).T), border.weights / border.pairs.sum())
    # As in _falls, the image's last values continue beyond it.
    before = np.maximum(0, reach - first)
    after = np.maximum(0, last + reach + 1 - image.shape)
    values = np.clip((image - dark) / brightness, -BRIGHTEST_TIMES, BRIGHTEST_TIMES).astype(np.float32)
    values = np.pad(values, np.column_stack([before, after]), mode="edge")
    # All shifts at once: the correlation of the image with the weights of the border.
    shape = [fft.next_fast_len(side, real=True) for side in values.shape]
    falls = fft.irfftn(fft.rfftn(values, shape) * fft.rfftn(weights, shape).conj(), shape)
    start = before + first - reach
    falls = falls[tuple(slice(at, at + 2 * side + 1) for at, side in zip(start, reach, strict=True))]
    steps = np.ogrid[tuple(slice(-side, side + 1) for side in reach)]
    moved_mm = np.sqrt(sum((step * mm) ** 2 for step, mm in zip(steps, spacing_mm, strict=True)))
    most = np.unravel_index(np.argmax(np.where(moved_mm <= far_mm, falls, -np.inf)), falls.shape)
    return float(falls[most]), float(moved_mm[most])


def peak_of(curve: Floats) -> float:
    """Return where a curve (n,) is highest, 0 to n - 1, refined by a parabola through the highest point and
    its neighbours.

    The curve may be in any unit; NaN is ignored.
    """
    best = int(np.nanargmax(curve))
    if not 0 < best < len(curve) - 1:
        return float(best)
    before, most, after = curve[best - 1 : best + 2]
    bend = before - 2 * most + after
    return best + (0.5 * float((before - after) / bend) if np.isfinite(bend) and bend < 0 else 0.0)


def _border(lesion: Bools, spacing_mm: Spacing) -> _Border | None:
    """Return the border of a lesion (Z, H, W); None where it has none but at the ends of the image."""
    found = box_of(lesion)
    if found is None:
        return None
    low = np.array([each.start for each in found])
    box = np.pad(lesion[found], 1)
    parts, pairs = [], []
    for side in range(6):
        axis, way = side // 2, 1 - 2 * (side % 2)
        surface = np.argwhere(box & ~np.roll(box, -way, axis)) + low - 1
        surface = surface[(surface[:, axis] + way >= 0) & (surface[:, axis] + way < lesion.shape[axis])]
        if len(surface) > MOST_VOXELS:
            surface = surface[np.linspace(0, len(surface) - 1, MOST_VOXELS).astype(int)]
        pairs.append(len(surface))
        # Deeper than the image there is only its last value; voxels of 0.1 um would otherwise ask for thousands
        # of steps.
        deep = min(max(1, round(DEPTH_MM / spacing_mm[axis])), lesion.shape[axis])
        outward = np.zeros(3, np.int64)
        outward[axis] = way
        parts += [
            (surface + step * outward, (1 if step < 1 else -1) / deep, outward, side)
            for step in range(1 - deep, deep + 1)
        ]
    if not sum(pairs):
        return None
    counts = [len(points) for points, *_ in parts]
    return _Border(
        np.concatenate([points for points, *_ in parts]),
        np.repeat([weight for _, weight, *_ in parts], counts),
        np.repeat([outward for *_, outward, _ in parts], counts, axis=0),
        np.repeat([side for *_, side in parts], counts),
        np.array(pairs),
    )


def _elsewhere(border: _Border, shape: tuple[int, ...], spacing_mm: Spacing) -> dict[str, Integers]:
    """Return the positions (N, 3), z, y, x, of a border in other places, by the name of the change.

    Shifts of half a voxel or less are left out. shape: of the image, (Z, H, W).
    """
    places = {}
    for axis, name in enumerate(AXES):
        mirrored = border.points.copy()
        mirrored[:, axis] = shape[axis] - 1 - mirrored[:, axis]
        places[f"mirrored {name}"] = mirrored
        for mm in MOVES_MM:
            for side, way in zip(SIDES[axis], (1, -1), strict=True):
                if voxels := round(mm / spacing_mm[axis]):
                    moved = border.points.copy()
                    moved[:, axis] += way * voxels
                    places[f"moved {mm:g} mm to the {side}"] = moved
    for how, (axes, ways) in TURNS.items():
        places[how] = _turned(border.points, shape, axes, ways)
    for mm in WIDTHS_MM:
        apart = border.outward * np.rint(mm / np.array(spacing_mm)).astype(np.int64)
        places[f"with its border {mm:g} mm further in"] = border.points - apart
        places[f"with its border {mm:g} mm further out"] = border.points + apart
    return places


def _turned(
    points: Integers, shape: tuple[int, ...], axes: tuple[int, ...], ways: tuple[int, ...]
) -> Integers:
    """Return positions (N, 3), z, y and x in voxels, turned about the middle of the image, in the same shape.

    Where an axis is longer than the one it is taken from, the distance from the middle is kept as a share of the
    length. points: (N, 3), in voxels. shape: of the image.
    """
    lengths = np.array(shape)
    shares = (2 * points + 1) / lengths - 1  # 1 is at the image's ends, 0 in its middle
    return np.asarray(np.rint(((shares[:, axes] * ways + 1) * lengths - 1) / 2), np.int64)


def _falls(shown: _Shown, border: _Border, points: Integers) -> Floats:
    """Return, for each side (6,), the sum of how far values fall from inside to outside, in multiples of
    the tissue's brightness.

    Beyond the image, its last values continue. points: (N, 3), z, y, x, where the positions of the border are put.
    """
    at = np.ravel_multi_index(tuple(points.T), shown.image.shape, mode="clip")
    # Only these voxels are scaled, since the whole image would take far longer.
    values = (shown.image.ravel()[at] - shown.dark) / shown.brightness
    np.clip(values, -BRIGHTEST_TIMES, BRIGHTEST_TIMES, out=values)
    return np.asarray(np.bincount(border.side, border.weights * values, minlength=6), np.float64)
