"""Finds functions and classes whose docstrings leave out the shape of an array, or the unit of its values."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from trees import nodes_of, tree_of

ROOT = Path(__file__).parents[2]
ARRAYS = frozenset({"NDArray", "ndarray", "ArrayLike", "Tensor"})
# The types of arrays whose numbers may have a unit; booleans, positions, counts and masks need none.
FRACTIONS = frozenset({"float32", "float64", "floating", "ArrayLike", "Tensor"})
Function = ast.FunctionDef | ast.AsyncFunctionDef

# A shape: (N, 2 H, W), (P,), (..., 3), () for a scalar, 3 x 3; (x, y, z) as a file's voxels lie; or a statement that
# it may be any shape, or is that of something else.
LENGTH = r"(?:\.\.\.|\d+|[A-Za-z_]+|\d+ [A-Za-z]+|\w+ (?:[x*+-]|//) \w+)"
OF_SHAPE = r"\b(?:any|same|one|its|their|that|this|\w+'s?) shape\b|\bshape of\b"
SHAPE = re.compile(rf"\({LENGTH},(?: {LENGTH})?(?:, {LENGTH})*\)|(?<!\w)\(\)|\b\d+ ?x ?\d+\b|{OF_SHAPE}")
# Lengths that are only names; other names, such as (overlap, pred, truth), are no shape.
NAMES = (
    "x, y|y, x|x, y, z|z, x, y|z, y, x, 1|height, width|size, size|rows, columns|frames, rows, columns|"
    "lines, voxels, z|levels, z|values, scans|places, levels|places, columns"
)
SIZED = re.compile(rf"\.\.\.|\d|\b[A-Znm]\b|\w+,\)|^\(\)$| [*+-] |shape|^\((?:{NAMES})\)$")
# Words for the shape of several arrays: `each (n,)`, `both bool (N, H, W)`, `(N,) each`, `of the same shape`.
SHARED = re.compile(
    r"\b(?:each|both|all|two|three|four|too),?(?: (?!of)[\w-]+,?){0,2} @|@,? (?:each|both|too)\b|@ shape",
    re.IGNORECASE,
)
CLAUSE = re.compile(r"(?<=[.;]) ")  # after a sentence, or a part of one
# A unit, a range, or a kind of number that has none; or another function or class that states it.
UNIT = re.compile(
    r"\b(?:mm[23]?|ml|SUV|HU|units?|raw|radians|degrees|nats|percent|measured|any values?|length 1|4 x 4|multiples|"
    r"shares?|Dice|logarithms?|logits|probabilit\w+|variances?|correlations?|directions?|tensors|bytes|numbers|"
    r"standard deviations?|pixel counts|(?:in|of|square) (?:the |its |stored )?(?:pixels|voxels|slices)|"
    r"as (?:that |those )?of)\b|\bas (?:those of |that of )?`|-?\d(?:\.\d+)? ?(?:\.\.|to|and|or) ?\d|0 or more",
    re.IGNORECASE,
)


def _names_in(node: ast.AST) -> set[str]:
    named = [getattr(each, "id", None) or getattr(each, "attr", None) for each in ast.walk(node)]
    return {each for each in named if each}


def _named_types(source: str, known: frozenset[str]) -> frozenset[str]:
    """Return the names that a module gives to types that it makes of known ones."""
    nodes = [node for node in tree_of(source).body if isinstance(node, ast.Assign)]
    given = {getattr(node.targets[0], "id", ""): _names_in(node.value) for node in nodes}
    held = {name for name, value in given.items() if value & known and "Callable" not in value}
    return frozenset(name for name in held if name[:1].isupper() and not name.isupper())


@functools.cache
def _usual(known: frozenset[str]) -> frozenset[str]:
    return known | _named_types((ROOT / "hnscc" / "base" / "arrays.py").read_text(), known)


@functools.cache
def _of_module(module: str, known: frozenset[str]) -> frozenset[str]:
    path = ROOT / (module.replace(".", "/") + ".py")
    return _named_types(path.read_text(), _usual(known)) if path.is_file() else frozenset()


def types_in(source: str, known: frozenset[str] = ARRAYS) -> frozenset[str]:
    """Return the names of types made of the known ones in a module: the usual ones, its own, and those that
    it imports."""
    taken = [node for node in nodes_of(source) if isinstance(node, ast.ImportFrom)]
    imported = {
        each.name
        for node in taken
        for each in node.names
        if each.name in _of_module(node.module or "", known)
    }
    return _usual(known) | _named_types(source, _usual(known)) | imported


def _number(node: ast.AST | None, types: frozenset[str]) -> int:
    """Return how many arrays an annotation stands for: several in a tuple, one of each kind that a list or a
    dict holds."""
    if node is None or (isinstance(node, ast.Subscript) and "Callable" in _names_in(node.value)):
        return 0
    if isinstance(node, ast.BinOp):
        return max(_number(node.left, types), _number(node.right, types))
    if isinstance(node, ast.Name | ast.Attribute):
        return len({getattr(node, "id", None) or getattr(node, "attr", "")} & types)
    if isinstance(node, ast.Subscript) and _number(node.value, types):
        return 1
    return sum(_number(each, types) for each in ast.iter_child_nodes(node))


def _told(text: str, names: list[str]) -> int:
    """Return for how many arrays a docstring states the shape: as many as it has shapes, and more where one shape
    stands for several of these names in its sentence."""
    number = 0
    for clause in CLAUSE.split(marked(text)):
        shapes = clause.count("@")
        if shapes and SHARED.search(clause):
            return max(shapes, len(names) + 9)
        named = sum(bool(re.search(rf"\b{name}\b", clause)) for name in names)
        number += max(shapes, named) if shapes else 0
    return number


def marked(text: str) -> str:
    """Return the text in one line with `@` for each shape, and `@ shape` where it says that a shape is that of
    something else."""
    line = " ".join(text.split())
    return SHAPE.sub(lambda found: _mark(found[0]), line)


def _mark(found: str) -> str:
    if not SIZED.search(found):
        return found
    return "@ shape" if "shape" in found else "@"


def _arrays(node: Function | ast.ClassDef, types: frozenset[str]) -> tuple[list[str], int]:
    """Return the names of the parameters or fields that are arrays, and how many arrays are returned."""
    if isinstance(node, ast.ClassDef):
        fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
        return [ast.unparse(each.target) for each in fields if _number(each.annotation, types)], 0
    given = [each for each in ast.walk(node.args) if isinstance(each, ast.arg)]
    return [each.arg for each in given if _number(each.annotation, types)], _number(node.returns, types)


def _documented(
    source: str, types: frozenset[str]
) -> Iterator[tuple[Function | ast.ClassDef, list[str], int]]:
    """Yield all functions, methods and classes that take, return or hold such arrays, private and inner ones too."""
    for node in nodes_of(source):
        if isinstance(node, Function | ast.ClassDef):
            names, returned = _arrays(node, types)
            if names or returned:
                yield node, names, returned


def shapeless(source: str) -> list[str]:
    """Return those whose docstrings state fewer shapes than they have arrays, and those without a docstring."""
    return [
        f"{node.name}, line {node.lineno}"
        for node, names, returned in _documented(source, types_in(source))
        if _told(ast.get_docstring(node) or "", names) < len(names) + returned
    ]


def unitless(source: str) -> list[str]:
    """Return those with arrays of fractions whose docstrings state a unit of none of these."""
    return [
        f"{node.name}, line {node.lineno}"
        for node, _, _ in _documented(source, types_in(source, FRACTIONS))
        if not UNIT.search(" ".join((ast.get_docstring(node) or "").split()))
    ]
