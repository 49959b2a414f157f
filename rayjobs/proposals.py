"""Proposes a search's configurations: first the recorded ones again, then new ones by Ray Tune's searchers."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.variant_generator import generate_variants

from hnscc.base.errors import InputError
from hnscc.base.seeds import short_seed
from hnscc.searching.race import Propose
from hnscc.study.ranges import (
    Configuration,
    is_whole,
    number_to_try,
    search_of,
)
from hnscc.study.schema import Study
from hnscc.study.search_schema import Range

# Where a configuration was there before, so many others are tried.
TRIES = 1000


def proposer(study: Study, recorded: Sequence[Configuration] = ()) -> Propose:
    """Return the function that the race calls for configurations. It gives the recorded ones again, then new ones,
    all different.

    Tune's variant generator makes those of random and grid; Optuna, through Tune's OptunaSearch, those of tpe, and it
    is told the scores.
    """
    known: list[Configuration] = []
    recorded = [{path: each[path] for path in search_of(study).ranges} for each in recorded]
    makers = {"random": _random, "grid": _grid, "tpe": _tpe}

    def propose(told: Sequence[tuple[Configuration, float]], n: int) -> list[Configuration]:
        new = list(recorded[len(known) : len(known) + n])
        if len(new) < n:
            new += makers[search_of(study).method](study, told, [*known, *new], n - len(new))
        known.extend(new)
        return new

    return propose


def _grid(study: Study, told: Any, known: list[Configuration], n: int) -> list[Configuration]:
    spec = {"config": {path: tune.grid_search([*values]) for path, values in search_of(study).ranges.items()}}
    return [variant["config"] for _, variant in generate_variants(spec)][len(known) : len(known) + n]


def _random(study: Study, told: Any, known: list[Configuration], n: int) -> list[Configuration]:
    rng = np.random.RandomState(short_seed(study.seed, "search", len(known)))
    spec = {"config": _domains(study)}
    return _distinct(study, known, n, lambda: next(generate_variants(spec, random_state=rng))[1]["config"])


def _tpe(
    study: Study, told: Sequence[tuple[Configuration, float]], known: list[Configuration], n: int
) -> list[Configuration]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    places = [_placed(study, settings) for settings, _ in told]
    sampler = optuna.samplers.TPESampler(
        seed=short_seed(study.seed, "search", len(known)), n_startup_trials=min(10, len(told))
    )
    searcher = OptunaSearch(
        OptunaSearch.convert_search_space(_domains(study)),
        metric="score",
        mode="max",
        sampler=sampler,
        points_to_evaluate=places or None,
        evaluated_rewards=[score for _, score in told] or None,
    )
    names = itertools.count()
    return _distinct(study, known, n, lambda: searcher.suggest(str(next(names))) or {})


def _domains(study: Study) -> dict[str, Any]:
    """Return the range of each setting in Ray Tune's form; for a list, the positions of its values, since a value may
    be of any kind, even a whole network."""
    return {path: _domain(study, path, each) for path, each in search_of(study).ranges.items()}


def _domain(study: Study, path: str, values: Range | tuple[Any, ...]) -> Any:
    if not isinstance(values, Range):
        return tune.choice(list(range(len(values))))
    if is_whole(study, path):
        return (tune.lograndint if values.log else tune.randint)(int(values.low), int(values.high) + 1)
    return (tune.loguniform if values.log else tune.uniform)(values.low, values.high)


def _placed(study: Study, settings: Configuration) -> dict[str, Any]:
    """Return the settings in the form of `_domains`."""
    ranges = search_of(study).ranges
    return {path: _position(ranges[path], value) for path, value in settings.items()}


def _position(values: Range | tuple[Any, ...], value: Any) -> Any:
    return value if isinstance(values, Range) else values.index(value)


def _distinct(
    study: Study, known: list[Configuration], n: int, make: Callable[[], dict[str, Any]]
) -> list[Configuration]:
    new: list[Configuration] = []
    for _ in range(TRIES * n):
        settings = _settings(study, make())
        if settings not in known and settings not in new:
            new.append(settings)
        if len(new) == n:
            return new
    raise InputError(
        "The ranges hold no more configurations.",
        where="search.configurations",
        expected=f"as many as the ranges hold, {len(known) + len(new)} or a few more",
        found=str(number_to_try(search_of(study))),
        do="try fewer, widen the ranges, or use `method: grid`, which tries all",
    )


def _settings(study: Study, chosen: dict[str, Any]) -> Configuration:
    """Return the settings as a study file has them: the list entries themselves, and real numbers with four digits."""
    settings = {}
    for path, each in search_of(study).ranges.items():
        value = chosen[path]
        if not isinstance(each, Range):
            settings[path] = each[int(value)]
        elif is_whole(study, path):
            settings[path] = int(value)
        else:
            settings[path] = min(max(float(f"{value:.4g}"), each.low), each.high)
    return settings
