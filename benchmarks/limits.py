"""Which limits of the two-way t? Those of the product beside the ones that were tried, on the studies of validity.py.

Usage: python benchmarks/limits.py [--studies 1000] [--patients 5 20 60] [--repeats 2 3]

Every study has four equal variants. The parts of variance are the product's; only the number of standard errors that an
interval reaches to either side differs:

    Satterthwaite    t, by Satterthwaite's degrees of freedom over the patients and the repeats of each variant
    capped           the same, at most 3 times the repeats' (the product's until 27 November 2026)
    Cochran          the mean of the t limits of patients and repeats, weighted by their shares of the variance
    the product's    scores/two_way_t.py

Printed are, for each and for every number of repeats, the least and the most over models and numbers of patients: the
coverage of a variant's interval, how often a pair of equal variants is called different, and how often, of four, any
pair is after Holm's correction.
"""

import argparse
import itertools
import math
from collections.abc import Callable

import numpy as np
import scipy.special
import scipy.stats
from validity import MODELS, cohort, population, trainings

from hnscc.base.seeds import generator
from hnscc.scores.crossed import Estimate, pooled_difference, pooled_interval
from hnscc.scores.intervals import ALPHA

Limit = Callable[[Estimate, float], float]
PAIRS = list(itertools.combinations(range(4), 2))


def _student(degrees: float, chance: float) -> float:
    return float(-scipy.special.stdtrit(degrees, chance / 2))


def satterthwaite(found: Estimate, chance: float, cap: float = math.inf) -> float:
    patient, repeats = found.patient_variance or 0.0, found.repeats[0] - 1
    below = patient**2 / (found.patients - 1) + sum(part**2 for part in found.repeat_variance) / repeats
    degrees = (patient + sum(found.repeat_variance)) ** 2 / below
    return _student(min(degrees, cap * repeats), chance)


def capped(found: Estimate, chance: float) -> float:
    return satterthwaite(found, chance, cap=3.0)


def cochran(found: Estimate, chance: float) -> float:
    assert found.spread
    share, repeats = found.spread.share, found.spread.repeats
    return (1 - share) * _student(found.spread.patients, chance) + share * _student(repeats, chance)


def products(found: Estimate, chance: float) -> float:
    assert found.spread
    return found.spread.limit(chance)


LIMITS: dict[str, Limit] = {
    "Satterthwaite": satterthwaite,
    "capped": capped,
    "Cochran": cochran,
    "the product's": products,
}


def cell(name: str, patients: int, repeats: int, studies: int, mean: float) -> dict[str, list[float]]:
    """Of each kind of limits the shares: variants covered, pairs called different, studies with any pair so."""
    seen: dict[str, list[list[float]]] = {kind: [] for kind in LIMITS}
    for study in range(studies):
        draw = generator(study, "limits", name, patients, repeats)
        people = cohort(MODELS[name], patients, draw)
        effects = draw.normal(0, MODELS[name].training, (4, repeats))
        variants = [trainings(MODELS[name], people, own, draw) for own in effects]
        own = [each for each in map(lambda each: pooled_interval(*each), variants) if each.spread]
        pairs = [pooled_difference(variants[a], variants[b]) for a, b in PAIRS]
        for kind, limit in LIMITS.items():
            covered = [_off(each, mean) <= limit(each, ALPHA) for each in own]
            found = [_away(each) > limit(each, ALPHA) for each in pairs]
            any_pair = any(_away(each) > limit(each, ALPHA / len(PAIRS)) for each in pairs)
            seen[kind].append([float(np.mean(covered)), float(np.mean(found)), float(any_pair)])
    return {kind: list(np.mean(each, axis=0)) for kind, each in seen.items()}


def _away(found: Estimate) -> float:
    """How many standard errors a difference lies off 0."""
    return abs(found.value or 0.0) / found.error if found.error else 0.0


def _off(found: Estimate, truth: float) -> float:
    """How many standard errors a variant lies off the truth, on the logit scale."""
    assert found.value is not None and found.error
    off = abs(scipy.special.logit(found.value) - scipy.special.logit(truth))
    return float(off * found.value * (1 - found.value) / found.error)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--patients", type=int, nargs="+", default=[5, 20, 60])
    parser.add_argument("--repeats", type=int, nargs="+", default=[2, 3])
    options = parser.parse_args()
    means = {name: population(model)[1] for name, model in MODELS.items()}
    print(
        "| repeats | limits | variant covers | called different | any of four, after Holm |\n|---|---|---|---|---|"
    )
    for repeats in options.repeats:
        cells = [
            cell(name, patients, repeats, options.studies, mean)
            for name, mean in means.items()
            for patients in options.patients
        ]
        for kind in LIMITS:
            columns = zip(*(each[kind] for each in cells), strict=True)
            shares = " | ".join(f"{100 * min(each):.1f} to {100 * max(each):.1f} %" for each in columns)
            print(f"| {repeats} | {kind} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
