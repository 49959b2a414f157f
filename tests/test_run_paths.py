"""Paths below a run folder are joined in one file, `hnscc/study/run_folder.py`, and those in a store in another,
`hnscc/cohort/store_format.py`: no other may spell their names."""

import ast
import functools
import re
from pathlib import Path

import pytest
from trees import tree_of

from hnscc.cohort.store_format import SCANS_GROUP
from hnscc.commands.output_folders import FACTS_FILE, SETTINGS_FILE, ExportFolder, PredictionFolder
from hnscc.study.run_folder import RunFolder, inside

ROOT = Path(__file__).parent.parent
OWNER = ROOT / "hnscc" / "study" / "run_folder.py"
PACKAGES = ("hnscc", "rayjobs", "data_prep", "benchmarks")
FILES = [path for each in PACKAGES for path in sorted((ROOT / each).rglob("*.py"))]
UPLOADS = ROOT / "rayjobs" / "doctor" / "uploads.py"  # what such a folder is called in anybody's project


def names() -> set[str]:
    """The last part of every path that RunFolder and the folders below it give, and the folders between."""
    run = RunFolder(Path("run"))
    trial, fold = run.trial("*"), run.fold(0)
    parts = [run, fold, trial, *trial.slots]
    own = {
        getattr(part, name)
        for part in parts
        for name, each in vars(type(part)).items()
        if isinstance(each, property) and name not in ("recorded", "trial_locks")
    }
    paths = {path for path in own if isinstance(path, Path)} | {run.proof("x").parent}
    return {path.name for path in paths}


# Also the names of tables, of facts in a record, of settings: only a path that goes on behind them is one.
WORDS = {"tables", "figures", "winners", "checkpoint"}
SPELLED = names() - WORDS - {".lock"}  # a store's lock has that name too
ANY = "|".join(sorted(map(re.escape, SPELLED)))
FOLDERS = "|".join(sorted(map(re.escape, {"trials", "folds", *WORDS})))
# A literal that is one of the names; one that joins it with a slash; and one that goes on below a folder's name.
JOINED = re.compile(rf"^({ANY})(/|$)|/({ANY})\b|^({FOLDERS})/|^/({FOLDERS})\b")


@functools.cache
def literals(text: str) -> list[str]:
    """Every text of a module, the constant parts of f-strings too, but its docstrings."""
    tree = tree_of(text)
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    ]


def joined(text: str) -> list[str]:
    return [each for each in literals(text) if JOINED.search(each)]


def test_no_other_file_spells_a_path_of_a_run_folder():
    """RunFolder and the constants beside it give them."""
    found = {path: texts for path in FILES if (texts := joined(path.read_text()))}
    assert found.pop(OWNER), "the rule finds them where they belong"
    assert not found


def test_no_other_file_says_where_a_study_runs_unless_told():
    assert [path for path in FILES if "runs" in literals(path.read_text())] == [OWNER, UPLOADS]


def joined_in_a_store(text: str) -> bool:
    spelled = re.compile(rf"^{SCANS_GROUP}/|/(images|mask|drawn)$")
    return any(map(spelled.search, literals(text))) or f'/ "{SCANS_GROUP}"' in text


def test_no_other_file_spells_a_path_of_a_store():
    """`scan_path` gives them, of the group's name alone."""
    assert [path for path in FILES if joined_in_a_store(path.read_text())] == []
    assert joined_in_a_store('root[f"scans/{name}/images"]') and joined_in_a_store('store / "scans" / name')


def test_no_other_file_spells_a_file_that_predict_and_export_write():
    predicted, exported = PredictionFolder(Path("p")), ExportFolder(Path("e"))
    tables = (predicted.lesions, predicted.lesions_as_json, predicted.scores)
    files = {path.name for path in (*tables, exported.model, exported.card)} | {FACTS_FILE, SETTINGS_FILE}
    assert len(files) == 7
    assert [path.name for path in FILES if files & {*literals(path.read_text())}] == ["output_folders.py"]


def test_the_names_are_those_that_the_run_folder_gives():
    assert {"study.yaml", "record.json", "split.json", "slot-0.json", ".shared"} <= SPELLED


@pytest.mark.parametrize(
    "line",
    [
        'path / "study.yaml"',
        'folder / "trials/*/record.json"',
        'f"{root}/winners.yaml is written"',
        'f"folds/f{number}"',
        'f"{root}/tables"',
        'keep = ("history.parquet",)',
        'root.glob(".shared/*")',
    ],
)
def test_a_spelled_path_is_found(line):
    assert joined(line)


@pytest.mark.parametrize(
    "line",
    ['"""trials/t/record.json"""', 'source.tables["trials"]', '"split.json lacks digest, files"', '".lock"'],
)
def test_prose_and_the_names_of_tables_are_none(line):
    assert not joined(line)


def test_what_killed_processes_left_is_found_at_every_depth(tmp_path):
    run = RunFolder(tmp_path)
    trial = run.trial("pet-f0-r00")
    left = {
        run.root / ".study.yaml.0000000000000001.tmp",
        run.tables / ".trials.0000000000000002.tmp",
        run.figures / ".overlap.png.0000000000000007.tmp",
        trial.file(".record.json.0000000000000003.tmp"),
    }
    below = trial.checkpoint / ".slot-0.json.0000000000000004.tmp"
    # Of the winners' run folder, where another process may be writing.
    others = [
        run.winners_run / each
        for each in (".study.yaml.0000000000000005.tmp", "tables/.x.0000000000000006.tmp")
    ]
    kept = [trial.record, trial.scores, trial.slot(0).facts, run.proof("machine")]
    for path in [*left, *others, below, *kept]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert set(run.half_written()) == left
    assert set(trial.half_written()) == {trial.file(".record.json.0000000000000003.tmp"), below}
    assert set(run.checkpoints({"pet-f0-r00"})) == {below, trial.slot(0).facts}
    assert run.checkpoints({"mri-f0-r00"}) == []
    assert run.proofs() == [run.proof("machine")]
    assert set(run.passing()) == {trial.checkpoint, run.proof("machine").parent}
    assert [each.trial_id for each in run.recorded] == ["pet-f0-r00"]
    assert inside(trial.root) == "trials/pet-f0-r00"
    assert inside(run.table("pooled")) == "tables/pooled.parquet"
