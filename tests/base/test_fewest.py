"""The page on statistics prints the limits as the code has them, and the code keeps them."""

import re
from pathlib import Path

import numpy as np
import pytest

from hnscc.base import fewest
from hnscc.scores.crossed import mean_difference
from hnscc.scores.intervals import mean_interval, median_interval

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "statistics.md"


def test_the_page_on_statistics_prints_them():
    table = PAGE.read_text().partition("**How few are too few**")[2].partition("\n\n**")[0]
    rows = re.findall(r"^\| (.+) \| (.+) \|$", table, re.MULTILINE)
    assert dict(rows[1:]) == fewest.IN_WORDS


@pytest.mark.parametrize(
    ("interval", "least"),
    [(median_interval, fewest.VALUES_FOR_MEDIAN), (mean_interval, fewest.VALUES_FOR_MEAN)],
)
def test_of_values_that_many_give_an_interval_and_one_less_gives_none(interval, least):
    values = [0.1 * each for each in range(least)]
    assert interval(values).low is not None
    assert interval(values[1:]).low is None and f"at least {least} values" in interval(values[1:]).reason


def test_of_patients_and_repeats_that_many_give_an_interval_and_a_p():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, fewest.REPEATS, fewest.PATIENTS_FOR_P))
    assert mean_difference(a, b).p is not None
    assert mean_difference(a[:, 1:], b[:, 1:]).p is None
    few = slice(fewest.PATIENTS)
    assert mean_difference(a[:, few], b[:, few]).low is not None
    assert mean_difference(a[:, :1], b[:, :1]).low is None
    assert mean_difference(a[1:], b).low is None
