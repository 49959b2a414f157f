"""The same images under two patients are found however they are moved or changed: turned, zoomed, cropped, inverted."""

import nibabel as nib
import numpy as np
import pytest
from scans import prepare, refused, save
from scipy import ndimage

from data_prep.oddities.marks import LEAST_HEIGHT, MARGIN_PIXELS, marks, peaks_in
from data_prep.oddities.moved import find_moved
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


def test_marks_are_peaks_of_the_slices_beside_and_of_five_by_five_pixels():
    for count in (1, 2, 9):
        height = (
            np.random.default_rng(count).uniform(0, 20 * LEAST_HEIGHT, (count, 40, 33)).astype(np.float32)
        )
        expected = (height == ndimage.maximum_filter(height, (3, 5, 5))) & (height > LEAST_HEIGHT)
        expected[:, [*range(MARGIN_PIXELS), *range(-MARGIN_PIXELS, 0)]] = False
        expected[:, :, [*range(MARGIN_PIXELS), *range(-MARGIN_PIXELS, 0)]] = False
        assert expected.any()
        assert (peaks_in(height) == np.argwhere(expected)).all()


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


def affine(slices: np.ndarray, matrix: list[list[float]]) -> np.ndarray:
    """Each slice moved about its middle: what lies at p comes from matrix @ p. The affine is not told."""
    middle = np.array([(SIZE - 1) / 2] * 2)
    offset = middle - np.array(matrix) @ middle
    return np.stack([ndimage.affine_transform(s, matrix, offset, order=1, cval=s.min()) for s in slices])


def turned(slices: np.ndarray, degrees: float) -> np.ndarray:
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return affine(slices, [[cosine, -sine], [sine, cosine]])


def half(slices: np.ndarray) -> np.ndarray:
    return np.where(np.arange(SIZE) < 32, slices.min(), slices)


def recoloured(slices: np.ndarray, gamma: float) -> np.ndarray:
    return ((slices - slices.min()) / np.ptp(slices)) ** gamma


# What a copy has been through, and how well the two agree at least once one is laid on the other.
CHANGED = {
    "turned by 12 degrees": (lambda s: turned(s, 12), 0.98),
    "turned by 35 degrees and mirrored": (lambda s: turned(s, 35)[:, :, ::-1], 0.98),
    "inverted": (lambda s: s.max() - s, 0.9999),
    "inverted and turned by 20 degrees": (lambda s: s.max() - turned(s, 20), 0.98),
    "with noise of a twentieth of the range": (
        lambda s: s + np.random.default_rng(0).normal(0, 0.05 * np.ptp(s), s.shape),
        0.9,
    ),
    "zoomed by a tenth": (lambda s: affine(s, [[1 / 1.1, 0], [0, 1 / 1.1]]), 0.98),
    "cropped to half": (half, 0.98),
    "cropped to half of its slices": (lambda s: s[6:], 0.9999),
    "sheared": (lambda s: affine(s, [[1, 0.15], [0, 1]]), 0.98),
    "brighter by a gamma of 0.5": (lambda s: recoloured(s, 0.5), 0.9999),
    "darker by a gamma of 2": (lambda s: recoloured(s, 2.0), 0.9999),
    "of other voxels": (lambda s: ndimage.zoom(affine(s, [[1.2, 0], [0, 1.2]]), (1.5, 1, 1), order=1), 0.97),
    "turned, zoomed, noisy and of other grey values": (
        lambda s: recoloured(
            affine(turned(s, 8), [[0.95, 0], [0, 0.95]]) + np.random.default_rng(0).normal(0, 10, s.shape),
            0.7,
        ),
        0.9,
    ),
}


def found(scans: list[np.ndarray], asked=lambda one, two, of: True) -> list:
    images = [scan[:, None].astype(np.float32) for scan in scans]
    return find_moved([marks(each) for each in images], asked, lambda at: images[at])


def test_places_on_one_map_are_no_copy_where_the_images_differ_once_laid_on_one_another():
    """Marks of a copy, but images of another head: as two bodies of one shape may share places by chance."""
    kept = [marks(each[:, None]) for each in (head(1), head(2), head(1)[:, ::-1])]
    images = [head(number)[:, None] for number in (1, 2, 3)]
    assert find_moved(kept, lambda one, two, of: True, lambda at: images[at]) == []


