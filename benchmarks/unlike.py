"""What two-way t tests and intervals do where repeats differ in number or spread, or their number follows the data.

    python benchmarks/unlike.py --studies 2000

Each part is a table of simulated studies; figures are shares of the studies.

- Equal variants with unequal numbers of repeats, lowest to highest of the four simulations of `simulated.py`: p below
  0.05 and below 0.0083 (a pair's own after Holm's correction of six) of `pooled_difference`, of `mean_difference`, and
  of the first without the upper bound of the repeats' degrees of freedom; how often `chance_of_better` leaves out 0.5.
- The same with a planted shift of the logit of Dice, in heavy: how often p is below 0.05 with and without the bound.
- Equal variants whose trainings spread by 0.08 and by 0.01 of Dice, 20 and 60 patients.
- Equal variants with `repeats: {max: 50, until: 0.055}`, whose trainings spread by 0.3 on the logit scale, and with a
  fixed number; 60 patients.
- Equal variants with 3 repeats, and then with 5, 10, 20 and 50 while p is not below 0.05; and with 50 from the start.
  Lowest to highest of the four simulations.
- One model, 8 and 20 patients with lesion and a few without, of whom 40 % have a false alarm as large as a lesion, or
  3 times as large: how often `pooled_interval` covers the mean of the scores of all cohorts.

Random numbers follow from the numbers of the cell and study, so that the same command prints the same.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from simulated import SIMULATIONS, Simulation, cohort, expit, trainings

from hnscc.base.seeds import generator
from hnscc.scores.better import chance_of_better
from hnscc.scores.crossed import Estimate, mean_difference, pooled_difference, pooled_interval
from hnscc.scores.intervals import ALPHA, is_known_within
from hnscc.scores.two_way_t import satterthwaite

HELD = ALPHA / 6
Triple = tuple[np.ndarray, np.ndarray, np.ndarray]
UNEQUAL = [
    *((20, 2, 2), (20, 5, 5), (20, 2, 5), (20, 2, 10), (20, 3, 10), (20, 3, 50)),
    *((60, 2, 10), (60, 2, 50), (60, 5, 50), (60, 10, 50)),
]
PLANTED = [(60, 10, 50, 0.45), (20, 5, 10, 0.9), (20, 2, 10, 1.6)]
WIDE, NARROW = 0.08, 0.01  # SD of Dice over trainings
UNLIKE = [(2, 2), (3, 3), (5, 5), (2, 10), (10, 2)]
MOST, UNTIL, SPREAD = 50, 0.055, 0.3
FIXED = 16
LOOKS = (*range(6, MOST, 4), MOST)
ADDED = (3, 5, 10, 20, MOST)  # repeats at each look
PRONE = 0.4
FREE = [(8, 1, 1), (8, 2, 1), (8, 4, 1), (20, 1, 1), (20, 4, 1), (8, 1, 3), (8, 4, 3), (20, 1, 3), (20, 4, 3)]


def unbounded(found: Estimate) -> float:
    """Return p without the upper bound of the repeats' degrees of freedom."""
    assert found.spread and found.value is not None
    degrees = satterthwaite(found.repeat_variance, [own - 1 for own in found.repeats])
    return replace(found.spread, repeats=degrees).p(found.value)


def pair(
    simulation: Simulation,
    patients: int,
    repeats: tuple[int, int],
    rng: np.random.Generator,
    shift: float = 0.0,
) -> tuple[Triple, Triple]:
    """Return two variants' counts (R, N) of one study. The first is better by `shift` on the logit scale."""
    people = cohort(simulation, patients, rng)
    a, b = (
        trainings(simulation, people, better + rng.normal(0, simulation.training, own), rng)
        for own, better in zip(repeats, (shift, 0.0), strict=True)
    )
    return a, b


def rejected(p: Sequence[float | None]) -> list[float]:
    """Return how many p are below either level, in percent."""
    return [100 * float((np.array(p, float) < chance).mean()) for chance in (ALPHA, HELD)]


