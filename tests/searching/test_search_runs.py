"""Whole searches, and studies that stop once they are precise, on a real local Ray."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from processes import call, run, start
from stores import make_store, study_of

import rayjobs.search
import rayjobs.study
from hnscc.aggregation.folds import load_fold
from hnscc.aggregation.query import query
from hnscc.base.errors import InputError
from hnscc.study.loading import load_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of

pytestmark = pytest.mark.slow
# Ray counts the processors of this machine.
CORES = os.cpu_count() or 1
# A third of the epochs is where `stopping` looks.
STUDY = {"training": {"epochs": 3, "patience": 3}, "repeats": 2}
SEARCH = {
    "method": "tpe",
    "ranges": {
        "training.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
        "augmentation.copies": [0, "fresh"],
    },
    "configurations": 6,
    "repeats": {"first": 2, "most": 6},
    "stopping": "successive_halving",
    "budget": {"trials": 14.0},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), patients=12)


def write(path: Path, store, search: dict | None = None, **settings) -> Path:
    raw = study_of(store.location, **settings).model_dump(mode="json", exclude={"search"})
    if search is not None:
        raw |= {"search": SEARCH | search, "modalities": ["pet", "mri"]}
        del raw["variants"]
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def tables(root: Path) -> dict:
    found = {}
    for name in ("cohort", "trials", "epochs", "configurations"):
        table = pq.read_table(RunFolder(root).table(name))
        found[name] = table.drop_columns([c for c in table.column_names if c == "seconds"])
    return found


@pytest.fixture(scope="module")
def searched(store, home, tmp_path_factory):
    """A search to its end, one training at a time, and the winners' study too."""
    folder = tmp_path_factory.mktemp("search")
    study = write(folder / "search.yaml", store, {}, **STUDY, resources={"cpus": CORES})
    code, out, error = call(home, rayjobs.search.main, study, "--out", folder / "run", "--run")
    assert code == 0, error
    return folder, out


def test_a_search_finds_a_winner_and_writes_its_study(searched):
    folder, out = searched
    root = folder / "run"
    assert "wrote" in out
    assert "soft Jaccard (95 %)" in out and "validation Jaccard" not in out
    rows = tables(root)["configurations"].to_pylist()
    assert len(rows) == 6
    assert [row["place"] for row in rows].count("winner") == 1
    assert rows[0]["place"] == "winner"
    assert "stopped" in {row["place"] for row in rows}
    winners = load_study(RunFolder(root).winners)
    assert next(iter(winners.variants)) == rows[0]["configuration"]
    assert winners.variants[rows[0]["configuration"]].training.learning_rate == rows[0]["learning_rate"]
    assert winners.repeats == 2
    for name in ("configurations", "settings", "budget"):
        assert RunFolder(root).figure(name).is_file()
    report = RunFolder(root).markdown.read_text()
    assert rows[0]["configuration"] in report
    asked = query(
        RunFolder(root), "SELECT configuration, learning_rate, copies FROM configurations ORDER BY score DESC"
    )
    assert asked.num_rows == 6
    with pytest.raises(InputError) as caught:
        query(RunFolder(root), "SELECT scor FROM configurations")
    described = caught.value.do.split("`")[1]  # of `pooled` it was, which a search does not have
    assert query(RunFolder(root), described).num_rows > 6


def test_scores_are_of_the_validation_patients_and_no_test_slice_is_read(searched):
    """The fold of the search holds no test slice; so do the stored predictions, and no test score is in its tables."""
    root = searched[0] / "run"
    fold = load_fold(RunFolder(root), 0)
    assert set(fold.split) == {"train", "validation"}
    trials = tables(root)["trials"]
    assert trials["test_dice"].null_count == trials.num_rows
    completed = [row for row in trials.to_pylist() if row["status"] == "completed"]
    with np.load(RunFolder(root).trial(completed[0]["trial_id"]).predictions) as saved:
        assert len(saved["probabilities"]) == len(fold.split)
    best = {row["trial_id"]: row["best_val_soft_jaccard"] for row in completed}
    for row in tables(root)["configurations"].to_pylist():
        own = [score for name, score in best.items() if name.startswith(row["configuration"] + "-")]
        if row["score"] is not None:
            assert row["score"] == pytest.approx(np.mean(own))
            assert row["repeats"] == len(own)
        dice = [each["val_dice"] for each in completed if each["variant"] == row["configuration"]]
        assert row["val_dice_mean"] == (pytest.approx(np.mean(dice)) if dice else None)
        if dice:
            assert f"{np.mean(dice):.3f}" in RunFolder(root).markdown.read_text()
    stopped = [row for row in trials.to_pylist() if row["status"] == "stopped"]
    assert stopped
    assert all("stopped after epoch" in row["reason"] for row in stopped)


def test_the_winners_study_was_run_on_request_with_the_test_set_open(searched):
    root = searched[0] / "run" / "winners"
    pooled = pq.read_table(RunFolder(root).table("pooled")).to_pylist()
    winner = tables(searched[0] / "run")["configurations"]["configuration"][0].as_py()
    scored = [row for row in pooled if row["variant"] == winner and row["split"] == "test"]
    assert scored[0]["repeats"] == 2
    assert scored[0]["dice_repeats_median"] is not None


