"""Distances of surfaces: by hand, and on boxes, spheres and shells against a mesh of this file's own."""

import itertools
import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hnscc.scores.scans import score_scan
from hnscc.scores.surface import average_distance, hd95, surface_dice, surface_distances
from hnscc.scores.surface_elements import elements


def box(shape, low, high):
    """A mask that marks the voxels low..high - 1 along each axis."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*ends) for ends in zip(low, high, strict=True))] = True
    return mask


def ball(shape, spacing, centre, radius):
    """A mask that marks the voxels whose centres, in mm, lie within the ball."""
    axes = np.meshgrid(
        *(np.arange(n) * mm for n, mm in zip(shape, spacing, strict=True)), indexing="ij", sparse=True
    )
    return sum((axis - at) ** 2 for axis, at in zip(axes, centre, strict=True)) <= radius**2


def test_two_boxes_by_hand():
    """A cube of 4 mm, and one that reaches 2 mm farther: on its far face, 9 whole cells lie 2 mm from the cube's."""
    truth, pred = box((8, 8, 8), (2, 2, 2), (6, 6, 6)), box((8, 8, 8), (2, 2, 2), (6, 6, 8))
    found = surface_distances(pred, truth, (1, 1, 1))
    assert (found.pred_mm == 2.0).sum() == 9 and hd95(found) == 2.0
    assert 0.0 < average_distance(found) < hd95(found)
    assert surface_dice(found, 2) == 1.0 and surface_dice(found, 2 - 1e-8) < 1.0


def test_one_voxel_by_hand():
    """A voxel's surface is eight corners cut off: triangles with sides of half a face's diagonal. In a plane it is four
    sides of that length, whose middles lie a quarter of a voxel from its centre."""
    voxel, next_one = box((1, 1, 9), (0, 0, 0), (1, 1, 1)), box((1, 1, 9), (0, 0, 7), (1, 1, 8))
    in_plane = surface_distances(voxel, next_one, (5, 1, 1))
    assert in_plane.truth_size.tolist() == pytest.approx([math.sqrt(2) / 2] * 4)
    assert sorted(in_plane.truth_mm) == [6.5, 6.5, 7, 7]
    assert (hd95(in_plane), average_distance(in_plane), surface_dice(in_plane, 6.5)) == (7.0, 6.75, 0.5)
    deep = surface_distances(
        *(np.concatenate([each, np.zeros_like(each)]) for each in (voxel, next_one)), (1, 1, 1)
    )
    assert deep.truth_size.tolist() == pytest.approx([math.sqrt(3) / 8] * 8)
    # Middles of the triangles lie a sixth of a voxel from its centre along each axis.
    assert sorted(deep.truth_mm) == pytest.approx([7 - 1 / 3] * 4 + [7] * 4)
    assert average_distance(deep) == pytest.approx(7 - 1 / 6)


def test_empty_masks_follow_the_rule():
    empty, some = np.zeros((3, 4, 12), bool), box((3, 4, 12), (0, 0, 0), (1, 1, 1))
    both = surface_distances(empty, empty, (1, 1, 1))
    assert (hd95(both), average_distance(both), surface_dice(both, 5.0)) == (0.0, 0.0, 1.0)
    for pred, truth in ((empty, some), (some, empty)):
        one = surface_distances(pred, truth, (1, 1, 1))
        # The diagonal of 3 x 4 x 12 mm; and a tolerance above it forgives nothing.
        assert (hd95(one), average_distance(one), surface_dice(one, 100)) == (13.0, 13.0, 0.0)
    plane = surface_distances(empty[:1, :, :3], some[:1, :, :3], (7, 1, 1))
    assert hd95(plane) == 5.0


def test_no_distance_exceeds_the_diagonal():
    corners = box((3, 4, 12), (0, 0, 0), (1, 1, 1)), box((3, 4, 12), (2, 3, 11), (3, 4, 12))
    found = surface_distances(*corners, (2.0, 1.5, 0.7))
    assert hd95(found) < found.diagonal_mm == pytest.approx(math.hypot(6.0, 6.0, 8.4))


