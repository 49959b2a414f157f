"""Do the intervals cover, and do the tests keep their level? Simulated studies by the formulas of hnscc.scores.crossed.

Usage: python benchmarks/validity.py [--studies 10000] [--patients 5 10 20 60] [--repeats 2 3 10 50]

Each simulated study (simulated.py) has P patients with lesion and R trainings of each of two variants that are truly
equal. For every P and R it prints: the coverage of the interval of one model and of a variant; how often equal variants
are called different at 0.05 by pooled_difference and by mean_difference; how often, of four equal variants, any pair is
called different after Holm's correction, as the report's "holds up" is; and how often a planted difference is found,
beside the forecast of `hnscc plan`. A cell that misses an aim, as some do by chance, is computed again from ten times
as many other studies.

All studies of a cell are computed at once (studies_at_once.py). For some of them pooled_interval, pooled_difference and
mean_difference are called too: unless they give the same intervals and p, this ends with an error.

    make validity            # minutes; writes docs/explanation/validity.md

With --why it prints instead by what found and forecast differ, and at the end how much they differ over all cells. With
--random 16 it uses simulations by which nothing was chosen except the powers of the limits.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import scipy.special
from limits import random_simulations
from simulated import AT_DICE_07, NODES, SIMULATIONS, Simulation, population
from studies_at_once import (
    CHECKED,
    HELD,
    PAIRS,
    Parts,
    Variant,
    check,
    error,
    means,
    pooled,
    reach,
    sizes_of,
    together,
    variants,
)
from validity_page import HEAD, OFF, OFF_BY_COHORTS, OFF_BY_ESTIMATES, SIZED, Cell, Cells, line, missed, page

from hnscc.base.arrays import Bools, Floats
from hnscc.base.seeds import generator
from hnscc.scores import forecasts
from hnscc.scores.crossed import Estimate
from hnscc.scores.forecasts import Design, design_of, power, smallest_seen
from hnscc.scores.intervals import ALPHA

AGAIN = 10  # how many times as many studies a cell is computed again from
LIKE_THE_MEAN = 1e9  # with this as forecasts.COHORT, patients of all cohorts weigh like the mean's
WHY = (
    *("found", "forecast", "apart", "like the mean", "both"),
    *("correlation", "cohorts", "cohorts as forecast", "planted", "true"),
)


def figures(
    simulation: Simulation, patients: int, repeats: int, studies: int, rng: np.random.Generator
) -> list[float]:
    """Return the figures of a cell, one for each column."""
    size = simulation, patients, repeats, studies, rng
    return [*single(*size), any_of_four(*size), *found_and_forecast(*size)]


def single(
    simulation: Simulation, patients: int, repeats: int, studies: int, rng: np.random.Generator
) -> list[float]:
    """Return shares of the studies: one model covered, a variant covered, and equal variants called different by
    pooled_difference and by mean_difference."""
    nodes, mean = population(simulation)
    sizes, found = sizes_of(studies, patients, repeats), []
    for size in sizes:
        a, b = variants(simulation, patients, repeats, size, rng, (0.0, 0.0))
        one = Variant(a.dice[:, :1], a.alarm[:, :1], a.truth, a.effects[:, :1])
        own = np.interp(a.effects[:, 0], NODES * simulation.training, nodes)
        parts = [pooled((1, one)), pooled((1, a)), pooled((1, a), (-1, b)), means(a, b)]
        check(a, b, parts)
        both = [_covers(each, mean, patients, repeats) for each in (parts[1], pooled((1, b)))]
        covered = [_covers(parts[0], own, patients, 1), np.mean(both, axis=0)]
        found.append(
            [each.mean() for each in (*covered, *(_beyond(of, patients, repeats) for of in parts[2:]))]
        )
    return list(np.average(found, axis=0, weights=sizes))


def any_of_four(
    simulation: Simulation, patients: int, repeats: int, studies: int, rng: np.random.Generator
) -> float:
    """Return the share of studies of four equal variants in which a pair is called different after
    Holm's correction."""
    sizes, found = sizes_of(studies, patients, repeats), []
    for size in sizes:
        four = variants(simulation, patients, repeats, size, rng)
        pairs = [pooled((1, four[a]), (-1, four[b])) for a, b in PAIRS]
        found.append(np.any([_beyond(each, patients, repeats, HELD) for each in pairs], axis=0).mean())
    return float(np.average(found, weights=sizes))