def holds(found: Estimate, value: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= value <= found.high


def unequal(name: str, patients: int, repeats: tuple[int, int], studies: int) -> list[float]:
    """Return the columns of the first table for one cell and simulation, in percent."""
    rng = generator(0, "unlike", name, patients, *repeats)
    pooled, means, before, left_out = [], [], [], []
    for _ in range(studies):
        a, b = pair(SIMULATIONS[name], patients, repeats, rng)
        found = pooled_difference(a, b)
        first, second = (each[0][:, :patients] / each[2][:, :patients] for each in (a, b))
        pooled.append(found.p)
        means.append(mean_difference(first, second).p)
        before.append(unbounded(found))
        left_out.append(not holds(chance_of_better(first, second), 0.5))
    return [*rejected(pooled), *rejected(means), *rejected(before), 100 * float(np.mean(left_out))]


def planted(patients: int, few: int, many: int, shift: float, studies: int) -> list[float]:
    """Return how often a difference is found in the simulation heavy, with and without the bound, in percent."""
    rng = generator(0, "unlike", "planted", patients, few, many)
    found = []
    for _ in range(studies):
        a, b = pair(SIMULATIONS["heavy"], patients, (few, many), rng, shift)
        found.append(pooled_difference(a, b))
    return [rejected([each.p for each in found])[0], rejected([unbounded(each) for each in found])[0]]


def unlike(patients: int, repeats: tuple[int, int], studies: int) -> list[float]:
    """Return how often equal variants are called different, in percent. The first one's trainings spread by WIDE, the
    other's by NARROW, added to Dice, so that their means are the same."""
    rng, p = generator(0, "unlike", "spread", patients, *repeats), []
    for _ in range(studies):
        size, level = np.exp(rng.normal(0, 1, patients)), rng.normal(0.5, 0.6, patients)
        sides = []
        for own, spread in zip(repeats, (WIDE, NARROW), strict=True):
            logit = level + rng.normal(0, 0.25, patients) + rng.normal(0, 0.2, (own, patients))
            dice = np.clip(expit(logit) + rng.normal(0, spread, (own, 1)), 0, 1)
            truth = np.broadcast_to(size, dice.shape)
            sides.append((dice * truth, truth, truth))
        wide, narrow = sides
        p.append(pooled_difference(wide, narrow).p)
    return rejected(p)


def stopped(counts: Triple) -> Triple:
    """Return the repeats, of MOST (R, N), that `repeats.until` would have trained."""
    scores = (2 * counts[0].sum(1) / (counts[1].sum(1) + counts[2].sum(1))).tolist()
    looked = (look for look in LOOKS if look == MOST or is_known_within(scores[:look], UNTIL))
    return first_of(counts, next(looked))


def first_of(counts: Triple, repeats: int) -> Triple:
    """Return the first repeats of counts (R, N)."""
    overlap, pred, truth = (each[:repeats] for each in counts)
    return overlap, pred, truth


def until(studies: int) -> Iterator[tuple[str, float, list[float]]]:
    """Yield rows on studies with `until` (all, those where both variants stopped at the same number, and the others)
    and on studies with FIXED repeats: their share, and how often equal variants are called different, in percent."""
    simulation, rng = Simulation(1.0, 0.0, 0.8, 0.25, SPREAD, 0.3), generator(0, "unlike", "until")
    stops, fixed, same = [], [], []
    for _ in range(studies):
        a, b = pair(simulation, 60, (MOST, MOST), rng)
        found = pooled_difference(stopped(a), stopped(b))
        stops.append(found.p)
        same.append(len(set(found.repeats)) == 1)
        fixed.append(pooled_difference(first_of(a, FIXED), first_of(b, FIXED)).p)
    alike = np.array(same)
    for told, of in (("until", alike | True), ("equal numbers", alike), ("unequal", ~alike)):
        yield (
            told,
            100 * float(of.mean()),
            rejected([p for p, counts in zip(stops, of, strict=True) if counts]),
        )
    yield f"{FIXED} repeats", 100.0, rejected(fixed)


def added(name: str, patients: int, studies: int) -> list[float]:
    """Return how often equal variants are called different at some look at p, and at the last look, in percent."""
    rng, found = generator(0, "unlike", "added", name, patients), []
    for _ in range(studies):
        a, b = pair(SIMULATIONS[name], patients, (MOST, MOST), rng)
        found.append([pooled_difference(first_of(a, own), first_of(b, own)).p for own in ADDED])
    p = np.array(found, float)
    return [rejected(each.tolist())[0] for each in (p.min(1), p[:, -1])]


def with_free(lesions: int, free: int, times: int, rng: np.random.Generator) -> Triple:
    """Return one model's counts (N,) of a cohort, whose false alarms are `times` as large as lesions."""
    size = np.exp(rng.normal(0, 1, lesions))
    dice = expit(rng.normal(1, 0.8, lesions))
    alarm = (rng.random(free) < PRONE) * times * np.exp(rng.normal(0, 1, free))
    nothing = np.zeros(free)
    return np.r_[dice * size, nothing], np.r_[size, alarm], np.r_[size, nothing]


def covered(lesions: int, free: int, times: int, studies: int) -> float:
    """Return how often the interval of one model covers the mean of the scores of all cohorts, in percent."""
    rng = generator(0, "unlike", "free", lesions, free)
    all_of_them = [with_free(lesions, free, times, rng) for _ in range(10 * studies)]
    mean = float(np.mean([2 * each[0].sum() / (each[1].sum() + each[2].sum()) for each in all_of_them]))
    found = [pooled_interval(*each) for each in all_of_them[:studies]]
    return 100 * float(np.mean([holds(each, mean) for each in found]))


def row(*cells: object) -> None:
    print(
        "| " + " | ".join(f"{each:.1f} %" if isinstance(each, float) else str(each) for each in cells) + " |"
    )


def head(*names: str) -> None:
    print()
    row(*names)
    print("|" + "---|" * len(names), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    below = (f"p < {ALPHA}", f"p < {HELD:.4f}")
    head(
        "patients",
        "repeats",
        *below,
        *(f"mean {each}" for each in below),
        *(f"unbounded {each}" for each in below),
        "better",
    )
    for patients, few, many in UNEQUAL:
        found = np.array([unequal(name, patients, (few, many), studies) for name in SIMULATIONS])
        low, high = found.min(0), found.max(0)
        row(
            patients,
            f"{few}/{many}",
            *(f"{a:.1f} to {b:.1f} %" for a, b in zip(low, high, strict=True)),
        )
    head("patients", "repeats", "found", "unbounded")
    for patients, few, many, shift in PLANTED:
        row(patients, f"{few}/{many}", *planted(patients, few, many, shift, studies))
    head("patients", f"repeats ({WIDE}/{NARROW})", *below)
    for patients, (wide, narrow) in itertools.product((20, 60), UNLIKE):
        row(patients, f"{wide}/{narrow}", *unlike(patients, (wide, narrow), studies))
    head("repeats", "share", *below)
    for told, share, shares in until(studies):
        row(told, share, *shares)
    head("patients", "repeats added until p < 0.05", f"{MOST} repeats")
    for patients in (20, 60):
        table = np.array([added(name, patients, studies) for name in SIMULATIONS])
        row(patients, *(f"{a:.1f} to {b:.1f} %" for a, b in zip(table.min(0), table.max(0), strict=True)))
    head("with lesion", "without", "false alarms, times a lesion", "covers")
    for lesions, free, times in FREE:
        row(lesions, free, times, covered(lesions, free, times, studies))


if __name__ == "__main__":
    main()
