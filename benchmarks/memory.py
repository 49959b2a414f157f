"""How much memory a trial takes beyond a worker that has only imported its libraries, and whether trials add up.

    python benchmarks/memory.py [--rounds 3] [--trials 6]

Each measurement is a fresh process, as Ray's workers are. It imports what they do, and so Ray Tune, which loads
pandas: else PyArrow would load pandas at the end of the first trial, and the second would start from more. Then it
makes a fold's slices (266 of training, 48 of validation, 58 of test, as the paper's study has of the phantom cohort;
all workers of a machine share one copy). The memory that is resident then is the worker's. It trains trials by
`steps_of_trial`. The peak is the kernel's VmHWM, which is reset before the first trial.

What is left is the peak of one trial, of two epochs with copies: 5, less the worker's memory; less weights, Adam's two
moments, gradients and best weights (each as large as the weights); less activations (what autograd saves in one step,
each storage once) and the largest single array that any operation of that step makes. Augmented copies of slices are
not subtracted: they count as part of what is left.

Growth is the peak of a process after several short trials, over its peak after the first. Beside it stands what is
in use on glibc's heap when a trial begins, which earlier trials kept. If the peak grows and this does not, the heap
is fragmented: small things that stay (kernels, Python's objects) leave holes into which the arrays of a step no
longer fit.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import ROUNDS, Figure, tell
from roofline import MODALITIES, SETTINGS, fit_of, slices, slices_of, study_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import rayjobs.worker  # noqa: F401 (Ray's workers import it)
from hnscc.base.split_names import SPLITS
from hnscc.cohort.fold import FoldData
from hnscc.cohort.slices import Pixels
from hnscc.study.run_folder import TrialFolder
from hnscc.study.trials import trials_of
from hnscc.training.devices import resolve_device
from hnscc.training.ready import Task
from hnscc.training.records import read_record
from hnscc.training.trial import steps_of_trial, train_epoch
from rayjobs.cluster import GLIBC

MB = 1e6
MOST_LEFT, MOST_GROWTH = 300, 1.05
COUNTS = (266, 48, 58)  # slices of each split
# For the growth, many trials are trained. All of them take the same memory for slices, so that few are enough.
FEW = (64, 32, 32)
EPOCHS = 2


# --- in the process that is measured


def fold_of(counts: tuple[int, ...]) -> FoldData:
    """Return a fold's data without a store. counts: slices of each split."""
    images, masks = slices(sum(counts))
    ends = np.cumsum([0, *counts]).tolist()
    rows = {split: slice(ends[i], ends[i + 1]) for i, split in enumerate(SPLITS)}
    keys = tuple(("scan", z) for z in range(len(images)))
    pixels = Pixels(MODALITIES, keys, images, masks)
    return FoldData(
        fold=0,
        pixels=pixels,
        at=np.arange(len(images)),
        rows=rows,
        bounds=dict.fromkeys(MODALITIES, (0.0, 1.0)),
        digest="benchmark",
    )


def train_here(name: str, counts: tuple[int, ...], copies: int, trials: int) -> dict[str, Any]:
    """Train so many trials in this process. Return bytes: of the worker before the first, the peak after each, and
    the parts."""
    settings = SETTINGS[name] | {"epochs": EPOCHS}
    study = study_of(settings, "auto", repeats=trials, augmentation={"copies": copies})
    device, precision = resolve_device(study.training)
    if settings["network"]["architecture"] != "paper":
        import hnscc.training.library  # noqa: F401 (build_network imports it for this network)
    data = fold_of(counts)
    gc.collect()
    worker, peaks, kept = status_bytes("VmRSS"), [], []
    forget_peak()
    for trial in trials_of(study):
        kept.append(heap_in_use())
        with tempfile.TemporaryDirectory() as root:
            folder = TrialFolder(Path(root) / trial.trial_id)
            for _ in steps_of_trial(Task(study, trial, data, folder, device, precision)):
                pass
            record = read_record(folder)
        if record is None or record.status != "completed":
            raise RuntimeError("the trial failed" if record else "the trial left no record")
        peaks.append(status_bytes("VmHWM"))
    return {
        "worker": worker,
        "peaks": peaks,
        "kept": kept,
        "precision": precision,
        **parts(SETTINGS[name], precision),
    }


