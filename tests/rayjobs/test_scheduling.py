"""In which order Tune is told to train a study's trials, and what is recorded of those whose processes died."""

from types import SimpleNamespace

from ray.tune.experiment import Trial as TuneTrial
from stores import make_store, study_of
from trials import train_trial

from hnscc.training.ready import make_run_ready
from hnscc.training.records import read_record
from rayjobs.scheduling import InOrder, record_deaths


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


def test_a_trial_whose_process_died_too_often_keeps_where_it_was_trained(tmp_path):
    """Which machine and GPU they were is asked first of all; what was never trained for an epoch names none."""
    run = make_run_ready(study_of(make_store(tmp_path, patients=10, size=16).location), tmp_path / "run")
    trained, never = run.not_completed()[:2]
    folder = run.folder.trial(trained.trial_id)
    epochs = train_trial(run.study, trained, run.folds[trained.fold], folder, device="cpu", precision="fp32")
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
