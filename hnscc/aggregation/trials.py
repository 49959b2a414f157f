"""Reads what each trial of a study left: checks its folder, counts its slices at 0.5, and reads its probabilities."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnscc.aggregation.folds import Damaged, Fold
from hnscc.base.arrays import StoredProbabilities
from hnscc.base.encode import table_of_parquet
from hnscc.base.steps import at_once
from hnscc.scores.calibration import ScanCalibration
from hnscc.scores.counts import HALF, Counts
from hnscc.scores.scans import ScanScore
from hnscc.scores.stored import (
    STORED_AS,
    StoredScores,
    of_scans,
    scores_from_bytes,
    scoring_at_half,
    with_glycolysis,
)
from hnscc.scores.thresholds import has_collapsed, highest_probability
from hnscc.study.identity import DATA, trial_seeds
from hnscc.study.run_folder import HISTORY_FILE, PREDICTIONS_FILE, SCORES_FILE, RunFolder
from hnscc.study.schema import Study
from hnscc.study.trials import Trial
from hnscc.training.records import OUT_OF_MEMORY, Record, Trained
from hnscc.training.states import OTHER_SLICES, READ_BY_TABLES, not_used, trained_otherwise, trial_state

# What to do about a failed trial, by the kind of its error.
_TO_DO = {
    "Diverged": "a loss or score was no finite number: lower training.learning_rate",
    OUT_OF_MEMORY: "the GPU's memory, or the share of it, was full: lower training.batch_size or raise resources.gpus",
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """A trial of the study. reason: why it is not completed. history: that of its training, which may not have reached
    its end. unusable: whether the trial left results that are not used."""

    trial: Trial
    seed: int
    status: str
    reason: str | None = None
    history: pa.Table | None = None
    unusable: bool = False


@dataclass(frozen=True, kw_only=True)
class Completed(Result):
    """A completed trial and its scores.

    counts: (N,) at 0.5. scans, calibrations: those of whole scans. collapsed: whether no pixel of validation or test
    reaches 0.5. highest_probability: the highest one there. kept_uptake: whether it stored the glycolysis of whole
    scans, at every threshold.
    """

    status: Literal["completed"] = "completed"
    record: Trained
    counts: Counts
    collapsed: bool
    highest_probability: float
    scans: Mapping[str, ScanScore] = field(default_factory=dict)
    calibrations: Mapping[str, ScanCalibration] = field(default_factory=dict)
    kept_uptake: bool = False


def load_trial(run: RunFolder, study: Study, trial: Trial, fold: Fold) -> Result:
    """Return what a trial of the study left; see `load_results`."""
    seed = trial_seeds(study, trial)["trial"]
    folder = run.trial(trial.trial_id)
    state = trial_state(folder, others_digest=fold.others_digest, keep=READ_BY_TABLES, check=READ_BY_TABLES)
    if state.status == "failed" and state.record:
        return Result(trial=trial, seed=seed, status="failed", reason=failure_summary(state.record))
    record = state.completed
    if record is None:
        return Result(trial=trial, seed=seed, status="missing", reason=state.reason, unusable=state.unusable)
    tolerance_mm = study.evaluation.tolerance_mm
    try:
        if told := trained_otherwise(study, trial, record):
            raise Damaged(told)
        scores, highest_probability = _scores_of(record, state.contents, fold, tolerance_mm)
    except Damaged as damage:
        return Result(trial=trial, seed=seed, status="missing", reason=not_used(str(damage)), unusable=True)
    return Completed(
        trial=trial,
        seed=seed,
        record=record,
        history=table_of_parquet(state.contents[HISTORY_FILE]),
        counts=Counts(scores.overlap, scores.pred, fold.truth_px),
        scans=scores.scans,
        collapsed=has_collapsed(scores.pred, fold.split),
        highest_probability=highest_probability,
        calibrations=scores.calibrations,
        kept_uptake=_keeps_uptake(state.contents[PREDICTIONS_FILE]),
    )


def _keeps_uptake(predictions: bytes) -> bool:
    """Return whether a trial's file of predictions holds glycolysis; False if it is no readable archive."""
    file = io.BytesIO(predictions)
    return zipfile.is_zipfile(file) and f"{STORED_AS}.npy" in zipfile.ZipFile(file).namelist()


