"""Tables that are older than the trials: a trial ended after they were made, and nobody has made them again."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from commands import refused
from run_folders import add_failure, add_trial, noisy_levels, random_run, small_study
from stores import study_of

import hnscc as functions
from hnscc.aggregation.build import write_tables
from hnscc.aggregation.models import models_of
from hnscc.aggregation.query import note_of_older_tables, read_table
from hnscc.base.encode import parquet_bytes
from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, write_bytes, write_sealed
from hnscc.study.loading import dump_study, load_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of
from hnscc.train import main as train
from hnscc.training.in_use import alone

SQL = "SELECT trial_id, status FROM trials ORDER BY trial_id"
READERS = {"query": [SQL, "--format", "csv"], "tables": [], "report": []}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two variants, of three repeats each."""
    run = random_run(tmp_path_factory.mktemp("whole"), small_study(repeats=3))
    write_tables(run)
    return run


@pytest.fixture
def run(whole, tmp_path):
    return RunFolder(shutil.copytree(whole.root, tmp_path / "run"))


def without(run: RunFolder, *names: str) -> None:
    """Make the tables without these trials, which are put back then."""
    for name in names:
        shutil.move(run.trial(name).root, run.root / name)
    write_tables(run)
    for name in names:
        shutil.move(run.root / name, run.trial(name).root)


def again(run: RunFolder, name: str) -> None:
    """Train a trial of a random run once more."""
    study = load_study(run.study)
    trial = next(each for each in trials_of(study) if each.trial_id == name)
    masks = np.load(run.fold(0).truth)["masks"]
    add_trial(run, study, trial, noisy_levels(masks, np.random.default_rng(5)))


@pytest.mark.quick(1)
@pytest.mark.parametrize("command", READERS)
def test_who_reads_them_says_how_many_trials_ended_since_and_what_to_do(hnscc, run, command):
    """They were shown without a word: a trained trial stood there as `missing`. What is printed stays as it was."""
    without(run, "pet-f0-r01")
    shutil.move(run.trial("pet-f0-r01").root, run.root / "later")
    code, before, silent = hnscc(command, run.root, *READERS[command])
    assert (code, silent) == (0, "")
    shutil.move(run.root / "later", run.trial("pet-f0-r01").root)
    code, out, told = hnscc(command, run.root, *READERS[command])
    do = f"hnscc aggregate {run.root}"
    assert (code, out) == (0, before)
    assert told == (f"The tables lack the results of 1 trial that has ended: `{do}` makes the tables again\n")
    in_report = "The tables lack the results of 1 trial that has ended: `hnscc aggregate RUN`"
    assert (command == "report") == (run.markdown.is_file() and in_report in run.markdown.read_text())
    write_tables(run)
    assert hnscc(command, run.root, *READERS[command])[2] == ""


def test_so_do_the_functions_of_python(run, capsys):
    without(run, "pet-f0-r01", "pet_mri-f0-r02")
    for ask in (functions.tables, lambda root: functions.query(root, SQL)):
        ask(run.root)
        assert "The tables lack the results of 2 trials that have ended" in capsys.readouterr().err


@pytest.mark.slow
def test_a_trial_trained_alone_is_told_until_the_tables_are_made_again(hnscc, store, tmp_path, monkeypatch):
    """By `python -m hnscc.train`, which makes no table; the command that the sentence names does."""
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(dump_study(study_of(store.location, training={"epochs": 1})))
    assert train(["s.yaml", "pet-f0-r00", "--out", "run"]) == 0
    assert hnscc("aggregate", "run")[0] == 0
    assert hnscc("query", "run", SQL)[2] == ""
    assert train(["s.yaml", "pet-f0-r01", "--out", "run"]) == 0
    hnscc("--version")  # what training printed is not of interest
    told = hnscc("query", "run", SQL)[2]
    assert told.startswith("The tables lack the results of 1 trial that has ended")
    assert hnscc(*told.split("`")[1].split()[1:])[0] == 0
    code, out, told = hnscc("query", "run", SQL, "--format", "csv")
    assert (code, told) == (0, "") and "pet-f0-r01,completed" in out


def test_a_trial_that_the_study_plans_by_now_and_one_that_had_failed_count_too(hnscc, run):
    trial = next(each for each in trials_of(load_study(run.study)) if each.trial_id == "pet-f0-r00")
    add_failure(run, trial, "RuntimeError: once")
    write_tables(run)
    assert hnscc("query", run.root, SQL)[2] == "", "it failed, and so the tables say"
    again(run, "pet-f0-r00")
    assert hnscc("query", run.root, SQL)[2].startswith("The tables lack the results of 1 trial ")
    run.study.write_text(run.study.read_text().replace("repeats: 3", "repeats: 4"))
    assert hnscc("query", run.root, SQL)[2].startswith("The tables lack the results of 1 trial "), (
        "the new ones are not trained yet"
    )
    again(run, "pet_mri-f0-r03")
    assert hnscc("query", run.root, SQL)[2].startswith("The tables lack the results of 2 trials ")
    last = next(each for each in trials_of(load_study(run.study)) if each.trial_id == "pet-f0-r03")
    add_failure(run, last, "RuntimeError: once")
    assert hnscc("query", run.root, SQL)[2].startswith("The tables lack the results of 3 trials ")


