"""How a report writes values that are too few for what is written of many."""

import numpy as np
import pytest

from hnscc.reporting.values import middle
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
