"""In which order Tune is told to train a study's trials, and what is recorded of those whose processes died."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial as TuneTrial
from stores import make_store, study_of
from trials import train_trial

from hnscc.training.boundary import begin, write_failure
from hnscc.training.ready import make_run_ready
from hnscc.training.records import OUT_OF_MEMORY, Attempt, read_record, write_record
from rayjobs.scheduling import InOrder, forget_failure, record_deaths, with_more_memory


@pytest.fixture
def run(tmp_path):
    return make_run_ready(study_of(make_store(tmp_path, patients=10, size=16).location), tmp_path / "run")


def epochs_of(run, trial):
    folder = run.folder.trial(trial.trial_id)
    return train_trial(run.study, trial, run.folds[trial.fold], folder, device="cpu", precision="fp32")


def began(run, trial):
    return begin(run.study, trial, run.folds[trial.fold].digest, device="cpu", precision="fp32")


def test_the_first_that_waits_comes_next_and_one_that_paused_after_all_that_are_new():
    """Tune itself asks all trials, those that ended too; of 20,000 that took most of the driver's time."""
    states = [TuneTrial.RUNNING, TuneTrial.PAUSED, TuneTrial.PENDING, TuneTrial.PENDING, TuneTrial.ERROR]
    trials = [TuneTrial("none", stub=True, trial_id=f"a_{number:05d}") for number in range(len(states))]
    for trial, status in zip(trials, states, strict=True):
        trial.set_status(status)
    live = set(trials)
    tune = SimpleNamespace(get_live_trials=lambda: live)
    order = []
    while (chosen := InOrder().choose_trial_to_run(tune)) is not None:
        order.append(trials.index(chosen))
        chosen.set_status(TuneTrial.RUNNING)
    assert order == [2, 3, 1]


def test_trials_are_trained_repeat_by_repeat_and_on_a_gpu_they_take_it_whole_unless_a_share_is_told(run):
    left = run.not_completed()
    assert [(each.variant, each.repeat) for each in left] == [
        *(("pet", 0), ("pet_mri", 0), ("pet", 1), ("pet_mri", 1)),
    ]
    assert (run.task(left[0]).gpus, run.task(left[0]).device) == (0.0, "cpu")
    on_gpu = replace(run, computed_by={"pet": ("cuda", "bf16")})
    assert [on_gpu.task(left[0], gpus=each).gpus for each in (None, 0.25)] == [1.0, 0.25]


def test_a_trial_whose_process_died_too_often_keeps_where_it_was_trained(run):
    """Which machine and GPU they were is asked first of all; what was never trained for an epoch names none."""
    trained, never = run.not_completed()[:2]
    folder = run.folder.trial(trained.trial_id)
    epochs = epochs_of(run, trained)
    next(epochs)
    epochs.close()
    record_deaths(run, {trained: "killed", never: "killed"})
    record = read_record(folder)
    assert (record.status, record.error) == ("failed", "killed") and record.failure.startswith(
        "its process died"
    )
    (attempt,) = record.attempts
    assert attempt.node and attempt.hardware and attempt.from_epoch == 1
    assert read_record(run.folder.trial(never.trial_id)).attempts == ()


def test_the_checkpoint_of_other_settings_does_not_say_where_a_trial_was_trained(run):
    trial = run.not_completed()[0]
    epochs = epochs_of(run, trial)
    next(epochs)
    epochs.close()
    others = study_of(run.study.store, training={"learning_rate": 0.02})
    record_deaths(run.__class__(**{**vars(run), "study": others}), {trial: "killed"})
    assert read_record(run.folder.trial(trial.trial_id)).attempts == ()


@pytest.mark.parametrize(
    ("failure", "share", "again"),
    [
        (OUT_OF_MEMORY, 0.25, 0.5),
        (OUT_OF_MEMORY, 0.6, 1.0),
        (OUT_OF_MEMORY, 1.0, None),
        (OUT_OF_MEMORY, 0, None),
        ("ValueError", 0.25, None),
        (None, 0.25, None),
    ],
)
def test_a_trial_that_lacked_memory_is_given_twice_the_share_of_a_gpu(run, failure, share, again):
    trial = run.not_completed()[0]
    attempts = [Attempt(node="m1", pid=7, gpus=share, from_epoch=1, ended=failure)]
    if failure:
        write_failure(run.folder.trial(trial.trial_id), began(run, trial), attempts, failure, "text")
    assignment = {"trial": vars(trial), "gpus": share, "weights": None, "attempts": [], "pause_after": 3}
    found = with_more_memory(run, assignment)
    if again is None:
        assert found is None
    else:
        assert found == {**assignment, "gpus": again, "attempts": [attempts[0].model_dump()]}


def test_an_old_failure_is_forgotten_and_what_a_record_vouches_for_is_kept(run):
    failed, trained = run.not_completed()[:2]
    folder = run.folder.trial(failed.trial_id)
    write_failure(folder, began(run, failed), [], "ValueError", "text")
    forget_failure(folder)
    assert read_record(folder) is None
    forget_failure(folder)  # nothing is there

    folder = run.folder.trial(trained.trial_id)
    list(epochs_of(run, trained))
    whole = read_record(folder)
    forget_failure(folder)
    assert read_record(folder) == whole
    folder.predictions.unlink()  # its weights are to predict again, and failed to
    write_record(folder, whole.model_copy(update={"failure": "ValueError", "error": "text"}))
    forget_failure(folder)
    assert read_record(folder) == whole
    folder.weights.unlink()
    forget_failure(folder)
    assert read_record(folder) is None, "it vouches for nothing any more"
