"""Single voxels that no scanner produces, at the limits of each rule: hot, dead, and burnt into most slices."""

import numpy as np
import pytest

from data_prep.placing.planes import planes_of


def head() -> np.ndarray:
    """Tissue from 100 to 101 in a square of 30 x 30 voxels amid air, which is 0: (x, y, z)."""
    data = np.zeros((40, 40, 12), np.float32)
    data[5:35, 5:35] = 100 + np.random.default_rng(0).random((30, 30, 12))
    return data


def found(data: np.ndarray, name: str):
    return planes_of(data, None, None)[name]


@pytest.mark.parametrize("value, hot", [(396, 0), (408, 1)])
def test_a_hot_voxel_is_four_times_as_bright_as_the_third_of_those_around(value, hot):
    data = head()
    data[20, 20, 3] = value
    assert found(data, "hot") == hot
    data[20, 21:23, 3] = 1000  # beside one another, of which the first lies beside the voxel
    assert found(data, "hot") == hot + 2


def test_a_dead_voxel_has_six_of_eight_of_tissue_around_it():
    data = head()
    data[20, 19:22, 3] = 0
    assert found(data, "dead") == 3
    data[21, 20, 3] = 0
    assert found(data, "dead") == 2, "the two ends have six, and the others five"


def test_a_value_is_burnt_in_where_most_slices_hold_it_whichever_these_are():
    data = head()
    data[20, 20, [0, 1, 2, 3, 4, 5, 7]] = 100.5  # 7 of 12, without the one in the middle
    assert found(data, "burnt") == 1
    data[20, 20, 7] = 100.25
    assert found(data, "burnt") == 0
