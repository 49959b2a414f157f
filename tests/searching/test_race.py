"""The race: what it asks for, whom it drops, what it says at the end. Nothing is trained: scores are made up."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from races import EPOCHS, curve_from, finish, noisy, places, race_of, rules

from hnscc.scores.intervals import ALL_ALIKE
from hnscc.searching.ledger import Curve
from hnscc.searching.race import Race
from hnscc.study.search_schema import Search


def test_a_rule_that_is_not_known_is_not_taken_for_another():
    """The schema refuses it: a rule that it gains must be known to the race too."""
    with pytest.raises(KeyError, match="third"):
        finish(race_of(rules().model_copy(update={"stopping": "third"})), lambda c, r: 0.5)


def test_with_little_noise_the_best_wins_and_the_worse_are_dismissed_by_tests():
    truth = [0.5, 0.7, 0.6, 0.1, 0.2, 0.3, 0.4, 0.65]
    race = finish(race_of(rules()), lambda c, r: truth[c] + 1e-6 * ((r + c) % 2))
    assert race.standings()[0].configuration == 1
    assert places(race) == {1: "winner", **dict.fromkeys((0, 2, 3, 4, 5, 6, 7), "dismissed")}
    too_few = "an interval needs at least 3 repeats"
    told = [each.reason for each in race.standings()]
    assert told == [f"{too_few}; the winner is not compared with itself", *[too_few] * 7]
    assert len(race.curves) == 16, "nobody is left to race against: the budget is not spent for its own sake"


def test_rounds_halve_the_field_and_share_the_budget():
    """8 x 2 first repeats of a budget of 40; 24 are left for rounds of 4 and 2: 12 each, 3 and 6 more repeats."""
    asked: list = []
    rng = np.random.default_rng(3)
    race = finish(race_of(rules()), lambda c, r: 0.5 + 0.1 * rng.standard_normal(), asked)
    sizes = [(len(wanted), len({c for c, _ in wanted})) for wanted in asked]
    assert sizes == [(16, 8), (12, 4), (12, 2)]
    assert len(race.curves) == 40
    finalists = [each for each in race.standings() if each.repeats == 11]
    assert len(finalists) == 2
    assert race.standings()[0] in finalists
    assert race.standings()[0].score >= finalists[1].score


def test_two_that_are_left_by_tests_get_a_round_of_their_own():
    """Of 40, 8 are spent; 32 are 16 more repeats of each of two."""
    asked: list = []
    finish(race_of(rules(configurations=4)), lambda c, r: 0.5 * (c < 2) + 0.01 * ((r + c) % 2), asked)
    assert [(len(wanted), {c for c, _ in wanted}) for wanted in asked] == [(8, {0, 1, 2, 3}), (32, {0, 1})]


def test_where_all_have_the_most_repeats_no_round_follows():
    search = rules(configurations=4, repeats={"first": 2, "most": 2})
    race = finish(race_of(search), lambda c, r: 0.5 + 0.01 * ((r + c) % 2))
    assert {(each.repeats, each.round) for each in race.standings()} == {(2, 0)}


def test_a_lucky_start_does_not_win():
    """Configuration 0 scores 0.65 in its first two repeats and 0.4 ever after; the others 0.5, give or take 0.1."""
    race = finish(
        race_of(rules()), lambda c, r: (0.65 if r < 2 else 0.4) if c == 0 else 0.5 + 0.1 * ((r + c) % 3 - 1)
    )
    assert race.standings()[0].configuration != 0


def test_the_leader_has_the_most_repeats_though_others_scored_more_in_fewer():
    """The four that were the best of two repeats are 0.2 worse from then on; the four left behind keep 0.55."""
    race = finish(race_of(rules()), lambda c, r: 0.55 if c > 3 else 0.6 if r < 2 else 0.4)
    found = [each.leader_score for each in race.portions]
    assert found == [pytest.approx(each) for each in (0.6, 2.4 / 5, (1.2 + 9 * 0.4) / 11)]


def test_configurations_that_train_alike_are_not_told_apart():
    """As a longer patience than any training needs: they were said to be set aside after one repeat, with twenty."""
    race = finish(race_of(rules(configurations=2)), lambda c, r: 0.5 + 0.01 * r)
    assert [(each.place, each.repeats, each.p_worse) for each in race.standings()] == [
        *(("winner", 20, None), ("not_distinguished", 20, None))
    ]
    assert race.standings()[1].reason == ALL_ALIKE


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
    assert [set(each.epochs.values()) for each in race.portions[:3]] == [{1}, {2}, {6}]
    assert [each.leader_score for each in race.portions[:3]] == [None, None, pytest.approx(0.9)]
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
    rng = np.random.default_rng(0)
    wanted = race.advance({})
    while wanted:
        wanted = race.advance({key: Curve(tuple(rng.uniform(0.4, 0.6, 3)), ended=True) for key in wanted})
    assert len(race.curves) in (28, 29, 30)


@pytest.mark.parametrize("stopping", ["none", "median"])
def test_a_failed_training_takes_its_configuration_out(stopping):
    race = race_of(rules(configurations=3, stopping=stopping))
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
    rng = np.random.default_rng(seed)
    scores = noisy(seed, rng.normal(0.5, 0.05, 8), 0.05)
    fails = {
        int(c): int(rng.integers(0, EPOCHS)) for c in rng.choice(8, 2, replace=False)
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
    again = search_with({key: curve for key, curve in undisturbed.curves.items() if rng.random() < keep})
    assert again.standings() == undisturbed.standings()
    assert again.curves == undisturbed.curves
    assert again.portions == undisturbed.portions


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
    search = rules(method="tpe", configurations=10, stopping="successive_halving")
    race = race_of(search)
    propose = race.propose
    race.propose = lambda known, n: told.append((len(known), n)) or propose(known, n)
    finish(race, lambda c, r: 0.5 + 0.01 * c)
    assert told == [(0, 3), (3, 3), (6, 4)]
    for configurations, sizes in ((18, [4, 4, 5, 5]), (2, [2])):
        race = race_of(rules(method="tpe", configurations=configurations))
        asked: list = []
        finish(race, lambda c, r: 0.5 + 0.01 * c, asked)
        assert [len({c for c, _ in each}) for each in asked[: len(sizes)]] == sizes


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


@pytest.mark.slow
@pytest.mark.parametrize("uneven", [0.0, 0.5])
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
        rng = np.random.default_rng(seed)
        truth = rng.normal(0.5, 0.03, 40)
        scores = noisy(seed, truth, 0.06)
        search = rules(configurations=40, stopping="successive_halving", repeats={"first": 1, "most": 20})
        winner = finish(race_of(search), scores).standings()[0].configuration
        lucky = max(range(40), key=lambda c: scores(c, 0))
        short["race"] += truth.max() - truth[winner]
        short["one run"] += truth.max() - truth[lucky]
    assert short["race"] < 0.8 * short["one run"]