def status_bytes(line: str) -> int:
    """Return VmRSS or VmHWM, in bytes, as the kernel states them of this process."""
    text = Path("/proc/self/status").read_text()
    return next(int(each.split()[1]) * 1024 for each in text.splitlines() if each.startswith(line))


class MallInfo(ctypes.Structure):
    """The result of `mallinfo2` of malloc.h; uordblks: bytes in use on the heap."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


def heap_in_use() -> int:
    tell_heap = ctypes.CDLL("libc.so.6").mallinfo2
    tell_heap.restype = MallInfo
    return int(tell_heap().uordblks)


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def parts(settings: dict[str, Any], precision: str) -> dict[str, int]:
    """Return the bytes of the weights, of the activations of a step, and of the largest array that the step makes."""
    fit = fit_of(settings, precision)
    weights = storages(fit.network.state_dict().values())
    with saved() as activations, Largest() as largest:  # type: ignore[no-untyped-call]
        train_epoch(fit, 1, slices_of(settings["batch_size"]))
    saved_bytes = sum(size for storage, size in storages(activations).items() if storage not in weights)
    return {"weights": sum(weights.values()), "activations": saved_bytes, "largest": largest.size}


@contextmanager
def saved() -> Iterator[list[torch.Tensor]]:
    """Give a list of the tensors that autograd saves in the `with` block. It keeps them, so that no two share
    an address."""
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def storages(tensors: Any) -> dict[int, int]:
    """Return the bytes of each storage behind these tensors, by its address."""
    return {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the size, in bytes, of the largest array that any operation returns."""

    size = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = operation(*args, **(kwargs or {}))
        made = [each for each in tree_leaves(out) if isinstance(each, torch.Tensor)]
        self.size = max([self.size, *storages(made).values()])
        return out


# --- in the process that asks


def measure(name: str, counts: tuple[int, ...], copies: int, trials: int) -> dict[str, Any]:
    """Return what `train_here` returns in a fresh process, with the environment that Ray's workers have on
    one machine."""
    task = json.dumps([name, counts, copies, trials])
    command = [sys.executable, __file__, "--here", task]
    done = subprocess.run(command, env=os.environ | GLIBC, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def report_left(name: str, measured: list[dict[str, Any]]) -> None:
    last = measured[-1]
    known = 5 * last["weights"] + last["activations"] + last["largest"]
    beyond = [each["peaks"][0] - each["worker"] for each in measured]
    tell(
        Figure(
            f"memory of a trial beyond worker, model, optimiser and activations: {name}",
            MOST_LEFT,
            tuple((each - known) / MB for each in beyond),
            "MB",
            f"{last['precision']}, batch {SETTINGS[name]['batch_size']}, copies: 5; {max(beyond) / MB:.0f} MB beyond "
            f"a worker of {last['worker'] / MB:.0f} MB (its fold's slices included), of which weights, gradients, "
            f"Adam and best weights {5 * last['weights'] / MB:.0f}, activations {last['activations'] / MB:.0f} and "
            f"the largest temporary {last['largest'] / MB:.0f}",
            at_most=True,
        )
    )


def report_growth(name: str, measured: list[dict[str, Any]]) -> None:
    first, last = ([each["peaks"][i] / MB for each in measured] for i in (0, -1))
    after_one, after_all = (max(each["kept"][i] for each in measured) / MB for i in (1, -1))
    tell(
        Figure(
            f"memory of a process after {len(measured[0]['peaks'])} trials over that after one: {name}",
            MOST_GROWTH,
            tuple(b / a for a, b in zip(first, last, strict=True)),
            "x",
            f"peak {max(first):.0f} MB after one trial, {max(last):.0f} MB after all, libraries included; in "
            f"use on the heap when the second trial began {after_one:.0f} MB, when the last one did {after_all:.0f} MB",
            at_most=True,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--trials", type=int, default=6, help="trials after one another in a process")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(train_here(*json.loads(options.here))))
        return
    # Nothing here depends on time, so that as many run at once as there are cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name in SETTINGS:
            one = [pool.submit(measure, name, COUNTS, 5, 1) for _ in range(options.rounds)]
            many = [pool.submit(measure, name, FEW, 0, options.trials) for _ in range(options.rounds)]
            report_left(name, [each.result() for each in one])
            report_growth(name, [each.result() for each in many])


if __name__ == "__main__":
    main()
