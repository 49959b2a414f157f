"""Finds the facts of a scan that the store keeps, in numbers: how its files lie, values, tissue, lesion."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from nibabel import orientations
from scipy import ndimage

from data_prep.masks.lesions import LesionMask
from data_prep.placing.bodies import placed_bodies
from data_prep.placing.drawn_shape import is_box, skipped_slices, spanned
from data_prep.placing.edges import SIDES, edges_of
from data_prep.placing.numbers import signal_of
from data_prep.volumes.percentiles import median, percentiles
from data_prep.volumes.resize import Window, centres_inside, mean_weights, stored_spacing, weigh
from data_prep.volumes.volume import Grid, Volume, axis_of_slices, to_lps
from hnscc.base.arrays import Bools, Floats, Images, Masks
from hnscc.cohort.placement import FileFacts, LesionFacts, ValueFacts

# Of the way from air to the 99th percentile: what is brighter in the mean over 5 x 5 pixels is body. The mean removes
# most of the noise that MRI has in air, and the 1st percentile of the means is the level of air.
ABOVE_AIR_SHARE = 0.03
SMOOTHED_PIXELS = 5  # side of the square whose mean is taken
# Pixels that are looked at, up to twice as many, spread evenly over those that all modalities show.
LOOKED_AT_PIXELS = 30_000
# Stored pixels around a lesion that are left out with it, since PET blurs its uptake so far.
AROUND_PIXELS = 3


def input_of(volume: Volume) -> FileFacts:
    """Return how a file lies: shape and spacing (mm) turned to LPS, its own axes, its `tilt` in degrees, by how many
    degrees two of its axes miss a right angle (`skew`), the share of its voxels that hold its lowest value, and how it
    is written (data_prep.files.stated)."""
    lps = to_lps(volume.grid)
    upright = np.abs(np.diag(lps.affine[:3, :3])) / lps.spacing
    return {
        "shape": list(lps.shape),
        "spacing": [float(step) for step in lps.spacing],
        "axes": "".join(orientations.aff2axcodes(volume.grid.affine)),
        "tilt": round(float(np.degrees(np.arccos(np.clip(upright.min(), -1, 1)))), 1),
        "skew": _skew(lps.affine[:3, :3] / lps.spacing),
        "lowest": int(np.count_nonzero(volume.data == volume.data.min())) / volume.data.size,
        "written": dict(volume.written) or {"kind": volume.grid.stated_by},
    }


def _skew(axes: Floats) -> float:
    """Return by how many degrees, at most, two axes miss a right angle. axes: (3, 3), a unit vector in each column."""
    along = (axes.T @ axes)[np.triu_indices(3, 1)]
    return round(float(np.degrees(np.abs(np.arcsin(np.clip(along, -1, 1))).max())), 2)


def describe_values(volume: Volume) -> ValueFacts:
    """Return the lowest, median and highest value and the 1st and 99th percentile of the voxels that hold a value, and
    the number of NaN.

    `within` counts the voxels without a value that lie between voxels with one, along an axis of the file. `padding` is
    the value that stands for nothing (data_prep.volumes.padding), or None; `rim` is the median at the volume's sides.
    What states the orientation is added, and the unit of values where the file states it.
    """
    held = volume.data if volume.blank is None else volume.data[~volume.blank]
    low, first, middle, last, high = (float(value) for value in percentiles(held, [0, 1, 50, 99, 100]))
    padding = volume.padding
    blank = 0 if volume.blank is None else int(volume.blank.sum())
    facts: ValueFacts = {
        "low": low,
        "first": first,
        "median": middle,
        "last": last,
        "high": high,
        "rim": _rim(volume),
        "nan": blank - (padding.voxels if padding and padding.filled else 0),
        "within": 0 if volume.blank is None else int(_between(volume.blank).sum()),
        "padding": None if padding is None else asdict(padding),
        "orientation": volume.grid.stated_by,
    }
    if volume.unit:
        facts["unit"] = volume.unit
    return facts


def _rim(volume: Volume) -> float | None:
    """Return the median of the voxels at the four sides of the volume's planes; None where none of them holds
    a value."""
    held = np.isfinite(volume.data) if volume.blank is None else ~volume.blank
    up = axis_of_slices(volume.grid)
    across = [axis for axis in range(3) if axis != up]
    values = np.concatenate(
        [
            np.moveaxis(volume.data, axis, 0)[end][np.moveaxis(held, axis, 0)[end]]
            for axis in across
            for end in (0, -1)
        ]
    )
    return float(median(values)) if values.size else None


def _between(blank: Bools) -> Bools:
    """Return which voxels without a value, of (x, y, z), lie between voxels with one along some axis, in the same
    shape. None outside of a field of view does, since it is convex."""
    held, found = ~blank, np.zeros_like(blank)
    for axis in range(3):
        before = np.maximum.accumulate(held, axis=axis)
        after = np.flip(np.maximum.accumulate(np.flip(held, axis), axis=axis), axis)
        found |= blank & before & after
    return found


def facts_of(
    volumes: Mapping[str, Volume],
    mask: Volume | None,
    lesion: LesionMask,
    grid: Grid,
    images: Images,
    stored: Masks,
    window: Window,
    unseen: Mapping[str, Sequence[int]],
) -> tuple[dict[str, ValueFacts], LesionFacts]:
    """Return what is known of the values of a scan's modalities, by name, and of its lesion.

    images (Z, C, H, W), raw values, of the modalities in the order of `volumes`, and stored (Z, H, W) are the stored
    slices and their mask. unseen: the slices (z) that each modality does not show.
    """
    seen, stored_lesion = on_grid(images, stored, grid, window)
    around = with_surroundings(stored_lesion)
    bodies, whole = zip(
        *(
            _bodies(seen[:, at], stored_lesion, around, _measured(seen[:, at], volume, unseen[name]))
            for at, (name, volume) in enumerate(volumes.items())
        ),
        strict=True,
    )
    lowest = [seen[:, at] == volume.data.min() for at, volume in enumerate(volumes.values())]
    lying = placed_bodies(whole, stored_spacing(grid, window), lowest)
    values: dict[str, ValueFacts] = {}
    edges = {}
    medians: dict[str, float | None] = {}
    for at, (name, volume) in enumerate(volumes.items()):
        tissue = tissue_of(seen[:, at], bodies[at], around)
        facts = describe_values(volume)
        values[name] = {
            **facts,
            "signal": signal_of(volume),
            "tissue": tissue,
            "elsewhere": seen_elsewhere(seen[:, at], _by_others(bodies, at) & ~around),
            "body": lying[at],
        }
        bright = 0.0 if tissue is None else tissue["last"] - facts["first"]
        medians[name] = float(median(seen[:, at][stored_lesion])) if stored_lesion.any() else None
        edges[name] = edges_of(
            seen[:, at], stored_lesion, stored_spacing(grid, window), facts["first"], bright
        )
    found = lesion_of(lesion, mask, grid, stored_lesion, np.any(bodies, axis=0))
    return values, {**found, "medians": medians, "edges": edges}


def share_of_body(images: Images, stored: Masks, grid: Grid, window: Window) -> float:
    """Return the share of the body in stored images (Z, C, H, W), raw values, that is lesion in their mask (Z, H, W).
    It is 0 to 1, and more where lesion lies in air."""
    seen, stored_lesion = on_grid(images, stored, grid, window)
    shown = np.any([body(smoothed(seen[:, at])) for at in range(seen.shape[1])], axis=0)
    return int(stored_lesion.sum()) / max(1, int(shown.sum()))


def on_grid(images: Images, stored: Masks, grid: Grid, window: Window) -> tuple[Images, Bools]:
    """Return the pixels of stored images (Z, C, H, W), raw values, and of their mask (Z, H, W), that lie on the slices'
    grid. They are (Z, C, h, w), a view, and bool (Z, h, w)."""
    rows, columns = (_run(centres_inside(window, grid.shape[1 - axis], axis)) for axis in (0, 1))
    return images[:, :, rows, columns], stored[:, rows, columns] > 0


def _run(inside: Bools) -> slice:
    """Return the one run of pixels of a line (n,) that lie inside, as a slice, which copies nothing."""
    at = np.flatnonzero(inside)
    return slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0)


def tissue_of(image: Images, shown: Bools, near: Bools) -> dict[str, float] | None:
    """Return percentiles of a modality's values (Z, H, W) within the body (`shown`) and not `near` a lesion, or None.

    `median`, `upper`, `last`, `high`: the 50th, 75th, 90th and 99.9th. `grain`: the median difference of pixels side by
    side. All are raw values. shown, near: (Z, H, W) too. None where no such pixel is left.
    """
    kept = shown & ~near
    if not kept.any():
        return None
    values = percentiles(image[kept], [50, 75, 90, 99.9])
    beside = kept[:, :, 1:] & kept[:, :, :-1]
    right, left = image[:, :, 1:][beside], image[:, :, :-1][beside]
    steps = np.abs(right.astype(np.float64) - left)
    grain = float(median(steps)) if steps.size else 0.0
    return {
        **dict(zip(("median", "upper", "last", "high"), map(float, values), strict=True)),
        "grain": grain,
    }


def seen_elsewhere(image: Images, shown: Bools) -> dict[str, float] | None:
    """Return values of a modality where the others show the body and no lesion is near (`shown`); None where no
    pixel is.

    So the places do not depend on what was done to this modality's values. `dark`, `middle`, `bright`, `top`: the 25th,
    50th, 90th and 99th percentile; by the name of each side, the median of the half on that side. image, shown: (Z, H,
    W), lying LPS, the image in raw values, as the results are.
    """
    at = np.flatnonzero(shown)
    if not len(at):
        return None
    some = np.unravel_index(at[:: max(1, len(at) // LOOKED_AT_PIXELS)], shown.shape)
    values = image[some]
    shares = map(float, percentiles(values, [25, 50, 90, 99]))
    found = dict(zip(("dark", "middle", "bright", "top"), shares, strict=True))
    for along, sides in zip(some, SIDES, strict=True):
        middle = np.median(along)
        for side, half in zip(sides, (values[along >= middle], values[along <= middle]), strict=True):
            found[side] = float(median(half))
    return found


def _by_others(bodies: Sequence[Bools], at: int) -> Bools:
    """Return where all other modalities show the body, (Z, H, W); where there are none, the modality itself. bodies:
    each (Z, H, W)."""
    others = [each for number, each in enumerate(bodies) if number != at] or bodies
    found: Bools = np.all(others, axis=0)
    return found


def with_surroundings(lesion: Bools) -> Bools:
    """Return a lesion dilated by AROUND_PIXELS, bool of the same shape, (Z, H, W)."""
    found: Bools = ndimage.binary_dilation(lesion, ndimage.generate_binary_structure(3, 1), AROUND_PIXELS)
    return found


def lesion_of(
    lesion: LesionMask,
    mask: Volume | None,
    grid: Grid,
    stored_lesion: Bools,
    shown: Bools,
) -> LesionFacts:
    """Return the size of the lesion in ml, its shares of grid and body and in air, its shape, and how its mask
    was drawn.

    The shares are 0 to 1. stored_lesion and shown (Z, H, W) are the lesion and the body in the stored slices, in pixels
    that lie on the grid.
    """
    voxels, lesion_px = int(np.count_nonzero(lesion.voxels)), int(np.count_nonzero(stored_lesion))
    return {
        "ml": round(voxels * float(np.prod(grid.spacing)) / 1000, 4),
        "share_of_grid": voxels / lesion.voxels.size,
        "share_of_body": lesion_px / max(1, int(np.count_nonzero(shown))),
        "share_in_air": int(np.count_nonzero(stored_lesion & ~shown)) / max(1, lesion_px),
        "spanned": spanned(lesion.voxels),
        "left_out": skipped_slices(lesion.voxels),
        "box": is_box(lesion.voxels),
        "drawn_on": lesion.drawn_on,
        "orientation": None if mask is None else mask.grid.stated_by,
        "nan": 0 if mask is None or mask.blank is None else int(mask.blank.sum()),
    }


def _measured(image: Images, volume: Volume, unseen: Sequence[int]) -> Bools:
    """Return the pixels, (Z, H, W), of an image, (Z, H, W) in raw values, that show what was measured: none of slices
    that are `unseen`, nor those blurred with the lowest value, which stands where the volume's file holds no number."""
    measured = np.ones(image.shape, dtype=bool)
    if volume.blank is not None:
        measured = smoothed(image == volume.data.min()) == 0
    measured[unseen] = False
    return measured


