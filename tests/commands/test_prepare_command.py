"""`hnscc prepare` and `hnscc verify`: bad cohorts are refused and leave nothing, a damaged store is found."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from commands import refused


def nifti(path: Path, data: np.ndarray, affine=None) -> None:
    nib.save(nib.Nifti1Image(data, np.diag([2.0, 2, 3, 1]) if affine is None else affine), path)


@pytest.fixture
def cohort(tmp_path):
    """Two patients of 8 x 8 x 4 voxels with pet, mri and mask, and their manifest."""
    random = np.random.default_rng(0)
    mask = np.zeros((8, 8, 4), np.uint8)
    mask[2:6, 2:6, 1:3] = 1
    for name in ("one", "two"):
        for modality in ("pet", "mri"):
            nifti(tmp_path / f"{name}_{modality}.nii.gz", random.random((8, 8, 4)).astype(np.float32))
        nifti(tmp_path / f"{name}_mask.nii.gz", mask)
    lines = ["patient_id,scan_id,pet,mri,mask"]
    lines += [
        f"{p},{s},{f}_pet.nii.gz,{f}_mri.nii.gz,{f}_mask.nii.gz"
        for p, s, f in (("p1", "s1", "one"), ("p2", "s2", "two"))
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def in_manifest(old: str, new: str):
    return lambda folder: replace_text(folder / "manifest.csv", old, new)


def half(name: str):
    return lambda folder: (folder / name).write_bytes(
        (folder / name).read_bytes()[: (folder / name).stat().st_size // 2]
    )


def two_valued(folder: Path) -> None:
    mask = np.zeros((8, 8, 4), np.uint8)
    mask[2:4], mask[4:6] = 1, 2
    nifti(folder / "two_mask.nii.gz", mask)


BAD_COHORTS = {
    "no manifest": (lambda folder: (folder / "manifest.csv").unlink(), "manifest"),
    "missing file": (lambda folder: (folder / "two_pet.nii.gz").unlink(), "s2"),
    "truncated": (half("two_mri.nii.gz"), "s2"),
    "unreadable": (lambda folder: (folder / "two_mri.nii.gz").write_bytes(b"no image"), "s2"),
    "elsewhere": (
        lambda folder: nifti(
            folder / "two_pet.nii.gz",
            np.ones((8, 8, 4), np.float32),
            np.diag([2.0, 2, 3, 1]) + 900 * np.eye(4, k=3),
        ),
        "s2",
    ),
    "flat": (lambda folder: nifti(folder / "two_pet.nii.gz", np.ones((8, 8), np.float32)), "s2"),
    "mask not binary": (two_valued, "s2"),
    "mask off the grid": (
        lambda folder: nifti(folder / "two_mask.nii.gz", np.ones((7, 8, 4), np.uint8)),
        "s2",
    ),
    "duplicate scan": (in_manifest("p2,s2", "p2,s1"), "s1"),
    "no patient id": (in_manifest("p2,s2", ",s2"), "patient_id"),
    "no such column": (in_manifest("patient_id", "patient"), "patient_id"),
    "empty cohort": (
        lambda folder: (folder / "manifest.csv").write_text("patient_id,scan_id,pet,mri,mask\n"),
        "manifest",
    ),
}


@pytest.mark.quick(6)
@pytest.mark.parametrize("case", BAD_COHORTS)
def test_bad_cohorts_are_refused_and_leave_nothing(hnscc, cohort, case):
    harm, named = BAD_COHORTS[case]
    harm(cohort)
    before = {path.name for path in cohort.iterdir()}
    error = refused(hnscc("prepare", cohort / "manifest.csv", cohort / "out.zarr", "--workers", 1))
    assert named in error
    assert "nii" not in error, "a file's name is no pseudonym"
    assert {path.name for path in cohort.iterdir()} == before


def test_prepare_verify_and_a_damaged_store(hnscc, cohort):
    code, out, _ = hnscc(
        "prepare", cohort / "manifest.csv", cohort / "out.zarr", "--size", 16, "--workers", 1
    )
    assert code == 0
    assert "2 patients, 2 scans (2 with lesion), 8 slices (4 with lesion)" in out
    code, out, _ = hnscc("verify", cohort / "out.zarr", "--json")
    assert json.loads(out)["positive_slices"] == 4
    refused(hnscc("prepare", cohort / "manifest.csv", cohort / "out.zarr"))
    shard = next(path for path in (cohort / "out.zarr/scans/s2/images/c").rglob("*") if path.is_file())
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 1
    shard.write_bytes(content)
    assert "s2" in refused(hnscc("verify", cohort / "out.zarr"))
    for foreign in (cohort, cohort / "absent.zarr", cohort / "manifest.csv"):
        refused(hnscc("verify", foreign))
