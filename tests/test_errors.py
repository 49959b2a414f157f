"""Whoever gives a function what it cannot take is told what to give instead, as people are by InputError."""

import ast
import functools
import inspect
import re
from pathlib import Path

import pytest
from trees import tree_of

from data_prep.dicom.header import unusable

ROOT = Path(__file__).parent.parent
FILES = [path for each in ("hnscc", "data_prep", "rayjobs") for path in sorted((ROOT / each).rglob("*.py"))]
# What is told within an InputError, which says what to do: by pydantic's validators, by argparse, by its beginning.
WITHIN_FILES = re.compile(r"hnscc/study/\w+_schema\.py")
WITHIN = ("glycolysis of ", "its content is not what was written")
OURS = ("ValueError", "TypeError", "RuntimeError", "OSError", "KeyError")
NEXT = re.compile(r"(bring|convert|count|give|leave|name|number|sort|take|write) .+", flags=re.DOTALL)


def text_of(node: ast.expr) -> str:
    """What is told, the parts that are known at run time as their code."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    if isinstance(node, ast.Constant):
        return str(node.value)
    return f"<{ast.unparse(node.value if isinstance(node, ast.FormattedValue) else node)}>"


@functools.cache
def messages_in(text: str) -> list[tuple[int, str]]:
    """The line and the text of each error that is raised and is none of hnscc.base.errors.

    Not in functions that argparse calls for the type of an argument: it tells what they raise with the usage.
    """
    tree = tree_of(text)
    typed = {
        each.value.id
        for each in ast.walk(tree)
        if isinstance(each, ast.keyword) and each.arg == "type" and isinstance(each.value, ast.Name)
    }
    of_argparse = {
        id(each)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name in typed
        for each in ast.walk(function)
    }
    return [
        (node.lineno, text_of(node.exc.args[0]) if node.exc.args else "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and id(node) not in of_argparse
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id in OURS
    ]


def refusals() -> list[tuple[str, str]]:
    """Of the product, each with its file and line, but for those within an InputError."""
    return [
        (f"{path.relative_to(ROOT)}:{line}", text)
        for path in FILES
        if not WITHIN_FILES.fullmatch(str(path.relative_to(ROOT)))
        for line, text in messages_in(path.read_text())
        if not text.startswith(WITHIN)
    ]


def says_what_to_do(text: str) -> bool:
    """Behind the last semicolon, in the imperative, or in a variable of that name."""
    last = text.rpartition("; ")[2] if "; " in text else ""
    return last == "<do>" or NEXT.fullmatch(last) is not None


def test_a_refusal_says_what_to_do():
    """As the statistics of `import hnscc` do; of masks as drawn, placing, tables and networks it was left out."""
    assert not [(where, text) for where, text in refusals() if not says_what_to_do(text)]


# What tells nothing of what stands there; a text of a patient's file is never repeated, nor what is known of a person.
SAYS_NOTHING = re.compile(r"(an?other|others?|several|some|something|more|different)( (?!than)\w+)?")


def found_in(tree: ast.Module, makers: dict[str, int]) -> list[tuple[int, ast.expr]]:
    """The line and the argument `found` of each call of InputError, or of a function that hands it on."""
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    named = [(each, getattr(each.func, "id", getattr(each.func, "attr", ""))) for each in calls]
    return [
        (call.lineno, found)
        for call, name in named
        if name in makers
        for found in [
            *(each.value for each in call.keywords if each.arg == "found"),
            *call.args[makers[name] : makers[name] + 1],
        ]
    ]


def makers_in(tree: ast.Module) -> dict[str, int]:
    """The functions that take what was found as a text, and at which place."""
    return {
        each.name: names.index("found")
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef)
        for names in [[argument.arg for argument in each.args.args]]
        if "found" in names and ast.unparse(each.args.args[names.index("found")].annotation or each) == "str"
    }


@functools.cache
def trees() -> dict[str, ast.Module]:
    """The code of each file. (Not made at import: each process of pytest imports this.)"""
    return {str(path.relative_to(ROOT)): tree_of(path.read_text()) for path in FILES}


def found_in_all() -> list[tuple[str, ast.expr]]:
    makers = {"InputError": 99} | {k: v for each in trees().values() for k, v in makers_in(each).items()}
    return [
        (f"{path}:{line}", found) for path, tree in trees().items() for line, found in found_in(tree, makers)
    ]


def says_nothing(found: ast.expr) -> bool:
    return isinstance(found, ast.Constant) and SAYS_NOTHING.fullmatch(str(found.value)) is not None


def test_a_refusal_says_what_was_found():
    """`several`, `others`, `more`: it leaves the reader to look for what we know (how many, by how much)."""
    found_there = found_in_all()
    assert len(found_there) > 350
    assert [place for place, found in found_there if says_nothing(found)] == []


# A copy of the series is as large, as many files, or in the same unit of values.
AS_BEFORE = re.compile(r"too (many|large)")


def as_before_of(path: str, tree: ast.Module) -> list[str]:
    """What a new copy is advised for, though it would be the same: of SUV, all but what is damaged."""
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    advised = [
        text_of(each.args[0])
        for each in calls
        if getattr(each.func, "id", "") == "unusable" and ast.unparse(each.args[-1]) == "EXPORT_AGAIN"
    ]
    of_suv = path == "data_prep/dicom/suv.py"
    return [
        each
        for each in advised
        if AS_BEFORE.search(each) or (of_suv and not each.startswith("The private attribute "))
    ]


def test_a_new_copy_is_advised_where_it_helps():
    """It was what to do wherever nothing else was said, such as of too many files or of a PET in another unit."""
    assert inspect.signature(unusable).parameters["do"].default is inspect.Parameter.empty
    assert {path: found for path, tree in trees().items() if (found := as_before_of(path, tree))} == {}


def test_a_new_copy_that_does_not_help_is_found():
    tree = tree_of("""unusable("It is too large.", where, "1", "2", EXPORT_AGAIN)
unusable("It is too large.", where, "1", "2", "Crop it.")
unusable("The unit is another.", where, "1", "2", EXPORT_AGAIN)
unusable(f"The private attribute {name} is unusable.", where, "1", "2", EXPORT_AGAIN)""")
    assert as_before_of("data_prep/dicom/seg.py", tree) == ["It is too large."]
    assert as_before_of("data_prep/dicom/suv.py", tree) == ["It is too large.", "The unit is another."]


@pytest.mark.parametrize("text", ["several", "others", "another", "another value", "something else", "more"])
def test_what_tells_nothing_is_found(text):
    source = f"def _no(problem, found: str): ...\nraise _no('wrong', {text!r})\nraise InputError('x', found={text!r})"
    tree = tree_of(source)
    told = found_in(tree, {"InputError": 99} | makers_in(tree))
    assert [says_nothing(found) for _, found in told] == [True, True]


def test_they_are_found():
    assert len(refusals()) > 40
    raised = messages_in("def f(x):\n    raise ValueError(f'{x} is 0..1; {do}')\nraise TypeError\n")
    assert [(line, says_what_to_do(text)) for line, text in raised] == [(2, True)]
    assert messages_in("add(type=_n)\ndef _n(x):\n    raise ValueError(x)\n") == []


@pytest.mark.parametrize(
    "text", ["the mask must have the shape of the slices", "absent a; unknown b", "a NaN; one is null", ""]
)
def test_what_says_nothing_of_it_is_found(text):
    assert not says_what_to_do(text)
