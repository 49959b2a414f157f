"""Ends of a volume that show what lies before them once more, mirrored, and were laid on another grid since."""

import csv

import nibabel as nib
import numpy as np
import pytest
from scans import prepare, save, sts, write
from scipy import ndimage

from data_prep.placing.absent import absent
from data_prep.placing.mirrored_ends import mirrored_ends

SHAPE, SPACING = (60, 56, 30), np.array([3.0, 3.0, 4.0])
BEGIN = 20  # the slice from which on a made-up end is one


def places(degrees: tuple[float, float], thick: float, shift: float) -> np.ndarray:
    """Where the voxels (3, x, y, z) of another grid lie on that of SHAPE, in its voxels: turned about x and y around
    the middle, of slices so many times as thick, moved along these by a share of one."""
    shape = (*SHAPE[:2], round(SHAPE[2] / thick))
    x, y, z = (at - (count - 1) / 2 for at, count in zip(np.indices(shape), shape, strict=True))
    x, y, z = x * SPACING[0], y * SPACING[1], z * SPACING[2] * thick
    about_x, about_y = np.radians(degrees)
    y, z = np.cos(about_x) * y - np.sin(about_x) * z, np.sin(about_x) * y + np.cos(about_x) * z
    x, z = np.cos(about_y) * x - np.sin(about_y) * z, np.sin(about_y) * x + np.cos(about_y) * z
    middle = (np.array(SHAPE) - 1) / 2
    at = np.stack([x, y, z]) / SPACING[:, None, None, None] + middle[:, None, None, None]
    at[2] += shift
    return at


def body(seed: int = 0) -> np.ndarray:
    """A head of blurred noise (x, y, z) that reaches both ends, with noise of its own in every voxel."""
    rng = np.random.default_rng(seed)
    x, y = np.indices(SHAPE[:2]) - (np.array(SHAPE[:2])[:, None, None] - 1) / 2
    inside = ndimage.gaussian_filter((np.hypot(x / 25, y / 22) < 1).astype(float), 0.7)[:, :, None]
    texture = ndimage.gaussian_filter(rng.normal(0, 1, SHAPE), (3, 3, 1.5))
    noise = ndimage.gaussian_filter(rng.normal(0, 1, SHAPE), 0.5)
    return (inside * (500 + 100 * texture / texture.std()) + 8 * noise / noise.std()).astype(np.float32)


def ended(mode: str, low: bool, seed: int = 0) -> tuple[np.ndarray, float]:
    """A head whose last ten slices, or first, are its mirror image; and the height at which the mirror stands."""
    whole = body(seed)
    if low:
        padded = np.pad(whole[:, :, SHAPE[2] - BEGIN :], ((0, 0), (0, 0), (SHAPE[2] - BEGIN, 0)), mode)
        return padded, SHAPE[2] - BEGIN - (mode == "symmetric") / 2
    padded = np.pad(whole[:, :, :BEGIN], ((0, 0), (0, 0), (0, SHAPE[2] - BEGIN)), mode)
    return padded, BEGIN - 1 + (mode == "symmetric") / 2


def laid(data: np.ndarray, at: np.ndarray, order: int = 1) -> np.ndarray:
    """A volume's values at places (3, x, y, z), and beyond it its lowest."""
    return ndimage.map_coordinates(data, at, order=order, mode="constant", cval=float(data.min()))


def between(data: np.ndarray, share: float) -> np.ndarray:
    """The slices that lie so far from each on to the next, one less."""
    return ((1 - share) * data[:, :, :-1] + share * data[:, :, 1:]).astype(np.float32)


def spaced(thick: float) -> np.ndarray:
    return SPACING * [1, 1, thick]


GRIDS = {
    "a two hundredth of a slice on": ((0, 0), 1.0, 0.005),
    "a tenth of a slice on": ((0, 0), 1.0, 0.1),
    "a quarter of a slice on": ((0, 0), 1.0, 0.25),
    "two fifths of a slice on": ((0, 0), 1.0, 0.4),
    "turned by 1 degree": ((1, 0), 1.0, 0.0),
    "turned by 4 degrees": ((0, -4), 1.0, 0.0),
    "turned about two axes": ((3, -3), 1.0, 0.2),
    "half as thick": ((0, 0), 0.5, 0.1),
    "three quarters as thick": ((0, 0), 0.75, 0.0),
    "one and a half times as thick": ((0, 0), 1.5, 0.2),
}


