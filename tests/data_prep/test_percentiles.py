"""Percentiles and medians are those of NumPy to the last bit, whatever the shape, type and order of the values."""

import numpy as np
import pytest

from data_prep.volumes.percentiles import median, percentile, percentiles

SHARES = [0, 0.1, 1, 33.3, 50, 90, 99, 99.9, 100]


def volumes_of(kind, scale):
    """Arrays of one to 57,330 values, in several orders in memory, with and without values that come again."""
    rng = np.random.default_rng(0)
    for shape in ((1,), (2, 1), (7, 5, 3), (60, 41, 9), (90, 91, 7)):
        values = (scale * rng.standard_normal(shape)).astype(kind)
        yield from (values, np.abs(values), -np.abs(values), values.round(), np.zeros_like(values))
        yield np.asfortranarray(values)[::-1]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_percentiles_are_those_of_numpy(kind, scale):
    for each in volumes_of(kind, scale):
        found, expected = percentiles(each, SHARES), np.percentile(each, SHARES)
        assert found.dtype == expected.dtype
        assert (found == expected).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_one_percentile_and_the_median_are_those_of_numpy(kind):
    for each in volumes_of(kind, 40.0):
        for share in SHARES:
            assert percentile(each, share) == np.percentile(each, share)
        assert median(each) == np.median(each)
        assert median(each).dtype == np.median(each).dtype


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_of_which_a_few_say_nothing_of_the_rest(kind):
    """Every n-th value, by which it is guessed where a rank stands, lies above or below all others; or all are in order
    or alike."""
    values = np.random.default_rng(2).standard_normal(100_000).astype(kind)
    above, below = values.copy(), values.copy()
    above[::24], below[::24] = 50, -50
    for each in (
        above,
        below,
        np.sort(values),
        np.sort(values)[::-1],
        np.where(values > 2, 1, 0).astype(kind),
    ):
        assert (percentiles(each, SHARES) == np.percentile(each, SHARES)).all()
        assert median(each) == np.median(each)


@pytest.mark.parametrize("count", [1_000, 100_005])
def test_values_stay_in_their_order(count):
    values = np.random.default_rng(1).exponential(40, count).round().astype(np.float32)
    before = values.copy()
    assert (percentiles(values, SHARES) == np.percentile(before, SHARES)).all()
    assert median(values) == np.median(before)
    assert (values == before).all()


def test_a_place_between_the_last_value_of_a_kind_and_the_first_of_the_next():
    """Every eighth of 32,768 values is looked at to guess where a rank stands, and these alone are of one kind. The
    place asked for lies midway between that kind and the other, which none of them shows."""
    zeros = np.ones(32_768, np.float32)
    zeros[::8] = 0
    for values, last in ((zeros, 4_095), (1 - zeros, 28_671)):
        share = 100 * (last + 0.5) / 32_767
        found = percentile(values, share), *percentiles(values, [share])
        assert found == pytest.approx((0.5, 0.5))
        assert found == (np.percentile(values, share), *np.percentile(values, [share]))
