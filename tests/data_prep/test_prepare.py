"""From scans to a store, the whole way: the reference, settings, refusals; on the real cohort where it is at hand."""

import csv
import gzip
import inspect
import os
import re
import shutil
from dataclasses import FrozenInstanceError, fields

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scans import change, cohort, dice, prepare, read_manifest, refused, save, sts, write
from typer.main import get_command

import hnscc
from data_prep.files.read import read_volume
from data_prep.placing.way_back import in_file_order, lesion_back
from data_prep.settings import PrepareSettings
from hnscc.base.cores import cores
from hnscc.base.errors import InputError
from hnscc.base.split_names import SPLITS
from hnscc.cohort.store import open_store, verify_store
from hnscc.commands.cli import app


def test_masks_on_different_modalities_go_to_the_finer_grid_or_to_the_reference(tmp_path):
    manifest = cohort(tmp_path, 3)
    coarse = nib.load(tmp_path / "s1" / "pet.nii.gz")
    mask = np.zeros(coarse.shape, np.uint8)
    mask[3:6, 3:6, 2] = 1
    write(tmp_path / "s1" / "mask.nii.gz", mask, coarse.affine)
    for reference in (None, "mri", "pet"):
        out = tmp_path / f"{reference}.zarr"
        store = prepare(manifest, out, size=16, workers=1, reference=reference)
        assert store.placed["reference"] == (reference or "mri")  # whose pixels are a quarter of those of PET
        assert [scan.placement["lesion"]["drawn_on"] for scan in store.scans] == ["mri", "pet", None]
    store = prepare(change(manifest, 3, "mask", ""), tmp_path / "s.zarr", size=16, workers=1)
    assert store.placed["reference"] == "mri"


def test_the_reference_chooses_the_grid(tmp_path):
    manifest = cohort(tmp_path, 3)
    for row in (2, 3):
        change(manifest, row, "mask", "")
    assert prepare(manifest, tmp_path / "fine.zarr", size=16, workers=1).placed["reference"] == "mri"
    store = prepare(manifest, tmp_path / "coarse.zarr", size=16, reference="pet", workers=1)
    assert store.scans[0].placement["input_shape"] == [12, 11, 5]
    refused(manifest, "reference", "pet, mri", reference="ct")


def test_settings_out_of_range_are_refused(tmp_path):
    manifest = cohort(tmp_path, 2)
    refused(manifest, "--size", size=0)
    refused(manifest, "--size", size="16")
    refused(manifest, "--pixel-mm", pixel_mm=-1.0)
    refused(manifest, "--pixel-mm", pixel_mm=float("nan"))
    refused(manifest, "--suv", "bw or lbm", suv="bsa")
    refused(manifest, "--accept-odd", "A reason is missing", accept_odd=" ")
    refused(manifest, "--accept-odd", "A reason is missing", accept_odd=True)
    refused(manifest, "--overwrite", "True or False", "'no'", overwrite="no")
    text = refused(manifest, "--workers", "Correct --workers or leave it out", workers=0)
    assert "manifest" not in text, "no scan is at fault"


def test_the_defaults_of_preparing_stand_once():
    """In the function and in the command they are those of the settings."""
    defaults = {each.name: each.default for each in fields(PrepareSettings)}
    of_function = {name: each.default for name, each in inspect.signature(hnscc.prepare).parameters.items()}
    assert of_function.items() >= defaults.items()
    of_command = {each.name: each.default for each in get_command(app).commands["prepare"].params}
    assert of_command.items() >= defaults.items()
    assert PrepareSettings() == PrepareSettings(size=128, suv="bw")
    with pytest.raises(FrozenInstanceError):
        PrepareSettings().size = 64


