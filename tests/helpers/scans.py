"""Small scans as files and in memory, cohorts of them with a manifest, and refusals to prepare them."""

import csv
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from data_prep.build import build_store
from data_prep.manifest.manifest import Row, examine_manifest, raise_all
from data_prep.placing.place import PlacedScan, place_scan
from data_prep.settings import PrepareSettings
from data_prep.volumes.volume import Grid, Volume
from hnscc.base.errors import InputError
from hnscc.base.steps import Progress
from hnscc.cohort.store import Store
from hnscc.cohort.store_format import Placing

LPS = np.diag([-1.0, -1.0, 3.0, 1.0])


def read_manifest(manifest: Path) -> list[Row]:
    """Return the rows of a manifest; InputError names all of its faults."""
    rows, faults = examine_manifest(manifest)
    raise_all(faults)
    return rows


def sts() -> Path:
    """Return the real cohort's folder, or skip the test."""
    folder = Path(os.environ.get("HNSCC_STS", Path(__file__).parents[3] / "shared" / "data" / "sts"))
    if not (folder / "manifest.csv").exists():
        pytest.skip("the soft-tissue sarcoma data is not here (set HNSCC_STS to its folder)")
    return folder


def prepare(manifest: Path, store: Path, progress: Progress | None = None, **settings: Any) -> Store:
    """Return the store of a manifest, without the page that `hnscc prepare` adds."""
    return build_store(manifest, store, PrepareSettings(**settings), progress=progress)


def write(path: Path, data: np.ndarray, affine: np.ndarray = LPS) -> None:
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, code=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.to_filename(path)


def scan_arrays(
    seed: int = 0, shape: tuple[int, int, int] = (20, 16, 5)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, np.uint8)
    mask[6:14, 5:12, 1:4] = 1
    return rng.random(shape, np.float32) * 8, rng.random(shape, np.float32) * 900, mask


def cohort(folder: Path, scans: int = 3) -> Path:
    """Write a tiny cohort: PET on a coarser grid of its own, MRI, and masks on the MRI, except for the last scan."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(scans):
        pet, mri, mask = scan_arrays(number)
        coarse = np.diag([2.0, 2.0, 3.0, 1.0])
        coarse[:3, 3] = (-22, -18, 0)
        write(folder / f"s{number}" / "pet.nii.gz", pet[:12, :11, :], coarse)
        write(folder / f"s{number}" / "mri.nii.gz", mri)
        write(folder / f"s{number}" / "mask.nii.gz", mask)
        last = "" if number == scans - 1 else f"s{number}/mask.nii.gz"
        rows.append([f"P{number}", f"S{number}", f"s{number}/pet.nii.gz", f"s{number}/mri.nii.gz", last])
    return save(folder, rows)


def save(folder: Path, rows: list[list[str]]) -> Path:
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


def change(manifest: Path, row: int, column: str, value: str) -> Path:
    rows = list(csv.reader(manifest.read_text().splitlines()))
    rows[row - 1][rows[0].index(column)] = value
    return save(manifest.parent, rows)


def refused(manifest: Path, *words: str, **options: Any) -> str:
    """Check that preparing is refused with these words, no path in the text, and nothing left behind."""
    out = manifest.parent / "out"
    out.mkdir(exist_ok=True)
    with pytest.raises(InputError) as caught:
        prepare(manifest, out / "s.zarr", **{"size": 16, "workers": 1, **options})
    text = str(caught.value)
    for word in words:
        assert word in text
    assert str(manifest.parent) not in text and ".nii" not in text.replace(".nii, .nii.gz", "")
    assert list(out.iterdir()) == []
    return text


def volume(data: np.ndarray, affine: np.ndarray = LPS, oriented: bool = True) -> Volume:
    """Return what `read_volume` would return of a file with these values."""
    return Volume(data.astype(np.float32), Grid(data.shape, np.asarray(affine, float), oriented))


def place(volumes: dict[str, Volume], mask: Volume | None, **options: Any) -> PlacedScan:
    """Return a scan placed on 16 x 16 pixels of its whole field of view, unless `options` say otherwise."""
    scan, show_before = options.pop("scan", "S"), options.pop("show_before", False)
    plain: dict[str, Any] = {"reference": "mri", "size": 16, "pixel_mm": None}
    return place_scan(volumes, mask, Placing(**plain | options), where=scan, show_before=show_before)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * np.logical_and(one, other).sum() / (one.astype(bool).sum() + other.astype(bool).sum()))


def to_itk(data: np.ndarray, affine: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(data.transpose(2, 1, 0))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    flip = np.diag([-1.0, -1.0, 1.0])
    image.SetSpacing(spacing.tolist())
    image.SetDirection((flip @ affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((flip @ affine[:3, 3]).tolist())
    return image


def analyze(path: Path, data: np.ndarray, spacing: tuple[float, float, float]) -> None:
    image = nib.AnalyzeImage(data, None)
    image.header.set_zooms(spacing)
    image.to_filename(path)
