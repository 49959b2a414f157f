"""Of many names the first are written out, and the others counted."""

import pytest

from hnscc.base.in_words import first_of


@pytest.mark.parametrize(
    ("names", "between", "text"),
    [
        ([], ", ", ""),
        (["a"], ", ", "a"),
        (["a", "b"], ", ", "a, b"),
        (["a", "b", "c"], ", ", "a, b and 1 more"),
        (["a", "b", "c", "d"], " ", "a b and 2 more"),
        (["a", "b", "c"], "\n  ", "a\n  b\n  and 1 more"),
    ],
)
def test_of_many_the_first_are_named(names, between, text):
    assert first_of(names, 2, between) == text
