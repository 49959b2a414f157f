"""How a report writes values that are too few for what is written of many."""

import numpy as np
import pytest

from hnscc.reporting.values import middle, p_value, signed
from hnscc.scores.describe import distribution


@pytest.mark.parametrize(
    ("values", "text", "note"),
    [
        ([], "–", "no scan"),
        ([2.0], "2.0", "one scan: no spread"),
        ([1.0, 9.0, 2.0], "2.0 (1.0 to 9.0)", "3 scans: the least and the most, for want of quartiles"),
        ([1.0, 2.0, 3.0, 9.0], "2.5 (1.8 to 4.5)", None),
    ],
)
def test_of_fewer_than_four_values_the_least_and_the_most_are_told(values, text, note):
    """The HD95 of scans had quartiles of one scan, of two and of three."""
    cell = middle(distribution(np.array(values)), "{:.1f}".format, "scan")
    assert (cell.text.replace("\u00a0", " "), cell.note) == (text, note)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0005, "< 0.001"),
        (0.001, "0.001"),
        (0.0494, "0.049"),
        (0.0496, "0.0496"),
        (0.05, "0.050"),
        (0.0504, "0.0504"),
        (0.049999996, "0.049999996"),
        (float(np.nextafter(0.05, 0.0)), "0.049999999999999996"),
        (float(np.nextafter(0.05, 1.0)), "0.05000000000000001"),
        (0.0506, "0.051"),
        (1.0, "1.000"),
    ],
)
def test_a_p_beside_the_limit_is_written_on_its_side_of_it(p, text):
    """One of 0.0496 stood as 0.050 beside `the difference holds up`, and one of 0.0504 beside `not shown`."""
    assert p_value(p) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (0.0, "0.000"),
        (-1e-17, "0.000"),
        (0.0004, "+0.000"),
        (-0.0004, "\N{MINUS SIGN}0.000"),
        (-0.0006, "\N{MINUS SIGN}0.001"),
    ],
)
def test_a_difference_that_decimals_round_to_zero_keeps_its_sign(difference, text):
    """An interval from 0.0004 on stood as from 0.000 on, and seemed to hold 0."""
    assert signed(difference) == text
