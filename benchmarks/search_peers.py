"""Which search finds the better configuration at equal trained epochs: the race, ASHA, or random search?

    python benchmarks/search_peers.py                                           simulated, known truth
    python benchmarks/search_peers.py --bank FOLDER --store data/demo.zarr      real trainings

Every search chooses from the same pool of configurations and may train as many epochs. `random` trains each
configuration once and takes the best score. `ASHA` does so with Ray Tune's own rungs (AsyncHyperBandScheduler's
bracket, reduction factor 3, grace period a ninth of the epochs), one trial at a time. `race` is ours, in three forms:
with one first repeat of each of half the pool, with two of each of a quarter, or (`halving`) with one of the whole pool
and successive halving across epochs.

Simulated: true scores of configurations are normal over the pool. The score of a training is normal around that of its
configuration, with the configuration's own spread, and its curve rises to it at the configuration's own speed. Told
are: how often the pick lies within one standard deviation of a training of the pool's best; how far the promised score
falls at a fresh repeat; how often the race's tests dismiss the best configuration that it has (level 0.05).

Real: --bank trains each configuration of a pool several times and predicts the test patients too. FOLDER keeps this,
and a run that was cut short continues. Searches are then replayed from these trainings: each has its own random order
of configurations and of repeats. Told are the mean test Dice of the picked configuration over its repeats, and how far
the promised validation score falls at the repeats that the search has not seen.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from figures import machine
from search_bank import bank_study, fill, replayed
from search_contestants import searches


def simulated(pool: int, spread: float, noise: float, uneven: float, heavy: bool, n: int) -> None:
    epochs = 27
    found: dict[str, Any] = {}
    for simulation in range(n):
        rng = np.random.default_rng([simulation, pool])
        truth = 0.6 + spread * rng.standard_normal(pool)
        sd = noise * np.exp(uneven * rng.standard_normal(pool))
        speed = rng.uniform(2, 6, pool)

        def scores(c: int, r: int) -> tuple[float, ...]:
            own = np.random.default_rng([simulation, c, r])  # noqa: B023 (used within this simulation alone)
            error = own.standard_t(3) / np.sqrt(3) if heavy else own.standard_normal()
            final = truth[c] + sd[c] * error  # noqa: B023
            return tuple(final * (1 - np.exp(-speed[c] * np.arange(1, epochs + 1) / epochs)))  # noqa: B023

        scale = 1 - np.exp(-speed)
        reached = truth * scale
        order = rng.permutation(pool).tolist()
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
