"""Trainings on a GPU: the same bits beside others, and their speed against eager PyTorch and against one another.

    python benchmarks/gpu.py [bits] [alone] [packed] [study] [--rounds 3] [--network unet] [--network paper]

bits: trainings that ran one after another, at once in processes of their own, and by turns in one process; they must
leave the same files. alone: one training against benchmarks/naive.py, both in this GPU's best precision. packed:
several processes on one GPU against one after another. study: studies/paper.yaml on the same cohort, by Ray; the other
parts need no Ray. The cohort is a phantom of 44 patients, or --store STORE, with which a machine needs no library that
reads scans.

Speeds are the time of trainings of many epochs less that of trainings of few, which leaves out the start of processes.
`--device cpu` tries the script where there is no GPU; what it then tells says nothing of GPUs.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import yaml
from figures import ROUNDS, Figure, in_turn, machine, one_of, ratios, seconds, tell, unlimited
from training import NAIVE, NETWORKS, SIZE, Network, call, make_cohort, time_of_epoch

from hnscc.base.cores import cores
from hnscc.study.loading import load_study
from hnscc.study.run_folder import RunFolder
from hnscc.training.devices import resolve_device
from hnscc.training.ready import make_run_ready
from hnscc.training.records import Trained, read_record

PARTS = ("bits", "alone", "packed", "study")
PAPER = Path(__file__).parent.parent / "studies" / "paper.yaml"
FASTER_ALONE, FASTER_PACKED, STUDY_MINUTES = 5.0, 2.5, 15.0
BITS_EPOCHS = 2


@dataclass(frozen=True)
class Bench:
    """What is trained, and where. name: of the network. folder: temporary. at_once: the most trainings at once. epochs:
    of the shorter and of the longer training whose times are compared."""

    name: str
    store: Path
    folder: Path
    device: str
    at_once: int
    epochs: tuple[int, int]
    rounds: int

    def study(self, epochs: int) -> Path:
        """Write a study file whose trainings never stop early, and return it."""
        training = {"network": self.network.settings, "batch_size": self.network.batch_size, "epochs": epochs}
        study = {
            "name": "gpu",
            "store": str(self.store),
            "repeats": max(2, self.at_once),
            "split": {"test": 0.2, "validation": 0.2},
            "training": training | {"patience": epochs, "device": self.device},
            "variants": {"pet_mri": {"modalities": ["pet", "mri"], "augmentation": {"copies": "fresh"}}},
        }
        path = self.folder / f"{epochs}-epochs.yaml"
        path.write_text(yaml.safe_dump(study, sort_keys=False))
        return path

    def training(self, out: Path, epochs: int, repeats: Sequence[int], by_turns: int = 1) -> list[str]:
        """Return the command of one process that trains these repeats."""
        trials = [f"pet_mri-f0-r{each:02d}" for each in repeats]
        command = [sys.executable, "-m", "hnscc.train", str(self.study(epochs)), *trials]
        return [*command, "--out", str(out), "--side-by-side", str(by_turns)]

    def at_once_for(self, count: int, epochs: int) -> float:
        """Return the seconds of `count` trainings at once, each by a process of its own."""
        with tempfile.TemporaryDirectory(dir=self.folder) as out:
            self._prepare(Path(out), epochs)
            commands = [self.training(Path(out), epochs, [repeat]) for repeat in range(count)]
            return seconds(partial(all_at_once, commands))

    def _prepare(self, out: Path, epochs: int) -> None:
        """Write the run folder, so that no process waits while another one does."""
        make_run_ready(load_study(self.study(epochs)), out)

    def per_epoch(self, count: int) -> float:
        """Return the seconds of an epoch of each of `count` trainings at once, divided by their number."""
        return time_of_epoch(partial(self.at_once_for, count), self.epochs) / count

    def naive_per_epoch(self, workers: int, precision: str) -> float:
        """Return the seconds of an epoch of the researcher's script."""
        fold = self.folder / "fold"
        self._prepare(fold, 1)
        options = ["--network", self.name, "--workers", str(workers), "--precision", precision]
        command = [sys.executable, str(NAIVE), str(self.store), str(fold), *options]
        command += ["--device", self.device, "--out", str(self.folder / "naive.npz")]

        def run(epochs: int) -> float:
            return seconds(lambda: call([*command, "--epochs", str(epochs)], self.folder))

        return time_of_epoch(run, self.epochs)

    @property
    def network(self) -> Network:
        return NETWORKS[self.name]

    @property
    def where(self) -> str:
        return torch.cuda.get_device_name() if self.device == "cuda" else "no GPU, a rehearsal"