def test_rounding_of_the_spacing_decides_nothing():
    """0.1 mm x 3 is more than 0.3 in floating point, and within a tolerance of 0.3 mm."""
    truth, pred = box((1, 4, 40), (0, 0, 0), (1, 4, 20)), box((1, 4, 40), (0, 0, 0), (1, 4, 23))
    found = surface_distances(pred, truth, (1, 0.1, 0.1))
    assert surface_dice(found, 0.3) == 1.0 and hd95(found) == 0.3
    # Nor does that of a distance to 9 decimals: 0.666666667 is within two thirds.
    assert surface_dice(surface_distances(pred, truth, (1, 2 / 9, 2 / 9)), 2 / 3) == 1.0


def test_a_slice_is_scored_in_its_plane():
    rng = np.random.default_rng(0)
    pred, truth = rng.random((2, 1, 9, 11)) < 0.4
    found = surface_distances(pred, truth, (3.0, 0.5, 2.0))
    assert (hd95(found), found.diagonal_mm) == (
        hd95(surface_distances(pred, truth, (77.0, 0.5, 2.0))),
        pytest.approx(math.hypot(9 * 0.5, 22)),
    )


def test_what_lies_around_the_masks_changes_only_the_diagonal():
    rng = np.random.default_rng(1)
    pred, truth = rng.random((2, 4, 5, 6)) < 0.3
    wide = (np.pad(each, ((3, 9), (0, 40), (17, 2))) for each in (pred, truth))
    near, far = surface_distances(pred, truth, (3, 1, 1)), surface_distances(*wide, (3, 1, 1))
    assert (
        near.truth_mm.tolist() == far.truth_mm.tolist() and near.pred_size.tolist() == far.pred_size.tolist()
    )
    assert near.diagonal_mm < far.diagonal_mm


@pytest.mark.parametrize(("share", "shape"), [(0.002, (9, 40, 40)), (0.5, (6, 12, 12))])
def test_distances_are_those_between_all_pairs_of_elements(share, shape):
    spacing = (3.0, 0.9, 1.1)
    pred, truth = np.random.default_rng(2).random((2, *shape)) < share
    found = surface_distances(pred, truth, spacing)
    between = cdist(elements(truth, spacing).position, elements(pred, spacing).position)
    np.testing.assert_allclose(np.sort(found.truth_mm), np.sort(between.min(axis=1)), atol=1e-8)
    np.testing.assert_allclose(np.sort(found.pred_mm), np.sort(between.min(axis=0)), atol=1e-8)


@pytest.mark.parametrize(
    ("pred", "truth", "spacing", "told"),
    [
        (np.zeros((2, 3, 3)), np.zeros((2, 3, 3), bool), (1, 1, 1), "prediction is bool"),
        (np.zeros((2, 3, 3), bool), np.zeros((3, 3), bool), (1, 1, 1), "truth is bool"),
        (np.zeros((2, 3, 3), bool), np.zeros((2, 3, 4), bool), (1, 1, 1), "one shape"),
        (np.zeros((2, 3, 3), bool), np.zeros((2, 3, 3), bool), (1, 0, 1), "spacing"),
        (np.zeros((2, 3, 3), bool), np.zeros((2, 3, 3), bool), (1, 1, math.nan), "spacing"),
        (np.zeros((2, 3, 3), bool), np.zeros((2, 3, 3), bool), (1, 1), "spacing"),
    ],
)
def test_other_masks_and_spacings_are_refused(pred, truth, spacing, told):
    with pytest.raises(ValueError, match=told):
        surface_distances(pred, truth, spacing)


def test_a_tolerance_out_of_range_is_refused():
    found = surface_distances(*np.zeros((2, 1, 2, 2), bool), (1, 1, 1))
    assert surface_dice(found, 0) == 1.0
    for tolerance in (-1, math.nan):
        with pytest.raises(ValueError, match="tolerance"):
            surface_dice(found, tolerance)


# --- meshes: triangles of a solid's surface, with exact distances to the other solid's


def sphere_mesh(radius, rings=120):
    """Middles (T, 3) and areas (T,) of the triangles of a sphere around 0."""
    theta, phi = np.meshgrid(
        np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, 2 * rings), indexing="ij"
    )
    points = np.stack([np.cos(theta), np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi)], -1) * radius
    a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    return _triangles([(a, b, c), (a, c, d)])


