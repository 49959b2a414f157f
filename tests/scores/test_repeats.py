"""The interval of a median, how far it reaches, and how many repeats a pilot asks for."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hnscc.scores.intervals import (
    ALL_ALIKE,
    half_width,
    is_known_within,
    mean_interval,
    median_interval,
    repeats_for_width,
)


@pytest.mark.parametrize(("n", "k"), [(6, 1), (8, 1), (9, 2), (10, 2), (15, 4), (20, 6), (25, 8), (50, 18)])
def test_the_interval_of_a_median_is_the_tabled_pair_of_order_statistics(n, k):
    """k-th lowest to k-th highest: Conover's, Dixon and Massey's tables."""
    found = median_interval(list(range(1, n + 1))[::-1])
    assert (found.low, found.high) == (k, n + 1 - k)


@given(st.integers(6, 300))
def test_it_holds_the_median_with_95_percent_and_the_next_narrower_one_does_not(n):
    k = int(median_interval(list(range(1, n + 1))).low)
    outside = 2 * scipy.stats.binom.cdf(k - 1, n, 0.5)
    assert outside <= 0.05 < 2 * scipy.stats.binom.cdf(k, n, 0.5)


def test_five_values_have_none():
    assert median_interval([1, 2, 3, 4, 5]).low is None
    assert "at least 6" in median_interval([1, 2, 3, 4, 5]).reason
    assert half_width([0.5] * 5) is None
    assert not is_known_within([0.5] * 5, 0.9)


def test_the_farther_side_counts():
    assert half_width([0.1, 0.5, 0.5, 0.5, 0.5, 0.6]) == pytest.approx(0.4)


def test_repeats_so_found_are_precise_in_four_of_ten_studies_or_more():
    """Normal scores: with the number that a large pilot asks for, the interval's farther side is about as long as
    wanted, now a little longer, now a little shorter."""
    draw = np.random.default_rng(0)
    n = repeats_for_width(draw.normal(0.6, 0.05, 2000).tolist(), 0.02).repeats
    widths = [half_width(draw.normal(0.6, 0.05, n).tolist()) for _ in range(400)]
    assert 0.015 < np.median(widths) < 0.027


def test_the_interval_of_a_mean_is_scipys_t_interval():
    values = np.random.default_rng(0).normal(0.5, 0.1, 7).tolist()
    found = mean_interval(values)
    theirs = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert mean_interval(values[:2]).low is None and "at least 3" in mean_interval(values[:2]).reason
    alike = mean_interval([0.5] * 3)
    assert (alike.low, alike.high, alike.reason) == (None, None, ALL_ALIKE)
