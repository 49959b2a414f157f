"""The same images under two patients are found by content: other masks, number types, scales, mirrored or cropped."""

import shutil

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations
from scans import LPS, cohort, prepare, refused, save, scan_arrays, write

from data_prep.oddities.twins import find_between, find_twins, means_of, reduced

SHAPE = (20, 16, 8)


def pair(folder, second, patients=("P0", "P1"), share=("pet", "mri"), noise=0.0):
    """Two scans and a third of its own; the second's `share` are the first's, changed by `second`."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(3):
        pet, mri, mask = scan_arrays(number, SHAPE)
        if number == 1:
            first = scan_arrays(0, SHAPE)
            rng = np.random.default_rng(9)
            first = [each + noise * each.std() * rng.standard_normal(SHAPE) for each in first[:2]]
            pet = second(first[0]) if "pet" in share else pet
            mri = second(first[1]) if "mri" in share else mri
            mask = np.roll(mask, 2, axis=0)
        for name, data in (("pet", pet), ("mri", mri), ("mask", mask)):
            write(folder / f"s{number}" / f"{name}.nii.gz", data)
        patient = patients[number] if number < 2 else "P2"
        rows.append([patient, f"S{number}", *(f"s{number}/{name}.nii.gz" for name in ("pet", "mri", "mask"))])
    return save(folder, rows)


SAME = {
    "as float32": lambda data: data.astype(np.float32),
    "as int16": lambda data: np.rint(data / data.max() * 4095).astype(np.int16),
    "in another unit": lambda data: (data * 4300).astype(np.float32),
    "mirrored": lambda data: data[::-1].astype(np.float32),
    "upside down": lambda data: data[:, :, ::-1].astype(np.float32),
}


@pytest.mark.quick(7)
@pytest.mark.parametrize("share", [("pet", "mri"), ("pet",), ("mri",)])
@pytest.mark.parametrize("how", SAME)
def test_one_scan_under_two_patients_is_refused(tmp_path, how, share):
    """The masks differ, and in most cases one modality alone is shared."""
    manifest = pair(tmp_path, SAME[how], share=share)
    text = refused(
        manifest, "same images", "row 3, scan S1", "row 2, scan S0", size=20, accept_odd="other units"
    )
    assert f"column {share[0]}" in text


def test_a_scan_with_lesion_and_its_copy_without_a_mask_are_found(tmp_path):
    manifest = cohort(tmp_path, 4)
    for name in ("pet", "mri"):
        image = nib.load(tmp_path / "s0" / f"{name}.nii.gz")
        scaled = nib.Nifti1Image(np.asarray(image.dataobj) * 1000, image.affine)
        scaled.set_data_dtype(np.int16)
        scaled.to_filename(tmp_path / "s3" / f"{name}.nii.gz")
    refused(manifest, "same images", "row 5, scan S3", "row 2, scan S0", accept_odd="thousandths")


def test_the_same_scan_in_another_order_of_axes_is_found(tmp_path):
    manifest = pair(tmp_path, lambda data: data)
    turn = orientations.ornt_transform(orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt("RSA"))
    for name in ("pet", "mri", "mask"):
        data = np.asarray(nib.load(tmp_path / "s1" / f"{name}.nii.gz").dataobj)
        affine = LPS @ orientations.inv_ornt_aff(turn, data.shape)
        write(tmp_path / "s1" / f"{name}.nii.gz", orientations.apply_orientation(data, turn), affine)
    refused(manifest, "same images", "row 3, scan S1", size=20)


def test_a_scan_cropped_by_a_few_slices_is_found(tmp_path):
    manifest = pair(tmp_path, lambda data: data)
    for name in ("pet", "mri", "mask"):
        data = np.asarray(nib.load(tmp_path / "s1" / f"{name}.nii.gz").dataobj)
        write(tmp_path / "s1" / f"{name}.nii.gz", data[:, :, 1:6])
    refused(manifest, "same images", "row 3, scan S1", size=20)


def test_another_visit_of_the_same_head_is_no_twin(tmp_path):
    """A fifth of the contrast is noise: two acquisitions. A thousandth: one, written twice."""
    prepare(
        pair(tmp_path, lambda data: data.astype(np.float32), noise=0.2),
        tmp_path / "s.zarr",
        size=20,
        workers=1,
    )
    refused(pair(tmp_path, lambda data: data.astype(np.float32), noise=0.001), "same images", size=20)


def test_a_patient_may_share_one_modality_with_himself_and_it_is_told(tmp_path):
    manifest = pair(tmp_path, SAME["as float32"], patients=("P0", "P0"), share=("mri",))
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1)
    assert store.odd == ("scan S1: mri is that of scan S0, of the same patient, too: of which visit is it?",)
    manifest = pair(tmp_path, SAME["as float32"], patients=("P0", "P0"))
    refused(manifest, "same images", "row 3, scan S1", "different scans", size=20)


@pytest.mark.parametrize("noise, told", [(0.05, True), (0.2, False)])
def test_a_modality_that_is_nearly_that_of_another_visit_is_told_where_others_differ(tmp_path, noise, told):
    """Noise of 5 % of the contrast leaves a correlation of 0.9988, and of 20 %, as two acquisitions have, of 0.98."""
    second = SAME["as float32"]
    manifest = pair(tmp_path, second, patients=("P0", "P0"), share=("mri",), noise=noise)
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1)
    found = [text for text in store.odd if "nearly that of scan S0, of the same patient" in text]
    assert len(found) == told and all(text.startswith("scan S1: mri is nearly") for text in found)
    manifest = pair(tmp_path, second, patients=("P0", "P0"), noise=noise)
    both = [
        text for text in prepare(manifest, tmp_path / "t.zarr", size=20, workers=1).odd if "nearly" in text
    ]
    assert len(both) == told
    assert all(
        text.startswith("scan S1: its images are nearly those of scan S0, of the same") for text in both
    )
    assert all(text.endswith("is one visit listed twice?") for text in both)


def test_a_copy_that_lies_by_a_part_of_a_voxel_off_is_found_between_visits():
    """A smooth head beside noise, and the same moved by 0.4 pixels beside other noise."""
    rng = np.random.default_rng(4)
    y, x = np.indices((64, 64)) - 32.0
    heads = [np.exp(-(y**2 + (x - by) ** 2) / 300) for by in (0, 0.4)]
    both = [[[head, rng.normal(size=head.shape)] for _ in range(6)] for head in heads]
    scans = [np.array(scan, np.float32) for scan in both]
    (twins,) = find_between([reduced(means_of(scan)) for scan in scans], [(0, 1)], scans.__getitem__)
    assert twins.modality == 0 and not twins.same


def test_slices_of_one_value_are_no_twins():
    blank = [reduced(np.full((1, 4, 16, 16), value)) for value in (0.0, 3.7)]
    assert find_twins(blank, lambda at: np.zeros((4, 1, 16, 16), np.float32)) == []
    assert not blank[1].any()


def test_reduced_slices_are_means_of_length_one():
    images = np.random.default_rng(0).random((3, 2, 32, 32), np.float32)
    means = images.reshape(3, 2, 16, 2, 16, 2).mean(axis=(3, 5)).transpose(1, 0, 2, 3)
    centred = means - means.mean(axis=(2, 3), keepdims=True)
    expected = centred / np.sqrt((centred**2).sum(axis=(2, 3), keepdims=True))
    np.testing.assert_allclose(means_of(images), means, atol=1e-6)
    np.testing.assert_allclose(reduced(means_of(images)), expected, atol=1e-6)


def test_different_heads_of_one_shape_are_no_twins(tmp_path):
    """A smooth head that all share, and a tenth of its contrast of one's own."""
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    x, y, z = np.indices((32, 32, 6)) - np.array([15.5, 15.5, 2.5])[:, None, None, None]
    head = 500 * (x**2 / 180 + y**2 / 130 + z**2 / 90 < 1)
    for number in range(6):
        own = np.random.default_rng(number).normal(0, 25, head.shape)
        write(tmp_path / f"{number}.nii", (head + own).astype(np.float32))
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", ""])
    assert prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=32, workers=1).odd == ()
    shutil.copy(tmp_path / "2.nii", tmp_path / "5.nii")
    refused(save(tmp_path, rows), "same images", "row 7, scan S5", "row 4, scan S2", size=32)