def test_killed_at_any_point_and_started_again_it_finds_the_same(searched, store, home, tmp_path, cluster):
    """Two trainings at a time, and SIGKILL to the driver as soon as trials have left the first, the fourth and the
    tenth file; the same command again each time, the last on a running cluster: in the end the same tables, to the
    byte but for seconds, and the same winners."""
    address, token = cluster
    study = write(tmp_path / "search.yaml", store, {}, **STUDY, resources={"cpus": CORES / 2})
    root = tmp_path / "run"
    for trials in (1, 4, 10):
        process = start(home, "rayjobs.search", study, "--out", root)
        deadline = time.monotonic() + 300
        while len(list(root.glob("trials/*/*"))) < trials and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    run(home, "rayjobs.search", study, "--out", root, "--address", address, environment=token)
    expected = tables(searched[0] / "run")
    for name, table in tables(root).items():
        assert table.equals(expected[name], check_metadata=True), name
    winners = RunFolder(searched[0] / "run").winners.read_text()
    assert winners.count(f"cpus: {CORES:.1f}\n") == 1
    assert RunFolder(root).winners.read_text() == winners.replace(
        f"cpus: {CORES:.1f}\n", f"cpus: {CORES / 2:.1f}\n"
    )


def test_the_same_command_again_trains_nothing_and_more_budget_goes_on(searched, here):
    folder = searched[0]
    before = {path: path.stat().st_mtime_ns for path in (folder / "run").glob("trials/*/record.json")}
    code, out, _ = here(rayjobs.search.main, folder / "search.yaml", "--out", folder / "run")
    assert code == 0
    assert "training" not in out
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "run").glob("trials/*/record.json")}


def test_tables_of_before_a_search_went_on_are_told(searched, hnscc, tmp_path):
    """As those of a search whose budget was raised, and which was interrupted then."""
    run = RunFolder(shutil.copytree(searched[0] / "run", tmp_path / "run"))
    sql = "SELECT count(*) FROM trials"
    assert hnscc("query", run.root, sql)[2] == ""
    rows = pq.read_table(run.table("trials"))
    at = rows["status"].to_pylist().index("completed")
    pq.write_table(pa.concat_tables([rows.slice(0, at), rows.slice(at + 1)]), run.table("trials"))
    code, _, told = hnscc("query", run.root, sql)
    assert code == 0 and told.startswith(
        "The tables lack the results of 1 trial that has ended: `hnscc search STUDY` goes on"
    )


@pytest.fixture
def refused(here):
    """What a command says of a study that it refuses."""

    def run(main, study: Path, out: Path) -> str:
        code, _, error = here(main, study, "--out", out)
        assert code == 2
        return error

    return run


def test_other_ranges_or_settings_in_the_same_folder_are_refused(searched, store, tmp_path, refused):
    root = searched[0] / "run"
    other = write(
        tmp_path / "ranges.yaml",
        store,
        {"ranges": {"training.learning_rate": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}},
        repeats=2,
    )
    error = refused(rayjobs.search.main, other, root)
    assert "The run folder holds a search of other ranges" in error
    training = STUDY["training"] | {"batch_size": 2}
    settings = write(tmp_path / "s.yaml", store, {}, training=training, repeats=2)
    error = refused(rayjobs.search.main, settings, root)
    assert "batch_size" in error
    error = refused(rayjobs.study.main, settings, tmp_path / "x")
    assert "This study is a hyperparameter search" in error
    assert not (tmp_path / "x").exists()


def test_a_bad_search_is_refused_before_anything_is_written(store, tmp_path, refused):
    bad = write(
        tmp_path / "bad.yaml", store, {"ranges": {"training.network.encoder": ["resnet18", "no_such"]}}
    )
    error = refused(rayjobs.search.main, bad, tmp_path / "run")
    assert error.count("error:") == 1
    assert not (tmp_path / "run").exists()
    network = {"architecture": "unet", "encoder": "resnet18"}
    unknown = [network, {"architecture": "unet", "encoder": "no_such"}]
    bad = write(tmp_path / "bad.yaml", store, {"ranges": {"training.network": unknown}, "configurations": 2})
    error = refused(rayjobs.search.main, bad, tmp_path / "run")
    assert "segmentation-models-pytorch cannot build this network" in error
    assert not (tmp_path / "run").exists()


def test_repeats_end_once_the_median_is_precise(store, here, hnscc, tmp_path):
    """An aim that any six scores in 0..1 reach: one variant, six repeats of at most ten."""
    variants = {"pet": {"modalities": ["pet"]}}
    study = write(
        tmp_path / "study.yaml",
        store,
        repeats={"max": 10, "until": 0.99},
        variants=variants,
        training={"epochs": 1},
        resources={"cpus": CORES},
    )
    code, out, _ = here(rayjobs.study.main, study, "--out", tmp_path / "run", "--limit", "4")
    assert code == 0
    assert "4 trials completed, 0 failed, 6 missing" in out
    code, out, _ = here(rayjobs.study.main, study, "--out", tmp_path / "run")
    assert code == 0
    assert "pet: 6 repeats are enough" in out
    assert "6 trials completed, 0 failed, 0 missing" in out
    kept = load_study(tmp_path / "run" / "study.yaml")
    assert kept.repeats.enough == {"pet": 6}
    assert len(trials_of(kept)) == 6
    assert "at most 10 repeats, fewer where" in (tmp_path / "run" / "report.md").read_text()
    code, out, _ = hnscc("check", study, "--out", tmp_path / "run", "--json", "--half-width", "0.01")
    assert code == 0
    found = json.loads(out)["repeats_for_width"]
    assert found["half_width"] == 0.01
    assert found["variants"]["pet"]["pilot"] == 6
