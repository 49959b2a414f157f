"""The signed-rank tests of table `comparisons` by pandas: the median models at their own thresholds."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from scores_by_pandas import PIXELS, SCORES, VARIANTS, in_sets, scored

from hnscc.scores.slice_sets import SLICE_SETS


def comparison_frame(chosen: pd.DataFrame) -> pd.DataFrame:
    chosen = chosen[chosen.split == "test"]
    models = {
        variant: part.reset_index(drop=True) for variant, part in chosen.groupby("variant", observed=True)
    }
    rows = []
    for a, b in combinations(VARIANTS, 2):
        tests = {name: wilcoxons(models[a], models[b], name) for name in SLICE_SETS}
        for score in SCORES:
            for name in SLICE_SETS:
                key = {"variant_a": a, "variant_b": b, "metric": score, "slice_set": name}
                rows += [key | tests[name][unit, score] for unit in ("slice", "patient")]
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
