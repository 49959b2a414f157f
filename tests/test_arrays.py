"""Types of arrays say what they hold, and docstrings of which shape they are."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path for package in ("hnscc", "data_prep", "rayjobs") for path in (ROOT / package).rglob("*.py")
)

LONG = 10  # lines of a private function, from which on it says the shapes of its arrays too
ARRAYS = {"NDArray", "ndarray", "ArrayLike", "Tensor"}
Function = ast.FunctionDef | ast.AsyncFunctionDef

# (N, 2 H, W), (P,), (..., 3), () for a scalar, 3 x 3; (x, y, z) as a file's voxels lie; or that it is any shape, or
# that of something else.
LENGTH = r"(?:\.\.\.|\d+|[A-Za-z_]+|\d+ [A-Za-z]+|\w+ [x*+-] \w+)"
SHAPE = re.compile(
    rf"\({LENGTH},(?: {LENGTH})?(?:, {LENGTH})*\)|\(\)|\b\d+ ?x ?\d+\b|\b(?:any|same|one) shape\b"
)
NAMES = r"x, y|y, x|x, y, z|rows, columns|frames, rows, columns|lines, voxels, z"
SIZED = re.compile(rf"\.\.\.|\d|\b[A-Z]\b|\w+,\)|^\(\)$|shape|^\((?:{NAMES})\)$")


def bare(source: str) -> list[int]:
    """The lines whose annotations say `np.ndarray` without what it holds."""
    nodes = [*ast.walk(ast.parse(source))]
    said = [getattr(node, name, None) for node in nodes for name in ("annotation", "returns")]
    parts = [part for each in said if each for part in ast.walk(each)]
    told = {id(part.value) for part in parts if isinstance(part, ast.Subscript)}
    return sorted(
        {part.lineno for part in parts if ast.unparse(part) == "np.ndarray" and id(part) not in told}
    )


def in_files(found: Callable[[str], list[Any]]) -> dict[str, list[Any]]:
    """What is found in each file of the product, by its path; the files without are left out."""
    of_files = {path.relative_to(ROOT).as_posix(): found(path.read_text()) for path in FILES}
    return {path: each for path, each in of_files.items() if each}


def test_no_array_is_of_just_anything():
    """`hnscc/base/arrays.py` names the usual ones; the docstring gives the shape."""
    assert in_files(bare) == {}


def test_a_bare_array_is_found():
    typed = "x: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]\ndef f(a: Masks) -> NDArray[np.uint8]: ..."
    assert bare(typed) == []
    assert bare("x: list[np.ndarray]\ndef f(a: np.ndarray | None,\n b) -> np.ndarray: ...") == [1, 2, 3]


def shape_in(text: str) -> str | None:
    """The first shape that is told. Of names alone, such as (overlap, pred, truth), one must be a length."""
    return next((found[0] for found in SHAPE.finditer(text) if SIZED.search(found[0])), None)


def names_in(node: ast.AST) -> set[str]:
    named = [getattr(each, "id", None) or getattr(each, "attr", None) for each in ast.walk(node)]
    return {each for each in named if each}


def named_types(source: str, known: set[str]) -> set[str]:
    """What a module calls types of arrays that it makes of known ones."""
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    given = {getattr(node.targets[0], "id", ""): names_in(node.value) for node in nodes}
    held = {name for name, value in given.items() if value & known and "Callable" not in value}
    return {name for name in held if name[:1].isupper() and not name.isupper()}


USUAL = ARRAYS | named_types((ROOT / "hnscc" / "base" / "arrays.py").read_text(), ARRAYS)
NAMED = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): named_types(path.read_text(), USUAL)
    for path in FILES
}


def types_in(source: str) -> set[str]:
    """The names of types of arrays in a module: the usual ones, its own, and those that it imports from another."""
    taken = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    imported = {
        each.name for node in taken for each in node.names if each.name in NAMED.get(node.module or "", ())
    }
    return USUAL | named_types(source, USUAL) | imported


def asked(source: str) -> Iterator[Function]:
    """Functions of the module and methods of its classes that others call, or that are too long to be seen through."""
    module = ast.parse(source)
    for node in [
        *module.body,
        *(each for cls in ast.walk(module) if isinstance(cls, ast.ClassDef) for each in cls.body),
    ]:
        if isinstance(node, Function) and (not node.name.startswith("_") or lines_of(node) >= LONG):
            yield node


def lines_of(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def shapeless(source: str) -> list[str]:
    """The functions and methods, public or long, that take or give arrays, and the classes that hold some, whose
    docstrings say no shape."""
    found, types = [], types_in(source)
    for node in asked(source):
        said = [each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg)]
        arrays = types & {name for each in [*said, node.returns] if each for name in names_in(each)}
        if arrays and not shape_in(ast.get_docstring(node) or ""):
            found.append(f"{node.name}, line {node.lineno}")
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            fields = [each.annotation for each in node.body if isinstance(each, ast.AnnAssign)]
            arrays = types & {name for each in fields for name in names_in(each)}
            if arrays and not shape_in(ast.get_docstring(node) or ""):
                found.append(f"{node.name}, line {node.lineno}")
    return found


def test_docstrings_say_the_shape_of_arrays():
    assert in_files(shapeless) == {}


def test_a_long_private_function_says_shapes_too():
    short, long = ("def _f(a: Floats) -> int:\n" + "    a += 1\n" * lines for lines in (8, 9))
    assert shapeless(short) == [] and shapeless(long) == ["_f, line 1"]


def test_what_says_no_shape_is_found():
    source = (
        "from hnscc.scores.score_checks import Counts3\n"
        "def f(a: torch.Tensor) -> int:\n    '{}'\n"
        "class _C:\n    def g(self) -> dict[str, Floats]: ...\n"
        "def h(*, a: Counts3 | None) -> str: ...\n"
        "def i(where: Spacing) -> Slices: ...\n"
        "class J:\n    k: int\n    l: Floats"
    )
    found = ["h, line 6", "g, line 5", "J, line 8"]
    assert shapeless(source.format("Of a (N, C, H, W).")) == found
    assert shapeless(source.format("Of a (see b, of it).")) == ["f, line 2", *found]


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
        "of any shape",
        "(x, y, z)",
    ],
)
def test_a_shape_is_told(told):
    assert shape_in(f"Pixels, float32 {told}, of a batch.")


@pytest.mark.parametrize("told", ["(overlap, pred, truth)", "(Kingma and Ba 2015)", "(z, y, x)", "in (mm)"])
def test_no_shape_is_told(told):
    assert shape_in(f"Pixels {told} of a batch.") is None
