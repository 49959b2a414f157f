"""Which limits suit the two-way t? The product's beside others, on the simulations of validity.py or random ones.

Usage: python benchmarks/limits.py [--studies 10000] [--patients 5 20 60] [--repeats 2 3] [--random 16]

Every study has four equal variants, as in validity.py. All studies of a cell are computed at once, and the parts of
variance of the first of them are compared with those of the product. The kinds of limits differ in how far an interval
reaches to either side:

    Satterthwaite    t, by Satterthwaite's degrees of freedom over the patients and the repeats of each variant
    Cochran          the mean of the t limits of patients and repeats, weighted by their shares of the variance
    one power        as Cochran, but the repeats' weight is their share to the power of 1.75 at any number of patients,
                     and the variance at least the larger of both parts (the product's until 27 November 2026)
    the product's    scores/two_way_t.py
    a x b            the product's with the power a x (1 + b / (P - 1)), where its own is 1.75 x 4

For each of them and for every number of repeats, the least and the most over simulations and numbers of patients
are printed of: the coverage of a variant's interval; how often a pair of equal variants is called different by
pooled_difference and by mean_difference; and how often, of four, any pair is after Holm's correction (pooled,
and means).

With --random N, the simulations are N others, chosen at random from ranges that contain those of validity.py. The
product's powers were chosen by the first 16 of them.
"""

import argparse
from collections.abc import Callable

import numpy as np
import scipy.special
from simulated import SIMULATIONS, Simulation, population
from studies_at_once import (
    HELD,
    PAIRS,
    Parts,
    Variant,
    check,
    error,
    means,
    pooled,
    reach,
    repeats_degrees,
    sizes_of,
    variants,
)

from hnscc.base.arrays import Bools, Floats
from hnscc.scores.intervals import ALPHA

OTHERS = ((1.5, 4.0), (1.75, 0.0), (1.75, 2.0), (2.0, 4.0))

# A function of parts, patients, repeats and a chance that returns the reach (S,).
Limit = Callable[[Parts, int, int, float], Floats]


def _student(degrees: Floats | float, chance: float) -> Floats:
    return np.asarray(-scipy.special.stdtrit(degrees, chance / 2))


def satterthwaite(found: Parts, patients: int, repeats: int, chance: float) -> Floats:
    both = found.patient**2 / (patients - 1) + found.squares() / (repeats - 1)
    return error(found) * _student((found.patient + found.brought) ** 2 / both, chance)


def cochran(found: Parts, patients: int, repeats: int, chance: float) -> Floats:
    share, of_repeats = found.share, _student(repeats_degrees(found, repeats), chance)
    return error(found) * ((1 - share) * _student(patients - 1, chance) + share * of_repeats)


def one_power(found: Parts, patients: int, repeats: int, chance: float) -> Floats:
    whole = found.patient + found.brought - found.joint
    least = np.sqrt(np.maximum(whole, np.maximum(found.patient, found.brought)))
    weight, own = found.share**1.75, _student((patients - 1) / (1 - found.share), chance)
    return np.asarray(
        least * ((1 - weight) * own + weight * _student(repeats_degrees(found, repeats), chance))
    )


def other_power(power: float, few: float) -> Limit:
    def limit(found: Parts, patients: int, repeats: int, chance: float) -> Floats:
        weight = found.share ** (power * (1 + few / (patients - 1)))
        own, of_repeats = (
            _student(degrees, chance)
            for degrees in ((patients - 1) / (1 - found.share), repeats_degrees(found, repeats))
        )
        return error(found) * np.hypot(np.sqrt(1 - weight) * own, np.sqrt(weight) * of_repeats)

    return limit


LIMITS: dict[str, Limit] = {
    "Satterthwaite": satterthwaite,
    "Cochran": cochran,
    "one power": one_power,
    "the product's": reach,
    **{f"{power} x {few}": other_power(power, few) for power, few in OTHERS},
}


