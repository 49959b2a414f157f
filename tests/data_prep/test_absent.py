"""What a file holds but is no image: slices of noise, copies of a slice, parts cut out; networks do not see them."""

import numpy as np
import pytest
from scans import LPS, place, prepare, refused, save, volume, write

from data_prep.placing.absent import absent

SHAPE = (40, 36, 20)


def body(seed: int = 0, air: float = 5.0) -> np.ndarray:
    """An ellipsoid of its own size in noise (x, y, z), which the first and last slices show little of."""
    rng = np.random.default_rng(seed)
    wide, high = rng.uniform(12, 17, 2)
    x, y, z = np.indices(SHAPE) - np.array([19.5, 17.5, 9.5])[:, None, None, None]
    inside = (x / wide) ** 2 + (y / high) ** 2 + (z / 11) ** 2 < 1
    return (inside * rng.normal(500, 50, SHAPE) + np.abs(rng.normal(0, air, SHAPE))).astype(np.float32)


def masked(seed: int = 0) -> np.ndarray:
    """The same with air of exactly 0, as programs that take the background away write it."""
    data = body(seed)
    return np.where(data > 100, data, 0).astype(np.float32)


def padded(data):
    data[:, :, 12:] = np.random.default_rng(1).random(data[:, :, 12:].shape) * data.max() * 1e-3


def repeated(data):
    data[:, :, 12:] = data[:, :, 11:12]


def nearly_repeated(data):
    repeated(data)
    data[:, :, 12:] += np.random.default_rng(1).normal(0, 0.1, data[:, :, 12:].shape).astype(np.float32)


def one_bright_voxel(data):
    data[:, :, 12:] = 0
    data[3, 4, 12:] = 900


def noise_of_a_tenth_of_the_range(data):
    data[:, :, 12:] = np.random.default_rng(1).random(data[:, :, 12:].shape) * data.max() * 0.1


def mirrored(data):
    data[:, :, 12:] = data[:, :, 10:2:-1]


def fading(data):
    for z in range(12, 20):
        data[:, :, z] = data[:, :, z - 1] * 0.8


LATER = {
    each.__name__: each
    for each in (
        padded,
        repeated,
        nearly_repeated,
        one_bright_voxel,
        noise_of_a_tenth_of_the_range,
        fading,
        mirrored,
    )
}


@pytest.mark.parametrize("how", LATER)
def test_slices_that_are_no_image_are_found(how):
    data = body()
    LATER[how](data)
    found = absent(data)
    np.testing.assert_array_equal(found.all(axis=(0, 1)), np.arange(20) >= 12)
    assert not found[:, :, :12].any()


@pytest.mark.parametrize("make", [body, masked])
def test_whole_volumes_have_none(make):
    for seed in range(5):
        assert absent(make(seed)) is None
    rounded = np.rint(make(0) / 4)
    assert absent(rounded.astype(np.float32)) is None


@pytest.mark.parametrize("doubled", [(5,), (3, 6, 14), (8, 9)])
def test_slices_that_are_the_one_before_once_more_are_found(doubled):
    data = body()
    for z in doubled:
        data[:, :, z] = data[:, :, z - 1]
    found = absent(data)
    np.testing.assert_array_equal(np.flatnonzero(found.all(axis=(0, 1))), doubled)
    np.testing.assert_array_equal(np.flatnonzero(found.any(axis=(0, 1))), doubled)


def test_single_slices_of_noise_are_found_and_volumes_of_noise_are_left():
    data, rng = body(), np.random.default_rng(1)
    for z in (4, 11):
        data[:, :, z] = rng.random(SHAPE[:2]) * 50
    np.testing.assert_array_equal(np.flatnonzero(absent(data).all(axis=(0, 1))), (4, 11))
    assert absent(rng.random(SHAPE).astype(np.float32)) is None


def test_slices_of_far_less_signal_than_those_beside_them_are_found():
    """Three slices at an eighth of their signal; at half of it they are still an image."""
    data = body()
    data[:, :, 5:14:4] *= 0.5
    assert absent(data) is None
    data[:, :, 5:14:4] *= 0.25
    np.testing.assert_array_equal(np.flatnonzero(absent(data).all(axis=(0, 1))), (5, 9, 13))


