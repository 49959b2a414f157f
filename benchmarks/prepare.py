"""`hnscc prepare` on all cores against nibabel and SciPy in a plain loop; and how much memory its workers take.

    python benchmarks/prepare.py [--scans N]

The cohort has clinical dimensions: phantoms (data_prep.phantom.phantom) on an MR grid of 512 x 512 x 60 and a PET grid
of 200 x 200 x 80, tilted against each other, with noise. Where the real cohort is at hand (HNSCC_STS, else
../shared/data/sts), it is prepared too. Both sides do the same work: they resample PET linearly on the MR grid, resize
both with anti-aliasing to 128 x 128 and the mask by area, and write all with Zarr. Our time per scan is that of 3 n
scans less that of n scans, which leaves out the start of our processes; the loop starts none, and its time is that of n
scans. A worker's memory is its peak resident set as the kernel states it.
"""

import argparse
import csv
import gzip
import os
import shutil
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import zarr
from figures import Figure, in_turn, ratios, seconds, tell
from measure import children
from prepare_in_a_loop import SIZE, plain_loop, resample

from data_prep.build import build_store
from data_prep.phantom import phantom
from data_prep.settings import PrepareSettings
from data_prep.workers import worker_pool
from hnscc.base.cores import cores
from hnscc.base.seeds import generator

MRI_SHAPE, MRI_SPACING = (512, 512, 60), (0.7, 0.7, 3.0)
PET_SHAPE, PET_SPACING = (200, 200, 80), (4.0, 4.0, 4.0)
Grid = tuple[tuple[int, int, int], tuple[float, float, float]]
# How far the two sides' images may differ, on average over a modality, as a share of its largest value. One is filtered
# by a triangle, the other by a Gaussian of the same variance, so that they differ a little at sharp borders.
MAX_APART = 0.005
# The phantoms' lesions are a few hundred stored pixels. Pixels that are half covered, to seven digits, may differ.
MIN_DICE = 0.95


@dataclass(frozen=True)
class Cohort:
    """A manifest of 3 n scans, and one of the first n of them."""

    small: Path
    large: Path
    scans: tuple[int, int]


# --- the cohorts


def clinical_cohort(folder: Path, scans: int) -> Cohort:
    """Make a cohort of different phantoms, all with lesion, on grids of clinical dimensions."""
    with worker_pool(cores()) as pool:
        list(pool.map(make_scan, [folder] * scans * 3, range(scans * 3)))
    rows = [
        {"patient_id": f"P{number}", "scan_id": f"S{number}"}
        | {name: f"P{number}/visit1/{name}.nii.gz" for name in ("pet", "mri", "mask")}
        for number in range(scans * 3)
    ]
    return cohort(folder, rows, scans, scans * 3)


def make_scan(
    folder: Path, number: int, mri: Grid = (MRI_SHAPE, MRI_SPACING), pet: Grid = (PET_SHAPE, PET_SPACING)
) -> None:
    """Make a phantom's scan on grids of these shapes and spacings (mm)."""
    scan = phantom.MadeUpScan(f"P{number}", 1, True)
    phantom.make_scan(scan, folder, seed=2023)
    rng = generator(2023, "clinical", number)
    for name, (shape, spacing) in (("mri", mri), ("mask", mri), ("pet", pet)):
        enlarge(folder / scan.folder / f"{name}.nii.gz", shape, spacing, rng)


def enlarge(path: Path, shape: tuple[int, ...], spacing: tuple[float, ...], rng: np.random.Generator) -> None:
    """Resample the volume on a larger and finer grid around the same centre, and add noise of 3 % to images."""
    image: Any = nib.load(path)
    axes = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0) @ np.diag(spacing)
    centre = nib.affines.apply_affine(image.affine, (np.array(image.shape) - 1) / 2)
    affine = nib.affines.from_matvec(axes, centre - axes @ ((np.array(shape) - 1) / 2))
    stored = np.asarray(image.dataobj.get_unscaled(), np.float32)
    data = resample(stored, image.affine, shape, affine)
    if data.max() > 1:
        data *= 1 + 0.03 * rng.standard_normal(shape, np.float32)
        data += 0.005 * stored.max() * np.abs(rng.standard_normal(shape, np.float32))
    header = image.header.copy()
    made = nib.Nifti1Image(np.rint(data).astype(image.get_data_dtype()), affine, header)
    made.header.set_slope_inter(float(image.dataobj.slope), 0)
    path.write_bytes(gzip.compress(made.to_bytes(), compresslevel=5))


