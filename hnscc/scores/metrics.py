"""The metrics of overlap that every trial is scored by, as data.

A new metric from pixel counts is a function and a `Metric` at the end of OVERLAP, and a test beside the others. Its
columns then stand in every table of its units, and its pairs of variants in `comparisons`. What needs masks and
spacing, such as distances of surfaces, is no `Metric`: those scores of whole scans are in `scores.surface`,
`scores.millilitres`, `scores.lesions` and `scores.scans`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from hnscc.base.arrays import Floats
from hnscc.scores.counts import Counts

# What a value may be of, a test may count, and a table may have a row for: one slice, one scan, one patient, or all
# slices of a split taken as one.
Unit = Literal["slice", "scan", "patient", "pooled"]
# Pixels of overlap, prediction and truth, of one shape -> float64 of that shape.
Score = Callable[[ArrayLike, ArrayLike, ArrayLike], Floats]
# The same counts -> numerator and denominator, whose sums over patients give the pooled value.
Fraction = Callable[[ArrayLike, ArrayLike, ArrayLike], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Metric:
    """How well a predicted mask agrees with the true one, as data: whoever scores, loops over METRICS.

    name: begins the names of its columns, as in `dice_low`. label: how a report writes it. units: what it has a
    value of; it stands in a table only if the unit of the table's rows is among them. measured_in: mm, say; None where
    its values are ratios. range: the lowest and the highest value there is. empty_value: what its function gives where
    prediction and truth are both empty. function: its values from pixel counts; it is never NaN. fraction: of a metric
    that pools as a ratio of sums, the two parts, on which its intervals over patients and repeats rest
    (scores.crossed), else None.
    """

    name: str
    label: str
    units: frozenset[Unit]
    measured_in: str | None
    range: tuple[float, float]
    higher_is_better: bool
    empty_value: float
    function: Score
    fraction: Fraction | None = None

    @property
    def when_empty(self) -> str:
        """Its value where prediction and truth are both empty, in words."""
        return f"{self.empty_value:g} where truth and prediction are both empty"

    def of(self, counts: Counts) -> Floats:
        """Return its value of each pair of masks: float64 of the same shape as `counts`."""
        return self.function(counts.overlap, counts.pred, counts.truth)


EVERY_UNIT: frozenset[Unit] = frozenset({"slice", "scan", "patient", "pooled"})


def dice(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> Floats:
    """Return 2 |A and B| / (|A| + |B|), float64 in 0..1, of pixel counts or ml of one shape (...), from 0 on, and
    of that shape: 1 where both are empty (paper, section 2.4)."""
    return ratio(*dice_fraction(overlap, pred, truth))


def dice_fraction(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """Return 2 |A and B|, and |A| + |B|, float64, of pixel counts or ml of one shape (...), and of that shape."""
    whole: Floats = np.asarray(pred, np.float64) + np.asarray(truth, np.float64)
    return 2 * np.asarray(overlap, np.float64), whole


def jaccard(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> Floats:
    """Return |A and B| / |A or B|, float64 in 0..1, of pixel counts or ml of one shape (...), from 0 on, and of
    that shape: 1 where both are empty (paper, section 2.4)."""
    return ratio(*jaccard_fraction(overlap, pred, truth))


def jaccard_fraction(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """Return |A and B|, and |A or B|, float64, of pixel counts or ml of one shape (...), and of that shape."""
    both = np.asarray(overlap, np.float64)
    either: Floats = np.asarray(pred, np.float64) + np.asarray(truth, np.float64) - both
    return both, either


def soft_jaccard(probabilities: ArrayLike, masks: ArrayLike) -> float:
    """Jaccard without a threshold, pooled: sum(p m) / (sum(p) + sum(m) - sum(p m)); 1 where both sums are 0.

    probabilities: floats 0..1, masks: 0/1, of one shape. What the value that training monitors is tested against.
    """
    p, m = np.asarray(probabilities, np.float64), np.asarray(masks, np.float64)
    overlap = (p * m).sum()
    return float(ratio(overlap, p.sum() + m.sum() - overlap))


def ratio(part: ArrayLike, whole: ArrayLike) -> Floats:
    """Return part / whole, float64, of finite numbers whatever measured in, of one shape (...), and of that shape; 1
    where whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    found: Floats = np.divide(part, whole, out=np.ones_like(whole), where=whole != 0)
    return found


DICE = Metric(
    name="dice",
    label="Dice",
    units=EVERY_UNIT,
    measured_in=None,
    range=(0.0, 1.0),
    higher_is_better=True,
    empty_value=1.0,
    function=dice,
    fraction=dice_fraction,
)
JACCARD = Metric(
    name="jaccard",
    label="Jaccard",
    units=EVERY_UNIT,
    measured_in=None,
    range=(0.0, 1.0),
    higher_is_better=True,
    empty_value=1.0,
    function=jaccard,
    fraction=jaccard_fraction,
)
OVERLAP = (DICE, JACCARD)
METRICS: dict[str, Metric] = {each.name: each for each in (*OVERLAP,)}


def metrics_at(unit: Unit) -> list[Metric]:
    """Return the metrics that have a value of each slice, scan or patient, or pooled over a split; in the order
    of METRICS."""
    return [each for each in METRICS.values() if unit in each.units]