def _bodies(image: Images, lesion: Bools, around: Bools, measured: Bools) -> tuple[Bools, Bools]:
    """Return the body that an image shows by all `measured` pixels, and by those of them that are not `around` its
    lesion. Hot lesions raise what counts as bright, so the first is smaller; the second includes the lesion. Pixels
    that were not measured are left out of both, since they are not air. All are (Z, H, W), the image in raw values."""
    smooth = smoothed(image)
    return (
        body(smooth, measured) & measured,
        (body(smooth, measured & ~around) | lesion) & measured,
    )


def smoothed(image: Images) -> Floats:
    """Return means over 5 x 5 pixels of each slice of (Z, H, W), of the same shape and unit of values."""
    rows, columns = (mean_weights(count, SMOOTHED_PIXELS) for count in image.shape[1:])
    return weigh(image.astype(np.float64), rows, columns)


def body(smooth: Floats, measured: Bools | None = None) -> Bools:
    """Return where a smoothed image, of the pixels of its grid, shows more than air: (Z, H, W).

    smooth: (Z, H, W), in raw values. measured (Z, H, W): by which pixels air and bright tissue are measured; by all if
    it is None or true for none.
    """
    whole = measured is None or measured.all() or not measured.any()
    told_by = smooth if whole else smooth[measured]
    air, last = percentiles(told_by, [1, 99])
    shown: Bools = smooth > air + ABOVE_AIR_SHARE * (last - air)
    return shown
