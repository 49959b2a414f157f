"""The metrics that every trial is scored by, as data.

A new metric is a `Metric` and its function in the file of its kind here, at the end of that file's list (`overlap`:
from pixel counts), and a test beside the others. Its columns then stand in every table of its levels, and its pairs
of variants in `comparisons`. What needs masks and spacing, such as distances of surfaces, is no `Metric`: those scores
of whole scans are in `scores.surface`, `scores.volumes`, `scores.lesions` and `scores.scans`.
"""

from hnscc.scores.metrics.metric import Fraction, Level, Metric, Score
from hnscc.scores.metrics.overlap import DICE, JACCARD, OVERLAP, dice, jaccard, soft_jaccard

__all__ = [
    "DICE",
    "JACCARD",
    "METRICS",
    "Fraction",
    "Level",
    "Metric",
    "Score",
    "dice",
    "jaccard",
    "metrics_at",
    "soft_jaccard",
]

METRICS: dict[str, Metric] = {each.name: each for each in (*OVERLAP,)}


def metrics_at(level: Level) -> list[Metric]:
    """Return the metrics that have a value of each slice, scan or patient, or pooled over a split; in the order
    of METRICS."""
    return [each for each in METRICS.values() if level in each.levels]