@pytest.mark.parametrize("how", MOVES)
def test_moved_images_are_the_same(how):
    (pair,) = found([head(1), head(2), MOVES[how](head(1)), head(3)])
    assert (pair.first, pair.second, pair.modality) == (0, 2, 0) and pair.same


@pytest.mark.parametrize("how", NEARLY)
def test_moved_and_changed_images_are_nearly_the_same(how):
    (pair,) = found([head(1), NEARLY[how](head(1)), head(2)])
    assert (pair.first, pair.second) == (0, 1) and 0.96 < pair.correlation < 1


@pytest.mark.parametrize("how", CHANGED)
def test_a_copy_is_found_whatever_was_done_to_it(how):
    change, least = CHANGED[how]
    heads = [head(seed) for seed in range(1, 7)]
    (pair,) = found([*heads, change(heads[1])])
    assert (pair.first, pair.second, pair.modality) == (1, 6, 0) and least < pair.correlation
    assert pair.places >= 15


def test_three_copies_of_one_scan_are_found():
    """The second-best look is as near as the best, since it is a copy too."""
    heads = [head(seed) for seed in range(1, 7)]
    pairs = {
        (pair.first, pair.second) for pair in found([*heads, turned(heads[1], 12), turned(heads[1], -9)])
    }
    assert {1, 6, 7} == {scan for pair in pairs for scan in pair} and len(pairs) >= 2


def test_a_smaller_field_of_view_is_found_whatever_the_size_of_its_pixels():
    """The crop fills the whole slice: pixels of 0.8 mm, where the other's are of 1 mm."""
    (pair,) = found([head(1), zoomed(head(1), 0.8), head(2)])
    assert (pair.first, pair.second) == (0, 1) and pair.correlation > 0.98


def test_different_heads_are_not_the_same():
    assert found([head(seed) for seed in range(12)]) == []


def test_pairs_that_are_not_asked_for_are_left_out():
    assert found([head(1), np.rot90(head(1), 1, (1, 2))], asked=lambda one, two, of: False) == []


def test_empty_and_single_scans_are_no_pairs():
    assert found([np.zeros((3, SIZE, SIZE))] * 2) == [] and found([head(1)]) == []


def test_marks_do_not_change_when_a_slice_is_turned_mirrored_or_inverted():
    slices = head(1)[5:7]
    (whole,) = marks(slices[:, None])
    for changed in (np.rot90(slices, 1, (1, 2)), slices[:, :, ::-1], 900 - 2 * slices):
        (other,) = marks(np.ascontiguousarray(changed[:, None]))
        nearest = (other.looks @ whole.looks.T).max(axis=1)
        assert len(other.looks) > 20 and np.median(nearest) > 0.9999


def test_marks_are_dots_at_their_places():
    """Nothing stands out but five dots, found to within half a pixel, in slices that are reduced by two and a half."""
    y, x = np.indices((320, 320))
    dots = [(100, 70), (100, 200), (210, 90), (210, 250), (150, 140)]
    image = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * 8**2)) for a, b in dots)
    (found_marks,) = marks(np.stack([0 * y, image, 0 * y])[:, None].astype(np.float32))
    near = [min(np.hypot(place[1] - a, place[2] - b) for a, b in dots) for place in found_marks.places]
    assert set(found_marks.places[:, 0]) == {1.0} and max(near) < 3 and found_marks.side == 320
    assert all(np.hypot(*(found_marks.places[:, 1:] - dot).T).min() < 3 for dot in dots)


@pytest.mark.slow
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


def test_prepare_tells_a_copy_that_was_turned_and_inverted(tmp_path):
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(6):
        data = head(number) if number < 5 else 1000 - turned(head(1), 12)
        image = nib.Nifti1Image(np.ascontiguousarray(data.T), np.diag([-4.0, -4.0, 4.0, 1.0]))
        image.to_filename(tmp_path / f"{number}.nii")
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=SIZE, workers=1)
    (told,) = [each for each in store.odd if "nearly" in each]
    assert told.startswith("scan S5: mri is nearly that of scan S1, of another patient (moved or changed: ")
