"""Imports point one way, Ray stays in rayjobs/, torch where training is, and every wing says what it is for."""

import ast
import functools
import re
from pathlib import Path

import pytest
from trees import nodes_of, tree_of

ROOT = Path(__file__).parent.parent
# Which other wings each wing may import. A new wing or a new edge is a new word here, to be argued for.
ALLOWED = {
    "base": set(),
    "study": {"base"},
    "scores": {"base"},
    "cohort": {"base", "study"},
    "data_prep": {"base", "cohort"},
    "training": {"base", "study", "scores", "cohort"},
    "aggregation": {"base", "study", "scores", "cohort", "training", "data_prep"},
    "reporting": {"base", "study", "scores", "cohort", "training", "aggregation"},
    "searching": {"base", "study", "scores", "cohort", "training", "aggregation", "reporting"},
    "rayjobs": {"base", "study", "scores", "cohort", "training", "aggregation", "reporting", "searching"},
}
ALLOWED["commands"] = {*ALLOWED["rayjobs"], "rayjobs", "data_prep"}
# What preparing scans may know of a cohort: its store alone.
STORE = {f"hnscc.cohort.{name}" for name in ("placement", "store", "store_building", "store_format")}
# What tables may know of preparing scans: how a mask comes back to the grid that it was drawn on.
WAY_BACK = {"data_prep.placing.way_back"}
# The modules of training that need torch; the others are imported where a second of start-up counts.
TORCH = {
    f"hnscc.training.{name}"
    for name in (
        *(
            "adam",
            "augment",
            "checkpoint",
            "devices",
            "export",
            "feeding",
            "fit",
            "inference",
            "library",
            "losses",
            "network",
            "paper_unet",
            "process",
        ),
        *("resizing", "subpixel", "trial"),
        "hardware",  # where it is loaded already, or there may be a GPU
    )
}


def modules() -> dict[str, Path]:
    """Every module of the three packages, by its dotted name."""
    found = {}
    for package in ("hnscc", "data_prep", "rayjobs"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if path.stem == "__init__" else parts)] = path
    return found


MODULES = modules()


def wing_of(module: str) -> str:
    """The wing that a module belongs to, by its folder; the files of hnscc/ itself are doors to commands."""
    first, *rest = module.split(".")
    if first != "hnscc":
        return first
    return rest[0] if rest and (ROOT / "hnscc" / rest[0]).is_dir() else "commands"


@functools.cache
def imported(path: Path) -> set[str]:
    """Every module that an import statement names, at the top of the file or within a function."""
    names: set[str] = set()
    for node in nodes_of(path.read_text()):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path}: imports are written with the whole name"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from package import module` needs that module; its package is then only the way to it.
            names |= {each for each in inner if each in MODULES} or {node.module}
    return names


def ours(module: str) -> set[str]:
    """The modules of this repository that `module` imports."""
    return (imported(MODULES[module]) & MODULES.keys()) - {module}


def test_the_list_has_a_row_for_every_wing():
    assert {wing_of(name) for name in MODULES} == ALLOWED.keys()


def test_imports_point_one_way():
    wings = {name: wing_of(name) for name in MODULES}
    wrong = {
        (name, each)
        for name, wing in wings.items()
        for each in ours(name)
        if wings[each] not in ALLOWED[wing] | {wing}
    }
    assert not wrong, "a wing imports those alone that its row of ALLOWED names"


def test_preparing_knows_the_store_alone_of_a_cohort():
    known = set().union(*(ours(name) for name in MODULES if wing_of(name) == "data_prep"))
    assert {name for name in known if wing_of(name) == "cohort"} <= STORE


def test_tables_know_the_way_back_alone_of_preparing():
    known = set().union(*(ours(name) for name in MODULES if wing_of(name) == "aggregation"))
    assert {name for name in known if wing_of(name) == "data_prep"} <= WAY_BACK


def test_ray_and_torch_stay_where_they_belong():
    users: dict[str, set[str]] = {"ray": set(), "torch": set(), "rich": set()}
    for name, path in MODULES.items():
        for library in users.keys() & {each.partition(".")[0] for each in imported(path)}:
            users[library].add(name)
    assert {wing_of(name) for name in users["ray"]} == {"rayjobs"}
    assert users["torch"] <= TORCH
    assert users["rich"] == {"hnscc.base.console"}


def test_imports_have_no_cycle():
    graph = {name: ours(name) for name in MODULES}
    done: set[str] = set()
    while left := graph.keys() - done:
        free = {name for name in left if graph[name] <= done}
        assert free, f"a cycle among {sorted(left)}"
        done |= free


def test_the_list_itself_has_an_order():
    """Otherwise two wings could be allowed to import each other."""
    done: set[str] = set()
    while left := ALLOWED.keys() - done:
        free = {wing for wing in left if ALLOWED[wing] <= done}
        assert free, f"a cycle among {sorted(left)}"
        done |= free


def docstring_of(package: str) -> str:
    """What a package's `__init__` says, without its line breaks."""
    return " ".join((ast.get_docstring(tree_of(MODULES[package].read_text())) or "").split())


