"""What the planes of a volume hold that no scanner gives: lines that repeat others, fillings, dead voxels, cuts, folds.

Resampling and registration fill what lies beyond an image with its last values, a mirror image, a constant or noise;
programs set voxels to 0; an image folds over where the body is wider than its field of view. All of it is found by what
cannot be in an image: two lines of one plane with exactly the same noise, tissue of exactly one value, tissue whose
neighbours tell nothing of it, a left border that goes on on the right.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.placing.plane_lines import UNCOMBED_RATIO, comb, copied, folded, mirrored_share, streaks
from data_prep.volumes.percentiles import median, percentiles
from hnscc.base.arrays import Bools, Integers, Voxels
from hnscc.cohort.placement import PlaneFacts

TISSUE_SHARE = 0.1  # of the way from air (1st percentile) to the 99th: what is brighter is tissue
VARIED_SHARE = 0.2  # of that way, by which the values of a line differ: one through air says nothing
LEAST_SLICES = 5  # of fewer nothing is said of a place that is alike in most
LEAST_TISSUE_BESIDE = 6  # of the 8 voxels around, that are tissue where one without a signal is dead
LOWEST_SHARE = 0.005  # of that way, above the lowest value: no signal
BELOW_AIR_SHARE = 0.5  # of that way, below air: no value of an image either
HOT_TIMES = 4.0  # times the third-brightest of the 8 voxels around; a scanner blurs a point more widely
BLOCK_VOXELS = 8  # voxels, of squares in which noise is looked for
BRIGHT_SHARE = 0.15  # of that way, above air: the mean of such squares, and what lies around a dead voxel
ROUGH_SHARE = 0.2  # of that way, that noise steps from voxel to voxel
NOISY_SHARE = 0.7  # of the steps of independent numbers with the square's standard deviation, that noise has
ALL_NOISE_SHARE = 0.6  # of the tissue: a volume of noise alone, in which anything comes by chance
EDGE_SHARE = 0.25  # of that way, above air: what lies beside a cut
LEAST_CUT_SHARE = 1e-3  # of the voxels, that hold the lowest value where it is no single voxel's
# Values of tissue, below which lines of few values agree by chance; and one is common, whatever was filled with it.
GRADED_VALUES, LEAST_VALUES = 128, 64
SPIKE_TIMES = 3.0  # times as many voxels as the next values, that one holds which a part was filled with
BURNT_SHARE = 0.5  # of the slices, that hold one and the same bright value at one place
# Of the way to the highest value, around places that hold it: values were cut off there. Cut off at their 80th to 95th
# percentile, volumes of the public cohort have 0.81 and more.
CUT_AROUND_SHARE = 0.7
EVERY_STEPPED_VOXELS = 2  # voxels of a slice, of which one is looked at for a step
LEAST_TISSUE_VOXELS = 50  # of these, that are tissue in both slices, at least
# Slices on both sides of a step; times as much as these differ from one another.
CALM_SLICES, UNREST_TIMES = 3, 1.5
LOOKED_AT_VOXELS = 400_000  # voxels, at most, of whole slices

# What a volume holds that shows nothing.
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
    """What the planes of a volume hold that no scanner gives, for data_prep.oddities.planes.

    data: (x, y, z), float32, in raw values, lying LPS. marked: (x, y, z), voxels that show nothing
    (data_prep.placing.absent), whose slices are left out; blank: (x, y, z), those without a number, which hold the
    lowest one. None: there is no such voxel.
    """
    shown = np.arange(data.shape[2]) if marked is None else np.flatnonzero(~marked.any(axis=(0, 1)))
    cut_off = 2 * len(shown) < data.shape[2]  # which is told of the slices that are marked
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
    """What is said of values that come again, which few values do by chance; of all else nothing. data: (x, y, z), in
    raw values, as `way`, from air to what is bright, and `tissue` are."""
    return {
        **NOTHING,
        "burnt": _burnt(data, tissue),
        "copied": copied(data, VARIED_SHARE * way),
        "streaks": streaks(data, tissue),
        "mirrored": mirrored_share(data, tissue),
    }


def _looked_at(data: Voxels, shown: NDArray[np.intp]) -> NDArray[np.intp]:
    """Some of the slices that are shown, spread evenly: (m,). data: (x, y, z), in any unit of values; shown: (n,),
    positions of slices."""
    every = max(1, int(np.ceil(len(shown) * data.shape[0] * data.shape[1] / LOOKED_AT_VOXELS)))
    return shown[every // 2 % max(1, len(shown)) :: every]


def _around(data: NDArray[Any]) -> list[NDArray[Any]]:
    """The voxels around each one that is not at a border of its plane: the four beside it first, then the others. data:
    (x, y, z), of any type and unit of values; views of it, each (x - 2, y - 2, z)."""
    wide, high = data.shape[:2]
    steps = ((0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2))
    return [data[x : wide - 2 + x, y : high - 2 + y] for x, y in steps]


def _dead(data: Voxels, tissue: float, least: float) -> int:
    """How many voxels of (x, y, z), in raw values, of at most `least` lie amid tissue, by those around them in
    their plane."""
    shown = (data > tissue).astype(np.uint8)
    beside = np.zeros(shown[1:-1, 1:-1].shape, np.uint8)
    for each in _around(shown):
        beside += each
    return int(np.count_nonzero((beside >= LEAST_TISSUE_BESIDE) & (data[1:-1, 1:-1] <= least)))


def _hot(data: Voxels, air: float, way: float) -> int:
    """How many voxels of (x, y, z), in raw values, are far brighter than those around them in their plane.

    way: from air to what is bright.
    """
    inner = data[1:-1, 1:-1]
    at = np.nonzero(inner > air + way)
    third = np.sort(np.stack([each[at] for each in _around(data)]), axis=0)[-3]
    return int((inner[at] - air > HOT_TIMES * np.maximum(third - air, 0)).sum())


def _noise(data: Voxels, air: float, way: float) -> float:
    """The share of bright squares of the planes of (x, y, z), in raw values, whose voxels differ as independent
    numbers do."""
    wide, high = (side // BLOCK_VOXELS * BLOCK_VOXELS for side in data.shape[:2])
    squares = data[:wide, :high].reshape(
        wide // BLOCK_VOXELS, BLOCK_VOXELS, high // BLOCK_VOXELS, BLOCK_VOXELS, -1
    )
    shown = squares.mean(axis=(1, 3)) > air + BRIGHT_SHARE * way
    step = np.min([np.abs(np.diff(squares, axis=axis)).mean(axis=(1, 3)) for axis in (1, 3)], axis=0)
    # Independent normal numbers differ by 2 / sqrt(pi) of their standard deviation on average.
    unlike = step > NOISY_SHARE * 2 / np.sqrt(np.pi) * squares.std(axis=(1, 3))
    return float((shown & unlike & (step > ROUGH_SHARE * way)).sum() / max(1, shown.sum()))


def _values(data: Voxels, tissue: float) -> tuple[Voxels, Integers]:
    """The values of tissue, (n,), raw, of a quarter of the voxels of (x, y, z), and how many of these hold
    each, (n,); not the highest of all."""
    thin = data[::2, ::2]
    values, counts = np.unique(thin[(thin > tissue) & (thin < thin.max())], return_counts=True)
    return values, counts


def _flat(counts: Integers, voxels: int) -> float:
    """The share of voxels that hold the commonest value, where far more do than hold those beside it; else 0. counts:
    (n,), of values that ascend; voxels: how many were counted."""
    if len(counts) < LEAST_VALUES:
        return 0.0
    at = int(counts.argmax())
    beside = max(counts[max(0, at - 1) : at].max(initial=0), counts[at + 1 : at + 2].max(initial=0))
    return float(counts[at] / voxels) if counts[at] >= SPIKE_TIMES * beside else 0.0


def _cut(data: Voxels, blank: Bools | None, tissue: float, bright: float) -> float:
    """How many bright voxels lie beside the lowest value, where that is not `blank`, in the median slice, divided
    by the square root of how many are tissue. data, blank: (x, y, z), the data in raw values, as `tissue` and
    `bright` are."""
    lowest = data == data.min()
    if blank is not None:
        lowest &= ~blank
    if int(np.count_nonzero(lowest)) < LEAST_CUT_SHARE * lowest.size:
        return 0.0
    core = np.zeros_like(lowest)  # without single voxels
    core[1:-1, 1:-1] = lowest[1:-1, 1:-1] & (np.sum(_around(lowest)[:4], axis=0, dtype=np.uint8) >= 2)
    edge = np.any(_around(core)[:4], axis=0) & (data[1:-1, 1:-1] > bright)
    area = (data > tissue).sum(axis=(0, 1))
    return float(np.median(edge.sum(axis=(0, 1)) / np.sqrt(np.maximum(area, 1))))


def _burnt(data: Voxels, tissue: float) -> int:
    """How many places of the plane of (x, y, z), in raw values, hold one value of tissue in most slices: the value of
    one of three of these; none where that is the highest one and what lies around is nearly as high: values were cut
    off at the top."""
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
    """The largest change of brightness, as a logarithm, from one slice of (x, y, z), in raw values, to the next that
    stands apart from those around it. shown: (n,), the slices that show something; air, tissue: values in the volume's
    unit of values."""
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
