"""The race: what it asks for, whom it drops, what it says at the end. Nothing is trained: scores are made up."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searches import error_of, searched

from hnscc.base.errors import InputError
from hnscc.searching.ledger import Curve
from hnscc.searching.race import Race
from hnscc.study.range_checks import check_search
from hnscc.study.search_schema import Search

EPOCHS = 9


def rules(**changes) -> Search:
    raw = {"method": "random", "ranges": {"training.learning_rate": [0.1, 0.2]}, "configurations": 8}
    raw |= {"budget": {"trials": 40.0}, "stopping": "none", "repeats": {"first": 2, "most": 20}}
    return Search.model_validate(raw | changes)


def race_of(search: Search) -> Race:
    proposed = iter(range(10_000))
    return Race(
        search, EPOCHS, lambda told, n: [{"training.learning_rate": next(proposed)} for _ in range(n)]
    )


def curve_from(final: float, epochs: int = EPOCHS) -> tuple[float, ...]:
    return tuple(final * (epoch + 1) / epochs for epoch in range(epochs))


def finish(race: Race, scores, asked: list | None = None) -> Race:
    """Train all that is wanted; scores(c, r) is a training's last score, its curve a straight line to it."""
    wanted = race.advance({})
    while wanted:
        if asked is not None:
            asked.append(wanted)
        found = {}
        for (c, r), until in wanted.items():
            curve = curve_from(scores(c, r))
            found[c, r] = Curve(curve[:until], until is None)
        wanted = race.advance(found)
    return race


def noisy(seed: int, truth: np.ndarray, noise: float):
    return lambda c, r: float(truth[c] + noise * np.random.default_rng([seed, c, r]).standard_normal())


def places(race: Race) -> dict[int, str]:
    return {each.configuration: each.place for each in race.standings()}


def test_a_rule_that_is_not_known_is_not_taken_for_another():
    """The schema refuses it: a rule that it gains must be known to the race too."""
    with pytest.raises(KeyError, match="third"):
        finish(race_of(rules().model_copy(update={"stopping": "third"})), lambda c, r: 0.5)


def test_without_noise_the_best_wins_and_the_worse_are_dismissed_by_tests():
    truth = [0.5, 0.7, 0.6, 0.1, 0.2, 0.3, 0.4, 0.65]
    race = finish(race_of(rules()), lambda c, r: truth[c] + 0.001 * r)
    assert race.standings()[0].configuration == 1
    assert places(race) == {1: "winner", **dict.fromkeys((0, 2, 3, 4, 5, 6, 7), "dismissed")}
    assert len(race.curves) == 16, "nobody is left to race against: the budget is not spent for its own sake"


def test_rounds_halve_the_field_and_share_the_budget():
    """8 x 2 first repeats of a budget of 40; 24 are left for rounds of 4 and 2: 12 each, 3 and 6 more repeats."""
    asked: list = []
    draw = np.random.default_rng(3)
    race = finish(race_of(rules()), lambda c, r: 0.5 + 0.1 * draw.standard_normal(), asked)
    sizes = [(len(wanted), len({c for c, _ in wanted})) for wanted in asked]
    assert sizes == [(16, 8), (12, 4), (12, 2)]
    assert len(race.curves) == 40
    finalists = [each for each in race.standings() if each.repeats == 11]
    assert len(finalists) == 2
    assert race.standings()[0] in finalists
    assert race.standings()[0].score >= finalists[1].score


def test_a_lucky_start_does_not_win():
    """Configuration 0 scores 0.65 in its first two repeats and 0.4 ever after; the others 0.5, give or take 0.1."""
    race = finish(
        race_of(rules()), lambda c, r: (0.65 if r < 2 else 0.4) if c == 0 else 0.5 + 0.1 * ((r + c) % 3 - 1)
    )
    assert race.standings()[0].configuration != 0


def test_successive_halving_stops_two_thirds_at_each_rung_by_the_mean_of_repeats():
    asked: list = []
    search = rules(configurations=9, stopping="successive_halving", budget={"trials": 12.0})
    race = finish(race_of(search), lambda c, r: 0.1 * (c + 1), asked)
    assert [set(wanted.values()) for wanted in asked[:2]] == [{1}, {3}]
    assert {c for c, _ in asked[0]} == set(range(9))
    assert {c for c, _ in asked[1]} == {6, 7, 8}
    assert {c for c, _ in asked[2]} == {7, 8}, "at least two go on: one alone is compared with nobody"
    assert places(race)[8] == "winner"
    assert [places(race)[c] for c in range(7)] == ["stopped"] * 7
    # 18 x 1 + 6 x 2 more + 4 x 6 more epochs for the first repeats
    assert sum(len(curve.scores) for (_, r), curve in race.curves.items() if r < 2) == 18 + 12 + 24