def all_at_once(commands: Sequence[Sequence[str]]) -> None:
    """Run the commands at once, to their ends."""
    processes = [
        subprocess.Popen(each, env=unlimited(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for each in commands
    ]
    said = [process.communicate()[1] for process in processes]
    if failed := [text for process, text in zip(processes, said, strict=True) if process.returncode]:
        sys.exit(f"{len(failed)} of {len(commands)} trainings failed:\n{failed[0]}")


def left_by(run: Path) -> list[list[str]]:
    """Return the digests of the weights, predictions and scores of each training of a run folder."""
    run_folder, left = RunFolder(run), []
    for each in run_folder.recorded:
        folder = run_folder.trial(each.trial_id)
        record = read_record(folder)
        if isinstance(record, Trained):
            left.append(
                [record.files[path.name] for path in (folder.weights, folder.predictions, folder.scores)]
            )
    return left


def share_alike(one: Path, other: Path) -> float:
    """Return the share of trainings that have left the same files in both run folders."""
    pairs = list(zip(left_by(one), left_by(other), strict=True))
    return sum(a == b for a, b in pairs) / len(pairs)


def measure_bits(bench: Bench) -> None:
    repeats = range(max(2, bench.at_once))
    after, beside, turns = (bench.folder / f"{bench.name}-{name}" for name in ("a", "b", "c"))
    for each in repeats:
        all_at_once([bench.training(after, BITS_EPOCHS, [each])])
    all_at_once([bench.training(beside, BITS_EPOCHS, [each]) for each in repeats])
    all_at_once([bench.training(turns, BITS_EPOCHS, repeats, len(repeats))])
    equal = [share_alike(after, run) for run in (beside, turns)]
    tell(
        Figure(
            f"GPU, {bench.network.title}: share of trainings beside others that leave the files that they leave alone",
            1.0,
            (min(equal),),
            "of them",
            f"{bench.where}; {len(repeats)} trainings of {BITS_EPOCHS} epochs: {equal[0]:.0%} in processes of their "
            f"own, {equal[1]:.0%} by turns in one process",
        )
    )


def measure_alone(bench: Bench) -> None:
    precision = resolve_device(load_study(bench.study(1)).variants["pet_mri"].training)[1]
    counts = [count for count in (0, 2, 8) if count <= cores()]
    theirs = {count: bench.naive_per_epoch(count, precision) for count in counts}
    workers = min(theirs, key=lambda count: theirs[count])
    naive, ours = in_turn(
        lambda: bench.naive_per_epoch(workers, precision), lambda: bench.per_epoch(1), rounds=bench.rounds
    )
    tell(
        Figure(
            f"GPU, {bench.network.title}: one training against eager PyTorch with a DataLoader",
            FASTER_ALONE,
            ratios(naive, ours),
            "x",
            f"{bench.where}, {precision}; an epoch takes {min(ours):.3f} s against {min(naive):.3f} s with {workers} "
            "workers",
        )
    )


def measure_packed(bench: Bench) -> None:
    counts = [count for count in (1, 2, 4, 8, 16) if count <= bench.at_once]
    took = in_turn(*(partial(bench.per_epoch, count) for count in counts), rounds=bench.rounds)
    fastest = min(range(len(counts)), key=lambda i: statistics.median(took[i]))
    each = ", ".join(f"{min(took[i]):.3f} s with {count}" for i, count in enumerate(counts))
    tell(
        Figure(
            f"GPU, {bench.network.title}: trainings per hour of several at once against one after another",
            FASTER_PACKED,
            ratios(took[0], took[fastest]),
            "x",
            f"{bench.where}; {counts[fastest]} processes; an epoch, divided by how many ran at once: {each}",
        )
    )


def measure_study(folder: Path, store: Path) -> None:
    """Time the paper's study as a user runs it, Ray's start and the tables included."""
    study = yaml.safe_load(PAPER.read_text()) | {"store": str(store)}
    path = folder / "paper.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    command = [sys.executable, "-m", "rayjobs.study", str(path), "--out", str(folder / "paper-run")]
    minutes = seconds(lambda: call(command, folder)) / 60
    detail = "studies/paper.yaml, 4 variants of 50 repeats"
    tell(Figure("GPU: the paper's study", STUDY_MINUTES, (minutes,), "minutes", detail, at_most=True))


MEASURED = {"bits": measure_bits, "alone": measure_alone, "packed": measure_packed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", type=one_of(PARTS), help=f"of {', '.join(PARTS)}; all unless given"
    )
    parser.add_argument("--network", action="append", choices=list(NETWORKS), help="default: both")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--epochs", type=int, nargs=2, default=(2, 42), help="shorter and longer trainings'")
    parser.add_argument("--store", type=Path, help="instead of a phantom cohort")
    parser.add_argument("--patients", type=int, default=44, help="of the phantom cohort, 12 or more")
    parser.add_argument("--size", type=int, default=SIZE, help="pixels a side of its slices")
    parser.add_argument("--at-once", type=int, default=min(16, cores()), help="the most trainings at once")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    options = parser.parse_args()
    parts = options.parts or PARTS
    if options.device == "cuda" and not torch.cuda.is_available():
        print("skipped: PyTorch can use no GPU here")
        return
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as temporary:
        folder = Path(temporary)
        store = options.store or folder / "cohort.zarr"
        if not options.store:
            make_cohort(folder, options.patients, options.size)
        for name in options.network or NETWORKS:
            where = store.absolute(), folder, options.device
            bench = Bench(name, *where, options.at_once, tuple(options.epochs), options.rounds)
            for part in MEASURED:
                if part in parts:
                    MEASURED[part](bench)
        if "study" in parts:
            measure_study(folder, store.absolute())


if __name__ == "__main__":
    main()
