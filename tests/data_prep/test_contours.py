"""Outlines in mm become masks by area: shapes counted by hand, and an independent library's polygons."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from scipy.spatial.transform import Rotation

from data_prep.masks.contours import area, coverage, fill_contours
from data_prep.volumes.volume import Grid
from hnscc.base.errors import InputError

GRID = Grid((10, 8, 6), np.diag([-1.0, -1.0, 1.0, 1.0]), True)


def box(x: float, y: float, wide: float, high: float) -> np.ndarray:
    """In pixels from the outer corner of the first one."""
    return np.array([[x, y], [x + wide, y], [x + wide, y + high], [x, y + high]]) - 0.5


def at(polygon: np.ndarray, *planes: float, grid: Grid = GRID, axis: int = 2) -> list[np.ndarray]:
    """The polygon in planes across an axis of the grid (in slices), in mm."""
    points = [np.insert(polygon, axis, plane, axis=1) for plane in planes]
    return [each @ grid.affine[:3, :3].T + grid.affine[:3, 3] for each in points]


def drawn(contours: list[np.ndarray], grid: Grid = GRID, **options) -> np.ndarray:
    return fill_contours(contours, grid, "scan S", **options).voxels


def block(x: slice, y: slice, z: slice, shape: tuple[int, ...] = GRID.shape) -> np.ndarray:
    expected = np.zeros(shape, bool)
    expected[x, y, z] = True
    return expected


def refusal(contours: list[np.ndarray], **options) -> str:
    with pytest.raises(InputError, match="scan S") as caught:
        drawn(contours, **options)
    return str(caught.value)


def test_shares_of_pixels_are_exact_for_boxes_and_half_for_diagonals():
    shares = coverage([box(0.25, 1.5, 2, 1)], (4, 4))
    expected = np.zeros((4, 4))
    expected[:3, 1:3] = np.array([0.75, 1, 0.25])[:, None] * 0.5
    np.testing.assert_allclose(shares, expected, atol=1e-12)
    triangle = np.array([[0.0, 0], [3, 0], [0, 3]]) - 0.5
    by_hand = [[1, 1, 0.5], [1, 0.5, 0], [0.5, 0, 0]]
    np.testing.assert_allclose(coverage([triangle], (3, 3)), by_hand, atol=1e-12)
    assert area([triangle]) == pytest.approx(4.5) and area([triangle + 1000]) == pytest.approx(4.5)


def test_what_lies_beyond_the_pixels_is_cut_off():
    np.testing.assert_allclose(coverage([box(-5, -5, 20, 6)], (3, 3)), [[1, 0, 0]] * 3)
    assert not coverage([box(7, 7, 2, 2)], (3, 3)).any()


@given(seed=st.integers(0, 10_000), corners=st.integers(3, 9))
@settings(max_examples=15, deadline=None)
def test_shares_agree_with_points_counted_by_another_library(seed, corners):
    """Star-shaped outlines of any direction; 10 x 10 points in each pixel, tested by matplotlib."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.random(corners)) * 2 * np.pi
    polygon = 4 + np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(1, 4, corners)[:, None]
    polygon = polygon[:: rng.choice([-1, 1])]
    steps = (np.arange(100) + 0.5) / 10 - 0.5
    points = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = Outline(polygon).contains_points(points).reshape(10, 10, 10, 10).mean(axis=(1, 3))
    np.testing.assert_allclose(coverage([polygon], (10, 10)), inside, atol=0.1)
    assert coverage([polygon], (10, 10)).sum() == pytest.approx(area([polygon]), abs=1e-9)


def test_a_box_on_slices_is_the_voxels_that_it_covers_half_of():
    """From 2.5 to 6.5 along x (halves count), 1.6 to 4.4 along y (less than half does not), on slices 1 to 3."""
    mask = drawn(at(box(2.5, 1.6, 4, 2.8), 1, 2, 3))
    np.testing.assert_array_equal(mask, block(slice(2, 7), slice(2, 4), slice(1, 4)))


def test_planes_rounded_by_a_file_lie_on_their_slices():
    mask = fill_contours(at(box(2, 2, 3, 3), 0.97, 2.03, 3.004), GRID, "scan S")
    np.testing.assert_array_equal(mask.voxels, block(slice(2, 5), slice(2, 5), slice(1, 4)))
    assert mask.told == ()


def test_an_outline_within_another_is_a_hole_and_one_within_that_is_lesion():
    contours = at(box(0, 0, 8, 8), 2) + at(box(1, 1, 6, 6), 2) + at(box(3, 3, 2, 2), 2)
    expected = block(slice(0, 8), slice(0, 8), slice(2, 3))
    expected[1:7, 1:7], expected[3:5, 3:5, 2] = False, True
    np.testing.assert_array_equal(drawn(contours), expected)