@pytest.mark.quick(12)
@pytest.mark.parametrize("low", [True, False], ids=["foot", "head"])
@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
@pytest.mark.parametrize("grid", GRIDS)
def test_a_mirrored_end_is_found_on_another_grid(grid, mode, low):
    """All that lies a slice beyond the mirror, within the volume, and nothing that lies before it."""
    data, mirror = ended(mode, low)
    at = places(*GRIDS[grid])
    beyond = (mirror - at[2] if low else at[2] - mirror) / GRIDS[grid][1]
    within = (at[2] >= 0) & (at[2] <= SHAPE[2] - 1)
    found = mirrored_ends(laid(data, at), spaced(GRIDS[grid][1]))
    assert found[(beyond > 1) & within].all() and not found[beyond < -0.1].any()


@pytest.mark.parametrize("degrees, shift", [((0, 0), 0.3), ((4, 0), 0.0)])
def test_an_end_laid_by_splines_is_found(degrees, shift):
    data, mirror = ended("reflect", low=False)
    at = places(degrees, 1.0, shift)
    found = mirrored_ends(laid(data, at, order=3), SPACING)
    assert (
        found[(at[2] > mirror + 1) & (at[2] <= SHAPE[2] - 1)].all() and not found[at[2] < mirror - 0.1].any()
    )


def test_a_grid_that_was_laid_beyond_an_images_end_with_its_mirror_image_is_found():
    """At 4 degrees, as SciPy's mode mirror goes on: the end lies 9 slices before that of the grid."""
    whole, at = body()[:, :, 9:], places((4, 0), 1.0, 0.0)
    at[2] -= 9
    data = ndimage.map_coordinates(whole, at, order=1, mode="mirror")
    found = mirrored_ends(data, SPACING)
    assert found[at[2] < -1].all() and not found[at[2] > 0.1].any()


def test_both_ends_are_found():
    """Mirrors at the heights of 7 and 22, which lie 0.4 of a slice before those slices now."""
    part = np.pad(body()[:, :, :16], ((0, 0), (0, 0), (7, 7)), "reflect")
    found = mirrored_ends(between(part, 0.4), SPACING)
    np.testing.assert_array_equal(found.all(axis=(0, 1)), found.any(axis=(0, 1)))
    np.testing.assert_array_equal(np.flatnonzero(~found.any(axis=(0, 1))), np.arange(7, 22))


def test_whole_numbers_and_a_background_of_nothing_do_not_hide_it():
    data = ended("reflect", low=False)[0]
    found = mirrored_ends(np.rint(between(np.where(data > 250, data, 0), 0.4)), SPACING).all(axis=(0, 1))
    np.testing.assert_array_equal(np.flatnonzero(found), np.arange(BEGIN - 1, SHAPE[2] - 1))


@pytest.mark.quick(4)
@pytest.mark.parametrize("grid", GRIDS)
def test_whole_volumes_are_left_on_any_grid(grid):
    for seed in range(3):
        for order in (1, 3):
            data = laid(body(seed), places(*GRIDS[grid]), order)
            assert mirrored_ends(data, spaced(GRIDS[grid][1])) is None


def test_noise_flat_and_small_volumes_are_left():
    rng = np.random.default_rng(1)
    noise = rng.random(SHAPE).astype(np.float32)
    assert mirrored_ends(noise, SPACING) is None
    assert mirrored_ends(np.zeros(SHAPE, np.float32), SPACING) is None
    assert mirrored_ends(noise[:, :, :3], SPACING) is None and mirrored_ends(noise[:3], SPACING) is None
    limb = body()[:, :, :1] + rng.normal(0, 8, SHAPE).astype(np.float32)
    assert mirrored_ends(limb, SPACING) is None


def ball(middle: float, radius: float) -> np.ndarray:
    """How far voxels lie from a place in the middle of the slices, `middle` slices up, in radii of so many voxels."""
    x, y, z = np.indices(SHAPE)
    return np.sqrt((x - 29.5) ** 2 + (y - 27.5) ** 2 + (z - middle) ** 2) / radius


