"""A modality that is finer than the grid is averaged there: noise shrinks, stripes vanish, in all three directions."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import place, to_itk, volume
from scipy.spatial.transform import Rotation

from data_prep.volumes.resampling import parts_of, resampled, resampled_by_voxels
from data_prep.volumes.volume import Grid

FINE = (0.64, 0.64, 1.0)
SHAPE = (150, 150, 60)


def fine_volume(data: np.ndarray):
    return volume(data, np.diag([-FINE[0], -FINE[1], FINE[2], 1.0]))


def coarse_grid(angle: float = 0.0, spacing: float = 4.0, shape=(12, 12, 8)) -> Grid:
    """Voxels of so many mm around the middle of the fine volume, tilted and turned by `angle` degrees."""
    affine = np.eye(4)
    turn = Rotation.from_euler("zx", [angle, angle], degrees=True).as_matrix()
    affine[:3, :3] = np.diag([-1, -1, 1]) @ turn * spacing
    middle = np.array([-1, -1, 1]) * FINE * (np.array(SHAPE) - 1) / 2
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine, True)


def stored(data: np.ndarray, grid: Grid) -> np.ndarray:
    slices = list(resampled(fine_volume(data), grid))
    assert all(inside.all() for _, inside in slices)
    return np.stack([values for values, _ in slices])


@pytest.mark.parametrize("angle", [0, 5, 12, 30])
def test_noise_finer_than_the_grid_averages_out(angle):
    """A mean over a voxel holds 6.25 x 6.25 x 4 of the fine ones: SD 10 becomes 10 / 12.5 = 0.8."""
    noise = np.random.default_rng(0).normal(0, 10, SHAPE)
    assert stored(noise, coarse_grid(angle)).std() == pytest.approx(0.8, abs=0.15)


@pytest.mark.parametrize("angle, most", [(0, 6), (12, 7), (30, 12)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_stripes_finer_than_the_grid_mostly_vanish(axis, angle, most):
    """4.4 mm from stripe to stripe, 50 high, on voxels of 4 mm: a mean keeps sinc(4 / 4.4) = 10 % of them.

    A tilted voxel is a little shorter along them, and keeps a little more.
    """
    at = np.arange(SHAPE[axis]) * FINE[axis]
    shape = [1, 1, 1]
    shape[axis] = -1
    stripes = np.broadcast_to(50 * np.sin(2 * np.pi * at / 4.4).reshape(shape), SHAPE)
    assert np.abs(stored(stripes, coarse_grid(angle))).max() < most


def test_the_mean_of_a_voxel_by_hand():
    """1 x 2 x 2 mm voxels of a volume of 1 x 1 x 1: means of four; along x nothing is averaged."""
    data = np.zeros((3, 4, 2))
    data[0] = [[1, 3], [5, 7], [0, 0], [0, 4]]
    grid = Grid((3, 2, 1), np.diag([-1.0, -2.0, 2.0, 1.0]), True)
    grid.affine[:3, 3] = (0, -0.5, 0.5)
    ((values, inside),) = resampled(volume(data, np.diag([-1.0, -1, 1, 1])), grid)
    np.testing.assert_allclose(values, [[4, 0, 0], [1, 0, 0]])
    assert inside.all()


@given(
    factors=st.tuples(*[st.integers(1, 4)] * 3),
    shape=st.tuples(*[st.integers(2, 5)] * 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_means_are_those_of_simpleitk(factors, shape, seed):
    """BinShrink takes means of whole voxels, for any factors along the three axes."""
    data = np.random.default_rng(seed).random(tuple(np.multiply(factors, shape)), np.float32)
    affine = np.diag([-1.1, -0.9, 1.3, 1.0])
    oracle = sitk.BinShrink(to_itk(data, affine), factors)
    coarse = affine @ np.diag([*map(float, factors), 1.0])
    coarse[:3, 3] = affine[:3, :3] @ ((np.array(factors) - 1) / 2)
    values = np.stack([part for part, _ in resampled(volume(data, affine), Grid(shape, coarse, True))])
    np.testing.assert_allclose(values, sitk.GetArrayFromImage(oracle), rtol=1e-5)


@pytest.mark.parametrize("angle", [0, 12])
@pytest.mark.parametrize("spacing", [0.3, 0.64])
def test_a_grid_that_is_nowhere_coarser_is_sampled_as_before(angle, spacing):
    data = np.random.default_rng(1).random(SHAPE, np.float32)
    grid = coarse_grid(angle, spacing)
    expected = [values for values, _ in resampled_by_voxels(fine_volume(data), grid)]
    np.testing.assert_array_equal(stored(data, grid), np.stack(expected))


def test_a_voxel_is_inside_where_half_of_it_is():
    """A volume of 4 mm along x; voxels of 4 mm that reach 1, 2 and 3 mm out of it."""
    data = np.full((4, 4, 4), 7.0)
    fine = volume(data, np.diag([-1.0, -1, 1, 1]))
    for out, expected in ((1.0, True), (2.0, True), (3.0, False)):
        grid = Grid((1, 1, 1), np.diag([-4.0, -4, 4, 1]), True)
        grid.affine[:3, 3] = (-1.5 - out, -1.5, 1.5)
        ((values, inside),) = resampled(fine, grid)
        assert values == 7.0 and bool(inside.all()) is expected


def test_a_voxel_whose_centre_lies_on_the_outer_face_is_inside():
    data = np.full((4, 4, 4), 7.0)
    grid = Grid((5, 1, 1), np.diag([-1.0, -1, 1, 1]), True)
    grid.affine[0, 3] = 0.5
    ((_, inside),) = resampled(volume(data, np.diag([-1.0, -1, 1, 1])), grid)
    assert inside.tolist() == [[True] * 5]


@pytest.mark.parametrize("step, parts", [(0.4, 1), (1.009, 1), (1.02, 2), (1.3, 2), (2.009, 2), (2.5, 3)])
def test_voxels_are_split_where_they_are_coarser_by_more_than_a_hundredth(step, parts):
    fine, coarse = (Grid((9, 9, 9), np.diag([-each, -1.0, 1.0, 1.0]), True) for each in (1.0, step))
    assert parts_of(fine, coarse) == (parts, 1, 1)


def test_an_mri_on_the_grid_of_a_pet_is_stored_as_means():
    noise = np.random.default_rng(2).normal(100, 10, SHAPE)
    grid = coarse_grid()
    pet = volume(np.random.default_rng(3).random(grid.shape), grid.affine)
    placed = place({"pet": pet, "mri": fine_volume(noise)}, None, reference="pet", size=12)
    assert placed.images[:, 1].std() == pytest.approx(0.8, abs=0.15)
    np.testing.assert_array_equal(placed.images[:, 0], pet.data.transpose(2, 1, 0))
