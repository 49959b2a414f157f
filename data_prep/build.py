"""From a manifest to a store: all scans or none, in parallel, and the same content for any number of workers."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.grids import same_grid
from data_prep.manifest import Row, read_manifest, refused
from data_prep.off_grid import off_grid
from data_prep.place import MIN_COVERAGE, place_scan
from data_prep.read import Grid, read_grid, read_volume
from hnscc.base.locations import locate
from hnscc.cohort.store import Store
from hnscc.cohort.store_building import begin_store, finish_store, write_scan
from hnscc.cohort.store_format import Progress, Scan


def prepare(
    manifest: str | Path,
    store: str | Path,
    *,
    size: int = 128,
    pixel_mm: float | None = None,
    reference: str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Store:
    """Read every scan of a manifest, place and resize it (data_prep.place), and write the store.

    size: stored slices are size x size. pixel_mm: their pixel size in mm; None keeps a scan's whole field of
    view. reference: the modality whose grid is used; None takes the one that the masks are drawn on (see
    `choose_reference`). workers: processes, None for one per core; each holds one scan at a time.

    InputError: the first refused row in the manifest's order; then no store, and nothing unfinished, is left.
    """
    _check_settings(size, pixel_mm, workers)
    rows = read_manifest(manifest)
    final = locate(store).absolute()
    unfinished = begin_store(final, overwrite)
    try:
        grid_of = choose_reference(rows, reference)
        settings = {"reference": grid_of, "size": size, "pixel_mm": pixel_mm}
        scans = _write_all(rows, unfinished, settings, _workers(workers, len(rows)), progress)
        _check_no_twins(rows, scans)
        return finish_store(
            unfinished,
            final,
            modalities=tuple(rows[0].files),
            size=size,
            placed=_placed(grid_of, pixel_mm),
            scans=scans,
            overwrite=overwrite,
            progress=progress,
        )
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def choose_reference(rows: list[Row], reference: str | None) -> str:
    """The modality whose grid the slices of every scan are taken from.

    One for the whole cohort, so that scans without lesion are sliced like those with. Without `reference`:
    the modality on whose grid every mask is drawn (headers only are read); of several, or where no scan has
    a mask, the one with the smallest pixels, then the first in the manifest.
    """
    modalities = list(rows[0].files)
    if reference is not None:
        if reference not in modalities:
            raise refused(
                "The reference is no modality.", "--reference", f"one of {', '.join(modalities)}", reference
            )
        return reference
    candidates = modalities
    pixel = dict.fromkeys(modalities, 0.0)
    for row in rows:
        grids = {name: read_grid(file, f"{row.where}, column {name}") for name, file in row.files.items()}
        for name, grid in grids.items():
            pixel[name] += _pixel_area(grid)
        if row.mask:
            mask = read_grid(row.mask, f"{row.where}, column mask")
            candidates = _drawn_on(row, mask, grids, candidates)
    return min(candidates, key=lambda name: (pixel[name], modalities.index(name)))


def prepare_scan(row: Row, unfinished: Path, reference: str, size: int, pixel_mm: float | None) -> Scan:
    """Read, place and write one scan; runs in a worker process."""
    volumes = {name: read_volume(file, f"{row.where}, column {name}") for name, file in row.files.items()}
    mask = read_volume(row.mask, f"{row.where}, column mask") if row.mask else None
    placed = place_scan(volumes, mask, reference=reference, size=size, pixel_mm=pixel_mm, scan=row.where)
    return write_scan(
        unfinished,
        placed.images,
        placed.mask,
        scan_id=row.scan_id,
        patient_id=row.patient_id,
        source_lesion_px=placed.source_lesion_px,
        spacing_mm=placed.spacing_mm,
        affine=placed.affine,
        placement={**placed.placement, "has_mask": row.mask is not None},
        split=row.split,
    )


def _placed(reference: str, pixel_mm: float | None) -> dict[str, Any]:
    """How the scans were placed and resized, for the store's attributes."""
    return {
        "reference": reference,
        "pixel_mm": pixel_mm,
        "field_of_view": "whole, padded to a square" if pixel_mm is None else "cropped or padded",
        "orientation": "LPS: rows to posterior, columns to the patient's left, slices to superior",
        "resampling": "linear, through the affines",
        "images": "triangle filter, anti-aliased",
        "mask": "1 where lesion covers at least half of the pixel",
        "outside": "the volume's minimum",
        "min_coverage": MIN_COVERAGE,
    }


