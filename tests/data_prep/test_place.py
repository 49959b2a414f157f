"""One grid for all modalities: any order of axes, oblique affines, the way back; and what cannot be placed."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel import orientations
from scans import LPS, cohort, dice, place, refused, scan_arrays, to_itk, volume, write
from scipy.spatial.transform import Rotation

from data_prep.placing.way_back import back_as_drawn, in_file_order, lesion_back, sent_back
from data_prep.volumes.resampling import resampled, resampled_by_voxels
from data_prep.volumes.volume import Grid, Volume, to_lps
from hnscc.base.errors import InputError
from hnscc.cohort.store_format import DrawnMask


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "PIR", "SLA", "ARI"])
def test_the_file_s_voxel_order_does_not_matter(axes):
    """The same head in any order of axes gives the same slices: rows to posterior, columns to the left."""
    pet, mri, mask = scan_arrays(shape=(12, 14, 6))
    turn = orientations.ornt_transform(orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(axes))

    def turned(data):
        affine = LPS @ orientations.inv_ornt_aff(turn, data.shape)
        return volume(orientations.apply_orientation(data, turn), affine)

    expected = place({"pet": volume(pet), "mri": volume(mri)}, volume(mask))
    placed = place({"pet": turned(pet), "mri": turned(mri)}, turned(mask))
    np.testing.assert_allclose(placed.images, expected.images, rtol=1e-6)
    np.testing.assert_array_equal(placed.mask, expected.mask)
    np.testing.assert_allclose(placed.affine, expected.affine, atol=1e-9)
    mixed = place({"pet": turned(pet), "mri": volume(mri)}, turned(mask))
    np.testing.assert_allclose(mixed.images, expected.images, rtol=1e-5)
    back = in_file_order(lesion_back(expected.mask, placed.placement), placed.placement)
    assert back.shape == turned(mask).data.shape
    assert dice(back, turned(mask).data) > 0.9


def oblique(
    angle: float, spacing: tuple[float, float, float], origin: tuple[float, float, float], turn: float = 0
) -> np.ndarray:
    """Tilted about the left-right axis by `angle`, and turned within the slice by `turn`, in degrees."""
    tilted = Rotation.from_euler("zx", [turn, angle], degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ tilted @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


@pytest.mark.parametrize("angle, turn", [(0, 0), (12, 0), (-30, 0), (12, 9), (0, -20)])
def test_resampling_agrees_with_simpleitk_on_oblique_grids(angle, turn):
    """The grid's own pixels are kept (16 x 16 -> 16), so that resampling alone is compared."""
    rng = np.random.default_rng(3)
    pet, mri = rng.random((14, 15, 12), np.float32), rng.random((16, 16, 6), np.float32)
    pet_affine = np.diag([2.1, 1.9, 2.5, 1.0])
    pet_affine[:3, 3] = (-19.3, -18.1, -8.2)
    mri_affine = oblique(angle, (1.0, 1.0, 2.0), (7.7, 8.2, -5.1), turn)
    placed = place({"pet": volume(pet, pet_affine), "mri": volume(mri, mri_affine)}, None)
    oracle = sitk.Resample(
        to_itk(pet, pet_affine), to_itk(mri, mri_affine), sitk.Transform(), sitk.sitkLinear, float(pet.min())
    )
    np.testing.assert_allclose(placed.images[:, 0], sitk.GetArrayFromImage(oracle), atol=2e-5)
    np.testing.assert_allclose(placed.images[:, 1], mri.transpose(2, 1, 0), atol=1e-6)
    np.testing.assert_allclose(placed.affine, mri_affine, atol=1e-9)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "PIR", "SLA"])
