"""Who may work in a run folder beside whom, and what is left of a folder that nothing came of, in one process."""

import threading
from pathlib import Path

import pytest

from hnscc.base.errors import InputError
from hnscc.base.locks import locked
from hnscc.study.run_folder import RunFolder
from hnscc.training import in_use
from hnscc.training.in_use import alone, one_trial, preparing


def test_of_a_new_folder_nothing_is_left_and_of_an_old_one_everything(tmp_path):
    def fail(folder: Path) -> None:
        with alone(RunFolder(folder)):
            (folder / "folds" / "f0").mkdir(parents=True)
            (folder / "folds" / "f0" / "truth.npz").write_bytes(b"half")
            raise InputError("No.", where="here", expected="a", found="b", do="c")

    with pytest.raises(InputError):
        fail(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError):
        fail(tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        fail(tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
    run = RunFolder(tmp_path / "run")
    with alone(run):
        run.study.write_text("begun")
    assert run.study.read_text() == "begun"


def test_one_trial_of_a_folder_is_held_beside_another_and_not_twice(tmp_path):
    run = RunFolder(tmp_path / "run")
    with one_trial(run, "pet-f0-r00"), one_trial(run, "pet-f0-r01"):
        with pytest.raises(InputError, match="Another process is training"), one_trial(run, "pet-f0-r01"):
            pass
        with pytest.raises(InputError, match="Single trials are being trained"), alone(run):
            pass


def test_the_end_of_a_trial_keeps_no_other_out(tmp_path, monkeypatch):
    """It held the folder alone for a moment, to see whether it is empty: a trial that began just then was refused."""
    run, asked = RunFolder(tmp_path / "run"), []

    def noted(path, **how):
        asked.append((path, how.get("shared", False)))
        return locked(path, **how)

    monkeypatch.setattr(in_use, "locked", noted)
    with one_trial(run, "pet-f0-r00"):
        run.study.write_text("kept")
    assert [shared for path, shared in asked if path == run.lock] == [True]


def test_a_run_that_begins_and_ends_while_a_trial_looks_whether_its_folder_is_empty_keeps_it(
    tmp_path, monkeypatch
):
    run = RunFolder(tmp_path / "run")

    def after_another(path, **how):
        if path == run.lock and not how.get("shared", False):
            run.study.write_text("another's")
        return locked(path, **how)

    monkeypatch.setattr(in_use, "locked", after_another)
    with one_trial(run, "pet-f0-r00"):
        pass
    assert run.study.read_text() == "another's"


def test_what_all_trials_share_is_written_by_one_process_after_another(tmp_path):
    run, begun, said = RunFolder(tmp_path / "run"), threading.Event(), []

    def prepare():
        begun.set()
        with preparing(run):
            said.append("prepares")

    with preparing(run):
        other = threading.Thread(target=prepare)
        other.start()
        begun.wait()
        other.join(timeout=0.2)
        said.append("first ends")
    other.join()
    assert said == ["first ends", "prepares"]
