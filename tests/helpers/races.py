"""Races whose scores are made up."""

from collections.abc import Callable
from typing import Any

import numpy as np

from hnscc.searching.ledger import Curve, Wanted
from hnscc.searching.race import Race
from hnscc.study.search_schema import Search

EPOCHS = 9
Scores = Callable[[int, int], float]


def rules(**changes: Any) -> Search:
    raw: dict[str, Any] = {
        "method": "random",
        "ranges": {"training.learning_rate": [0.1, 0.2]},
        "configurations": 8,
    }
    raw |= {"budget": {"trials": 40.0}, "stopping": "none", "repeats": {"first": 2, "most": 20}}
    return Search.model_validate(raw | changes)


def race_of(search: Search) -> Race:
    proposed = iter(range(10_000))
    return Race(
        search, EPOCHS, lambda told, n: [{"training.learning_rate": next(proposed)} for _ in range(n)]
    )


def curve_from(final: float, epochs: int = EPOCHS) -> tuple[float, ...]:
    return tuple(final * (epoch + 1) / epochs for epoch in range(epochs))


def finish(race: Race, scores: Scores, asked: list[Wanted] | None = None) -> Race:
    """Train all that is wanted. scores(c, r) is a training's last score; its curve is a straight line to it."""
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


def noisy(seed: int, truth: np.ndarray, noise: float) -> Scores:
    return lambda c, r: float(truth[c] + noise * np.random.default_rng([seed, c, r]).standard_normal())


def places(race: Race) -> dict[int, str]:
    return {each.configuration: each.place for each in race.standings()}
