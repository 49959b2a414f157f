"""The metrics of overlap by which every trial is scored, as data.

To add a metric of pixel counts, write a function, a `Metric` at the end of OVERLAP, and a test beside the others. Its
columns then stand in every table of its units, and its pairs of variants in `comparisons`. What needs masks and
spacing, such as distances of surfaces, is not a `Metric`: those scores of whole scans are in `scores.surface`,
`scores.millilitres`, `scores.lesions` and `scores.scans`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from hnscc.base.arrays import Floats
from hnscc.scores.counts import Counts

# What a value may describe, a test may count, and a table may have a row for: one slice, one scan, one patient, or all
# slices of a split pooled.
Unit = Literal["slice", "scan", "patient", "pooled"]
# From pixels of overlap, prediction and truth, of one shape, to a score, float64 of that shape.
Score = Callable[[ArrayLike, ArrayLike, ArrayLike], Floats]
# From the same counts to numerator and denominator, whose sums over patients give the pooled value.
Fraction = Callable[[ArrayLike, ArrayLike, ArrayLike], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Metric:
    """A measure of how well a predicted mask agrees with the true one, as data: all scoring loops over METRICS.

    name: begins the names of its columns, as in `dice_low`. label: its name in a report. units: what it has values for;
    it stands in a table only if the unit of the table's rows is among them. measured_in: the unit of its values, such
    as mm; None for ratios. range: the lowest and the highest possible value. empty_value: its value where prediction
    and truth are both empty. function: computes its values from pixel counts; they are never NaN. fraction: for a
    metric that pools as a ratio of sums, computes the two parts, on which its intervals over patients and repeats rest
    (scores.crossed); else None.
    """

    name: str
    label: str
    units: frozenset[Unit]
    range: tuple[float, float]
    higher_is_better: bool
    empty_value: float
    function: Score
    fraction: Fraction | None = None
    measured_in: str | None = None

    @property
    def when_empty(self) -> str:
        """A text that says its value where prediction and truth are both empty."""
        return f"{self.empty_value:g} where truth and prediction are both empty"

    def of(self, counts: Counts) -> Floats:
        """Return its value for each pair of masks: float64 of the same shape as `counts`."""
        return self.function(counts.overlap, counts.pred, counts.truth)


EVERY_UNIT: frozenset[Unit] = frozenset({"slice", "scan", "patient", "pooled"})


def dice(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> Floats:
    """Return the Dice 2 |A and B| / (|A| + |B|), float64 in 0..1, of pixel counts or ml, from 0 on, of one shape (...),
    which the result has too. It is 1 where both masks are empty (paper, section 2.4)."""
    return ratio(*dice_fraction(overlap, pred, truth))


def dice_fraction(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """Return the numerator 2 |A and B| and the denominator |A| + |B| of Dice, float64, of pixel counts or ml of one
    shape (...), which the results have too."""
    whole: Floats = np.asarray(pred, np.float64) + np.asarray(truth, np.float64)
    return 2 * np.asarray(overlap, np.float64), whole


def jaccard(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> Floats:
    """Return the Jaccard index |A and B| / |A or B|, float64 in 0..1, of pixel counts or ml, from 0 on, of one shape
    (...), which the result has too. It is 1 where both masks are empty (paper, section 2.4)."""
    return ratio(*jaccard_fraction(overlap, pred, truth))


def jaccard_fraction(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """Return the numerator |A and B| and the denominator |A or B| of Jaccard, float64, of pixel counts or ml of one
    shape (...), which the results have too."""
    both = np.asarray(overlap, np.float64)
    either: Floats = np.asarray(pred, np.float64) + np.asarray(truth, np.float64) - both
    return both, either


def ratio(part: ArrayLike, whole: ArrayLike) -> Floats:
    """Return part / whole, float64, of finite numbers in any unit, of one shape (...), which the result has too; 1
    where whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    found: Floats = np.divide(part, whole, out=np.ones_like(whole), where=whole != 0)
    return found


DICE = Metric(
    name="dice",
    label="Dice",
    units=EVERY_UNIT,
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
    range=(0.0, 1.0),
    higher_is_better=True,
    empty_value=1.0,
    function=jaccard,
    fraction=jaccard_fraction,
)
OVERLAP = (DICE, JACCARD)
METRICS: dict[str, Metric] = {each.name: each for each in (*OVERLAP,)}


def metrics_at(unit: Unit) -> list[Metric]:
    """Return the metrics that have values for this unit (each slice, scan or patient, or pooled over a split), in the
    order of METRICS."""
    return [each for each in METRICS.values() if unit in each.units]