def between(data, slices):
    """Thinner slices: each the mean of the two beside it, by their distance."""
    at = np.linspace(0, data.shape[2] - 1, slices)
    low = np.minimum(at.astype(int), data.shape[2] - 2)
    return ((low + 1 - at) * data[:, :, low] + (at - low) * data[:, :, low + 1]).astype(np.float32)


@pytest.mark.parametrize("first, behind", [(5, 7), (4, 12)])
def test_several_slices_in_a_row_of_far_less_signal_are_found(first, behind):
    data = body()
    data[:, :, first:behind] *= 0.3
    found = absent(data)
    np.testing.assert_array_equal(np.flatnonzero(found.all(axis=(0, 1))), np.arange(first, behind))


def test_slices_between_two_hot_spots_and_those_towards_an_end_are_no_dim_ones():
    """Spots of ten times the tissue in 2 % of the slices below and above; a signal that falls by a tenth per slice."""
    data = body()
    data[15:20, 15:21, :6] *= 10
    data[15:20, 15:21, 12:] *= 10
    assert absent(data) is None
    assert absent(body() * (0.9 ** np.arange(SHAPE[2])).astype(np.float32)) is None
    end = body()
    end[:, :, 15:] *= 0.3  # nothing tells a body's end from these
    assert absent(end) is None


def test_a_gap_that_was_filled_by_interpolation_is_found_and_thinner_slices_are_whole():
    data = body()
    for slices in (39, 58, 77, 30):
        assert absent(between(data, slices)) is None
    data[:, :, 6:13] = between(data[:, :, [5, 13]], 9)[:, :, 1:-1]
    np.testing.assert_array_equal(np.flatnonzero(absent(data).all(axis=(0, 1))), np.arange(6, 13))


def test_thinner_slices_by_the_nearest_of_the_thick_ones_are_whole():
    data = body()
    for slices in (25, 27, 33):
        nearest = np.floor((np.arange(slices) + 0.5) * 20 / slices).astype(int)
        assert absent(np.ascontiguousarray(data[:, :, nearest])) is None


def test_a_small_block_of_zeros_within_the_body_takes_its_slices():
    """Of 0.05 % of the volume."""
    data = np.pad(body(), ((40, 40), (40, 40), (0, 0)), mode="reflect")
    data[56:62, 54:61, 9:11] = 0
    np.testing.assert_array_equal(np.flatnonzero(absent(data).all(axis=(0, 1))), (9, 10))


@pytest.mark.parametrize("times", [2, 4])
def test_slices_written_several_times_by_resampling_are_whole(times):
    assert absent(body()[:, :, :10].repeat(times, axis=2)) is None


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("make", [body, masked])
def test_a_half_cut_off_along_a_line_is_found(turn, make):
    data = make()
    data[:18] = 0
    data = np.rot90(data, turn)
    found = np.rot90(absent(np.ascontiguousarray(data)), -turn)
    assert found[:18, :, 4:16].all() and not found[18:].any()


def test_a_box_cut_out_of_a_body_takes_its_slices():
    data = body()
    data[15:24, 14:22, 5:9] = 0
    found = absent(data)
    np.testing.assert_array_equal(found.all(axis=(0, 1)), np.isin(np.arange(20), (5, 6, 7, 8)))
    assert not found[:, :, [0, 4, 9, 19]].any()


def cohort(folder, change, of=(1,), scans: int = 6):
    """Scans of one modality, `change` made to those of these numbers; every other one has a lesion in slice 3."""
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(scans):
        data, mask = body(number), np.zeros(SHAPE, np.uint8)
        mask[18:24, 15:21, 3] = number % 2
        if number in of:
            change(data)
        write(folder / f"{number}.nii", data, LPS)
        write(folder / f"{number}-mask.nii", mask, LPS)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii" if number % 2 else ""])
    return save(folder, rows)


def in_some(data):
    data[:14, :, 5:9] = 0


def hole(data):
    data[15:24, 14:22, 5:9] = 0


UNUSED = {
    padded: range(12, 20),
    repeated: range(12, 20),
    hole: range(5, 9),
    in_some: range(5, 9),
}