@pytest.mark.parametrize("angle, far", [(0, 0.0), (7, 0.0), (-25, 0.0), (7, 9.0), (0, -7.5)])
def test_sampling_by_lines_is_sampling_by_voxels(axes, angle, far):
    """Bit for bit, whatever the file's order; also where the grid reaches out of the volume (`far`, in mm)."""
    data = np.random.default_rng(4).random((14, 15, 12), np.float32)
    turn = _from_lps(axes)
    affine = oblique(0, (2.1, 1.9, 2.5), (14.0 + far, 13.0, -12.0)) @ orientations.inv_ornt_aff(
        turn, data.shape
    )
    pet = volume(orientations.apply_orientation(data, turn), affine)
    grid = Grid((20, 18, 7), oblique(angle, (0.9, 0.8, 2.0), (8.0, 7.0, -6.0)), True)
    lines = list(resampled(pet, grid))
    voxels = list(resampled_by_voxels(Volume(data, to_lps(pet.grid)), grid))
    assert len(lines) == len(voxels) == 7
    assert all(inside.all() for _, inside in lines) == (far == 0)
    for (one, inside_one), (other, inside_other) in zip(lines, voxels, strict=True):
        np.testing.assert_array_equal(inside_one, inside_other)
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("row, column", [(0, 1), (0, 2), (1, 0), (2, 0)])
def test_a_skewed_volume_is_sampled_where_its_header_puts_it(row, column):
    """Bit for bit as voxel by voxel: its lines along x are none of the grid's. It is told, not refused."""
    affine = oblique(0, (2.1, 1.9, 2.5), (14.0, 13.0, -12.0))
    affine[row, column] += 0.1
    pet = volume(np.random.default_rng(4).random((14, 15, 12), np.float32), affine)
    grid = Grid((12, 12, 7), oblique(0, (0.9, 0.8, 2.0), (8.0, 7.0, -6.0)), True)
    for (one, _), (other, _) in zip(resampled(pet, grid), resampled_by_voxels(pet, grid), strict=True):
        np.testing.assert_array_equal(one, other)


def test_pixels_that_are_not_square_become_square():
    """Twice as wide as high: a square of 8 x 8 mm stays a square."""
    mask = np.zeros((8, 16, 1), np.uint8)
    mask[2:6, 4:12] = 1
    placed = place(
        {"mri": volume(mask * 7.0, np.diag([-2.0, -1.0, 3.0, 1.0]))}, volume(mask, np.diag([-2.0, -1, 3, 1]))
    )
    assert placed.mask.sum() == 64 and placed.mask[0, 4:12, 4:12].all()
    assert placed.spacing_mm == (3, 1, 1)