SYMMETRIC = {
    "a ball": lambda far: 100.0 * (far < 1),
    "a blurred ball": lambda far: ndimage.gaussian_filter(100.0 * (far < 1), 1.5),
    "a smooth ball": lambda far: 100 * np.exp(-(far**2)),
    "a ball with a soft border": lambda far: 100 / (1 + np.exp(8 * (far - 1))),
    "a cone": lambda far: 100 * np.maximum(0, 1 - far),
    "a lesion in a cylinder": lambda far: 100.0 * (ball(0, 24)[:, :, :1] < 1) + 300 * np.exp(-(far**2)),
    "a lesion, rounded": lambda far: np.rint(100.0 * (ball(0, 24)[:, :, :1] < 1) + 30 * np.exp(-(far**2))),
    "a lesion in noise": lambda far: (
        100.0 * (ball(0, 24)[:, :, :1] < 1)
        + 300 * np.exp(-(far**2))
        + np.random.default_rng(0).normal(0, 1, far.shape)
    ),
}


@pytest.mark.quick(2)
@pytest.mark.parametrize("kind", SYMMETRIC)
def test_bodies_that_are_symmetric_without_a_mirror_are_left(kind):
    """Phantoms are: in the middle of the volume, beside it, and cut by its end."""
    for middle in (4, 8, 11.5, 14.5, 15, 19.3, 24):
        for radius in (8, 15, 30):
            data = SYMMETRIC[kind](ball(middle, radius)).astype(np.float32)
            assert mirrored_ends(data, SPACING) is None, (middle, radius)


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
def test_of_short_ends_five_slices_are_told_and_three_are_not(mode):
    for slices, told in ((3, False), (5, True), (6, True)):
        part = np.pad(body()[:, :, :-slices], ((0, 0), (0, 0), (0, slices)), mode)
        assert (mirrored_ends(between(part, 0.4), SPACING) is not None) == told, slices


def test_such_slices_are_not_used_and_told(tmp_path):
    """Moved by 0.4 of a slice, no slice of the end is equal to another; in one scan of six."""
    affine = np.diag([-3.0, -3.0, 4.0, 1.0])
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(6):
        data = ended("reflect", low=False, seed=number)[0] if number == 2 else body(number)
        data = between(data, 0.4)
        assert absent(data) is None
        mask = np.zeros(data.shape, np.uint8)
        mask[28:34, 26:32, 8] = number % 2
        write(tmp_path / f"{number}.nii", data, affine)
        write(tmp_path / f"{number}-mask.nii", mask, affine)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii" if number % 2 else ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=40, workers=1)
    unused = list(range(BEGIN - 1, SHAPE[2] - 1))
    assert [scan.placement["outside"]["mri"] for scan in store.scans] == [[], [], unused, [], [], []]
    assert "scan S2: mri does not show 10 of 29 slices whole, which are not sampled" in store.odd


def real() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Each image of the public cohort with its scan and modality, and its voxels' size; in the files' order, LPS."""
    with (sts() / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        for modality in ("pet", "mri"):
            image = nib.load(sts() / row[modality])
            assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
            spacing = np.array(image.header.get_zooms(), dtype=float)
            found.append(
                (f"{row['scan_id']} {modality}", np.asarray(image.dataobj, dtype=np.float32), spacing)
            )
    return found


@pytest.mark.slow
def test_volumes_of_the_public_cohort_are_whole():
    """34 PET and 34 MRI, as they are and moved by 0.4 of a slice."""
    for name, data, spacing in real():
        assert mirrored_ends(data, spacing) is None, name
        assert mirrored_ends(between(data, 0.4), spacing) is None, name


@pytest.mark.slow
def test_mirrored_ends_of_the_public_cohort_are_found():
    """The last three tenths of each image, moved by 0.4 of a slice: all slices from the mirror on, and no other."""
    for name, data, spacing in real():
        begin = round(0.7 * data.shape[2])
        padded = np.pad(data[:, :, :begin], ((0, 0), (0, 0), (0, data.shape[2] - begin)), "reflect")
        found = mirrored_ends(between(padded, 0.4), spacing)
        assert found is not None, name
        slices = np.flatnonzero(found.all(axis=(0, 1)))
        np.testing.assert_array_equal(slices, np.arange(begin - 1, data.shape[2] - 1), err_msg=name)
