"""`import hnscc`: what it offers, what it loads, and that each function does what its command does."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import processes
import pyarrow.parquet as pq
import pytest
from stores import study_of

import hnscc
from hnscc.aggregation.schemas import STUDY_TABLES, schema
from hnscc.base.errors import InputError
from hnscc.commands.checked import Checked
from hnscc.commands.status import Status
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of
from hnscc.training.ready import make_run_ready

FUNCTIONS = {
    "aggregate",
    "chance_of_better",
    "check",
    "export",
    "equivalence",
    "fetch",
    "init",
    "mean_difference",
    "mean_of_patients",
    "phantom",
    "plan",
    "pooled_difference",
    "pooled_interval",
    "predict",
    "prepare",
    "prune",
    "query",
    "report",
    "run",
    "scan",
    "search",
    "status",
    "tables",
    "verify",
}


def test_tab_completion_offers_the_functions_and_nothing_else():
    import hnscc.aggregation.query  # once loaded, a wing must not show

    assert {name for name in dir(hnscc) if not name.startswith("__")} == FUNCTIONS
    assert "__version__" in dir(hnscc)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hnscc.nothing


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_is_typed_and_documented(name):
    function = getattr(hnscc, name)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(each.annotation is not inspect.Parameter.empty for each in signature.parameters.values())
    assert ("ValueError" if hnscc.HOMES[name].startswith("scores.") else "InputError") in function.__doc__
    assert (Path(hnscc.__file__).parent / "py.typed").is_file()


def test_the_import_alone_loads_nothing_heavy():
    script = """
