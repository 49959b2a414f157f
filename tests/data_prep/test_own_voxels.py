"""An image is measured on its own voxels, whatever grid the lesion lies on."""

import numpy as np
import pytest

from data_prep.masks.own_voxels import own_voxels
from data_prep.volumes.volume import Grid, to_lps


def grid_of(shape, step, origin=(0.0, 0.0, 0.0), turn=None):
    """A grid that lies LPS in the axes of NIfTI; `origin` is where its first voxel lies."""
    affine = np.diag([-step[0], -step[1], step[2], 1.0])
    affine[:3, 3] = origin
    return Grid(shape, (np.eye(4) if turn is None else turn) @ affine, True)


def test_a_voxel_belongs_to_the_lesion_where_it_covers_half_of_it_by_hand():
    """Along x, voxels of 1 mm on voxels of 4 mm: the lesion covers 4 of the 4 parts of the second, 2 of the third."""
    fine, coarse = grid_of((16, 1, 1), (1, 1, 1)), grid_of((4, 1, 1), (4, 1, 1), (-1.5, 0, 0))
    lesion = np.zeros((1, 1, 16), bool)
    lesion[0, 0, 4:10] = True
    assert own_voxels(lesion, fine, coarse).ravel().tolist() == [False, True, True, False]
    lesion[0, 0, 9] = False
    assert own_voxels(lesion, fine, coarse).ravel().tolist() == [False, True, False, False]


def test_a_lesion_smaller_than_half_a_voxel_is_measured_where_most_of_it_lies():
    fine, coarse = grid_of((16, 1, 1), (1, 1, 1)), grid_of((4, 1, 1), (4, 1, 1), (-1.5, 0, 0))
    lesion = np.zeros((1, 1, 16), bool)
    lesion[0, 0, 9] = True
    assert own_voxels(lesion, fine, coarse).ravel().tolist() == [False, False, True, False]


def test_outside_of_the_image_there_is_nothing_and_an_empty_lesion_is_nowhere():
    fine, coarse = grid_of((16, 1, 1), (1, 1, 1)), grid_of((4, 1, 1), (4, 1, 1), (-101.5, 0, 0))
    lesion = np.zeros((1, 1, 16), bool)
    assert not own_voxels(lesion, fine, coarse).any()
    lesion[0, 0, 3] = True
    assert not own_voxels(lesion, fine, coarse).any()


@pytest.mark.parametrize("degrees", [0, 25])
def test_on_the_same_grid_a_lesion_is_itself(degrees):
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    grid = grid_of((9, 8, 7), (2.0, 1.5, 3.0), (5, 6, 7), turn)
    lesion = np.random.default_rng(0).random((7, 8, 9)) < 0.2
    assert (own_voxels(lesion, to_lps(grid), grid) == lesion).all()