def test_median_stops_who_lies_below_the_running_averages():
    """Straight curves: at epoch 3 of 9 the best score is final / 3, the running average two ninths of final. The
    median over finals 0.1 .. 0.8 of the averages is 0.1; best scores reach it from final 0.3 on. At epoch 1 both
    are final / 9: the upper half, 0.5 on, goes on."""
    asked: list = []
    finish(race_of(rules(stopping="median")), lambda c, r: 0.1 * (c + 1), asked)
    assert {c for c, _ in asked[1]} == {4, 5, 6, 7}
    # Of 0.5 .. 0.8 the averages' median at epoch 3 is 0.65 x 2 / 9 = 0.144, the lowest best 0.5 / 3 = 0.167.
    assert {c for c, _ in asked[2]} == {4, 5, 6, 7}


def test_what_ended_early_counts_by_its_epochs():
    """Trainings of 3 of 9 epochs cost a third: a budget of 10 takes 30 of them."""
    search = rules(configurations=4, budget={"trials": 10.0})
    race = race_of(search)
    draw = np.random.default_rng(0)
    wanted = race.advance({})
    while wanted:
        wanted = race.advance({key: Curve(tuple(draw.uniform(0.4, 0.6, 3)), ended=True) for key in wanted})
    assert len(race.curves) in (28, 29, 30)


@pytest.mark.parametrize(
    ("budget", "trainings"),
    [({"hours": 1.0}, 20), ({"gpu_hours": 0.5}, 20), ({"hours": 1.0, "trials": 15.0}, 15)],
)
def test_budgets_of_time_are_spent_at_the_price_of_a_training(budget, trainings):
    """360 s a training, two side by side, a quarter of a GPU each: 20 in an hour, 20 for half a GPU-hour."""
    search = rules(configurations=4, budget=budget)
    race = race_of(search)
    race.side_by_side = 2.0
    draw = np.random.default_rng(1)
    wanted = race.advance({})
    while wanted:
        wanted = race.advance(
            {
                key: Curve((float(draw.uniform(0.4, 0.6)),) * EPOCHS, True, took=(40.0,) * EPOCHS, gpus=0.25)
                for key in wanted
            }
        )
    assert trainings - 2 <= len(race.curves) <= trainings


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
    assert race.standings()[0].reason == "an interval needs at least 3 repeats"
    assert (race.standings()[-1].place, race.standings()[-1].reason) == (
        "untrained",
        "the budget was spent before",
    )


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
    draw = np.random.default_rng(0)
    proposed = iter(range(99))
    race = Race(study(least).search, EPOCHS, lambda told, n: [{"x": next(proposed)} for _ in range(n)])
    finish(race, lambda c, r: float(draw.uniform(0.4, 0.6)))
    assert sum(len(curve.scores) for curve in race.curves.values()) / EPOCHS <= least


def _accepted(study) -> bool:
    try:
        check_search(study)
    except InputError:
        return False
    return True


def test_a_failed_training_takes_its_configuration_out():
    race = race_of(rules(configurations=3))
    wanted = race.advance({})
    while wanted:
        wanted = race.advance(
            {(c, r): Curve((), True, failed=True) if c == 1 else Curve((0.5 + 0.1 * c + 0.01 * r,) * EPOCHS, True)
             for c, r in wanted}
        )  # fmt: skip
    assert places(race)[1] == "failed"
    failed = race.standings()[-1]
    assert (failed.configuration, failed.score, failed.reason) == (1, None, "a training failed")