def test_what_to_do_about_a_manifest_is_not_to_take_a_scan_out_where_none_is_at_fault(tmp_path):
    refused(save(tmp_path, [["patient_id", "scan_id", "pet", "mask"]]), "Write a row for each scan below")
    manifest = cohort(tmp_path, 3)
    header, *rows = csv.reader(manifest.read_text().splitlines())
    some = save(tmp_path, [[*header, "split"], *([*row, "train" if n else ""] for n, row in enumerate(rows))])
    assert "Write a split into every row, or into none" in refused(some, "The split is missing")
    refused(save(tmp_path, [header, *rows[:2], rows[2][:-1]]), "Write as many cells as the header has")
    rows[1][0] = rows[0][0]
    both = save(
        tmp_path, [[*header, "split"], *([*row, each] for row, each in zip(rows, SPLITS, strict=True))]
    )
    refused(both, "A patient is in two splits", "Write one split into all rows of the patient")


def test_the_same_images_twice_are_refused(tmp_path):
    manifest = cohort(tmp_path, 3)
    shutil.rmtree(tmp_path / "s1")
    shutil.copytree(tmp_path / "s0", tmp_path / "s1")
    refused(manifest, "same images", "row 3", "row 2")


def test_cores_are_counted_where_the_system_knows_no_affinity(monkeypatch):
    """As on macOS."""
    assert 1 <= cores() <= os.cpu_count()
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores() == os.cpu_count()


def test_any_number_of_workers_gives_the_same_store(tmp_path):
    manifest, told = cohort(tmp_path, 4), []
    one = prepare(manifest, tmp_path / "one.zarr", size=16, workers=1)
    two = prepare(
        manifest, tmp_path / "two.zarr", size=16, workers=2, progress=lambda *step: told.append(step)
    )
    assert one.digest == two.digest and one.scans == two.scans
    assert told[0][:2] == (0, 4) and told[-1][:2] == (4, 4)
    assert verify_store(two) == 20
    assert [scan.placement["has_mask"] for scan in one.scans] == [True, True, True, False]
    other = prepare(manifest, tmp_path / "other.zarr", size=16, pixel_mm=1.5, workers=1)
    assert other.digest != one.digest


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_of_several_refused_scans_the_first_is_reported_and_nothing_is_left(tmp_path, workers):
    manifest = cohort(tmp_path, 6)
    for scan in ("s2", "s4"):
        path = tmp_path / scan / "pet.nii.gz"
        content = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(content[:-40]))
    refused(manifest, "row 4, scan S2, column pet", workers=workers)


@pytest.mark.quick(1)
@pytest.mark.parametrize("workers", [1, 2])
def test_the_faults_of_all_scans_are_told_at_once(tmp_path, workers):
    """Of the manifest, of headers, of values and of grids, each row's in the order of rows."""
    manifest = cohort(tmp_path, 9)
    change(manifest, 2, "pet", "s0/gone.nii.gz")
    (tmp_path / "s1" / "mri.nii.gz").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    path = tmp_path / "s2" / "pet.nii.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-40]))
    write(tmp_path / "s3" / "mask.nii.gz", np.eye(20, 16)[:, :, None].repeat(4, axis=2).astype(np.uint8))
    write(tmp_path / "s4" / "mri.nii.gz", np.full((20, 16, 5), np.inf, np.float32))
    mask = np.arange(1600).reshape(20, 16, 5) % 3
    write(tmp_path / "s5" / "mask.nii.gz", mask.astype(np.uint8))
    (tmp_path / "s6" / "pet.nii.gz").write_bytes(b"")
    (tmp_path / "s6" / "mri.nii.gz").write_bytes(b"")
    text = refused(manifest, "8 faults were found", workers=workers)
    told = [line.split(". ", 1)[1] for line in text.splitlines() if re.match(r" +\d+\. ", line)]
    expected = (
        ("row 2, scan S0, column pet", "does not exist"),
        ("row 3, scan S1, column mri", "Git LFS pointer"),
        ("row 4, scan S2, column pet", "do not fit together"),
        ("row 5, scan S3, column mask", "20 x 16 x 4 voxels, not 20 x 16 x 5"),
        ("row 6, scan S4, column mri", "values that no image has"),
        ("row 7, scan S5, column mask", "not binary"),
        ("row 8, scan S6, column pet", "empty file"),
        ("row 8, scan S6, column mri", "empty file"),
    )
    assert len(told) == len(expected)
    for line, (where, words) in zip(told, expected, strict=True):
        assert line.startswith(f"manifest {where}: ") and words in line


