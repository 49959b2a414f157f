"""What is given to a function in Python is refused by its type and limits, and told as it was given."""

import pytest

from hnscc.base.argument_checks import SEE, check_number
from hnscc.base.errors import InputError


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (1.0000001, "1.0000001"),
        (0.0009999999, "0.0009999999"),
        (True, "True"),
        ("0.1", "'0.1'"),
        (float("nan"), "nan"),
        (10**400, f"1{'0' * 400}"),
    ],
)
def test_a_number_beyond_its_limits_is_told_as_it_was_given(given, found):
    """1.0000001 and True were told as "found 1" where 1 is allowed, and 400 digits are too many for a float."""
    with pytest.raises(InputError, match="--see is out of range") as refused:
        check_number("see", given, *SEE)
    assert refused.value.found == found


@pytest.mark.parametrize("given", [0.001, 0.1, 1, 1.0])
def test_limits_are_allowed(given):
    check_number("see", given, *SEE)
