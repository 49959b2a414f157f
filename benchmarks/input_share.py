"""Reading the store, normalising and augmenting, as a share of the paper study's time.

    python benchmarks/input_share.py [--rounds 3]

The phantom cohort of 44 patients is prepared at 128 x 128 pixels. In one process and on one thread, the fold of
studies/paper.yaml is then read from the disk (the system's cache is made to forget its files) and normalised, and one
trial of each variant is trained for 2 epochs (`steps_of_trial`) while calls into hnscc.training.augment are timed. This
gives three times of each trial: what its augmentation takes, once (copies: 5) or in each epoch (copies: fresh); an
epoch, with its checkpoint; and the rest that is done once (building the network, predictions, files).

The study's time is calculated from these: it is read once, and each of 4 variants x 50 repeats takes what is done once
and EPOCHS epochs. This number is an assumption: patience is 50, epochs are at most 200, and the best epoch of the
paper's network comes early. One trial is trained at a time; with more at once, or with faster epochs, reading and
augmenting would count for more. The other figure is of one variant with copies: fresh, trained as often by the same
network, and the whole study's reading is counted against it.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import ROUNDS, Figure, tell

import hnscc.training.augment
import hnscc.training.trial
from data_prep.build import build_store
from data_prep.phantom.phantom import make_phantom
from data_prep.settings import PrepareSettings
from hnscc.cohort.fold import FoldData, read_folds
from hnscc.study.loading import load_study
from hnscc.study.run_folder import TrialFolder
from hnscc.study.schema import Study
from hnscc.study.trials import Trial
from hnscc.study.variant_schema import Variant
from hnscc.training.devices import resolve_device
from hnscc.training.ready import Task, open_and_divide
from hnscc.training.records import read_record

TARGET = 0.02
EPOCHS = 60
PAPER = Path(__file__).parent.parent / "studies" / "paper.yaml"
FRESH = "pet_mri_fresh"


@dataclass(frozen=True)
class Cost:
    """Seconds of a trial: its augmentation, once and in each epoch; everything else that it does once; and an epoch,
    with its augmentation."""

    augment_once: float
    augment_epoch: float
    rest: float
    epoch: float

    @property
    def augmenting(self) -> float:
        return self.augment_once + EPOCHS * self.augment_epoch

    @property
    def whole(self) -> float:
        return self.augment_once + self.rest + EPOCHS * self.epoch


@contextmanager
def timed_augmentation() -> Iterator[list[float]]:
    """Give a list, and add to it during the `with` block the seconds of each call that hnscc.training.augment makes of
    its own functions."""
    took: list[float] = []
    names = ("random_moves", "move")
    before = {name: getattr(hnscc.training.augment, name) for name in names}
    for name in names:
        setattr(hnscc.training.augment, name, timed(before[name], took))
    try:
        yield took
    finally:
        for name in names:
            setattr(hnscc.training.augment, name, before[name])


def timed(function: Callable[..., Any], took: list[float]) -> Callable[..., Any]:
    def act(*arguments: Any, **settings: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **settings)
        finally:
            took.append(time.perf_counter() - began)

    return act


def train(study: Study, name: str, data: FoldData) -> Cost:
    """Train one trial of a variant for two epochs; the second shows what an epoch costs."""
    device, precision = resolve_device(study.variants[name].training)
    with tempfile.TemporaryDirectory() as root, timed_augmentation() as took:
        trial = Trial(name, 0, 0)
        folder = TrialFolder(Path(root) / trial.trial_id)
        began = time.perf_counter()
        ends, augmented = [], []
        for _ in hnscc.training.trial.steps_of_trial(Task(study, trial, data, folder, device, precision)):
            ends.append(time.perf_counter())
            augmented.append(sum(took))
        whole = time.perf_counter() - began
        record = read_record(folder)
    if record is None or record.status != "completed":
        raise RuntimeError("the trial failed" if record else "the trial left no record")
    epoch, in_epoch = ends[1] - ends[0], augmented[1] - augmented[0]
    once = augmented[0] - in_epoch
    cost = Cost(once, in_epoch, whole - 2 * epoch - once, epoch)
    if (cost.augmenting > 0) != (study.variants[name].augmentation.copies != 0):
        raise RuntimeError(f"{name}: the calls that augment were not seen")
    return cost


def read(study: Study) -> tuple[FoldData, float]:
    """Return the study's fold, and the seconds that it took to read it from the disk and normalise it."""
    store, (division,) = open_and_divide(study)
    forget(Path(study.store))
    began = time.perf_counter()
    data = read_folds(store, study, [division])[0]
    return data, time.perf_counter() - began


