"""The table `comparisons` by pandas, of every slice at threshold 0.5 and of the median models at their
own thresholds."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from scores_by_pandas import PIXELS, SCORES, VARIANTS, in_sets, resamples, scored

from hnscc.aggregation.results import Results
from hnscc.scores.slice_sets import SLICE_SETS


def comparison_frame(results: Results, half: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    half, chosen = (frame[frame.split == "test"] for frame in (half, chosen))
    models = {
        variant: part.reset_index(drop=True) for variant, part in chosen.groupby("variant", observed=True)
    }
    matrices = {
        name: {v: matrix(half[rows & (half.variant == v)]) for v in VARIANTS}
        for name, rows in in_sets(half).items()
        if name != "true_positive"
    }
    rows = []
    for a, b in combinations(VARIANTS, 2):
        resampled = {name: bootstrap(each[a], each[b], results) for name, each in matrices.items()}
        tests = {name: wilcoxons(models[a], models[b], name) for name in SLICE_SETS}
        for score in SCORES:
            for name in SLICE_SETS:
                key = {"variant_a": a, "variant_b": b, "metric": score, "slice_set": name}
                rows += [key | tests[name][unit, score] for unit in ("slice", "patient")]
                found = resampled[name][score] if name in resampled else {"n": 0}
                rows.append(key | {"unit": "patient", "method": "bootstrap"} | found)
    frame = pd.DataFrame(rows)
    family = frame.groupby(["metric", "slice_set", "unit", "method"])
    return frame.assign(p_holm=family.p.transform(holm))


def holm(p: pd.Series) -> pd.Series:
    known = p.dropna().sort_values()
    return (known * np.arange(len(known), 0, -1)).cummax().clip(upper=1).reindex(p.index)


def wilcoxons(a: pd.DataFrame, b: pd.DataFrame, slice_set: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return signed-rank tests of two median models over the slices that are in the slice set for both."""
    common = in_sets(a)[slice_set] & in_sets(b)[slice_set]
    sides = {"slice": [each[common] for each in (a, b)]}
    sides["patient"] = [
        scored(each.groupby("patient_id", observed=True)[PIXELS].sum()) for each in sides["slice"]
    ]
    found = {}
    for unit, (one, other) in sides.items():
        for score in SCORES:
            differences = (one[score] - other[score]).to_numpy()
            nonzero = differences[np.round(differences, 12) != 0]
            test = scipy.stats.wilcoxon(np.round(nonzero, 12))
            row = {"unit": unit, "method": "wilcoxon", "n": len(differences), "n_nonzero": len(nonzero)}
            row |= {"statistic": test.statistic, "p": test.pvalue, "difference": differences.mean()}
            found[unit, score] = row | {"smallest_p": max(5e-324, 2.0 ** (1 - len(nonzero)))}
    return found


def matrix(half: pd.DataFrame) -> np.ndarray:
    """Return pixels, int (3, patients, repeats)."""
    pivot = half.pivot_table(PIXELS, "patient_id", "repeat", aggfunc="sum", observed=True)
    return np.stack([pivot[name].to_numpy() for name in PIXELS])


def bootstrap(a: np.ndarray, b: np.ndarray, results: Results) -> dict[str, dict[str, float]]:
    """Return the median over repeats of the pooled score, a - b, where patients and repeats are resampled together."""
    bootstraps, rng = results.study.evaluation.bootstraps, np.random.default_rng(0)
    chosen = resamples(rng, a[0, :, 0] > 0, bootstraps)
    repeats = [rng.integers(each.shape[2], size=(bootstraps, each.shape[2])) for each in (a, b)]
    both = np.concatenate([a, b], axis=2).transpose(1, 0, 2).copy()
    # One resample at a time, since all at once would need gigabytes.
    sums = np.stack([both[rows].sum(axis=0) for rows in chosen])
    parts = [sums[:, :, : a.shape[2]], sums[:, :, a.shape[2] :]]
    medians = [resampled_medians(*each) for each in zip(parts, repeats, strict=True)]
    points = [_scores(each.sum(axis=1)) for each in (a, b)]
    found = {}
    for score in SCORES:
        difference = medians[0][score] - medians[1][score]
        low, high = np.quantile(difference, [0.025, 0.975])
        extreme = 1 + min((difference <= 0).sum(), (difference >= 0).sum())
        row = {"n": a.shape[1], "low": low, "high": high, "smallest_p": 2 / (bootstraps + 1)}
        row["difference"] = np.median(points[0][score]) - np.median(points[1][score])
        found[score] = row | {"p": min(1.0, 2 * extreme / (bootstraps + 1))}
    return found


def resampled_medians(sums: np.ndarray, repeats: np.ndarray) -> dict[str, np.ndarray]:
    """Return each score's medians (B,) by its name, from pixels (B, 3, R) and resampled repeats (B, R)."""
    scores = _scores(sums.transpose(1, 0, 2))
    return {
        name: np.median(np.take_along_axis(each, repeats, axis=1), axis=1) for name, each in scores.items()
    }


def _scores(pixels: np.ndarray) -> dict[str, np.ndarray]:
    truth, pred, overlap = pixels
    return {"dice": 2 * overlap / (pred + truth), "jaccard": overlap / (pred + truth - overlap)}
