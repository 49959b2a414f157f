"""Imports point one way, Ray stays in rayjobs/, torch where training is."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("hnscc", "data_prep", "rayjobs")
TORCH = {
    f"hnscc.training.{name}"
    for name in (
        "adam",
        "augment",
        "checkpoint",
        "layers",
        "loop",
        "losses",
        "measure",
        "model",
        "process",
        "trial",
    )
}


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if path.stem == "__init__" else parts)] = path
    return found


def imported(path: Path) -> set[str]:
    """Every module named in an import statement, at the top or within a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {
                f"{node.module}.{alias.name}"
                for alias in node.names
                if f"{node.module}.{alias.name}" in modules()
            }
    return names


@pytest.mark.parametrize("name", modules())
def test_ray_and_torch_stay_where_they_belong(name):
    tops = {each.partition(".")[0] for each in imported(modules()[name])}
    if not name.startswith("rayjobs"):
        assert "ray" not in tops
    if name not in TORCH:
        assert "torch" not in tops


@pytest.mark.parametrize("name", modules())
def test_imports_point_one_way(name):
    allowed = {
        "hnscc": {"hnscc"},
        "data_prep": {"data_prep", "hnscc"},
        "rayjobs": {"rayjobs", "hnscc", "data_prep"},
    }
    ours = {each for each in imported(modules()[name]) if each in modules()} - {name}
    if name.startswith("hnscc.commands.") or name == "hnscc.train":
        return
    package = name.partition(".")[0]
    assert {each.partition(".")[0] for each in ours} <= allowed[package]
    if package == "data_prep":
        bottom = {
            "hnscc",
            "hnscc.cohort.store",
            "hnscc.base.errors",
            "hnscc.base.files",
            "hnscc.base.locations",
            "hnscc.base.seeds",
        }
        assert {each for each in ours if each.startswith("hnscc")} <= bottom


def test_imports_have_no_cycle():
    graph = {
        name: {each for each in imported(path) if each in modules()} - {name}
        for name, path in modules().items()
    }
    done: set[str] = set()
    while left := graph.keys() - done:
        free = {name for name in left if graph[name] <= done}
        assert free, f"a cycle among {sorted(left)}"
        done |= free
