"""Made-up heads of different shapes, each shown by two modalities. They are prepared once, and judged with
some changed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from scans import read_manifest, save, write
from scipy import ndimage

from data_prep.build import PreparedScan, prepare_scan
from data_prep.manifest.manifest import Row
from data_prep.oddities.judged import judged
from data_prep.settings import PrepareSettings
from hnscc.cohort.store_building import begin_store

SHAPE, STEPS_MM = (80, 80, 16), (2.2, 2.2, 5.0)  # x to the left, y to the back, z to the head
AFFINE = np.diag([-STEPS_MM[0], -STEPS_MM[1], STEPS_MM[2], 1.0])
SETTINGS = PrepareSettings(size=80, workers=1, reference="mri")

Change = Callable[[np.ndarray], np.ndarray]


def head(seed: int) -> dict[str, np.ndarray]:
    """Return (x, y, z) of each modality: one uneven skin, tissue that all heads share, a little of its own,
    and noise."""
    shared, own = np.random.default_rng(0), np.random.default_rng(seed)
    grid = zip(np.indices(SHAPE), SHAPE, STEPS_MM, strict=True)
    x, y, z = ((at - (length - 1) / 2) * step + own.normal(0, 1) for at, length, step in grid)
    angle = np.arctan2(y, x)
    skin = 64 + 10 * np.sin(angle) ** 2 + 0.1 * z - 8 * np.exp(-(((angle + np.pi / 2) / 0.4) ** 2))
    for wave in (1, 2, 3, 4):
        skin = skin + own.normal(0, 2) * np.cos(wave * angle + own.uniform(0, 6) + own.normal(0, 0.02) * z)
    inside = np.hypot(x, y) < skin
    found = {}
    for name, blur in (("pet", 0.8), ("mri", 0.3)):
        tissue = ndimage.gaussian_filter(shared.normal(size=SHAPE), (5, 5, 2))
        tissue = tissue + tissue[::-1]  # so that both sides are alike
        other = ndimage.gaussian_filter(own.normal(size=SHAPE), (2, 2, 1))
        image = inside * np.exp(0.4 * tissue / tissue.std() + 0.2 * other / other.std())
        image = ndimage.gaussian_filter(image, blur) + 0.01 * np.abs(own.normal(size=SHAPE))
        found[name] = (1000 * image).astype(np.float32)
    return found


class Heads:
    """Prepared heads without lesion, each of another patient: S0, S1, ..."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.changes = folder, 0
        table = [["patient_id", "scan_id", "pet", "mri", "mask"]]
        for at in range(number):
            for name, image in head(at + 1).items():
                write(folder / f"{at}-{name}.nii", image, AFFINE)
            table.append([f"P{at}", f"S{at}", f"{at}-pet.nii", f"{at}-mri.nii", ""])
        self.rows = read_manifest(save(folder, table))
        self.sound = begin_store(folder / "sound.zarr", overwrite=False).folder
        self.prepared = [self._prepare(row, self.sound) for row in self.rows]

    def told(
        self, changed: Mapping[int, Mapping[str, Change]], accept_odd: str | None = None
    ) -> list[tuple[str | None, str]]:
        """Return what is odd where some modalities of some scans are changed. changed: by the scan's number, then
        by modality."""
        self.changes += 1
        prepared = list(self.prepared)
        unfinished = begin_store(self.folder / f"changed-{self.changes}.zarr", overwrite=False).folder
        for at, row in enumerate(self.rows):
            files = dict(row.files)
            for name, change in changed.get(at, {}).items():
                files[name] = self.folder / f"changed-{self.changes}-{at}-{name}.nii"
                write(files[name], np.ascontiguousarray(change(head(at + 1)[name]), np.float32), AFFINE)
            if at in changed:
                prepared[at] = self._prepare(replace(row, files=files), unfinished)
            else:
                of = Path("scans", row.scan_id)
                (unfinished / of).symlink_to(self.sound / of)
        scans, images = [each.scan for each in prepared], [each.images for each in prepared]
        return [(odd.scan_id, odd.text) for odd in judged(self.rows, scans, images, unfinished, accept_odd)]

    def _prepare(self, row: Row, unfinished: Path) -> PreparedScan:
        return prepare_scan(row, unfinished, "mri", SETTINGS, view=False)
