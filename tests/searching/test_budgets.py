"""What a race may spend: trials, hours, and the price of a training. But for the last, scores are made up."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from races import EPOCHS, finish, places, race_of, rules
from searches import error_of, searched
from stores import make_store, study_of

from hnscc.base.errors import InputError
from hnscc.searching.ledger import Curve
from hnscc.searching.race import Race
from hnscc.searching.recorded import curve_of, trial_of
from hnscc.searching.report import budget_in_words
from hnscc.study.range_checks import check_search
from hnscc.training.ready import Task, make_run_ready
from hnscc.training.trial import steps_of_trial


@pytest.mark.parametrize(
    ("budget", "trainings"),
    [({"hours": 1.0}, 20), ({"gpu_hours": 0.5}, 20), ({"hours": 1.0, "trials": 15.0}, 15)],
)
def test_budgets_of_time_are_spent_at_the_price_of_a_training(budget, trainings):
    """360 s a training, two side by side, a quarter of a GPU each: 20 in an hour, 20 for half a GPU-hour."""
    search = rules(configurations=4, budget=budget)
    race = race_of(search)
    race.side_by_side = 2.0
    rng = np.random.default_rng(1)
    wanted = race.advance({})
    while wanted:
        wanted = race.advance(
            {
                key: Curve(
                    (float(rng.uniform(0.4, 0.6)),) * EPOCHS,
                    True,
                    took=(40.0,) * EPOCHS,
                    gpus=(0.25,) * EPOCHS,
                )
                for key in wanted
            }
        )
    assert trainings - 2 <= len(race.curves) <= trainings


@pytest.mark.parametrize(
    ("search", "epochs", "least"),
    [
        # Two trainings of 30 epochs, and two more to decide, where 10 are a whole one.
        ({"ranges": {"training.epochs": [10, 30]}, "configurations": 2}, 10, 12),
        ({"ranges": {"training.epochs": [10, 30]}, "configurations": 2}, 200, 4),
        # Of 9 configurations for 1 epoch of 9, 3 for 2 more, 2 for the other 6: 3 trainings; of 4: 2.2 of them.
        ({"stopping": "successive_halving", "configurations": 9}, 9, 5),
        ({"stopping": "successive_halving", "configurations": 4}, 9, 5),
        ({"stopping": "successive_halving", "configurations": 9, "method": "tpe"}, 9, 11),
        ({"stopping": "median", "configurations": 9}, 9, 11),
    ],
)
def test_the_least_budget_by_hand(search, epochs, least):
    def asked(trials):
        return searched(search | {"budget": {"trials": trials}}, training={"epochs": epochs})

    check_search(asked(least))
    assert f"at least {least}: " in error_of(lambda: check_search(asked(least - 0.5)))


def test_a_budget_is_told_in_words():
    """One hour stood as `1 hours`."""
    budget = {"trials": 30, "hours": 1.0, "gpu_hours": 0.5}
    assert budget_in_words(searched({"budget": budget})) == "30 trials, 1 hour and 0.5 gpu hours"


def test_a_budget_of_time_spent_early_says_so():
    """540 s a training and an hour: six of eight configurations get one repeat, and no one a second."""
    race = race_of(rules(budget={"hours": 1.0}))
    wanted = race.advance({})
    while wanted:
        assert len(wanted) == 1, "as many as run side by side"
        wanted = race.advance({key: Curve((0.5,) * EPOCHS, True, took=(60.0,) * EPOCHS) for key in wanted})
    assert race.spent_early
    assert [each.repeats for each in race.standings()] == [1] * 6 + [0] * 2
    assert race.standings()[0].place == "winner"
    assert race.standings()[0].reason.startswith("an interval needs at least 3 repeats; ")
    assert (race.standings()[-1].place, race.standings()[-1].reason) == (
        "untrained",
        "the budget was spent before",
    )


@pytest.mark.parametrize("budget", [{"hours": 1.0}, {"gpu_hours": 0.25}])
@pytest.mark.parametrize("stopping", ["none", "median"])
def test_a_budget_of_time_goes_to_every_configuration_before_any_is_repeated(stopping, budget):
    """And to no generation that it does not pay for: six trainings of 540 s, on a quarter of a GPU, are two repeats of
    the first three."""
    search = rules(budget=budget, method="tpe", configurations=12, stopping=stopping)
    race, asked = race_of(search), []
    wanted = race.advance({})
    while wanted:
        asked += wanted
        assert len(wanted) == 1, "as many as run side by side"
        until = {key: pause_after or EPOCHS for key, pause_after in wanted.items()}
        wanted = race.advance(
            {
                key: Curve((0.5,) * n, n == EPOCHS, took=(60.0,) * n, gpus=(0.25,) * n)
                for key, n in until.items()
            }
        )
    assert asked[:6] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert race.spent_early and len(race.configurations) == 6, "told that the second generation is too dear"


def test_what_failed_is_not_repeated_at_the_cost_of_a_budget_of_time():
    race, asked = race_of(rules(configurations=2, budget={"hours": 1.0})), []
    wanted = race.advance({})
    while wanted:
        asked += wanted
        wanted = race.advance(
            {(c, r): Curve((0.5,) * EPOCHS, True, failed=not c, took=(60.0,) * EPOCHS) for c, r in wanted}
        )
    assert asked == [(0, 0), (1, 0), (1, 1)]


def test_a_budget_spent_before_anyone_can_be_stopped_stops_nobody():
    """180 s are three trainings up to epoch 1 of 9."""
    race = race_of(rules(budget={"hours": 0.05}, stopping="median"))
    wanted = race.advance({})
    while wanted:
        wanted = race.advance({key: Curve((0.5,), False, took=(60.0,)) for key in wanted})
    assert len(race.curves) == 3 and race.spent_early
    assert set(places(race).values()) == {"untrained"}


@pytest.mark.parametrize("stopping", ["none", "successive_halving", "median"])
@pytest.mark.parametrize("method", ["random", "tpe"])
def test_a_budget_of_trials_that_is_accepted_is_kept(stopping, method):
    """Scores without any order, so that as many as can go on at each rung."""

    from hnscc.study.range_checks import check_search

    def study(trials: int):
        search = {"stopping": stopping, "configurations": 12, "repeats": {"first": 3}, "method": method}
        return searched(search | {"budget": {"trials": trials}}, training={"epochs": EPOCHS})

    least = next(n for n in range(3, 99) if _accepted(study(n)))
    assert "The budget is too small" in error_of(lambda: check_search(study(least - 1)))
    rng = np.random.default_rng(0)
    proposed = iter(range(99))
    race = Race(study(least).search, EPOCHS, lambda told, n: [{"x": next(proposed)} for _ in range(n)])
    finish(race, lambda c, r: float(rng.uniform(0.4, 0.6)))
    assert sum(len(curve.scores) for curve in race.curves.values()) / EPOCHS <= least


def _accepted(study) -> bool:
    try:
        check_search(study)
    except InputError:
        return False
    return True


def spent_of(race: Race) -> float:
    return sum(len(curve.scores) for curve in race.curves.values()) / EPOCHS


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    configurations=st.integers(2, 12),
    first=st.integers(1, 3),
    more=st.integers(2, 30),
    early=st.floats(0, 1),
    stopping=st.sampled_from(["none", "successive_halving", "median"]),
)
def test_a_budget_of_trials_is_never_overspent(seed, configurations, first, more, early, stopping):
    """Whichever share of the trainings ends early, wherever: those to come may all train to their last epoch."""
    budget = {"trials": float(configurations * first + more)}
    search = rules(
        configurations=configurations,
        budget=budget,
        stopping=stopping,
        repeats={"first": first, "most": 20},
    )

    def train(c: int, r: int, until: int | None) -> Curve:
        rng = np.random.default_rng([seed, c, r])
        last = int(rng.integers(1, EPOCHS + 1)) if rng.random() < early else EPOCHS
        scores = tuple(map(float, rng.uniform(0.4, 0.6, last)))
        return Curve(scores[:until], until is None or until >= last)

    race = race_of(search)
    wanted = race.advance({})
    while wanted:
        wanted = race.advance({key: train(*key, until) for key, until in wanted.items()})
        assert spent_of(race) <= budget["trials"] + 1e-9
    racing = race.ledger.racing()
    last_round = [c for c in racing if race.ledger.rounds.get(c, 0) == race.ledger.rounds.get(racing[0], 0)]
    assert len({race.ledger.repeats(c) for c in last_round}) <= 1, "nobody leads by having ended earlier"


@pytest.mark.parametrize(
    ("short", "spent", "repeats"),
    [
        # The 22 that 7.33 would take at a third each turn out whole: three pairs are sure, and a fourth is too dear.
        (2, 8 / 3 + 6, 5),
        # Nine more pairs are sure, one after another. With 1.33 left the next, which has cost two thirds so far,
        # pauses after 6 of 9 epochs, and counts for nobody, since it has not ended.
        (11, 8 / 3 + 6 + 12 / 9, 11),
        # It ends after 3: so does the one behind it, and all is spent.
        (20, 10, 13),
    ],
)
def test_short_repeats_do_not_promise_short_ones_to_come(short, spent, repeats):
    """Four configurations, whose repeats below `short` take a third of a training and then a whole one, of ten."""
    race = race_of(rules(configurations=4, budget={"trials": 10.0}))
    rng = np.random.default_rng(0)

    def train(r: int, until: int | None) -> Curve:
        last = 3 if r < short else EPOCHS
        return Curve(tuple(map(float, rng.uniform(0.4, 0.6, last)))[:until], until is None or until >= last)

    wanted = race.advance({})
    while wanted:
        wanted = race.advance({key: train(key[1], until) for key, until in wanted.items()})
    assert spent_of(race) == pytest.approx(spent)
    assert sorted(each.repeats for each in race.standings()) == [2, 2, repeats, repeats]


def test_a_search_over_epochs_counts_what_the_longest_takes():
    ranges = {"training.epochs": [9, 18]}
    search = {"ranges": ranges, "configurations": 2, "repeats": {"first": 1}, "budget": {"trials": 7}}
    study = searched(search, training={"epochs": EPOCHS})
    assert "at least 8" in error_of(lambda: check_search(study)), "2 first repeats and 2 to decide, of 2 each"


def test_gpu_hours_are_those_of_the_share_that_each_epoch_had(tmp_path):
    """A training that was paused and went on with a larger share counted as if it had had that from its beginning."""
    trial = trial_of((0, 0))
    study = study_of(make_store(tmp_path).location, variants={trial.variant: {"modalities": ["pet"]}})
    ready = make_run_ready(study, tmp_path / "run")
    task = Task(study, trial, ready.folds[0], ready.folder.trial(trial.trial_id), "cpu", "fp32")
    for gpus, pause_after in ((0.25, 1), (0.5, None)):
        list(steps_of_trial(replace(task, gpus=gpus, pause_after=pause_after)))
        curve = curve_of(ready.folder, (0, 0))
        assert curve.gpus == (0.25,) + (0.5, 0.5) * (pause_after is None)
    assert curve.gpu_seconds == pytest.approx(0.25 * curve.took[0] + 0.5 * sum(curve.took[1:]))
    paused = curve.paused(1)
    assert (paused.gpus, paused.gpu_seconds) == ((0.25,), 0.25 * curve.took[0])
    assert Curve((0.5,), True, took=(9.0,)).gpu_seconds == 0
