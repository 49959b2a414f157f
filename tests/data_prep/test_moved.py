"""The same images under two patients are found however they are moved: turned, flipped, shifted, cropped, resliced."""

import nibabel as nib
import numpy as np
import pytest
from scans import prepare, refused, save
from scipy import ndimage

from data_prep.oddities.moved import find_moved, projections
from data_prep.volumes.resize import Window, resize_image

SIZE = 64


def head(seed: int) -> np.ndarray:
    """(12, 64, 64): an ellipsoid of its own size with structures of its own, in noise."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices((12, SIZE, SIZE)) - np.array([5.5, 31.5, 31.5])[:, None, None, None]
    a, b = rng.uniform(17, 25, 2)
    inside = (x / a) ** 2 + (y / b) ** 2 + (z / 9) ** 2 < 1
    own = ndimage.gaussian_filter(rng.normal(0, 1, inside.shape), (2, 2, 2))
    noise = rng.normal(0, 10, inside.shape)
    return (inside * (400 + 120 * own / own.std()) + noise + 60).astype(np.float32)


def zoomed(slices: np.ndarray, scale: float) -> np.ndarray:
    window = Window(SIZE, (scale, scale), ((SIZE - SIZE * scale) / 2,) * 2)
    return np.stack([resize_image(each, window, float(slices.min())) for each in slices])


def cropped(slices: np.ndarray) -> np.ndarray:
    """A tenth cut off on either side, and set to the lowest value."""
    kept = np.full_like(slices, slices.min())
    kept[:, :, 7:57] = slices[:, :, 7:57]
    return kept


MOVES = {
    "turned by 90 degrees": lambda s: np.rot90(s, 1, (1, 2)),
    "turned by 270 degrees and flipped": lambda s: np.rot90(s, 3, (1, 2))[:, :, ::-1],
    "transposed": lambda s: s.swapaxes(1, 2),
    "shifted by 3 pixels": lambda s: np.roll(s, 3, axis=2),
    "shifted by 5 and 4 pixels": lambda s: np.roll(s, (5, -4), axis=(1, 2)),
    "cropped by a tenth": cropped,
    "of another scale of values": lambda s: np.roll(s, 2, axis=1) * 4.1 + 17,
    "mirrored, upside down and shifted": lambda s: np.roll(s[::-1, :, ::-1], 6, axis=1),
    "cropped by slices and shifted": lambda s: np.roll(s, 3, axis=2)[2:-1],
}
NEARLY = {
    "shifted by 1.4 pixels": lambda s: ndimage.shift(s, (0, 0, 1.4), order=1),
    "resliced to slices of double thickness": lambda s: np.roll((s[::2] + s[1::2]) / 2, 3, axis=1),
    "noisier": lambda s: np.roll(s, 4, axis=1) + np.random.default_rng(0).normal(0, 10, s.shape),
    "smoother": lambda s: np.rot90(ndimage.gaussian_filter(s, (0, 0.7, 0.7)), 1, (1, 2)),
    "of another contrast": lambda s: np.roll(np.maximum(s, 0) ** 0.7, 3, axis=2),
}


def found(scans: list[np.ndarray], pixel_mm: list[float] | None = None, asked=lambda one, two: True) -> list:
    images = [scan[:, None].astype(np.float32) for scan in scans]
    return find_moved(
        [projections(each) for each in images], pixel_mm or [1.0] * len(images), asked, lambda at: images[at]
    )


@pytest.mark.parametrize("how", MOVES)
def test_moved_images_are_the_same(how):
    (pair,) = found([head(1), head(2), MOVES[how](head(1)), head(3)])
    assert (pair.first, pair.second, pair.modality) == (0, 2, 0) and pair.same


@pytest.mark.parametrize("how", NEARLY)
def test_moved_and_changed_images_are_nearly_the_same(how):
    (pair,) = found([head(1), NEARLY[how](head(1)), head(2)])
    assert (pair.first, pair.second) == (0, 1) and 0.96 < pair.correlation < 1


def test_a_smaller_field_of_view_is_found_by_the_size_of_its_pixels():
    """The crop fills the whole slice: pixels of 0.8 mm, where the other's are of 1 mm."""
    (pair,) = found([head(1), zoomed(head(1), 0.8), head(2)], [1.0, 0.8, 1.0])
    assert (pair.first, pair.second) == (0, 1) and pair.correlation > 0.98


def test_different_heads_are_not_the_same():
    assert found([head(seed) for seed in range(12)]) == []


def test_pairs_that_are_not_asked_for_are_left_out():
    assert found([head(1), np.rot90(head(1), 1, (1, 2))], asked=lambda one, two: False) == []


def test_empty_and_single_scans_are_no_pairs():
    assert found([np.zeros((3, SIZE, SIZE))] * 2) == [] and found([head(1)]) == [] and found([]) == []


def test_projections_are_means_of_all_slices():
    images = np.random.default_rng(0).random((5, 2, 128, 128), np.float32)
    expected = images.mean(axis=0, dtype=float).reshape(2, 64, 2, 64, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(projections(images), expected, rtol=1e-6)


@pytest.mark.parametrize("share", ["pet", "mri"])
def test_prepare_refuses_a_turned_copy_under_another_patient(tmp_path, share):
    """One modality is the other patient's, turned, its affine lost."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(3):
        for name, seed in (("pet", 10 + number), ("mri", 20 + number)):
            data = head(seed - number if name == share and number == 2 else seed).T
            data = np.rot90(data, 1) if name == share and number == 2 else data
            image = nib.Nifti1Image(np.ascontiguousarray(data), np.diag([-4.0, -4.0, 4.0, 1.0]))
            image.to_filename(tmp_path / f"{number}-{name}.nii")
        rows.append([f"P{number}", f"S{number}", f"{number}-pet.nii", f"{number}-mri.nii", ""])
    manifest = save(tmp_path, rows)
    refused(manifest, "same images", "row 4, scan S2", "row 2, scan S0", f"column {share}", size=SIZE)
    rows[3][0] = "P0"  # of one patient, the images are not compared so
    assert prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=SIZE, workers=1).odd == ()