def test_nearly_the_same_images_of_two_patients_are_told(tmp_path):
    """Noise of 2 % of the contrast: a correlation of 1 / sqrt(1 + 0.02^2) = 0.9998."""
    manifest = pair(tmp_path, lambda data: data.astype(np.float32), share=("mri",), noise=0.02)
    (text,) = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1).odd
    assert text.startswith("scan S1: mri is nearly that of scan S0, of another patient (correlation 0.9998")


def slices_of(count: int, alike: float | list[float], *chessboards: float) -> list[np.ndarray]:
    """The slices, (count, 1, 32, 32), of two scans, whose means over 2 x 2 pixels correlate so; with a chessboard of
    pixels, which no mean shows, on each, so many times as strong."""
    ones, noise = np.ones((256, 1)), np.random.default_rng(0).normal(size=(256, 2 * count))
    patterns = np.linalg.qr(np.hstack([ones, noise]))[0].T[1:]  # of mean 0 and length 1, at right angles
    one, other = patterns.reshape(2, count, 16, 16).repeat(2, axis=2).repeat(2, axis=3)
    shares = np.broadcast_to(alike, count)[:, None, None]
    second = shares * one + np.sqrt(1 - shares**2) * other
    board = (-1.0) ** np.indices((32, 32)).sum(axis=0) / 16
    strengths = chessboards or (0.0, 0.0)
    return [
        (each + strength * board)[:, None].astype(np.float32)
        for each, strength in zip((one, second), strengths, strict=True)
    ]


