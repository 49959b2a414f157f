"""Of many names the first are written out, and the others counted."""

import pytest

from hnscc.base.in_words import count_of, first_of, listed


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


def test_a_count_has_its_noun_and_names_stand_in_a_row():
    assert [count_of(n, "patient") for n in (0, 1, 2)] == ["0 patients", "1 patient", "2 patients"]
    assert count_of(2, "missing", "missing") == "2 missing"
    assert [listed(list(names)) for names in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
