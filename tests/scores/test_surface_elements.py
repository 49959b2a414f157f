"""Sizes of surface elements against those that MONAI takes from the library surface-distance, and against solids."""

import numpy as np
import pytest

from hnscc.scores.surface_elements import cell_contours, cell_surfaces, elements


@pytest.mark.parametrize(
    "spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (2.2, 0.7, 1.4), (0.977, 3.27), (1.0, 1.0)]
)
def test_every_code_has_the_size_that_monai_gives_it(spacing):
    from monai.metrics.utils import get_code_to_measure_table  # of seconds: not in every process of pytest

    theirs, weights = get_code_to_measure_table(spacing)
    weights = weights.numpy().ravel()
    corners = len(weights)
    code = [sum(int(weights[i]) * (each >> i & 1) for i in range(corners)) for each in range(2**corners)]
    ours = (cell_surfaces if corners == 8 else cell_contours)(spacing)[0]
    np.testing.assert_allclose(ours, theirs.numpy()[code], atol=1e-6)


def test_centroids_by_hand():
    """In cells from the cell's middle; corners count in binary, the last axis fastest, the first corner as bit 0."""
    area, centroid = cell_surfaces((3.0, 1.0, 1.0))
    # One corner: a triangle whose corners are half an edge away from it, along each axis once.
    np.testing.assert_allclose(centroid[0b00000001], [-1 / 3] * 3)
    np.testing.assert_allclose(centroid[0b11111110], [-1 / 3] * 3)
    np.testing.assert_allclose(centroid[0b10000000], [1 / 3] * 3)
    # An edge along x: a rectangle of 1 mm by half the diagonal of 3 x 1 mm.
    np.testing.assert_allclose(centroid[0b00000011], [-0.25, -0.25, 0], atol=1e-15)
    assert area[0b00000011] == pytest.approx(np.sqrt(10) / 2)
    # A face, and two opposite corners of the cell: in the middle.
    np.testing.assert_allclose(centroid[[0b00001111, 0b10000001, 0, 255]], 0, atol=1e-15)
    length, middle = cell_contours((2.0, 1.0))
    assert (length[0b0011], length[0b0101], length[0b0001]) == (1, 2, np.sqrt(5) / 2)
    assert middle[[0b0001, 0b1101, 0b0110]].tolist() == [[-0.25, -0.25], [-0.25, 0.25], [0, 0]]


@pytest.mark.parametrize("axis", range(3))
def test_turning_the_mask_turns_the_surface(axis):
    """Mirrored and with other spacings of its axes, a mask of all kinds of cells has the same surface elsewhere."""
    mask, spacing = np.random.default_rng(0).random((9, 10, 11)) < 0.4, np.array([3.0, 1.0, 0.7])
    found = elements(mask, tuple(spacing))
    mirrored = elements(np.flip(mask, axis), tuple(spacing))
    back = mirrored.position.copy()
    back[:, axis] = (mask.shape[axis] - 1) * spacing[axis] - back[:, axis]
    order = [axis, *np.delete(range(3), axis)]
    turned = elements(np.transpose(mask, order), tuple(spacing[order]))
    straight = turned.position[:, np.argsort(order)]
    for sizes, positions in ((mirrored.size, back), (turned.size, straight)):
        assert sorted_rows(positions, sizes) == pytest.approx(sorted_rows(found.position, found.size))


def sorted_rows(positions, sizes):
    """Position and size of each element, by position."""
    rows = np.round(np.column_stack([positions, sizes]), 9)
    return rows[np.lexsort(rows.T[::-1])]


def test_the_surface_of_a_plate_is_its_two_faces():
    """10 x 10 mm: 81 whole cells on each face; edges and corners are cut off."""
    found = elements(np.ones((4, 10, 10), bool), (1.0, 1.0, 1.0))
    z = found.position[:, 0]
    assert (found.size[z == -0.5] == 1.0).sum() == (found.size[z == 3.5] == 1.0).sum() == 81
    assert found.position.min() == -0.5 and found.position.max(axis=0).tolist() == [3.5, 9.5, 9.5]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_the_surface_of_a_ball_is_an_eighth_too_large_at_most(spacing):
    """A surface between voxels that are marked or not has steps: it is larger than the ball's, alike all over."""
    axes = np.meshgrid(*(np.arange(-24, 25, mm) for mm in spacing), indexing="ij", sparse=True)
    found = elements(sum(each**2 for each in axes) <= 20**2, spacing)
    assert 1.0 < found.size.sum() / (4 * np.pi * 20**2) < 1.125
    from_middle = np.linalg.norm(found.position - 24, axis=1)
    assert np.average(from_middle, weights=found.size) == pytest.approx(20, abs=0.25)


def test_the_contour_of_a_rectangle():
    """8 whole sides of 1 mm and 3 of 2 mm, twice each, and 4 corners of half a diagonal."""
    found = elements(np.ones((4, 9), bool), (2.0, 1.0))
    assert found.size.sum() == pytest.approx(2 * (8 * 1 + 3 * 2) + 4 * np.sqrt(5) / 2)
