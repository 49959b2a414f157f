"""Grids of voxels: what is one grid, what is a piece of one, and which may be made into slices; at the limits."""

import numpy as np
import pytest
from scans import volume
from scipy.spatial.transform import Rotation

from data_prep.placing.drawn_shape import fits
from data_prep.volumes.lying import check_place_known, is_piece, lying
from data_prep.volumes.volume import CannotPlace, Grid, Volume, check_axes, same_grid


def grid(shape=(8, 7, 6), step=(1.0, 1.0, 3.0), origin=(0.0, 0.0, 0.0), oriented: bool = True) -> Grid:
    affine = np.diag([-step[0], -step[1], step[2], 1.0])
    affine[:3, 3] = origin
    return Grid(shape, affine, oriented)


@pytest.mark.parametrize(
    "other, same",
    [
        (grid(origin=(0.049, 0, 0)), True),  # a twentieth of the shortest side of a voxel
        (grid(origin=(0, 0, 0.051)), False),
        (grid(step=(1.0, 1.0, 3.009)), True),  # 0.045 mm at the last slice
        (grid(step=(1.0, 1.0, 3.011)), False),
        (grid(shape=(8, 7, 5)), False),
        (grid(step=(1.0, 1.0, 3.002), origin=(90, 0, 0), oriented=False), True),  # a thousandth
        (grid(step=(1.0, 1.0, 3.004), oriented=False), False),
        (grid(shape=(8, 7, 5), oriented=False), False),
    ],
)
def test_grids_of_the_same_voxels(other, same):
    assert same_grid(grid(), other) is same and same_grid(other, grid()) is same


@pytest.mark.parametrize(
    "piece, expected",
    [
        (grid((3, 4, 2), origin=(-2, -1, 6)), True),
        (grid((3, 4, 2), origin=(-2.04, -1, 6)), True),
        (grid((3, 4, 2), origin=(-2.06, -1, 6)), False),
        (grid((6, 4, 2), origin=(-2, -3, 12)), True),
        (grid((7, 4, 2), origin=(-2, -3, 12)), False),  # beyond the last column
        (grid((3, 4, 2), origin=(1, -1, 6)), False),  # before the first
        (grid((4, 7, 6), step=(2, 1, 3)), False),  # every second voxel
        (grid(), False),  # the whole of it
        (grid((3, 4, 2), origin=(-2, -1, 6), oriented=False), False),
    ],
)
def test_a_piece_of_a_grid_is_cropped_by_whole_voxels(piece, expected):
    assert is_piece(piece, grid()) is expected


@pytest.mark.parametrize("tilt, words", [(44, ""), (46, "not transaxial"), (-46, "not transaxial")])
def test_slices_may_be_tilted_by_45_degrees(tilt, words):
    """About a diagonal of the slices, so that no other axis of theirs comes nearer to the vertical."""
    affine = np.eye(4)
    turn = Rotation.from_rotvec(np.radians(abs(tilt)) * np.array([1, np.sign(tilt), 0]) / np.sqrt(2))
    affine[:3, :3] = np.diag([-1, -1, 1]) @ turn.as_matrix()
    made = Grid((8, 7, 6), affine, True)
    if words:
        with pytest.raises(CannotPlace, match=words):
            check_axes(made, "S")
    else:
        check_axes(made, "S")


def test_axes_may_be_skewed_by_a_hundredth():
    for skew, level in ((0.0099, True), (0.0102, False)):
        made = grid()
        made.affine[0, 1] = skew
        if level:
            check_axes(made, "S")
        else:
            with pytest.raises(CannotPlace, match=r"The grid is skewed[^$]*0.584 degrees"):
                check_axes(made, "S")


def test_two_analyze_pairs_of_the_same_voxels_need_no_place():
    """Beside a third image that states its own, nobody knows where they lie."""
    data = np.random.default_rng(0).random((8, 7, 6), np.float32)
    pairs = {name: Volume(data, grid(oriented=False)) for name in ("pet", "mri")}
    laid, _ = lying(pairs, None, "mri", "S")
    check_place_known(laid, "mri", "S")
    laid, _ = lying({**pairs, "ct": volume(np.ones((9, 9, 9)), grid().affine)}, None, "mri", "S")
    with pytest.raises(CannotPlace, match="does not say where it lies"):
        check_place_known(laid, "mri", "S")


def test_a_mask_without_orientation_fits_images_that_lie_apart_or_it_is_clear_where_it_lies():
    mask = Volume(np.zeros((8, 7, 6), np.float32), grid(oriented=False))
    apart = {"pet": grid(), "mri": grid(origin=(5, 0, 0)), "ct": grid((9, 7, 6))}
    assert fits(mask, apart) == ["pet", "mri"]
    assert fits(mask, {"pet": grid(), "mri": grid(), "ct": grid((9, 7, 6))}) == []
    assert fits(Volume(mask.data, grid()), apart) == [] and fits(None, apart) == []
