"""Percentiles are those of NumPy to the last bit, whatever the shape, type and order of the values."""

import numpy as np
import pytest

from data_prep.volumes.percentiles import AT_ONCE, percentiles

SHARES = [0, 0.1, 1, 33.3, 50, 90, 99, 99.9, 100]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_percentiles_are_those_of_numpy(kind, scale):
    rng = np.random.default_rng(0)
    for shape in ((1,), (2, 1), (7, 5, 3), (60, 41, 9)):
        values = (scale * rng.standard_normal(shape)).astype(kind)
        for each in (
            values,
            np.abs(values),
            -np.abs(values),
            values.round(),
            np.asfortranarray(values)[::-1],
        ):
            found, expected = percentiles(each, SHARES), np.percentile(each, SHARES)
            assert found.dtype == expected.dtype
            assert (found == expected).all()


def test_percentiles_of_more_values_than_are_looked_at_at_once():
    values = np.random.default_rng(1).exponential(40, 2 * AT_ONCE + 5).round().astype(np.float32)
    assert (percentiles(values, SHARES) == np.percentile(values, SHARES)).all()
