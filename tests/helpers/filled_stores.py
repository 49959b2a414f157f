"""Stores filled with noise, and the files of their scans, to be damaged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hnscc.cohort.placement import CohortPlacement
from hnscc.cohort.store import Store
from hnscc.cohort.store_building import begin_store, finish_store, write_scan
from hnscc.cohort.store_format import ScanFacts

EYE = tuple(tuple(float(value) for value in row) for row in np.eye(4))


def slices(seed: int, count: int = 4, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, 2, size, size)).astype(np.float32)
    mask = (rng.random((count, size, size)) > 0.8).astype(np.uint8)
    mask[0] = 0
    images[-1] = 0
    return images, mask


def make(
    final: Path,
    scans: Sequence[str] = ("B", "A", "C"),
    overwrite: bool = False,
    size: int = 16,
    order: int = 1,
) -> Store:
    unfinished = begin_store(final, overwrite)
    entries = []
    for number, scan in list(enumerate(scans))[::order]:
        images, mask = slices(number, size=size)
        entry = write_scan(
            unfinished.folder,
            images,
            mask,
            ScanFacts(
                scan_id=scan,
                patient_id=f"P{number}",
                source_lesion_px=tuple(int(px) for px in mask.sum((1, 2))),
                spacing_mm=(4.0, 1.5, 1.5),
                affine=EYE,
                placement={"input_shape": [size, size, 4]},
            ),
        )
        entries.append(entry)
    placed: CohortPlacement = {"pixel_mm": None}
    return finish_store(unfinished, modalities=("pet", "mri"), size=size, placed=placed, scans=entries)


def shard(store: Store, scan: str, name: str) -> Path:
    return next(path for path in Path(store.location, "scans", scan, name, "c").rglob("*") if path.is_file())
