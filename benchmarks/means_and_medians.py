"""How often intervals of means over patients and of medians over repeats cover, and how often equal variants differ.

    python benchmarks/means_and_medians.py --studies 300

The simulated studies have P patients with lesion and R repeats, in the four simulations of `simulated.py`. Printed are
shares of the studies, the lowest to the highest of the simulations:

- `mean of shares`: the interval of `mean_of_patients` holds the mean Dice of all patients and trainings;
- `mean of distances`: the same for distances that are log-normal over patients (SD of the logarithm: that of the
  simulation's size of lesions), over trainings (0.2) and over both (0.3); only the first spread differs by simulation;
- `median`: the interval of `median_interval` holds the median over ever more trainings of the patients at hand (from 6
  repeats on);
- `bootstrap`: the interval of `median_differences` leaves out 0, as p below 0.05 says, for equal variants.

Random numbers follow from the numbers of simulation, patients, repeats and study, so that the same command prints
the same.
"""

import argparse
import itertools

import numpy as np
from simulated import NODES, POPULATION, SIMULATIONS, WEIGHTS, Simulation, cohort, trainings

from hnscc.base.seeds import generator
from hnscc.scores.counts import Counts
from hnscc.scores.crossed import mean_of_patients
from hnscc.scores.differences import median_differences
from hnscc.scores.intervals import median_interval
from hnscc.scores.metrics import dice

COLUMNS = ("mean of shares", "mean of distances", "median", "bootstrap")
BY_TRAINING, BY_BOTH = 0.2, 0.3  # SD of the logarithm of distances
RESAMPLES = 500


def own_dice(counts: tuple[np.ndarray, ...], patients: int) -> np.ndarray:
    """Return the Dice (R, P) of the patients with lesion, who come first."""
    return dice(*(each[:, :patients] for each in counts))


def mean_dice(simulation: Simulation) -> float:
    """Return the mean of patients' Dice in the whole population of patients and trainings."""
    rng = generator(0, "means and medians", "population")
    people = cohort(simulation, POPULATION // 4, rng)
    effects = NODES * simulation.training
    means = [
        own_dice(trainings(simulation, people, effects[[node]], rng), len(people.truth)).mean()
        for node in range(len(NODES))
    ]
    return float(np.average(means, weights=WEIGHTS))


def distances(
    simulation: Simulation, patients: int, repeats: int, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Return distances (R, P) in mm, and their mean over the whole population."""
    spreads = (simulation.size, BY_TRAINING, BY_BOTH)
    parts = zip(spreads, ((1, patients), (repeats, 1), (repeats, patients)), strict=True)
    logs = sum(rng.normal(0, spread, shape) for spread, shape in parts)
    return 8 * np.exp(logs), 8 * float(np.exp(sum(spread**2 for spread in spreads) / 2))


def holds(low: float | None, high: float | None, value: float) -> bool | None:
    """Return whether an interval holds a value; None where there is no interval."""
    return None if low is None or high is None else low <= value <= high


def study(name: str, patients: int, repeats: int, number: int, mean: float) -> dict[str, bool | None]:
    """Return, for one study and each of COLUMNS, whether the interval covers, or in the last one whether it leaves out
    0; None without one."""
    simulation, rng = SIMULATIONS[name], generator(number, "means and medians", name, patients, repeats)
    people = cohort(simulation, patients, rng)
    effects = rng.normal(0, simulation.training, (2, repeats))
    a, b = (trainings(simulation, people, own, rng) for own in effects)
    mm, mean_mm = distances(simulation, patients, repeats, rng)
    found: dict[str, bool | None] = {}
    for column, scores, share, truth in (
        ("mean of shares", own_dice(a, patients), True, mean),
        ("mean of distances", mm, False, mean_mm),
    ):
        estimate = mean_of_patients(scores, share=share)
        found[column] = holds(estimate.low, estimate.high, truth)
    # Trainings of the patients at hand differ only by their effects and noise, which are normal on some scale.
    of_median = median_interval(rng.normal(0, simulation.training, repeats).tolist())
    found["median"] = holds(of_median.low, of_median.high, 0)
    of_a, of_b = (Counts(*(np.rint(1000 * each).astype(np.int64) for each in side)) for side in (a, b))
    (compared,) = median_differences(of_a, of_b, (dice,), rng, RESAMPLES)
    equal = holds(compared.low, compared.high, 0)
    found["bootstrap"] = None if equal is None else not equal
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--patients", type=int, nargs="+", default=[6, 12, 30])
    parser.add_argument("--repeats", type=int, nargs="+", default=[2, 3, 4, 10, 50])
    options = parser.parse_args()
    means = {name: mean_dice(simulation) for name, simulation in SIMULATIONS.items()}
    print("| patients | repeats | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (len(COLUMNS) + 2))
    for patients, repeats in itertools.product(options.patients, options.repeats):
        shares: dict[str, list[float]] = {column: [] for column in COLUMNS}
        for name, mean in means.items():
            found = [study(name, patients, repeats, number, mean) for number in range(options.studies)]
            for column in COLUMNS:
                known = [verdict for each in found if (verdict := each[column]) is not None]
                if known:
                    shares[column].append(100 * float(np.mean(known)))
        cells = [f"{min(each):.0f} to {max(each):.0f} %" if each else "none" for each in shares.values()]
        print(f"| {patients} | {repeats} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
