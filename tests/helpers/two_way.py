"""The limits of the two-way t interval, written out with SciPy's t distribution for tests to hold the product to."""

import math
from collections.abc import Sequence

import scipy.stats


def limit_of(
    patient: float, repeat: Sequence[float], patients: int, repeats: Sequence[int], chance: float = 0.05
) -> float:
    """Standard errors to either side, from a patients' part, the repeats' parts and how many there are of each."""
    share = sum(repeat) / (patient + sum(repeat))
    own = (patients - 1) / (1 - share) if share < 1 else math.inf
    weight = share ** (1.75 * (1 + 4 / (patients - 1)))
    square = (1 - weight) * scipy.stats.t.isf(chance / 2, own) ** 2
    if share:
        square += weight * scipy.stats.t.isf(chance / 2, _degrees(repeat, repeats)) ** 2
    return math.sqrt(square)


def _degrees(repeat: Sequence[float], repeats: Sequence[int]) -> float:
    """Satterthwaite's, at most those of parts that go by 1 / number."""
    alike = [1 / number for number in repeats]
    return min(
        sum(parts) ** 2 / sum(part**2 / (number - 1) for part, number in zip(parts, repeats, strict=True))
        for parts in (repeat, alike)
    )


def variance_of(patient: float, repeat: Sequence[float], joint: float) -> float:
    """Both parts less what they both hold, of which no more is believed than half of their sum."""
    return max(patient + sum(repeat) - joint, (patient + sum(repeat)) / 2)