def test_nothing_is_told_of_what_making_the_tables_again_would_not_change(hnscc, run):
    """Of trials that are missing, failed, left out by the study, or not used for what is wrong with their files."""
    shutil.rmtree(run.trial("pet-f0-r00").root)
    run.trial("pet-f0-r01").predictions.write_bytes(b"no more")
    run.trial("pet-f0-r02").record.write_text("{ not whole")
    predicting_failed = run.trial("pet_mri-f0-r00")
    facts = read_sealed(predicting_failed.record) | {"failure": "RuntimeError", "error": "RuntimeError: once"}
    write_sealed(predicting_failed.record, facts)
    predicting_failed.predictions.unlink()
    write_tables(run)
    assert read_table(run, "trials")["status"].to_pylist().count("failed") == 1
    assert hnscc("query", run.root, SQL)[2] == ""
    told = read_table(run, "trials")
    reasons = pa.array([each and f"unbrauchbar: {each}" for each in told["reason"].to_pylist()])
    at = told.column_names.index("reason")
    told = told.set_column(at, told.schema.field(at), reasons)
    # A training that a search stopped keeps that status, though it may have been trained to its end since.
    stopped = ["stopped" if each == "completed" else each for each in told["status"].to_pylist()]
    at = told.column_names.index("status")
    told = told.set_column(at, told.schema.field(at), pa.array(stopped))
    write_bytes(run.table("trials"), parquet_bytes(told))
    assert hnscc("query", run.root, SQL)[2] == "", "the column unusable says so, not the words of the reason"
    run.study.write_text(run.study.read_text().replace("repeats: 3", "repeats: 2"))
    write_tables(run)
    assert hnscc("query", run.root, SQL)[2] == ""


@pytest.mark.parametrize("damage", [b"", b"no table"])
def test_tables_or_a_study_that_cannot_be_read_are_told_as_before(hnscc, run, damage):
    run.table("trials").write_bytes(damage)
    assert "A table cannot be read." in refused(hnscc("query", run.root, SQL))
    shutil.rmtree(run.tables)
    assert "no tables yet" in refused(hnscc("query", run.root, SQL))
    run.search.write_text("{}")
    error = refused(hnscc("query", run.root, "SELECT * FROM configurations"))
    assert "`hnscc search STUDY` goes on with the search and writes its tables" in error


def test_of_a_table_that_rows_were_taken_from_nothing_is_said_of_time(hnscc, run):
    """Its trials were said to have ended after the tables were made, which nobody knows."""
    whole = read_table(run, "trials")
    write_bytes(run.table("trials"), parquet_bytes(whole.slice(0, 4)))
    told = hnscc("query", run.root, SQL)[2]
    assert told.startswith("The tables lack the results of 2 trials that have ended: `hnscc aggregate ")
    assert "after" not in told
    run.search.write_text("{}")
    do = "`hnscc search STUDY` goes on with the search and makes them again"
    assert (
        note_of_older_tables(run, "run") == f"The tables lack the results of 2 trials that have ended: {do}"
    )
    run.search.unlink()
    assert "tables without the results of 2 trials that have ended" in refused(hnscc("prune", run.root))
    assert hnscc(*told.split("`")[1].split()[1:])[0] == 0
    assert read_table(run, "trials").equals(whole)


def test_weights_are_not_pruned_by_older_tables(hnscc, run):
    """A study of more repeats than its tables was pruned by them: a trial trained since lost its weights, though it
    might become the median model."""
    run.study.write_text(run.study.read_text().replace("repeats: 3", "repeats: 4"))
    for name in ("pet-f0-r03", "pet_mri-f0-r03"):
        again(run, name)
    assert "tables without the results of 2 trials that have ended" in refused(hnscc("prune", run.root))
    write_tables(run)
    assert hnscc("prune", run.root)[0] == 0


@pytest.mark.slow
def test_new_scans_are_not_predicted_by_older_tables(trained, tmp_path):
    """The median model was that of the tables; with the trial that ended since it may be another."""
    run = RunFolder(shutil.copytree(trained.root, tmp_path / "run"))
    failed = next(each for each in trials_of(load_study(run.study)) if each.variant == "pet")
    shutil.copytree(run.trial(failed.trial_id).root, tmp_path / "trained")
    add_failure(run, failed, "RuntimeError: once")
    write_tables(run)
    assert models_of(run, "pet").members, "without the failed trial, which the tables tell of"
    shutil.rmtree(run.trial(failed.trial_id).root)
    shutil.copytree(tmp_path / "trained", run.trial(failed.trial_id).root)
    with pytest.raises(InputError, match="may still be another") as told:
        models_of(run, "pet")
    assert told.value.found == "tables without the results of 1 trial that has ended"
    assert told.value.do == f"`hnscc aggregate {run.root}` makes the tables again"
    assert models_of(run, "pet_mri").members, "none of its trials did"
    write_tables(run)
    assert models_of(run, "pet").members


def test_tables_of_two_times_are_not_read_together(hnscc, run, tmp_path):
    """Some were new and others old where writing them ended halfway, and nobody said so: by the old ones `prune` took
    the weights of new median models for those that nobody needs."""
    blocked, again_later = run.table("per_slice"), run.table("per_slice").read_bytes()
    blocked.unlink()
    blocked.mkdir()
    again(run, "pet-f0-r01")
    with pytest.raises(IsADirectoryError):
        write_tables(run)
    blocked.rmdir()
    blocked.write_bytes(again_later)
    asked = {"query": [SQL], "report": [], "prune": [], "export": ["--out", tmp_path / "exported"]}
    for command, more in asked.items():
        told = refused(hnscc(command, run.root, *more))
        assert "The tables are not all of one time" in told and f"hnscc aggregate {run.root}" in told, command
    write_tables(run)
    assert hnscc("query", run.root, SQL)[0] == 0


def test_weights_are_not_pruned_where_somebody_trains(hnscc, run):
    with alone(run):
        assert "Another" in refused(hnscc("prune", run.root))
