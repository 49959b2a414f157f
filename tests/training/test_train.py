import json
import platform
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file
from small_trials import TRIAL, fit
from stores import make_store, study_of
from trials import train_trial

import hnscc.training.saving
from hnscc.base.errors import InputError
from hnscc.commands.train import main
from hnscc.scores.metrics import dice
from hnscc.study.run_folder import RunFolder, TrialFolder
from hnscc.study.trials import Trial
from hnscc.training.boundary import begin
from hnscc.training.network import check_network
from hnscc.training.ready import make_run_ready
from hnscc.training.records import newest_facts, newest_slot, read_record
from hnscc.training.states import is_completed, trial_state


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def small(store, tmp_path_factory):
    study = study_of(store.location)
    return study, make_run_ready(study, tmp_path_factory.mktemp("run")).folds[0]


@pytest.fixture(scope="module")
def undisturbed(small, tmp_path_factory):
    """The trial of `small`, trained to its end: its folder, record and epochs. No test writes there."""
    return fit(*small, tmp_path_factory.mktemp("whole"))


def with_images(data, images):
    """The same fold with other pixels, normalised by the bounds that it has."""
    return replace(data, pixels=replace(data.pixels, images=images))


def digest(record):
    return record.files["weights.safetensors"]


def test_a_trial_leaves_what_the_contract_says(small, undisturbed):
    data = small[1]
    folder, record, rows = undisturbed
    assert (record.status, record.epochs, record.stop_reason) == ("completed", 3, "epochs")
    assert sorted(path.name for path in folder.root.iterdir()) == sorted(["record.json", *record.files])
    assert is_completed(folder)
    history = pq.read_table(folder.history).to_pylist()
    assert history == rows
    best = max(history, key=lambda row: row["val_soft_jaccard"])
    assert (record.best_epoch, record.best_val_soft_jaccard) == (
        best["epoch"],
        best["val_soft_jaccard"],
    )
    levels = np.load(folder.predictions)["probabilities"]
    assert (levels.dtype, levels.shape) == (np.uint16, data.masks.shape)


def test_predictions_are_those_of_the_best_epoch(small, tmp_path):
    """The soft Jaccard of the stored validation probabilities is the best that was monitored, not the last."""
    study, data = small
    folder, record, _ = fit(
        study_of(study.store, training={"epochs": 12, "learning_rate": 0.1}), data, tmp_path
    )
    assert record.best_epoch < record.epochs, (
        "choose other settings: this test needs a best epoch before the last"
    )
    rows = data.rows["validation"]
    p = np.load(folder.predictions)["probabilities"][rows] / 65535.0
    t = data.masks[rows]
    assert (p * t).sum() / (p + t - p * t).sum() == pytest.approx(record.best_val_soft_jaccard, abs=1e-4)


def test_scores_in_the_record_come_from_the_stored_probabilities(small, tmp_path):
    study, data = small
    folder, record, _ = fit(study_of(study.store, training={"epochs": 15}), data, tmp_path)
    levels = np.load(folder.predictions)["probabilities"]
    for split, rows in data.rows.items():
        predicted, truth = levels[rows] / 65535.0 >= 0.5, data.masks[rows] == 1
        expected = dice((predicted & truth).sum(), predicted.sum(), truth.sum())
        assert record.scores[split]["dice"] == pytest.approx(float(expected))
    assert record.scores["test"]["dice"] > 0.5, "the network did not learn a bright disc"
    assert record.highest_probability == pytest.approx(levels[data.rows["validation"].start :].max() / 65535)


def test_same_trial_same_weights_and_each_repeat_its_own(small, undisturbed, tmp_path):
    study, data = small
    first, again = undisturbed[1], fit(study, data, tmp_path / "b")[1]
    assert first.files["weights.safetensors"] == again.files["weights.safetensors"]
    assert first.files["predictions.npz"] == again.files["predictions.npz"]
    other = fit(study, data, tmp_path / "a", Trial("pet_mri", 0, 1))[1]
    assert digest(other) != digest(first)


def test_training_sees_training_slices_alone(small, undisturbed, tmp_path):
    """Other test images change nothing that is trained; other training images do."""
    study, data = small
    base = undisturbed[1]
    for split, same in (("test", True), ("train", False)):
        images = data.pixels.images.copy()
        rows = data.at[data.rows[split]]
        images[rows] = images[rows][..., ::-1]
        changed = fit(study, with_images(data, images), tmp_path / split)[1]
        assert (digest(changed) == digest(base)) is same


