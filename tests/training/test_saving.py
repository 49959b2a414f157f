"""When checkpoints are written, and by a thread of their own, as on a GPU: here the processor's rule is set to that."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import processes
import pytest
import torch
from stores import make_store, study_of
from trials import train_trial

from hnscc.base.errors import StorageError
from hnscc.study.loading import dump_study
from hnscc.study.run_folder import RunFolder, TrialFolder
from hnscc.study.trials import Trial
from hnscc.training import saving
from hnscc.training.boundary import begin
from hnscc.training.checkpoint import load_checkpoint
from hnscc.training.fit import Fit
from hnscc.training.network import build_network
from hnscc.training.process import set_up_torch
from hnscc.training.ready import make_run_ready
from hnscc.training.records import newest_facts, newest_slot, read_record, saved_epoch
from hnscc.training.saving import SECONDS, Saving
from hnscc.training.trial import train_epoch, validate

TRIAL = Trial("pet_mri", 0, 0)
# At every epoch's end, and never before the last: seconds of the rule.
ALWAYS, AT_THE_END = 1e-9, 1e9


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    study = study_of(make_store(tmp_path_factory.mktemp("store")).location, training={"epochs": 5})
    ready = make_run_ready(study, tmp_path_factory.mktemp("run"))
    return study, ready.folds[0]


@pytest.fixture(scope="module")
def undisturbed(small, tmp_path_factory):
    """The record of the trial, trained on the processor by its own rule."""
    folder = RunFolder(tmp_path_factory.mktemp("whole")).trial(TRIAL.trial_id)
    list(training(small, folder))
    return read_record(folder)


def training(small, folder, **settings):
    return train_trial(small[0], TRIAL, small[1], folder, device="cpu", precision="fp32", **settings)


def ended_as(record, folder):
    """Whether the trial's files are those of another record, its history but for the seconds."""
    ours = read_record(folder)
    same = ("weights.safetensors", "predictions.npz", "scores.json")
    return all(ours.files[name] == record.files[name] for name in same) and not any(
        path.exists() for slot in folder.slots for path in (slot.facts, slot.tensors)
    )


def fitted(small):
    study, data = small
    set_up_torch("cpu", 1, 1.0, "fp32")
    began = begin(study, TRIAL, data.digest, device="cpu", precision="fp32")
    fit = Fit.start(build_network(study.training.network, 2, seed=0), study.training, began)
    slices = data.slices(("pet", "mri"), "train")

    def _epoch():
        loss = train_epoch(fit, fit.epoch + 1, slices)
        fit.finish_epoch(loss, *validate(fit, slices), since=0.0)

    return fit, _epoch


def full_slot(root):
    """The folder of a trial whose first checkpoint meets a full disk."""
    folder = TrialFolder(root)
    folder.checkpoint.mkdir()
    folder.slot(1).tensors.symlink_to("/dev/full")
    return folder


def epochs_on_disk(folder):
    return [json.loads(slot.facts.read_text())["epoch"] for slot in folder.slots if slot.facts.exists()]


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("device", "written"), [("cuda", [4, 7, 8]), ("cpu", [1, 2, 3, 4, 5, 6, 7, 8])], ids=["GPU", "processor"]
)
def test_a_processor_writes_after_every_epoch_and_a_gpu_after_twenty_seconds(
    small, tmp_path, device, written
):
    """By the device of the record; here a processor trains all the same."""
    fit, epoch = fitted(small)
    folder, now, found, began = TrialFolder(tmp_path), [100.0], [], fit.began
    fit.began = began.model_copy(update={"device": device})
    with Saving(fit, folder, clock=lambda: now[0]) as ours:
        fit.began = began
        for number, seconds in enumerate([105, 112, 119.9, 120, 125, 139.9, 140.1, 141], start=1):
            epoch()
            now[0] = seconds
            ours.epoch_ended(last=number == 8)
            if number in written and number < 8:
                while saved_epoch(folder) < number:  # a thread is at it
                    time.sleep(0.01)
            found.append(saved_epoch(folder))
    assert [max([0, *(each for each in written if each <= number)]) for number in range(1, 9)] == found