def box_mesh(low, high, cuts=60):
    """Middles (T, 3) and areas (T,) of the triangles of a box."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    parts = []
    for axis, end in itertools.product(range(3), (low, high)):
        u, v = ((axis + 1) % 3, (axis + 2) % 3)
        grid = np.stack(
            np.meshgrid(*(np.linspace(low[each], high[each], cuts) for each in (u, v)), indexing="ij"), -1
        )
        points = np.empty((cuts, cuts, 3))
        points[..., [u, v]], points[..., axis] = grid, end[axis]
        a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
        parts += [(a, b, c), (a, c, d)]
    return _triangles(parts)


def _triangles(parts):
    a, b, c = (np.concatenate([each[corner].reshape(-1, 3) for each in parts]) for corner in range(3))
    return (a + b + c) / 3, np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def from_sphere(points, centre, radius):
    """The exact distance of points from a sphere."""
    return np.abs(np.linalg.norm(points - centre, axis=1) - radius)


def from_box(points, low, high):
    """The exact distance of points from the surface of a box."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    beyond = np.maximum(np.maximum(low - points, points - high), 0)
    inside = np.minimum(points - low, high - points).min(axis=1)
    return np.where(inside > 0, inside, np.linalg.norm(beyond, axis=1))


def mesh_scores(truth, pred, tolerance=None):
    """HD95, average distance and surface Dice of (distances, areas) of both meshes."""
    percentiles = []
    for distances, areas in (truth, pred):
        order = np.argsort(distances)
        upto = np.cumsum(areas[order])
        percentiles.append(distances[order][np.argmax(upto >= 0.95 * upto[-1])])
    distances, areas = (np.concatenate(each) for each in zip(truth, pred, strict=True))
    near = None if tolerance is None else areas[distances <= tolerance].sum() / areas.sum()
    return max(percentiles), (distances * areas).sum() / areas.sum(), near


