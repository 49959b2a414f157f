"""Slices beyond an image's end that show its last plane again, moved a little from one to the next."""

import csv

import nibabel as nib
import numpy as np
import pytest
from scans import prepare, save, sts, write

from data_prep.placing.continued import continued

SHAPE, SPACING = (60, 56, 24), np.array([3.0, 3.0, 4.0])
SHORT_MM = 18  # that the image's end lies within the grid


def heights(about_x: float, about_y: float = 0.0, spacing: np.ndarray = SPACING) -> np.ndarray:
    """Where voxels lie on the image's axes in mm (3, x, y, z), of a grid that is turned by so many degrees."""
    at = (np.indices(SHAPE) - (np.array(SHAPE) - 1).reshape(3, 1, 1, 1) / 2) * spacing.reshape(3, 1, 1, 1)
    x, y, z = at
    for angle, turned in ((about_x, "yz"), (about_y, "xz")):
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        if turned == "yz":
            y, z = cos * y - sin * z, sin * y + cos * z
        else:
            x, z = cos * x - sin * z, sin * x + cos * z
    return np.stack([x, y, z])


def tissue(at: np.ndarray, seed: int = 0) -> np.ndarray:
    """A head of smooth waves, known at any place (3, x, y, z) in mm: (x, y, z). No grid, no interpolation."""
    rng = np.random.default_rng(seed)
    x, y, z = at
    texture = np.zeros(x.shape)
    for _ in range(12):
        direction = rng.normal(size=3)
        wave = 2 * np.pi / rng.uniform(25, 60) * direction / np.linalg.norm(direction)
        texture += np.cos(wave[0] * x + wave[1] * y + wave[2] * z + rng.uniform(0, 2 * np.pi))
    inside = 1 / (1 + np.exp((np.hypot(x / 70, y / 64) - 1) * 15))
    return (inside * (500 + 60 * texture)).astype(np.float32)


def ended(degrees: tuple[float, float], low: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A head beyond whose end, 18 mm within the grid, the last plane goes on; how far beyond it voxels lie, in mm."""
    at = heights(*degrees)
    end = (SHAPE[2] - 1) / 2 * SPACING[2] - SHORT_MM
    beyond = -end - at[2] if low else at[2] - end
    at[2] = np.maximum(at[2], -end) if low else np.minimum(at[2], end)
    return tissue(at, seed), beyond


TILTS = [(0.6, 0), (3, 0), (-5, 0), (8, 0), (15, 0), (0, 5), (4, -4), (5, 8)]


@pytest.mark.parametrize("low", [True, False], ids=["foot", "head"])
@pytest.mark.parametrize("tilt", TILTS)
def test_what_lies_beyond_an_oblique_images_end_is_found(tilt, low):
    """All that lies a slice's distance and a half beyond; and nothing of the image itself."""
    data, beyond = ended(tilt, low)
    found = continued(data, SPACING)
    assert found[beyond > 1.5 * SPACING[2]].all() and not found[beyond < 0].any()


def test_where_the_end_crosses_the_slices_it_is_found_in_a_part_of_them():
    """At 8 degrees the plane climbs by 23 mm, about six slices, over the 165 mm from front to back."""
    data, _ = ended((8, 0), low=True)
    share = continued(data, SPACING).mean(axis=(0, 1))
    assert share[0] == 1 and share[10] == 0 and (np.diff(share) <= 0).all()
    assert 4 <= ((share > 0) & (share < 1)).sum() <= 7


@pytest.mark.parametrize("tilt", TILTS)
def test_the_image_itself_is_whole(tilt):
    for seed in range(3):
        assert continued(tissue(heights(*tilt), seed), SPACING) is None
        thin = np.array([3.0, 3.0, 1.0])
        assert continued(tissue(heights(*tilt, spacing=thin), seed), thin) is None


def test_a_limb_that_leans_and_changes_nowhere_is_whole():
    """One plane goes on through the whole volume: there is no image that it could be the end of."""
    at = heights(8)
    at[2] = 0
    assert continued(tissue(at), SPACING) is None


def test_an_end_of_one_slice_is_too_short_to_be_told():
    at = heights(3)
    at[2] = np.maximum(at[2], -43)
    assert continued(tissue(at), SPACING) is None


def test_noise_and_flat_volumes_are_left():
    noise = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    assert continued(noise, SPACING) is None
    assert continued(np.zeros(SHAPE, np.float32), SPACING) is None
    assert continued(noise[:, :, :3], SPACING) is None


def test_such_slices_are_not_used_and_told(tmp_path):
    """At 3 degrees, of the last slices those of which a tenth lies beyond the end; in one scan of six."""
    affine = np.diag([-3.0, -3.0, 4.0, 1.0])
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    for number in range(6):
        data, beyond = ended((3, 0), low=False, seed=number)
        if number != 2:
            data = tissue(heights(3), number)
        mask = np.zeros(SHAPE, np.uint8)
        mask[28:34, 26:32, 8] = number % 2
        write(tmp_path / f"{number}.nii", data, affine)
        write(tmp_path / f"{number}-mask.nii", mask, affine)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii" if number % 2 else ""])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=40, workers=1)
    unused = [scan.placement["outside"]["mri"] for scan in store.scans]
    assert [len(each) > 0 for each in unused] == [False, False, True, False, False, False]
    surely = np.flatnonzero((beyond > 1.5 * SPACING[2]).mean(axis=(0, 1)) > 0.2).tolist()
    assert set(surely) <= set(unused[2]) <= set(np.flatnonzero((beyond > 0).any(axis=(0, 1))).tolist())
    assert (
        f"scan S2: mri does not show {len(unused[2])} of 24 slices whole, which are not sampled" in store.odd
    )


@pytest.mark.slow
def test_untouched_volumes_of_the_public_cohort_are_whole():
    """34 PET and 34 MRI, in the order of their files, which is that of LPS."""
    with (sts() / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for modality in ("pet", "mri"):
            image = nib.load(sts() / row[modality])
            assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
            data = np.asarray(image.dataobj, dtype=np.float32)
            assert continued(data, np.array(image.header.get_zooms(), dtype=float)) is None, row["scan_id"]
