"""NaN around the field of view is filled and told, and NaN within a volume refused; so too of masks."""

from dataclasses import replace

import numpy as np
import pytest
from scans import LPS, cohort, place, prepare, refused, save, scan_arrays, volume, write

from data_prep.files.read import read_volume
from data_prep.volumes.volume import Volume
from hnscc.base.errors import InputError

BLANK_SHAPE = (20, 16, 5)


def blanks() -> dict[str, np.ndarray]:
    """Voxels outside of a field of view, as programs that reslice leave them."""
    x, y, z = np.indices(BLANK_SHAPE)
    return {
        "two slices": z >= 3,
        "a cylinder": (x - 9.5) ** 2 + (y - 7.5) ** 2 > 60,
        "a tilted end": z * 4 + y > 22,
        "a corner": (x > 17) & (y > 13) & (z == 4),
        "pieces that touch by corners": x == y,
        "all sides": (x < 2) | (x > 17) | (y < 2) | (y > 13) | (z < 1) | (z > 3),
    }


def holes() -> dict[str, np.ndarray]:
    x, y, z = np.indices(BLANK_SHAPE)
    one = np.zeros(BLANK_SHAPE, bool)
    one[9, 8, 2] = True
    return {
        "one voxel": one,
        "one voxel of the last slice": (x == 9) & (y == 8) & (z == 4),
        "a rod along the slices": (abs(x - 9) < 2) & (abs(y - 8) < 2),
        "a rod along the columns": (abs(x - 9) < 2) & (z == 2),
        "a rod along the rows": (abs(y - 8) < 2) & (z == 2),
        "a voxel beside a blank slice": (x == 9) & (y == 8) & (z == 3) | (z == 4),
        "beside a border": one | (z == 4),
    }


def with_nan(blank: np.ndarray) -> np.ndarray:
    data = scan_arrays()[0] + 1
    data[blank] = np.nan
    return data


@pytest.mark.parametrize("name", blanks())
def test_nan_around_the_field_of_view_is_filled_with_the_minimum(tmp_path, name):
    blank = blanks()[name]
    data = with_nan(blank)
    write(tmp_path / "a.nii.gz", data)
    volume = read_volume(tmp_path / "a.nii.gz", "S")
    assert (volume.data[blank] == np.nanmin(data)).all()
    np.testing.assert_array_equal(volume.data[~blank], data[~blank])
    np.testing.assert_array_equal(volume.blank, blank)


@pytest.mark.parametrize("value", [3.4e38, -3.4e38, 1e20, -np.inf])
def test_a_value_that_no_image_has_is_refused(tmp_path, value):
    data = scan_arrays()[0]
    data[9, 8, 2] = value  # one voxel: not a value that stands for nothing around the field of view
    write(tmp_path / "a.nii.gz", data)
    with pytest.raises(InputError, match="no image has") as caught:
        read_volume(tmp_path / "a.nii.gz", "row 2, column pet")
    assert "1e+15" in str(caught.value) and "in 1 voxel" in str(caught.value)


def test_a_volume_without_a_number_is_refused(tmp_path):
    write(tmp_path / "a.nii.gz", with_nan(np.ones(BLANK_SHAPE, bool)))
    with pytest.raises(InputError, match="holds no number") as caught:
        read_volume(tmp_path / "a.nii.gz", "S")
    assert caught.value.found == "NaN everywhere"


def test_values_in_a_small_or_a_large_unit_are_read(tmp_path):
    for times in (1e-9, 1e12):  # ADC in m2/s; counts
        write(tmp_path / "a.nii.gz", scan_arrays()[0] * np.float32(times))
        assert read_volume(tmp_path / "a.nii.gz", "S").blank is None


@pytest.mark.parametrize("name", holes())
def test_nan_within_the_volume_is_refused(tmp_path, name):
    blank = holes()[name]
    write(tmp_path / "a.nii.gz", with_nan(blank))
    with pytest.raises(InputError, match="no numbers") as caught:
        read_volume(tmp_path / "a.nii.gz", "row 2, scan S, column pet")
    assert f"in {int(blank.sum())} in all" in str(caught.value)


def test_filled_voxels_are_counted_told_and_not_covered(tmp_path):
    """A slice and a half without numbers: 1.5 of 5 slices are not covered, and the empty slice is not sampled."""
    manifest = cohort(tmp_path, 3)
    blank = np.zeros(BLANK_SHAPE, bool)
    blank[:, :, 0], blank[:10, :, 1] = True, True
    for number, outside in ((0, [0]), (1, [])):
        pet, _, mask = scan_arrays(number + 7)
        write(tmp_path / f"s{number}" / "pet.nii.gz", np.where(blank, np.nan, pet) if outside else pet)
        mask[:, :, :2] = 0
        write(tmp_path / f"s{number}" / "mask.nii.gz", mask)
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1)
    scan = store.scans[0]
    assert scan.placement["values"]["pet"]["nan"] == 20 * 16 + 10 * 16
    assert scan.placement["coverage"]["pet"] == pytest.approx(3.5 / 5)
    assert scan.placement["outside"] == {"pet": [0], "mri": []}
    images, _ = store.read("S0")
    pet = scan_arrays(7)[0]
    assert np.isfinite(images).all() and (images[0, 0] == pet[~blank].min()).all()
    np.testing.assert_allclose(images[1, 0, 2:18, 10:], pet[10:, :, 1].T, rtol=1e-6)
    assert "scan S0: pet had no number in 480 voxels (NaN around it, filled)" in store.odd


