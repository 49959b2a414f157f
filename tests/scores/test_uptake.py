import itertools

import numpy as np
import pytest

from hnscc.scores.uptake import marked_lesions, uptake_of

SPACING = (3.0, 2.0, 2.5)


def test_a_lesion_by_hand():
    mask = np.zeros((4, 6, 6), bool)
    mask[1, 2, 2:4] = True
    mask[2, 3, 4] = True  # touches by a corner: the same lesion
    mask[3, 0, 0] = True
    values = np.arange(4 * 6 * 6, dtype=np.float32).reshape(mask.shape)
    first, second = marked_lesions(mask, SPACING)
    assert (first.lesion, first.voxels, second.lesion, second.voxels) == (1, 3, 2, 1)
    assert first.volume_ml == pytest.approx(3 * 0.015) and second.volume_ml == pytest.approx(0.015)
    assert first.centre == pytest.approx((4 / 3, 7 / 3, 3)) and second.centre == (3, 0, 0)
    inside = [1 * 36 + 2 * 6 + 2, 1 * 36 + 2 * 6 + 3, 2 * 36 + 3 * 6 + 4]
    uptake = uptake_of(values, first.on_grid(mask.shape), SPACING)
    assert uptake.highest == inside[2] and uptake.mean == pytest.approx(sum(inside) / 3)
    assert marked_lesions(np.zeros_like(mask), SPACING) == []
    assert uptake_of(values, np.zeros_like(mask), SPACING) is None


def test_the_peak_is_the_highest_mean_over_a_sphere_of_1_ml():
    """Against every sphere added up voxel by voxel; one lesion lies at the border, where spheres are cut."""
    random = np.random.default_rng(0)
    values = random.gamma(2.0, 2.0, (6, 14, 12)).astype(np.float32)
    mask = np.zeros(values.shape, bool)
    mask[0:2, 0:3, 0:4] = True
    mask[4, 9:12, 6:9] = True
    radius = (3 * 1000 / (4 * np.pi)) ** (1 / 3)
    at = np.stack(np.meshgrid(*map(np.arange, values.shape), indexing="ij"), axis=-1) * SPACING
    expected = []
    for slices in (range(0, 3), range(3, 6)):
        centres = [each * SPACING for each in np.argwhere(mask) if each[0] in slices]
        spheres = [values[np.linalg.norm(at - each, axis=-1) <= radius].astype(float) for each in centres]
        expected.append(max(each.mean() for each in spheres))
    lesions = [each.on_grid(mask.shape) for each in marked_lesions(mask, SPACING)]
    found = [uptake_of(values, each, SPACING).peak for each in lesions]
    assert found == pytest.approx(expected, rel=1e-9)
    assert found[0] != pytest.approx(found[1])


@pytest.mark.parametrize("shape", list(itertools.permutations((1, 5, 9))))
def test_a_volume_thinner_than_the_sphere(shape):
    mask = np.zeros(shape, bool)
    mask[tuple(each // 2 for each in shape)] = True
    found = uptake_of(np.full(shape, 7.0, np.float32), mask, (1.0, 1.0, 1.0))
    assert found.peak == pytest.approx(7.0)