def random_simulations(number: int) -> dict[str, Simulation]:
    """Return so many simulations, each quantity chosen at random, evenly from a range that contains those of
    validity.py; about half of them have hard patients."""
    rng = np.random.default_rng(2026)
    simulations = {}
    for n in range(number):
        size, slope, patient, by_variant, training, by_patient, hard, has_hard = rng.random(8)
        # validity.py seeds its random numbers by this name, on which those in docs/explanation/statistics.md depend.
        simulations[f"drawn {n}"] = Simulation(
            0.5 + 1.1 * size,
            -0.2 + 0.6 * slope,
            0.5 + patient,
            0.15 + 0.35 * by_variant,
            0.1 + 0.7 * training,
            0.2 + 0.4 * by_patient,
            0.1 * hard if has_hard < 0.5 else 0.0,
        )
    return simulations


def cell(simulation: Simulation, patients: int, repeats: int, studies: int) -> dict[str, Floats]:
    """Return five shares for each kind of limits: variants covered, pairs called different (pooled, means), and studies
    with any pair called different after Holm's correction (pooled, means)."""
    rng = np.random.default_rng([patients, repeats])
    truth = float(scipy.special.logit(population(simulation)[1]))
    shares: dict[str, list[Floats]] = {kind: [] for kind in LIMITS}
    sizes = sizes_of(studies, patients, repeats)
    for size in sizes:
        four = variants(simulation, patients, repeats, size, rng)
        own = [pooled((1, each)) for each in four]
        pairs = [
            [pooled((1, four[a]), (-1, four[b])) for a, b in PAIRS],
            [means(four[a], four[b]) for a, b in PAIRS],
        ]
        first = four[0]
        one = Variant(first.dice[:, :1], first.alarm[:, :1], first.truth, first.effects[:, :1])
        check(first, four[1], [pooled((1, one)), own[0], pairs[0][0], pairs[1][0]])
        for kind, limit in LIMITS.items():
            found = [_covered(own, truth, limit, patients, repeats)]
            found += [float(np.mean(_beyond(of, limit, patients, repeats, ALPHA))) for of in pairs]
            found += [float(_beyond(of, limit, patients, repeats, HELD).any(0).mean()) for of in pairs]
            shares[kind].append(np.array(found))
    return {kind: np.average(found, axis=0, weights=sizes) for kind, found in shares.items()}


def _covered(own: list[Parts], truth: float, limit: Limit, patients: int, repeats: int) -> float:
    """Return how often a variant's interval, made on the logit scale, contains the truth."""
    held = []
    for each in own:
        away = abs(scipy.special.logit(each.value) - truth) * each.value * (1 - each.value)
        held.append(away <= limit(each, patients, repeats, ALPHA))
    return float(np.mean(held))


def _beyond(pairs: list[Parts], limit: Limit, patients: int, repeats: int, chance: float) -> Bools:
    """Return, for every pair and study, whether 0 lies beyond the limit: (pairs, S)."""
    return np.array([abs(each.value) > limit(each, patients, repeats, chance) for each in pairs])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--patients", type=int, nargs="+", default=[5, 20, 60])
    parser.add_argument("--repeats", type=int, nargs="+", default=[2, 3])
    parser.add_argument(
        "--random", type=int, help="so many simulations chosen at random, in place of those of validity.py"
    )
    options = parser.parse_args()
    simulations = random_simulations(options.random) if options.random else SIMULATIONS
    head = (
        "repeats",
        "limits",
        "variant covers",
        "pooled rejects",
        "mean rejects",
        "any of four",
        "of means",
    )
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for repeats in options.repeats:
        cells = [
            cell(simulation, patients, repeats, options.studies)
            for simulation in simulations.values()
            for patients in options.patients
        ]
        for kind in LIMITS:
            columns = zip(*(each[kind] for each in cells), strict=True)
            shares = " | ".join(f"{100 * min(each):.1f} to {100 * max(each):.1f} %" for each in columns)
            print(f"| {repeats} | {kind} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
