"""What the ledger of a race counts, and by which numbers configurations are told apart: each value by hand."""

from dataclasses import replace

import numpy as np
import pytest
from races import rules
from searches import searched

from hnscc.scores.paired_tests import paired_t
from hnscc.searching.ledger import UNLIMITED, Curve, Ledger
from hnscc.searching.race import best_third, not_below_the_median
from hnscc.searching.standings import alpha_of_a_test, chosen_of, standings
from hnscc.study.search_schema import Budget


def whole(score: float, epochs: int = 3, **facts) -> Curve:
    return Curve((score,) * epochs, True, **facts)


def ledger_of(curves, epochs: int = 3, **facts) -> Ledger:
    count = max((c for c, _ in curves), default=-1) + 1
    return Ledger(epochs, configurations=[{} for _ in range(count)], curves=curves, **facts)


def test_a_curve_is_cut_where_it_paused():
    curve = Curve((0.1, 0.4, 0.2), True, took=(1.0, 2.0, 3.0), gpus=(0.5, 0.5, 1.0))
    assert (curve.best(), curve.best(1), curve.best(0), Curve((), True).best()) == (0.4, 0.1, 0.0, 0.0)
    assert (curve.seconds, curve.gpu_seconds) == (6.0, 4.5)
    assert curve.paused(None) == curve.paused(3) == curve.paused(4) == curve
    assert curve.paused(2) == Curve((0.1, 0.4), False, took=(1.0, 2.0), gpus=(0.5, 0.5))
    failed = replace(curve, failed=True)
    assert failed.paused(3) == replace(curve, ended=False), "it failed only later"
    assert failed.paused(4) == failed


def test_repeats_count_from_the_first_without_a_gap_once_they_have_ended():
    curves = {(0, 0): whole(0.5), (0, 1): whole(0.7), (0, 3): whole(0.9), (1, 0): whole(0.9)}
    curves |= {(2, 0): whole(0.6), (2, 1): Curve((0.8,), False), (3, 0): whole(0.9)}
    curves |= {(3, 1): whole(0.9, failed=True), (3, 2): whole(0.9), (4, 0): whole(0.6)}
    ledger = ledger_of(curves)
    assert [ledger.repeats(c) for c in range(5)] == [2, 1, 1, 1, 1]
    assert ledger.scores(0) == [0.5, 0.7] and ledger.score(0) == pytest.approx(0.6)
    assert ledger.shown(0) == pytest.approx(0.7), "all that it has, of which later proposals learn"
    assert ledger.shown(2) == pytest.approx(0.7)
    assert ledger.ranked([4, 2, 1, 0]) == [0, 1, 2, 4], "more repeats, then the score, then the number"
    ledger.note_failures([0, 1, 2])
    assert ledger.out == {}
    ledger.note_failures([2, 3])
    assert ledger.out == {3: "failed"} and ledger.shown(3) == 0
    ledger.out |= {1: "stopped"}
    assert ledger.racing() == [0, 2, 4] and ledger.shown(1) == 0.9
    assert replace(ledger, counted={0: 1}).repeats(0) == 1
    stopped = replace(ledger, out={3: "stopped"})
    stopped.note_failures([3])
    assert stopped.out == {3: "stopped"}, "it had left before"


def test_who_has_reached_an_epoch():
    """Two repeats each: as far as they got, or to their end before it."""
    curves = {(c, r): Curve((0.1,) * 2, False) for c in range(5) for r in range(2)}
    curves |= {
        (1, 1): Curve((0.1,), True),
        (2, 1): Curve((0.1,), False),
        (3, 1): Curve((), True, failed=True),
    }
    del curves[4, 1]
    ledger = ledger_of(curves)
    assert list(ledger.reaching(2, 2)) == [0, 1] and list(ledger.reaching(1, 2)) == [0, 1, 2]
    assert list(ledger.reaching(2, 1)) == [0, 1, 2, 3, 4]
    assert list(replace(ledger, out={0: "failed", 1: "stopped"}).reaching(2, 2)) == [1]