def _scores_of(
    record: Trained, contents: Mapping[str, bytes], fold: Fold, tolerance_mm: float
) -> tuple[StoredScores, float]:
    """Return the scores at 0.5 and the highest probability. They are those that the trial stored if these are of
    the fold's slices, with its spacing and the same tolerance; else they are computed from its predictions.
    Raises Damaged."""
    stored = contents.get(SCORES_FILE)
    if stored and record.others_digest == fold.others_digest and record.settings.get(DATA) == fold.digest:
        found = scores_from_bytes(stored, fold.spacing_mm, tolerance_mm, len(fold.masks))
        if found:
            return found, record.highest_probability
    predicted = _predicted_of(record, contents[PREDICTIONS_FILE], fold)
    probabilities = predicted.probabilities
    scores = at_once(
        scoring_at_half(probabilities, fold.masks, fold.scan_rows, fold.spacing_mm, tolerance_mm)
    )
    scans = with_glycolysis(scores.scans, predicted.glycolysis, HALF)
    return replace(scores, scans=scans), highest_probability(probabilities[fold.split != "train"])


@dataclass(frozen=True)
class StoredPredictions:
    """What a trial predicted. probabilities: those of the fold's slices as stored, uint16 (N, H, W). glycolysis: that
    of each whole scan, float (1001,) as in `scores.stored.glycolysis`; empty where the trial stored none."""

    probabilities: StoredProbabilities
    glycolysis: Mapping[str, NDArray[np.floating]]


def load_probabilities(run: RunFolder, trial: Trial, fold: Fold) -> StoredProbabilities:
    """Return the stored probabilities of a completed trial, uint16 (N, H, W); see `load_predicted`."""
    return load_predicted(run, trial, fold).probabilities


def load_predicted(run: RunFolder, trial: Trial, fold: Fold) -> StoredPredictions:
    """Return what a completed trial predicted for the fold's slices. Raises Damaged where it cannot be used."""
    wanted = (PREDICTIONS_FILE,)
    state = trial_state(run.trial(trial.trial_id), keep=wanted, check=wanted)
    if state.completed is None:
        raise Damaged(state.found)
    return _predicted_of(state.completed, state.contents[PREDICTIONS_FILE], fold)


def _predicted_of(record: Trained, content: bytes, fold: Fold) -> StoredPredictions:
    if DATA not in record.settings:
        raise Damaged("its record does not say which data it was trained on")
    if record.settings[DATA] != fold.digest:
        raise Damaged("it was trained on other data than its fold holds")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            probabilities, curves = arrays["probabilities"], arrays.get(STORED_AS)
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise Damaged(f"{PREDICTIONS_FILE} holds no readable probabilities") from None
    if not fold.others_digest:
        # The sampled slices come first, whatever else was predicted.
        probabilities = probabilities[: len(fold.masks)]
    elif record.others_digest != fold.others_digest:
        raise Damaged(OTHER_SLICES)
    if probabilities.dtype != np.uint16 or probabilities.shape != fold.masks.shape:
        raise Damaged(
            f"{PREDICTIONS_FILE} holds {probabilities.dtype} {probabilities.shape}, not uint16 {fold.masks.shape}"
        )
    # The trial may have predicted whole scans that the study no longer scores.
    if curves is None or not fold.scan_rows:
        return StoredPredictions(probabilities, {})
    try:
        return StoredPredictions(probabilities, of_scans(curves, fold.scan_rows))
    except ValueError as error:
        raise Damaged(f"{PREDICTIONS_FILE} holds {error}") from None


def failure_summary(record: Record) -> str:
    """Return what may be told about a failed trial in tables, logs and reports: the kind of error and what to do about
    it. The message of the error may hold a path or a patient's data."""
    do = _TO_DO.get(str(record.failure), "`hnscc run` trains it again, once the cause is mended")
    return f"failed: {record.failure}; the traceback is in its record.json; {do}"