def order_in(text: str) -> list[set[str]]:
    """The steps of `a, b -> c -> d`, where each may import those behind it alone."""
    return [set(step.split(", ")) for step in text.split(" -> ")]


def assert_one_way(steps: list[set[str]], imports: dict[str, set[str]]) -> None:
    """Every name stands in one step, and what it imports in later ones."""
    assert sorted(name for step in steps for name in step) == sorted(imports), "each name stands there once"
    place = {name: number for number, step in enumerate(steps) for name in step}
    wrong = {
        (name, each) for name, needed in imports.items() for each in needed if place[each] <= place[name]
    }
    assert not wrong, "these import what does not stand behind them"


def test_the_package_says_the_order_of_the_wings():
    steps = order_in(re.search(r"none imports one before it: (.+?)\. ", docstring_of("hnscc"))[1])
    assert_one_way(steps, ALLOWED)


@pytest.mark.parametrize("wing", ALLOWED)
def test_a_wing_names_what_others_use_of_it(wing):
    """By the name of the module, or of its folder."""
    package = wing if wing in MODULES else f"hnscc.{wing}"
    told = set(re.findall(r"\w+", docstring_of(package).partition(" It may import ")[0]))
    used = set().union(*(ours(name) for name in MODULES if wing_of(name) != wing))
    inside = {each.removeprefix(f"{package}.") for each in used if wing_of(each) == wing and each != package}
    assert not {each for each in inside if not told & set(each.split("."))}


@pytest.mark.parametrize("wing", ALLOWED)
def test_every_wing_says_what_it_is_for_what_others_may_use_and_how_it_imports(wing):
    package = wing if wing in MODULES else f"hnscc.{wing}"
    text, _, imports = docstring_of(package).partition(" It may import ")
    ends = re.findall(r"[.!?](?=\s+[A-Z`]|\s*$)", text)
    assert len(ends) >= 2, "two sentences: what it is for, what others may use"
    others, inside = re.fullmatch(r"(.+?)\. Inside, imports point one way: (.+)\.", imports).groups()
    assert set(re.split(", | and ", others)) - {"no other wing"} == ALLOWED[wing]
    # A module by its name; a folder of modules, within which it does not matter, by that of the folder.
    within: dict[str, set[str]] = {}
    for name in MODULES:
        if name.startswith(f"{package}."):
            own, *needed = (
                each.removeprefix(f"{package}.").partition(".")[0]
                for each in (name, *ours(name))
                if each.startswith(f"{package}.")
            )
            within.setdefault(own, set()).update({*needed} - {own})
    assert_one_way(order_in(inside), within)


def test_rayjobs_names_what_commands_use():
    used = {each for name in MODULES if wing_of(name) == "commands" for each in ours(name)}
    told = re.search(r"Commands use (.+?)\.", docstring_of("rayjobs"))[1]
    within = {each.split(".")[1] for each in used if each.startswith("rayjobs.")}
    assert set(re.findall(r"`(\w+)`", told)) == within


PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()


def test_the_page_on_architecture_prints_the_list():
    rows = re.findall(r"^\| (\w+) \| ([\w, ]+) \|$", PAGE.partition("| wing | may import |")[2], re.MULTILINE)
    told = {wing: set() if names == "no other" else set(names.split(", ")) for wing, names in rows}
    assert {wing: told.get(wing) for wing in ALLOWED} == ALLOWED


def test_the_page_on_architecture_numbers_the_wings():
    rows = re.findall(r"^(\d)  (\w+)(?: +(\w+))?", PAGE, re.MULTILINE)
    number = {wing: int(row) for row, *wings in rows for wing in wings if wing in ALLOWED}
    assert number.keys() == ALLOWED.keys()
    wrong = {
        (wing, each) for wing, others in ALLOWED.items() for each in others if number[each] >= number[wing]
    }
    assert not wrong, "a wing imports one of its own number or of a higher one"


def types_of(path: Path) -> set[str]:
    """The public classes and type aliases that a module defines, but for type variables and a command's options."""
    found = set()
    for node in tree_of(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, ast.unparse(node.value)
            if not name.isupper() and not re.match(r"TypeVar\(|Annotated\[.*typer\.", value, re.DOTALL):
                found.add(name)
    return {name for name in found if name[0].isupper()}


def test_a_type_stands_for_one_thing():
    """Of two modules that define a type of one name, one is renamed, or imports it from the other."""
    owners: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for name in types_of(path):
            owners.setdefault(name, []).append(module)
    assert {name: modules for name, modules in owners.items() if len(modules) > 1} == {}


def test_a_function_stands_for_one_thing():
    """A command and the function that does its work bear one name; else a name that two modules define means one thing
    in each."""
    owners: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in tree_of(path.read_text()).body if wing_of(module) != "commands" else []:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name != "main":
                owners.setdefault(node.name, []).append(module)
    assert len(owners) > 800
    assert {name: modules for name, modules in owners.items() if len(modules) > 1} == {}


def test_tests_import_public_names_alone():
    """What a test asks of a private name, it asks of how a thing is done, not of what."""
    found = [
        f"{path.relative_to(ROOT)}: {alias.name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in nodes_of(path.read_text())
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").split(".")[0] in ("hnscc", "data_prep", "rayjobs")
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert found == []
