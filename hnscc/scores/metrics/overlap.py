"""Metrics of overlap, from pixel counts."""

import numpy as np
from numpy.typing import ArrayLike

from hnscc.base.arrays import Floats
from hnscc.scores.metrics.metric import Level, Metric

EVERY_LEVEL: frozenset[Level] = frozenset({"slice", "scan", "patient", "pooled"})


def dice(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> Floats:
    """2 |A and B| / (|A| + |B|), 0..1, of pixel counts of one shape, and of that shape: 1 where both are empty (paper,
    section 2.4)."""
    return ratio(*dice_fraction(overlap, pred, truth))


def dice_fraction(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """2 |A and B|, and |A| + |B|, of pixel counts of one shape, and of that shape."""
    whole: Floats = np.asarray(pred, np.float64) + np.asarray(truth, np.float64)
    return 2 * np.asarray(overlap, np.float64), whole


def jaccard(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> Floats:
    """|A and B| / |A or B|, 0..1, of pixel counts of one shape, and of that shape: 1 where both are empty (paper,
    section 2.4)."""
    return ratio(*jaccard_fraction(overlap, pred, truth))


def jaccard_fraction(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """|A and B|, and |A or B|, of pixel counts of one shape, and of that shape."""
    both = np.asarray(overlap, np.float64)
    either: Floats = np.asarray(pred, np.float64) + np.asarray(truth, np.float64) - both
    return both, either


def soft_jaccard(probabilities: ArrayLike, masks: ArrayLike) -> float:
    """Jaccard without a threshold, pooled: sum(p m) / (sum(p) + sum(m) - sum(p m)); 1 where both sums are 0.

    probabilities: floats 0..1, masks: 0/1, of one shape. The reference of the value that training monitors.
    """
    p, m = np.asarray(probabilities, np.float64), np.asarray(masks, np.float64)
    overlap = (p * m).sum()
    return float(ratio(overlap, p.sum() + m.sum() - overlap))


def ratio(part: ArrayLike, whole: ArrayLike) -> Floats:
    """part / whole, of arrays of one shape, and of that shape; 1 where whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    found: Floats = np.divide(part, whole, out=np.ones_like(whole), where=whole != 0)
    return found


DICE = Metric(
    name="dice",
    label="Dice",
    levels=EVERY_LEVEL,
    unit=None,
    range=(0.0, 1.0),
    higher_is_better=True,
    empty_value=1.0,
    function=dice,
    fraction=dice_fraction,
)
JACCARD = Metric(
    name="jaccard",
    label="Jaccard",
    levels=EVERY_LEVEL,
    unit=None,
    range=(0.0, 1.0),
    higher_is_better=True,
    empty_value=1.0,
    function=jaccard,
    fraction=jaccard_fraction,
)
OVERLAP = (DICE, JACCARD)
