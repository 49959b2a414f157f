"""How well repeats say where their median lies, and how many it takes to say it better."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import scipy.stats

from hnscc.base import fewest
from hnscc.base.in_words import count_of
from hnscc.scores.intervals import ALPHA, median_interval

# The median of n normal values varies as their mean does, times this (large n).
MEDIAN_FACTOR = math.sqrt(math.pi / 2)
HARDLY_ANY = 0.1  # a Dice below it means that hardly any lesion was found


@dataclass(frozen=True)
class RepeatsForWidth:
    """How many repeats a half-width needs, as a pilot tells.

    pilot: its repeats. sd: the standard deviation of their scores (n - 1). repeats: how many are needed; low, high: the
    95 % range of that, since the pilot's own standard deviation is known no better. Where a pilot cannot tell, all
    others are None and `reason` says why.
    """

    pilot: int
    sd: float | None
    repeats: int | None
    low: int | None
    high: int | None
    reason: str | None = None


def mostly_collapsed(trainings: Sequence[bool]) -> bool:
    """Whether a variant mostly collapsed: more than half of its completed trainings did (True)."""
    return 2 * sum(trainings) > len(trainings)


def half_width(scores: Sequence[float]) -> float | None:
    """How far the 95 % interval of the median reaches to its farther side; None where there is none."""
    interval = median_interval(scores)
    if interval.low is None or interval.high is None:
        return None
    middle = median(scores)
    return max(interval.high - middle, middle - interval.low)


def is_known_within(scores: Sequence[float], within: float) -> bool:
    """Whether the 95 % interval of the median reaches at most `within` to either side."""
    width = half_width(scores)
    return width is not None and width <= within


def repeats_for_width(scores: Sequence[float], within: float) -> RepeatsForWidth:
    """How many repeats it takes until the interval of the median reaches `within` to either side, were the scores
    spread normally.

    scores: pooled Dice (0 to 1) of each repeat. Fewer than 2 cannot tell, and neither can those of a variant that finds
    hardly any lesion: that they lie close together says nothing of repeats that learn.
    """
    n = len(scores)
    if n < fewest.REPEATS:
        return unknown(
            n,
            count_of(
                n,
                "completed repeat says nothing of the spread",
                "completed repeats say nothing of their spread",
            ),
        )
    if (middle := median(scores)) < HARDLY_ANY:
        return unknown(n, f"it finds hardly any lesion (median test Dice {middle:.3f})")
    sd = float(np.std(scores, ddof=1))
    ends = [sd * math.sqrt((n - 1) / scipy.stats.chi2.ppf(q, n - 1)) for q in (1 - ALPHA / 2, ALPHA / 2)]
    repeats, low, high = (_count(each, within) for each in (sd, *ends))
    return RepeatsForWidth(n, sd, repeats, low, high)


def unknown(pilot: int, reason: str) -> RepeatsForWidth:
    """What a pilot of so many repeats says that cannot tell, and why."""
    return RepeatsForWidth(pilot=pilot, sd=None, repeats=None, low=None, high=None, reason=reason)


def _count(sd: float, within: float) -> int:
    z = float(scipy.stats.norm.ppf(1 - ALPHA / 2))
    return max(fewest.VALUES_FOR_MEDIAN, math.ceil((z * MEDIAN_FACTOR * sd / within) ** 2))
