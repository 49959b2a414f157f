"""A value that stands for nothing is told from measured ones, and taken as NaN around the field of view is: that is
filled and told; NaN within a volume is refused."""

import numpy as np
import pytest
from scans import LPS, analyze, cohort, place, prepare, refused, save, scan_arrays, volume, write

from data_prep.files.read import read_volume
from data_prep.volumes.padding import measured
from data_prep.volumes.volume import Grid, Padding, Volume
from hnscc.base.errors import InputError

SHAPE = (20, 16, 5)
GRID = Grid(SHAPE, LPS, True)
X, Y, Z = np.indices(SHAPE)
AROUND = (X - 9.5) ** 2 + (Y - 7.5) ** 2 > 60


def mri(seed: int = 0) -> np.ndarray:
    return np.rint(scan_arrays(seed)[1])


@pytest.mark.parametrize("value", [-32768.0, -2000.0, -1000.0, 65535.0, 3e38])
def test_what_stands_for_nothing_is_taken_as_nan_is(value):
    data = np.where(AROUND, value, mri()).astype(np.float32)
    found = measured(data, GRID, "S")
    assert found.padding == Padding(np.float32(value), int(AROUND.sum()), True)
    np.testing.assert_array_equal(found.blank, AROUND)
    assert (found.data[AROUND] == mri()[~AROUND].min()).all()
    np.testing.assert_array_equal(found.data[~AROUND], mri()[~AROUND])


@pytest.mark.parametrize(
    "data",
    [
        np.where(AROUND, 0, mri() + 500),  # what a program cut out or a threshold left is real
        np.where(scan_arrays()[0] < 4, 0, scan_arrays()[0]),
        np.where(AROUND, -1024, mri() * 3 - 1024),  # CT: air is as low as what is around it
        np.clip(mri(), 0, 400),
        np.where((X == 9) & (Y == 8) & (Z == 2), 40000, mri()),  # one hot voxel
        scan_arrays()[2],
        scan_arrays()[2] * 255,
        X // 4 - 1,  # labels
        np.full(SHAPE, 7),
    ],
    ids=[
        "background",
        "threshold",
        "CT",
        "clipped",
        "hot voxel",
        "mask",
        "mask of 255",
        "labels",
        "one value",
    ],
)
def test_measured_values_stay(data):
    found = measured(data.astype(np.float32), GRID, "S")
    assert found.padding is None and found.blank is None
    np.testing.assert_array_equal(found.data, data.astype(np.float32))


def test_most_of_a_volume_is_no_padding_around_a_field_of_view():
    """What a program cut out of an image stands in a background of some value, which is told and stays."""
    data = np.where(X > 4, -1000, mri()).astype(np.float32)
    found = measured(data, GRID, "S")
    assert found.padding == Padding(-1000.0, 1200, False) and found.blank is None


def test_a_value_that_stands_for_nothing_within_the_volume_is_refused():
    data = np.where((abs(X - 9) < 3) & (abs(Y - 8) < 3) & (Z == 2), -32768, mri()).astype(np.float32)
    with pytest.raises(InputError, match="stands for nothing") as caught:
        measured(data, GRID, "row 2, scan S, column mri")
    assert "-32768 in 25 voxels within it (25 in all)" in str(caught.value)


def test_padding_in_all_scans_is_no_duplicate(tmp_path):
    """It made 99.99 % of the contrast of every slice, so that all scans seemed to be one."""
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(4):
        write(tmp_path / f"{number}.nii", np.where(AROUND, -32768, mri(number)).astype(np.int16))
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=20, workers=1)
    text = f"mri holds -32768 in {AROUND.sum():,} voxels and nothing near it: a value that stands for nothing"
    assert store.odd == tuple(f"scan S{number}: {text}, filled as NaN is" for number in range(4))
    images, _ = store.read("S1")
    assert images.min() == mri(1)[~AROUND].min()
    assert store.scans[0].placement["values"]["mri"]["low"] == mri(0)[~AROUND].min()
    assert store.scans[0].placement["coverage"]["mri"] == pytest.approx((~AROUND).mean())


def resliced(number: int) -> np.ndarray:
    """PET (SUV) in a field of view with -1000 around it, resliced: at its border values lie between."""
    pet = np.where((X < 2) | (X >= 18), -1000, scan_arrays(number)[0] / 2)
    return np.where(Y < 8, 0.25 * pet + 0.75 * np.roll(pet, 1, 0), 0.6 * pet + 0.4 * np.roll(pet, 1, 0))


