"""A trained trial whose weights predict again: what its record says where that fails, and by which versions."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from stores import make_store, study_of
from trials import train_trial

from hnscc.aggregation.build import write_tables
from hnscc.base.errors import StorageError
from hnscc.base.files import read_sealed, write_sealed
from hnscc.study.identity import identity, versions_here
from hnscc.training.boundary import begin, write_failure
from hnscc.training.ready import Task, make_run_ready
from hnscc.training.records import read_record
from hnscc.training.states import Why, trial_state, with_weights
from hnscc.training.trial import steps_of_trial

SETTINGS = {"variants": {"pet": {"modalities": ["pet"]}}, "sampling": {"max_positive": 8}, "repeats": 1}
SETTINGS |= {"training": {"epochs": 1}}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), patients=10, size=16)


def study(store, slices):
    return study_of(store.location, **SETTINGS, evaluation={"slices": slices})


def go(run, trial):
    """How many epochs it trains."""
    folder = run.folder.trial(trial.trial_id)
    data = run.folds[trial.fold]
    return len(list(train_trial(run.study, trial, data, folder, device="cpu", precision="fp32")))


def of_sampled(store, root):
    """A run folder of sampled slices, made ready for whole scans; its trial, and the trial's folder."""
    run = make_run_ready(study(store, "sampled"), root)
    (trial,) = run.not_completed()
    assert go(run, trial) == 1
    run = make_run_ready(study(store, "all"), root)
    return run, trial, run.folder.trial(trial.trial_id)


def test_an_error_while_predicting_again_is_told_and_keeps_what_vouches_for_the_weights(
    store, tmp_path, monkeypatch
):
    run, trial, folder = of_sampled(store, tmp_path)
    assert (run.state(trial).status, run.state(trial).why) == ("missing", Why.OTHER_SLICES)
    before = read_record(folder)
    full = RuntimeError("CUDA out of memory")

    def fails(*arguments):
        raise full

    monkeypatch.setattr("hnscc.training.results_of_trial.scoring_at_half", fails)
    assert go(run, trial) == 0
    state = run.state(trial)
    assert (state.status, state.reason, state.completed) == ("failed", "RuntimeError", None)
    assert "CUDA out of memory" in state.record.error
    assert state.record.files == before.files
    problem = write_tables(run.folder)[0].text
    assert "RuntimeError" in problem and "CUDA" not in problem
    assert trial_state(folder).completed, "what it predicted before still holds"
    monkeypatch.undo()
    assert go(run, trial) == 0
    assert run.not_completed() == []
    assert read_record(folder).failure is None and read_record(folder).error is None
    assert read_record(folder).files["weights.safetensors"] == before.files["weights.safetensors"]


def test_a_process_that_dies_while_predicting_again_keeps_the_record(store, tmp_path):
    run, trial, folder = of_sampled(store, tmp_path)
    files = read_record(folder).files
    began = begin(run.study, trial, run.folds[0].digest, device="cpu", precision="fp32")
    write_failure(folder, began, (), "its process died 6 times", "killed")
    assert (run.state(trial).status, run.state(trial).reason) == ("failed", "its process died 6 times")
    assert read_record(folder).files == files
    folder.predictions.write_bytes(b"damaged")
    assert run.state(trial).reason == "its process died 6 times", (
        "it failed, whatever is wrong with its files"
    )
    folder.weights.unlink()
    write_failure(folder, began, (), "its process died 6 times", "killed")
    assert read_record(folder).status == "failed", "without weights there is nothing to vouch for"


def test_a_disk_that_does_not_answer_ends_the_process_and_not_the_record(store, tmp_path, monkeypatch):
    run, trial, folder = of_sampled(store, tmp_path)
    record = folder.record.read_bytes()
    read_bytes = Path.read_bytes

    def stale(path):
        if path == folder.weights:
            raise OSError(116, "Stale file handle")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", stale)
    with pytest.raises(StorageError):
        go(run, trial)
    assert read_bytes(folder.record) == record


