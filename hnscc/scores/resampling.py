"""How the bootstrap draws patients, and what it makes of the counts and scores that were drawn."""

import numpy as np

from hnscc.base.arrays import Bools, Floats
from hnscc.scores.counts import Counts
from hnscc.scores.intervals import ALPHA


def patient_weights(draw: np.random.Generator, lesion: Bools, bootstraps: int) -> Floats:
    """How often each patient stands in each resample: float64 (bootstraps, P).

    lesion: bool (P,). Patients with and without lesion are drawn apart, as many of each as there are, like
    the split that the study was stratified by: a resample without any lesion would score an empty prediction 1.
    """
    weights = np.zeros((bootstraps, len(lesion)))
    for stratum in (np.flatnonzero(lesion), np.flatnonzero(~lesion)):
        if len(stratum):
            weights[:, stratum] = draw.multinomial(
                len(stratum), np.full(len(stratum), 1 / len(stratum)), bootstraps
            )
    return weights


def resampled(counts: Counts, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Pixels of overlap, prediction and truth pooled over every resample: counts (..., P), weights (B, P) -> three
    float64 arrays (B, ...), exact since every sum is a whole number below 2^53."""
    parts = np.stack((counts.overlap, counts.pred, counts.truth)).astype(np.float64)
    # One product for all three: BLAS starts its threads for each, which costs more than a small product does.
    sums = weights @ parts.reshape(-1, parts.shape[-1]).T
    overlap, pred, truth = np.moveaxis(sums.reshape(len(weights), *parts.shape[:-1]), 1, 0)
    return overlap, pred, truth


def percentiles(values: Floats) -> tuple[float, float]:
    """The 2.5 % and 97.5 % percentiles of values (B,)."""
    low, high = np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)
