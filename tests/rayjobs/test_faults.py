"""Errors of storage, locks and connections: told in one message, whatever raised them and wherever."""

import errno
import fcntl
import os
from pathlib import Path

import pytest
import ray
from stores import make_store, study_of
from trials import train_trial

import hnscc.commands.status
from hnscc.aggregation.results import load_results
from hnscc.base.command import exit_code_of
from hnscc.base.errors import InputError, StorageError
from hnscc.base.files import storage_errors
from hnscc.commands.status import run_status
from hnscc.study.loading import dump_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of
from hnscc.training.ready import make_run_ready
from hnscc.training.records import read_record
from rayjobs.shared import see_shared
from rayjobs.study import main, run_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_of(make_store(tmp_path_factory.mktemp("store")).location, repeats=1)


@pytest.fixture
def run(study, tmp_path):
    """One trial of two completed."""
    ready = make_run_ready(study, tmp_path / "run")
    trial = trials_of(study)[0]
    folder = ready.folder.trial(trial.trial_id)
    list(train_trial(study, trial, ready.folds[0], folder, device="cpu", precision="fp32"))
    return ready.folder


def test_an_error_that_a_task_elsewhere_raised_is_told_without_its_traceback(capsys):
    error = InputError("Something is wrong.", where="there", expected="a", found="b", do="c")
    wrapped = ray.exceptions.RayTaskError("task", "Traceback: line 1", error).as_instanceof_cause()

    def _raise():
        raise wrapped

    assert exit_code_of(_raise) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: Something is wrong.\n")
    assert "Traceback" not in said


def test_a_working_folder_that_was_deleted_is_told(tmp_path, monkeypatch, capsys):
    """All was trained, and then came a traceback."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert exit_code_of(lambda: len(Path.cwd().parts)) == 2
    assert capsys.readouterr().err.startswith(
        "error: The folder in which the command was given has been deleted.\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        exit_code_of(lambda: len((tmp_path / "absent").read_text()))


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "nonsense"])
def test_an_address_without_a_cluster_is_told(study, here, tmp_path, address):
    (tmp_path / "study.yaml").write_text(dump_study(study))
    code, _, error = here(main, tmp_path / "study.yaml", "--out", tmp_path / "run", "--address", address)
    assert code == 2, error
    assert "No Ray cluster can be joined at this address." in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "number, problem",
    [
        (errno.ENOLCK, "The run folder cannot be locked."),
        (errno.ENOSYS, "The run folder cannot be locked."),
        (errno.EACCES, "The run folder cannot be written to."),
    ],
)
def test_a_file_system_without_locks_is_told(study, tmp_path, monkeypatch, number, problem):
    def _refuse(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", _refuse)
    with pytest.raises(InputError, match=problem) as refused:
        run_study(study, tmp_path / "run", None, None)
    assert "--out" not in str(refused.value), "not every command that takes the lock has it"
    assert not (tmp_path / "run").exists()


def test_a_disk_that_gives_no_lock_for_being_full_is_told(study, tmp_path, monkeypatch):
    def _refuse(file, how):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fcntl, "flock", _refuse)
    with pytest.raises(StorageError, match="The disk is full"):
        run_study(study, tmp_path / "run", None, None)


def test_a_disk_that_fails_while_results_are_read_is_not_taken_for_damage(run, monkeypatch):
    """Tables without the trial would be written, as if it had never been trained."""
    whole = Path.read_bytes

    def _fail(path):
        if path.name == "predictions.npz":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", _fail)
    with pytest.raises(StorageError, match="does not answer"):
        load_results(run)


def test_a_disk_that_fails_where_a_trial_begins_is_not_called_one_that_is_not_shared(run, monkeypatch):
    """The run ended with exit code 2, and the advice to put the run folder elsewhere."""

    def _fail(path):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(Path, "read_text", _fail)
    with pytest.raises(StorageError, match="does not answer"):
        see_shared(run, "token")


@pytest.mark.parametrize("number", [errno.EHOSTDOWN, errno.ENOKEY, errno.EKEYEXPIRED])
def test_a_share_whose_server_is_away_is_a_disk_that_does_not_answer(tmp_path, number):
    """It was recorded as a trial's own failure."""
    with pytest.raises(StorageError, match="does not answer"), storage_errors(tmp_path / "file"):
        raise OSError(number, os.strerror(number))


def test_a_trial_that_ends_while_status_looks_is_counted_once(study, run, monkeypatch):
    """Its checkpoint is there at the first look and gone at the second."""
    trial = trials_of(study)[1]
    ready = make_run_ready(study, run.root)
    folder = run.trial(trial.trial_id)
    rows = train_trial(study, trial, ready.folds[0], folder, device="cpu", precision="fp32")
    next(rows)
    look = hnscc.commands.status.newest_slot

    def _finish_after(where):
        found = look(where)
        list(rows)
        return found

    monkeypatch.setattr(hnscc.commands.status, "newest_slot", _finish_after)
    counts = run_status(run)["variants"][trial.variant]
    assert counts == {"completed": 1, "failed": 0, "started": 0, "missing": 0}


def test_what_auto_chose_stays_when_another_kind_of_machine_answers(study, tmp_path):
    training = study.training.model_copy(update={"precision": "auto"})
    variants = {name: each.model_copy(update={"training": training}) for name, each in study.variants.items()}
    auto = study.model_copy(update={"training": training, "variants": variants})
    trial = trials_of(auto)[0]
    before = make_run_ready(auto, tmp_path / "run", resolve=lambda training: ("cpu", "fp32"))
    folder = before.folder.trial(trial.trial_id)
    list(train_trial(auto, trial, before.folds[0], folder, device="cpu", precision="fp32"))
    after = make_run_ready(auto, tmp_path / "run", resolve=lambda training: ("cpu", "bf16"))
    # Once for the whole folder: by variant, the one without a trial would have gone on in bf16.
    assert after.computed_by == {"pet": ("cpu", "fp32"), "pet_mri": ("cpu", "fp32")}
    with pytest.raises(InputError, match="cpu -> cuda"):
        make_run_ready(auto, tmp_path / "run", resolve=lambda training: ("cuda", "bf16"))
    assert read_record(RunFolder(tmp_path / "run").trial(trial.trial_id)).precision == "fp32"
