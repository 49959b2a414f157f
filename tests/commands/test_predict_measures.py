"""What `hnscc predict` measures and tells of a scan: PET on its own voxels, slices that show nothing, masks."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scans import save, write
from trained_runs import UPRIGHT, scan_of, write_scans

import hnscc
from data_prep.new_scans import list_scans, place_new
from hnscc.aggregation.models import models_of
from hnscc.cohort.store_format import Placing
from hnscc.commands.predicted_scan import combine, intensities_of, rows_of_lesions


def placed_by_mri(folder, pet, pet_affine, **mri):
    """A scan whose PET is placed on the grid of its MRI."""
    write(folder / "mri.nii.gz", *mri["of"])
    write(folder / "pet.nii.gz", pet, pet_affine)
    manifest = save(folder, [["patient_id", "scan_id", "pet", "mri"], ["A", "a", "pet.nii.gz", "mri.nii.gz"]])
    (row,) = list_scans(manifest, ["pet", "mri"])
    return place_new(row, ["pet", "mri"], Placing(reference="mri", size=64, pixel_mm=None))


def predicted_on(scan, stored):
    """What a model predicts that says `stored`, bool (Z, H, W), and nothing of slices that PET does not show."""
    probabilities = [np.where(stored, 65535, 0).astype(np.uint16)]
    unseen = scan.unseen(["pet", "mri"])
    return combine(scan, probabilities, 500, unseen=unseen, with_probability=True, with_disagreement=True)


def test_suv_is_measured_on_the_voxels_of_pet(tmp_path):
    """A hot spot of 8 mm in PET of 4 mm, whose voxels lie between those of the MRI: the highest value is PET's own. Of
    the 19 voxels within the 6.2 mm of a ball of 1 ml, 6 lie 4 mm from the middle, at 6, and 12 at 5.7 mm, at 3.5."""
    random = np.random.default_rng(0)
    mri = random.normal(100, 20, (64, 64, 12)).astype(np.float32)
    to_mri, to_pet = np.diag([-1.0, -1.0, 3.0, 1.0]), np.diag([-4.0, -4.0, 4.0, 1.0])
    to_mri[:3, 3], to_pet[:3, 3] = (31.5, 31.5, -16.5), (30.6, 30.9, -17.2)
    at = np.einsum("ij,jxyz->ixyz", to_pet[:3, :3], np.indices((16, 16, 9))) + to_pet[:3, 3, None, None, None]
    centre = to_pet[:3, :3] @ [8, 7, 4] + to_pet[:3, 3]
    distance = np.linalg.norm(at - centre[:, None, None, None], axis=0)
    pet = (1 + 10 * np.exp(-((distance / 8) ** 2) * 4 * np.log(2))).astype(np.float32)
    scan = placed_by_mri(tmp_path, pet, to_pet, of=(mri, to_mri))
    z, y, x = np.indices(scan.images[:, 0].shape)
    lps = np.stack([x - 31.5, y - 31.5, 3.0 * z - 16.5], axis=-1)
    predicted = predicted_on(scan, np.linalg.norm(lps - centre * [-1, -1, 1], axis=-1) < 8)
    (row,) = rows_of_lesions(scan, predicted, ["pet", "mri"], "pet")
    assert row["suv_max"] == row["pet_max"] == 11.0
    assert row["suv_peak"] == pytest.approx((11 + 6 * 6 + 12 * 3.5) / 19, rel=1e-5)
    assert row["suv_mean"] == row["pet_mean"] < row["suv_max"]
    assert abs(row["tlg"] / (row["suv_mean"] * row["volume_ml"]) - 1) < 1e-4
    mask = predicted.lesion
    assert row["mri_max"] == np.float32(f"{mri.transpose(2, 1, 0)[mask].max():.6g}")
    assert row["voxels"] == mask.sum() and row["volume_ml"] == pytest.approx(mask.sum() * 3 / 1000, abs=1e-4)
    place = to_mri @ [*np.argwhere(mask).mean(axis=0)[::-1], 1]
    assert [row["x_mm"], row["y_mm"], row["z_mm"]] == pytest.approx(place[:3], abs=0.006)
    assert np.abs(place[:2] - [-1.4, 2.9]).max() < 0.5, "the middle of the hot spot"


def test_where_pet_ends_nothing_is_predicted_and_that_is_told(trained, tmp_path):
    volumes = {name: data for name, data in scan_of(1).items() if name != "mask"}
    manifest = write_scans(tmp_path / "new", {"a": volumes})
    short = nib.Nifti1Image(volumes["mri"][:, :, :2], UPRIGHT)
    short.to_filename(tmp_path / "new" / "a" / "mri.nii.gz")
    found = hnscc.predict(
        trained.root, manifest, tmp_path / "out", variant="pet_mri", probabilities=True, disagreement=True
    )
    (scan,) = found.facts["scans"]
    assert any("mri: 2 of 4 slices (2 to 3," in line for line in scan["told"])
    for kind in ("mask", "probability", "disagreement"):
        values = np.asarray(nib.load(tmp_path / "out" / scan["files"][kind]).dataobj)
        assert not values[:, :, 2:].any()
    assert values.shape[2] == 4


def test_of_several_folds_the_bounds_that_most_pixels_lie_beyond_are_told(trained, tmp_path):
    """PET from 0 to 10.23 in 1,024 steps: of bounds of 0 to 10.5 none lies beyond, of 2 to 8 the 200 below 2 and the
    223 above 8."""
    models = models_of(trained, "pet_mri")
    one, other = models.members
    bounds = (((0.0, 10.5), (0.0, 1.0)), ((2.0, 8.0), (-1.0, 1.0)))
    members = tuple(replace(each, bounds=of) for each, of in zip((one, other), bounds, strict=True))
    pet = np.diag([-4.0, -4.0, 4.0, 1.0])
    scan = placed_by_mri(
        tmp_path, np.random.default_rng(1).random((16, 16, 9)), pet, of=(np.ones((16, 16, 9)), pet)
    )
    images = np.stack([np.arange(1024) / 100, np.full(1024, 0.1)], axis=0).astype(np.float32)
    found = intensities_of(
        replace(scan, images=images.reshape(2, 4, 16, 16).swapaxes(0, 1)), replace(models, members=members)
    )
    assert found["pet"] == {"low": 2.0, "high": 8.0, "outside": round(423 / 1024, 6), "reach": 1.372}
    assert (found["mri"]["outside"], found["mri"]["reach"]) == (0, 0.1)
