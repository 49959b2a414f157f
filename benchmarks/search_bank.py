"""Makes a bank of real trainings, and replays the searches of search_peers.py from it."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from search_contestants import searches

from hnscc.base.cores import cores
from hnscc.cohort.fold import read_folds
from hnscc.searching.recorded import trial_of
from hnscc.study.loading import parse_study
from hnscc.study.ranges import with_configurations
from hnscc.study.run_folder import TrialFolder
from hnscc.study.schema import Study
from hnscc.training.ready import Task, open_and_divide
from hnscc.training.records import read_record
from hnscc.training.states import is_completed
from hnscc.training.trial import steps_of_trial
from rayjobs.proposals import proposer

RANGES = {
    "training.learning_rate": {"low": 0.0003, "high": 0.03, "log": True},
    "training.batch_size": [4, 8, 16],
    "training.network.width": [4, 8],
    "augmentation.copies": [0, "fresh"],
    "augmentation.rotate_degrees": {"low": 0, "high": 45},
    "augmentation.translate": [0.0, 0.1, 0.2],
}


def bank_study(store: str, pool: int, negatives: str) -> Study:
    training = {
        "network": {"architecture": "paper", "width": 4},
        "epochs": 18,
        "patience": 18,
        "device": "cpu",
    }
    search = {"method": "random", "ranges": RANGES, "configurations": pool, "budget": {"trials": 1e6}}
    study = {
        "name": "bank",
        "store": store,
        "modalities": ["pet", "mri"],
        "training": training,
        "search": search,
    }
    study |= {
        "split": {"test": 0.3, "validation": 0.25},
        "sampling": {"max_positive": 60, "negatives": negatives},
    }
    return parse_study(study)


def fill(study: Study, folder: Path, pool: int, repeats: int) -> None:
    settings = proposer(study)([], pool)
    (folder / "configurations.json").write_text(json.dumps(settings, indent=1))
    keys = [(c, r) for r in range(repeats) for c in range(pool)]
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as workers:
        list(workers.map(_train, [study] * len(keys), [settings] * len(keys), [folder] * len(keys), keys))


_FOLD: list[Any] = []


def _train(study: Study, settings: list[dict[str, Any]], folder: Path, key: tuple[int, int]) -> None:
    if not _FOLD:
        # The test set is open, as it never is in a search: picks are judged by it.
        store, divisions = open_and_divide(study.model_copy(update={"search": None}))
        _FOLD.append(read_folds(store, study, [divisions[0]])[0])
    trial, precision = trial_of(key), "bf16"
    where = TrialFolder(folder / trial.trial_id)
    if not is_completed(where):
        full = with_configurations(study, settings)
        for _ in steps_of_trial(Task(full, trial, _FOLD[0], where, "cpu", precision)):
            pass
        where.weights.unlink(missing_ok=True)


def replayed(folder: Path, pool: int, repeats: int, n: int) -> None:
    curves, test = {}, np.zeros((pool, repeats))
    for c in range(pool):
        for r in range(repeats):
            where = TrialFolder(folder / trial_of((c, r)).trial_id)
            record = read_record(where)
            if record is None or record.status != "completed":
                raise RuntimeError(f"{where.root.name} is not completed")
            curves[c, r] = tuple(pq.read_table(where.history)["val_soft_jaccard"].to_pylist())
            test[c, r] = record.scores["test"]["dice"]
    epochs = max(map(len, curves.values()))
    validation = np.array([[max(curves[c, r]) for r in range(repeats)] for c in range(pool)])
    best = validation.mean(1).argmax()
    print(
        f"{pool} configurations x {repeats} repeats of {epochs} epochs; validation score "
        f"{validation.mean(1).min():.3f} to {validation.mean(1).max():.3f}, SD of a repeat "
        f"{np.median(validation.std(1, ddof=1)):.3f}; test Dice of the best by validation {test.mean(1)[best]:.3f}, "
        f"of all {test.mean():.3f}, best {test.mean(1).max():.3f}"
    )
    found: dict[str, list[tuple[float, ...]]] = {}
    for simulation in range(n):
        rng = np.random.default_rng([simulation, 5])
        order = rng.permutation(pool).tolist()
        turn = rng.permutation(repeats).tolist()
        for name, search in searches(pool, repeats - 2).items():
            pick = search(lambda c, r: curves[c, turn[r]], order, epochs, pool)  # noqa: B023
            fresh = fmean(validation[pick.configuration, turn[r]] for r in range(pick.seen, repeats))
            c = pick.configuration
            row = (test[c].mean(), validation[c].mean(), pick.promised - fresh)
            found.setdefault(name, []).append(row)
    reference = np.array(found["race, first 1"])
    for name, rows in found.items():
        values = np.array(rows)
        mean, error = values.mean(0), values.std(0, ddof=1) / np.sqrt(n)
        ahead = (reference - values)[:, 0]
        print(
            f"  {name:14s} test Dice {mean[0]:.3f} (SE {error[0]:.3f})  validation {mean[1]:.3f}  promise falls "
            f"{mean[2]:+.3f} (SE {error[2]:.3f})  race, first 1 ahead by {ahead.mean():+.3f}, better "
            f"{np.mean(ahead > 0):.2f}, worse {np.mean(ahead < 0):.2f}; n = {n}",
            flush=True,
        )
