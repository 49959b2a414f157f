"""Types of arrays say what they hold."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path for package in ("hnscc", "data_prep", "rayjobs") for path in (ROOT / package).rglob("*.py")
)


def bare(source: str) -> list[int]:
    """The lines whose annotations say `np.ndarray` without what it holds."""
    nodes = [*ast.walk(ast.parse(source))]
    said = [getattr(node, name, None) for node in nodes for name in ("annotation", "returns")]
    parts = [part for each in said if each for part in ast.walk(each)]
    told = {id(part.value) for part in parts if isinstance(part, ast.Subscript)}
    return sorted(
        {part.lineno for part in parts if ast.unparse(part) == "np.ndarray" and id(part) not in told}
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_array_is_of_just_anything(path):
    """`hnscc/base/arrays.py` names the usual ones; the docstring gives the shape."""
    assert bare(path.read_text()) == []


def test_a_bare_array_is_found():
    typed = "x: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]\ndef f(a: Masks) -> NDArray[np.uint8]: ..."
    assert bare(typed) == []
    assert bare("x: list[np.ndarray]\ndef f(a: np.ndarray | None,\n b) -> np.ndarray: ...") == [1, 2, 3]