def test_padding_that_was_resliced_in_all_scans_is_no_duplicate(tmp_path):
    """Values between the padding and the image hid it, and it made nearly all of the contrast of every slice."""
    rows = [["patient_id", "scan_id", "pet", "mask"]]
    for number in range(4):
        write(tmp_path / f"{number}.nii", resliced(number))
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=20, workers=1)
    text = (
        "pet holds -1000 in 400 voxels (in 160 of them mixed with the image, as interpolation does): a value that "
        "stands for nothing, filled as NaN is"
    )
    assert [odd for odd in store.odd if "-1000" in odd] == [f"scan S{number}: {text}" for number in range(4)]
    assert all(store.read(f"S{number}")[0].min() >= 0 for number in range(4))


def test_air_above_a_value_that_stands_for_nothing_is_no_mixture_with_it():
    """CT: -3024 around the field of view, air at one end of the body, soft tissue of which the bright is cut off."""
    shape = (40, 16, 5)
    x = np.indices(shape)[0]
    rng = np.random.default_rng(0)
    tissue = np.where(x > 35, rng.normal(-1000, 10, shape), rng.normal(40, 40, shape)).clip(-1024, 160)
    data = np.where(x < 2, -3024, np.where(x == 2, -1500, tissue)).astype(np.float32)
    found = measured(data, Grid(shape, LPS, True), "S")
    assert found.padding == Padding(-3024.0, 160, True)
    np.testing.assert_array_equal(found.data[x > 2], data[x > 2])


def test_padding_in_the_scans_with_lesion_alone_is_told(tmp_path):
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(4):
        data = np.where((Z == 0) & (number % 2 == 1), -1000, mri(number))
        write(tmp_path / f"{number}.nii", data.astype(np.int16))
        write(tmp_path / f"{number}-mask.nii", scan_arrays()[2])
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii" if number % 2 else ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=20, workers=1)
    assert (
        "mri had a value that stands for nothing in 2 of 2 scans with lesion and in 0 of 2 without: a model could tell "
        "them apart by it"
    ) in store.odd


def test_nan_in_the_body_that_reaches_the_border_is_told_as_what_it_is(tmp_path):
    """A block, open to one side: 6 x 10 x 2 voxels, all of them between others that hold a value."""
    block = (abs(X - 9.5) < 3) & (Y >= 6) & (Z >= 3)
    manifest = cohort(tmp_path, 2)
    write(tmp_path / "s1" / "mri.nii.gz", np.where(block, np.nan, mri(1)).astype(np.float32))
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1)
    assert store.odd[1:] == (
        "scan S1: mri had no number in 120 voxels (NaN around it, filled); 120 voxels of that lie within the volume, "
        "between some that hold a value",
    )
    write(tmp_path / "s1" / "mri.nii.gz", np.where(AROUND, np.nan, mri(1)).astype(np.float32))
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1, overwrite=True)
    assert store.odd[-1] == f"scan S1: mri had no number in {AROUND.sum()} voxels (NaN around it, filled)"


def test_an_analyze_mask_that_fits_two_grids_says_so(tmp_path):
    """PET of MRI's shape and spacing that lies 8 mm farther left: the mask may be drawn on either."""
    pet, mri_, mask = scan_arrays()
    moved = LPS.copy()
    moved[0, 3] = -2.0
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"], ["P", "S", "pet.nii", "mri.nii", "mask.hdr"]]
    write(tmp_path / "mri.nii", mri_)
    write(tmp_path / "pet.nii", pet, moved)
    analyze(tmp_path / "mask.hdr", mask, (1, 1, 3))
    text = "scan S: the mask, which states no orientation, fits the grid of pet and of mri, which lie in different"
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=20, workers=1, reference="mri")
    assert f"{text} places; taken as mri" in store.odd
    write(tmp_path / "pet.nii", pet, LPS)
    store = prepare(save(tmp_path, rows), tmp_path / "t.zarr", size=20, workers=1, reference="mri")
    assert not any("fits the grid" in each for each in store.odd)


BLANK_SHAPE = (20, 16, 5)


def blanks() -> dict[str, np.ndarray]:
    """Voxels outside of a field of view, as programs that reslice leave them."""
    x, y, z = np.indices(BLANK_SHAPE)
    return {
        "two slices": z >= 3,
        "a cylinder": (x - 9.5) ** 2 + (y - 7.5) ** 2 > 60,
        "a tilted end": z * 4 + y > 22,
        "a corner": (x > 17) & (y > 13) & (z == 4),
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


@pytest.mark.parametrize("name", holes())
def test_nan_within_the_volume_is_refused(tmp_path, name):
    blank = holes()[name]
    write(tmp_path / "a.nii.gz", with_nan(blank))
    with pytest.raises(InputError, match="no numbers") as caught:
        read_volume(tmp_path / "a.nii.gz", "row 2, scan S, column pet")
    assert f"in {int(blank.sum())} in all" in str(caught.value)


def test_filled_voxels_are_counted_told_and_not_covered(tmp_path):
    """A slice and a half without numbers: 1.5 of 5 slices are not covered, and the empty slice is not used."""
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
