"""A file that was copied into another row is found there by its content, wherever that row's grid lays it."""

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations
from scans import LPS, prepare, refused, save, scan_arrays, volume, write
from scipy import ndimage

from data_prep.oddities.copies import Kept, find_copies, kept_of

SHAPE = (40, 32, 12)
MOVED = np.array(LPS)
MOVED[:3, 3] = (-3.3, 2.4, 4.5)  # where the second visit's head lay


def pet(seed: int, noise: float = 0.0) -> np.ndarray:
    """A smooth head and noise of its own."""
    x, y, z = np.indices(SHAPE) - (np.array(SHAPE).reshape(3, 1, 1, 1) - 1) / 2
    own = np.random.default_rng(seed).normal(size=(3, *SHAPE))
    return 8 * np.exp(-((x / 12) ** 2 + (y / 10) ** 2 + (z / 4) ** 2)) + 0.3 * own[0] + noise * own[1]


def visits(folder, second, name="pet", patient="P0", column="pet"):
    """Two visits and a patient beside them; in the second one's row `column` names a copy of the first one's file of
    `name`, changed by `second`, though its MRI lies elsewhere."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(3):
        lies = LPS if number != 1 else MOVED
        images = {"pet": pet(number), "mri": scan_arrays(number, SHAPE)[1]}
        for each, data in images.items():
            write(folder / f"s{number}" / f"{each}.nii.gz", data.astype(np.float32), lies)
        mask = scan_arrays(number, SHAPE)[2]
        write(folder / f"s{number}" / "mask.nii.gz", np.roll(mask, number, axis=0), lies)
        files = [f"s{number}/{each}.nii.gz" for each in ("pet", "mri", "mask")]
        rows.append([("P0", patient, "P2")[number], f"S{number}", *files])
    first = nib.load(folder / "s0" / f"{name}.nii.gz")
    write(folder / "s1" / f"{column}.nii.gz", *second(np.asarray(first.dataobj), first.affine))
    return save(folder, rows)


def turned(data, affine):
    turn = orientations.ornt_transform(orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt("RSA"))
    return orientations.apply_orientation(data, turn), affine @ orientations.inv_ornt_aff(turn, data.shape)


COPIES = {
    "as it is": lambda data, affine: (data, affine),
    "in another unit": lambda data, affine: (data * np.float32(4300), affine),
    "of 256 values": lambda data, affine: (np.rint((data + 2) * 22).astype(np.uint8), affine),
    "its header written anew": lambda data, affine: (data, MOVED),
    "mirrored": lambda data, affine: (data[::-1], affine),
    "in another order of axes": turned,
}


@pytest.mark.quick(1)
@pytest.mark.parametrize("how", COPIES)
def test_a_file_of_one_visit_in_the_row_of_another_is_told(tmp_path, how):
    """It was silent: placed on the grids of two visits, copies have no slice in common."""
    store = prepare(
        visits(tmp_path, COPIES[how]), tmp_path / "s.zarr", size=20, workers=1, accept_odd="units"
    )
    assert "scan S1: pet is that of scan S0, of the same patient, too: of which visit is it?" in store.odd


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    "change", [lambda data: ndimage.gaussian_filter(data, 0.4), lambda data: np.minimum(data, 7.5)]
)
@pytest.mark.parametrize("patient, whose", [("P0", "the same patient"), ("P1", "another patient")])
def test_a_copy_that_was_smoothed_or_cut_off_is_told(tmp_path, change, patient, whose):
    manifest = visits(tmp_path, lambda data, affine: (change(data), affine), patient=patient)
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1, accept_odd="units")
    assert any(
        text.startswith(f"scan S1: pet is nearly that of scan S0, of {whose} (corr") for text in store.odd
    )


@pytest.mark.quick(1)
@pytest.mark.parametrize("how", COPIES)
def test_a_file_of_one_patient_in_the_row_of_another_is_refused(tmp_path, how):
    manifest = visits(tmp_path, COPIES[how], patient="P1")
    refused(
        manifest, "same images", "row 3, scan S1, column pet", "row 2, scan S0", size=20, accept_odd="units"
    )


@pytest.mark.parametrize("patient, number", [("P0", 0), ("P1", 0)])
def test_a_file_in_the_column_of_another_modality_is_told(tmp_path, patient, number):
    manifest = visits(tmp_path, COPIES["as it is"], "mri", patient, "pet")
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1, accept_odd="units")
    assert "scan S1: pet is the image that mri of scan S0 is, too: which of both is it?" in store.odd


def test_the_image_of_one_modality_in_both_columns_of_a_row_is_told(tmp_path):
    manifest = visits(tmp_path, COPIES["as it is"], patient="P1")
    for name in ("pet", "mri"):
        write(tmp_path / "s1" / f"{name}.nii.gz", (pet(5) * (1 + (name == "mri"))).astype(np.float32), MOVED)
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1, accept_odd="units")
    assert "scan S1: mri is the image that pet is, too: which of both is it?" in store.odd


@pytest.mark.parametrize("noise, same", [(0.01, True), (0.3, False)])
def test_what_two_acquisitions_differ_by_is_no_copy(noise, same):
    """Noise of 0.6 % and of 17 % of the contrast."""
    files = [[kept_of(volume(pet(1, each)))] for each in (0.0, noise)]
    assert [each.same for each in find_copies(files)] == [True] * same


def test_how_well_files_must_correlate_by_hand():
    """By 0.9995 they are nearly the same, and by 0.99999 they are."""
    one, other = np.linalg.qr(np.random.default_rng(0).normal(size=(2 * 256, 2)))[0].T
    for alike, same in ((0.9994, None), (0.9996, False), (0.99998, False), (0.999995, True)):
        means = (one, alike * one + np.sqrt(1 - alike**2) * other)
        files = [[Kept((16, 16, 2), each.astype(np.float32))] for each in means]
        assert [each.same for each in find_copies(files)] == ([] if same is None else [same])


def test_of_a_long_file_16_slices_are_kept():
    ramp = np.broadcast_to(np.arange(24.0), (32, 16, 24))
    kept = kept_of(volume(ramp))
    picked = np.array([0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23])
    assert kept.shape == (32, 16, 24) and kept.means.shape == (16 * 256,)
    np.testing.assert_allclose(
        kept.means[::256] * np.ptp(picked) / np.ptp(kept.means), picked - picked.mean(), atol=1e-5
    )


def test_volumes_of_one_value_or_of_another_shape_are_no_copies():
    flat = [[kept_of(volume(np.full(SHAPE, value)))] for value in (0.0, 3.7)]
    assert find_copies(flat) == [] and not flat[1][0].means.any()
    assert find_copies([[kept_of(volume(pet(1)))], [kept_of(volume(pet(1)[:, :, 1:]))]]) == []


@pytest.mark.quick(1)
@pytest.mark.parametrize("row, other", [(1, 0), (0, 1)])
@pytest.mark.parametrize("how, told", [("as it is", "the same images"), ("smooth", "nearly the same images")])
def test_a_copy_that_does_not_cover_the_grid_is_told_before_that(tmp_path, row, other, how, told):
    """Another patient's file mostly lies elsewhere: that alone was said, and the copy not."""
    manifest = visits(tmp_path, COPIES["as it is"], patient="P1")
    name, far = tmp_path / f"s{row}" / "pet.nii.gz", np.array(LPS)
    far[0, 3] += 200
    data = np.asarray(nib.load(tmp_path / f"s{other}" / "pet.nii.gz").dataobj)
    write(name, ndimage.gaussian_filter(data, 0.4) if how == "smooth" else data, far)
    text = refused(manifest, "2 faults were found", "does not cover the grid", size=20, accept_odd="units")
    first = text[: text.index("  2. ")]
    assert f"row {row + 2}, scan S{row}, column pet: Two scans hold {told}" in first
    assert f"those of manifest row {other + 2}, scan S{other}" in first
