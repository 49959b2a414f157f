"""What a training's state makes of the scores of its epochs, which are made up here, and of a checkpoint."""

import os
import platform
import time

import google_crc32c
import pytest
import torch
from safetensors.torch import load as load_safetensors
from small_trials import TRIAL
from stores import study_of

from hnscc.base.errors import StorageError
from hnscc.base.files import read_sealed
from hnscc.study.run_folder import TrialFolder
from hnscc.training.boundary import begin
from hnscc.training.checkpoint import DTYPES, PIECE, load_checkpoint, save_checkpoint
from hnscc.training.fit import Diverged, Fit
from hnscc.training.hardware import hardware
from hnscc.training.network import build_network
from hnscc.training.records import Attempt, newest_facts


def started(attempts=(), **training):
    study = study_of("s", training=training)
    began = begin(study, TRIAL, "d", device="cpu", precision="fp32")
    return Fit.start(build_network(study.training.network, 2, seed=0), study.training, began, attempts)


def after(fit, *scores, losses=(1.0, 2.0), seconds=0.0):
    """The training after epochs with these scores, each of which sets all weights to its own number."""
    for score in scores:
        with torch.no_grad():
            for value in fit.network.parameters():
                value.fill_(fit.epoch + 1)
        found = [torch.tensor(each, dtype=torch.float64) for each in (*losses, score)]
        fit.finish_epoch(*found, since=time.monotonic() - seconds)
    return fit


def weights_of(tensors, fit):
    return {float(each) for name, _ in fit.network.named_parameters() for each in tensors[name].unique()}


def test_of_equally_good_epochs_the_first_is_the_best_and_its_weights_stay():
    fit = after(started(epochs=9, patience=9), 0.2, 0.5, 0.5, 0.4)
    assert fit.best_epoch == 2 and weights_of(fit.best, fit) == {2.0}
    assert fit.history[-1] | {"seconds": 0} == {
        **{"epoch": 4, "train_loss": 1.0, "val_loss": 2.0, "val_soft_jaccard": 0.4, "seconds": 0}
    }


@pytest.mark.parametrize(
    ("scores", "epochs", "patience", "reason"),
    [
        ((), 3, 2, None),
        ((0.5, 0.4), 4, 2, None),
        ((0.5, 0.4, 0.5), 4, 2, "patience"),
        ((0.5, 0.4, 0.6), 4, 2, None),
        ((0.1, 0.2, 0.3, 0.4), 4, 2, "epochs"),
        ((0.5, 0.4, 0.4), 3, 2, "patience"),
    ],
)
def test_it_ends_after_so_many_epochs_without_a_better_one_or_after_the_last(
    scores, epochs, patience, reason
):
    assert after(started(epochs=epochs, patience=patience), *scores).stop_reason == reason


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_loss_or_score_that_is_no_finite_number_ends_it(place, number):
    *losses, score = [number if each == place else 0.5 for each in range(3)]
    fit = after(started(), 0.5)
    with pytest.raises(Diverged, match=r"^epoch 2: "):
        after(fit, score, losses=losses)
    assert fit.epoch == 1


def test_an_epochs_seconds_are_those_since_it_began():
    assert after(started(), 0.5, seconds=700.0).history[0]["seconds"] == pytest.approx(700, abs=60)


FIRST, LATER = (
    Attempt(node=name, pid=1, gpus=0.5, from_epoch=epoch) for name, epoch in (("one", 1), ("two", 3))
)
ENDED = FIRST.model_copy(update={"ended": "OutOfMemoryError"})


@pytest.mark.parametrize(("scores", "best"), [((0.2, 0.5, 0.4), 2.0), ((0.2, 0.3, 0.4), 3.0)])
@pytest.mark.parametrize("known", [(), (FIRST,), (ENDED,), (FIRST, LATER)])
def test_a_checkpoint_brings_back_weights_best_weights_and_who_trained_it(tmp_path, scores, best, known):
    """An attempt that the checkpoint does not know of was told by the record of a failure, and so was the error that
    ended one. The best weights stand in it only where they are not those of its own epoch."""
    saved, folder = after(started([FIRST]), *scores), TrialFolder(tmp_path / TRIAL.trial_id)
    so_far, tensors = saved.checkpoint()
    assert any(name.startswith("best.") for name in tensors) == (best != 3.0)
    save_checkpoint(folder.slot(0), so_far, tensors)
    folder.slot(1).facts.write_text("torn")
    told = [*known]
    fit = started(told)
    fit.resume(folder, 0.25)
    assert fit.attempts is told, "where the training fails, its record names them"
    assert (fit.history, fit.next_slot) == (saved.history, 1)
    assert weights_of(fit.network.state_dict(), fit) == {3.0} and weights_of(fit.best, fit) == {best}
    *earlier, now = fit.attempts
    assert earlier == [*(known or (FIRST,))]
    assert (now.gpus, now.from_epoch, now.not_used) == (0.25, 4, ("slot-1.json is damaged",))
    assert (now.node, now.pid, now.hardware) == (platform.node(), os.getpid(), hardware())


def test_it_is_trained_by_the_settings_of_its_optimiser():
    adam = started(learning_rate=0.25, adam_epsilon=0.5).optimiser
    assert (adam.learning_rate, adam.epsilon) == (0.25, 0.5)


def test_a_checkpoints_file_is_safetensors_and_its_sum_that_of_all_bytes(tmp_path):
    """Read by safetensors' own reader, and summed up at once: tensors of each type, of lengths about one and two pieces
    (4 bytes a value), of none and in other orders than memory's."""
    folder, kept = TrialFolder(tmp_path), after(started([FIRST]), 0.5)
    tensors = {str(each): torch.tensor([0, 1, 3]).to(each) for each in DTYPES}
    for count in (0, PIECE // 4 - 1, PIECE // 4, PIECE // 4 + 1, PIECE // 2, PIECE // 2 + 1):
        tensors[f"{count} values"] = torch.arange(count, dtype=torch.float32)
    tensors |= {"number": torch.tensor(5), "turned": torch.arange(6.0).reshape(2, 3).T}
    tensors["every second"] = torch.arange(6.0)[::2]
    save_checkpoint(folder.slot(0), kept.checkpoint()[0], tensors)
    content = folder.slot(0).tensors.read_bytes()
    assert read_sealed(folder.slot(0).facts)["crc32c"] == google_crc32c.value(content)
    for found in (load_safetensors(content), load_checkpoint(folder, kept.began.identity)[0].tensors):
        assert found.keys() == tensors.keys()
        for name, value in tensors.items():
            assert found[name].dtype == value.dtype and torch.equal(found[name], value), name


def test_while_a_slots_tensors_are_overwritten_no_facts_vouch_for_them(tmp_path):
    """Those of its earlier checkpoint said that the trial had come that far, after a write that was cut short."""
    folder, kept = TrialFolder(tmp_path), after(started([FIRST]), 0.5)
    slot = folder.slot(0)
    save_checkpoint(slot, *kept.checkpoint())
    slot.tensors.unlink()
    slot.tensors.symlink_to("/dev/full")
    with pytest.raises(StorageError, match="The disk is full"):
        save_checkpoint(slot, *after(kept, 0.6).checkpoint())
    assert newest_facts(folder) is None
