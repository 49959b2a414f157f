"""What is given to a function in Python is refused by its type and limits, and told as it was given."""

import pytest

from hnscc.base.argument_checks import SEE, check_number, check_whole
from hnscc.base.errors import InputError


@pytest.mark.parametrize(
    ("given", "problem", "found"),
    [
        (1.0000001, "out of range", "1.0000001"),
        (0.0009999999, "out of range", "0.0009999999"),
        (2.0, "out of range", "2"),
        (True, "no number", "True"),
        ("0.1", "no number", "'0.1'"),
        (None, "no number", "None"),
        (float("nan"), "out of range", "nan"),
        (10**400, "out of range", f"1{'0' * 400}"),
    ],
)
def test_a_number_beyond_its_limits_is_told_as_it_was_given(given, problem, found):
    """1.0000001 and True were told as "found 1" where 1 is allowed, and 400 digits are too many for a float. A text was
    told to be out of range."""
    with pytest.raises(InputError, match=f"--see is {problem}") as refused:
        check_number("see", given, *SEE)
    assert refused.value.found == found


@pytest.mark.parametrize(
    ("given", "problem", "found"),
    [
        (0, "out of range", "0"),
        (9, "out of range", "9"),
        (2.0, "no whole number", "2.0"),
        (True, "no whole number", "True"),
        ("abc", "no whole number", "'abc'"),
    ],
)
def test_a_whole_number_is_refused_by_its_type_or_its_limits(given, problem, found):
    """In Python the parameter has another name than the command's option: both are told."""
    with pytest.raises(InputError, match=f"--pixel-size is {problem}") as refused:
        check_whole("pixel_size", given, 1, 8)
    assert (refused.value.found, refused.value.where) == (found, "--pixel-size, in Python pixel_size")
    check_whole("pixel_size", 8, 1, 8)


@pytest.mark.parametrize("given", [0.001, 0.1, 1, 1.0])
def test_limits_are_allowed(given):
    check_number("see", given, *SEE)
