"""In which order Tune is told to train a study's trials."""

from types import SimpleNamespace

from ray.tune.experiment import Trial as TuneTrial

from rayjobs.scheduling import InOrder


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
