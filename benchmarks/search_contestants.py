"""The searches that search_peers.py compares: each chooses from a pool of configurations by its trained
epochs alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers.async_hyperband import _Bracket
from ray.tune.schedulers.trial_scheduler import TrialScheduler

from hnscc.searching.ledger import Curve
from hnscc.searching.race import Race
from hnscc.study.search_schema import Search

ETA = 3
# From a configuration of the pool and a repeat to the validation score after each epoch.
Scores = Callable[[int, int], tuple[float, ...]]


@dataclass(frozen=True)
class Pick:
    """What a search chose: a configuration of the pool, the score that it promises, and how many of its trainings
    it saw."""

    configuration: int
    promised: float
    seen: int
    dismissed: frozenset[int] = frozenset()


def random_search(scores: Scores, pool: list[int], epochs: int, budget: float) -> Pick:
    best = {c: max(scores(c, 0)) for c in pool[: int(budget)]}
    return _best(best)


def asha(scores: Scores, pool: list[int], epochs: int, budget: float) -> Pick:
    """Search by ASHA: train configurations one after another while the budget lasts, each until its bracket
    stops it."""
    bracket, left, best = _Bracket(max(1, epochs // 9), epochs, ETA, 0), budget * epochs, {}
    for c in pool:
        curve = scores(c, 0)
        trial: Any = SimpleNamespace(trial_id=str(c))
        for epoch in range(1, len(curve) + 1):
            if left < 1:
                break
            left -= 1
            best[c] = max(curve[:epoch])
            if bracket.on_result(trial, epoch, best[c]) == TrialScheduler.STOP:
                break
    return _best(best)


def _best(scores: dict[int, float]) -> Pick:
    c = max(scores, key=lambda each: scores[each])
    return Pick(c, scores[c], 1)


def race(scores: Scores, pool: list[int], epochs: int, budget: float, rules: dict[str, Any]) -> Pick:
    search = Search.model_validate(
        {"method": "random", "ranges": {"training.x": [0, 1]}, "budget": {"trials": float(budget)}} | rules
    )
    names = iter(pool)
    race = Race(search, epochs, lambda told, n: [{"c": next(names)} for _ in range(n)])
    wanted = race.advance({})
    while wanted:
        trained = {}
        for (c, r), until in wanted.items():
            curve = scores(race.configurations[c]["c"], r)
            trained[c, r] = Curve(curve[:until], until is None or until >= len(curve))
        wanted = race.advance(trained)
    standings = race.standings()
    place = {each.configuration: race.configurations[each.configuration]["c"] for each in standings}
    dismissed = frozenset(place[each.configuration] for each in standings if each.place == "dismissed")
    best = standings[0]
    assert best.score is not None, "the winner of a race that is over has one"
    return Pick(place[best.configuration], best.score, best.repeats, dismissed)


def searches(pool: int, most: int) -> dict[str, Callable[..., Pick]]:
    """Return the searches by name. Each race takes so large a part of the pool that its first repeats use half of a
    budget as large as the pool."""
    single = {"configurations": pool // 2, "repeats": {"first": 1, "most": most}, "stopping": "none"}
    part = {"configurations": pool // 4, "repeats": {"first": 2, "most": most}, "stopping": "none"}
    whole = {"configurations": pool, "repeats": {"first": 1, "most": most}, "stopping": "successive_halving"}
    return {
        "random": random_search,
        "ASHA": asha,
        "race, first 1": partial(race, rules=single),
        "race, first 2": partial(race, rules=part),
        "race, halving": partial(race, rules=whole),
    }
