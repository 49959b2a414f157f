"""The limits of the two-way t interval, written out with SciPy's t distribution, for tests to compare the
product with."""

import math
from collections.abc import Sequence

import scipy.stats


def limit_of(
    patient: float, repeat: Sequence[float], patients: int, repeats: Sequence[int], chance: float = 0.05
) -> float:
    """Return how many standard errors an interval reaches to either side. patient, repeat: the parts of variance of
    patients and of each variant's repeats; patients, repeats: the numbers of each."""
    share = sum(repeat) / (patient + sum(repeat))
    own = (patients - 1) / (1 - share) if share < 1 else math.inf
    weight = share ** (1.75 * (1 + 4 / (patients - 1)))
    square = (1 - weight) * scipy.stats.t.isf(chance / 2, own) ** 2
    if share:
        square += weight * scipy.stats.t.isf(chance / 2, _degrees(repeat, repeats)) ** 2
    return math.sqrt(square)


def _degrees(repeat: Sequence[float], repeats: Sequence[int]) -> float:
    """Return Satterthwaite's degrees of freedom, at most those of parts that are proportional to 1 / number."""
    alike = [1 / number for number in repeats]
    return min(
        sum(parts) ** 2 / sum(part**2 / (number - 1) for part, number in zip(parts, repeats, strict=True))
        for parts in (repeat, alike)
    )


def variance_of(patient: float, repeat: Sequence[float], joint: float) -> float:
    """Return the sum of both parts, less what both contain; at most half of their sum is subtracted."""
    return max(patient + sum(repeat) - joint, (patient + sum(repeat)) / 2)
