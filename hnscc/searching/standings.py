"""What a race found of each configuration, and how sure it is: the winner, those that cannot be told from it, and those
that are worse."""

import math
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from hnscc.base import fewest
from hnscc.scores.intervals import mean_interval
from hnscc.scores.paired_tests import Paired
from hnscc.searching.ledger import Ledger
from hnscc.study.ranges import search_of
from hnscc.study.schema import Study
from hnscc.study.search_schema import Search

NO_SCORE = {
    "failed": "a training failed",
    "stopped": "stopped before its last epoch",
    "untrained": "the budget was spent before",
}

NOT_COMPARED = {"winner": "the winner is not compared with itself", "failed": NO_SCORE["failed"]}


@dataclass(frozen=True)
class Standing:
    """What a search found of one configuration.

    score: the mean over its repeats, with its 95 % t interval (None below 3 repeats). place: one of PLACES
    (`aggregation.columns`), by tests at `level` over all that are compared. behind: the winner's score minus this one's
    over their common repeats (`pairs`), with its 95 % interval and one-sided p. round: the last one that it ran in, 0
    being its first repeats.
    """

    configuration: int
    place: str
    repeats: int
    score: float | None
    score_sd: float | None
    score_low: float | None
    score_high: float | None
    round: int
    pairs: int | None = None
    behind: float | None = None
    behind_low: float | None = None
    behind_high: float | None = None
    p_worse: float | None = None
    reason: str | None = None


def alpha_of_a_test(rules: Search, entered: int, rivals: int) -> float:
    """Return the error rate of one test, such that all tests of a race together dismiss the best configuration with a
    probability of at most `rules.level` (Bonferroni).

    Tests are made before every round and at the end; rounds halve the number of those that `entered`. Each time the
    leader is compared with `rivals`.
    """
    times = math.ceil(math.log2(max(2, entered))) + 1
    return rules.level / times / max(1, rivals)


def standings(ledger: Ledger, rules: Search) -> list[Standing]:
    """Return what was found of every configuration, the winner first, then by repeats and score."""
    every = range(len(ledger.configurations))
    trained = ledger.ranked([c for c in every if ledger.out.get(c) != "failed" and ledger.repeats(c)])
    racing = [c for c in trained if c not in ledger.out]
    order = [*racing[:1], *(c for c in trained if c != racing[0])] if racing else []
    tests = ledger.tests(order) if order else {}
    alpha = alpha_of_a_test(rules, len(order), len(order) - 1)
    rest = [c for c in every if c not in order]
    return [
        _standing(ledger, c, "winner" if c in racing[:1] else _place(ledger, c, tests.get(c), alpha), tests)
        for c in [*order, *rest]
    ]


def _place(ledger: Ledger, c: int, test: Paired | None, alpha: float) -> str:
    """Return the place of a configuration that is not the winner: how it left the race, or what its test at the
    end says."""
    if c in ledger.out:
        return ledger.out[c]
    if test is None:
        return "untrained"
    if test.n < fewest.REPEATS:
        return "set_aside"
    return "dismissed" if test.p is not None and test.p < alpha else "not_distinguished"


def _standing(ledger: Ledger, c: int, place: str, tests: dict[int, Paired]) -> Standing:
    scores = ledger.scores(c)
    mean = fmean(scores) if scores else None
    sd = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    interval = mean_interval(scores)
    ran_in = ledger.rounds.get(c, 0)
    found = Standing(
        configuration=c,
        place=place,
        repeats=len(scores),
        score=mean,
        score_sd=sd,
        score_low=interval.low,
        score_high=interval.high,
        round=ran_in,
        reason=_reason(place, len(scores)),
    )
    if c not in tests:
        return found
    test = tests[c]
    behind = test.interval()
    return replace(
        found,
        pairs=test.n,
        behind=test.difference,
        behind_low=behind.low,
        behind_high=behind.high,
        p_worse=test.p,
        reason=found.reason or (behind.reason if test.p is None else None),
    )


def _reason(place: str, repeats: int) -> str | None:
    """Return why values of a configuration do not exist; None where all do."""
    if not repeats:
        return NO_SCORE[place]
    reasons = []
    if repeats < fewest.VALUES_FOR_MEAN:
        reasons.append(f"an interval needs at least {fewest.VALUES_FOR_MEAN} repeats")
    if place in NOT_COMPARED:
        reasons.append(NOT_COMPARED[place])
    return "; ".join(reasons) or None


def chosen_of(study: Study, standings: list[Standing]) -> list[int]:
    """Return the configurations to be written to the winners' study: the winner, and the best of those that cannot be
    told from it."""
    winner = [each.configuration for each in standings if each.place == "winner"]
    beside = [each.configuration for each in standings if each.place == "not_distinguished"]
    return winner + beside[: search_of(study).runners_up]
