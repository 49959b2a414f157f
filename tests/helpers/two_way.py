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
        below = sum(part**2 / (number - 1) for part, number in zip(repeat, repeats, strict=True))
        square += weight * scipy.stats.t.isf(chance / 2, sum(repeat) ** 2 / below) ** 2
    return math.sqrt(square)


def variance_of(patient: float, repeat: Sequence[float], joint: float) -> float:
    """Both parts less what they both hold, of which no more is believed than half of their sum."""
    return max(patient + sum(repeat) - joint, (patient + sum(repeat)) / 2)