def _write_all(
    rows: list[Row], unfinished: Path, settings: dict[str, Any], workers: int, progress: Progress | None
) -> list[Scan]:
    tell = progress or (lambda done, total, text: None)
    tell(0, len(rows), "reading scans")
    if workers == 1:
        scans = []
        for done, row in enumerate(rows, start=1):
            scans.append(prepare_scan(row, unfinished, **settings))
            tell(done, len(rows), row.scan_id)
        return scans
    with worker_pool(workers) as pool:
        futures = [pool.submit(prepare_scan, row, unfinished, **settings) for row in rows]
        _wait(futures, [row.scan_id for row in rows], tell)
        # Scans start in the manifest's order, so on a failure whatever is wrong in an earlier row is found
        # too once the running ones end: the error raised is that of the first bad row, on every run.
        pool.shutdown(cancel_futures=True)
        return [future.result() for future in futures]


def _wait(futures: list[Future[Scan]], names: list[str], tell: Progress) -> None:
    """Until all are done or one has failed."""
    waiting = dict(zip(futures, names, strict=True))
    while waiting:
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            name = waiting.pop(future)
            tell(len(futures) - len(waiting), len(futures), name)
        if any(future.exception() for future in done):
            return


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    # Spawned, not forked: the caller may hold threads. Ctrl-C is for the parent, which then cancels.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _workers(workers: int | None, scans: int) -> int:
    return min(cores() if workers is None else workers, scans)


def cores() -> int:
    """Cores that this process may use; all of them where the system cannot say (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_settings(size: int, pixel_mm: float | None, workers: int | None) -> None:
    for name, value, least, most in (("--size", size, 8, 4096), ("--workers", workers, 1, 4096)):
        if value is not None and not least <= value <= most:
            raise refused(f"{name} is out of range.", name, f"{least} to {most}", str(value))
    if pixel_mm is not None and not 0.01 <= pixel_mm <= 100:
        raise refused("--pixel-mm is out of range.", "--pixel-mm", "0.01 to 100 mm", str(pixel_mm))


def _check_no_twins(rows: list[Row], scans: list[Scan]) -> None:
    digests: dict[str, Row] = {}
    for row, scan in zip(rows, scans, strict=True):
        first = digests.setdefault(scan.digest, row)
        if first is not row:
            raise refused(
                "Two scans hold the same images.", row.where, "different scans", f"those of {first.where}"
            )


def _drawn_on(row: Row, mask: Grid, grids: dict[str, Grid], candidates: list[str]) -> list[str]:
    """Those of the candidates on whose grid this scan's mask is drawn; InputError where there is none."""
    matching = [name for name in grids if same_grid(mask, grids[name])]
    if not matching:
        raise off_grid(mask, grids, f"{row.where}, column mask")
    both = [name for name in candidates if name in matching]
    if not both:
        raise refused(
            "The masks of the cohort are drawn on the grids of different modalities.",
            f"{row.where}, column mask",
            f"the grid of {' or '.join(candidates)}, as in the rows above",
            f"the grid of {' or '.join(matching)}",
        )
    return both


def _pixel_area(grid: Grid) -> float:
    # Slices may lie along any axis of the file; of the three faces of a voxel the smallest is the pixel.
    one, two, _ = sorted(float(step) for step in grid.spacing)
    return one * two
