"""The commands as a user meets them: help with an example, exit codes, one clear message for bad input."""

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import nibabel as nib
import numpy as np
import processes
import pyarrow.parquet as pq
import pytest
import yaml
from commands import refused
from stores import make_store, study_of
from typer.main import get_command

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.schemas import STUDY_TABLES, TABLES
from hnscc.base.files import read_sealed, sha256, write_sealed
from hnscc.commands.cli import app
from hnscc.study.identity import identity
from hnscc.study.run_folder import RunFolder

COMMANDS = sorted(get_command(app).commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(hnscc, command):
    code, out, _ = hnscc(command, "--help")
    assert code == 0
    assert f"Example: hnscc {command} " in " ".join(out.split())


def test_the_list_of_commands_fits_on_a_terminal(hnscc, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = hnscc("--help")
    listed = out.partition("Commands:")[2]
    assert code == 0 and all(f"  {command} " in listed for command in COMMANDS)
    assert "..." not in listed, "the first sentence of a command's help is too long"


def test_the_commands_of_the_contract_exist(hnscc):
    assert {"phantom", "prepare", "verify", "check", "run", "aggregate", "report", "query"} <= set(COMMANDS)
    assert hnscc("nonsense")[0] == 2
    assert hnscc("query", "only-one-argument")[0] == 2
    assert hnscc("--version")[1].startswith("hnscc ")


def nifti(path: Path, data: np.ndarray, affine=None) -> None:
    nib.save(nib.Nifti1Image(data, np.diag([2.0, 2, 3, 1]) if affine is None else affine), path)


@pytest.fixture
def cohort(tmp_path):
    """Two patients of 8 x 8 x 4 voxels with pet, mri and mask, and their manifest."""
    random = np.random.default_rng(0)
    mask = np.zeros((8, 8, 4), np.uint8)
    mask[2:6, 2:6, 1:3] = 1
    for name in ("one", "two"):
        for modality in ("pet", "mri"):
            nifti(tmp_path / f"{name}_{modality}.nii.gz", random.random((8, 8, 4)).astype(np.float32))
        nifti(tmp_path / f"{name}_mask.nii.gz", mask)
    lines = ["patient_id,scan_id,pet,mri,mask"]
    lines += [
        f"{p},{s},{f}_pet.nii.gz,{f}_mri.nii.gz,{f}_mask.nii.gz"
        for p, s, f in (("p1", "s1", "one"), ("p2", "s2", "two"))
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def in_manifest(old: str, new: str):
    return lambda folder: replace_text(folder / "manifest.csv", old, new)


def half(name: str):
    return lambda folder: (folder / name).write_bytes(
        (folder / name).read_bytes()[: (folder / name).stat().st_size // 2]
    )


def two_valued(folder: Path) -> None:
    mask = np.zeros((8, 8, 4), np.uint8)
    mask[2:4], mask[4:6] = 1, 2
    nifti(folder / "two_mask.nii.gz", mask)


BAD_COHORTS = {
    "no manifest": (lambda folder: (folder / "manifest.csv").unlink(), "manifest"),
    "missing file": (lambda folder: (folder / "two_pet.nii.gz").unlink(), "s2"),
    "truncated": (half("two_mri.nii.gz"), "s2"),
    "unreadable": (lambda folder: (folder / "two_mri.nii.gz").write_bytes(b"no image"), "s2"),
    "elsewhere": (
        lambda folder: nifti(
            folder / "two_pet.nii.gz",
            np.ones((8, 8, 4), np.float32),
            np.diag([2.0, 2, 3, 1]) + 900 * np.eye(4, k=3),
        ),
        "s2",
    ),
    "flat": (lambda folder: nifti(folder / "two_pet.nii.gz", np.ones((8, 8), np.float32)), "s2"),
    "mask not binary": (two_valued, "s2"),
    "mask off the grid": (
        lambda folder: nifti(folder / "two_mask.nii.gz", np.ones((7, 8, 4), np.uint8)),
        "s2",
    ),
    "duplicate scan": (in_manifest("p2,s2", "p2,s1"), "s1"),
    "no patient id": (in_manifest("p2,s2", ",s2"), "patient_id"),
    "no such column": (in_manifest("patient_id", "patient"), "patient_id"),
    "empty cohort": (
        lambda folder: (folder / "manifest.csv").write_text("patient_id,scan_id,pet,mri,mask\n"),
        "manifest",
    ),
}


@pytest.mark.parametrize("case", BAD_COHORTS)
def test_bad_cohorts_are_refused_and_leave_nothing(hnscc, cohort, case):
    harm, named = BAD_COHORTS[case]
    harm(cohort)
    before = {path.name for path in cohort.iterdir()}
    error = refused(hnscc("prepare", cohort / "manifest.csv", cohort / "out.zarr", "--workers", 1))
    assert named in error
    assert "nii" not in error, "a file's name is no pseudonym"
    assert {path.name for path in cohort.iterdir()} == before


def test_prepare_verify_and_a_damaged_store(hnscc, cohort):
    code, out, _ = hnscc(
        "prepare", cohort / "manifest.csv", cohort / "out.zarr", "--size", 16, "--workers", 1
    )
    assert code == 0
    assert "2 patients, 2 scans (2 with lesion), 8 slices (4 with lesion)" in out
    code, out, _ = hnscc("verify", cohort / "out.zarr", "--json")
    assert json.loads(out)["positive_slices"] == 4
    refused(hnscc("prepare", cohort / "manifest.csv", cohort / "out.zarr"))
    shard = next(path for path in (cohort / "out.zarr/scans/s2/images/c").rglob("*") if path.is_file())
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 1
    shard.write_bytes(content)
    assert "s2" in refused(hnscc("verify", cohort / "out.zarr"))
    for foreign in (cohort, cohort / "absent.zarr", cohort / "manifest.csv"):
        refused(hnscc("verify", foreign))


def write_study(path: Path, made, **settings) -> Path:
    raw = study_of(made.location).model_dump(mode="json") | settings
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def test_check_prints_plan_splits_leaks_and_what_is_left(hnscc, store, tmp_path):
    study = write_study(tmp_path / "study.yaml", store)
    code, out, _ = hnscc("check", study, "--out", tmp_path / "run")
    assert code == 0
    for text in (
        "no patient stands in training and test",
        "4 planned; 0 completed",
        "time:    not known",
        "fewer than 5",
    ):
        assert text in out
    found = json.loads(hnscc("check", study, "--out", tmp_path / "run", "--json")[1])
    rows = {row["split"]: row for row in found["splits"]}
    assert sum(row["patients"] for row in rows.values()) == 8
    assert rows["test"]["positive_slices"] == 4
    assert found["variants"]["pet_mri"]["parameters"] == 30_549
    assert found["time"]["hours_left_here"] is None
    assert not (tmp_path / "run").exists(), "check writes nothing"
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(hnscc("check", study, "--resolved")[1])
    again = json.loads(hnscc("check", resolved, "--out", tmp_path / "run", "--json")[1])
    assert again == found


def test_the_check_of_a_search_says_that_the_test_set_is_closed_and_no_more_of_it(hnscc, store, tmp_path):
    search = {
        "method": "random",
        "ranges": {"training.learning_rate": {"low": 0.0001, "high": 0.1, "log": True}},
        "configurations": 4,
        "budget": {"trials": 40},
    }
    raw = study_of(store.location).model_dump(mode="json", exclude={"variants"})
    raw |= {
        "modalities": ["pet", "mri"],
        "search": search,
        "sampling": {"negatives": "any_scan", "ratio": 9.0},
    }
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(raw))
    code, out, error = hnscc("check", study, "--out", tmp_path / "run", "--json")
    assert code == 0, error
    found = json.loads(out)
    assert [row["split"] for row in found["splits"]] == ["train", "validation"]
    assert any("train: " in line and "negative slices wanted" in line for line in found["warnings"])
    assert not any("test: " in line for line in found["warnings"])
    closed = [line for line in found["leakage_checks"] if "closed" in line]
    assert len(closed) == 1 and "test patients of fold f0" in closed[0]
    assert closed[0] in hnscc("check", study, "--out", tmp_path / "run")[1].replace("\n", " ")


def test_check_times_what_is_left_by_what_is_done(hnscc, store, tmp_path):
    from hnscc.train import main as train

    study = write_study(tmp_path / "study.yaml", store)
    for trial in ("pet-f0-r00", "pet_mri-f0-r00"):
        train([str(study), trial, "--out", str(tmp_path / "run")])
    found = json.loads(
        hnscc("check", study, "--out", tmp_path / "run", "--json")[1].partition("\n{")[2].join(["{", ""])
    )
    assert found["trials"] == {"planned": 4, "completed": 2, "missing": 2}
    seconds = found["time"]["seconds_per_trial"]
    assert found["time"]["trial_seconds_left"] == pytest.approx(sum(seconds.values()), abs=0.2)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"sede": 1}, "sede"),
        ({"variants": {"ct": {"modalities": ["ct"]}}}, "variants.ct.modalities"),
        ({"split": {"folds": 20}}, "too small to split"),
        ({"store": "nowhere.zarr"}, "nowhere.zarr"),
        (
            {
                "training": {"network": {"architecture": "unett", "encoder": "resnet18"}},
                "variants": {"pet": {"modalities": ["pet"]}},
            },
            "unett",
        ),
    ],
)
def test_bad_studies_are_refused(hnscc, store, tmp_path, settings, named):
    study = write_study(tmp_path / "study.yaml", store, **settings)
    assert named in refused(hnscc("check", study))
    assert named in refused(hnscc("run", study, "--out", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_changed_study_is_refused_by_check_too(hnscc, store, tmp_path):
    from hnscc.train import main as train

    study = write_study(tmp_path / "study.yaml", store)
    train([str(study), "pet-f0-r00", "--out", str(tmp_path / "run")])
    hnscc("--version")  # what training printed is not of interest
    write_study(study, store, seed=1)
    assert "seed: 2023 -> 1" in refused(hnscc("check", study, "--out", tmp_path / "run"))
    write_study(study, store, variants={"other": {"modalities": ["pet"]}}, seed=1)
    for command in ("check", "run"):
        error = refused(hnscc(command, study, "--out", tmp_path / "run"))
        assert "seed: 2023 -> 1" in error, "a finished trial's fold is not replaced"
    raw = study_of(store.location).model_dump(mode="json")
    raw["variants"]["pet"]["training"]["epochs"] = 4
    study.write_text(yaml.safe_dump(raw))
    assert "training.epochs: 3 -> 4" in refused(hnscc("check", study, "--out", tmp_path / "run"))


def test_check_names_the_trials_of_other_versions(hnscc, store, tmp_path):
    """Refused, as `run` would refuse them, unless they are accepted."""
    from hnscc.train import main as train

    study = write_study(tmp_path / "study.yaml", store)
    train([str(study), "pet-f0-r00", "--out", str(tmp_path / "run")])
    hnscc("--version")  # what training printed is not of interest
    out = ("--out", tmp_path / "run")
    assert json.loads(hnscc("check", study, *out, "--json")[1])["other_versions"] == []
    path = tmp_path / "run/trials/pet-f0-r00/record.json"
    record = read_sealed(path)
    here = record["settings"]["versions"]["torch"]
    record["settings"]["versions"]["torch"] = "0.1"
    write_sealed(path, record | {"identity": identity(record["settings"])})
    for command in ("check", "run"):
        error = refused(hnscc(command, study, *out))
        assert "pet-f0-r00" in error and f"torch: 0.1 -> {here}" in error
    code, text, _ = hnscc("check", study, *out, "--accept-versions")
    assert code == 0 and f"versions: pet-f0-r00 finished by others (torch: 0.1 -> {here})" in text
    found = json.loads(hnscc("check", study, *out, "--accept-versions", "--json")[1])
    assert found["other_versions"] == [{"differ": f"torch: 0.1 -> {here}", "trials": ["pet-f0-r00"]}]


def test_a_run_folder_that_cannot_be_made_is_refused(hnscc, store, tmp_path):
    study = write_study(tmp_path / "study.yaml", store)
    assert "cannot be made" in refused(hnscc("run", study, "--out", study))


def test_weights_are_not_pruned_while_medians_may_move(hnscc, finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    record = next((root / "trials").glob("*/record.json"))
    record.unlink()
    assert "medians still move" in refused(hnscc("prune", root))


def test_a_cohort_too_small_is_refused(hnscc, tmp_path):
    study = write_study(tmp_path / "study.yaml", make_store(tmp_path, patients=4))
    assert "too small to split" in refused(hnscc("check", study))


def test_query_in_every_format(hnscc, finished):
    sql = "SELECT trial_id, status, test_dice FROM trials ORDER BY trial_id"
    expected = pq.read_table(
        finished / "tables/trials.parquet", columns=["trial_id", "status", "test_dice"]
    ).to_pylist()
    rows = json.loads(hnscc("query", finished, sql, "--format", "json")[1])
    assert sorted(rows, key=str) == sorted(expected, key=str)
    table = list(csv.DictReader(io.StringIO(hnscc("query", finished, sql, "--format", "csv")[1])))
    assert [row["trial_id"] for row in table] == [row["trial_id"] for row in rows]
    assert float(table[0]["test_dice"]) == rows[0]["test_dice"]
    assert rows[0]["trial_id"] in hnscc("query", finished, sql)[1]
    assert "yaml" in refused(hnscc("query", finished, sql, "--format", "yaml"))


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT * FROM nothing", "SELECT nothing FROM trials", ""])
def test_bad_sql_is_refused(hnscc, finished, sql):
    refused(hnscc("query", finished, sql))


def test_sql_reaches_nothing_but_the_tables(hnscc, finished, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    refused(hnscc("query", finished, f"SELECT * FROM read_csv('{secret}')"))
    refused(hnscc("query", finished, f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'"))
    assert not (tmp_path / "out.csv").exists()


def test_folders_that_are_no_run_folder_are_refused(hnscc, tmp_path):
    for command in (
        ["query", tmp_path, "SELECT 1"],
        ["aggregate", tmp_path],
        ["report", tmp_path / "absent"],
        ["prune", tmp_path],
    ):
        assert "not a run folder" in refused(hnscc(*command))


def test_prune_keeps_the_median_models_and_the_tables(hnscc, finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    for trial in (root / "trials").iterdir():
        (trial / "weights.safetensors").write_bytes(b"weights")
        record = read_sealed(trial / "record.json")
        record["files"]["weights.safetensors"] = sha256(b"weights")
        write_sealed(trial / "record.json", record)
    write_tables(RunFolder(root))
    code, out, _ = hnscc("prune", root)
    assert code == 0
    left = {path.parent.name for path in (root / "trials").glob("*/weights.safetensors")}
    ids = pq.read_table(root / "tables/protocol.parquet").column("trial_ids").to_pylist()
    assert left == {each for group in ids for each in group.split()}
    assert f"deleted {len(list((root / 'trials').iterdir())) - len(left)} weights" in out
    before = {path.name: path.read_bytes() for path in (root / "tables").iterdir()}
    write_tables(RunFolder(root))
    assert {path.name: path.read_bytes() for path in (root / "tables").iterdir()} == before


def test_tables_lists_tables_columns_and_meanings(hnscc, finished):
    code, out, _ = hnscc("tables", finished)
    assert code == 0
    text = " ".join(out.replace("│", " ").split())
    for name in STUDY_TABLES:
        assert f"│ {name} " in out
    assert "lower end of the 95 % interval over patients of dice" in text
    found = json.loads(hnscc("tables", finished, "--json")[1])
    assert [each["table"] for each in found] == list(STUDY_TABLES)
    rows = {each["table"]: each["rows"] for each in found}
    assert rows == {name: pq.read_metadata(finished / f"tables/{name}.parquet").num_rows for name in rows}
    columns = {each["table"]: [column["column"] for column in each["columns"]] for each in found}
    assert columns == {
        name: pq.read_schema(finished / f"tables/{name}.parquet").names for name in STUDY_TABLES
    }


def test_tables_tells_one_table_in_full(hnscc, finished):
    code, out, _ = hnscc("tables", finished, "regression")
    assert code == 0
    rows = pq.read_metadata(finished / "tables/regression.parquet").num_rows
    assert out.startswith(f"regression: one row per {TABLES['regression'].row}; rows: {rows}\n")
    assert "coefficient of determination" in out and "pred_px" not in out
    facts = json.loads(hnscc("tables", finished, "regression", "--json")[1])
    assert facts == next(
        each for each in json.loads(hnscc("tables", finished, "--json")[1]) if each["table"] == "regression"
    )
    assert "pooled" in refused(hnscc("tables", finished, "polled"))
    assert "not a run folder" in refused(hnscc("tables", finished / "trials"))


def test_tables_says_what_is_not_written_yet(hnscc, finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    shutil.rmtree(root / "tables")
    code, out, _ = hnscc("tables", root)
    assert code == 0 and out.count("not written") == len(STUDY_TABLES)


def test_query_on_a_narrow_terminal_shows_one_value_per_line(finished):
    """A real terminal, of 28 characters and of 29: 7 + 5 + 7 characters in 3 columns, 3 for each, and 1."""
    sql = "SELECT variant, split, repeats FROM pooled WHERE split = 'test' ORDER BY variant"
    narrow, wide = (on_a_terminal(width, "query", finished, sql) for width in (28, 29))
    expected = pq.read_table(finished / "tables/pooled.parquet").to_pylist()
    repeats = next(each["repeats"] for each in expected if each["split"] == "test")
    assert narrow[:4] == ["-- row 1 of 2", "variant  pet", "split    test", f"repeats  {repeats}"]
    assert wide[1].count("┃") == 4 and wide[3].count("│") == 4


def on_a_terminal(width: int, *arguments) -> list[str]:
    """What the command prints on a terminal so wide."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    command = [sys.executable, "-m", "hnscc.commands.cli", *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    environment |= {"TERM": "xterm"}
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=subprocess.PIPE, env=environment, cwd=processes.ROOT
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says so at a terminal's end
        while part := os.read(leader, 65536):
            shown += part
    os.close(leader)
    assert process.wait(timeout=60) == 0, process.stderr.read()
    process.stderr.close()
    return shown.decode().replace("\r\n", "\n").splitlines()
