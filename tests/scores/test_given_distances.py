"""Scores of given distances between surfaces, by hand."""

import math

import numpy as np
import pytest

from hnscc.scores.surface import SurfaceDistances, average_distance, hd95


@pytest.mark.parametrize("size", [0.1, 1 / 3, math.sqrt(2) / 2, 2.3])
def test_hd95_leaves_5_percent_of_a_surface_out_and_no_more(size):
    """Of 100 elements 5 or 6 lie 7 mm away, the others 1 mm; rounding of the sum of their sizes decides nothing."""
    near = np.full(1, 0.5), np.full(1, 0.5)
    for away, expected in ((5, 1.0), (6, 7.0)):
        far = np.repeat([1.0, 7.0], [100 - away, away]), np.full(100, size)
        assert (
            hd95(SurfaceDistances(*far, *near, 9.0)) == hd95(SurfaceDistances(*near, *far, 9.0)) == expected
        )


def test_the_average_of_equal_distances_is_that_distance_to_the_last_bit():
    """Else two variants that are equal on paper would differ by rounding."""
    for size in (0.1, 1 / 3, 0.7):
        of = np.full(7, 0.3), np.full(7, size)
        assert average_distance(SurfaceDistances(*of, *of, 9.0)) == 0.3
    two = (np.full(2, 1.0), np.full(2, 0.5)), (np.full(1, 4.0), np.full(1, 2.0))
    assert average_distance(SurfaceDistances(*two[0], *two[1], 9.0)) == (2 * 0.5 * 1 + 2 * 4) / 3
