"""What pages name is there: files, functions, and the steps from a command to the line that does the work."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from trees import tree_of

from hnscc import HOMES
from hnscc.commands.cli import app

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
        ("hnscc/training/trial.py", "train_epoch"),
        ("hnscc/training/losses.py", "LOSSES"),
        ("hnscc/aggregation/medians.py", "Median"),
    } <= {*named_in_files(PAGE)}
    assert named_in_files("(`A` and `B` in\n`c.py`)") == [("c.py", "A"), ("c.py", "B")]


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_everything_that_a_page_names_is_there(page):
    for file, name in named_in_files(page.read_text()):
        scope: ast.AST = tree_of((ROOT / file).read_text())
        for part in name.split("."):
            found = [each for each in ast.iter_child_nodes(scope) if part in names_of(each)]
            assert found, f"{file} has no {name}"
            (scope,) = found


NAMED = re.compile(r"`([\w/]+\.py):([\w.]+)`(?: \(through ([^)]+)\))?")
Name = tuple[str, str]  # a file, and what it defines; "" for the file of an attribute of whatever object


class Command(NamedTuple):
    """What a page says of a command: how many calls there are, how many of them lead into another file, and the text
    of each step, without line breaks."""

    calls: int
    hops: int
    steps: list[str]


class Call(NamedTuple):
    """What a page says of one step: who calls it, who is called, and the caller's private functions between them."""

    caller: Name
    called: Name
    between: tuple[str, ...]


def commands_of(page: str) -> dict[str, Command]:
    """By command, what the page says of its way from the options to the line that does the work."""
    lists = re.findall(
        r"^\*\*hnscc (\w+)\*\*, (\d) calls, (\d) hops?\b[^\n]*\n\n((?:(?:\d\.|  ) .+\n)+)", page, re.MULTILINE
    )
    return {
        name: Command(
            int(calls),
            int(hops),
            [" ".join(each.split()) for each in re.split(r"^\d\. ", steps, flags=re.MULTILINE)[1:]],
        )
        for name, calls, hops, steps in lists
    }


def calls_of(steps: list[str]) -> tuple[list[Call], list[Call]]:
    """The calls from each step to the next, and what else each step calls: what it names, but for names behind "which
    calls", which belong to the one before these words until the next semicolon."""
    ways, others = [], []
    above: Name | None = None
    for step in steps:
        own = caller = before = None
        end = 0
        for found in NAMED.finditer(step):
            named, between = (found[1], found[2]), tuple(re.findall(r"`(\w+)`", found[3] or ""))
            said, end = step[end : found.start()], found.end()
            if own is None:
                own = caller = named
                ways += [Call(above, named, between)] if above else []
            else:
                caller = before if "which calls" in said else own if ";" in said else caller
                others.append(Call(caller, named, between))
            before = named
        above = own
    return ways, others


def imports_of(tree: ast.AST) -> dict[str, Name]:
    """What each imported name of a module of ours stands for; a module itself is (its file, "")."""
    found = {}
    for each in ast.walk(tree):
        for alias in each.names if isinstance(each, ast.ImportFrom) else ():
            file, inner = (f"{'/'.join(each.module.split('.'))}.py", f"{each.module}.{alias.name}".split("."))
            module = f"{'/'.join(inner)}.py"
            found[alias.asname or alias.name] = (
                (module, "") if (ROOT / module).is_file() else (file, alias.name)
            )
    return found


def called_in(file: str, name: str) -> set[Name]:
    """What a function, a class or a constant of a file calls, or hands on to be called."""
    tree = tree_of((ROOT / file).read_text())
    scope: ast.AST = tree
    for part in name.split("."):
        (scope,) = (each for each in ast.iter_child_nodes(scope) if part in names_of(each))
    imports = imports_of(tree) | imports_of(scope)  # its own come first
    used = [each for each in ast.walk(scope) if isinstance(each, ast.Name | ast.Attribute)]
    if isinstance(scope, ast.FunctionDef | ast.ClassDef):
        calls = [each for each in ast.walk(scope) if isinstance(each, ast.Call)]
        used = [call.func.value if isinstance(call.func, ast.Subscript) else call.func for call in calls]
        used += [part for call in calls for part in (*call.args, *(each.value for each in call.keywords))]
    return {meant for each in used if (meant := meant_by(each, file, imports))}


