"""Voxels without a number (NaN) around a field of view are filled; within a volume they are refused.

Programs that reslice a volume write NaN where it does not reach. A field of view is convex, so that what lies outside
of it reaches the border of every plane that it is seen in; what is enclosed by values in some plane is a hole.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hnscc.base.arrays import Bools
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of


def without_nan(data: NDArray[np.float32], where: str) -> tuple[NDArray[np.float32], Bools | None]:
    """Fill NaN around the values of a volume (x, y, z) with their minimum; returns it, and which voxels were filled.

    The second is None where every voxel holds a value. InputError for infinite values, for NaN that are enclosed by
    values within a plane along some axis, and where no value is left.
    """
    blank = np.isnan(data)
    infinite = int(np.isinf(data).sum())
    if infinite:
        raise _refused(
            "The volume holds infinite values.",
            where,
            "finite values",
            count_of(infinite, "infinite one"),
        )
    if not blank.any():
        return data, None
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
    """Which of the voxels belong, in a plane across some axis, to a piece that does not reach the plane's border.

    blank: (x, y, z) bool, true for a voxel without a number. The result is of the same shape and type.
    """
    enclosed = np.zeros_like(blank)
    for across in range(3):
        touching = np.zeros((3, 3, 3), dtype=bool)
        touching[tuple(1 if axis == across else slice(None) for axis in range(3))] = True
        pieces, count = ndimage.label(blank, touching)
        reaching = np.zeros(count + 1, dtype=bool)
        for axis in {0, 1, 2} - {across}:
            for end in (0, -1):
                reaching[np.take(pieces, end, axis=axis)] = True
        enclosed |= blank & ~reaching[pieces]
    return enclosed


def _refused(problem: str, where: str, expected: str, found: str) -> InputError:
    do = "Reslice or export the volume again so that every voxel within it holds a number, or take the scan out."
    return InputError(problem, where=where, expected=expected, found=found, do=do)