def test_where_no_row_is_in_order_all_are_told(tmp_path):
    manifest = change(change(cohort(tmp_path, 2), 2, "pet", "gone.nii"), 3, "mri", "gone.nii")
    refused(manifest, "2 faults", "row 2", "row 3")


def test_an_existing_store_survives_a_refused_one(tmp_path):
    manifest = cohort(tmp_path, 2)
    store = prepare(manifest, tmp_path / "s.zarr", size=16, workers=1)
    with pytest.raises(InputError, match="already"):
        prepare(manifest, tmp_path / "s.zarr", size=16, workers=1)
    (tmp_path / "s0" / "pet.nii.gz").write_bytes(b"")
    with pytest.raises(InputError, match="S0"):
        prepare(manifest, tmp_path / "s.zarr", size=16, workers=1, overwrite=True)
    assert open_store(tmp_path / "s.zarr") == store
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.csv", "s.zarr", "s0", "s1"]


def test_slices_with_and_without_lesion_in_the_real_cohort():
    """1,204 with and 801 without on the MR grid, as the data's own page counts them."""
    folder, positive, negative = sts(), 0, 0
    for row in read_manifest(folder / "manifest.csv"):
        slices = read_volume(row.mask, row.where).data.any(axis=(0, 1))
        positive, negative = positive + int(slices.sum()), negative + int((~slices).sum())
    assert (positive, negative) == (1204, 801)


def test_real_scans_are_placed_as_simpleitk_places_them(tmp_path):
    folder = sts()
    rows = list(csv.reader((folder / "manifest.csv").read_text().splitlines()))
    chosen = [rows[0]] + [row for row in rows if row[0] in ("STS_008", "STS_025")]
    chosen[1:] = [[row[0], row[1], *(str(folder / cell) for cell in row[2:])] for row in chosen[1:]]
    store = prepare(save(tmp_path, chosen), tmp_path / "s.zarr", size=128, pixel_mm=1.7, workers=1)
    for scan, row in zip(store.scans, chosen[1:], strict=True):
        pet, mri, mask = (sitk.ReadImage(path) for path in row[2:])
        grid = sitk.Image([128, 128, scan.slices], sitk.sitkFloat32)
        affine = np.array(scan.affine)
        flip = np.diag([-1.0, -1.0, 1.0])
        grid.SetSpacing(scan.spacing_mm[::-1])
        grid.SetDirection((flip @ affine[:3, :3] / np.array(scan.spacing_mm[::-1])).ravel().tolist())
        grid.SetOrigin((flip @ affine[:3, 3]).tolist())
        images, stored = store.read(scan.scan_id)
        oracle = sitk.GetArrayFromImage(sitk.Resample(pet, grid, sitk.Transform(), sitk.sitkLinear, 0.0))
        # Ours goes through the MR grid, is smoothed a little more, and is padded where the MR ends.
        ones = sitk.GetImageFromArray(np.ones(mri.GetSize()[::-1], np.float32))
        ones.CopyInformation(mri)
        inside = sitk.GetArrayFromImage(sitk.Resample(ones, grid, sitk.Transform(), sitk.sitkLinear, 0.0)) > 0
        assert np.corrcoef(oracle[inside], images[:, 0][inside])[0, 1] > 0.999
        assert np.abs(oracle - images[:, 0])[inside].mean() < 0.01 * oracle.max()
        truth = sitk.GetArrayFromImage(sitk.Resample(sitk.Cast(mask, sitk.sitkFloat32), grid)) >= 0.5
        assert dice(truth, stored) > 0.97
        back = in_file_order(lesion_back(stored, scan.placement), scan.placement)
        assert dice(back, nib.load(row[4]).get_fdata()) > 0.95
        assert sum(scan.source_lesion_px) == int(sitk.GetArrayFromImage(mask).sum())
        drawn = store.read_drawn(scan.scan_id)
        np.testing.assert_array_equal(drawn.voxels, sitk.GetArrayFromImage(sitk.DICOMOrient(mask, "LPS")) > 0)
        assert drawn.spacing_mm == pytest.approx(sitk.DICOMOrient(mask, "LPS").GetSpacing()[::-1], rel=1e-5)
