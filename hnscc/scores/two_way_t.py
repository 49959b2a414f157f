"""How far a value may lie off by chance where its variance is a part by patients and a part by repeats.

The sum of two variances that are known by different degrees of freedom has no t distribution. Satterthwaite's degrees
take the shares of both parts for known: with 2 repeats, whose variance is often small by chance, they called equal
variants different far too often. Cochran (1964, Biometrics 20: 191-195) takes the mean of the t limits of both parts,
weighted by their shares of the variance: right where one part is all, too careful in between. Here it is the mean of
their squares, which are limits of F: at the small chances that Holm's correction asks for it lies nearer to the larger
of both. The repeats' limit weighs by a power of their share, a higher one with fewer patients, whose own limit is then
wide enough for a variance of repeats that is small by chance. The patients' degrees are divided by the patients' share,
as in Satterthwaite's formula, but once instead of squared.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.special

from hnscc.base.arrays import Floats
from hnscc.scores.intervals import ALPHA

# The power of the repeats' share is WEIGHT x (1 + FEW / degrees of the patients): 3.5 of 5 patients, 1.87 of 60. Both
# are compromises found by simulation (docs/explanation/statistics.md). The smaller the power, the fewer equal variants
# are called different with 2 repeats, too few by Cochran's own 1; the larger, the more often a pair of four holds up.
WEIGHT = 1.75
FEW = 4.0
NEVER = 1e-9  # a share of the patients below it weighs nothing, and must not be divided by
LEAST = 1e-200  # no p is told below it: where a t distribution reaches it, floating point ends


def limits(chance: float, share: Floats | float, patients: float, repeats: Floats | float) -> Floats:
    """The number of standard errors that a value of 0 exceeds with this chance, either way.

    share: of the variance that the repeats bring, 0..1. patients, repeats: degrees of freedom of the two parts.
    Numbers, or share and repeats arrays of any shape that go together.
    """
    weight = np.asarray(share) ** (WEIGHT * (1 + FEW / patients))
    of_patients = -scipy.special.stdtrit(patients / np.maximum(1 - np.asarray(share), NEVER), chance / 2)
    of_repeats = -scipy.special.stdtrit(repeats, chance / 2)
    # Squares of limits at the least p would be beyond floating point, which hypot avoids.
    return np.asarray(np.hypot(np.sqrt(1 - weight) * of_patients, np.sqrt(weight) * of_repeats))


@dataclass(frozen=True)
class Spread:
    """The standard error of a value, the share of its variance that the repeats bring, and degrees of freedom of the
    patients and of the repeats."""

    error: float
    share: float
    patients: float
    repeats: float

    def limit(self, chance: float = ALPHA) -> float:
        """How many standard errors an interval of 1 - chance reaches to either side."""
        return float(limits(chance, self.share, self.patients, self.repeats))

    def half_width(self) -> float:
        """How far a 95 % interval reaches to either side."""
        return self.limit() * self.error

    def p(self, distance: float) -> float:
        """The chance, 0..1, that a value of 0 comes out so far from 0 or farther, either way: the level at which the
        interval just reaches it."""
        away = abs(distance) / self.error
        # The limit lies between two t limits, so p lies between the p of both.
        both = [
            max(LEAST, 2 * float(scipy.special.stdtr(degrees, -away)))
            for degrees in (self.patients / max(1 - self.share, NEVER), self.repeats)
        ]
        low, high = (math.log(each) for each in sorted(both))
        if self._beyond(low, away) <= 0:
            return math.exp(low)
        if self._beyond(high, away) >= 0:
            return math.exp(high)
        return math.exp(scipy.optimize.brentq(self._beyond, low, high, args=(away,), xtol=1e-10))

    def _beyond(self, log_chance: float, away: float) -> float:
        """How far the limit of a chance lies beyond so many standard errors; it falls as the chance rises."""
        return self.limit(math.exp(log_chance)) - away
