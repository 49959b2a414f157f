"""Trainings per hour on this machine's cores: our studies against a loop of a researcher's own script.

    python benchmarks/training.py [--network unet] [--network paper] [--rounds 3]

Both sides train the same network on the same slices of a phantom cohort (128 x 128, PET and MRI) with the same fresh
augmentation in every epoch. Ours is `python -m rayjobs.study`, the run's tables and report included. The other side is
benchmarks/naive.py, one process after another, with the number of DataLoader workers that is fastest here. The time of
each side is that of a run of many epochs less that of a run of few epochs, divided by the number of trainings and
epochs. This leaves out the start of processes, and what is done once per training or per run.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from figures import ROUNDS, Figure, in_turn, machine, ratios, seconds, tell, unlimited

from hnscc.base.cores import cores
from hnscc.cohort.fold import FoldData
from hnscc.study.loading import load_study
from hnscc.training.devices import resolve_device
from hnscc.training.ready import make_run_ready

NAIVE = Path(__file__).with_name("naive.py")
SIZE = 128
# Enough for a few batches per epoch; most of a round is the start of processes anyway.
MAX_POSITIVE = 40
WORKER_COUNTS = (0, 1, 2)


@dataclass(frozen=True)
class Network:
    """A network to be compared. targets: ratios to the naive loop, at our best precision and at equal precision."""

    title: str
    settings: dict[str, object]
    batch_size: int
    targets: tuple[float, float]


NETWORKS = {
    "unet": Network("resnet18 Unet", {"architecture": "unet", "encoder": "resnet18"}, 16, (3.0, 1.6)),
    "paper": Network("the paper's network", {"architecture": "paper", "width": 16}, 32, (3.5, 1.8)),
}


@dataclass(frozen=True)
class Bench:
    """Where a network is trained, and how much: the same number of trainings on both sides, one for each core.

    folder: temporary; holds the store and everything else. epochs: of the shorter and of the longer run. augmentation:
    of our study's variant.
    """

    folder: Path
    network: Network
    epochs: tuple[int, int]
    augmentation: dict[str, object]

    @property
    def store(self) -> Path:
        return self.folder / "cohort.zarr"

    def study(self, precision: str, epochs: int) -> Path:
        """Write a study file that trains one variant once for each core and never stops early; return it."""
        training = {"network": self.network.settings, "batch_size": self.network.batch_size, "epochs": epochs}
        training |= {"patience": epochs, "precision": precision, "device": "cpu"}
        study = {
            "name": "bench",
            "store": str(self.store),
            "repeats": cores(),
            "sampling": {"max_positive": MAX_POSITIVE},
            "split": {"test": 0.2, "validation": 0.2},
            "training": training,
            "variants": {"pet_mri": {"modalities": ["pet", "mri"], "augmentation": self.augmentation}},
            "evaluation": {"bootstraps": 100},  # done once per run, which is left out
        }
        path = self.folder / f"{precision}-{epochs}.yaml"
        path.write_text(yaml.safe_dump(study, sort_keys=False))
        return path

    def ours(self, precision: str) -> float:
        """Return our seconds per training and epoch."""

        def run(epochs: int) -> float:
            out = self.folder / "run"
            command = [
                sys.executable,
                "-m",
                "rayjobs.study",
                str(self.study(precision, epochs)),
                "--out",
                str(out),
            ]
            took = seconds(lambda: call(command, self.folder))
            shutil.rmtree(out)
            return took

        return self.per_epoch(run)

    def per_epoch(self, run: Callable[[int], float]) -> float:
        """Return the seconds per training and epoch. run: returns the seconds of a run of so many epochs, all
        trainings together."""
        return time_of_epoch(run, self.epochs) / cores()

    def best_precision(self) -> str:
        study = load_study(self.study("auto", 1))
        return resolve_device(study.variants["pet_mri"].training)[1]

    def fold(self) -> FoldData:
        """Return the fold that every run has, and write it to `self.folder / "fold"`, as a run folder for the
        other side."""
        return make_run_ready(load_study(self.study("fp32", 1)), self.folder / "fold").folds[0]


def time_of_epoch(run: Callable[[int], float], epochs: tuple[int, int]) -> float:
    """Return the seconds of an epoch: of a run of many epochs less one of few. run: returns the seconds of a run of so
    many epochs. epochs: few and many."""
    few, many = epochs
    short, long = run(few), run(many)
    if long <= short:
        sys.exit(
            f"{many} epochs took {long:.1f} s and {few} took {short:.1f} s: the machine is too busy to measure on, "
            "or take more epochs"
        )
    return (long - short) / (many - few)


def call(command: Sequence[str], home: Path) -> str:
    """Run a command to its end, and return what it printed on standard output. Ray, and other programs that want a
    home, keep their files in `home`."""
    environment = {name: value for name, value in unlimited().items() if name != "RAY_ADDRESS"}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "HOME": str(home), "RAY_TMPDIR": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def make_cohort(folder: Path, patients: int, size: int = SIZE) -> None:
    """Write a store of a phantom cohort, `folder / "cohort.zarr"`, with slices of `size` pixels a side."""
    # Here, for a GPU machine that brings a store along may lack the libraries that read scans.
    from data_prep.build import build_store
    from data_prep.phantom.phantom import make_phantom
    from data_prep.settings import PrepareSettings

    manifest = make_phantom(folder / "phantom", patients=patients)
    build_store(manifest, folder / "cohort.zarr", PrepareSettings(size=size))
    shutil.rmtree(folder / "phantom")


# --- the other side


def naive(bench: Bench, network: str, workers: int, epochs: int) -> np.ndarray:
    """Run one training by the script, and return the seconds of its epochs."""
    out = bench.folder / "naive.npz"
    command = [sys.executable, str(NAIVE), str(bench.store), str(bench.folder / "fold"), "--network", network]
    command += ["--epochs", str(epochs), "--workers", str(workers), "--precision", "fp32", "--out", str(out)]
    call(command, bench.folder)
    with np.load(out) as saved:
        took: np.ndarray = saved["seconds"]
    out.unlink()
    return took


def naive_loop(bench: Bench, network: str, workers: int) -> float:
    """Return the loop's seconds per training and epoch."""

    def run(epochs: int) -> float:
        return seconds(lambda: [naive(bench, network, workers, epochs) for _ in range(cores())])

    return bench.per_epoch(run)


