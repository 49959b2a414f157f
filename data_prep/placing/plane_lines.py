"""Compares the lines of a volume's planes: copies, mirror images, streaks from a border, alternating lines,
folded borders.

No scanner produces any of these: `planes`.
"""

from collections.abc import Iterator

import numpy as np

from hnscc.base.arrays import Voxels
from hnscc.base.seeds import generator

# One of so many voxels of a line is compared: two lines of noise do not agree in all of these by chance.
EVERY_VOXELS = 4
# Lines are compared by weighted sums of their voxels. The weights are random but fixed, so that equal lines have equal
# sums and a scan is judged alike each time.
WEIGHTS_SEED = 0
RUN_VOXELS = 4  # voxels of one value from a border on that make a streak
# Voxels on either side of a mirror; how often, at least, a voxel must differ from the next one.
MIRRORED_VOXELS, LEAST_CHANGES = 8, 5
FOLDED_SHARE = 0.05  # of the voxels of two opposite borders: so many must be tissue on both
# At most times the step to the next voxel, and the least correlation of both borders, for one to continue the other.
GOES_ON_TIMES, ALIKE_CORRELATION = 2.0, 0.6
# Lines up to so far apart are compared, in so many slices or up to twice as many.
MOST_LINES_APART, MOST_COMBED_SLICES = 6, 8
UNCOMBED_RATIO = 2.0  # the ratio where no lines can be compared


def copied(data: Voxels, varied: float) -> float:
    """Return the share of lines of (x, y, z), the larger one of both axes of the planes, that equal another line of
    the plane.

    Lines count whose values differ by more than `varied`, in the volume's unit of values. Equal lines side by side
    count as one, since resampling to a finer grid by the nearest voxel leaves such lines.
    """
    return max(_copied(lines, varied) for lines in _both(data))


def streaks(data: Voxels, tissue: float) -> float:
    """Return the largest share of voxels of (x, y, z) in streaks, which repeat a border's value without a break from
    it on.

    The value must be tissue and differ from that beside the streak. tissue: the least such value, in the volume's unit.
    """
    return max(_streaks(way, tissue) for lines in _both(data) for way in (lines, lines[::-1]))


def mirrored_share(data: Voxels, tissue: float) -> float:
    """Return the largest share of lines of (x, y, z) that are mirrored, between two voxels or at one.

    tissue: as in `streaks`, in the volume's unit of values.
    """
    return max(_mirrored(lines, apart, tissue) for lines in _both(data) for apart in (1, 2))


def comb(data: Voxels, tissue: float) -> list[float]:
    """Return how alike lines of tissue are that lie two to six apart, for lines of (x, y, z) across x and for those
    across y.

    It is the smallest mean difference of such lines, divided by that of neighbouring lines; it is below 1 where lines
    alternate, by stripes or shifts. tissue: as in `streaks`, in the volume's unit of values.
    """
    return [_comb(lines, tissue) for lines in _both(data)]


def folded(data: Voxels, tissue: float) -> bool:
    """Return whether a border of (x, y, z) continues on the opposite one, as if the body is wider than the field
    of view.

    data and tissue: as in `streaks`, in the volume's unit of values.
    """
    return any(_folded(lines, tissue) for lines in _both(data))


def _both(data: Voxels) -> Iterator[Voxels]:
    """Yield the volume (x, y, z), in its unit of values, as lines across x, then as lines across y: (lines, voxels,
    z), views."""
    yield data
    yield data.swapaxes(0, 1)


def _copied(lines: Voxels, varied: float) -> float:
    """Return the share of `copied` for (lines, voxels, z), in the volume's unit of values."""
    thin = lines[:, ::EVERY_VOXELS]
    weights = generator(WEIGHTS_SEED, "planes", "lines").random(thin.shape[1])
    sums = np.einsum("nmz,m->nz", thin, weights, dtype=np.float64)
    sums[np.ptp(thin, axis=1) <= varied] = np.nan
    order = np.argsort(sums, axis=0, kind="stable")
    ordered = np.take_along_axis(sums, order, 0)
    again = ordered[1:] == ordered[:-1]
    beside = again & (np.diff(order, axis=0) == 1)
    return float((again & ~beside).sum() / max(1, again.size - beside.sum()))


def _streaks(lines: Voxels, tissue: float) -> float:
    """Return the share of `streaks` that begin at the first of (lines, voxels, z), in the volume's unit of values."""
    end = lines[0]
    begin = (lines[1:RUN_VOXELS] == end).all(axis=0) & (end > tissue)
    begin[1:] &= end[1:] != end[:-1]
    begin[:1] = False
    chosen = lines[:, begin]
    return float(np.minimum.accumulate(chosen == chosen[:1], axis=0).sum() / lines.size)


def _mirrored(lines: Voxels, apart: int, tissue: float) -> float:
    """Return the share of lines of (lines, voxels, z), in the volume's unit of values, that are mirrored.

    apart: 1 for a mirror between two voxels, 2 for one at a voxel.
    """
    thin = lines[:, ::EVERY_VOXELS]
    if len(thin) < 2 * MIRRORED_VOXELS + apart:
        return 0.0
    inner = slice(MIRRORED_VOXELS - 1, len(thin) - MIRRORED_VOXELS - apart + 1)
    at, *line = np.nonzero(thin[:-apart][inner] == thin[apart:][inner])
    at += MIRRORED_VOXELS - 1
    changes, highest = np.zeros(len(at), dtype=int), thin[(at, *line)]
    for step in range(1, MIRRORED_VOXELS):
        here = thin[(at - step, *line)]
        changes += here != thin[(at - step + 1, *line)]
        same = here == thin[(at + apart + step, *line)]
        highest = np.maximum(highest, here)[same]
        at, changes, line = at[same], changes[same], [each[same] for each in line]
    whole = (changes >= LEAST_CHANGES) & (highest > tissue)
    found = np.zeros(thin.shape[1:], dtype=bool)
    found[tuple(each[whole] for each in line)] = True
    return float(found.mean())


def _comb(lines: Voxels, tissue: float) -> float:
    """Return the ratio of `comb` for (lines, voxels, z), in the volume's unit of values."""
    lines = lines[:, :, :: max(1, lines.shape[2] // MOST_COMBED_SLICES)]
    shown = lines > tissue
    apart = []
    for lag in range(1, MOST_LINES_APART + 1):
        both = shown[lag:] & shown[:-lag]
        if not both.any():
            return UNCOMBED_RATIO
        apart.append(float(np.abs(lines[lag:] - lines[:-lag])[both].mean()))
    return min(apart[1:]) / apart[0] if apart[0] > 0 else UNCOMBED_RATIO


def _folded(lines: Voxels, tissue: float) -> bool:
    """Return whether the first of (lines, voxels, z), in the volume's unit of values, continues the last."""
    first, last = lines[0], lines[-1]
    both = (first > tissue) & (last > tissue)
    if both.mean() < FOLDED_SHARE:
        return False
    before, after = (each[both] for each in (lines[1], lines[-2]))
    first, last = first[both], last[both]
    step = (np.abs(first - before).mean() + np.abs(last - after).mean()) / 2
    a, b = (each - each.mean(dtype=np.float64) for each in (first, last))
    length = float(np.sqrt((a**2).sum() * (b**2).sum()))
    alike = float((a * b).sum()) / length if length > 0 else 0.0
    return bool(np.abs(first - last).mean() <= GOES_ON_TIMES * step and alike >= ALIKE_CORRELATION)
