"""A scan with little lesion is one with lesion, whatever the resize and the rounding of its volume leave of it."""

import json

import numpy as np
import pytest
from scans import prepare, save, scan_arrays, write

from hnscc.cohort.store_format import PAGE

SCANS, USUAL, LITTLE = 8, 4, 2  # in all; with 3 slices of lesion each; with one voxel of it


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """64 x 64 x 5 voxels of 1 x 1 x 3 mm, of which one covers a quarter of a stored pixel of 2 x 2 mm."""
    folder = tmp_path_factory.mktemp("little")
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(SCANS):
        _, mri, mask = scan_arrays(number, (64, 64, 5))
        if number >= USUAL:
            mask[...] = 0
            mask[10, 8, 2] = number < USUAL + LITTLE
        write(folder / f"{number}-mri.nii", mri)
        write(folder / f"{number}-mask.nii", mask)
        rows.append([f"P{number}", f"S{number}", f"{number}-mri.nii", f"{number}-mask.nii"])
    return save(folder, rows)


def test_terminal_page_and_study_count_the_same_scans_with_lesion(manifest, tmp_path, hnscc):
    """Slices without lesion are chosen from the 2 scans without it alone, of 5 slices each: fewer than 12."""
    code, out, _ = hnscc("prepare", manifest, tmp_path / "s.zarr", "--size", 32, "--workers", 1)
    assert code == 0
    assert "8 scans (6 with lesion), 40 slices (12 with lesion)" in out
    assert "2 slices lost their few lesion pixels in the resize" in out
    assert "taken as free of lesion by a mask without lesion: 2 of 8 scans: S6, S7" in out
    page = (tmp_path / "s.zarr" / PAGE).read_text()
    assert "8 scans (6 with lesion), 40 slices (12 with lesion)" in page
    _, out, _ = hnscc("verify", tmp_path / "s.zarr", "--json")
    assert json.loads(out)["scans_with_lesion"] == 6
    code, _, err = hnscc("init", tmp_path / "s.zarr", tmp_path / "study.yaml")
    assert code == 0, err
    assert "scans without lesion hold 10 slices, too few for 12 with" in (tmp_path / "study.yaml").read_text()


def test_a_lesion_whose_volume_is_rounded_to_nothing_is_one(tmp_path):
    """168 voxels of 0.02 x 0.02 x 0.02 mm are 0.0000013 ml, of which four decimals are kept."""
    affine = np.diag([-0.02, -0.02, 0.02, 1.0])
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(5):
        _, mri, mask = scan_arrays(number)
        write(tmp_path / f"{number}-mri.nii", mri, affine)
        write(tmp_path / f"{number}-mask.nii", mask, affine)
        rows.append([f"P{number}", f"S{number}", f"{number}-mri.nii", f"{number}-mask.nii"])
    manifest = save(tmp_path, rows)
    store = prepare(manifest, tmp_path / "s.zarr", size=16, workers=1, accept_odd="a mouse's ear")
    assert [scan.placement["lesion"]["ml"] for scan in store.scans] == [0.0] * 5
    assert [scan.placement["lesion_free"] for scan in store.scans] == [None] * 5
    assert all(scan.has_lesion and scan.positive_slices for scan in store.scans)
