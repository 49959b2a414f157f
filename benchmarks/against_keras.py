"""The paper's network on this machine's cores: our studies against its recipe in Keras.

    python benchmarks/against_keras.py [--rounds 3]

Keras trains on all cores (benchmarks/keras_recipe.py, in `.venv-keras`, which is made here if it is absent); ours is a
study with one training for each core. Both have the same slices (the fold of a phantom cohort, 128 x 128, PET and MRI,
without augmentation), the same batches, and validation after every epoch. The time of Keras is that between the ends of
its first and last epoch. Our time is that of a run of many epochs less that of a run of few epochs. Both are divided by
the number of trainings and epochs. The recipe's own precision is float32; Keras's mixed_bfloat16 is measured too.

The file is not called keras.py, since scripts in this folder would then import it in place of Keras.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from figures import ROUNDS, Figure, in_turn, machine, ratios, tell
from training import NETWORKS, Bench, call, make_cohort

from hnscc.base.cores import cores

RECIPE = Path(__file__).with_name("keras_recipe.py")
ENVIRONMENT = Path(__file__).parents[1] / ".venv-keras"
DATA = "data.npz"
TENSORFLOW = "tensorflow-cpu==2.21.0"


def make_environment() -> Path:
    """Make the environment if it is absent, and return its Python. The file `current` is written last, so that an
    installation that was cut short begins again."""
    python, current = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "current"
    if not current.is_file() or current.read_text() != TENSORFLOW:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        print(f"installing {TENSORFLOW} into {ENVIRONMENT.name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", TENSORFLOW], check=True)
        current.write_text(TENSORFLOW)
    return python


def write_data(bench: Bench) -> dict[str, int]:
    """Write the fold's slices as the recipe reads them, and return how many each split has."""
    fold = bench.fold()
    arrays: dict[str, np.ndarray] = {}
    slices: dict[str, int] = {}
    for split in ("train", "validation"):
        arrays[f"{split}_images"] = fold.images[fold.rows[split]].transpose(0, 2, 3, 1)
        arrays[f"{split}_masks"] = fold.masks[fold.rows[split]]
        slices[split] = len(arrays[f"{split}_masks"])
    np.savez(bench.folder / DATA, allow_pickle=False, **arrays)
    return slices


def keras(bench: Bench, python: Path, policy: str) -> float:
    """Return the seconds per epoch of a training on all cores."""
    command = [str(python), str(RECIPE), str(bench.folder / DATA), "--policy", policy]
    told = call([*command, "--epochs", str(bench.epochs[1])], bench.folder)
    return float(json.loads(told)["seconds_per_epoch"])


def measure(bench: Bench, python: Path, rounds: int) -> None:
    slices = write_data(bench)
    pairs = [("fp32", "float32")]
    if bench.best_precision() == "bf16":
        pairs.append(("bf16", "mixed_bfloat16"))
    else:
        print("skipped: our best precision, for this processor does not compute in bf16")
    sides = {policy: lambda policy=policy: keras(bench, python, policy) for _, policy in pairs}
    sides |= {precision: lambda precision=precision: bench.ours(precision) for precision, _ in pairs}
    took = dict(zip(sides, in_turn(*sides.values(), rounds=rounds), strict=True))
    wanted = [("our best precision", 2.0, "bf16", "float32")] if "bf16" in took else []
    wanted += [("equal precision", 1.0, precision, policy) for precision, policy in pairs]
    for what, target, precision, policy in wanted:
        each = [slices["train"] / statistics.median(took[side]) for side in (precision, policy)]
        tell(
            Figure(
                f"CPU training, the paper's network: trainings per hour against its Keras recipe, {what} "
                f"({precision} against {policy})",
                target,
                ratios(took[policy], took[precision]),
                "x",
                f"{each[0]:.1f} against {each[1]:.1f} slices per second of training on {cores()} cores; "
                f"{slices['train']} slices and {slices['validation']} for validation; {TENSORFLOW}",
            )
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--epochs", type=int, nargs=2, default=(1, 8), help="of the shorter and the longer run"
    )
    parser.add_argument("--patients", type=int, default=12, help="of the phantom cohort, 12 or more")
    options = parser.parse_args()
    print(machine(), flush=True)
    python = make_environment()
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as folder:
        make_cohort(Path(folder), options.patients)
        measure(
            Bench(Path(folder), NETWORKS["paper"], tuple(options.epochs), {"copies": 0}),
            python,
            options.rounds,
        )


if __name__ == "__main__":
    main()