@pytest.mark.parametrize("beside", [0.01, 0.03, 0.09])
def test_the_outline_of_a_hole_may_lie_a_little_beside_the_outer_one(beside):
    """From 0.02 slices on it was a plane of its own, and the hole was filled."""
    outer, hole = box(1, 1, 8, 6), box(3, 2, 4, 3)
    expected = block(slice(1, 9), slice(1, 7), slice(1, 4))
    expected[3:7, 2:5, 1:4] = False
    for way in (1, -1):
        holes = at(hole, *(plane + way * beside for plane in (1, 2, 3)))
        np.testing.assert_array_equal(drawn([*at(outer, 1, 2, 3), *holes]), expected)


@pytest.mark.parametrize("direction", [1, -1])
def test_a_keyhole_is_a_hole(direction):
    """One outline that walks in over a bridge, around the hole in either direction, and back over the bridge."""
    outer, hole = box(1, 1, 6, 6), box(3, 3, 2, 2)
    inner = np.concatenate([hole, hole[:1]])[::direction]
    keyhole = np.concatenate([outer, outer[:1], inner])
    expected = block(slice(1, 7), slice(1, 7), slice(4, 5))
    expected[3:5, 3:5] = False
    np.testing.assert_array_equal(drawn(at(keyhole, 4)), expected)


def test_several_contours_of_a_slice_are_all_lesion():
    mask = drawn(at(box(0, 0, 2, 2), 1) + at(box(5, 5, 3, 2), 1))
    expected = block(slice(0, 2), slice(0, 2), slice(1, 2)) | block(slice(5, 8), slice(5, 7), slice(1, 2))
    np.testing.assert_array_equal(mask, expected)


def test_a_contour_that_stands_there_twice_counts_once():
    polygon = box(1, 1, 4, 4)
    mask = fill_contours(at(polygon, 2) + at(np.roll(polygon, 2, axis=0), 2), GRID, "scan S")
    np.testing.assert_array_equal(mask.voxels, block(slice(1, 5), slice(1, 5), slice(2, 3)))
    assert mask.told == ("contours that stood there twice and count once: 1",)


def test_contours_that_cross_are_refused_unless_the_file_says_what_they_mean():
    contours = at(box(0, 0, 4, 4), 2) + at(box(2, 0, 4, 4), 2)
    assert "two that share 50% of the smaller one" in refusal(contours)
    expected = block(slice(0, 2), slice(0, 4), slice(2, 3)) | block(slice(4, 6), slice(0, 4), slice(2, 3))
    np.testing.assert_array_equal(drawn(contours, odd_is_meant=True), expected)


def test_planes_finer_than_slices_fill_what_they_cover_half_of():
    """Planes 0.25 slices apart, from 1.0 to 2.75: slabs from 0.875 to 2.875 cover all of slice 2, and of slices 1 and
    3 the parts 0.625 and 0.375."""
    mask = fill_contours(at(box(2, 2, 3, 3), *np.arange(1, 3, 0.25)), GRID, "scan S")
    np.testing.assert_array_equal(mask.voxels, block(slice(2, 5), slice(2, 5), slice(1, 3)))
    assert mask.told == ("contours lie between the slices and stand for 0.25 slices each",)


def test_planes_between_slices_are_shared_out():
    """Planes at 1.3, 2.3, 3.3: slabs from 0.8 to 3.8, thus 0.7 of slice 1 and 0.3 of slice 4."""
    mask = drawn(at(box(2, 2, 3, 3), 1.3, 2.3, 3.3))
    np.testing.assert_array_equal(mask, block(slice(2, 5), slice(2, 5), slice(1, 4)))


def test_planes_of_a_thicker_image_stand_for_slabs_of_its_thickness():
    """Slices of 2.5 of ours at 1, 3.5, 6: from -0.25 to 7.25. Those of 2 at 1, 3, 5: from 0 to 6, which halves two
    slices of ours, and six were drawn."""
    grid = Grid((10, 8, 12), GRID.affine, True)
    between = fill_contours(at(box(2, 2, 3, 3), 1, 3.5, 6), grid, "scan S")
    expected = block(slice(2, 5), slice(2, 5), slice(0, 8), grid.shape)
    np.testing.assert_array_equal(between.voxels, expected)
    assert between.told == ("contours lie between the slices and stand for 2.5 slices each",)
    on_slices = fill_contours(at(box(2, 2, 3, 3), 1, 3, 5), grid, "scan S")
    expected = block(slice(2, 5), slice(2, 5), slice(0, 6), grid.shape)
    np.testing.assert_array_equal(on_slices.voxels, expected)
    assert on_slices.told == ("contours lie 2 slices apart and stand for as many each",)