def test_validation_slices_choose_the_epoch_and_train_nothing(small, undisturbed, tmp_path):
    study, data = small
    images = data.pixels.images.copy()
    images[data.at[data.rows["validation"]]] = 0
    losses = [
        [row["train_loss"] for row in rows]
        for rows in (undisturbed[2], fit(study, with_images(data, images), tmp_path)[2])
    ]
    assert losses[0] == losses[1]


@pytest.mark.quick(1)
@pytest.mark.parametrize("copies", [0, 2, "fresh"])
def test_an_interrupted_trial_continues_to_the_same_bits(small, tmp_path, copies):
    study = study_of(small[0].store, training={"epochs": 5}, augmentation={"copies": copies})
    data = small[1]
    _, undisturbed, history = fit(study, data, tmp_path / "whole")
    folder = RunFolder(tmp_path / "parts").trial(TRIAL.trial_id)
    for _ in range(2):  # interrupted twice
        rows = train_trial(study, TRIAL, data, folder, device="cpu", precision="fp32")
        next(rows), next(rows)
        rows.close()
    assert read_record(folder) is None
    assert newest_facts(folder).epoch == 4
    _, record, _ = fit(study, data, tmp_path / "parts")
    assert [attempt.from_epoch for attempt in record.attempts] == [1, 3, 5]
    for name in ("weights.safetensors", "predictions.npz"):
        assert record.files[name] == undisturbed.files[name]
    resumed = pq.read_table(folder.history).drop_columns("seconds").to_pylist()
    assert resumed == [{key: row[key] for key in row if key != "seconds"} for row in history]
    assert sorted(path.name for path in folder.root.iterdir()) == sorted(["record.json", *record.files])