def forget(store: Path) -> None:
    """Make the system's cache forget a folder's files, so that they are read from the disk."""
    for path in filter(Path.is_file, store.rglob("*")):
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def study_on(store: Path) -> Study:
    """Return the paper's study on this store, on the processor and for two epochs, with one more variant:
    fresh copies."""
    study = load_study(PAPER)
    variants = {name: for_two_epochs(variant) for name, variant in study.variants.items()}
    one = variants["pet_mri"]
    settings = {"copies": "fresh", "originals": "kept", "validation": False, "shared_by_repeats": False}
    variants[FRESH] = one.model_copy(update={"augmentation": one.augmentation.model_copy(update=settings)})
    return study.model_copy(update={"store": str(store), "variants": variants})


def for_two_epochs(variant: Variant) -> Variant:
    training = variant.training.model_copy(update={"epochs": 2, "device": "cpu", "threads": 1})
    return variant.model_copy(update={"training": training})


def share(seconds: float, costs: list[Cost], repeats: int) -> float:
    """Return the share that reading and augmenting have of the time of a study with these variants. seconds: of reading
    its store."""
    inputs = seconds + repeats * sum(cost.augmenting for cost in costs)
    return inputs / (seconds + repeats * sum(cost.whole for cost in costs))


def report(study: Study, rounds: list[tuple[float, dict[str, Cost]]]) -> None:
    """Tell the figures. rounds: for each, the seconds of reading and what a trial of each variant costs."""
    seconds, costs = rounds[-1]
    repeats = study.repeats
    assert isinstance(repeats, int)
    augmented, fresh = costs["pet_mri_augmented"], costs[FRESH]
    paper = [name for name in study.variants if name != FRESH]
    assumed = f"{repeats} repeats of {EPOCHS} epochs, one lane; last round: reading {seconds:.2f} s"
    hours = (seconds + repeats * sum(costs[name].whole for name in paper)) / 3600
    figures = {
        "the paper's study (one variant with copies: 5)": (
            paper,
            f"{assumed}, copies of a trial chosen in {augmented.augment_once:.2f} s once and made in "
            f"{augmented.augment_epoch:.2f} s of its epoch of {augmented.epoch:.1f} s; {hours:.1f} h in all",
        ),
        "one variant with copies: fresh": (
            [FRESH],
            f"{assumed}, random choices {fresh.augment_epoch:.3f} s of an epoch of {fresh.epoch:.2f} s",
        ),
    }
    for what, (names, detail) in figures.items():
        values = tuple(share(took, [of[name] for name in names], repeats) for took, of in rounds)
        title = f"reading, normalising and augmenting, share of {what}"
        tell(Figure(title, TARGET, values, "of the time", detail, at_most=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as name:
        folder = Path(name)
        manifest = make_phantom(folder / "phantom", patients=44, seed=2023)
        build_store(manifest, folder / "phantom.zarr", PrepareSettings(size=128))
        study = study_on(folder / "phantom.zarr")
        data, _ = read(study)
        train(study, "pet_mri", data)  # so that the kernels are prepared
        rounds = []
        for _ in range(options.rounds):
            data, seconds = read(study)
            rounds.append((seconds, {name: train(study, name, data) for name in study.variants}))
    report(study, rounds)


if __name__ == "__main__":
    main()