def meant_by(node: ast.AST, file: str, imports: dict[str, Name]) -> Name | None:
    """What a name, or an attribute of a module or another object, stands for in a file."""
    if isinstance(node, ast.Name):
        return imports.get(node.id, (file, node.id))
    if not isinstance(node, ast.Attribute):
        return None
    module, inner = imports.get(getattr(node.value, "id", ""), ("", " "))
    return ("" if inner else module, node.attr)


def is_called(call: Call) -> bool:
    """Whether each calls the next: the caller, the private functions of its file, and what is called. Of a method the
    name alone can be seen."""
    file, _ = call.caller
    way = [call.caller, *((file, each) for each in call.between), call.called]
    meant = [("", name.rpartition(".")[2]) if "." in name else (other, name) for other, name in way]
    return all(named in called_in(*above) for above, named in zip(way, meant[1:], strict=False))


def number_of_calls(ways: list[Call]) -> int:
    """A constant between two functions, such as a table of functions, is no call."""
    return sum(1 + sum(not each.isupper() for each in way.between) for way in ways)


def number_of_hops(ways: list[Call]) -> int:
    return sum(way.caller[0] != way.called[0] for way in ways)


def test_who_calls_whom_is_told_from_what_is_only_imported():
    place = "data_prep/placing/place.py"
    laid = ("data_prep/registering/registered.py", "laid_together")
    assert not is_called(Call((place, "place_scan"), laid, ()))
    assert is_called(Call((place, "place_scan"), laid, ("_laid",)))
    # Handed on to a pool; an attribute of a module of ours; another function of that name.
    assert is_called(Call(("data_prep/build.py", "build_store"), ("data_prep/build.py", "prepare_scan"), ()))
    check = ("hnscc/commands/study_commands.py", "check")
    assert is_called(Call(check, ("hnscc/commands/study_api.py", "check"), ()))
    assert not is_called(Call(check, ("hnscc/commands/check.py", "check"), ()))


def test_calls_are_read_from_the_text_of_steps():
    steps = [
        "`a.py:f`, the options",
        "`b.py:g` (through `_x` and `T`): `c.py:h`, which calls `d.py:i`; `e.py:j`",
    ]
    f, g, h = ("a.py", "f"), ("b.py", "g"), ("c.py", "h")
    ways = [Call(f, g, ("_x", "T"))]
    assert calls_of(steps) == (
        ways,
        [Call(g, h, ()), Call(h, ("d.py", "i"), ()), Call(g, ("e.py", "j"), ())],
    )
    assert (number_of_calls(ways), number_of_hops(ways)) == (2, 1)
    assert number_of_hops([Call(f, ("a.py", "g"), ())]) == 0


COMMAND_NAMES = sorted(each.callback.__name__ for each in app.registered_commands if each.callback)


def test_the_page_on_architecture_tells_of_every_command():
    assert sorted(commands_of(PAGE)) == COMMAND_NAMES


@pytest.mark.parametrize("command", COMMAND_NAMES)
def test_each_step_of_a_command_is_called_by_the_one_before(command):
    """And all that a step names beside itself by that step; their number is the one that the page says."""
    told = commands_of(PAGE)[command]
    ways, others = calls_of(told.steps)
    assert len(ways) == len(told.steps) - 1
    file, name = ways[0].caller
    assert name == command and file.endswith("_commands.py")
    assert [each for each in (*ways, *others) if not is_called(each)] == []
    assert told.calls == number_of_calls(ways)
    assert told.hops == number_of_hops(ways)
    for step, own in zip(told.steps, [ways[0].caller, *(each.called for each in ways)], strict=True):
        for said in re.findall(r"\(`hnscc\.(\w+)` calls it too\)", step):
            assert own in called_in(f"hnscc/{HOMES[said].replace('.', '/')}.py", said)
        for said in re.findall(r"which is `hnscc\.(\w+)`", step):
            assert own == (f"hnscc/{HOMES[said].replace('.', '/')}.py", said)
