"""The tables of a completed study by pandas: the other side of `benchmarks/aggregation.py`, which says what it
may assume.

It turns the pixel counts of a study's trials into the eleven tables that follow from them, as Parquet, with the types
that the schema names.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.stats
from comparisons_by_pandas import comparison_frame
from scores_by_pandas import (
    GROUP,
    OUTCOMES,
    PIXELS,
    SCORES,
    VARIANTS,
    empty,
    in_sets,
    judged,
    resamples,
    scored,
)

from hnscc.aggregation.folds import Fold
from hnscc.aggregation.results import Results
from hnscc.aggregation.schemas import schema
from hnscc.base.split_names import SPLITS
from hnscc.scores.counts import CONVENTIONS, THRESHOLDS, Counts
from hnscc.scores.thresholds import READINGS
from hnscc.study.identity import versions_text
from hnscc.study.run_folder import WEIGHTS_FILE, RunFolder
from hnscc.study.trials import Trial


def by_pandas(results: Results, folder: Path) -> None:
    run = RunFolder(folder)
    Path(str(run.tables)).mkdir(parents=True, exist_ok=True)
    for name, frame in pandas_tables(results).items():
        wanted = schema(name)
        fields = pa.schema([field for field in wanted if field.name in frame], wanted.metadata)
        frame.to_parquet(run.table(name), index=False, schema=fields)


def medians_of(results: Results) -> Any:
    """Return the median models by variant and reading. In the made-up study each is there, with all its counts."""
    return results.medians


def every_trial(results: Results) -> Any:
    """Return each trial with its record and counts, which all trials of the made-up study have."""
    return results.results


def pandas_tables(results: Results) -> dict[str, pd.DataFrame]:
    slices = slice_frame(results)
    half, chosen = slices[slices.threshold == 0.5], slices[slices.threshold != 0.5]
    per_trial = scored(half.groupby(["trial_id", *GROUP], observed=True)[PIXELS].sum())
    return {
        "cohort": results.folds[0].cohort.to_pandas(),
        "trials": trial_frame(results, per_trial),
        "epochs": epoch_frame(results),
        "slices": slices,
        "thresholds": threshold_frame(results),
        "pooled": pooled_frame(results, per_trial, chosen),
        "per_slice": per_slice_frame(chosen),
        "comparisons": comparison_frame(results, half, chosen),
        "classification": classification_frame(results, chosen),
        "regression": regression_frame(chosen),
        "protocol": protocol_frame(results),
    }


def slice_frame(results: Results) -> pd.DataFrame:
    """Return the slices of every trial at threshold 0.5, then those of the median models at their chosen thresholds."""
    (fold,) = results.folds
    medians = {
        each["corrected"][0].result.trial: each["corrected"][0] for each in medians_of(results).values()
    }
    parts = []
    for each in every_trial(results):
        parts.append((each.trial, 0.5, each.counts))
        if median := medians.get(each.trial):
            parts.append((each.trial, median.k / 1000, median.at_threshold))
    names = trial_names([trial for trial, _, _ in parts])
    names["threshold"] = [threshold for _, threshold, _ in parts]
    frame = names.loc[names.index.repeat(len(fold.split))].reset_index(drop=True)
    slices = place_frame(fold)
    each_place = np.tile(np.arange(len(slices)), len(parts))
    frame = pd.concat([frame, slices.take(each_place).reset_index(drop=True)], axis=1)
    for name, part in zip(PIXELS, ("truth", "pred", "overlap"), strict=True):
        frame[name] = np.concatenate([getattr(counts, part) for _, _, counts in parts])
    frame = judged(scored(frame), results.study.evaluation.cutoff_px)
    order = ["trial_id", "variant", "fold", "repeat", "split", "patient_id", "scan_id", "z", "threshold"]
    return frame[[*order, *PIXELS, *SCORES, "outcome", "misplaced", "used"]]


def trial_names(trials: list[Trial]) -> pd.DataFrame:
    ids = [each.trial_id for each in trials]
    return pd.DataFrame(
        {
            "trial_id": pd.Categorical(ids, list(dict.fromkeys(ids))),
            "variant": pd.Categorical([each.variant for each in trials], VARIANTS),
            "fold": [each.fold for each in trials],
            "repeat": [each.repeat for each in trials],
        }
    )


def place_frame(fold: Fold) -> pd.DataFrame:
    slices = fold.slices.to_pandas(strings_to_categorical=True)
    return slices.assign(split=slices.split.cat.set_categories(SPLITS), used=True)


def trial_frame(results: Results, per_trial: pd.DataFrame) -> pd.DataFrame:
    names = trial_names([each.trial for each in every_trial(results)])
    records = pd.DataFrame([dict(each.record) for each in every_trial(results)]).drop(columns="files")
    frame = pd.concat([names, records], axis=1).assign(
        seed=[each.seed for each in every_trial(results)],
        status=[each.status for each in every_trial(results)],
        collapsed=[each.collapsed for each in every_trial(results)],
        highest_probability=[each.highest_probability for each in every_trial(results)],
        versions=[versions_text(each.record.versions) for each in every_trial(results)],
        weights_sha256=[each.record.files[WEIGHTS_FILE] for each in every_trial(results)],
        is_median=names.trial_id.isin(median_ids(results)),
    )
    wide = per_trial[SCORES].droplevel("variant").unstack("split")
    wide.columns = [f"{split.replace('validation', 'val')}_{score}" for score, split in wide.columns]
    return frame.merge(wide, left_on="trial_id", right_index=True)


def median_ids(results: Results) -> list[str]:
    return [each["corrected"][0].result.trial.trial_id for each in medians_of(results).values()]


def epoch_frame(results: Results) -> pd.DataFrame:
    names = trial_names([each.trial for each in every_trial(results)])
    epochs = [len(each.history) for each in every_trial(results)]
    curves = pa.concat_tables([each.history for each in every_trial(results)]).to_pandas()
    return pd.concat([names.loc[names.index.repeat(epochs)].reset_index(drop=True), curves], axis=1)


def threshold_frame(results: Results) -> pd.DataFrame:
    parts = []
    for variant in VARIANTS:
        (median,) = medians_of(results)[variant]["corrected"]
        for split, counts in median.sweeps.items():
            pixels = {"truth_px": counts.truth, "pred_px": counts.pred, "overlap_px": counts.overlap}
            part = pd.DataFrame({"threshold": THRESHOLDS / 1000} | pixels)
            parts.append(part.assign(variant=variant, fold=0, split=split, chosen=median.k == THRESHOLDS))
    return scored(pd.concat(parts, ignore_index=True)).drop(columns=PIXELS)


def pooled_frame(results: Results, per_trial: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    groups = chosen.groupby(GROUP, observed=True)
    frame = scored(groups[PIXELS].sum()).drop(columns=PIXELS)
    frame["threshold"] = groups.threshold.first()
    frame["slices"], frame["patients"] = groups.size(), groups.patient_id.nunique()
    frame["n_empty"] = empty(chosen).groupby([chosen[name] for name in GROUP], observed=True).sum()
    medians = per_trial.loc[median_ids(results)].droplevel("trial_id")
    described = per_trial.groupby(GROUP, observed=True)
    for score in SCORES:
        frame[f"{score}_at_half"] = medians[score]
        spread = described[score].describe()
        spread = spread.rename(columns={"25%": "q25", "50%": "median", "75%": "q75", "std": "sd"})
        frame = frame.join(spread.drop(columns="count").add_prefix(f"{score}_repeats_"))
    of = [
        medians_of(results)[variant]["corrected"][0].result
        for variant in frame.index.get_level_values("variant")
    ]
    frame = frame.assign(repeats=described.size(), failed=0, missing=0)
    frame = frame.assign(
        collapsed=[each.collapsed for each in of],
        highest_probability=[each.highest_probability for each in of],
    )
    by_patient = chosen.groupby([*GROUP, "patient_id"], observed=True)[PIXELS].sum()
    intervals = {key: interval(part, results) for key, part in by_patient.groupby(GROUP, observed=True)}
    ends = pd.DataFrame.from_dict(intervals, orient="index").rename_axis(GROUP)
    return frame.join(ends).reset_index()


def interval(patients: pd.DataFrame, results: Results) -> dict[str, float]:
    """Return 95 % intervals of pooled scores, by a bootstrap over patients."""
    pixels = patients.to_numpy()
    chosen = resamples(np.random.default_rng(0), pixels[:, 0] > 0, results.study.evaluation.bootstraps)
    sums = scored(pd.DataFrame(pixels[chosen].sum(axis=1), columns=PIXELS))
    ends = sums[SCORES].quantile([0.025, 0.975]).to_numpy()
    return {
        f"{score}_{end}": ends[i, j]
        for j, score in enumerate(SCORES)
        for i, end in enumerate(("low", "high"))
    }


def per_slice_frame(chosen: pd.DataFrame) -> pd.DataFrame:
    parts = []
    chosen = chosen.assign(empty=empty(chosen))
    for name, rows in in_sets(chosen).items():
        groups = chosen[rows].groupby(GROUP, observed=True)
        part = groups[SCORES].agg(["mean", "std"])
        part.columns = [f"{score}_{kind.replace('std', 'sd')}" for score, kind in part.columns]
        part = part.assign(slice_set=name, threshold=groups.threshold.first(), n=groups.size())
        parts.append(part.assign(n_empty=groups.empty.sum(), patients=groups.patient_id.nunique()))
    # The sort is stable, so that the sets keep their order within each variant and split.
    return pd.concat(parts).sort_index(kind="stable").reset_index()


def by_convention(frame: pd.DataFrame, convention: str) -> pd.Series:
    moved = {"slice": "tp", "lesion": "fn", "overlap": "fp"}[convention]
    return frame.outcome.mask(frame.misplaced, moved)


def with_rates(frame: pd.DataFrame) -> pd.DataFrame:
    positive, negative = frame.tp + frame.fn, frame.tn + frame.fp
    return frame.assign(
        sensitivity=frame.tp / positive,
        specificity=frame.tn / negative,
        accuracy=(frame.tp + frame.tn) / (positive + negative),
    )


def classification_frame(results: Results, chosen: pd.DataFrame) -> pd.DataFrame:
    cutoff_px = results.study.evaluation.cutoff_px
    small = (chosen.truth_px > 0) & (chosen.truth_px < cutoff_px)
    groups = chosen.assign(small_truth=small).groupby(GROUP, observed=True)
    common = groups[["misplaced", "small_truth"]].sum().assign(threshold=groups.threshold.first())
    common = common.assign(cutoff_px=cutoff_px, n=groups.size())
    parts = []
    for convention in CONVENTIONS:
        outcome = by_convention(chosen, convention).rename("outcome")
        counted = outcome.groupby([chosen[name] for name in GROUP], observed=True).value_counts().unstack()
        parts.append(with_rates(common.join(counted.astype(int))).assign(convention=convention))
    return pd.concat(parts).sort_index(kind="stable").reset_index()


def regression_frame(chosen: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (variant, split), part in chosen.groupby(GROUP, observed=True):
        line = scipy.stats.linregress(part.truth_px, part.pred_px)
        row = {"variant": variant, "split": split, "slice_set": "all", "threshold": part.threshold.iloc[0]}
        row |= {"n": len(part), "slope": line.slope, "intercept": line.intercept, "r2": line.rvalue**2}
        rows.append(row)
    return pd.DataFrame(rows)


def protocol_frame(results: Results) -> pd.DataFrame:
    (fold,) = results.folds
    test = place_frame(fold).query("split == 'test'")
    rows = []
    for variant in VARIANTS:
        for name, reading in READINGS.items():
            (median,) = medians_of(results)[variant][name]
            row = {"variant": variant, "reading": name, "study_protocol": results.study.protocol}
            row |= {"median_on": reading.median_on, "threshold_on": reading.threshold_on}
            row |= {
                "slice_set": reading.slice_set,
                "convention": reading.convention,
                "scored": reading.slices,
            }
            rows.append(row | _read(results, test, median, reading))
    return pd.DataFrame(rows)


def _read(results: Results, test: pd.DataFrame, median: Any, reading: Any) -> dict[str, Any]:
    cutoff_px = results.study.evaluation.cutoff_px

    def at(counts: Counts) -> pd.DataFrame:
        frame = pd.DataFrame({"truth_px": counts.truth, "pred_px": counts.pred, "overlap_px": counts.overlap})
        return judged(scored(frame.loc[test.index]), cutoff_px)

    chosen = at(median.at_threshold)
    counted = by_convention(chosen, reading.convention).value_counts().to_frame().T.astype(int)
    rates = with_rates(counted).iloc[0]
    pooled = scored(chosen[PIXELS].sum().to_frame().T).iloc[0]
    part = at(median.result.counts) if reading.slice_k else chosen
    sets = in_sets(part) | {
        "true_positive": by_convention(part, reading.convention) == "tp",
        "partial": (part.dice > 0) & (part.dice < 1),
    }
    part = part[sets[reading.slice_set]]
    row = {"threshold": median.k / 1000, "slice_threshold": (reading.slice_k or median.k) / 1000}
    row |= {"trial_ids": median.result.trial.trial_id, "n": len(part), "n_empty": empty(part).sum()}
    row |= {name: int(rates[name]) for name in OUTCOMES} | {"misplaced": chosen.misplaced.sum()}
    row |= {name: rates[name] for name in ("sensitivity", "specificity", "accuracy")}
    row |= {"pooled_dice": pooled.dice, "pooled_jaccard": pooled.jaccard}
    for score in SCORES:
        row |= {score: part[score].mean(), f"{score}_sd": part[score].std()}
    return row
