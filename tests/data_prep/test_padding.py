"""A value that stands for nothing is told from measured ones, and taken as NaN around the field of view is."""

import numpy as np
import pytest
from scans import LPS, analyze, cohort, prepare, save, scan_arrays, write

from data_prep.volumes.padding import measured
from data_prep.volumes.volume import Grid, Padding
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
        "scan S1: mri had no number in 120 voxels (NaN, filled); 120 voxels of that lie within the volume, "
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