def test_a_lesion_where_the_volume_holds_no_numbers_is_refused(tmp_path):
    manifest = cohort(tmp_path, 2)
    pet, _, _ = scan_arrays()
    pet[:, :, 3:] = np.nan
    write(tmp_path / "s0" / "pet.nii.gz", pet)
    refused(manifest, "does not cover the lesion", "row 2", "column pet")


def test_nan_does_not_spread_into_the_image():
    """PET on a grid of its own, 2 mm, begins at y = 2 (its voxel 2); MRI's pixel y lies at PET's (y + 0.5) / 2.

    At 1.75 it holds a quarter of the minimum and three of the value; at 1.25 most of it is blank: the minimum, as
    behind PET's end.
    """
    data = np.full((10, 8, 5), 5.0, np.float32)
    blank = np.zeros(data.shape, bool)
    blank[:, :2], data[:, :2] = True, 1.0
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    affine[:2, 3] = (0.5, 0.5)
    mri = volume(scan_arrays()[1])
    pet = volume(data, affine)
    placed = place({"pet": Volume(pet.data, pet.grid, blank), "mri": mri}, None, size=20)
    column = placed.images[2, 0, 2:18, 10]
    np.testing.assert_allclose(column, [1, 1, 1, 0.25 * 1 + 0.75 * 5, *[5] * 11, 1])


def test_a_mask_with_nan_around_it_is_read(tmp_path):
    rows = [["patient_id", "scan_id", "mri", "mask"], ["P", "S", "mri.nii", "mask.nii"]]
    _, mri, mask = scan_arrays()
    drawn = mask.astype(np.float32)
    drawn[:2] = np.nan
    write(tmp_path / "mri.nii", mri)
    write(tmp_path / "mask.nii", drawn, LPS)
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=20, workers=1)
    np.testing.assert_array_equal(store.read("S")[1][:, 2:18], mask.transpose(2, 1, 0))
    assert store.odd == ("scan S: the mask had no number in 160 voxels (NaN around it, filled)",)


@pytest.mark.parametrize(
    "lowest, told", [(1, "and 1 in all others"), (2, "and 2 values, from 2 to 3, in all others")]
)
@pytest.mark.parametrize("roi", ["", "label:2"])
def test_a_mask_of_nan_and_no_0_is_refused_as_that(tmp_path, lowest, told, roi):
    """It was said to be not binary, of 1 value from 1 to 1; and with a label, all that is NaN was lesion."""
    rows = [["patient_id", "scan_id", "mri", "mask", "roi"], ["P", "S", "mri.nii", "mask.nii", roi]]
    _, mri, mask = scan_arrays()
    drawn = np.where(mask > 0, np.float32(lowest), np.float32(np.nan))
    drawn[8, 8, 2] *= 1 + (lowest - 1) / 2
    write(tmp_path / "mri.nii", mri)
    write(tmp_path / "mask.nii", drawn, LPS)
    refused(
        save(tmp_path, rows),
        "The mask holds NaN, which is no number, and no 0.",
        f"NaN in {int((mask == 0).sum()):,} voxels of 1,600, {told}",
        "If there is no lesion where NaN stands, write 0 there",
        size=20,
    )


def test_what_fills_a_circular_field_of_view_changes_no_body():
    """A disc of radius 20 mm in air of noise about 0.1; NaN beyond 30 mm from the middle, in whose place the lowest
    value of the file stands: were it taken for air, noise would be body."""
    _, y, x = np.mgrid[:6, :64, :64]
    away = np.hypot(y - 31.5, x - 31.5)
    rng = np.random.default_rng(0)
    data = np.where(away <= 20, 1.0, 0.1) + 0.02 * np.abs(rng.normal(0, 1, away.shape))
    data[0, 32, 32] = 0
    outside = (away > 30).transpose(2, 1, 0)
    plain = volume(data.transpose(2, 1, 0))
    filled = replace(volume(np.where(outside, 0, plain.data)), blank=outside)
    mri = volume(np.where(away <= 20, 5.0, 0.0).transpose(2, 1, 0))
    whole, cut = (
        place({"pet": pet, "mri": mri}, None, size=64).placement["values"]["pet"]["body"]
        for pet in (plain, filled)
    )
    np.testing.assert_allclose(cut["radii"], whole["radii"], atol=0.5)
    assert np.mean(cut["radii"]) == pytest.approx(20, abs=3)  # smoothed over 5 x 5 pixels
