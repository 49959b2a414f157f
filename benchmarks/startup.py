"""From `hnscc run` to the first training step, and from the last one to the end, against an earlier checkout.

    python benchmarks/startup.py [--before CHECKOUT] [--rounds 3]

The study has two variants x two repeats of one epoch, on a phantom cohort of 12 patients, with slices of 64 x 64 and a
resnet18 Unet. The first step began when the first record was written, less the seconds that the record states for
training and prediction; the last one ended when the last record was written, and the command when its process did. Both
sides run in turn, each with its own code and the libraries of this Python; without an earlier checkout ours runs alone.
Ray gives its workers a low priority by default; here they get the usual one, so that other work on the machine slows
both sides alike.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from figures import ROUNDS, Figure, in_turn, tell

from data_prep.build import build_store
from data_prep.phantom.phantom import make_phantom
from data_prep.settings import PrepareSettings
from hnscc.study.run_folder import STUDY_FILE, RunFolder

HERE = Path(__file__).parent.parent
COMMAND = "import sys; sys.argv[0] = 'hnscc'; from hnscc.commands.cli import main; main()"
STUDY = {
    "name": "startup",
    "protocol": "corrected",
    "repeats": 2,
    "split": {"test": 0.4, "validation": 0.3},
    "training": {
        "network": {"architecture": "unet", "encoder": "resnet18"},
        "epochs": 1,
        "patience": 1,
        "batch_size": 8,
    },
    "variants": {"pet": {"modalities": ["pet"]}, "pet_mri": {"modalities": ["pet", "mri"]}},
}


def study_on_a_phantom(folder: Path) -> Path:
    """Write a study's file beside its store, and return it."""
    make_phantom(folder / "cohort", patients=12)
    store = build_store(folder / "cohort" / "manifest.csv", folder / "store.zarr", PrepareSettings(size=64))
    file = folder / STUDY_FILE
    file.write_text(yaml.safe_dump(STUDY | {"store": str(store.location)}))
    return file


def run(checkout: Path, study: Path) -> tuple[float, float]:
    """Return the seconds to the first training step, and from the last one to the command's end."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "RAY_worker_niceness": "0"}
    with tempfile.TemporaryDirectory(dir=study.parent) as out:
        began = time.time()
        command = [sys.executable, "-c", COMMAND, "run", str(study), "--out", out]
        subprocess.run(command, env=environment, cwd=study.parent, check=True, capture_output=True)
        ended = time.time()
        records = [Path(str(trial.record)) for trial in RunFolder(Path(out)).recorded]
        first = min(each.stat().st_mtime - _seconds(each) for each in records)
        last = max(each.stat().st_mtime for each in records)
        return first - began, ended - last


def _seconds(record: Path) -> float:
    return float(json.loads(record.read_text())["seconds"])


def measure(checkouts: list[Path], study: Path, rounds: int) -> None:
    both: dict[Path, list[tuple[float, float]]] = {checkout: [] for checkout in checkouts}

    def side(checkout: Path) -> float:
        both[checkout].append(run(checkout, study))
        return both[checkout][-1][0]

    in_turn(*(lambda checkout=each: side(checkout) for each in checkouts), rounds=rounds)
    for at, what in enumerate(
        ("from `hnscc run` to the first training step", "from the last step to the end")
    ):
        ours, *before = ([found[at] for found in both[each]] for each in checkouts)
        seconds = f"{statistics.median(ours):.1f} s"
        if before:
            values = tuple(old / new for old, new in zip(before[0], ours, strict=True))
            detail = f"{statistics.median(before[0]):.1f} s before, {seconds} now"
            tell(Figure(f"{what}: before against now", 2.0, values, "x", detail))
        else:
            tell(Figure(what, 15.0 if at == 0 else 8.0, tuple(ours), "s", seconds, at_most=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="an earlier checkout of this repository")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as folder:
        checkouts = [HERE, *([options.before.resolve()] if options.before else [])]
        measure(checkouts, study_on_a_phantom(Path(folder)), options.rounds)


if __name__ == "__main__":
    main()
