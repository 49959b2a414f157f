"""Which search finds the better configuration at equal trained epochs: the race, ASHA, or random search?

    python benchmarks/search_peers.py                                           simulated, known truth
    python benchmarks/search_peers.py --bank FOLDER --store data/demo.zarr      real trainings

Every search draws from the same pool of configurations and may train as many epochs. `random` trains each
configuration once and takes the best score; `ASHA` does so with Ray Tune's own rungs (AsyncHyperBandScheduler's
bracket, reduction factor 3, grace period a ninth of the epochs), one trial at a time; `race` is ours: with one
first repeat of each of half the pool, with two of each of a quarter, or (`halving`) with one of the whole pool and
successive halving across epochs.

Simulated: a configuration's true score is normal over the pool; a training's is normal around it, with a spread of the
configuration's own; its curve rises to it at the configuration's own speed. Told: how often the pick lies within one
standard deviation of a training of the pool's best; how far the promised score falls at a fresh repeat; how often the
race's tests dismiss the best configuration that it has (level 0.05).

Real: --bank trains a pool of configurations several times each (kept in FOLDER; a run that is cut short goes on), the
test patients' predictions included. Searches are then replayed from these trainings: each draws its own order of
configurations and of repeats. Told: mean test Dice of the picked configuration over its repeats, and the fall of the
promised validation score at the repeats that the search has not seen.
"""

import argparse
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from figures import machine
from ray.tune.schedulers.async_hyperband import _Bracket
from ray.tune.schedulers.trial_scheduler import TrialScheduler

from hnscc.base.cores import cores
from hnscc.cohort.fold import read_folds
from hnscc.searching.ledger import Curve
from hnscc.searching.race import Race
from hnscc.searching.recorded import trial_of
from hnscc.study.loading import parse_study
from hnscc.study.ranges import with_configurations
from hnscc.study.run_folder import TrialFolder
from hnscc.study.schema import Study
from hnscc.study.search_schema import Search
from hnscc.training.ready import Task, plan_folds
from hnscc.training.records import read_record
from hnscc.training.states import is_completed
from hnscc.training.trial import steps_of_trial
from rayjobs.proposals import proposer

LEVEL, ETA = 0.05, 3
# Configuration of the pool, repeat -> validation score after each epoch.
Scores = Callable[[int, int], tuple[float, ...]]


@dataclass(frozen=True)
class Pick:
    """What a search chose: a configuration of the pool, the score it promises, the trainings that it saw of it."""

    configuration: int
    promised: float
    seen: int
    dismissed: frozenset[int] = frozenset()


def random_search(scores: Scores, pool: list[int], epochs: int, budget: float) -> Pick:
    best = {c: max(scores(c, 0)) for c in pool[: int(budget)]}
    return _best(best)


def asha(scores: Scores, pool: list[int], epochs: int, budget: float) -> Pick:
    """One after another, as many as the budget takes; each goes on until its bracket stops it."""
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
    """Parts of the pool such that the first repeats take half of a budget as large as the pool."""
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


# --- simulated


