"""Builds real run folders from arrays, in the format of the run folder, without training."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hnscc.base.files import sha256, write_bytes, write_sealed, write_text
from hnscc.base.split_names import SPLITS
from hnscc.cohort.kept_of_store import PackedMask, masks_to_bytes
from hnscc.study.identity import trial_seeds
from hnscc.study.loading import dump_study, parse_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.study.trials import Trial, trials_of


@dataclass(frozen=True)
class Slice:
    """One scored slice: its split, patient, its mask (H, W) of 0 and 1, whether it is used, and which of the patient's
    scans it is of."""

    split: str
    patient: str
    mask: np.ndarray
    used: bool = True
    scan: str = "a"

    @property
    def scan_id(self) -> str:
        return f"{self.patient}-{self.scan}"


def small_study(variants: tuple[str, ...] = ("pet", "pet_mri"), **settings: Any) -> Study:
    raw = {
        "name": "small",
        "store": "none.zarr",
        "variants": {name: {"modalities": ["pet"]} for name in variants},
    }
    return parse_study({**raw, "evaluation": {"cutoff_px": 2, "bootstraps": 200}, **settings})


def write_run(
    root: Path, study: Study, folds: list[list[Slice]], drawn: dict[str, PackedMask] | None = None
) -> RunFolder:
    """Write a run folder with its folds and no trial. Slices must be in the order of SPLITS. drawn: for each scan that
    is not trained on (patient p00 has p00-a), its mask as it was drawn."""
    run = RunFolder(root)
    write_text(run.study, dump_study(study))
    for number, slices in enumerate(folds):
        _write_fold(run, number, slices, drawn or {})
    return run


def _write_fold(run: RunFolder, number: int, slices: list[Slice], drawn: dict[str, PackedMask]) -> None:
    assert [SPLITS.index(each.split) for each in slices] == sorted(
        SPLITS.index(each.split) for each in slices
    )
    masks = np.stack([each.mask for each in slices]).astype(np.uint8)
    truth_px = masks.sum(axis=(1, 2))
    table = pa.table(
        {
            "row": pa.array(range(len(slices)), pa.int32()),
            "split": [each.split for each in slices],
            "patient_id": [each.patient for each in slices],
            "scan_id": [each.scan_id for each in slices],
            "z": pa.array(range(len(slices)), pa.int32()),
            "positive": truth_px > 0,
            "used": [each.used for each in slices],
            "truth_px": pa.array(truth_px, pa.int32()),
        }
    )
    folder = run.fold(number)
    files = {
        folder.slices: _parquet(table),
        folder.scans: _parquet(_scans(number, slices)),
        folder.truth: _npz(masks=masks),
    }
    if drawn:
        files[folder.drawn] = masks_to_bytes(drawn)
    for path, content in files.items():
        write_bytes(path, content)
    hashes = {path.name: sha256(content) for path, content in files.items()}
    split = {"fold": number, "digest": f"digest{number}", "files": hashes, "warnings": [], "slices": "all"}
    split |= {"others_digest": "" if all(each.used for each in slices) else f"others{number}"}
    whole = {each.scan_id for each in slices if each.split != "train"}
    split |= {"spacing_mm": {scan: [3.0, 1.0, 1.0] for scan in sorted(whole)}}
    split |= {"drawn": {scan: dict(mask.lies) for scan, mask in drawn.items()}}
    split |= {"store_digest": "store", "bounds": {"pet": [0.0, 1.0]}}
    split |= {
        "patients": {name: sorted({each.patient for each in slices if each.split == name}) for name in SPLITS}
    }
    write_sealed(folder.split, split)


def _scans(number: int, slices: list[Slice]) -> pa.Table:
    rows = []
    for split in SPLITS:
        for patient, scan_id in sorted(
            {(each.patient, each.scan_id) for each in slices if each.split == split}
        ):
            used = [each.mask.any() for each in slices if (each.split, each.scan_id) == (split, scan_id)]
            counts = {
                "used_positive": sum(map(bool, used)),
                "used_negative": len(used) - sum(map(bool, used)),
            }
            named: dict[str, Any] = {
                "patient_id": patient,
                "scan_id": scan_id,
                "fold": number,
                "split": split,
            }
            rows.append({**named, "slices": len(used), "positive_slices": counts["used_positive"], **counts})
    return pa.Table.from_pylist(rows)


def add_trial(run: RunFolder, study: Study, trial: Trial, levels: np.ndarray, **record: object) -> None:
    """Write a completed trial with these stored probabilities, uint16 (N, H, W)."""
    folder = run.trial(trial.trial_id)
    history = pa.table(
        {
            "epoch": pa.array([1, 2], pa.int32()),
            "train_loss": [0.7, 0.5],
            "val_loss": [0.8, 0.6],
            "val_soft_jaccard": [0.1, 0.2],
            "seconds": [1.5, 1.25],
        }
    )
    files = {folder.predictions: _npz(probabilities=levels), folder.history: _parquet(history)}
    for path, content in files.items():
        write_bytes(path, content)
    hashes = {path.name: sha256(content) for path, content in files.items()}
    whole = {
        "trial_id": trial.trial_id,
        "status": "completed",
        "identity": "0" * 64,
        "settings": {"data": f"digest{trial.fold}"},
        "seeds": trial_seeds(study, trial),
        "best_epoch": 2,
        "epochs": 2,
        "stop_reason": "epochs",
        "best_val_soft_jaccard": 0.2,
        "files": {**hashes, "weights.safetensors": "f" * 64},
        "seconds": 2.75,
        "device": "cpu",
        **_facts(trial),
        "attempts": [],
        "scores": {},
        "collapsed": False,
        "highest_probability": 1.0,
    }
    write_sealed(folder.record, {**whole, **record})


def add_failure(run: RunFolder, trial: Trial, error: str) -> None:
    record = {
        "trial_id": trial.trial_id,
        "status": "failed",
        "identity": "0" * 64,
        "settings": {},
        "seeds": {},
    }
    record |= _facts(trial) | {"device": "cpu", "attempts": []}
    kind = error.strip().rpartition("\n")[2].partition(":")[0]
    write_sealed(run.trial(trial.trial_id).record, record | {"failure": kind, "error": error})


def _facts(trial: Trial) -> dict[str, Any]:
    facts: dict[str, Any] = {"variant": trial.variant, "fold": trial.fold, "repeat": trial.repeat}
    return facts | {"precision": "fp32", "threads": 1, "versions": {"torch": "0"}}


def random_run(root: Path, study: Study, patients: int = 12, slices: int = 4, seed: int = 0) -> RunFolder:
    """Write a completed study of blurry predictions that find most of each lesion; every third slice has none."""
    rng = np.random.default_rng(seed)
    folds = [_random_slices(patients, slices, fold, study.split.folds) for fold in range(study.split.folds)]
    run = write_run(root, study, folds)
    for trial in trials_of(study):
        masks = np.stack([each.mask for each in folds[trial.fold]])
        add_trial(run, study, trial, noisy_levels(masks, rng))
    return run


def _random_slices(patients: int, slices: int, fold: int, folds: int) -> list[Slice]:
    """Return slices. With one fold each split has a third of the patients; with k each patient is tested once."""
    found = []
    for patient in range(patients):
        position = patient % max(folds, 3)
        split = {fold: "test", (fold + 1) % max(folds, 3): "validation"}.get(position, "train")
        rng = np.random.default_rng([7, patient])
        for number in range(slices):
            mask = np.zeros((12, 12), np.uint8)
            if number % 3:
                top, left = rng.integers(0, 7, 2)
                mask[top : top + 4, left : left + 1 + number] = 1
            found.append(Slice(split, f"p{patient:02d}", mask))
    return sorted(found, key=lambda each: SPLITS.index(each.split))


def noisy_levels(masks: np.ndarray, rng: np.random.Generator, noise: float = 0.25) -> np.ndarray:
    """Return stored probabilities around 0.7 inside and 0.2 outside of the masks."""
    p = np.where(masks > 0, 0.7, 0.2) + rng.normal(0, noise, masks.shape)
    return np.round(np.clip(p, 0, 1) * 65535).astype(np.uint16)


def levels_of(probabilities: npt.ArrayLike) -> np.ndarray:
    """Return floats 0..1 as stored probabilities."""
    return np.round(np.asarray(probabilities, float) * 65535).astype(np.uint16)


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _npz(**arrays: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.savez_compressed(sink, allow_pickle=False, **arrays)
    return sink.getvalue()