@pytest.mark.quick(1)
@pytest.mark.parametrize("change", UNUSED)
def test_such_slices_are_not_used_and_told(tmp_path, change):
    store = prepare(cohort(tmp_path, change, of=(2,)), tmp_path / "s.zarr", size=40, workers=1)
    unused = list(UNUSED[change])
    assert [scan.placement["outside"]["mri"] for scan in store.scans] == [[], [], unused, [], [], []]
    assert store.scans[2].unseen(["mri"]) == frozenset(unused)
    assert f"scan S2: mri does not show {len(unused)} of 20 slices whole, which are not sampled" in store.odd


def test_a_body_is_measured_by_the_slices_that_are_shown(tmp_path):
    """In air of noise, which lies above what fills two slices without a number: that is no air."""

    def placed(unseen: list[int]) -> dict:
        data = body(0, air=40.0)
        data[:, :, unseen] = np.nan
        write(tmp_path / "0.nii", data, LPS)
        rows = [["patient_id", "scan_id", "mri", "mask"], ["P0", "S0", "0.nii", ""]]
        store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=40, workers=1, overwrite=True)
        assert store.scans[0].placement["outside"]["mri"] == unseen
        return store.scans[0].placement["values"]["mri"]

    whole, cut = placed([]), placed([8, 9])
    np.testing.assert_allclose(cut["body"]["radii"], whole["body"]["radii"], atol=0.7)
    assert cut["tissue"]["median"] == pytest.approx(whole["tissue"]["median"], rel=0.02)


def test_half_of_every_slice_without_an_image_needs_a_reason(tmp_path):
    def half(data):
        data[:20] = 0

    manifest = cohort(tmp_path, half, of=(2,))
    refused(manifest, "row 4, scan S2: mri shows nothing in 50% of most slices", "--accept-odd", size=40)


def test_parts_that_all_scans_lack_are_their_field_of_view(tmp_path):
    def third(data):
        data[:13] = 0

    store = prepare(cohort(tmp_path, third, of=range(6)), tmp_path / "s.zarr", size=40, workers=1)
    assert store.odd == () and not any(scan.placement["outside"]["mri"] for scan in store.scans)
    assert all(scan.placement["absent"]["mri"] == pytest.approx(13 / 40) for scan in store.scans)


def test_an_end_of_two_fifths_of_the_noise_is_found_and_one_of_two_thirds_or_of_whole_numbers_is_whole():
    """Beds of a scanner differ by as much; and of values rounded coarsely nothing is said."""
    rng = np.random.default_rng(4)
    fresh = rng.normal(0, 1, (40, 36, 20)).astype(np.float32)
    at = np.arange(20) >= 14
    inside = body(1) > 250
    tissue = np.where(inside.any(axis=2, keepdims=True), 500.0, 0.0)
    for share, found in ((1.0, False), (0.67, False), (0.4, True)):
        data = (tissue + 30 * fresh * np.where(at, share, 1.0)).astype(np.float32)
        assert (absent(data) is not None) == found
    assert absent(np.round(data / 60).astype(np.float32)) is None


def test_on_another_grid_the_slices_that_lie_there_are_no_image():
    """PET of 3 mm, whose last 8 of 20 slices begin at 34.5 mm. Of MRI slices of 2 mm, of which the first lies at
    -0.5 mm, slice 17 lies at 33.5 mm and slice 18 at 35.5 mm."""
    data = body()
    padded(data)
    grid = np.diag([-1.0, -1, 2, 1])
    grid[2, 3] = -0.5
    pet, mri = (
        volume(data, np.diag([-1.0, -1, 3, 1])),
        volume(np.random.default_rng(2).random((40, 36, 30)), grid),
    )
    placed = place({"pet": pet, "mri": mri}, None, reference="mri", size=40)
    assert placed.placement["outside"] == {"pet": list(range(18, 30)), "mri": []}


def test_a_dim_run_of_more_than_half_of_the_slices_is_an_image():
    data = body()
    data[:, :, 5:15] /= 8
    np.testing.assert_array_equal(np.flatnonzero(absent(data).all(axis=(0, 1))), range(5, 15))
    data[:, :, 15] /= 8
    assert absent(data) is None
