"""Measures what the planes of a volume hold that no scanner produces: repeated lines, fillings, dead voxels,
cuts, folds.

Resampling and registration fill what lies beyond an image with its last values, a mirror image, a constant or noise;
programs set voxels to 0; an image folds over where the body is wider than its field of view. It is recognised by what
no image can contain: two lines of one plane with exactly the same noise, tissue of exactly one value, tissue that its
neighbours do not predict, and a left border that continues on the right.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.placing.plane_lines import UNCOMBED_RATIO, comb, copied, folded, mirrored_share, streaks
from data_prep.volumes.percentiles import median, percentiles
from hnscc.base.arrays import Bools, Integers, Voxels
from hnscc.cohort.placement import PlaneFacts

TISSUE_SHARE = 0.1  # of the way from air (1st percentile) to the 99th percentile: what is brighter is tissue
# Of that way: the values of a line must differ by so much, since a line through air says nothing.
VARIED_SHARE = 0.2
LEAST_SLICES = 5  # slices that are needed to say that a place is the same in most
LEAST_TISSUE_BESIDE = 6  # of the 8 voxels around it must be tissue for a voxel without signal to be dead
LOWEST_SHARE = 0.005  # of that way, above the lowest value: lower values are no signal
BELOW_AIR_SHARE = 0.5  # of that way, below air: lower values are no signal either
HOT_TIMES = 4.0  # times the third-brightest of the 8 voxels around; a scanner blurs a point more widely
BLOCK_VOXELS = 8  # voxels along the side of the squares in which noise is searched for
# Of that way, above air: the least mean of such squares, and the least value around a dead voxel.
BRIGHT_SHARE = 0.15
ROUGH_SHARE = 0.2  # of that way: the least step of noise from voxel to voxel
# Of the step of independent numbers with the square's standard deviation: noise has at least this.
NOISY_SHARE = 0.7
# Of the tissue: with more noise, the volume is noise alone, in which anything happens by chance.
ALL_NOISE_SHARE = 0.6
EDGE_SHARE = 0.25  # of that way, above air: what borders on a cut is brighter
LEAST_CUT_SHARE = 1e-3  # of the voxels: so many must hold the lowest value, or there is no cut
# With fewer values of tissue, lines agree by chance; with fewer still, one value is common without a filling.
GRADED_VALUES, LEAST_VALUES = 128, 64
SPIKE_TIMES = 3.0  # a value that a part was filled with is so many times as frequent as the next values
BURNT_SHARE = 0.5  # of the slices: a place is burnt in if more hold the same bright value there
# Of the way to the highest value: if the surroundings of places that hold it are brighter, values were cut off at the
# top. Volumes of the public cohort that were cut off at their 80th to 95th percentile have 0.81 and more.
CUT_AROUND_SHARE = 0.7
EVERY_STEPPED_VOXELS = 2  # one of so many voxels of a slice along each side is looked at for a step
LEAST_TISSUE_VOXELS = 50  # voxels of these that must be tissue in both slices
# Slices on both sides of a step, and the factor by which the step must exceed their own differences.
CALM_SLICES, UNREST_TIMES = 3, 1.5
LOOKED_AT_VOXELS = 400_000  # voxels of whole slices that are looked at, at most

# The facts of a volume that shows nothing.
NOTHING: PlaneFacts = {
    "copied": 0.0,
    "streaks": 0.0,
    "mirrored": 0.0,
    "dead_share": 0.0,
    "noise": 0.0,
    "flat": 0.0,
    "cut": 0.0,
    "dead": 0,
    "hot": 0,
    "folded": False,
    "burnt": 0,
    "step": 0.0,
    "comb": [UNCOMBED_RATIO] * 2,
}


def planes_of(data: Voxels, marked: Bools | None, blank: Bools | None) -> PlaneFacts:
    """Return what the planes of a volume hold that no scanner produces, for data_prep.oddities.planes.

    data: (x, y, z), float32, in raw values, lying LPS. marked: (x, y, z), the voxels that show nothing
    (data_prep.placing.absent); slices with such voxels are left out. blank: (x, y, z), the voxels without a number,
    which hold the lowest value. None means that there are no such voxels.
    """
    shown = np.arange(data.shape[2]) if marked is None else np.flatnonzero(~marked.any(axis=(0, 1)))
    cut_off = 2 * len(shown) < data.shape[2]  # then the marked slices are reported instead
    slices = _looked_at(data, shown)
    every = data
    data, blank = data[:, :, slices], None if blank is None else blank[:, :, slices]
    air, last = (float(value) for value in percentiles(data[::2, ::2], [1, 99])) if data.size else (0.0, 0.0)
    if last <= air or min(data.shape[:2]) < BLOCK_VOXELS:
        return NOTHING.copy()
    way, tissue = last - air, air + TISSUE_SHARE * (last - air)
    noise = _noise(data, air, way)
    if noise > ALL_NOISE_SHARE:
        return NOTHING.copy()
    values, counts = _values(data, tissue)
    dead = _dead(
        data,
        air + BRIGHT_SHARE * way,
        max(float(data.min()) + LOWEST_SHARE * way, air - BELOW_AIR_SHARE * way),
    )
    repeated = (
        _repeated(data, way, tissue) if int(np.count_nonzero(values <= last)) >= GRADED_VALUES else NOTHING
    )
    return {
        **repeated,
        "dead": dead,
        "dead_share": dead / int(np.count_nonzero(data > tissue)),
        "hot": _hot(data, air, way),
        "noise": noise,
        "flat": _flat(counts, data[::2, ::2].size),
        "cut": 0.0 if cut_off else _cut(data, blank, tissue, air + EDGE_SHARE * way),
        "folded": folded(data, tissue),
        "comb": comb(data, tissue),
        "step": _step(every, shown, air, tissue),
    }


def _repeated(data: Voxels, way: float, tissue: float) -> PlaneFacts:
    """Return the facts on values that repeat, for a volume of many values, since few repeat by chance; all other facts
    are those of NOTHING.

    data: (x, y, z), in raw values, as are `way`, from air to bright tissue, and `tissue`.
    """
    return {
        **NOTHING,
        "burnt": _burnt(data, tissue),
        "copied": copied(data, VARIED_SHARE * way),
        "streaks": streaks(data, tissue),
        "mirrored": mirrored_share(data, tissue),
    }


def _looked_at(data: Voxels, shown: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return some of the slices that are shown, spread evenly: (m,).

    data: (x, y, z), in any unit of values. shown: (n,), positions of slices.
    """
    every = max(1, int(np.ceil(len(shown) * data.shape[0] * data.shape[1] / LOOKED_AT_VOXELS)))
    return shown[every // 2 % max(1, len(shown)) :: every]


def _around(data: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the 8 neighbours in the plane of each voxel that is not at its border: first the 4 that share a side.

    They are views of data, each (x - 2, y - 2, z). data: (x, y, z), of any type and unit of values.
    """
    wide, high = data.shape[:2]
    steps = ((0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2))
    return [data[x : wide - 2 + x, y : high - 2 + y] for x, y in steps]


def _dead(data: Voxels, tissue: float, least: float) -> int:
    """Return how many voxels of (x, y, z), in raw values, are at most `least` but lie amid tissue in their plane."""
    shown = (data > tissue).astype(np.uint8)
    beside = np.zeros(shown[1:-1, 1:-1].shape, np.uint8)
    for each in _around(shown):
        beside += each
    return int(np.count_nonzero((beside >= LEAST_TISSUE_BESIDE) & (data[1:-1, 1:-1] <= least)))


def _hot(data: Voxels, air: float, way: float) -> int:
    """Return how many voxels of (x, y, z), in raw values, are far brighter than those around them in their plane.

    way: from air to bright tissue.
    """
    inner = data[1:-1, 1:-1]
    at = np.nonzero(inner > air + way)
    third = np.sort(np.stack([each[at] for each in _around(data)]), axis=0)[-3]
    return int((inner[at] - air > HOT_TIMES * np.maximum(third - air, 0)).sum())


def _noise(data: Voxels, air: float, way: float) -> float:
    """Return the share of bright squares in the planes of (x, y, z), in raw values, whose voxels are independent of
    one another."""
    wide, high = (side // BLOCK_VOXELS * BLOCK_VOXELS for side in data.shape[:2])
    squares = data[:wide, :high].reshape(
        wide // BLOCK_VOXELS, BLOCK_VOXELS, high // BLOCK_VOXELS, BLOCK_VOXELS, -1
    )
    shown = squares.mean(axis=(1, 3)) > air + BRIGHT_SHARE * way
    step = np.min([np.abs(np.diff(squares, axis=axis)).mean(axis=(1, 3)) for axis in (1, 3)], axis=0)
    # The mean difference of independent normal numbers is 2 / sqrt(pi) times their standard deviation.
    unlike = step > NOISY_SHARE * 2 / np.sqrt(np.pi) * squares.std(axis=(1, 3))
    return float((shown & unlike & (step > ROUGH_SHARE * way)).sum() / max(1, shown.sum()))


def _values(data: Voxels, tissue: float) -> tuple[Voxels, Integers]:
    """Return the values of tissue, (n,), raw, in a quarter of the voxels of (x, y, z), and how often each occurs, (n,).
    The highest value is left out."""
    thin = data[::2, ::2]
    values, counts = np.unique(thin[(thin > tissue) & (thin < thin.max())], return_counts=True)
    return values, counts


def _flat(counts: Integers, voxels: int) -> float:
    """Return the share of voxels that hold the most frequent value; 0 unless it is SPIKE_TIMES as frequent as the
    values next to it.

    It is 0, too, where there are fewer than LEAST_VALUES. counts: (n,), of the values in ascending order. voxels: how
    many were counted.
    """
    if len(counts) < LEAST_VALUES:
        return 0.0
    at = int(counts.argmax())
    beside = max(counts[max(0, at - 1) : at].max(initial=0), counts[at + 1 : at + 2].max(initial=0))
    return float(counts[at] / voxels) if counts[at] >= SPIKE_TIMES * beside else 0.0


def _cut(data: Voxels, blank: Bools | None, tissue: float, bright: float) -> float:
    """Return how many bright voxels border on the lowest value, relative to the square root of the tissue's area
    in voxels.

    It is the median over slices. Voxels that are `blank` do not count as lowest. data, blank: (x, y, z), the data in
    raw values, as `tissue` and `bright` are.
    """
    lowest = data == data.min()
    if blank is not None:
        lowest &= ~blank
    if int(np.count_nonzero(lowest)) < LEAST_CUT_SHARE * lowest.size:
        return 0.0
    core = np.zeros_like(lowest)  # single voxels are removed
    core[1:-1, 1:-1] = lowest[1:-1, 1:-1] & (np.sum(_around(lowest)[:4], axis=0, dtype=np.uint8) >= 2)
    edge = np.any(_around(core)[:4], axis=0) & (data[1:-1, 1:-1] > bright)
    area = (data > tissue).sum(axis=(0, 1))
    return float(np.median(edge.sum(axis=(0, 1)) / np.sqrt(np.maximum(area, 1))))


def _burnt(data: Voxels, tissue: float) -> int:
    """Return at how many places of the plane most slices of (x, y, z), in raw values, hold the same value of tissue.

    The value is taken from one of three slices. It is 0 where this is the highest value and the surroundings are nearly
    as bright, since values were then cut off at the top.
    """
    count = data.shape[2]
    found = np.zeros(data.shape[:2], dtype=bool)
    if count >= LEAST_SLICES:
        for z in (count // 4, count // 2, 3 * count // 4):
            same = (data == data[:, :, z : z + 1]).mean(axis=2) > BURNT_SHARE
            found |= same & (data[:, :, z] > tissue)
    around = data[ndimage.binary_dilation(found) & ~found]
    if around.size and median(data[found]) == data.max():
        low = float(data.min())
        if median(around) - low > CUT_AROUND_SHARE * (float(data.max()) - low):
            return 0
    return int(found.sum())


def _step(data: Voxels, shown: NDArray[np.intp], air: float, tissue: float) -> float:
    """Return the largest change of brightness, as a logarithm, from a slice to the next, beyond the changes around it.

    data: (x, y, z), in raw values. shown: (n,), the slices that show something. air, tissue: in the volume's unit
    of values.
    """
    thin = data[::EVERY_STEPPED_VOXELS, ::EVERY_STEPPED_VOXELS]
    held = np.zeros(data.shape[2], dtype=bool)
    held[shown] = True
    changes = np.zeros(data.shape[2])
    for z in range(1, data.shape[2]):
        before, after = thin[:, :, z - 1], thin[:, :, z]
        both = (before > tissue) & (after > tissue)
        if held[z - 1] and held[z] and np.count_nonzero(both) >= LEAST_TISSUE_VOXELS:
            changes[z] = np.log(median((after[both] - air) / (before[both] - air)))
    around = np.lib.stride_tricks.sliding_window_view(np.pad(changes, CALM_SLICES), 2 * CALM_SLICES + 1)
    others = np.delete(around, CALM_SLICES, axis=1)
    usual = np.median(others, axis=1, keepdims=True)
    apart = np.abs(changes - usual[:, 0]) - UNREST_TIMES * np.abs(others - usual).max(axis=1)
    return float(apart.max(initial=0.0))
