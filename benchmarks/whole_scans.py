"""The tables of a study of whole scans, from completed trials on disk.

    python benchmarks/whole_scans.py [--rounds 3] [--repeats 50]

There are 4 variants x 50 repeats, and 26 scans of 60 slices of 128 x 128 pixels, of which 13 are tested. Every trial
has what trials leave: its probabilities, compressed, and the scores of its scans at 0.5 (`scores.json`). As always,
`write_tables` scores the median models at their own thresholds, on the stored slices and on the grids that the masks
were drawn on, which have 256 x 256 voxels (`--without-drawn` leaves these out, as with a store of an earlier version).
Only 12 models are made, and stand for all 200 in turn: what is read, checked and computed is the same.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))

import numpy as np
from figures import ROUNDS, Figure, tell
from run_folders import Slice, add_trial, small_study, write_run

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.folds import Fold, load_fold
from hnscc.base.encode import npz_bytes
from hnscc.base.files import read_sealed, sha256, write_bytes, write_sealed
from hnscc.base.steps import at_once
from hnscc.cohort.kept_of_store import PackedMask, packed
from hnscc.cohort.store_format import DrawnMask
from hnscc.scores.stored import scores_to_bytes, scoring_at_half
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.study.trials import Trial, trials_of

VARIANTS = ("pet", "mri", "pet_mri", "pet_mri_augmented")
SCANS = {"train": 2, "validation": 11, "test": 13}
SLICES, SIZE, MODELS = 60, 128, 12


def made_up_slices() -> list[Slice]:
    """Return slices of scans, of which every third has no lesion; the others hold one of 10 to 30 slices."""
    found = []
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    for split, scans in SCANS.items():
        for scan in range(scans):
            middle, half = rng.integers(20, 40), rng.integers(5, 15) if scan % 3 else 0
            top, left = rng.integers(30, 90, 2)
            for z in range(SLICES):
                near = max(0.0, 1 - ((z - middle) / half) ** 2) if half else 0.0
                disc = (y - top) ** 2 + (x - left) ** 2 < 150 * near
                found.append(Slice(split, f"{split}{scan:02d}", disc.astype(np.uint8), used=not z % 4))
    return found


def drawn(found: list[Slice]) -> dict[str, PackedMask]:
    """Return the masks of the scans that are scored whole, on voxels of which four are a stored pixel."""
    masks: dict[str, list[np.ndarray]] = {}
    for each in found:
        if each.split != "train":
            masks.setdefault(f"{each.patient}-a", []).append(each.mask.repeat(2, 0).repeat(2, 1) == 1)
    affine = tuple(tuple(row) for row in np.diag([-0.5, -0.5, 3.0, 1.0]).tolist())
    placement: dict[str, Any] = {"reference": "mri", "input_affine": affine}
    placement |= {"input_shape": [2 * SIZE, 2 * SIZE, SLICES]}
    placement |= {"input_axes": "LPS", "size": SIZE, "scale": [2.0, 2.0], "offset": [0.0, 0.0]}
    return {scan: packed(DrawnMask(np.stack(each), affine, "mri"), placement) for scan, each in masks.items()}


def predicted(masks: np.ndarray, seed: int) -> np.ndarray:
    """Return probabilities that are high where the truth is, moved by some pixels, and in places beside it."""
    rng = np.random.default_rng(seed)
    moved = np.roll(masks, rng.integers(-3, 4, 2), (1, 2)).astype(np.float32)
    beside = np.kron(rng.random((len(masks), 8, 8)) > 0.995, np.ones((1, 16, 16))).astype(np.float32)
    return np.round(np.clip(0.8 * moved + 0.6 * beside, 0, 1) * rng.uniform(0.8, 1) * 65535).astype(np.uint16)


def finish(run: RunFolder, study: Study, fold: Fold) -> None:
    """Write every trial of the study, as trials leave their folders."""
    tolerance_mm = study.evaluation.tolerance_mm
    models = []
    for seed in range(MODELS):
        probabilities = predicted(fold.masks, seed)
        scores = at_once(
            scoring_at_half(probabilities, fold.masks, fold.scan_rows, fold.spacing_mm, tolerance_mm)
        )
        models.append(
            (npz_bytes(probabilities=probabilities), scores_to_bytes(scores, fold.spacing_mm, tolerance_mm))
        )
    nothing = np.zeros((1, 1, 1), np.uint16)
    for number, trial in enumerate(trials_of(study)):
        add_trial(run, study, trial, nothing, others_digest=fold.others_digest)
        _replace(run, trial, *models[number % MODELS])


def _replace(run: RunFolder, trial: Trial, predictions: bytes, scores: bytes) -> None:
    folder = run.trial(trial.trial_id)
    record = read_sealed(folder.record)
    for path, content in ((folder.predictions, predictions), (folder.scores, scores)):
        write_bytes(path, content)
        record["files"][path.name] = sha256(content)
    write_sealed(folder.record, record)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--without-drawn", action="store_true")
    options = parser.parse_args()
    study = small_study(VARIANTS, repeats=options.repeats, evaluation={"cutoff_px": 9})
    with tempfile.TemporaryDirectory() as root:
        found = made_up_slices()
        run = write_run(Path(root), study, [found], None if options.without_drawn else drawn(found))
        finish(run, study, load_fold(run, 0))
        seconds, processor = [], []
        for _ in range(options.rounds):
            started, used = time.monotonic(), time.process_time()
            assert write_tables(run) == []
            seconds.append(time.monotonic() - started)
            processor.append(time.process_time() - used)
        trials = len(trials_of(study))
        detail = (
            f"{trials} trials, {SCANS['test']} test scans of {SLICES} slices, every metric; processor time "
            f"{min(processor):.0f} to {max(processor):.0f} s; {trials} x {_mib(run):.1f} MiB of predictions and scores"
        )
        tell(Figure("tables of whole scans", 60.0, tuple(seconds), "s", detail, at_most=True))


def _mib(run: RunFolder) -> float:
    folder = run.trial(Trial(VARIANTS[0], 0, 0).trial_id)
    return sum(len(path.read_bytes()) for path in (folder.predictions, folder.scores)) / 2**20


if __name__ == "__main__":
    main()