@pytest.mark.parametrize("thick", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("first", [6, 6.5])
def test_slabs_hold_as_many_slices_as_were_drawn(thick, first):
    grid = Grid((10, 8, 40), GRID.affine, True)
    planes = first + thick * np.arange(4)
    held = drawn(at(box(2, 2, 3, 3), *planes, grid=grid), grid)
    assert held[2:5, 2:5].sum() == held.sum() == 9 * 4 * thick
    middle = np.flatnonzero(held.any(axis=(0, 1))).mean()
    assert abs(middle - planes.mean()) <= 0.5, "centre, in slices"


def test_outlines_far_apart_are_lesions_of_their_own_and_told():
    """At 5, 15 and 25, equally far apart: three slices were drawn, not a slab of 30."""
    grid = Grid((10, 8, 40), GRID.affine, True)
    mask = fill_contours(at(box(2, 2, 3, 3), 5, 15, 25, grid=grid), grid, "scan S")
    np.testing.assert_array_equal(np.flatnonzero(mask.voxels.any(axis=(0, 1))), [5, 15, 25])
    assert mask.told == (
        "contours lie 10 slices apart, too far for thick ones, and stand for one slice each",
        "slices without a contour between those with: 18",
    )


def test_gaps_between_lesions_stay_gaps_and_are_told():
    mask = fill_contours(at(box(2, 2, 3, 3), 0, 1, 4), GRID, "scan S")
    expected = block(slice(2, 5), slice(2, 5), slice(0, 2)) | block(slice(2, 5), slice(2, 5), slice(4, 5))
    np.testing.assert_array_equal(mask.voxels, expected)
    assert mask.told == ("slices without a contour between those with: 2",)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_kind_of_slices_of_any_grid(axis):
    """Oblique voxels of 0.9 x 1.2 x 3 mm; contours across each of the file's axes."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix() * [0.9, -1.2, 3.0]
    affine[:3, 3] = (12, -80, 333)
    grid = Grid((7, 7, 7), affine, True)
    mask = drawn(at(box(1, 2, 4, 3), 2, 3, grid=grid, axis=axis), grid)
    expected = np.moveaxis(block(slice(1, 5), slice(2, 5), slice(2, 4), (7, 7, 7)), 2, axis)
    np.testing.assert_array_equal(mask, expected)


def test_an_outline_may_leave_its_plane_by_a_tenth_of_a_slice():
    for tilt, fits in ((0.19, True), (0.21, False)):
        (points,) = at(box(2, 2, 3, 3), 2)
        points[:2, 2] += tilt
        if fits:
            np.testing.assert_array_equal(drawn([points]), block(slice(2, 5), slice(2, 5), slice(2, 3)))
        else:
            assert "do not lie in the slices" in refusal([points])


@pytest.mark.parametrize("step, thick", [(5.05, 5.05), (5.2, 1)])
def test_planes_up_to_five_slices_apart_are_slabs(step, thick):
    grid = Grid((10, 8, 40), GRID.affine, True)
    mask = fill_contours(at(box(2, 2, 3, 3), *(6.5 + step * np.arange(4)), grid=grid), grid, "scan S")
    assert abs(int(mask.voxels[3, 3].sum()) - 4 * thick) < 1


@pytest.mark.parametrize(
    "planes, held", [([2, 4, 6, 8, 10, 14], 12), ([2, 4, 6, 8, 12], 5), ([2, 4, 6, 9, 12], 5)]
)
def test_planes_are_slabs_where_four_of_five_steps_are_alike(planes, held):
    grid = Grid((10, 8, 40), GRID.affine, True)
    mask = drawn(at(box(2, 2, 3, 3), *planes, grid=grid), grid)
    assert mask[3, 3].sum() == held


@pytest.mark.parametrize("shared, fits", [(0.009, True), (0.011, False)])
def test_outlines_that_overlap_by_a_hundredth_lie_side_by_side(shared, fits):
    contours = at(box(1, 1, 4, 4), 2) + at(box(5 - 4 * shared, 1, 4, 4), 2)
    if fits:
        np.testing.assert_array_equal(drawn(contours), block(slice(1, 9), slice(1, 5), slice(2, 3)))
    else:
        assert "two that share 1% of the smaller one" in refusal(contours)


def test_contours_in_no_slice_of_the_grid_are_refused():
    tilted = at(box(2, 2, 3, 3), 2)[0] @ Rotation.from_euler("xy", [30, 40], degrees=True).as_matrix()
    assert "do not lie in the slices" in refusal([tilted])


def test_contours_outside_of_the_grid_are_refused_and_a_little_is_told():
    assert "found:      50.0%" in refusal(at(box(8, 0, 4, 4), 2))
    assert "found:      50.0%" in refusal(at(box(2, 2, 3, 3), 4, 5, 6, 7))
    assert "farther away" in refusal(at(box(1e7, 0, 4, 4), 2))
    told = fill_contours(at(box(5.25, 0, 5, 4), 2), GRID, "scan S").told
    assert told == ("5.0% of what the contours enclose lies outside of the grid",)