def test_all_failed_is_no_winner():
    race = race_of(rules(configurations=2))
    wanted = race.advance({})
    while wanted:
        wanted = race.advance({key: Curve((), True, failed=True) for key in wanted})
    assert [each.place for each in race.standings()] == ["failed", "failed"]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    keep=st.floats(0, 1),
    stopping=st.sampled_from(["none", "successive_halving", "median"]),
)
def test_killed_and_asked_again_it_wants_the_same_and_finds_the_same(seed, keep, stopping):
    """Whatever share of the trainings survived, whole or paused further on than was asked for."""
    draw = np.random.default_rng(seed)
    scores = noisy(seed, draw.normal(0.5, 0.05, 8), 0.05)
    fails = {
        int(c): int(draw.integers(0, EPOCHS)) for c in draw.choice(8, 2, replace=False)
    }  # after so many epochs
    search = rules(stopping=stopping)

    def train(c: int, r: int, until: int | None) -> Curve:
        curve, last = curve_from(scores(c, r)), fails.get(c, EPOCHS)
        if r == 0 and last < EPOCHS and (until is None or until > last):
            return Curve(curve[:last], ended=True, failed=True)
        return Curve(curve[:until], until is None)

    def search_with(kept: dict) -> Race:
        race = race_of(search)
        wanted = race.advance({})
        while wanted:
            wanted = race.advance({key: kept.get(key) or train(*key, until) for key, until in wanted.items()})
        return race

    undisturbed = search_with({})
    again = search_with({key: curve for key, curve in undisturbed.curves.items() if draw.random() < keep})
    assert again.standings() == undisturbed.standings()
    assert again.curves == undisturbed.curves
    assert again.batches == undisturbed.batches


def test_grid_and_generations_propose_all_there_are():
    grid = Search.model_validate(
        {
            "method": "grid",
            "ranges": {"a": [1, 2, 3], "b": [1, 2]},
            "budget": {"trials": 30.0},
            "stopping": "none",
        }
    )
    assert len(finish(race_of(grid), lambda c, r: 0.5 + 0.01 * c).configurations) == 6
    told: list = []
    search = rules(method="tpe", configurations=10)
    race = race_of(search)
    propose = race.propose
    race.propose = lambda known, n: told.append((len(known), n)) or propose(known, n)
    finish(race, lambda c, r: 0.5 + 0.01 * c)
    assert told == [(0, 3), (3, 3), (6, 4)]


# --- against the winner


def test_standings_show_the_difference_to_the_winner_in_the_middle_of_its_interval():
    race = finish(race_of(rules()), lambda c, r: 0.5 + 0.01 * np.random.default_rng([c, r]).standard_normal())
    winner, *others = race.standings()
    tested = [each for each in others if each.p_worse is not None]
    assert winner.pairs is None and tested
    for each in tested:
        best, own = (race.ledger.scores(one.configuration)[: each.pairs] for one in (winner, each))
        assert each.behind == pytest.approx(np.mean(best) - np.mean(own))
        assert (each.behind_low + each.behind_high) / 2 == pytest.approx(each.behind)
        assert each.behind_low < each.behind


@pytest.mark.parametrize("uneven", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_the_best_is_dismissed_no_more_often_than_the_level(uneven):
    """400 races of 8 equally good configurations, any of which could be called the best: within three standard errors
    of the nominal 5 %."""
    dismissed = 0
    for seed in range(400):
        sd = 0.05 * np.exp(uneven * np.random.default_rng(seed).standard_normal(8))
        race = finish(
            race_of(rules()),
            lambda c, r, sd=sd, seed=seed: float(
                0.5 + sd[c] * np.random.default_rng([seed, c, r]).standard_normal()
            ),
        )
        dismissed += places(race)[0] == "dismissed"
    assert dismissed / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_racing_picks_better_than_one_run_each():
    """100 searches of 40 configurations at a budget of 40 trainings: one run of each takes luck for skill."""
    short: dict[str, float] = {"race": 0.0, "one run": 0.0}
    for seed in range(100):
        draw = np.random.default_rng(seed)
        truth = draw.normal(0.5, 0.03, 40)
        scores = noisy(seed, truth, 0.06)
        search = rules(configurations=40, stopping="successive_halving", repeats={"first": 1, "most": 20})
        winner = finish(race_of(search), scores).standings()[0].configuration
        lucky = max(range(40), key=lambda c: scores(c, 0))
        short["race"] += truth.max() - truth[winner]
        short["one run"] += truth.max() - truth[lucky]
    assert short["race"] < 0.8 * short["one run"]


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
        draw = np.random.default_rng([seed, c, r])
        last = int(draw.integers(1, EPOCHS + 1)) if draw.random() < early else EPOCHS
        scores = tuple(map(float, draw.uniform(0.4, 0.6, last)))
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
    draw = np.random.default_rng(0)

    def train(r: int, until: int | None) -> Curve:
        last = 3 if r < short else EPOCHS
        return Curve(tuple(map(float, draw.uniform(0.4, 0.6, last)))[:until], until is None or until >= last)

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