def test_the_best_third_and_those_not_below_the_median_by_the_mean_of_repeats_until_then():
    """Until epoch 1 the best scores are 0.3, 0.35, 0.4, 0.5, 0.5; what came later would put the first one on top, and
    the better of two repeats the second."""
    curves = {
        0: [Curve((0.2, 0.9), False), Curve((0.4, 0.9), False)],
        1: [Curve((0.65, 0.6), False), Curve((0.05, 0.1), False)],
        2: [Curve((0.4, 0.1), False)] * 2,
        3: [Curve((0.5, 0.5), False)] * 2,
        4: [Curve((0.5, 0.5), False)] * 2,
    }
    assert not_below_the_median(curves, 1) == {2, 3, 4}
    assert best_third(curves, 1) == {3, 4}
    assert best_third(curves | {5: curves[4]}, 1) == {3, 4}, "the first two of three equal ones"
    # Best until 2: 0.9, 0.35 (0.65 and 0.1), 0.4, 0.5, 0.5. Averages: 0.6, 0.35, 0.25, 0.5, 0.5, whose median is 0.5.
    assert not_below_the_median(curves, 2) == {0, 3, 4}


def test_what_is_left_of_a_budget_at_the_price_of_a_training():
    """Of 3 epochs, one each: 1, 1/3, and in vain 1 and 1/3."""
    seconds = {"took": (1000.0,), "gpus": (0.25,)}
    curves = {(0, 0): Curve((0.5,) * 3, True, took=(1000.0,) * 3, gpus=(0.25,) * 3)}
    curves |= {(1, 0): Curve((0.5,), True, **seconds), (1, 1): Curve((0.5,), False, **seconds)}
    curves |= {(2, 0): replace(curves[0, 0], failed=True)}
    ledger = ledger_of(curves)
    # Spent are 8/3 whole trainings, at 2/3 each; 1 for configuration 0, 1/3 for 1.
    assert ledger.affordable(Budget(trials=10.0), 1.0) == 11  # 22/3 divided by 2/3
    assert ledger.affordable(Budget(trials=10.0), 1.0, [0]) == 7
    assert ledger.affordable(Budget(trials=10.0), 1.0, [1]) == 22
    assert ledger.affordable(Budget(trials=2.6), 1.0) == 0
    # 8,000 s of 10,800 (three hours one at a time), at 2,000 s; and of 21,600.
    assert ledger.affordable(Budget(hours=3.0), 1.0) == 1 and ledger.affordable(Budget(hours=3.0), 2.0) == 6
    # A quarter of each second: 2,000 s of 3,600, at 500 s.
    assert ledger.affordable(Budget(gpu_hours=1.0), 1.0) == 3
    assert ledger.affordable(Budget(trials=10.0, hours=3.0, gpu_hours=1.0), 1.0) == 1
    assert Ledger(3).affordable(Budget(hours=3.0), 1.0) == UNLIMITED, "no price is known yet"
    assert Ledger(3).affordable(Budget(trials=3.0), 1.0) == 3
    in_vain = ledger_of({(0, 0): replace(curves[0, 0], failed=True)})
    assert in_vain.affordable(Budget(hours=0.5), 1.0) == 0, "3,000 s of 1,800, and still no price"


def test_rounding_costs_no_training():
    """(0.3 - 0.1) / 0.1 is 1.9999999999999998, 14 times 0.1 and 1 add up to 2.4000000000000004, and 0.57 times 100
    is 56.99999999999999."""
    ledger = ledger_of({(0, 0): whole(0.5, epochs=1)}, epochs=10)
    assert ledger.affordable(Budget(trials=0.3), 1.0) == 2
    ledger = ledger_of({(0, r): whole(0.5, epochs=1) for r in range(14)}, epochs=10)
    assert ledger.surely_affords(Budget(trials=2.4), [(0, 14)])
    assert not ledger.surely_affords(Budget(trials=2.39), [(0, 14)])
    assert ledger.surely_affords(Budget(hours=1.0), [(0, r) for r in range(99)])
    ledger = ledger_of({(0, 0): whole(0.5, epochs=7)}, epochs=100)
    assert ledger.epochs_left(Budget(trials=0.57)) == 50
    assert ledger.epochs_left(Budget(hours=1.0)) == UNLIMITED


