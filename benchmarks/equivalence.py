"""Do faster operations change the Dice? Repeats with and without them on the real cohort, and a test of equivalence.

    HNSCC_STS=FOLDER python benchmarks/equivalence.py [path] [decoder] [gpu] [--repeats 24] [--out FOLDER]

HNSCC_STS: the soft-tissue sarcoma cohort with its manifest.csv.

path: with the whole fast path, as a study trains here, in this processor's best precision, against float32 with
PyTorch's own dropout, transposed convolutions and optimiser, in its default memory layout. The network is the paper's,
8 wide, on slices of 64 x 64 at 3.4 mm, so that many repeats fit into the time.

decoder: a resnet18 Unet on slices of 128 x 128 at 1.7 mm, with the decoder that convolves small maps, against the
decoder that the library has; all else is alike.

gpu: the network and slices of `path`, trained on a GPU and on this processor, each in its best precision.

TOST (two one-sided Welch t tests) of the pooled test Dice at 0.5: p below 0.05 says that the means lie less than two
points apart. A run that was cut short continues.
"""

import argparse
import math
import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
import torch
from figures import Figure, machine, one_of, tell
from torch import nn

import hnscc.training.fit
import hnscc.training.inference
import hnscc.training.trial
from data_prep.build import build_store
from data_prep.settings import PrepareSettings
from hnscc.base.cores import cores
from hnscc.study.loading import parse_study
from hnscc.study.schema import Study
from hnscc.study.trials import Trial
from hnscc.training.devices import resolve_device
from hnscc.training.paper_unet import Doubling, Dropout
from hnscc.training.ready import Task, make_run_ready
from hnscc.training.records import Trained, read_record
from hnscc.training.states import is_completed

MARGIN, LEVEL = 0.02, 0.05


class PlainAdam:
    """PyTorch's own Adam, as hnscc.training makes and calls it."""

    def __init__(self, parameters: Iterable[nn.Parameter], *, learning_rate: float, epsilon: float) -> None:
        self.adam = torch.optim.Adam(parameters, lr=learning_rate, eps=epsilon)
        self.forget_gradients, self.step = self.adam.zero_grad, self.adam.step

    def state(self) -> dict[str, torch.Tensor]:
        return {}


def without_fast_path() -> None:
    """Replace the fast path by PyTorch's own operations, for the rest of this process."""
    dropout: Any = Dropout
    dropout.forward = nn.Dropout.forward
    doubling: Any = Doubling
    doubling.forward = nn.ConvTranspose2d.forward
    fit: Any = hnscc.training.fit
    fit.Adam = PlainAdam
    torch.channels_last = torch.contiguous_format


def with_the_library_s_decoder() -> None:
    """Replace the decoder that convolves small maps by the library's, for the rest of this process."""
    inference: Any = hnscc.training.inference
    inference.decode_small = lambda model: model


@dataclass(frozen=True)
class Case:
    """What is compared: the name of its figure, the networks' settings, slices of `size` pixels a side of `pixel_mm`,
    the function that lets a process train without it, the precision of that, and the device with it."""

    what: str
    network: dict[str, Any]
    epochs: int
    size: int
    pixel_mm: float
    without: Callable[[], None]
    precision_without: str
    device_with: str = "cpu"

    def study(self, store: str, repeats: int, *, fast: bool) -> Study:
        training = {
            "network": self.network,
            "epochs": self.epochs,
            "patience": self.epochs,
            "batch_size": 16,
            "precision": "auto" if fast else self.precision_without,
            "device": self.device_with if fast else "cpu",
        }
        return parse_study(
            {
                "name": "equivalence",
                "store": store,
                "repeats": repeats,
                "sampling": {"max_positive": 178, "negatives": "any_scan"},
                "split": {"test": 0.2, "validation": 0.2},
                "training": training,
                "variants": {"pet_mri": {"modalities": ["pet", "mri"]}},
            }
        )


CASES = {
    "path": Case(
        "the fast path", {"architecture": "paper", "width": 8}, 40, 64, 3.4, without_fast_path, "fp32"
    ),
    "decoder": Case(
        "the decoder on small maps, resnet18 Unet at 128 x 128",
        {"architecture": "unet", "encoder": "resnet18"},
        12,
        128,
        1.7,
        with_the_library_s_decoder,
        "auto",
    ),
    "gpu": Case("a GPU", {"architecture": "paper", "width": 8}, 40, 64, 3.4, lambda: None, "auto", "cuda"),
}


def train(case: str, store: str, out: Path, repeats: int, repeat: int, fast: bool) -> float:
    """Return one repeat's pooled test Dice at 0.5. Train it first, unless an earlier run did."""
    study = CASES[case].study(store, repeats, fast=fast)
    if not fast:
        CASES[case].without()
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
    """Return p of two one-sided Welch tests that the means of a and b lie at least `margin` apart, their difference,
    and half of its 90 % interval."""
    difference = float(a.mean() - b.mean())
    parts = [each.var(ddof=1) / len(each) for each in (a, b)]
    error = math.sqrt(sum(parts))
    degrees = sum(parts) ** 2 / sum(p**2 / (len(each) - 1) for p, each in zip(parts, (a, b), strict=True))
    p = float(scipy.stats.t.sf((margin - abs(difference)) / error, degrees))
    return p, difference, float(scipy.stats.t.ppf(1 - LEVEL, degrees)) * error


def measure(case: str, store: str, out: Path, repeats: int) -> None:
    # Each training has a process of its own, since what `without` changes stays changed.
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        asked = {
            (fast, repeat): pool.submit(train, case, store, out, repeats, repeat, fast)
            for repeat in range(repeats)
            for fast in (True, False)
        }
        scores = {fast: np.array([asked[fast, r].result() for r in range(repeats)]) for fast in (True, False)}
    p, difference, half = tost(scores[True], scores[False], MARGIN)
    sides = [f"{scores[fast].mean():.3f} (SD {scores[fast].std(ddof=1):.3f})" for fast in (True, False)]
    tell(
        Figure(
            f"Dice with and without {CASES[case].what} on the real cohort: p of TOST, margin 0.02",
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
    parser.add_argument(
        "cases", nargs="*", type=one_of(CASES), help=f"of {', '.join(CASES)}; all unless given"
    )
    parser.add_argument("--repeats", type=int, default=24)
    parser.add_argument("--out", type=Path, help="keep what is trained here, to go on from")
    options = parser.parse_args()
    cohort = os.environ.get("HNSCC_STS")
    if not cohort:
        print("skipped: the soft-tissue sarcoma data is not here (set HNSCC_STS to its folder)")
        return
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as temporary:
        for name in options.cases or CASES:
            if CASES[name].device_with == "cuda" and not torch.cuda.is_available():
                print(f"skipped: {name}, for PyTorch can use no GPU here")
                continue
            out = (options.out or Path(temporary)).absolute() / name
            store, case = out / "cohort.zarr", CASES[name]
            if not store.exists():
                settings = PrepareSettings(size=case.size, pixel_mm=case.pixel_mm)
                build_store(Path(cohort) / "manifest.csv", store, settings)
            measure(name, str(store), out, options.repeats)


if __name__ == "__main__":
    main()