import sys, os, hnscc
heavy = {"torch", "ray", "numpy", "pyarrow", "duckdb", "zarr", "typer", "rich", "pydantic"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
hnscc.tables
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    environment = {"PATH": "", "PYTHONPATH": str(processes.ROOT)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=processes.ROOT)


def test_what_prints_loads_nothing_that_only_training_or_tables_need():
    script = """
import sys, hnscc.commands.printing
heavy = {"torch", "ray", "scipy", "duckdb", "pandas", "zarr"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, env={"PATH": ""}, cwd=processes.ROOT)


@pytest.mark.slow
def test_what_trains_loads_nothing_that_only_tables_or_predictions_need():
    """Each process that trains pays for it: SciPy's signals and statistics took 0.6 s and 36 MB."""
    script = """
import sys, hnscc.train, hnscc.commands.train
heavy = {"ray", "duckdb", "matplotlib", "scipy.signal", "scipy.stats"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, env={"PATH": ""}, cwd=processes.ROOT)


def test_check_takes_settings_or_a_file(store, tmp_path):
    settings = study_of(store.location).model_dump(mode="json")
    (tmp_path / "study.yaml").write_text(json.dumps(settings))  # JSON is YAML
    found = hnscc.check(settings, tmp_path / "run")
    assert found == hnscc.check(tmp_path / "study.yaml", tmp_path / "run")
    assert found["trials"] == {"in_all": 4, "missing": 4}
    assert found["repeats_for_width"] is None
    asked = hnscc.check(settings, tmp_path / "run", half_width=0.02)["repeats_for_width"]
    assert asked["half_width"] == 0.02 and asked["variants"]["pet"]["repeats"] is None
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="sede"):
        hnscc.check(settings | {"sede": 1})


@pytest.mark.parametrize(("name", "typed"), [("check", Checked), ("status", Status)])
def test_the_keys_of_a_result_are_those_that_the_docstring_names(name, typed):
    told = " ".join(getattr(hnscc, name).__doc__.split()).partition("The result has the keys ")[2]
    listed = re.split(r", of which| \(see ", told)[0]
    keys = re.findall(r"\w+", re.sub(r"\([^)]*\)", "", listed))
    assert [each for each in keys if each != "and"] == list(typed.__annotations__)


def test_status(store, tmp_path):
    study = study_of(store.location)
    ready = make_run_ready(study, tmp_path / "run")
    found = hnscc.status(str(ready.folder.root))
    assert found == hnscc.status(ready.folder), "as `run` returns it"
    assert found["variants"] == {
        name: {"completed": 0, "failed": 0, "started": 0, "missing": 2} for name in study.variants
    }
    assert len(trials_of(study)) == 4
    with pytest.raises(InputError, match="not a run folder"):
        hnscc.status(tmp_path)


def test_tables_are_what_pyarrow_reads(finished):
    tables = hnscc.tables(finished)
    assert tables["pooled"].equals(pq.read_table(finished / "tables/pooled.parquet"), check_metadata=True)
    assert tuple(tables) == STUDY_TABLES and len(tables) == len(STUDY_TABLES)
    assert {name: table.num_rows for name, table in tables.items()} == {
        name: pq.read_metadata(finished / f"tables/{name}.parquet").num_rows for name in STUDY_TABLES
    }
    for unknown in ("polled", "configurations"):
        assert unknown not in tables
        with pytest.raises(InputError, match="no such table") as caught:
            tables[unknown]
        assert "pooled" in caught.value.expected and caught.value.found == unknown


def test_tables_are_read_only_when_asked_for(finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    tables = hnscc.tables(root)
    (root / "tables/pooled.parquet").write_bytes(b"no table")
    (root / "tables/means.parquet").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        tables["pooled"]
    with pytest.raises(InputError, match="cannot be read"):
        tables.facts("pooled")
    with pytest.raises(InputError, match="is missing"):
        tables["means"]
    assert tables["regression"].num_rows
    (root / "tables/trials.parquet").unlink()
    with pytest.raises(InputError, match="not all of one time"):
        tables["regression"]


def test_facts_say_what_a_table_means(finished, tmp_path):
    facts = hnscc.tables(finished).facts("pooled")
    assert facts["rows"] == pq.read_table(finished / "tables/pooled.parquet").num_rows
    assert facts["one_row_per"].startswith("variant and split")
    by_name = {each["column"]: each for each in facts["columns"]}
    assert by_name["dice_low"] == {
        "column": "dice_low",
        "type": "double",
        "meaning": schema("pooled").field("dice_low").metadata[b"description"].decode(),
    }
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    (root / "tables/pooled.parquet").unlink()
    assert hnscc.tables(root).facts("pooled") == facts | {"rows": None}


def test_query_aggregate_and_report(finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    before = {path.name: path.read_bytes() for path in (root / "tables").iterdir()}
    shutil.rmtree(root / "tables")
    assert hnscc.aggregate(root) == []
    assert {path.name: path.read_bytes() for path in (root / "tables").iterdir()} == before
    pages = [root / "report.html", root / "report.md"]
    first = [path.read_bytes() for path in pages]
    for path in pages:
        path.unlink()
    assert hnscc.report(root) == pages[0]
    assert [path.read_bytes() for path in pages] == first
    rows = hnscc.query(root, "SELECT count(*) AS n FROM trials").to_pylist()
    assert rows == [{"n": hnscc.tables(root)["trials"].num_rows}]
    with pytest.raises(InputError, match="cannot be answered"):
        hnscc.query(root, "SELEC 1")


def test_prune_says_what_it_freed(finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    assert hnscc.prune(root) == (0, 0), "these trials have no weights"
    next((root / "trials").glob("*/record.json")).unlink()
    with pytest.raises(InputError, match="medians still move"):
        hnscc.prune(root)


@pytest.mark.slow
def test_run_trains_to_tables_in_python(store, tmp_path):
    """In a process of its own, which a local Ray lives in."""
    settings = study_of(store.location, repeats=1, training={"epochs": 1}).model_dump(mode="json")
    script = f"""
import json, hnscc
from hnscc.base.errors import InputError
settings = json.loads({json.dumps(settings)!r})
ended = hnscc.run(settings, out={str(tmp_path / "run")!r}, limit=1)
assert (len(ended.completed), ended.missing, ended.failed) == (1, 1, {{}}), ended
assert hnscc.tables(ended.folder)["trials"].num_rows == 2
assert hnscc.status(ended.folder)["tables"] is True
for wrong in (lambda: hnscc.search(settings, out={str(tmp_path / "search")!r}), lambda: hnscc.run({{}})):
    try:
        wrong()
    except InputError as error:
        print("refused:", error.problem)
"""
    (tmp_path / "script.py").write_text(script)
    environment = {"PYTHONPATH": f"{processes.ROOT}{os.pathsep}{tmp_path}"}
    out, _ = processes.run(tmp_path, "script", environment=environment)
    assert out.count("refused:") == 2
    assert not (tmp_path / "search").exists()


FLAGS = [
    (name, flag)
    for name in sorted(FUNCTIONS)
    for flag, each in inspect.signature(getattr(hnscc, name)).parameters.items()
    if each.annotation in (bool, "bool")
]


@pytest.mark.parametrize(("name", "flag"), FLAGS)
@pytest.mark.parametrize("given", ["no", 0, None])
def test_a_flag_is_yes_or_no(name, flag, given, finished, tmp_path):
    """`overwrite="no"` replaced the store, for it is no empty text; and so with every flag."""
    counts = [np.full((2, 5), each) for each in (5, 10, 10)]
    arguments = {
        "check": (RunFolder(finished).study,),
        "export": (finished, tmp_path / "out"),
        "mean_difference": (np.eye(2, 5), np.eye(2, 5)),
        "mean_of_patients": (np.eye(2, 5),),
        "pooled_difference": (counts, counts),
        "predict": (finished, {}, tmp_path / "out"),
        "prepare": (tmp_path / "manifest.csv", tmp_path / "store.zarr"),
        "run": (RunFolder(finished).study, tmp_path / "out"),
        "search": (RunFolder(finished).study, tmp_path / "out"),
    }[name]
    with pytest.raises(ValueError if hnscc.HOMES[name].startswith("scores.") else InputError) as caught:
        getattr(hnscc, name)(*arguments, **{flag: given})
    assert flag.replace("_", "-") in str(caught.value) and f"{given!r}" in str(caught.value)


def test_flags_are_found():
    assert ("prepare", "overwrite") in FLAGS and ("run", "accept_versions") in FLAGS and len(FLAGS) > 10


@pytest.mark.parametrize(
    ("call", "option", "found"),
    [
        (lambda at: hnscc.run(at / "s.yaml", limit=-1), "--limit", "-1"),  # trained all but one
        (lambda at: hnscc.run(at / "s.yaml", limit="3"), "--limit", "'3'"),
        (lambda at: hnscc.plan(at, repeats=2.5), "--repeats", "2.5"),
        (lambda at: hnscc.phantom(at / "p", patients="24"), "--patients", "'24'"),
        (lambda at: hnscc.phantom(at / "p", patients=24, seed=1.5), "--seed", "1.5"),
        # Its letters were the patterns, of which * fits every file.
        (lambda at: hnscc.scan(at, prefer="*T1*"), "--prefer", "'*T1*'"),
        (lambda at: hnscc.init(at, at / "s.yaml", prefer="*T1*"), "--prefer", "'*T1*'"),
    ],
)
def test_a_value_of_another_type_is_refused(call, option, found, finished):
    with pytest.raises(InputError) as caught:
        call(finished)
    assert caught.value.where == f"{option}, in Python {option[2:]}" and caught.value.found == found
