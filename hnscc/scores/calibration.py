"""Whether stored probabilities are right: the Brier score and the reliability curve of a scan's voxels.

Both are made of whole numbers that add up over scans, so that pooling needs no voxel again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnscc.base.arrays import Bools, Integers, StoredProbabilities
from hnscc.scores.counts import ONE

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """The voxels of stored probabilities, counted in bins of equal width. A stored q means a probability of q / 65535.

    n: how many voxels each bin holds. total: the sum of their q. lesion: how many of them are lesion. squares: the sum
    over all voxels of (q - 65535 x truth)^2. Calibrations of several scans with the same number of bins add up (`+`).
    """

    n: tuple[int, ...]
    total: tuple[int, ...]
    lesion: tuple[int, ...]
    squares: int

    def __add__(self, other: "Calibration") -> "Calibration":
        parts = ((self.n, other.n), (self.total, other.total), (self.lesion, other.lesion))
        n, total, lesion = (tuple(a + b for a, b in zip(*each, strict=True)) for each in parts)
        return Calibration(n, total, lesion, self.squares + other.squares)


@dataclass(frozen=True)
class ScanCalibration:
    """What a scan's stored probabilities tell without a threshold. highest: the highest probability of any
    voxel, 0..1."""

    highest: float
    calibration: Calibration


@dataclass(frozen=True)
class ReliabilityBin:
    """The voxels whose probability is above `low` (in the first bin: from 0 on) and at most `high`.

    n: how many there are. predicted: their mean probability. observed: the share of them that is lesion. Both are None
    in an empty bin.
    """

    low: float
    high: float
    n: int
    predicted: float | None
    observed: float | None


def calibration(probabilities: StoredProbabilities, truth: Bools) -> Calibration:
    """Return the calibration of stored probabilities, uint16 of any shape, against a bool truth of that shape, in
    10 bins of equal width.

    A probability on an edge belongs to the bin below it. Raises ValueError for other arrays.
    """
    if probabilities.dtype != np.uint16 or truth.dtype != np.bool_ or probabilities.shape != truth.shape:
        raise ValueError(
            "probabilities are uint16 and the truth is bool, of one shape, not "
            f"{probabilities.dtype} {probabilities.shape} and {truth.dtype} {truth.shape}; give "
            "both as a trial and its fold store them"
        )
    every, lesion = _count(probabilities), _count(probabilities[truth])
    q = np.flatnonzero(every)
    every, lesion = every[q], lesion[q]
    # In whole numbers: exact, up to 2e9 voxels, and a q on an edge is always in the lower bin.
    position = np.maximum(-(-q * BINS // ONE) - 1, 0)
    squares = int(((every - lesion) * q**2).sum()) + int((lesion * (ONE - q) ** 2).sum())
    n, total, of_lesion = (_by_bin(each, position) for each in (every, every * q, lesion))
    return Calibration(n, total, of_lesion, squares)


def calibrations_of(
    probabilities: StoredProbabilities, masks: Bools, rows: Mapping[str, Integers]
) -> dict[str, ScanCalibration]:
    """Return the calibration of each scan, from stored probabilities uint16 (N, H, W) and masks bool (N, H, W). rows:
    for each scan, the positions of its slices among the N, int (n,)."""
    return {
        scan: ScanCalibration(int(probabilities[at].max()) / ONE, calibration(probabilities[at], masks[at]))
        for scan, at in rows.items()
    }


def calibration_from_json(value: Mapping[str, Any]) -> ScanCalibration:
    """Return a scan's calibration from what `dataclasses.asdict` made of it. Raises KeyError or TypeError for
    anything else."""
    found = {name: tuple(value["calibration"][name]) for name in ("n", "total", "lesion")}
    return ScanCalibration(value["highest"], Calibration(**found, squares=value["calibration"]["squares"]))


def brier(found: Calibration) -> float | None:
    """Return the Brier score: the mean over voxels of the squared difference of probability and truth (0 or 1), 0..1;
    None without voxels."""
    n = sum(found.n)
    return found.squares / (n * ONE**2) if n else None


def reliability(found: Calibration) -> tuple[ReliabilityBin, ...]:
    """Return the reliability curve: predicted and observed share in each bin, from 0 to 1."""
    bins = len(found.n)
    return tuple(
        ReliabilityBin(
            low=each / bins,
            high=(each + 1) / bins,
            n=n,
            predicted=total / (n * ONE) if n else None,
            observed=lesion / n if n else None,
        )
        for each, (n, total, lesion) in enumerate(zip(found.n, found.total, found.lesion, strict=True))
    )


def _count(probabilities: StoredProbabilities) -> Integers:
    """Return how many voxels have each q, int64 (65536,). probabilities: uint16, any shape. They are counted in parts,
    since NumPy makes a copy of eight bytes per voxel."""
    counts = np.zeros(ONE + 1, np.int64)
    voxels = probabilities.reshape(-1)
    for first in range(0, len(voxels), ONE + 1):
        counts += np.bincount(voxels[first : first + ONE + 1], minlength=ONE + 1)
    return counts


def _by_bin(values: Integers, position: NDArray[np.int64]) -> tuple[int, ...]:
    """Return the sum of the values, counts int (n,), in each bin. position: the bin of each value, (n,)."""
    sums = np.zeros(BINS, np.int64)
    np.add.at(sums, position, values)
    return tuple(int(each) for each in sums)
