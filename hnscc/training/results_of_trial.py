"""What a trained trial leaves in its folder: the probabilities of all scored slices, their scores at 0.5, its weights
and history, and the record that vouches for them."""

import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from hnscc.base.arrays import Bools, Floats, StoredProbabilities
from hnscc.base.encode import npz_bytes, parquet_bytes
from hnscc.base.files import sha256, write_bytes
from hnscc.base.locations import Location
from hnscc.cohort.fold import FoldData
from hnscc.scores.counts import HALF
from hnscc.scores.stored import (
    STORED_AS,
    glycolysis,
    scores_to_bytes,
    scoring_at_half,
    stored_form,
    with_glycolysis,
)
from hnscc.scores.thresholds import score_trial
from hnscc.training.fit import Fit
from hnscc.training.process import give_back_memory, peak_gpu_bytes
from hnscc.training.ready import Task
from hnscc.training.records import HISTORY, Trained, write_record
from hnscc.training.tidying import tidy


def leave_results(fit: Fit, stop_reason: str, task: Task) -> Generator[None]:
    """Write all files of a trained trial, the record that vouches for them last, and then delete the checkpoints.

    Pauses after each batch that was predicted, and after each whole scan that was scored.
    """
    started, folder = time.monotonic(), task.folder
    fit.network.load_state_dict(fit.best)
    fit.optimiser.forget_gradients()
    give_back_memory()
    predicted, scores = yield from _predicted_files(fit, task)
    weights = {name: value.cpu().contiguous() for name, value in fit.best.items()}
    contents = {
        **predicted,
        folder.weights: save_safetensors(weights),
        folder.history: parquet_bytes(pa.Table.from_pylist(list(fit.history), schema=HISTORY)),
    }
    for path, content in contents.items():
        write_bytes(path, content)
    record = Trained(
        **dict(fit.began),
        **scores,
        **_of_training(fit),
        status="completed",
        stop_reason=stop_reason,
        seconds=sum(row["seconds"] for row in fit.history) + time.monotonic() - started,
        peak_gpu_bytes=peak_gpu_bytes(task.gpus) if task.device == "cuda" else None,
        files=_hashes(contents),
    )
    write_record(folder, record)
    tidy(folder)


def _of_training(fit: Fit) -> dict[str, Any]:
    """Return the part of a record on the epochs, and on the processes that trained them."""
    return {
        "attempts": tuple(fit.attempts),
        "best_epoch": fit.best_epoch,
        "best_val_soft_jaccard": fit.history[fit.best_epoch - 1]["val_soft_jaccard"],
        "epochs": fit.epoch,
    }


def _hashes(contents: Mapping[Location, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file's content, by the file's name."""
    return {path.name: sha256(content) for path, content in contents.items()}


def predict_again(record: Trained, weights: bytes, fit: Fit, task: Task) -> Generator[None]:
    """Predict a trained trial's slices again, with its weights. If it is cut short before its record is written, it is
    done again."""
    fit.network.load_state_dict(load_safetensors(weights))
    contents, scores = yield from _predicted_files(fit, task)
    for path, content in contents.items():
        write_bytes(path, content)
    files = record.files | _hashes(contents)
    versions = fit.began.versions
    by = {"predicted_by": {} if versions == record.versions else versions, "failure": None, "error": None}
    write_record(task.folder, record.model_copy(update={**scores, **by, "files": files}))


def _predicted_files(
    fit: Fit, task: Task
) -> Generator[None, None, tuple[dict[Location, bytes], dict[str, Any]]]:
    """Return the files with the probabilities of the fold's scored slices and with their scores at 0.5, and the
    record's part on them."""
    data, tolerance_mm = task.data, task.study.evaluation.tolerance_mm
    probabilities = yield from fit.predicting(data.scored_slices(task.variant.modalities))
    masks, rows = data.scored_masks, data.scan_rows
    truth = masks.view(np.bool_)
    at_half = yield from scoring_at_half(probabilities, truth, rows, data.spacing_mm, tolerance_mm)
    found = _glycolysis(data, probabilities, truth)
    at_half = replace(at_half, scans=with_glycolysis(at_half.scans, found, HALF))
    stored = {STORED_AS: stored_form(found)} if found else {}
    contents = {
        task.folder.predictions: npz_bytes(probabilities=probabilities, **stored),
        task.folder.scores: scores_to_bytes(at_half, data.spacing_mm, tolerance_mm),
    }
    return contents, score_trial(probabilities, masks, data.scored_splits) | {
        "others_digest": data.others_digest
    }


def _glycolysis(data: FoldData, probabilities: StoredProbabilities, truth: Bools) -> dict[str, Floats]:
    """Return the glycolysis in SUV ml of each whole scan, (1001,); empty where no modality is known to be in SUV.

    probabilities: uint16 (N, H, W), of the scored slices; truth: bool (N, H, W).
    """
    found = {}
    for scan, at in data.scan_rows.items():
        uptake = data.uptake(at)
        if uptake is not None:
            found[scan] = glycolysis(probabilities[at], truth[at], uptake, data.spacing_mm[scan])
    return found
