"""Descriptions of numbers: their distribution, and the line through pairs of them."""

import math
from dataclasses import dataclass

import numpy as np

from hnscc.base import fewest
from hnscc.base.arrays import Floats, Integers

# Scores, divided by their size, are rounded to so many decimals before they are compared: later ones are noise.
DIGITS = 12


def size_of(*values: Floats) -> float:
    """Return the size of scores, finite float64 arrays (N,) or (R, N) in any unit: the highest power of two that is not
    above their largest magnitude. Division by it does not round. It is 1 where all are 0, or there are none."""
    largest = max(float(np.abs(each).max(initial=0.0)) for each in values)
    return math.ldexp(0.5, math.frexp(largest)[1]) if largest else 1.0


@dataclass(frozen=True)
class Distribution:
    """The distribution of n values. sd is divided by n - 1, and None for one value; everything is None
    without values."""

    n: int
    mean: float | None = None
    sd: float | None = None
    median: float | None = None
    q25: float | None = None
    q75: float | None = None
    min: float | None = None
    max: float | None = None


def distribution(values: Floats) -> Distribution:
    """Return mean, sd, median, quartiles (linear) and extremes of finite values (N,), in their unit."""
    if len(values) == 0:
        return Distribution(0)
    low, q25, median, q75, high = (float(each) for each in np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    sd = float(np.std(values, ddof=1)) if len(values) >= fewest.VALUES_FOR_SPREAD else None
    return Distribution(
        n=len(values), mean=float(np.mean(values)), sd=sd, median=median, q25=q25, q75=q75, min=low, max=high
    )


def quartered(values: int) -> bool:
    """Return whether so many values, such as repeats, are described by their quartiles; fewer are described by the
    least and the most."""
    return values >= fewest.VALUES_FOR_QUARTILES


@dataclass(frozen=True)
class Line:
    """predicted = intercept + slope * true, in pixels."""

    slope: float | None
    intercept: float | None
    r2: float | None
    reason: str | None = None


def fit_line(true: Integers, predicted: Integers) -> Line:
    """Return the least-squares line of predicted on true pixel counts (N,) (paper, section 3.1, Fig. 4).

    It uses NumPy's sums, which give the same bits on every machine. scipy.stats.linregress agrees to 2e-13, but uses
    BLAS, whose last digits depend on the processor.
    """
    if len(true) < fewest.VALUES_FOR_LINE:
        few = f"a line needs at least {fewest.VALUES_FOR_LINE} slices, and there are {len(true)}"
        return Line(None, None, None, few)
    x, y = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    if x.min() == x.max():
        return Line(None, None, None, "every slice has the same number of true pixels")
    dx, dy = x - x.mean(), y - y.mean()
    slope = float((dx * dy).sum() / (dx * dx).sum())
    intercept = float(y.mean() - slope * x.mean())
    if y.min() == y.max():
        return Line(slope, intercept, None, "every slice has the same number of predicted pixels: no r2")
    r2 = (dx * dy).sum() ** 2 / ((dx * dx).sum() * (dy * dy).sum())
    return Line(slope, intercept, float(r2))
