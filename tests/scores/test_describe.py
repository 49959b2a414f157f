"""Lines and spreads against hand-computed values and SciPy."""

import numpy as np
import pytest
import scipy.stats

from hnscc.scores.describe import distribution, fit_line, size_of


def test_line_is_scipys():
    true, predicted = np.random.default_rng(0).integers(0, 300, (2, 40))
    found, theirs = fit_line(true, predicted), scipy.stats.linregress(true, predicted)
    assert (found.slope, found.intercept) == pytest.approx((theirs.slope, theirs.intercept))
    assert found.r2 == pytest.approx(theirs.rvalue**2)
    assert found.reason is None


def test_line_that_does_not_exist_says_why():
    assert "3 slices" in fit_line(np.array([1, 2]), np.array([3, 4])).reason
    constant = fit_line(np.array([5, 5, 5]), np.array([1, 2, 3]))
    assert (constant.slope, constant.intercept, constant.r2) == (None, None, None)
    assert "true pixels" in constant.reason
    flat = fit_line(np.array([1, 2, 3]), np.array([0, 0, 0]))
    assert (flat.slope, flat.intercept, flat.r2) == (0.0, 0.0, None)
    assert "no r2" in flat.reason


@pytest.mark.parametrize(
    ("values", "size"), [([0.3, -0.9], 0.5), ([1.0], 1.0), ([-5.0, 4.0], 4.0), ([0.0], 1.0), ([], 1.0)]
)
def test_the_size_of_scores_is_the_power_of_two_below_the_largest(values, size):
    assert size_of(np.zeros(2), np.array(values)) == size


def test_spread_by_hand():
    found = distribution(np.array([1.0, 2.0, 3.0, 6.0]))
    assert (found.n, found.mean, found.median, found.q25, found.q75) == (4, 3.0, 2.5, 1.75, 3.75)
    assert (found.min, found.max) == (1.0, 6.0)
    assert found.sd == pytest.approx(np.sqrt(14 / 3))
    assert (distribution(np.array([0.5])).mean, distribution(np.array([0.5])).sd) == (0.5, None)
    assert distribution(np.array([])).mean is None
