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
    if abs(value) < 1e15:  # in a mask it may mean something
        assert measured(data, GRID, "S", labels=True).padding is None


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


def padding_of(data: np.ndarray) -> Padding | None:
    """What is found in values (x, y, z) of SHAPE, or in so many values in that order."""
    return measured(data.reshape(SHAPE).astype(np.float32), GRID, "S").padding


def around(value: float, voxels: int, rest: np.ndarray) -> np.ndarray:
    """The values of SHAPE in order: one value in the first voxels, which reach the border, then the rest, repeated."""
    return np.concatenate([np.full(voxels, value), np.resize(rest, np.prod(SHAPE) - voxels)])


@pytest.mark.parametrize("sign", [-1, 1])
def test_from_a_hundredth_to_half_of_the_voxels_may_stand_for_nothing(sign):
    """16 to 800 of 1,600 voxels. Half of them are filled still, and one more is told alone."""
    for voxels, filled in ((15, None), (16, True), (800, True), (801, False)):
        value = sign * 2000.0 * (1 if sign < 0 else 10)
        expected = None if filled is None else Padding(value, voxels, filled)
        assert padding_of(around(value, voxels, np.arange(101))) == expected


def test_padding_has_sixteen_other_values_beside_it():
    """A label map with -1 around it has fewer."""
    assert padding_of(around(-1000, 80, np.arange(15))) is None
    assert padding_of(around(-1000, 80, np.arange(16))) == Padding(-1000.0, 80, True)


@pytest.mark.parametrize(("sign", "ranges"), [(-1, 0.25), (1, 2.0)])
def test_padding_lies_a_quarter_of_the_others_range_below_them_or_two_above(sign, ranges):
    """The others are 0 to 100, and their range is that of 98 % of them, by NumPy's percentiles."""
    rest = np.resize(np.arange(101), np.prod(SHAPE) - 80)
    least = ranges * np.subtract(*np.percentile(rest, [99, 1]))
    beside = 0 if sign < 0 else 100
    for apart, told in ((least - 0.2, False), (least + 0.2, True)):
        found = padding_of(around(beside + sign * apart, 80, rest))
        assert (found is not None) == told


def mixed(lowest=-1000.0, pure=100, between=(-600.0,) * 9, ends=(0.0, 8.0)):
    """Padding and values within a thousandth of it, of which there are half as many, then mixtures with the image."""
    rounded = np.full(pure // 2, lowest * 0.9995)
    first = np.concatenate([np.full(pure - len(rounded), lowest), rounded, between])
    return np.concatenate([first, np.resize(np.linspace(*ends, 17), np.prod(SHAPE) - len(first))])


def test_what_interpolation_mixed_with_padding_is_told_from_it_and_from_the_image():
    """-998 is 0.2 % off; and so is all below 0, where a fifth of the rest, from 0 to 8, lies at 1.5 or less."""
    assert padding_of(mixed(between=(-998.0, *[-600.0] * 8, -3.0))) == Padding(-1000.0, 110, True, 10)
    # Where an image has values below 0: what lies as far below the lowest fifth of them as its range.
    assert padding_of(mixed(ends=(-4.0, 4.0))) == Padding(-1000.0, 109, True, 9)
    # 16 of 1,600 voxels, and half of them.
    assert padding_of(mixed(pure=15)) is None
    assert padding_of(mixed(pure=16)) == Padding(-1000.0, 25, True, 9)
    assert padding_of(mixed(pure=791)) == Padding(-1000.0, 800, True, 9)
    assert padding_of(mixed(pure=792)) == Padding(-1000.0, 801, False, 9)


def test_what_lies_between_is_a_mixture_where_a_quarter_of_it_is_near_the_padding():
    """At 0.55 of the way from -1,000 to the lowest fifth of the image, at about 1.5, or before: up to -449."""
    assert padding_of(mixed(between=(-455.0,) * 9)) == Padding(-1000.0, 109, True, 9)
    assert padding_of(mixed(between=(-440.0,) * 9)) is None
    assert padding_of(mixed(between=(-455.0,) * 4 + (-10.0,) * 8)) == Padding(-1000.0, 112, True, 12)


def test_mixed_padding_lies_twenty_ranges_of_the_image_below_it():
    """The range is that from the lowest fifth to the highest hundredth: about 6.5, so that 130 are asked."""
    assert padding_of(mixed(lowest=-120.0, between=(-70.0,) * 9)) is None
    assert padding_of(mixed(lowest=-140.0, between=(-80.0,) * 9)) == Padding(-140.0, 109, True, 9)


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