def simulated(pool: int, spread: float, noise: float, uneven: float, heavy: bool, n: int) -> None:
    epochs = 27
    found: dict[str, Any] = {}
    for simulation in range(n):
        draw = np.random.default_rng([simulation, pool])
        truth = 0.6 + spread * draw.standard_normal(pool)
        sd = noise * np.exp(uneven * draw.standard_normal(pool))
        speed = draw.uniform(2, 6, pool)

        def scores(c: int, r: int) -> tuple[float, ...]:
            own = np.random.default_rng([simulation, c, r])  # noqa: B023 (used within this simulation alone)
            error = own.standard_t(3) / np.sqrt(3) if heavy else own.standard_normal()
            final = truth[c] + sd[c] * error  # noqa: B023
            return tuple(final * (1 - np.exp(-speed[c] * np.arange(1, epochs + 1) / epochs)))  # noqa: B023

        scale = 1 - np.exp(-speed)
        reached = truth * scale
        order = draw.permutation(pool).tolist()
        for name, search in searches(pool, 30).items():
            pick = search(scores, order, epochs, pool)
            mine = reached[pick.configuration]
            entered = order[: {"race, first 1": pool // 2, "race, first 2": pool // 4}.get(name, pool)]
            best = max(entered, key=lambda c: reached[c])
            row = (
                reached.max() - mine <= noise,
                reached.max() - mine,
                pick.promised - mine,
                best in pick.dismissed,
            )
            found.setdefault(name, []).append(row)
    law = ", t with 3 degrees" if heavy else ""
    print(f"pool {pool}, spread {spread:g}, noise {noise:g} (uneven {uneven:g}{law}), n = {n}")
    for name, rows in found.items():
        within, regret, fall, false = np.array(rows, float).mean(0)
        tests = f"  best dismissed by a test {false:.3f}" if name.startswith("race") else ""
        told = f"within 1 SD of the best {within:.3f}  short of it {regret:.4f}  promise falls {fall:+.4f}"
        print(f"  {name:14s} {told}{tests}", flush=True)


# --- real trainings

RANGES = {
    "training.learning_rate": {"low": 0.0003, "high": 0.03, "log": True},
    "training.batch_size": [4, 8, 16],
    "training.network.width": [4, 8],
    "augmentation.copies": [0, "fresh"],
    "augmentation.rotate_degrees": {"low": 0, "high": 45},
    "augmentation.translate": [0.0, 0.1, 0.2],
}


def bank_study(store: str, pool: int, negatives: str) -> Study:
    training = {
        "network": {"architecture": "paper", "width": 4},
        "epochs": 18,
        "patience": 18,
        "device": "cpu",
    }
    search = {"method": "random", "ranges": RANGES, "configurations": pool, "budget": {"trials": 1e6}}
    study = {
        "name": "bank",
        "store": store,
        "modalities": ["pet", "mri"],
        "training": training,
        "search": search,
    }
    study |= {
        "split": {"test": 0.3, "validation": 0.25},
        "sampling": {"max_positive": 60, "negatives": negatives},
    }
    return parse_study(study)


def fill(study: Study, folder: Path, pool: int, repeats: int) -> None:
    settings = proposer(study)([], pool)
    (folder / "configurations.json").write_text(json.dumps(settings, indent=1))
    keys = [(c, r) for r in range(repeats) for c in range(pool)]
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as workers:
        list(workers.map(_train, [study] * len(keys), [settings] * len(keys), [folder] * len(keys), keys))


_FOLD: list[Any] = []


def _train(study: Study, settings: list[dict[str, Any]], folder: Path, key: tuple[int, int]) -> None:
    if not _FOLD:
        # The test set open, as a search never has it: it is the truth that picks are measured by.
        store, plans = plan_folds(study.model_copy(update={"search": None}))
        _FOLD.append(read_folds(store, study, [plans[0]])[0])
    trial, precision = trial_of(key), "bf16"
    where = TrialFolder(folder / trial.trial_id)
    if not is_completed(where):
        full = with_configurations(study, settings)
        for _ in steps_of_trial(Task(full, trial, _FOLD[0], where, "cpu", precision)):
            pass
        where.weights.unlink(missing_ok=True)


def replayed(folder: Path, pool: int, repeats: int, n: int) -> None:
    curves, test = {}, np.zeros((pool, repeats))
    for c in range(pool):
        for r in range(repeats):
            where = TrialFolder(folder / trial_of((c, r)).trial_id)
            record = read_record(where)
            if record is None or record.status != "completed":
                raise RuntimeError(f"{where.root.name} is not completed")
            curves[c, r] = tuple(pq.read_table(where.history)["val_soft_jaccard"].to_pylist())
            test[c, r] = record.scores["test"]["dice"]
    epochs = max(map(len, curves.values()))
    validation = np.array([[max(curves[c, r]) for r in range(repeats)] for c in range(pool)])
    best = validation.mean(1).argmax()
    print(
        f"{pool} configurations x {repeats} repeats of {epochs} epochs; validation score "
        f"{validation.mean(1).min():.3f} to {validation.mean(1).max():.3f}, SD of a repeat "
        f"{np.median(validation.std(1, ddof=1)):.3f}; test Dice of the best by validation {test.mean(1)[best]:.3f}, "
        f"of all {test.mean():.3f}, best {test.mean(1).max():.3f}"
    )
    found: dict[str, list[tuple[float, ...]]] = {}
    for simulation in range(n):
        draw = np.random.default_rng([simulation, 5])
        order = draw.permutation(pool).tolist()
        turn = draw.permutation(repeats).tolist()
        for name, search in searches(pool, repeats - 2).items():
            pick = search(lambda c, r: curves[c, turn[r]], order, epochs, pool)  # noqa: B023
            fresh = fmean(validation[pick.configuration, turn[r]] for r in range(pick.seen, repeats))
            c = pick.configuration
            row = (test[c].mean(), validation[c].mean(), pick.promised - fresh)
            found.setdefault(name, []).append(row)
    reference = np.array(found["race, first 1"])
    for name, rows in found.items():
        values = np.array(rows)
        mean, error = values.mean(0), values.std(0, ddof=1) / np.sqrt(n)
        ahead = (reference - values)[:, 0]
        print(
            f"  {name:14s} test Dice {mean[0]:.3f} (SE {error[0]:.3f})  validation {mean[1]:.3f}  promise falls "
            f"{mean[2]:+.3f} (SE {error[2]:.3f})  race, first 1 ahead by {ahead.mean():+.3f}, better "
            f"{np.mean(ahead > 0):.2f}, worse {np.mean(ahead < 0):.2f}; n = {n}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bank", type=Path, help="folder of real trainings, made here")
    parser.add_argument("--store", default="data/demo.zarr")
    parser.add_argument("--negatives", default="lesion_free_scans", choices=["lesion_free_scans", "any_scan"])
    parser.add_argument("--pool", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--searches", type=int, help="default: 1000 simulated, 200 replayed")
    options = parser.parse_args()
    print(machine(), flush=True)
    if options.bank:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        options.bank.mkdir(parents=True, exist_ok=True)
        fill(
            bank_study(options.store, options.pool, options.negatives),
            options.bank,
            options.pool,
            options.repeats,
        )
        return replayed(options.bank, options.pool, options.repeats, options.searches or 200)
    n = options.searches or 1000
    for spread, noise, uneven, heavy in (
        (0.05, 0.03, 0.0, False),
        (0.05, 0.05, 0.3, False),
        (0.02, 0.05, 0.3, False),
        (0.02, 0.05, 0.3, True),
        (0.0, 0.05, 0.0, False),
        (0.0, 0.05, 0.5, False),
    ):
        simulated(60, spread, noise, uneven, heavy, n)
    return None


if __name__ == "__main__":
    main()
