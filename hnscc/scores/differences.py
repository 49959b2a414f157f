"""The bootstrap: resamples patients, and for differences of pooled scores between two variants their repeats too."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hnscc.base import fewest
from hnscc.base.arrays import Bools, Floats, Integers
from hnscc.base.in_words import count_of
from hnscc.scores.counts import Counts
from hnscc.scores.intervals import ALPHA, too_few
from hnscc.scores.metrics import Score
from hnscc.scores.paired_tests import Comparison


def median_differences(
    a: Counts, b: Counts, scores: Sequence[Score], rng: np.random.Generator, bootstraps: int
) -> list[Comparison]:
    """Return, for each score, a comparison of how far the median over repeats of a lies above that of b.

    Patients and repeats are resampled together, in the same resamples for all scores. a, b: counts (R, P), repeats x
    patients, of the same P patients in the same order. Every resample takes P patients (`patient_weights`), the same
    for a and b, and independently R repeats of each variant, with replacement. The counts of each repeat are pooled
    over the chosen patients, and the ordinary median over the chosen repeats is taken. The interval consists of the 2.5
    % and 97.5 % percentiles; p inverts it: 2 (1 + min(#<=0, #>=0)) / (B + 1), at most 1.

    There is no interval where fewer than 2 patients hold lesion or a variant has fewer than 2 repeats, and no p where
    fewer than 6 patients hold lesion or a variant has fewer than 4 repeats. With few patients and many repeats, p is
    below 0.05 too often for equal variants (docs/explanation/statistics.md): rely on the interval only roughly then,
    and on the signed-rank test beside it.
    """
    patients = a.truth.shape[-1]
    lacking = _lacking(a, b)
    if lacking:
        return [Comparison(n=patients, reason=lacking)] * len(scores)
    differences = [_pooled_median(a, score) - _pooled_median(b, score) for score in scores]
    lesion = a.truth[0] > 0
    with_lesion = int(lesion.sum())
    if lacking := _no_interval(with_lesion, len(a), len(b)):
        return [Comparison(n=patients, difference=each, reason=lacking) for each in differences]
    weights = patient_weights(rng, lesion, bootstraps)
    sums = [pooled_resamples(each, weights) for each in (a, b)]
    rows = [rng.integers(len(each), size=(bootstraps, len(each))) for each in (a, b)]
    few = _no_p(with_lesion, len(a), len(b))
    found = []
    for score, difference in zip(scores, differences, strict=True):
        medians = [_resampled_median(score(*each), own) for each, own in zip(sums, rows, strict=True)]
        tested = _interval_and_p(np.round(medians[0] - medians[1], 12), few)
        found.append(Comparison(n=patients, difference=difference, **tested))
    return found


def _interval_and_p(differences: Floats, few: str | None) -> dict[str, Any]:
    """Return the interval and p of resampled differences (B,), in the score's unit; `few` says why there is no p."""
    low, high = bootstrap_limits(differences)
    if few:
        return {"low": low, "high": high, "reason": few}
    smallest = 2 / (len(differences) + 1)
    extreme = 1 + min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return {"low": low, "high": high, "smallest_p": smallest, "p": min(1.0, smallest * extreme)}


def _no_interval(lesion: int, repeats_a: int, repeats_b: int) -> str | None:
    reasons = [too_few(lesion)]
    if min(repeats_a, repeats_b) < fewest.REPEATS:
        found = f"{repeats_a} and {repeats_b}"
        reasons.append(f"an interval needs {fewest.REPEATS} repeats of both variants, and there are {found}")
    return "; ".join(filter(None, reasons)) or None


def _no_p(lesion: int, repeats_a: int, repeats_b: int) -> str | None:
    reasons = []
    if lesion < fewest.PAIRS_FOR_P:
        reasons.append(
            f"no p from {count_of(lesion, 'patient')} with lesion, {fewest.PAIRS_FOR_P} are needed"
        )
    if min(repeats_a, repeats_b) < fewest.RESAMPLED_REPEATS_FOR_P:
        reasons.append(
            f"no p from {repeats_a} and {count_of(repeats_b, 'repeat')}, {fewest.RESAMPLED_REPEATS_FOR_P} of both "
            "variants are needed"
        )
    return "; ".join([*reasons, "the interval is rough"]) if reasons else None


def _lacking(a: Counts, b: Counts) -> str | None:
    if a.truth.shape[-1] == 0:
        return "no patients in common"
    return None if len(a) and len(b) else "a variant has no completed repeat"


def _pooled_median(counts: Counts, score: Score) -> float:
    pooled = counts.pooled()
    return float(np.median(score(pooled.overlap, pooled.pred, pooled.truth)))


def _resampled_median(scores: Floats, rows: Integers) -> Floats:
    """Return the median over the R resampled repeats of every resample, (B,) in the unit of the scores. scores: (B, R).
    rows: int (B, R), the chosen repeats."""
    # NumPy's vectorised sort of whole rows is ten times as fast as np.median here, and gives the same bits.
    ordered = np.sort(np.take_along_axis(scores, rows, axis=1), axis=1)
    repeats = scores.shape[1]
    return (ordered[:, (repeats - 1) // 2] + ordered[:, repeats // 2]) / 2


def patient_weights(rng: np.random.Generator, lesion: Bools, bootstraps: int) -> Floats:
    """Return how often each patient occurs in each resample, 0 or more: float64 (bootstraps, P).

    lesion: bool (P,). Patients with and without lesion are resampled separately, as many of each as there are, since
    the study's splits are stratified: a resample without any lesion would score an empty prediction 1.
    """
    weights = np.zeros((bootstraps, len(lesion)))
    for stratum in (np.flatnonzero(lesion), np.flatnonzero(~lesion)):
        if len(stratum):
            weights[:, stratum] = rng.multinomial(
                len(stratum), np.full(len(stratum), 1 / len(stratum)), bootstraps
            )
    return weights


def pooled_resamples(counts: Counts, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the pixel counts of overlap, prediction and truth pooled over every resample: three float64 arrays (B,
    ...), exact since every sum is a whole number below 2^53. counts: (..., P). weights: (B, P)."""
    parts = np.stack((counts.overlap, counts.pred, counts.truth)).astype(np.float64)
    # One product for all three: BLAS starts its threads for each product, which costs more than a small one does.
    sums = weights @ parts.reshape(-1, parts.shape[-1]).T
    overlap, pred, truth = np.moveaxis(sums.reshape(len(weights), *parts.shape[:-1]), 1, 0)
    return overlap, pred, truth


def bootstrap_limits(values: Floats) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % percentiles of finite values (B,), in their unit."""
    low, high = np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)
