"""Whole studies on a real local Ray; what is interrupted is a process of its own."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import processes
import pyarrow.parquet as pq
import pytest
import yaml
from stores import make_store, study_of

from hnscc.study.run_folder import RunFolder
from hnscc.training.records import read_record
from rayjobs.study import main

# Ray counts the processors of this machine.
CORES = os.cpu_count() or 1
TABLES = [
    "cohort",
    "trials",
    "epochs",
    "slices",
    "thresholds",
    "pooled",
    "per_slice",
    "comparisons",
    "classification",
    "regression",
    "protocol",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), patients=12)


def write_study(path: Path, store, **settings) -> Path:
    raw = study_of(store.location, **settings).model_dump(mode="json")
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def start(home: Path, *arguments) -> subprocess.Popen:
    return processes.start(home, "rayjobs.study", *arguments)


def run(home: Path, *arguments, **expected) -> tuple[str, str]:
    return processes.run(home, "rayjobs.study", *arguments, **expected)


def tables(root: Path) -> dict:
    """Every table outside its columns of wall-clock time."""
    read = {name: pq.read_table(RunFolder(root).table(name)) for name in TABLES}
    return {
        name: table.drop_columns([c for c in table.column_names if c == "seconds"])
        for name, table in read.items()
    }


@pytest.fixture(scope="module")
def undisturbed(store, home, tmp_path_factory):
    """Two variants and two repeats, one trial at a time."""
    folder = tmp_path_factory.mktemp("one")
    study = write_study(folder / "study.yaml", store, resources={"cpus": CORES}, training={"epochs": 6})
    code, out, error = processes.call(home, main, study, "--out", folder / "run")
    assert code == 0, error
    return folder / "run", out


def test_a_study_runs_to_filled_tables(undisturbed):
    root, out = undisturbed
    assert "4 trials completed, 0 failed, 0 missing" in out
    assert "report.html" in out
    for row in tables(root)["trials"].to_pylist():
        line = next(line for line in out.splitlines() if row["trial_id"] in line)
        soft, dice = row["best_val_soft_jaccard"], row["val_dice"]
        assert f"best validation soft Jaccard {soft:.3f}, Dice {dice:.3f}" in line
    for name, table in tables(root).items():
        assert table.num_rows, name
    records = [
        json.loads(RunFolder(root).trial(t).record.read_text())
        for t in tables(root)["trials"]["trial_id"].to_pylist()
    ]
    assert {record["status"] for record in records} == {"completed"}
    assert len({record["files"]["weights.safetensors"] for record in records}) == 4
    assert RunFolder(root).provenance.is_file()


def interrupted(home: Path, study: Path, root: Path) -> int:
    """Ctrl-C as soon as one trial is completed, and at once the terminal is closed; how many have then."""
    process = start(home, study, "--out", root)
    deadline = time.monotonic() + 300
    while not list((root / "trials").glob("*/record.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for number in (signal.SIGINT, signal.SIGHUP):
        os.killpg(process.pid, number)
    _, error = process.communicate(timeout=120)
    done = len(list((root / "trials").glob("*/record.json")))
    assert done == 4 or process.returncode == 130, error
    assert done == 4 or error == "Interrupted. The same command continues where it stopped.\n"
    return done


@pytest.mark.slow
def test_concurrent_interrupted_and_continued_gives_the_same_tables(undisturbed, store, home, here, tmp_path):
    """Two trials at once, Ctrl-C as soon as one is completed, then the same command again.

    On a machine that is busy with other things Ctrl-C may come too late: then the whole again, in another folder.
    """
    cpus = CORES / 2
    study = write_study(tmp_path / "study.yaml", store, training={"epochs": 6}, resources={"cpus": cpus})
    for attempt in range(4):
        root = tmp_path / f"run{attempt}"
        done = interrupted(home, study, root)
        if done < 4:
            break
    assert 1 <= done < 4, "interrupted too late to show anything"
    code, out, error = here(main, study, "--out", root)
    assert code == 0, error
    assert "4 trials completed" in out
    assert f"{done} done before" in out
    expected = tables(undisturbed[0])
    for name, table in tables(root).items():
        assert table.equals(expected[name], check_metadata=True), name


@pytest.mark.slow
def test_a_failing_variant_fails_by_name_and_alone_and_then_more_is_added(store, here, tmp_path):
    variants = {
        "pet": {"modalities": ["pet"]},
        "broken": {"modalities": ["mri"], "training": {"learning_rate": 1e30}},
    }
    settings = {"training": {"epochs": 1}, "resources": {"cpus": CORES}}
    study = write_study(tmp_path / "study.yaml", store, variants=variants, repeats=1, **settings)
    code, out, error = here(main, study, "--out", tmp_path / "run")
    assert code == 1
    assert "1 trial completed, 1 failed" in out
    assert "failed: broken-f0-r00: Diverged" in error
    status = dict(
        zip(
            *tables(tmp_path / "run")["trials"].select(["trial_id", "status"]).to_pydict().values(),
            strict=True,
        )
    )
    assert status == {"pet-f0-r00": "completed", "broken-f0-r00": "failed"}
    before = RunFolder(tmp_path / "run").trial("pet-f0-r00").record.read_bytes()

    variants["broken"]["training"] = {}
    write_study(study, store, variants=variants, repeats=2, **settings, name="other")
    code, out, _ = here(main, study, "--out", tmp_path / "run", "--limit", 2)
    assert code == 0
    assert "3 trials completed, 0 failed, 1 missing" in out
    assert RunFolder(tmp_path / "run").trial("pet-f0-r00").record.read_bytes() == before


def test_what_cannot_run_is_refused_and_nothing_is_left(store, here, tmp_path, undisturbed):
    """A changed trial, a GPU that is not there: exit code 2, and a run folder as it was."""
    root = undisturbed[0]
    changed = write_study(tmp_path / "changed.yaml", store, training={"epochs": 7})
    before = RunFolder(root).study.read_bytes()
    code, _, other_trial = here(main, changed, "--out", root)
    assert code == 2
    assert "training.epochs: 6 -> 7" in other_trial
    assert RunFolder(root).study.read_bytes() == before
    greedy = write_study(tmp_path / "greedy.yaml", store, resources={"cpus": 1, "gpus": 0.1})
    code, _, no_gpu = here(main, greedy, "--out", tmp_path / "greedy")
    assert code == 2
    assert "No machine has the GPUs" in no_gpu
    absent = write_study(tmp_path / "absent.yaml", store, variants={"ct": {"modalities": ["ct"]}})
    code, _, no_modality = here(main, absent, "--out", tmp_path / "absent")
    assert code == 2
    assert "variants.ct.modalities" in no_modality
    assert not (tmp_path / "absent").exists()
    for text in (other_trial, no_gpu, no_modality):
        assert "Traceback" not in text


@pytest.mark.slow
def test_fractions_of_a_gpu_on_a_running_cluster(cluster, store, home, tmp_path, undisturbed):
    """Trials that share a declared GPU run on the processor where it is not real, to the same tables."""
    address, token = cluster
    resources = {"cpus": 1, "gpus": 0.5}
    study = write_study(tmp_path / "study.yaml", store, training={"epochs": 6}, resources=resources)
    out, _ = run(home, study, "--out", tmp_path / "run", "--address", address, environment=token)
    assert "4 trials completed" in out
    expected = tables(undisturbed[0])
    for name, table in tables(tmp_path / "run").items():
        assert table.equals(expected[name]), name
    wrong = token | {"RAY_AUTH_TOKEN": "f" * 64}
    _, error = run(home, study, "--out", tmp_path / "other", "--address", address, environment=wrong, code=2)
    assert "No Ray cluster can be joined at this address." in error
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_study_of_sampled_slices_predicts_whole_scans_by_its_weights(store, here, tmp_path):
    """By the command as by one that scored whole scans at once, and no epoch is trained again: not a byte of the
    history, which holds seconds, changes."""
    settings = {"variants": {"pet": {"modalities": ["pet"]}}, "resources": {"cpus": CORES}}
    settings |= {"training": {"epochs": 2}, "repeats": 1, "sampling": {"max_positive": 8}}
    of = {
        slices: write_study(tmp_path / f"{slices}.yaml", store, evaluation={"slices": slices}, **settings)
        for slices in ("sampled", "all")
    }
    assert here(main, of["all"], "--out", tmp_path / "direct")[0] == 0
    assert here(main, of["sampled"], "--out", tmp_path / "run")[0] == 0
    trial, direct = (RunFolder(tmp_path / each).trial("pet-f0-r00") for each in ("run", "direct"))
    history, attempts = trial.history.read_bytes(), read_record(trial).attempts
    sampled = trial.predictions.read_bytes()
    code, out, error = here(main, of["all"], "--out", tmp_path / "run")
    assert code == 0, error
    assert "pet-f0-r00: not used: it predicted other slices than the study evaluates" in out
    assert "1 trial completed, 0 failed, 0 missing" in out
    assert trial.history.read_bytes() == history
    assert read_record(trial).attempts == attempts
    assert trial.predictions.read_bytes() == direct.predictions.read_bytes() != sampled
    for table in TABLES:
        if table not in ("trials", "epochs"):  # these hold seconds
            paths = [RunFolder(tmp_path / each).table(table) for each in ("run", "direct")]
            assert paths[0].read_bytes() == paths[1].read_bytes(), table
    trial.predictions.write_bytes(b"not what was written")
    code, out, error = here(main, of["all"], "--out", tmp_path / "run")
    assert code == 0, error
    assert "pet-f0-r00: not used: predictions.npz is damaged" in out, "what is computed again is named"
    assert trial.predictions.read_bytes() == direct.predictions.read_bytes()