def flip(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


@pytest.mark.quick(3)
@pytest.mark.parametrize("harm", [flip, lambda content: content[: len(content) // 2], lambda content: b""])
@pytest.mark.parametrize("part", ["tensors", "facts"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(small, undisturbed, tmp_path, harm, part):
    study, data = small
    folder = RunFolder(tmp_path / "harmed").trial(TRIAL.trial_id)
    rows = train_trial(study, TRIAL, data, folder, device="cpu", precision="fp32")
    next(rows), next(rows)
    rows.close()
    facts, slot = newest_slot(folder)
    assert facts.epoch == 2
    newest = getattr(slot, part)
    newest.write_bytes(harm(newest.read_bytes()))
    record = fit(study, data, tmp_path / "harmed")[1]
    assert record.attempts[-1].from_epoch == 2
    assert newest.name in record.attempts[-1].not_used[0]
    assert digest(record) == digest(undisturbed[1])


def test_without_a_whole_checkpoint_of_its_own_a_trial_starts_again(small, undisturbed, tmp_path):
    study, data = small
    other = study_of(study.store, training={"learning_rate": 0.02})
    for name, first in (("gone", study), ("foreign", other)):
        folder = RunFolder(tmp_path / name).trial(TRIAL.trial_id)
        rows = train_trial(first, TRIAL, data, folder, device="cpu", precision="fp32")
        next(rows), next(rows)
        rows.close()
        if name == "gone":
            for number in (0, 1):
                folder.slot(number).tensors.unlink()
        record = fit(study, data, tmp_path / name)[1]
        assert len(record.attempts[-1].not_used) == 2
        assert record.attempts[-1].from_epoch == 1
        assert digest(record) == digest(undisturbed[1])


def test_patience_stops_after_so_many_epochs_without_gain(small, tmp_path):
    study = study_of(small[0].store, training={"epochs": 60, "patience": 2, "learning_rate": 0.05})
    _, record, rows = fit(study, small[1], tmp_path)
    assert record.stop_reason == "patience"
    assert record.epochs == record.best_epoch + 2 == len(rows)


def test_a_failing_trial_fails_alone_with_its_traceback(small, tmp_path):
    study = study_of(small[0].store, training={"learning_rate": 1e30})
    folder, record, _ = fit(study, small[1], tmp_path)
    assert record.status == "failed"
    assert "Diverged: epoch" in record.error
    assert "must be finite numbers; set training.learning_rate below 1e+30" in record.error
    assert "Traceback" in record.error
    assert not is_completed(folder)
    fit(small[0], small[1], tmp_path)
    assert is_completed(folder)


def test_a_machine_without_the_gpu_that_it_is_to_train_on_is_told_and_no_trial_fails(
    small, tmp_path, monkeypatch
):
    """A new process there cannot begin CUDA: it failed one trial after another, each within seconds."""
    why = "Unexpected error from cudaGetDeviceCount(). Error 804: forward compatibility was attempted"

    def _init():
        raise RuntimeError(why)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", _init)
    folder = RunFolder(tmp_path).trial(TRIAL.trial_id)
    with pytest.raises(InputError, match="can use no GPU of a machine") as told:
        list(train_trial(small[0], TRIAL, small[1], folder, device="cuda", precision="fp32"))
    assert (platform.node() in told.value.where, why in told.value.found) == (True, True)
    assert not folder.root.exists()


def test_weights_are_finite_and_whole(small, undisturbed):
    folder, record, _ = undisturbed
    weights = load_file(folder.weights)
    assert sum(value.size for value in weights.values()) == check_network(
        small[0].training.network, 2, 32, loss="dice"
    )
    assert all(np.isfinite(value).all() for value in weights.values())
    assert record.seconds > 0


@pytest.mark.parametrize("name", ["history.parquet", "predictions.npz", "scores.json", "weights.safetensors"])
def test_damage_to_a_trained_trial_is_named(undisturbed, tmp_path, name):
    whole = undisturbed[0]
    folder = TrialFolder(shutil.copytree(whole.root, tmp_path / whole.root.name))
    path = folder.root / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert name in trial_state(folder).reason
    path.unlink()
    assert is_completed(folder) is (name in ("scores.json", "weights.safetensors"))  # both may be gone


def test_one_trial_without_ray(store, tmp_path, capsys):
    study = tmp_path / "study.yaml"
    raw = study_of(store.location).model_dump(mode="json")
    study.write_text(json.dumps(raw))
    command = [str(study), "pet-f0-r01", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    assert is_completed(RunFolder(tmp_path / "run").trial("pet-f0-r01"))
    record = read_record(RunFolder(tmp_path / "run").trial("pet-f0-r01"))
    *epochs, last = capsys.readouterr().out.splitlines()
    assert epochs and all("validation soft Jaccard" in line for line in epochs)
    assert f"best validation soft Jaccard {record.best_val_soft_jaccard:.4f}, validation Dice " in last
    assert f"{record.scores['validation']['dice']:.4f}" in last
    RunFolder(tmp_path / "run").fold(0).split.write_text("torn")
    assert main(command) == 0
    said = capsys.readouterr()
    assert "completed already" in said.out
    assert said.err == "folds/f0: damaged or gone, and written again: split.json\n"
    assert main([str(study), "pet-f0-r77"]) == 2
    assert "no such trial" in capsys.readouterr().err


def test_a_changed_weights_file_is_another_trial(tmp_path):
    path = tmp_path / "encoder.safetensors"
    network = {"architecture": "unet", "encoder": "resnet18", "encoder_weights": str(path)}
    study = study_of("s", training={"network": network})
    identities = []
    for content in (b"one", b"two", b"one"):
        path.write_bytes(content)
        identities.append(begin(study, TRIAL, "d", device="cpu", precision="fp32").identity)
    assert identities[0] == identities[2] != identities[1]


def test_a_trial_that_another_process_completed_meanwhile_is_not_recorded_as_failed(small, tmp_path):
    """One that was taken for lost with its machine, and was not: it ends, and deletes the checkpoints."""
    study, data = small
    folder = RunFolder(tmp_path).trial(TRIAL.trial_id)
    slow = train_trial(study, TRIAL, data, folder, device="cpu", precision="fp32")
    next(slow)
    completed = fit(study, data, tmp_path)[1]

    def _gone(*arguments):
        raise FileNotFoundError("the folder of the checkpoints")

    original, hnscc.training.saving.save_checkpoint = hnscc.training.saving.save_checkpoint, _gone
    try:
        assert list(slow) == []
    finally:
        hnscc.training.saving.save_checkpoint = original
    assert read_record(folder) == completed
