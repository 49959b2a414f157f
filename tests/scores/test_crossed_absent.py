"""What of patients by trainings does not exist is None, with the reason; what exists beside it is told."""

import numpy as np
import pytest

from hnscc.scores.crossed import (
    fraction_difference,
    fraction_interval,
    mean_difference,
    pooled_difference,
    pooled_interval,
)
from hnscc.scores.two_way_t import NOTHING_VARIES


def test_what_has_no_interval_has_its_value_where_every_repeat_has_one():
    """10 of 14 and 4 of 16 in two repeats, of one lesion; a repeat that scores 0 of 0 leaves none."""
    one, other, none = [[8, 0], [8, 0]], [[0, 0], [0, 0]], np.empty((0, 2))
    found = pooled_interval([[5, 0], [2, 0]], [[6, 0], [8, 0]], one)
    assert (found.value, found.low) == (pytest.approx((10 / 14 + 4 / 16) / 2), None)
    for counted in ((other, [[0, 0], [3, 0]], other), (none, none, none)):
        assert pooled_interval(*counted).value is None
        assert pooled_difference(counted, counted).value is None
        assert pooled_difference((other, other, other), counted).value is None
    scores = [[0.5, 0.6], [0.7, 0.8]]
    assert mean_difference(scores, none).value is mean_difference(none, scores).value is None


def test_a_patient_with_lesion_whose_score_is_0_of_0_leaves_no_interval():
    """Of precision, the share of what is predicted: nothing is predicted in patient 1, in a repeat or in both."""
    truth = np.full((2, 4), 9.0)
    some = np.array([[5.0, 4, 6, 3], [6, 4, 5, 2]])
    once, never = some * [[1, 0, 1, 1], [1] * 4], some * [1, 0, 1, 1]

    def precision(overlap, pred, truth):
        return overlap, pred

    for pred in (once, never):
        lacking = (np.minimum(pred, 3), pred, truth)
        found = [
            fraction_interval(lacking, precision),
            *(
                fraction_difference(*pair, precision)
                for pair in ((lacking, (some, some, truth)), ((some, some, truth), lacking))
            ),
        ]
        assert {each.reason for each in found} == {"1 patient with lesion has no value in some repeat"}
        assert all(each.low is None and each.value for each in found)


@pytest.mark.parametrize("other", [0.5, 0.75])
@pytest.mark.parametrize("patients", [2, 5])
def test_a_constant_difference_has_no_interval_and_no_p(other, patients):
    """Two equal variants of 2 patients had p = 1.0, where 4 patients are needed for any."""
    found = mean_difference(np.full((3, patients), 0.75), np.full((2, patients), other))
    assert (found.value, found.low, found.high, found.p) == (0.75 - other, None, None, None)
    assert found.reason == NOTHING_VARIES
