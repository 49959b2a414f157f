"""What a score of masks is, as data, and the one rule for empty masks that all of them follow.

**The rule.** Whether a score exists depends on the truth alone, never on the prediction: a model cannot leave a mean
over scans by predicting nothing. Where it exists, it is

- the best value where truth and prediction are both empty: nothing was to be found, and nothing was alleged;
- the worst value where one of them is empty and the other is not: all was missed, or all is a false alarm. The worst
  of a distance is the diagonal of the scan, which no two points of the scan exceed: means and medians take it as it
  is. What tells of alarms alone (`fp_ml`, `false_lesions`, specificity) cannot see a miss, nor `fn_ml` and
  sensitivity an alarm: none of these is to be read without its partner. Volumes and counts have no worst value.

So missing more lesions never improves a score: taking a lesion that was found out of a prediction, the last one too,
makes every score worse or leaves it. This holds

- for counts of lesions and for the calls of scans and patients, of every predicted component that touches a lesion;
- for volumes, shares of voxels and Dice, of every component that lies within the truth (one that reaches beyond it
  also takes false positives away);
- for distances of surfaces, of every component that is the lesion itself. Of a lesion that was found in part, only
  the last step is certain: to predict nothing is never better than to predict anything.

Signed errors (`better` is None) are descriptions and no scores: a false alarm hides a miss of the same volume.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Case = TypeVar("Case")


@dataclass(frozen=True)
class Value:
    """A score, or None with the reason why there is none."""

    value: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Quantity(Generic[Case]):
    """One number of a case (a scan's surfaces, its volumes, its lesions, ...), as data.

    name: of its column. label: how a report writes it. unit: of its values, None where they are ratios. range: the
    lowest and the highest value, None where there is no bound but the scan's. better: which way, None where neither
    is (a description). both_empty, no_prediction, no_truth: its value where the prediction and the truth are empty,
    where the prediction alone is, and where the truth alone is, each a phrase. function: its value of a case, None
    where there is none, and then `absent` says why. decimals: how many a report writes.
    """

    name: str
    label: str
    unit: str | None
    range: tuple[float | None, float | None]
    better: Literal["higher", "lower"] | None
    both_empty: str
    no_prediction: str
    no_truth: str
    function: Callable[[Case], float | None]
    absent: str | None = None
    decimals: int = 3

    def of(self, case: Case) -> Value:
        """Its value of one case, with the reason where there is none."""
        found = self.function(case)
        return Value(found, self.absent if found is None else None)