def test_a_longer_training_costs_more():
    ledger = Ledger(9, configurations=[{"training.epochs": 18}, {}])
    assert ledger.surely_affords(Budget(trials=3.0), [(0, 0), (1, 0)])
    assert not ledger.surely_affords(Budget(trials=2.9), [(0, 0), (1, 0)])


def test_each_is_tested_on_common_repeats_with_the_variance_of_all_that_have_as_many():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.4, 0.6, (4, 5))
    repeats = (5, 5, 3, 1)
    ledger = ledger_of({(c, r): whole(float(scores[c, r])) for c in range(4) for r in range(repeats[c])})
    tests = ledger.tests([1, 0, 2, 3])
    assert tests[0] == paired_t(scores[[1, 0]], 0, 1)
    assert tests[2] == paired_t(scores[[1, 0, 2]][:, :3], 0, 2)
    assert (tests[3].n, tests[3].p) == (1, None)


@pytest.mark.parametrize(
    ("entered", "rivals", "tests"), [(8, 7, 28), (5, 4, 16), (4, 1, 3), (2, 1, 2), (1, 0, 2)]
)
def test_the_level_is_shared_by_rounds_and_rivals(entered, rivals, tests):
    """Before each of the rounds that halve 8, which are three, and at the end: four tests of seven rivals."""
    assert alpha_of_a_test(rules(level=0.1), entered, rivals) == pytest.approx(0.1 / tests)


def test_places_and_numbers_of_the_standings():
    """The winner, one like it, one far behind, one with a single repeat, a stopped, a failed and an untrained one."""
    curves = {(0, r): whole(0.6 + 0.02 * (-1) ** r) for r in range(4)}
    curves |= {(1, r): whole(0.58 + 0.03 * (-1) ** (r // 2)) for r in range(4)}
    curves |= {(2, r): whole(0.2 + 0.02 * (-1) ** r) for r in range(3)}
    curves |= {
        (3, 0): whole(0.9),
        (4, 0): whole(0.95),
        (5, 0): whole(0.99),
        (5, 1): Curve((), True, failed=True),
    }
    ledger = ledger_of(curves, out={4: "stopped", 5: "failed"}, rounds={0: 2, 1: 2, 2: 1})
    ledger.configurations.append({})
    found = standings(ledger, rules())
    assert [(each.configuration, each.place, each.repeats, each.round) for each in found] == [
        *((0, "winner", 4, 2), (1, "not_distinguished", 4, 2), (2, "dismissed", 3, 1), (4, "stopped", 1, 0)),
        *((3, "set_aside", 1, 0), (5, "failed", 1, 0), (6, "untrained", 0, 0)),
    ]
    winner, second, third, *_, last = found
    assert winner.score == pytest.approx(0.6)
    assert winner.score_sd == pytest.approx((4 * 0.02**2 / 3) ** 0.5)
    assert (winner.reason, third.reason) == ("the winner is not compared with itself", None)
    assert found[3].reason == found[4].reason == "an interval needs at least 3 repeats"
    assert found[5].reason == "an interval needs at least 3 repeats; a training failed"
    assert (found[4].score_sd, last.score, last.reason) == (None, None, "the budget was spent before")
    assert second.behind == pytest.approx(0.02) and third.behind == pytest.approx(0.4 + 0.02 / 3 - 0.02 / 3)
    for share, place in ((0.99, "not_distinguished"), (1.01, "dismissed")):
        level = rules(level=share * third.p_worse * 4 * 4)  # five of which one leads: four tests of four
        assert standings(ledger, level)[2].place == place
    assert [chosen_of(searched({"runners_up": most}), found) for most in (0, 1, 5)] == [[0], [0, 1], [0, 1]]
    left = replace(ledger, out={**ledger.out, 0: "stopped"})
    assert standings(left, rules())[0].configuration == 1, "who has left the race has not won it"
    assert second.behind_low < 0.02 < second.behind_high and third.pairs == 3
