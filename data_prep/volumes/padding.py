"""Fills voxels that stand for nothing: NaN around a field of view, or a padding value such as -32768, treated like NaN.

Inside of a volume such voxels are refused. Programs that reslice a volume write NaN or one value where it does not
reach. A field of view is convex, so what lies outside of it reaches the border of every plane that it is seen in; a
part that is enclosed by values in some plane is a hole. The padding value differs from measured ones in three ways: it
is the lowest or the highest of the volume, many voxels hold exactly it, and no other value is near. If such a volume is
resliced once more, values between padding and image fill that gap: the lowest value is then still found, since it lies
far below nearly all others.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.volumes.percentiles import percentile, percentiles
from data_prep.volumes.volume import Grid, Padding, Volume
from hnscc.base.arrays import Bools
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of

LEAST_SHARE = 0.01  # of the voxels: so many, at least, hold a padding value
# Of the voxels: so many, at most, lie outside of a field of view; a larger part was cut out of an image.
MOST_FILLED_SHARE = 0.5
# Multiples of the range of the other values by which padding lies apart: for a negative lowest value, where no image
# has air; and for a highest value, which might be a hot spot's if it were nearer.
BELOW_RANGES, ABOVE_RANGES = 0.25, 2.0
# For a lowest value that interpolation mixed with others, at most a fifth of them: by how many ranges of the rest it
# lies below that. Mixtures lie at all shares of the gap, and a quarter of them below the last share. Air on CT with
# -3024 around its field of view lies at 0.67.
BELOW_REST_RANGES, BETWEEN_SHARE, QUARTER_MIXED_SHARE = 20.0, 0.2, 0.55
MIXED_SHARE = 0.001  # of the value: what differs by more is a mixture; less is rounding
# In any unit of values: nobody measures higher ones (3.4e38 is the highest number of a file's type), and the sum of
# their squares over a volume does not fit into float32.
HIGHEST_VALUE = 1e15
LEAST_OTHER_VALUES = 16  # other values that are needed: a mask or a label map holds fewer
ASKED_VOXELS = 2**18  # voxels, about, by which the range of the other values is measured


def without_nan(data: NDArray[np.float32], where: str) -> tuple[NDArray[np.float32], Bools | None]:
    """Return a volume whose NaN around the values are filled with their minimum, and which voxels those are: both (x,
    y, z).

    data: (x, y, z), in raw values, which are kept. The second is None where every voxel holds a value. InputError is
    raised for values that are infinite or beyond HIGHEST_VALUE, for NaN that are enclosed by values in a plane along
    some axis, and where no value is left.
    """
    # True for nearly all volumes. If any value is NaN, so are minimum and maximum, and both comparisons fail.
    if data.min() >= -HIGHEST_VALUE and data.max() <= HIGHEST_VALUE:
        return data, None
    blank = np.isnan(data)
    beyond = int(np.count_nonzero(np.abs(data) > HIGHEST_VALUE))
    if beyond:
        raise _refused(
            "The volume holds values that no image has.",
            where,
            f"values from {-HIGHEST_VALUE:g} to {HIGHEST_VALUE:g}",
            f"others, or infinite ones, in {count_of(beyond, 'voxel')}",
        )
    if blank.all():
        raise _refused("The volume holds no number.", where, "finite values", "NaN everywhere")
    holes = int(enclosed(blank).sum())
    if holes:
        raise _refused(
            "The volume holds values that are no numbers.",
            where,
            "NaN around the field of view alone, in one piece with the border",
            f"NaN in {count_of(holes, 'voxel')} within it, in {int(blank.sum()):,} in all",
        )
    return np.where(blank, data[~blank].min(), data), blank


def enclosed(blank: Bools) -> Bools:
    """Return which blank voxels belong, in a plane across some axis, to a piece that does not reach the plane's border.

    blank: (x, y, z) bool, true for a voxel without a number. The result has the same shape and type.
    """
    corners = ndimage.generate_binary_structure(3, 3)
    found: Bools = np.logical_or.reduce([enclosed_across(blank, axis, corners) for axis in range(3)])
    return found


def enclosed_across(shown: Bools, axis: int, touching: Bools) -> Bools:
    """Return which voxels shown belong, in a plane across one axis, to a piece that does not reach the plane's border.

    shown: of three axes; the result has the same shape. touching: (3, 3, 3), which neighbours belong to one piece;
    those in other planes never do.
    """
    in_plane = np.zeros_like(touching)
    plane = tuple(1 if each == axis else slice(None) for each in range(3))
    in_plane[plane] = touching[plane]
    pieces, count = ndimage.label(shown, in_plane)
    apart = np.ones(count + 1, dtype=bool)
    apart[0] = False  # label 0 is what is not shown
    for along in {0, 1, 2} - {axis}:
        for end in (0, -1):
            apart[np.take(pieces, end, axis=along)] = False
    found: Bools = apart[pieces]
    return found


def _refused(problem: str, where: str, expected: str, found: str) -> InputError:
    do = (
        "Reslice or export the volume again so that every voxel within it holds a number (of a mask: 0 where there is "
        "no lesion), or take the scan out."
    )
    return InputError(problem, where=where, expected=expected, found=found, do=do)


def measured(
    data: NDArray[np.float32], grid: Grid, where: str, unit: str = "", *, labels: bool = False
) -> Volume:
    """Return the volume of values (x, y, z), in raw values, as a file holds them, with padding around the field of
    view filled.

    labels: the values are those of a mask, where a value far from all others may have a meaning. InputError is raised
    for values that are infinite or that no image has, and for NaN or a padding value inside of the volume.
    """
    data, padding = (data, None) if labels else without_padding(data, where)
    data, blank = without_nan(data, where)
    return Volume(data, grid, blank, unit, padding)


def without_padding(data: NDArray[np.float32], where: str) -> tuple[NDArray[np.float32], Padding | None]:
    """Return the data with the padding value around it replaced by NaN, and what that value was, or None. data and the
    returned values: both (x, y, z), in raw values.

    Where more than half of the volume holds the value, no field of view is meant: it is reported, and the data stay as
    they are. InputError is raised where the value lies inside of the volume.
    """
    lowest = float(np.fmin.reduce(data, axis=None))
    found = _interpolated(data, lowest) or _pure(data, lowest)
    if found is None:
        return data, None
    padding, blank = found
    if not padding.filled:
        return data, padding
    holes = int(enclosed(blank).sum())
    if holes:
        raise InputError(
            "The volume holds a value that stands for nothing.",
            where=where,
            expected="it around the field of view alone, in one piece with the border",
            found=f"{padding.value:g} in {count_of(holes, 'voxel')} within it ({padding.voxels} in all), and no value "
            "of the image near it",
            do="Reslice or export the volume again so that every voxel within it holds a measured value, or take the "
            "scan out.",
        )
    return np.where(blank, np.float32(np.nan), data), padding


def _pure(data: NDArray[np.float32], lowest_value: float) -> tuple[Padding, Bools] | None:
    """Return the lowest or highest value of a volume (x, y, z), in raw values, if it is padding, and where it is, (x,
    y, z).

    The volume is not copied, since it may be large.
    """
    for lowest, apart in ((True, BELOW_RANGES), (False, ABOVE_RANGES)):
        value = np.float32(lowest_value) if lowest else np.fmax.reduce(data, axis=None)
        if not np.isfinite(value) or (lowest and value >= 0):  # cheap to know, so that voxels are not counted
            continue
        blank = data == value
        count = int(np.count_nonzero(blank))
        if count < LEAST_SHARE * data.size:
            continue
        some = data.flat[:: max(1, data.size // ASKED_VOXELS)]
        rest = some[some > value if lowest else some < value]
        if len(np.unique(rest)) < LEAST_OTHER_VALUES:
            continue
        next_to = (
            np.min(data, where=data > value, initial=np.inf)
            if lowest
            else np.max(data, where=data < value, initial=-np.inf)
        )
        first, last = (float(each) for each in percentiles(rest, [1, 99]))
        if abs(float(next_to) - float(value)) > apart * (last - first):
            return Padding(float(value), count, count <= MOST_FILLED_SHARE * data.size), blank
    return None


def _interpolated(data: NDArray[np.float32], value: float) -> tuple[Padding, Bools] | None:
    """Return the lowest `value` of a volume (x, y, z), in raw values, if it is padding that interpolation mixed with
    the image, and where it and its mixtures are, (x, y, z). None where the values between are measured: air on CT."""
    if not np.isfinite(value) or value >= 0:
        return None
    highest = value * (1 - MIXED_SHARE)
    some = data.flat[:: max(1, data.size // ASKED_VOXELS)]
    rest = some[some > highest]
    if len(np.unique(rest)) < LEAST_OTHER_VALUES:
        return None
    first, last = (float(each) for each in percentiles(rest, [100 * BETWEEN_SHARE, 99]))
    if first - value <= BELOW_REST_RANGES * (last - first):
        return None
    # In an image without negative values, all values below 0 are mixtures.
    blank, pure = data < (0.0 if first >= 0 else first - (last - first)), data <= highest
    voxels, mixed = int(blank.sum()), int((blank & ~pure).sum())
    if not mixed or voxels - mixed < LEAST_SHARE * data.size:
        return None
    if percentile(data[blank & ~pure], 25) > value + QUARTER_MIXED_SHARE * (first - value):
        return None
    return Padding(value, voxels, voxels <= MOST_FILLED_SHARE * data.size, mixed), blank
