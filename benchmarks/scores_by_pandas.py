"""Scores of pixel counts by pandas, from which `aggregation_by_pandas.py` and its comparisons make their tables."""

import numpy as np
import pandas as pd

from hnscc.scores.slice_sets import SLICE_SETS

# The study's variants, in its order.
VARIANTS = ("pet", "mri", "pet_mri", "pet_mri_augmented")
SCORES = ["dice", "jaccard"]
PIXELS = ["truth_px", "pred_px", "overlap_px"]
OUTCOMES = ["tn", "fn", "fp", "tp"]  # at 2 * (called positive) + (with lesion)
GROUP = ["variant", "split"]


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with Dice and Jaccard of its pixel counts, which are 1 where there is no pixel at all."""
    both = frame.pred_px + frame.truth_px
    dice, jaccard = 2 * frame.overlap_px / both, frame.overlap_px / (both - frame.overlap_px)
    return frame.assign(dice=dice.fillna(1.0), jaccard=jaccard.fillna(1.0))


def judged(frame: pd.DataFrame, cutoff_px: int) -> pd.DataFrame:
    predicted, true = frame.pred_px >= cutoff_px, frame.truth_px >= cutoff_px
    codes = 2 * predicted.astype("int8") + true.astype("int8")
    misplaced = predicted & true & (frame.overlap_px == 0)
    return frame.assign(outcome=pd.Categorical.from_codes(codes, OUTCOMES), misplaced=misplaced)


def empty(frame: pd.DataFrame) -> pd.Series:
    return (frame.truth_px == 0) & (frame.pred_px == 0)


def resamples(rng: np.random.Generator, lesion: np.ndarray, bootstraps: int) -> np.ndarray:
    """Return positions of resampled patients, int (B, P). Those with and without lesion are resampled apart."""
    strata = [np.flatnonzero(lesion), np.flatnonzero(~lesion)]
    return np.hstack([rng.choice(each, (bootstraps, len(each))) for each in strata if len(each)])


def in_sets(frame: pd.DataFrame) -> dict[str, pd.Series]:
    every = pd.Series(True, index=frame.index)
    found = {"true_positive": frame.outcome == "tp", "lesion": frame.truth_px > 0, "all": every}
    return {name: found[name] for name in SLICE_SETS}
