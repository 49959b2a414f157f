"""`hnscc status`: what a run folder tells while its trials run."""

import shutil
from pathlib import Path

import pytest
from rich.console import Console
from stores import make_store, study_of
from trials import train_trial

from hnscc.base.errors import InputError
from hnscc.commands.check import check_study
from hnscc.commands.printing import print_status
from hnscc.commands.status import run_status
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of
from hnscc.training.boundary import begin, write_failure
from hnscc.training.ready import make_run_ready


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Of four trials one completed, one failed, one interrupted twice in its second epoch, one not begun."""
    folder = tmp_path_factory.mktemp("run")
    variants = {
        "pet": {"modalities": ["pet"]},
        "broken": {"modalities": ["mri"], "training": {"learning_rate": 1e30}},
    }
    study = study_of(make_store(folder).location, variants=variants)
    ready = make_run_ready(study, folder / "run")
    whole, started, failing, _ = trials_of(study)
    for trial, epochs in ((whole, 3), (failing, 3), (started, 1), (started, 1)):
        rows = train_trial(
            study,
            trial,
            ready.folds[0],
            ready.folder.trial(trial.trial_id),
            device="cpu",
            precision="fp32",
        )
        if trial == started:
            next(rows)
            rows.close()
        else:
            assert len(list(rows)) <= epochs
    return ready.folder


def test_status_counts_trials_and_names_the_running_and_the_failed(run):
    found = run_status(run)
    assert found["variants"] == {
        "pet": {"completed": 1, "failed": 0, "started": 1, "missing": 0},
        "broken": {"completed": 0, "failed": 1, "started": 0, "missing": 1},
    }
    (started,) = found["started"]
    assert (started["trial"], started["epoch"], started["of"], started["interruptions"]) == (
        "pet-f0-r01",
        2,
        3,
        1,
    )
    assert 0 <= started["heard"] < 300
    assert found["failed"] == [{"trial": "broken-f0-r00", "failure": "Diverged"}]
    assert found["tables"] is False


def test_status_is_printed_without_paths(run):
    console = Console(record=True, width=120)
    print_status(run_status(run), console, "runs/small")
    text = console.export_text()
    assert "pet-f0-r01" in text and "epoch 2 of at most 3" in text and "1 interruption" in text
    assert "broken-f0-r00" in text and "Diverged" in text
    assert str(run.root) not in text


def test_a_damaged_checkpoint_is_not_told_of(run):
    """The older of the two is."""
    run.trial("pet-f0-r01").slot(0).facts.write_text("{ not whole")
    assert run_status(run)["started"][0]["epoch"] == 1


def test_status_judges_a_trial_as_check_does(tmp_path):
    """Its weights failed to predict whole scans; then single slices are evaluated again, which it did predict."""
    store = make_store(tmp_path, patients=10, size=16).location
    settings = {"variants": {"pet": {"modalities": ["pet"]}}, "repeats": 1, "training": {"epochs": 1}}
    settings |= {"sampling": {"max_positive": 8}}
    studies = {each: study_of(store, **settings, evaluation={"slices": each}) for each in ("sampled", "all")}
    ready = make_run_ready(studies["sampled"], tmp_path / "run")
    (trial,) = ready.not_completed()
    folder = ready.folder.trial(trial.trial_id)
    list(train_trial(ready.study, trial, ready.folds[0], folder, device="cpu", precision="fp32"))
    began = begin(ready.study, trial, ready.folds[0].digest, device="cpu", precision="fp32")
    write_failure(folder, began, (), "OutOfMemoryError", "a traceback")
    for slices, state in (("all", "failed"), ("sampled", "completed")):
        run = make_run_ready(studies[slices], tmp_path / "run").folder
        found, checked = run_status(run), check_study(studies[slices], run.root)
        assert checked["trials"] == {"in_all": 1, state: 1}
        assert {name for name, number in found["variants"]["pet"].items() if number} == {state}
        told = [each["trial"] for each in found["failed" if state == "failed" else "remarks"]]
        assert told == [trial.trial_id] and len(found["failed"]) + len(found["remarks"]) == 1
    console = Console(record=True, width=160)
    print_status(found, console, "runs/small")
    assert "failed to predict again (OutOfMemoryError)" in console.export_text()


@pytest.mark.parametrize("content", [None, "{ not whole", '{"others_digest": "of others"}'])
def test_a_fold_that_cannot_be_read_is_told(trained, tmp_path, content):
    """It was taken for one of which the sampled slices alone are scored: trials that predicted these then counted."""
    run = RunFolder(shutil.copytree(trained.root, tmp_path / "run"))
    if content is None:
        run.fold(0).split.unlink()
    else:
        run.fold(0).split.write_text(content)
    with pytest.raises(InputError, match="missing or damaged") as told:
        run_status(run)
    assert told.value.where == "folds/f0" and "hnscc run" in told.value.do


def test_a_damaged_trial_is_read_once(finished, tmp_path, monkeypatch):
    """It was read again for fear that it had ended since."""
    folder = RunFolder(shutil.copytree(finished, tmp_path / "run"))
    damaged = folder.trial("pet-f0-r00").predictions
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    whole, read = Path.read_bytes, []
    monkeypatch.setattr(Path, "read_bytes", lambda path: (read.append(path), whole(path))[1])
    assert run_status(folder)["variants"]["pet"]["missing"] == 1
    assert read.count(damaged) == 1


def test_a_trial_of_damaged_predictions_is_not_called_completed(finished, hnscc, tmp_path):
    """One byte changed: status called it completed, and the tables missing."""
    folder = RunFolder(shutil.copytree(finished, tmp_path / "run"))
    before = run_status(folder)
    assert before["remarks"] == [] and before["variants"]["pet"]["missing"] == 0
    damaged = folder.trial("pet-f0-r00").predictions
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    after = run_status(folder)
    counts = before["variants"]["pet"] | {
        "missing": 1,
        "completed": before["variants"]["pet"]["completed"] - 1,
    }
    assert after["variants"]["pet"] == counts
    (remark,) = after["remarks"]
    assert remark["trial"] == "pet-f0-r00" and remark["remark"].startswith(
        "not used: predictions.npz is damaged"
    )
    code, out, _ = hnscc("status", folder.root)
    assert code == 0 and "not used: predictions.npz is damaged" in " ".join(out.split())
