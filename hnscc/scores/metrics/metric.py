"""What a metric is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

from hnscc.base.arrays import Floats
from hnscc.scores.counts import Counts

# What a value may be of: one slice, one scan, one patient, or all slices of a split taken as one.
Level = Literal["slice", "scan", "patient", "pooled"]
# Pixels of overlap, prediction and truth, of one shape -> float64 of that shape.
Score = Callable[[ArrayLike, ArrayLike, ArrayLike], Floats]
# The same counts -> numerator and denominator, whose sums over patients give the pooled value.
Fraction = Callable[[ArrayLike, ArrayLike, ArrayLike], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Metric:
    """How well a predicted mask agrees with the true one, as data: whoever scores, loops over METRICS.

    name: begins the names of its columns, as in `dice_low`. label: how a report writes it. levels: what it has a
    value of; it stands in a table only if the table's level is among them. unit: of its values, None where they are
    ratios. range: the lowest and the highest value there is. empty_value: what its function gives where prediction and
    truth are both empty. function: its values from pixel counts; it is never NaN. fraction: of a metric that pools as a
    ratio of sums, the two parts, on which its intervals over patients and repeats rest (scores.crossed), else None.
    """

    name: str
    label: str
    levels: frozenset[Level]
    unit: str | None
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
        """Its value of every case: float64 of the same shape as `counts`."""
        return self.function(counts.overlap, counts.pred, counts.truth)
