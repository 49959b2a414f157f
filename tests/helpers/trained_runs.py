"""A study trained to its end on scans that were prepared from files: what predicting new scans needs."""

from pathlib import Path

import numpy as np
from scans import prepare, save, write
from stores import study_of
from trials import train_trial

from hnscc.aggregation.build import write_tables
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of
from hnscc.training.ready import ReadyRun, make_run_ready

SIDE, DEPTH = 16, 4
# The grid lies as stored slices do, with pixels of 1 mm, so that the store holds the files' values voxel by voxel.
UPRIGHT = np.diag([-1.0, -1.0, 3.0, 1.0])


def scan_of(seed: int) -> dict[str, np.ndarray]:
    """Return volumes (x, y, z) of one scan: a lesion that is hot in PET and faint in MRI; every third has none."""
    random = np.random.default_rng(seed)
    mask = np.zeros((SIDE, SIDE, DEPTH), np.uint8)
    if seed % 3:
        x, y = random.integers(2, SIDE - 7, 2)
        mask[x : x + 5, y : y + 4, 1:] = 1
    noise = random.normal(1.0, 0.2, (2, *mask.shape)).astype(np.float32)
    return {"pet": noise[0] + 4 * mask, "mri": 100 * (noise[1] + 0.5 * mask), "mask": mask}


def write_scans(folder: Path, scans: dict[str, dict[str, np.ndarray]], affine: np.ndarray = UPRIGHT) -> Path:
    """Write the volumes of each scan as NIfTI, and a manifest with a column for each."""
    columns = list(next(iter(scans.values())))
    rows = [["patient_id", "scan_id", *columns]]
    for name, volumes in scans.items():
        for column, data in volumes.items():
            write(folder / name / f"{column}.nii.gz", data, affine)
        rows.append([name.upper(), name, *(f"{name}/{column}.nii.gz" for column in columns)])
    return save(folder, rows)


def trained_run(folder: Path, *, patients: int = 12, folds: int = 2, repeats: int = 2) -> RunFolder:
    """Train two variants for a few epochs; folder/cohort/manifest.csv lists the scans p00, p01, ... of the study."""
    scans = {f"p{number:02d}": scan_of(number) for number in range(patients)}
    manifest = write_scans(folder / "cohort", scans)
    store = prepare(manifest, folder / "cohort.zarr", size=SIDE, workers=1)
    settings = {"repeats": repeats, "split": {"folds": folds, "validation": 0.34}}
    study = study_of(store.location, **settings, training={"epochs": 6, "patience": 6, "learning_rate": 0.02})
    return train_to_tables(make_run_ready(study, folder / "run"))


def train_to_tables(ready: ReadyRun) -> RunFolder:
    """Train every trial of the study in this process, on the processor, one after another; then write the tables."""
    for trial in trials_of(ready.study):
        where, data = ready.folder.trial(trial.trial_id), ready.folds[trial.fold]
        list(train_trial(ready.study, trial, data, where, device="cpu", precision="fp32"))
    write_tables(ready.folder)
    return ready.folder