def best_workers(bench: Bench, network: str) -> int:
    """Return the number of DataLoader workers with the fastest epoch, without the first one, which starts them."""
    fastest = {workers: naive(bench, network, workers, 3)[1:].min() for workers in WORKER_COUNTS}
    told = ", ".join(f"{workers}: {took:.2f} s" for workers, took in fastest.items())
    best = min(fastest, key=lambda workers: fastest[workers])
    print(
        f"{network}, naive loop, an epoch by its number of DataLoader workers: {told}; taken: {best}",
        flush=True,
    )
    return best


# --- measuring


def measure(bench: Bench, name: str, rounds: int) -> None:
    rows, best = bench.fold().rows, bench.best_precision()
    workers = best_workers(bench, name)
    precisions = ["fp32"] if best == "fp32" else [best, "fp32"]
    theirs, *ours = in_turn(
        lambda: naive_loop(bench, name, workers),
        *(lambda precision=precision: bench.ours(precision) for precision in precisions),
        rounds=rounds,
    )
    if best == "fp32":
        print(
            f"skipped: {bench.network.title} at our best precision, for this processor does not compute in bf16"
        )
    slices = [rows[split].stop - rows[split].start for split in ("train", "validation")]
    for precision, mine in zip(precisions, ours, strict=True):
        what = "equal precision" if precision == "fp32" else "our best precision"
        each = [slices[0] / statistics.median(side) for side in (mine, theirs)]
        tell(
            Figure(
                f"CPU training, {bench.network.title}: trainings per hour against the naive loop, {what}",
                bench.network.targets[precision == "fp32"],
                ratios(theirs, mine),
                "x",
                f"{each[0]:.1f} ({precision}) against {each[1]:.1f} (fp32) slices per second of training on "
                f"{cores()} cores; {slices[0]} slices and {slices[1]} for validation, batches of "
                f"{bench.network.batch_size}; the loop's DataLoader with {workers} workers",
            )
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", action="append", choices=list(NETWORKS), help="default: both")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--epochs", type=int, nargs=2, default=(1, 9), help="of the shorter and the longer run"
    )
    parser.add_argument("--patients", type=int, default=12, help="of the phantom cohort, 12 or more")
    options = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as folder:
        make_cohort(Path(folder), options.patients)
        for name in options.network or NETWORKS:
            bench = Bench(Path(folder), NETWORKS[name], tuple(options.epochs), {"copies": "fresh"})
            shutil.rmtree(bench.folder / "fold", ignore_errors=True)
            measure(bench, name, options.rounds)


if __name__ == "__main__":
    main()
