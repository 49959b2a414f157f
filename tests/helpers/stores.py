"""Small stores made from arrays: enough for training, without files to prepare."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hnscc.base.arrays import Images, Masks, Spacing
from hnscc.base.locations import Location
from hnscc.cohort.placement import CohortPlacement
from hnscc.cohort.store import Store
from hnscc.cohort.store_building import begin_store, finish_store, write_scan
from hnscc.cohort.store_format import Scan, ScanFacts
from hnscc.study.loading import parse_study
from hnscc.study.schema import Study

Change = Callable[[str, Images, Masks], tuple[Images, Masks]]
AFFINE = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def scan(patient: str, lesion_px: tuple[int, ...], name: str = "a", split: str | None = None) -> Scan:
    """Return an entry of a store's index, for code that works on the index alone."""
    return Scan(
        f"{patient}_{name}",
        patient,
        len(lesion_px),
        lesion_px,
        lesion_px,
        (1.0, 1.0, 1.0),
        AFFINE,
        {},
        "0" * 64,
        split,
    )


def cohort(lesion: int, healthy: int, slices: int = 6) -> list[Scan]:
    """Return patients p00, p01, ... with lesion in every other slice, then patients without."""
    with_lesion = tuple(4 * (z % 2) for z in range(slices))
    return [scan(f"p{i:02d}", with_lesion if i < lesion else (0,) * slices) for i in range(lesion + healthy)]


def store_of(scans: Sequence[Scan]) -> Store:
    """Return a store of these scans that lies nowhere, in the order in which every store has them."""
    return Store("s", ("pet", "mri"), 32, "0" * 64, tuple(sorted(scans, key=lambda each: each.scan_id)), {})


def make_store(
    folder: Path,
    patients: int = 8,
    slices: int = 4,
    size: int = 32,
    seed: int = 0,
    units: dict[str, str] | None = None,
    unseen: dict[str, list[int]] | None = None,
) -> Store:
    """Write a store in which half of the patients have a bright disc in every slice: hot in `pet`, faint in `mri`,
    in noise.

    units: for some modalities, the units that their files would state. unseen: for some modalities, the slices of every
    scan that they do not show.
    """
    random = np.random.default_rng(seed)
    final = folder / "cohort.zarr"
    unfinished = begin_store(final, overwrite=False)
    scans = []
    for i in range(patients):
        images = random.normal(1.0, 0.2, (slices, 2, size, size)).astype(np.float32)
        mask = np.zeros((slices, size, size), np.uint8)
        if i % 2 == 0:
            for z in range(slices):
                mask[z] = _disc(size, random.uniform(size * 0.3, size * 0.7, 2), radius=size * 0.15)
            images[:, 0] += 4.0 * mask
            images[:, 1] += 0.3 * mask
        scans.append(
            write_scan(
                unfinished.folder,
                images,
                mask,
                ScanFacts(
                    scan_id=f"p{i:02d}_a",
                    patient_id=f"p{i:02d}",
                    source_lesion_px=tuple(int(px) for px in mask.sum(axis=(1, 2))),
                    spacing_mm=(1.0, 1.0, 1.0),
                    affine=AFFINE,
                    placement={"outside": unseen} if unseen else {},
                ),
            )
        )
    placed: CohortPlacement = {"units": units} if units else {}
    return finish_store(unfinished, modalities=("pet", "mri"), size=size, placed=placed, scans=scans)


def _disc(size: int, centre: np.ndarray, radius: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return np.asarray((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2, np.uint8)


def study_of(store: str | Location, **settings: Any) -> Study:
    """Return a study that trains in a second or two: the paper's network, two channels wide."""
    training = {
        "network": {"architecture": "paper", "width": 2},
        "epochs": 3,
        "batch_size": 4,
        "learning_rate": 0.01,
        "device": "cpu",
        "precision": "fp32",
    }
    raw = {
        "name": "small",
        "store": str(store),
        "repeats": 2,
        "split": {"test": 0.25, "validation": 0.34},
        "training": training | settings.pop("training", {}),
        "variants": {"pet": {"modalities": ["pet"]}, "pet_mri": {"modalities": ["pet", "mri"]}},
    }
    return parse_study(raw | settings)


def changed_store(
    store: Store,
    folder: Path,
    splits: dict[str, str],
    change: Change | None = None,
    spacing_mm: Spacing | None = None,
) -> Store:
    """Write the same scans into another store, with each patient's split fixed, and their spacing where one is given.
    change: from (scan id, images, mask) to (images, mask). Masks as drawn stay as they are."""
    unfinished = begin_store(folder / "cohort.zarr", overwrite=False)
    scans = []
    for each in store.scans:
        images, mask = store.read(each.scan_id)
        if change:
            images, mask = change(each.scan_id, images, mask)
        scans.append(
            write_scan(
                unfinished.folder,
                images,
                mask,
                ScanFacts(
                    scan_id=each.scan_id,
                    patient_id=each.patient_id,
                    source_lesion_px=tuple(int(px) for px in mask.sum(axis=(1, 2))),
                    spacing_mm=spacing_mm or each.spacing_mm,
                    affine=each.affine,
                    placement=each.placement,
                    split=splits[each.patient_id],
                ),
                drawn=store.read_drawn(each.scan_id),
            )
        )
    return finish_store(unfinished, modalities=store.modalities, size=store.size, placed={}, scans=scans)