@given(
    width=st.integers(3, 24),
    height=st.integers(3, 24),
    factor=st.sampled_from([1, 2, 3]),
    axes=st.sampled_from(["LPS", "RAS", "PIL", "SAR"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_a_stored_mask_survives_the_way_to_the_input_grid_and_back(width, height, factor, axes, seed):
    """Exactly, where stored pixels are whole grid pixels, for any padding, cropping and order of axes."""
    size, rng = 8, np.random.default_rng(seed)
    width, height = 2 * width, 2 * height  # even, so that the window starts at a whole pixel
    affine = LPS @ orientations.inv_ornt_aff(_from_lps(axes), (width, height, 3))
    shape = orientations.apply_orientation(np.zeros((width, height, 3)), _from_lps(axes)).shape
    mri = volume(rng.random(shape), affine)
    truth = (rng.random((3, size, size)) > 0.5).astype(np.uint8)
    options = {"size": size, "pixel_mm": float(factor)}
    placement = place({"mri": mri}, None, **options).placement
    back = in_file_order(lesion_back(truth, placement), placement)
    assert back.shape == shape
    again = place({"mri": mri}, volume(back, affine), **options)
    np.testing.assert_array_equal(again.mask, truth * _covered(width, height, size, factor))


@pytest.mark.parametrize("axes", ["LPS", "RAS", "PIR"])
def test_the_way_back_of_pixels_that_are_not_square(axes):
    """Voxels of 2 x 1 mm, 6 of them along x and 16 along y; stored pixels of 2 mm are one of them wide and two high,
    and the first and last column lie beside the grid. On a PET of 1 x 1 mm each pixel is four voxels."""
    rng, turn = np.random.default_rng(5), _from_lps(axes)
    affine = np.diag([-2.0, -1, 3, 1]) @ orientations.inv_ornt_aff(turn, (6, 16, 3))
    mri = volume(orientations.apply_orientation(rng.random((6, 16, 3)), turn), affine)
    placement = place({"mri": mri}, None, size=8, pixel_mm=2.0).placement
    truth = rng.random((3, 8, 8)) > 0.5
    inner = truth.copy()
    inner[:, :, [0, 7]] = False
    expected = inner[:, :, 1:7].repeat(2, axis=1)
    back = lesion_back(truth, placement)
    np.testing.assert_array_equal(back, expected)
    np.testing.assert_array_equal(
        in_file_order(back, placement), orientations.apply_orientation(expected.T, turn)
    )
    np.testing.assert_array_equal(sent_back(truth, back, placement), inner)
    pet = np.diag([-1.0, -1, 3, 1])
    pet[0, 3] = 0.5
    drawn = DrawnMask(np.zeros((3, 16, 12), bool), tuple(map(tuple, pet.tolist())), "pet")
    np.testing.assert_array_equal(back_as_drawn(truth, placement, drawn), expected.repeat(2, axis=2))


def test_a_voxel_of_the_file_is_lesion_from_half_of_its_stored_pixels_on():
    """Voxels of 2 x 2 mm, stored as 4 pixels each: of 4, 2 and 1 of them."""
    mri = volume(np.random.default_rng(6).random((4, 4, 2)), np.diag([-2.0, -2, 3, 1]))
    stored = np.zeros((2, 8, 8), bool)
    stored[0, 0:2, 0:2], stored[0, 4:6, 2], stored[1, 7, 7] = True, True, True
    back = lesion_back(stored, place({"mri": mri}, None, size=8).placement)
    assert np.argwhere(back).tolist() == [[0, 0, 0], [0, 2, 1]]


def _from_lps(axes: str) -> np.ndarray:
    return orientations.ornt_transform(orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(axes))


def _covered(width: int, height: int, size: int, factor: int) -> np.ndarray:
    """Stored pixels of which at least half lies on the grid, by counting."""

    def along(count):
        start = (count - size * factor) // 2 + factor * np.arange(size)
        return (
            np.array([sum(0 <= first + step < count for step in range(factor)) for first in start]) / factor
        )

    return (along(height)[:, None] * along(width) >= 0.5).astype(np.uint8)


def spoil(folder: Path, name: str, data: np.ndarray, affine: np.ndarray = LPS) -> None:
    write(folder / "s0" / name, data, affine)


def moved(*by: float) -> np.ndarray:
    affine = LPS.copy()
    affine[:3, 3] += by
    return affine


SPOILS = {
    "mask of two kinds": lambda folder: spoil(
        folder, "mask.nii.gz", scan_arrays()[2] * np.arange(1, 6, dtype=np.uint8)
    ),
    "mask of grey": lambda folder: spoil(folder, "mask.nii.gz", scan_arrays()[0]),
    "mask below zero": lambda folder: spoil(folder, "mask.nii.gz", -scan_arrays()[2].astype(np.int16)),
    "mask everywhere": lambda folder: spoil(folder, "mask.nii.gz", np.ones((20, 16, 5), np.uint8)),
    "mask of another shape": lambda folder: spoil(folder, "mask.nii.gz", scan_arrays()[2][:-1]),
    "mask elsewhere": lambda folder: spoil(folder, "mask.nii.gz", scan_arrays()[2], moved(0.5, 0, 0)),
    "pet elsewhere": lambda folder: spoil(folder, "pet.nii.gz", scan_arrays()[0], moved(500, 0, 0)),
    "pet of a corner": lambda folder: spoil(folder, "pet.nii.gz", scan_arrays()[0][:9]),
    "pet without the lesion": lambda folder: spoil(folder, "pet.nii.gz", scan_arrays()[0][:, :, :3]),
}


SAID = {"mask": "column mask", "pet ": "column pet"}


@pytest.mark.parametrize("name", SPOILS)
def test_what_cannot_be_placed_is_refused(tmp_path, name):
    manifest = cohort(tmp_path, 2)
    SPOILS[name](tmp_path)
    refused(manifest, "row 2", "scan S0", SAID[name[:4]])


def test_slices_that_are_not_transaxial_or_skewed_are_refused():
    _, mri, _ = scan_arrays(shape=(6, 6, 6))
    skewed = LPS.copy()
    skewed[0, 1] = 0.3
    with pytest.raises(InputError, match="skewed"):
        place({"mri": volume(mri, skewed)}, None)
    with pytest.raises(InputError, match="transaxial"):
        place({"mri": volume(mri, _tilted())}, None)


def _tilted() -> np.ndarray:
    """A corner of the cube looks up: every axis is 54.7 degrees from the vertical."""
    axes, _ = np.linalg.qr(np.array([[1, 1, 1], [0, -1, 1], [-2, 1, 1]], float).T)
    affine = np.eye(4)
    affine[:3, :3] = axes.T[[1, 2, 0]]
    return affine
