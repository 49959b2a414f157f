"""What pages name is there: files, functions, and the steps from a command to the line that does the work."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()


def names_of(node: ast.AST) -> set[str]:
    """What a statement defines: a class, a function, or the constants that it assigns."""
    targets = [*getattr(node, "targets", []), getattr(node, "target", None)]
    within = [each for target in targets if target for each in ast.walk(target)]
    return {getattr(node, "name", "")} | {each.id for each in within if isinstance(each, ast.Name)}


def named_in_files(page: str) -> list[tuple[str, str]]:
    """(file, name) of what a page says as `file:name`, as `file` (`name`, ...) and as `name` and `name` in `file`."""
    found = re.findall(r"`([\w/]+\.py):([\w.]+)`", page)
    for file, names in re.findall(r"`([\w/]+\.py)` \(((?:`\w+`(?:, )?)+)", page):
        found += [(file, name) for name in re.findall(r"`(\w+)`", names)]
    for names, file in re.findall(r"((?:`[\w.]+`(?:, |\sand\s))*`[\w.]+`)\sin\s`([\w/]+\.py)`", page):
        found += [(file, name) for name in re.findall(r"`([\w.]+)`", names)]
    return found


def test_pages_name_what_is_where_in_several_ways():
    assert {
        ("rayjobs/study.py", "run_study"),
        ("hnscc/training/loop.py", "Fit.train_epoch"),
        ("hnscc/training/losses.py", "LOSSES"),
        ("hnscc/aggregation/medians.py", "Median"),
    } <= {*named_in_files(PAGE)}
    assert named_in_files("(`A` and `B` in\n`c.py`)") == [("c.py", "A"), ("c.py", "B")]


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_everything_that_a_page_names_is_there(page):
    for file, name in named_in_files(page.read_text()):
        scope: ast.AST = ast.parse((ROOT / file).read_text())
        for part in name.split("."):
            found = [each for each in ast.iter_child_nodes(scope) if part in names_of(each)]
            assert found, f"{file} has no {name}"
            (scope,) = found


def steps_of(page: str) -> dict[str, list[tuple[str, str]]]:
    """By command, the steps from its options to the line that does the work: the first (file, name) of each."""
    lists = re.findall(r"^\*\*hnscc (\w+)\*\*\n\n((?:(?:\d\.|  ) .+\n)+)", page, re.MULTILINE)
    return {
        command: re.findall(r"^\d\. `([\w/]+\.py):([\w.]+)`", steps, re.MULTILINE) for command, steps in lists
    }


def called_in(file: str, name: str) -> set[str]:
    """The names that a function of a file calls, or hands on to be called: of each, the last part."""
    scope: ast.AST = ast.parse((ROOT / file).read_text())
    renamed = {
        alias.asname: alias.name
        for each in ast.walk(scope)
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
        if alias.asname
    }
    for part in name.split("."):
        (scope,) = (each for each in ast.iter_child_nodes(scope) if part in names_of(each))
    names = {each.id for each in ast.walk(scope) if isinstance(each, ast.Name)}
    names |= {each.attr for each in ast.walk(scope) if isinstance(each, ast.Attribute)}
    return {renamed.get(each, each) for each in names}


def test_each_step_of_a_command_is_called_by_the_one_before():
    """At most four calls of ours lead to the line that does the work; where trials are trained, Tune makes one more,
    and a search has one more of ours before them."""
    found = steps_of(PAGE)
    lengths = {command: len(steps) for command, steps in found.items()}
    assert lengths == {"prepare": 5, "run": 6, "predict": 3, "search": 4, "check": 3, "aggregate": 4}
    for steps in found.values():
        for step, (_, name) in pairwise(steps):
            assert name.rpartition(".")[2] in called_in(*step), f"{step} does not call {name}"
