"""Of many names the first are written out, and the others counted; a count has the right noun, everywhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from trees import nodes_of

from hnscc.base.in_words import (
    Sentence,
    count_of,
    first_of,
    listed,
    noun_of,
    percent_below,
    told_as_one,
    told_of_folds,
)

ROOT = Path(__file__).parent.parent.parent
# What messages count. Where one of these stands behind a value in the plural, one could be counted as many.
COUNTED = (
    *(
        "argument",
        "byte",
        "case",
        "cell",
        "character",
        "column",
        "configuration",
        "contour",
        "copie",
        "core",
        "CPU",
    ),
    *(
        "epoch",
        "fault",
        "file",
        "fold",
        "GPU",
        "group",
        "image",
        "interruption",
        "item",
        "lesion",
        "line",
    ),
    *(
        "machine",
        "model",
        "name",
        "number",
        "one",
        "other",
        "patient",
        "pixel",
        "place",
        "point",
        "position",
        "range",
    ),
    *(
        "region",
        "repeat",
        "round",
        "row",
        "scan",
        "set",
        "size",
        "slice",
        "slot",
        "training",
        "trial",
        "value",
    ),
    *("variant", "voxel", "word"),
)
KINDS = (
    *(
        "bootstrap",
        "completed",
        "different",
        "finite",
        "first",
        "infinite",
        "lesion",
        "more",
        "negative",
    ),
    *("open", "positive", "sampled", "single", "test", "trained", "used", "weights"),
)
PLURAL = re.compile(rf" (?:(?:{'|'.join(KINDS)}) )*(?:{'|'.join(COUNTED)})s\b")
# Values that are no count of what stands behind them, such as the split of `test scans`.
NO_COUNT = {"split", "modality", "study.normalisation.bounds.replace('_', ' ')", "voxels", "series.size"}
NO_COUNT |= {"_product(mask.shape)"}


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
    assert [count_of(n, "voxel") for n in (1464, 1.0, 1.25, 0.5)] == [
        *("1,464 voxels", "1 voxel", "1.25 voxels", "0.5 voxels")
    ]
    assert [noun_of(n, "is", "are") for n in (0, 1, 2)] == ["are", "is", "are"]
    assert [listed(list(names)) for names in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


def _by_hand(source: str) -> Iterator[str]:
    """The values in f-strings that a noun in the plural follows, whatever their number: `{n} slices`."""
    for text in nodes_of(source):
        parts = text.values if isinstance(text, ast.JoinedStr) else []
        for before, value, behind in zip([None, *parts], parts, parts[1:], strict=False):
            size = isinstance(before, ast.Constant) and before.value.endswith(" x ")  # 48 x 48 pixels
            if isinstance(value, ast.FormattedValue) and isinstance(behind, ast.Constant) and not size:
                name, counted = ast.unparse(value.value), PLURAL.match(behind.value)
                fixed = name.rpartition(".")[2].isupper() or "join(" in name or name in NO_COUNT
                if counted and not fixed and not name.startswith("count_of("):
                    yield f"{{{name}}}{counted[0]}"


def test_a_plural_written_by_hand_is_found():
    """`1 slices`, `1 slots` and `1 trials` were printed: about 120 messages wrote the plural, whatever the number."""
    found = _by_hand(
        "print(f'{n} slices, {len(a)} used trials of {count_of(m, \"trial\")}, {MOST} files, {n}s')"
    )
    assert list(found) == ["{n} slices", "{len(a)} used trials"]


@pytest.mark.parametrize("wing", ["hnscc", "rayjobs", "data_prep"])
def test_no_message_can_count_one_as_many(wing):
    files = sorted((ROOT / wing).rglob("*.py"))
    found = {str(path.relative_to(ROOT)): list(_by_hand(path.read_text())) for path in files}
    assert {path: texts for path, texts in found.items() if texts} == {}


def test_sentences_that_differ_in_counts_alone_are_told_as_one():
    def few(count: int, noun: str = "patient") -> Sentence:
        return Sentence(("test: only ", (count, noun), ""))

    assert str(few(1)) == "test: only 1 patient" and str(few(1464, "slice")) == "test: only 1,464 slices"
    for order in ([few(0), few(1)], [few(1), few(0)]):
        assert told_as_one(order) == "test: only 0 to 1 patients"
    assert told_as_one([few(1464, "slice"), few(1500, "slice")]) == "test: only 1,464 to 1,500 slices"
    assert told_as_one([few(1464, ""), few(2, ""), few(7, "")]) == "test: only 2 to 1,464"
    assert few(1).kind == few(2).kind != Sentence(("test: only 1 patient",)).kind


def test_what_is_told_of_several_folds_is_told_once_with_their_numbers():
    few = [Sentence(("test: only ", (count, "patient"), "")) for count in (3, 1, 2)]
    other = Sentence(("34 slices are not shown",))
    told = told_of_folds([(0, few[0]), (0, other), (1, other), (2, few[1]), (4, few[2])], 5)
    assert told == [
        ("folds 0, 2 and 4", "test: only 1 to 3 patients"),
        ("folds 0 and 1", "34 slices are not shown"),
    ]
    assert told_of_folds([(0, other), (1, other)], 2) == [("all 2 folds", "34 slices are not shown")]
    assert told_of_folds([(0, other)], 1, "f{}".format) == [("fold f0", "34 slices are not shown")]
    assert told_of_folds([], 1) == []


@pytest.mark.parametrize(
    ("share", "least", "text"),
    [(0.312, 0.5, "31.2%"), (0.4996, 0.5, "49.96%"), (0.0, 0.5, "0.0%"), (0.89999, 0.9, "89.999%")],
)
def test_a_share_that_is_too_small_is_not_rounded_to_what_is_asked_for(share, least, text):
    """A PET that covered 49.96 % was refused with 'expected at least 50%; found 50.0%'."""
    assert percent_below(share, least) == text
