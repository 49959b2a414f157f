"""Types of arrays say what they hold, and docstrings of which shape each array is, and in what its values are."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from array_docstrings import marked, shapeless, unitless
from trees import nodes_of

ROOT = Path(__file__).parent.parent


def in_files(found: Callable[[str], list[Any]]) -> dict[str, list[Any]]:
    """What is found in each file of the product, by its path; the files without are left out."""
    paths = [path for package in ("hnscc", "data_prep", "rayjobs") for path in (ROOT / package).rglob("*.py")]
    of_files = {path.relative_to(ROOT).as_posix(): found(path.read_text()) for path in sorted(paths)}
    assert len(of_files) > 100, "the product has moved"
    return {path: each for path, each in of_files.items() if each}


def bare(source: str) -> list[int]:
    """The lines whose annotations say `np.ndarray` without what it holds."""
    nodes = nodes_of(source)
    said = [getattr(node, name, None) for node in nodes for name in ("annotation", "returns")]
    parts = [part for each in said if each for part in ast.walk(each)]
    told = {id(part.value) for part in parts if isinstance(part, ast.Subscript)}
    return sorted(
        {part.lineno for part in parts if ast.unparse(part) == "np.ndarray" and id(part) not in told}
    )


def test_no_array_is_of_just_anything():
    """`hnscc/base/arrays.py` names the usual ones; the docstring gives the shape."""
    assert in_files(bare) == {}


def test_a_bare_array_is_found():
    typed = "x: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]\ndef f(a: Masks) -> NDArray[np.uint8]: ..."
    assert bare(typed) == []
    assert bare("x: list[np.ndarray]\ndef f(a: np.ndarray | None,\n b) -> np.ndarray: ...") == [1, 2, 3]


def test_docstrings_say_the_shape_of_each_array():
    assert in_files(shapeless) == {}


def test_docstrings_say_in_what_values_are():
    assert in_files(unitless) == {}


def test_what_says_no_shape_is_found():
    source = (
        "from hnscc.scores.score_checks import Counts3\n"
        "def f(a: torch.Tensor) -> int:\n    '{}'\n"
        "class _C:\n    def g(self) -> dict[str, Floats]: ...\n"
        "def _h(*, a: Counts3 | None) -> str: ...\n"
        "def i(where: Spacing, what: Callable[[int], Floats]) -> Slices:\n"
        "    def j(*a: Bools) -> str: ...\n"
        "class K:\n    l: int\n    m: Floats"
    )
    found = {"g, line 5", "_h, line 6", "j, line 8", "K, line 9"}
    assert {*shapeless(source.format("Of a (N, C, H, W)."))} == found
    assert {*shapeless(source.format("Of a (see b, of it)."))} == {"f, line 2", *found}


SUMS = "def f(a: Floats, b: Floats | Integers) -> tuple[Floats, int]:\n    '''{}'''"


@pytest.mark.parametrize(
    "told",
    [
        "a (N,) and b (M,) -> (N, M).",
        "Sums (N, M). a: (N,); b: (M,).",
        "Sums (N, M).\n\n    a, b: (N,), in mm.",
        "Of a and b, both (N,), sums (N,\n    M).",
        "Sums of a and b, each (N,).",
        "Sums of both, bool (N, H, W).",
        "Sums, of the shape of a and b, (N,).",
        "Sums of a and b, of one shape.",
    ],
)
def test_each_array_has_a_shape(told):
    assert shapeless(SUMS.format(told)) == []


@pytest.mark.parametrize(
    "told",
    ["Sums.", "Sums (N, M).", "Sums (N,). a: (N,).", "a, b: in mm. Sums (N,).", "Each slice of a, b (N,)."],
)
def test_an_array_without_a_shape_is_found(told):
    assert shapeless(SUMS.format(told)) == ["f, line 1"]


@pytest.mark.parametrize(
    "told", ["Lengths (N,) in mm.", "Values (N,), 0 to 1.", "(N,), as of `g`.", "Logits (N,)."]
)
def test_values_in_something(told):
    assert unitless(f"def f(a: NDArray[np.float32]) -> None:\n    '''{told}'''") == []


@pytest.mark.parametrize("kind", ["Floats", "NDArray[np.floating] | None", "list[torch.Tensor]", "Images"])
def test_values_in_nothing_are_found(kind):
    assert unitless(f"def f(a: {kind}) -> None:\n    'Values (N,), of mine.'") == ["f, line 1"]


@pytest.mark.parametrize("kind", ["Bools", "NDArray[np.uint8]", "Integers", "float", "Spacing"])
def test_whole_numbers_need_no_unit(kind):
    assert unitless(f"def f(a: {kind}) -> None:\n    'Values (N,), of mine.'") == []


@pytest.mark.parametrize(
    "told",
    [
        "(N, C, H, W)",
        "(P,)",
        "(..., 3)",
        "(N, out, 2 H, 2 W)",
        "(count,)",
        "()",
        "4 x 4",
        "(x, y, z)",
        "(z - 1,)",
    ],
)
def test_a_shape_is_told(told):
    assert marked(f"Pixels, float32 {told}, of a batch.") == "Pixels, float32 @, of a batch."


@pytest.mark.parametrize(
    "told", ["(overlap, pred, truth)", "(Kingma and Ba 2015)", "(z, y, x)", "in (mm)", "by f()"]
)
def test_no_shape_is_told(told):
    assert "@" not in marked(f"Pixels {told} of a batch.")