def found_and_forecast(
    simulation: Simulation, patients: int, repeats: int, studies: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return how often a planted difference is found, and how often it is by the forecast from as many other studies of
    both variants."""
    _, pilots, tries = _planted(simulation, patients, repeats, studies, rng)
    forecast = power(_mean_design(pilots, patients, repeats), float(tries.value.mean()), patients, repeats)
    return float(_beyond(tries, patients, repeats).mean()), forecast


def _planted(
    simulation: Simulation,
    patients: int,
    repeats: int,
    studies: int,
    rng: np.random.Generator,
    times: float = 1.0,
) -> tuple[float, Parts, Parts]:
    """Return the planted difference, the pilots and the studies that try to find it. The difference is `times` that
    which is found in 0.8 of studies, by the forecast from equal variants; it shifts the logit of a Dice of 0.7."""
    equal = _differences(simulation, patients, repeats, studies, rng, 0.0)
    planted = times * smallest_seen(_mean_design(equal, patients, repeats), patients, repeats)
    shift = planted / AT_DICE_07
    pilots, tries = (_differences(simulation, patients, repeats, studies, rng, shift) for _ in range(2))
    return planted, pilots, tries


def _differences(
    simulation: Simulation, patients: int, repeats: int, studies: int, rng: np.random.Generator, shift: float
) -> Parts:
    """Return the differences in so many studies of two variants, of which the first is better by `shift`."""
    found = []
    for size in sizes_of(studies, patients, repeats):
        a, b = variants(simulation, patients, repeats, size, rng, (shift, 0.0))
        found.append(pooled((1, a), (-1, b)))
    return together(found)


def why_off(
    simulation: Simulation,
    patients: int,
    repeats: int,
    studies: int,
    rng: np.random.Generator,
    times: float = 1.0,
) -> list[float]:
    """Return by what found and forecast differ in a cell, one figure for each of WHY.

    The first figures are shares: found; the forecast; the forecast if differences were independent of the variance that
    their studies find; if patients of all cohorts weighed like the mean's; and if both held. Then come the correlation
    of differences and variances; how much 1 / effective patients varies from cohort to cohort, as its variance over the
    square of its mean, and the same by the forecast; the difference that was planted, and what became of it.
    """
    planted, pilots, tries = _planted(simulation, patients, repeats, studies, rng, times)
    size = _mean_design(pilots, patients, repeats), float(tries.value.mean()), patients, repeats
    crowding = 1 / pilots.effective
    return [
        float(_beyond(tries, patients, repeats).mean()),
        *_forecasts(*size),
        float(np.corrcoef(tries.value, np.log(error(tries)))[0, 1]),
        float(crowding.var() / crowding.mean() ** 2),
        2 / forecasts.COHORT * (1 - size[0].weight) ** 2,
        planted,
        size[1],
    ]


def _forecasts(design: Design, true: float, patients: int, repeats: int) -> Iterator[float]:
    """Yield the chance by the product, and by each of the other ways in WHY."""
    for cohort in (forecasts.COHORT, LIKE_THE_MEAN):
        for hanging in (forecasts.TOGETHER, 0.0):
            with patch.object(forecasts, "COHORT", cohort), patch.object(forecasts, "TOGETHER", hanging):
                yield power(design, true, patients, repeats)


def told_of(cells: Sequence[list[float]]) -> Iterator[str]:
    """Yield lines on how far found and forecast differ over these cells, for each way to forecast, and on the
    other figures."""
    found, *ways = np.transpose(cells)[:5]
    for way, forecast in zip(WHY[1:5], ways, strict=True):
        off = 100 * (found - forecast)
        yield (
            f"{way}: off by {off.min():+.1f} to {off.max():+.1f} (root of the mean square "
            f"{np.sqrt(np.mean(off**2)):.1f}), by more than {OFF:g} in {(abs(off) > OFF).sum()} of {len(off)} cells"
        )
    correlation = np.transpose(cells)[5]
    yield f"correlation: {correlation.min():.2f} to {correlation.max():.2f}, mean {correlation.mean():.2f}"


def _off(studies: int) -> tuple[float, float]:
    """Return by how many points more would be found than forecast if patients of all cohorts weighed like the
    mean's, and if differences were independent of the variance that their studies find, each in the cell where that
    does most harm."""
    of_cohorts, of_estimates = (_why(cell, studies) for cell in (OFF_BY_COHORTS, OFF_BY_ESTIMATES))
    return 100 * (of_cohorts[0] - of_cohorts[3]), 100 * (of_estimates[0] - of_estimates[2])


def _sizes(studies: int) -> list[tuple[float, float]]:
    """Return, for each of SIZED, the planted difference at a Dice of 0.7, and what became of it in pooled Dice."""
    return [(planted, came) for *_, planted, came in (_why(cell, studies) for cell in SIZED)]


def _why(cell: Cell, studies: int) -> list[float]:
    name, patients, repeats = cell
    rng = generator(0, "validity", "why", *cell)
    return why_off(SIMULATIONS[name], patients, repeats, studies, rng)


def _mean_design(pilots: Parts, patients: int, repeats: int) -> Design:
    """Return the design by the mean of the pilots' own parts of variance, since those of a single pilot are far
    less certain."""
    parts = Estimate(
        None,
        patients=patients,
        repeats=(repeats, repeats),
        patient_variance=float(pilots.patient.mean()),
        repeat_variance=(float(pilots.brought.mean()),),
        joint_variance=float(pilots.joint.mean()),
        effective_patients=float(pilots.effective.mean()),
    )
    design = design_of(parts)
    assert isinstance(design, Design)
    return design


def _covers(found: Parts, truth: Floats | float, patients: int, repeats: int) -> Bools:
    """Return whether the interval, made on the logit scale, contains the truth (S,)."""
    away = (
        abs(scipy.special.logit(found.value) - scipy.special.logit(truth)) * found.value * (1 - found.value)
    )
    return np.asarray(away <= reach(found, patients, repeats, ALPHA))


def _beyond(found: Parts, patients: int, repeats: int, chance: float = ALPHA) -> Bools:
    """Return whether p is below this chance (S,)."""
    return np.asarray(abs(found.value) > reach(found, patients, repeats, chance))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--patients", type=int, nargs="+", default=[5, 10, 20, 60])
    parser.add_argument("--repeats", type=int, nargs="+", default=[2, 3, 10, 50])
    parser.add_argument("--simulations", nargs="+", default=list(SIMULATIONS), choices=list(SIMULATIONS))
    parser.add_argument("--page", type=Path, help="write the table there, with what it says")
    parser.add_argument("--why", action="store_true", help="print what parts found and forecast, and no more")
    parser.add_argument("--random", type=int, help="so many simulations of limits.py, in place of those")
    parser.add_argument(
        "--times", type=float, default=1.0, help="with --why, plant so many times the difference"
    )
    options = parser.parse_args()
    cells: Cells = {}
    again: Cells = {}
    print(f"| simulation | patients | repeats | {' | '.join(WHY)} |" if options.why else "\n".join(HEAD))
    simulations = (
        random_simulations(options.random)
        if options.random
        else {name: SIMULATIONS[name] for name in options.simulations}
    )
    for name, patients, repeats in itertools.product(simulations, options.patients, options.repeats):
        cell = name, patients, repeats
        rng = generator(0, "validity", *cell)
        size = simulations[name], patients, repeats, options.studies, rng
        if options.why:
            cells[cell] = why_off(*size, options.times)
            told = " | ".join(f"{each:.3f}" for each in cells[cell])
            print(f"| {name} | {patients} | {repeats} | {told} |", flush=True)
            continue
        cells[cell] = figures(*size)
        print(line(cell, cells[cell]), flush=True)
        if any(missed(cells[cell])):
            again[cell] = figures(*size[:3], AGAIN * options.studies, rng)
            print("again, " + line(cell, again[cell]), flush=True)
    if options.why:
        print("\n".join(told_of(list(cells.values()))))
    if options.page:
        sized = _off(options.studies), _sizes(options.studies)
        text = page(cells, again, *sized, studies=options.studies, times=AGAIN, checked=CHECKED)
        options.page.write_text(text)


if __name__ == "__main__":
    main()