def test_weights_of_other_versions_predict_where_predictions_are_damaged(store, tmp_path):
    run = make_run_ready(study(store, "all"), tmp_path)
    (trial,) = run.not_completed()
    folder = run.folder.trial(trial.trial_id)
    go(run, trial)
    facts, predictions = read_sealed(folder.record), folder.predictions.read_bytes()
    facts["settings"]["versions"] |= {"torch": "1.0"}
    facts["versions"] |= {"torch": "1.0"}
    write_sealed(folder.record, facts | {"identity": identity(facts["settings"])})
    folder.predictions.write_bytes(b"damaged")
    run = make_run_ready(study(store, "all"), tmp_path, accept_versions=True)
    assert run.not_completed() == [trial]
    assert go(run, trial) == 0
    assert run.not_completed() == []
    assert folder.predictions.read_bytes() == predictions
    record = json.loads(folder.record.read_text())
    assert record["versions"]["torch"] == "1.0"
    assert record["predicted_by"] == versions_here()


def test_damaged_scores_are_named_and_cured_without_training(store, tmp_path):
    run = make_run_ready(study(store, "all"), tmp_path)
    (trial,) = run.not_completed()
    folder = run.folder.trial(trial.trial_id)
    assert go(run, trial) == 1
    before = {path.name: path.read_bytes() for path in folder.root.iterdir() if path != folder.record}
    assert read_record(folder).seconds >= sum(
        row["seconds"] for row in pq.read_table(folder.history).to_pylist()
    )
    folder.scores.write_bytes(before["scores.json"].replace(b"1", b"2"))
    (problem, _) = (each.text for each in write_tables(run.folder))
    assert problem.startswith(f"{trial.trial_id}: not used: scores.json is damaged")
    assert "`hnscc run` predicts again by its weights" in problem
    assert run.not_completed() == [trial]
    assert go(run, trial) == 0
    assert {path.name: path.read_bytes() for path in folder.root.iterdir() if path != folder.record} == before
    assert run.not_completed() == write_tables(run.folder) == []
    assert read_record(folder).predicted_by == {}, "the same versions"


@pytest.mark.parametrize("name", ["weights.safetensors", "history.parquet"])
def test_a_trial_whose_weights_or_history_are_damaged_is_trained_again(store, tmp_path, name):
    """It predicts again only where both are whole: its record vouches for both."""
    run = make_run_ready(study(store, "all"), tmp_path)
    (trial,) = run.not_completed()
    folder = run.folder.trial(trial.trial_id)
    assert go(run, trial) == 1 and with_weights(folder)
    whole = folder.file(name).read_bytes()
    folder.file(name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert with_weights(folder) is None and run.not_completed() == [trial]
    unread = run.state(trial, just_trained=True)  # its worker has compared the weights, which are most of it
    assert (unread.status == "completed") == (name == "weights.safetensors")
    assert go(run, trial) == 1
    assert run.not_completed() == []


def test_weights_of_other_settings_predict_nothing(store, tmp_path):
    run = make_run_ready(study(store, "all"), tmp_path)
    (trial,) = run.not_completed()
    assert go(run, trial) == 1
    before = read_record(run.folder.trial(trial.trial_id))
    other = study_of(store.location, **SETTINGS | {"training": {"epochs": 2}}, evaluation={"slices": "all"})
    assert go(replace(run, study=other), trial) == 2
    after = read_record(run.folder.trial(trial.trial_id))
    assert before.identity != after.identity and after.epochs == 2


def test_a_trial_that_predicts_and_scores_gives_signs_of_life_between_its_epochs_and_its_record(tmp_path):
    """What ends a trial that hangs hears of each batch of 32 slices, and of each whole scan."""
    many = make_store(tmp_path, patients=10, slices=20, size=16)
    run = make_run_ready(study(many, "all"), tmp_path / "run")
    (trial,) = run.not_completed()
    data, folder = run.folds[0], run.folder.trial(trial.trial_id)

    def steps():
        return list(steps_of_trial(Task(run.study, trial, data, folder, "cpu", "fp32")))

    signs = -(-len(data.scored_at) // 32) + len(data.spacing_mm)
    assert len(data.scored_at) > 32 and len(data.spacing_mm) > 2
    epoch, *rest = steps()
    assert epoch["epoch"] == 1
    assert rest == [None] * signs
    folder.scores.write_text("damaged")
    assert steps() == [None] * signs, "predicting again too"
    assert run.not_completed() == []