SPHERES = [  # radius of the truth, of the prediction, shift of the prediction, spacing
    (20.0, 20.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    (20.0, 16.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    (20.0, 16.0, (3.3, -2.1, 1.7), (1.0, 1.0, 1.0)),
    (12.0, 15.5, (0.4, 0.2, -9.0), (1.0, 1.0, 1.0)),
    (14.0, 14.0, (0.0, 40.0, 0.0), (1.0, 1.0, 1.0)),
    (24.0, 20.0, (3.3, -2.1, 5.7), (3.0, 1.0, 1.0)),
    (30.0, 25.0, (0.0, 6.0, -3.0), (3.3, 0.977, 0.977)),
]


@pytest.mark.parametrize(("radius", "other", "shift", "spacing"), SPHERES)
def test_spheres_are_within_half_a_voxel_of_the_mesh(radius, other, shift, spacing):
    reach = radius + other + np.abs(shift).max() + 5
    shape = [int(2 * reach / mm) for mm in spacing]
    centre = np.array([n * mm / 2 + 0.31 * mm for n, mm in zip(shape, spacing, strict=True)])
    masks = ball(shape, spacing, centre + shift, other), ball(shape, spacing, centre, radius)
    found = surface_distances(*masks, spacing)
    (points, areas), (others, their_areas) = sphere_mesh(radius), sphere_mesh(other)
    mesh = mesh_scores(
        (from_sphere(points, np.array(shift), other), areas),
        (from_sphere(others + shift, 0, radius), their_areas),
    )
    assert abs(hd95(found) - mesh[0]) <= max(spacing) / 2
    assert abs(average_distance(found) - mesh[1]) <= max(spacing) / 4


def test_a_concentric_shift_of_spheres_has_the_closed_form():
    """From a sphere to an equal one that is shifted by s, the distance is |sqrt(r2 + s2 + 2 r s u) - r|, u uniform."""
    r, s = 20.0, 6.0
    u = np.linspace(-1, 1, 400001)
    exact = np.quantile(np.abs(np.sqrt(r**2 + s**2 + 2 * r * s * u) - r), 0.95)
    points, areas = sphere_mesh(r)
    distances = from_sphere(points, np.array([s, 0, 0]), r)
    assert mesh_scores((distances, areas), (distances, areas))[0] == pytest.approx(exact, abs=0.02)


BOXES = [  # low and high of the truth, of the prediction, in voxels; spacing
    (((5, 5, 5), (15, 15, 15)), ((5, 5, 5), (15, 15, 19)), (1.0, 1.0, 1.0)),
    (((5, 5, 5), (15, 15, 15)), ((8, 5, 5), (18, 15, 15)), (1.0, 1.0, 1.0)),
    (((4, 6, 6), (12, 20, 20)), ((4, 6, 6), (15, 20, 20)), (3.0, 1.0, 1.0)),
    (((4, 6, 6), (12, 20, 20)), ((4, 6, 11), (12, 20, 25)), (3.0, 0.7, 0.5)),
    (((4, 4, 4), (9, 9, 9)), ((4, 4, 24), (9, 9, 29)), (2.0, 1.5, 1.0)),
]


@pytest.mark.parametrize(("of_truth", "of_pred", "spacing"), BOXES)
def test_hd95_of_boxes_is_exactly_the_mesh_s(of_truth, of_pred, spacing):
    """Where the percentile is a distance of two faces: they lie half a voxel out from the outermost voxels' centres."""
    found, mesh = both_ways(of_truth, of_pred, spacing)
    assert hd95(found) == pytest.approx(mesh[0], abs=1e-6)
    assert average_distance(found) == pytest.approx(mesh[1], abs=max(spacing) / 10)
    assert surface_dice(found, 5.0) == pytest.approx(mesh[2], abs=0.05)


@pytest.mark.parametrize(("inset", "off"), [(1, 0.08), (2, 0.21), (3, 0.31), (4, 0.32)])
@pytest.mark.parametrize("mm", [1.0, 3.0])
def test_hd95_of_nested_boxes_is_less_than_half_a_voxel_off_the_mesh_s(inset, off, mm):
    """The percentile lies on edges, which elements round off: by as much as docs/explanation/statistics.md says."""
    inner = (5 + inset,) * 3, (15 - inset,) * 3
    found, mesh = both_ways(((5, 5, 5), (15, 15, 15)), inner, (mm, mm, mm))
    assert hd95(found) - mesh[0] == pytest.approx(off * mm, abs=0.005 * mm)
    assert average_distance(found) == pytest.approx(mesh[1], abs=0.36 * mm)


def both_ways(of_truth, of_pred, spacing):
    """The distances of two boxes, and the scores of their meshes."""
    truth, pred = (box((22, 30, 32), *ends) for ends in (of_truth, of_pred))
    faces = [[np.array(end) * spacing for end in ends] for ends in (of_truth, of_pred)]
    (points, areas), (others, their_areas) = (box_mesh(*each) for each in faces)
    mesh = mesh_scores(
        (from_box(points, *faces[1]), areas), (from_box(others, *faces[0]), their_areas), tolerance=5.0
    )
    return surface_distances(pred, truth, spacing), mesh


@pytest.mark.parametrize(("outer", "inner"), [(20.0, 12.0), (20.0, 16.0), (15.0, 5.0)])
def test_a_shell_and_the_ball_that_fills_it(outer, inner):
    """Only the shell's inner sphere is away from the ball's surface: by outer - inner, everywhere."""
    shape, spacing = (50, 50, 50), (1.0, 1.0, 1.0)
    full = ball(shape, spacing, (24.7, 25.1, 24.9), outer)
    shell = full & ~ball(shape, spacing, (24.7, 25.1, 24.9), inner)
    apart, within, without = outer - inner, 4 * np.pi * inner**2, 4 * np.pi * outer**2
    for pred, truth in ((full, shell), (shell, full)):
        found = surface_distances(pred, truth, spacing)
        assert abs(hd95(found) - apart) <= 0.25
        assert average_distance(found) == pytest.approx(apart * within / (within + 2 * without), abs=0.05)
        assert surface_dice(found, apart / 2) == pytest.approx(2 * without / (within + 2 * without), abs=0.01)


def test_no_tolerance_is_assumed():
    """The study's is the one default (presets): a second one here could differ from it unseen."""
    mask = box((3, 4, 12), (0, 0, 0), (1, 1, 1))
    with pytest.raises(TypeError, match="tolerance_mm"):
        surface_dice(surface_distances(mask, mask, (1, 1, 1)))
    with pytest.raises(TypeError, match="tolerance_mm"):
        score_scan(mask, mask, (1, 1, 1))