def found_by(find, scans: list[np.ndarray]) -> list[tuple[float, bool]]:
    """The correlations that are found, to five digits, and whether the images are the same."""
    patterns = [reduced(means_of(scan)) for scan in scans]
    return [(round(twins.correlation, 5), twins.same) for twins in find(patterns, scans.__getitem__)]


def test_how_well_slices_must_correlate_by_hand():
    """0.9995 by their means; then 0.995 as stored, and 0.9999 to be the same. A chessboard on one of them makes 1 /
    (1 + s * s) ** 0.5 of the correlation."""
    assert found_by(find_twins, slices_of(4, 0.9996)) == [(0.9996, False)]
    assert found_by(find_twins, slices_of(4, 0.9994)) == []
    assert found_by(find_twins, slices_of(4, 0.99991)) == [(0.99991, True)]
    assert found_by(find_twins, slices_of(4, 0.99989)) == [(0.99989, False)]
    for correlation, count in ((0.9951, 1), (0.9949, 0)):
        board = float(np.sqrt(1 / correlation**2 - 1))
        assert len(found_by(find_twins, slices_of(4, 1.0, 0.0, board))) == count


def test_half_of_the_shorter_scans_slices_must_agree_by_hand():
    for count, found in ((4, 1), (5, 0)):
        assert len(found_by(find_twins, slices_of(count, [1.0, 1.0, *[0.0] * (count - 2)]))) == found
    assert found_by(find_twins, slices_of(4, [1.0, 0.9998, 0.9996, 0.0])) == [(0.9998, False)]
    one, other = slices_of(6, [1.0, 1.0, *[0.0] * 4])
    assert len(found_by(find_twins, [one, other[:4]])) == len(found_by(find_twins, [one[:4], other])) == 1


def test_a_slice_that_is_like_several_counts_once_and_by_the_best_of_them():
    one, other = slices_of(4, [1.0, 0.0, 0.0, 0.0])
    assert found_by(find_twins, [one[[0] * 4], other]) == []
    one, other = slices_of(1, 0.9996)
    for both in ((one, other), (other, one)):
        assert found_by(find_twins, [np.concatenate(both), one]) == [(1.0, True)]


def test_visits_of_one_patient_are_compared_where_means_correlate_by_0_99_by_hand():
    """A chessboard on both, three times as strong, makes all of it (0.991 + 9) / 10 alike."""

    def between(patterns, read):
        return find_between(patterns, [(0, 1)], read)

    assert found_by(between, slices_of(4, 0.991, 3.0, 3.0)) == [(0.9991, False)]
    assert found_by(between, slices_of(4, 0.989, 3.0, 3.0)) == []
