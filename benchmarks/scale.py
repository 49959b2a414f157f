"""How the driving process's time and memory grow with the number of trials, which do nothing here, and of slices.

    python benchmarks/scale.py [--trials 200 2000 20000] [--slices 10000 100000 1000000]

Trials: Tune schedules them as in a study (`rayjobs.scheduling.train_trials`), but they write nothing. Slices: a run
folder is made ready, as `hnscc run` does before the first trial: splits, every sampled slice read, bounds, folds
written. Their store has two modalities of 32 x 32 and scans of 100 slices; half of the scans have lesion, in ten
slices. Slices are nearly empty, so that files are small and the time is that of slices, not of a disk.

The time is that of the process's processor; each number is measured in a process of its own. Ten times as many may take
ten times as long. The ratio compares the seconds of one at both ends: where it is above 1, something grows faster.
"""

import argparse
import contextlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import Figure, tell

if TYPE_CHECKING:
    from hnscc.cohort.store_format import Scan

TRIALS = (200, 2_000, 20_000)
SLICES = (10_000, 100_000, 1_000_000)
OF_SCAN, LESION, SIZE = 100, 10, 32
IDENTITY = tuple(tuple(float(row == column) for column in range(4)) for row in range(4))
SHARE = 1.2  # the ratio of times that linear growth may have, with what chance adds


def measure(what: str, number: int, *arguments: str) -> dict[str, float]:
    """Return processor seconds, wall-clock seconds and peak MiB of memory, measured in a process of its own."""
    command = [sys.executable, __file__, "--alone", what, str(number), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def schedule(trials: int) -> dict[str, float]:
    """Have Tune schedule so many trials in this process."""
    from overhead import NoOpWorker, no_op_run
    from startup import study_on_a_phantom

    import rayjobs.scheduling
    from hnscc.study.loading import load_study
    from hnscc.study.trials import trials_of
    from hnscc.training.ready import make_run_ready
    from rayjobs.cluster import connected

    scheduling: Any = rayjobs.scheduling
    scheduling.TrialWorker = NoOpWorker
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as folder:
        run = make_run_ready(load_study(study_on_a_phantom(Path(folder))), Path(folder) / "run")
        no_op = no_op_run(run, Path(folder) / "no_op", trials, 1)
        todo = list(trials_of(no_op.study))
        with connected(None), contextlib.redirect_stdout(io.StringIO()), timed() as took:
            scheduling.train_trials(no_op, todo, None, all_trials=todo, left=todo, pause_after={})
    return took


def build(slices: int, store: str) -> dict[str, float]:
    """Write a store of so many slices: one scan without lesion and one with, and copies under other names."""
    from hnscc.cohort.store_building import begin_store, finish_store
    from hnscc.cohort.store_format import scan_path

    unfinished = begin_store(Path(store), overwrite=False)
    with timed() as took:
        folder = unfinished.folder
        scans = [write_one(folder, "P000000", lesion=0), write_one(folder, "P000001", lesion=LESION)]
        for number in range(2, slices // OF_SCAN):
            like, name = scans[number % 2], f"P{number:06d}"
            shutil.copytree(folder / scan_path(like.scan_id), folder / scan_path(name))
            scans.append(replace(like, scan_id=name, patient_id=name))
        finish_store(unfinished, modalities=("pet", "mri"), size=SIZE, placed={}, scans=scans)
    return took


def write_one(folder: Path, name: str, lesion: int) -> "Scan":
    """Write a scan whose first `lesion` slices have a lesion: bright in pet; mri has a ramp."""
    import numpy as np

    from hnscc.cohort.store_building import write_scan
    from hnscc.cohort.store_format import ScanFacts

    mask = np.zeros((OF_SCAN, SIZE, SIZE), np.uint8)
    mask[:lesion, 8:16, 8:16] = 1
    ramp = np.broadcast_to(np.arange(SIZE), mask.shape)
    facts = ScanFacts(
        scan_id=name,
        patient_id=name,
        source_lesion_px=tuple(int(pixels) for pixels in mask.sum(axis=(1, 2))),
        spacing_mm=(1.0, 1.0, 1.0),
        affine=IDENTITY,
        placement={},
    )
    return write_scan(folder, np.stack([mask, ramp], axis=1).astype(np.float32), mask, facts)


def make_ready(slices: int, store: str) -> dict[str, float]:
    """Make the run folder of a study of that store ready."""
    from startup import STUDY

    from hnscc.study.loading import parse_study
    from hnscc.training.ready import make_run_ready

    study = parse_study(STUDY | {"store": store}, where=f"a study of {slices} slices")
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as folder, timed() as took:
        run = make_run_ready(study, Path(folder) / "run")
        took["used"] = sum(len(fold.scored_at) for fold in run.folds.values())
    return took


@contextlib.contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Give a mapping that is filled at the end of the `with` block with what this process took in it."""
    took: dict[str, float] = {}
    began, used = time.perf_counter(), time.process_time()
    yield took
    took |= {"cpu": time.process_time() - used, "clock": time.perf_counter() - began}
    # The peak of this process: getrusage would tell that of the process which started it.
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    took["mib"] = int(peak) / 1024


ALONE: dict[str, Callable[..., dict[str, float]]] = {"trials": schedule, "store": build, "slices": make_ready}


def scale_of_trials(numbers: Sequence[int]) -> None:
    tell_growth(
        "a trial that does nothing", "trials", {trials: measure("trials", trials) for trials in numbers}
    )


def scale_of_slices(numbers: Sequence[int]) -> None:
    found = {}
    for slices in numbers:
        with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as folder:
            store = str(Path(folder) / "store.zarr")
            measure("store", slices, store)
            found[slices] = measure("slices", slices, store)
    tell_growth("a slice, until the first trial", "slices", found)


def tell_growth(one: str, all_of: str, found: dict[int, dict[str, float]]) -> None:
    few, many = min(found), max(found)
    each = {number: took["cpu"] / number for number, took in found.items()}
    detail = "; ".join(
        f"{number:,} {all_of}"
        + (f" ({took['used']:,} used)" if "used" in took else "")
        + f": {took['cpu']:.1f} s of processor, {took['clock']:.0f} s, {took['mib']:,.0f} MiB"
        for number, took in found.items()
    )
    what = f"driving process: seconds of {one}, of {many:,} over of {few:,}"
    tell(Figure(what, SHARE, (each[many] / each[few],), "x", detail, at_most=True))
    what = f"driving process: its peak memory, with {many:,} {all_of} over with {few:,}"
    tell(Figure(what, many / few, (found[many]["mib"] / found[few]["mib"],), "x", detail, at_most=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="*", default=TRIALS)
    parser.add_argument("--slices", type=int, nargs="*", default=SLICES)
    parser.add_argument("--alone", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        what, number, *arguments = options.alone
        print(json.dumps(ALONE[what](int(number), *arguments)))
        return
    if options.trials:
        scale_of_trials(options.trials)
    if options.slices:
        scale_of_slices(options.slices)


if __name__ == "__main__":
    main()
