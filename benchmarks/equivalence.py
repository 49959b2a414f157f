"""Does the fast path change the Dice? Repeats with and without it on the real cohort, and a test of their equivalence.

    HNSCC_STS=FOLDER python benchmarks/equivalence.py [--repeats 24] [--out FOLDER]

HNSCC_STS: the soft-tissue sarcoma cohort with its manifest.csv. With the fast path: a study as it is trained here,
in this processor's best precision. Without: float32, PyTorch's own dropout, transposed convolutions and optimiser, in
its default memory layout. The paper's network 8 wide on slices of 64 x 64 at 3.4 mm, so that many repeats fit into
the time: what differs between the two is the same at every size. TOST (two one-sided Welch t tests) of the pooled
test Dice at 0.5: p below 0.05 says that the means lie less than two points apart. A run that is cut short goes on.
"""

import argparse
import math
import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
import torch
from figures import Figure, machine, tell
from torch import nn

import hnscc.training.loop
import hnscc.training.trial
from data_prep.build import build_store
from data_prep.settings import PrepareSettings
from hnscc.base.cores import cores
from hnscc.study.loading import parse_study
from hnscc.study.plan import Trial
from hnscc.study.schema import Study
from hnscc.training.devices import resolve_device
from hnscc.training.paper_unet import Doubling, Dropout
from hnscc.training.ready import Task, make_run_ready
from hnscc.training.records import Trained, read_record
from hnscc.training.states import is_completed

MARGIN, LEVEL = 0.02, 0.05
STUDY: dict[str, Any] = {
    "name": "equivalence",
    "sampling": {"max_positive": 178, "negatives": "any_scan"},
    "split": {"test": 0.2, "validation": 0.2},
    "training": {
        "network": {"architecture": "paper", "width": 8},
        "epochs": 40,
        "patience": 40,
        "batch_size": 16,
    },
    "variants": {"pet_mri": {"modalities": ["pet", "mri"]}},
}


class PlainAdam:
    """PyTorch's own, as hnscc.training.loop calls it."""

    def __init__(self, parameters: Iterable[nn.Parameter], *, learning_rate: float, epsilon: float) -> None:
        self.adam = torch.optim.Adam(parameters, lr=learning_rate, eps=epsilon)
        self.forget_gradients, self.step = self.adam.zero_grad, self.adam.step

    def state(self) -> dict[str, torch.Tensor]:
        return {}


def without_fast_path() -> None:
    """For this process."""
    dropout: Any = Dropout
    dropout.forward = nn.Dropout.forward
    doubling: Any = Doubling
    doubling.forward = nn.ConvTranspose2d.forward
    loop: Any = hnscc.training.loop
    loop.Adam = PlainAdam
    torch.channels_last = torch.contiguous_format


def study_of(store: str, repeats: int, precision: str) -> Study:
    training = STUDY["training"] | {"precision": precision, "device": "cpu"}
    return parse_study(STUDY | {"store": store, "repeats": repeats, "training": training})


def train(store: str, out: Path, repeats: int, repeat: int, fast: bool) -> float:
    """One repeat's pooled test Dice at 0.5; trained unless it was before."""
    study = study_of(store, repeats, "auto" if fast else "fp32")
    if not fast:
        without_fast_path()
    device, precision = resolve_device(study.variants["pet_mri"].training)
    run = make_run_ready(study, out / ("with" if fast else "without") / str(repeat))
    trial = Trial("pet_mri", 0, repeat)
    folder = run.folder.trial(trial.trial_id)
    if not is_completed(folder):
        task = Task(study, trial, run.folds[0], folder, device, precision)
        for _ in hnscc.training.trial.steps_of_trial(task):
            pass
    record = read_record(folder)
    if not isinstance(record, Trained):
        raise RuntimeError(record.error if record else "no record")
    return float(record.scores["test"]["dice"])


def tost(a: np.ndarray, b: np.ndarray, margin: float) -> tuple[float, float, float]:
    """p of two one-sided Welch tests that the means of a and b lie at least `margin` apart; their difference, and
    half of its 90 % interval."""
    difference = float(a.mean() - b.mean())
    parts = [each.var(ddof=1) / len(each) for each in (a, b)]
    error = math.sqrt(sum(parts))
    degrees = sum(parts) ** 2 / sum(p**2 / (len(each) - 1) for p, each in zip(parts, (a, b), strict=True))
    p = float(scipy.stats.t.sf((margin - abs(difference)) / error, degrees))
    return p, difference, float(scipy.stats.t.ppf(1 - LEVEL, degrees)) * error


def measure(store: str, out: Path, repeats: int) -> None:
    # A process per training: what `without_fast_path` changes stays changed.
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        asked = {
            (fast, repeat): pool.submit(train, store, out, repeats, repeat, fast)
            for repeat in range(repeats)
            for fast in (True, False)
        }
        scores = {fast: np.array([asked[fast, r].result() for r in range(repeats)]) for fast in (True, False)}
    p, difference, half = tost(scores[True], scores[False], MARGIN)
    sides = [f"{scores[fast].mean():.3f} (SD {scores[fast].std(ddof=1):.3f})" for fast in (True, False)]
    tell(
        Figure(
            "Dice with and without the fast path on the real cohort: p of TOST, margin 0.02",
            LEVEL,
            (p,),
            "",
            f"{repeats} repeats each: {sides[0]} with, {sides[1]} without it; difference {difference:+.4f}, "
            f"90 % interval {difference - half:+.4f} to {difference + half:+.4f}",
            at_most=True,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=24)
    parser.add_argument("--out", type=Path, help="keep what is trained here, to go on from")
    options = parser.parse_args()
    cohort = os.environ.get("HNSCC_STS")
    if not cohort:
        print("skipped: the soft-tissue sarcoma data is not here (set HNSCC_STS to its folder)")
        return
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as temporary:
        out = (options.out or Path(temporary)).absolute()
        store = out / "cohort.zarr"
        if not store.exists():
            build_store(Path(cohort) / "manifest.csv", store, PrepareSettings(size=64, pixel_mm=3.4))
        measure(str(store), out, options.repeats)


if __name__ == "__main__":
    main()
