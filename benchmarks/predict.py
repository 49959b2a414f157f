"""`hnscc predict`: scans in a minute, from their files to the masks, lesion lists and pictures on disk.

    python benchmarks/predict.py [--scans N]

The scans are phantoms of 60 slices on grids of 128 x 128, and then on grids of clinical dimensions
(benchmarks/prepare.py: an MRI of 512 x 512 x 60, a PET of 200 x 200 x 80); the network sees 60 slices of 128 x 128 of
both. It is the demo's (studies/demo.yaml), trained on a small phantom cohort. Lesions that it finds take time to
measure, so their number is told too. Each round predicts all scans, and one of them alone: the time is that of every
scan after the first, which leaves out reading the weights.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))

import yaml
from figures import ROUNDS, Figure, tell
from prepare import MRI_SHAPE, MRI_SPACING, PET_SHAPE, PET_SPACING, Grid, make_scan, write
from prepare_in_a_loop import SIZE
from trained_runs import train_to_tables

import hnscc
from data_prep.build import build_store
from data_prep.phantom.phantom import make_phantom
from data_prep.settings import PrepareSettings
from hnscc.base.cores import cores
from hnscc.study.loading import parse_study
from hnscc.study.run_folder import RunFolder
from hnscc.training.ready import make_run_ready

DEMO = Path(__file__).parent.parent / "studies" / "demo.yaml"
PATIENTS, EPOCHS = 12, 15
SMALL = ((128, 128, 60), (1.8, 1.8, 3.0)), ((64, 64, 60), (4.0, 4.0, 4.0))
CLINICAL = (MRI_SHAPE, MRI_SPACING), (PET_SHAPE, PET_SPACING)


def trained(folder: Path) -> RunFolder:
    """Train the demo's study with PET-MRI alone, one repeat and few epochs, on slices of SIZE; return its
    run folder."""
    make_phantom(folder / "cohort", patients=PATIENTS)
    store = build_store(
        folder / "cohort" / "manifest.csv", folder / "cohort.zarr", PrepareSettings(size=SIZE)
    )
    settings = yaml.safe_load(DEMO.read_text()) | {"store": str(store.location), "repeats": 1}
    settings["variants"] = {"pet_mri": settings["variants"]["pet_mri"]}
    settings["training"] |= {"epochs": EPOCHS, "patience": EPOCHS}
    study = parse_study(settings)
    return train_to_tables(make_run_ready(study, folder / "run"))


def manifests(folder: Path, scans: int, grids: tuple[Grid, Grid]) -> tuple[Path, Path]:
    """Write two manifests without masks, of all scans and of the first alone. grids: of MRI and PET."""
    for number in range(scans):
        make_scan(folder, number, *grids)
    rows = [
        {"patient_id": f"P{number}", "scan_id": f"S{number}"}
        | {name: f"P{number}/visit1/{name}.nii.gz" for name in ("pet", "mri")}
        for number in range(scans)
    ]
    return write(folder / "all.csv", rows), write(folder / "one.csv", rows[:1])


def measure(run: RunFolder, folder: Path, scans: int, grids: tuple[Grid, Grid]) -> Figure:
    """Return how many scans on these grids (MRI, PET) are predicted in a minute."""
    every, one = manifests(folder / "new", scans, grids)
    per_minute, processor, lesions = [], [], 0
    for number in range(ROUNDS):
        took, busy = [], []
        for manifest in (every, one) if number % 2 else (one, every):
            began, used = time.perf_counter(), time.process_time()
            found = hnscc.predict(str(run.root), manifest, folder / "out", overwrite=True)
            took.append(time.perf_counter() - began)
            busy.append(time.process_time() - used)
            if manifest == every:
                lesions = sum(scan["lesions"] for scan in found.facts["scans"])
        per_minute.append(60 * (scans - 1) / abs(took[0] - took[1]))
        processor.append(abs(busy[0] - busy[1]) / (scans - 1))
    mri, pet = (" x ".join(map(str, shape)) for shape, _ in grids)
    return Figure(
        f"predict: scans of {mri}, the demo's network",
        20,
        tuple(per_minute),
        "scans a minute",
        f"{scans} scans of {mri} (MRI) and {pet} (PET) on {cores()} cores, {lesions} lesions found; "
        f"{statistics.median(processor):.2f} s of processor for a scan",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=5, help="predicted in each round, at least 2")
    scans = parser.parse_args().scans
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as name:
        run = trained(Path(name))
        for at, grids in enumerate((SMALL, CLINICAL)):
            tell(measure(run, Path(name) / str(at), scans, grids))


if __name__ == "__main__":
    main()