def real_cohort(folder: Path) -> Cohort | str:
    """Return the cohort of the real scans, n being a third of them; or why it is not there."""
    home = Path(os.environ.get("HNSCC_STS", Path(__file__).parents[2] / "shared" / "data" / "sts"))
    if not (home / "manifest.csv").exists():
        return "the soft-tissue sarcoma data is not here (set HNSCC_STS to its folder)"
    rows = list(csv.DictReader((home / "manifest.csv").read_text().splitlines()))
    for row in rows:
        row |= {name: str((home / row[name]).resolve()) for name in ("pet", "mri", "mask") if row[name]}
    return cohort(folder, rows, len(rows) // 3, len(rows) // 3 * 3)


def cohort(folder: Path, rows: list[dict[str, str]], small: int, large: int) -> Cohort:
    folder.mkdir(parents=True, exist_ok=True)
    return Cohort(
        write(folder / "small.csv", rows[:small]), write(folder / "large.csv", rows[:large]), (small, large)
    )


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


# --- measuring


def check_same(cohort: Cohort, folder: Path) -> str:
    """Check that both sides' slices of the smaller cohort are nearly the same, and return how nearly, in words."""
    store = build_store(cohort.small, folder / "ours.zarr", PrepareSettings(size=SIZE))
    plain_loop(cohort.small, folder / "theirs")
    apart, dice = [], []
    for scan in store.scans:
        images, mask = store.read(scan.scan_id)
        theirs = folder / "theirs" / scan.scan_id
        others, drawn = (np.asarray(zarr.load(theirs / name)) for name in ("images", "mask"))
        apart += list(np.abs(images - others).mean(axis=(0, 2, 3)) / images.max(axis=(0, 2, 3)))
        dice.append(2 * np.sum(mask & drawn) / (mask.sum() + drawn.sum()))
    assert max(apart) < MAX_APART, apart
    assert min(dice) > MIN_DICE, dice
    return (
        f"images {max(apart):.2%} of their largest value apart at most, masks' Dice {min(dice):.4f} at least"
    )


def measure(cohort: Cohort, folder: Path) -> tuple[list[tuple[float, ...]], list[list[int]]]:
    """Return, for each round, seconds per scan of the loop and of ours; and a worker's peak memory in KiB, at n and at
    3 n scans."""
    peaks: list[list[int]] = [[], []]
    again = PrepareSettings(size=SIZE, overwrite=True)

    def loop() -> float:
        shutil.rmtree(folder / "theirs")
        return seconds(lambda: plain_loop(cohort.small, folder / "theirs"))

    def ours(manifest: Path, peaks: list[int]) -> float:
        with workers_watched() as peak:
            took = seconds(lambda: build_store(manifest, folder / "ours.zarr", again))
        peaks.append(max(peak.values()))
        return took

    small, large = cohort.scans
    theirs, begun, ended = in_turn(
        loop, lambda: ours(cohort.small, peaks[0]), lambda: ours(cohort.large, peaks[1])
    )
    per_scan = [(long - short) / (large - small) for short, long in zip(begun, ended, strict=True)]
    return [tuple(took / small for took in theirs), tuple(per_scan)], peaks


@contextmanager
def workers_watched() -> Iterator[dict[int, int]]:
    """Give the peak resident memory in KiB, by its id, of every process that this one starts in the `with` block."""
    peak: dict[int, int] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            with suppress(FileNotFoundError, ProcessLookupError):  # one ended after it was listed
                for pid in children(os.getpid())[1:]:
                    # The last value counts: a child that has not yet begun its own program shows its parent's peak,
                    # and one that has ended shows none.
                    peak[pid] = peak_kib(pid) or peak.get(pid, 0)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def report(name: str, cohort: Cohort, folder: Path) -> list[list[int]]:
    """Tell the figure of speed, and return the peaks of `measure`."""
    same = check_same(cohort, folder)
    (theirs, ours), peaks = measure(cohort, folder)
    per_second = [1 / statistics.median(side) for side in (ours, theirs)]
    tell(
        Figure(
            f"prepare, {name}: scans per second against nibabel and SciPy in a plain loop",
            2,
            ratios(theirs, ours),
            "x",
            f"{per_second[0]:.2f} against {per_second[1]:.2f} scans per second on {cores()} cores; {same}",
        )
    )
    return peaks


def report_memory(cohort: Cohort, peaks: list[list[int]]) -> None:
    few, many = peaks
    small, large = cohort.scans
    tell(
        Figure(
            f"prepare: peak memory of a worker at {large} scans over that at {small} scans of the same size",
            1.1,
            ratios(many, few),
            "x",
            f"{max(few) / 1024:.0f} MiB and {max(many) / 1024:.0f} MiB at most",
            at_most=True,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=2 * cores(), help="n, at least one for each core")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as name:
        folder = Path(name)
        clinical = clinical_cohort(folder / "clinical", arguments.scans)
        report_memory(clinical, report("scans of 512 x 512 x 60", clinical, folder / "clinical"))
        real = real_cohort(folder / "real")
        if isinstance(real, Cohort):
            report("real cohort", real, folder / "real")
        else:
            print(f"skipped: {real}")


if __name__ == "__main__":
    main()