@pytest.mark.parametrize("seconds", [ALWAYS, AT_THE_END])
def test_an_interrupted_trial_continues_to_the_same_bits(small, undisturbed, tmp_path, monkeypatch, seconds):
    monkeypatch.setitem(SECONDS, "cpu", seconds)
    folder = RunFolder(tmp_path).trial(TRIAL.trial_id)
    rows = training(small, folder)
    next(rows), next(rows), next(rows)
    rows.close()
    assert saved_epoch(folder) == (3 if seconds == ALWAYS else 0)
    list(training(small, folder))
    assert [each.from_epoch for each in read_record(folder).attempts] == (
        [1, 4] if seconds == ALWAYS else [1]
    )
    assert ended_as(undisturbed, folder)


def test_a_pause_leaves_its_checkpoint(small, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setitem(SECONDS, "cpu", AT_THE_END)
    folder = RunFolder(tmp_path).trial(TRIAL.trial_id)
    assert len(list(training(small, folder, pause_after=2))) == 2
    assert newest_facts(folder).epoch == 2
    list(training(small, folder))
    assert ended_as(undisturbed, folder)


def test_the_last_epoch_leaves_its_checkpoint_before_anything_is_predicted(
    small, undisturbed, tmp_path, monkeypatch
):
    monkeypatch.setitem(SECONDS, "cpu", AT_THE_END)
    folder = RunFolder(tmp_path).trial(TRIAL.trial_id)
    rows = training(small, folder)
    assert [next(rows)["epoch"] for _ in range(5)] == [1, 2, 3, 4, 5]
    rows.close()
    assert epochs_on_disk(folder) == [5]
    assert list(training(small, folder)) == []
    assert ended_as(undisturbed, folder)


def test_what_is_written_is_the_epochs_own_though_training_goes_on(small, tmp_path, monkeypatch):
    monkeypatch.setitem(SECONDS, "cpu", ALWAYS)
    go_on, save = threading.Event(), saving.save_checkpoint
    monkeypatch.setattr(saving, "save_checkpoint", lambda *given: go_on.wait() and save(*given))
    fit, epoch = fitted(small)
    folder = TrialFolder(tmp_path)
    with Saving(fit, folder) as ours:
        epoch()
        then = {name: value.clone() for name, value in fit.network.state_dict().items()}
        ours.epoch_ended(last=False)
        epoch()
        assert not newest_slot(folder)
        go_on.set()
    found, refused = load_checkpoint(folder, fit.began.identity)
    assert found.facts.epoch == 1 and len(found.facts.history) == 1 and refused == []
    for name, value in then.items():
        assert torch.equal(found.tensors[f"model.{name}"], value)
    assert not all(torch.equal(fit.network.state_dict()[name], value) for name, value in then.items())


def test_slots_take_turns_whatever_epochs_are_written(small, undisturbed, tmp_path, monkeypatch):
    """Epochs 2 and 4 stand in two slots, so that a write of one that is cut short leaves the other."""
    monkeypatch.setitem(SECONDS, "cpu", 20.0)
    fit, epoch = fitted(small)
    folder, now = RunFolder(tmp_path).trial(TRIAL.trial_id), [0.0]
    with Saving(fit, folder, clock=lambda: now[0]) as ours:
        for _ in range(4):
            epoch()
            now[0] += 10.0
            ours.epoch_ended(last=False)
    assert sorted(epochs_on_disk(folder)) == [2, 4]
    facts, newest = newest_slot(folder)
    newest.tensors.write_bytes(newest.tensors.read_bytes()[:1000])
    found, refused = load_checkpoint(folder, fit.began.identity)
    assert (facts.epoch, found.facts.epoch) == (4, 2)
    assert refused == [f"{newest.tensors.name} of epoch 4 is gone or damaged"]
    resumed = fitted(small)[0]
    resumed.resume(folder, 1.0)
    assert resumed.epoch == 2 and resumed.next_slot == newest.number


def test_a_full_disk_ends_the_trial_and_it_goes_on_once_there_is_room(
    small, undisturbed, tmp_path, monkeypatch
):
    """The thread meets it; the training says so."""
    monkeypatch.setitem(SECONDS, "cpu", ALWAYS)
    folder = RunFolder(tmp_path).trial(TRIAL.trial_id)
    folder.checkpoint.mkdir(parents=True)
    full = folder.slot(0).tensors
    full.symlink_to("/dev/full")
    with pytest.raises(StorageError, match="The disk is full"):
        list(training(small, folder))
    assert read_record(folder) is None and epochs_on_disk(folder) == [1]
    full.unlink()
    list(training(small, folder))
    assert read_record(folder).attempts[-1].from_epoch == 2
    assert ended_as(undisturbed, folder)


@pytest.mark.parametrize("due", [True, False])
def test_a_checkpoint_that_could_not_be_written_is_told_once_the_next_epoch_ends(
    small, tmp_path, monkeypatch, due
):
    """Whether that epoch's own is due, which waits for the write before it, or not yet."""
    monkeypatch.setitem(SECONDS, "cpu", 20.0)
    go_on, save, now = threading.Event(), saving.save_checkpoint, [0.0]
    monkeypatch.setattr(saving, "save_checkpoint", lambda *given: go_on.wait() and save(*given))
    fit, epoch = fitted(small)
    folder = full_slot(tmp_path)
    epoch()
    with Saving(fit, folder, clock=lambda: now[0]) as ours:
        now[0] = 20.0
        ours.epoch_ended(last=False)
        threading.Timer(0.1, go_on.set).start()
        now[0] = 40.0 if due else 21.0
        with pytest.raises(StorageError, match="The disk is full"):
            for _ in range(1 if due else 500):
                ours.epoch_ended(last=False)
                time.sleep(0.01)


def test_that_the_last_checkpoint_could_not_be_written_is_told_before_the_training_ends(
    small, tmp_path, monkeypatch
):
    monkeypatch.setitem(SECONDS, "cpu", AT_THE_END)
    fit, epoch = fitted(small)
    folder = full_slot(tmp_path)
    epoch()
    with Saving(fit, folder) as ours, pytest.raises(StorageError, match="The disk is full"):
        ours.epoch_ended(last=True)


def test_a_disk_that_is_lost_where_a_file_is_deleted_is_no_fault_of_the_trial(small, tmp_path, monkeypatch):
    """It was recorded as failed, and never trained again by that run."""
    folder = RunFolder(tmp_path).trial(TRIAL.trial_id)
    whole = Path.unlink

    def _fail(path, missing_ok=False):
        if path == folder.slot(0).facts:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        whole(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", _fail)
    with pytest.raises(StorageError, match="does not answer"):
        list(training(small, folder))
    assert read_record(folder) is None


KILLED = """
import sys
from hnscc.study.loading import load_study
from hnscc.study.trials import Trial
from hnscc.training.ready import Task, make_run_ready
from hnscc.training.saving import SECONDS
from hnscc.training.trial import steps_of_trial

SECONDS["cpu"] = 1e-9
ready, trial = make_run_ready(load_study(sys.argv[1]), sys.argv[2]), Trial("pet_mri", 0, 0)
folder = ready.folder.trial(trial.trial_id)
list(steps_of_trial(Task(ready.study, trial, ready.folds[0], folder, "cpu", "fp32")))
"""


@pytest.mark.slow
def test_killed_while_the_thread_writes_it_goes_on_from_the_epoch_before(small, undisturbed, tmp_path):
    (tmp_path / "study.yaml").write_text(dump_study(small[0]))
    folder = RunFolder(tmp_path / "run").trial(TRIAL.trial_id)
    below, slot = tmp_path / "run", folder.slot(0)
    half = ["half", str(slot.tensors.relative_to(below))]
    faults = {"log": str(tmp_path / "log"), "below": str(below), "kill_at": half}
    (tmp_path / "faults.json").write_text(json.dumps(faults))
    path = f"{processes.ROOT / 'tests' / 'cluster' / 'faults'}:{processes.ROOT}"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "study.yaml", below],
        env=os.environ | {"PYTHONPATH": path, "FAULTS": str(tmp_path / "faults.json")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    assert epochs_on_disk(folder) == [1]
    list(training(small, folder))
    assert [each.from_epoch for each in read_record(folder).attempts] == [1, 2]
    assert ended_as(undisturbed, folder)
