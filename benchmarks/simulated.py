"""The simulated studies of validity.py and similar benchmarks: patients with and without lesion, and their scores.

Each study has P patients with lesion and P / 2 without, and R trainings of each variant. Lesions are log-normal in
size; the Dice of a patient in a training is, on the logit scale,

    1 + slope x log size + patient + patient x variant + training + training x patient

Each term is normal with the standard deviation of its simulation below, and a hard patient is missed 9 of 10 times. Of
the patients without lesion 40 % are prone to false alarms, whose size varies by patient and training. A training's Dice
in the whole population is known from 200,000 patients at 17 training effects, averaged by quadrature.
"""

import functools
from dataclasses import dataclass

import numpy as np

from hnscc.base.seeds import generator

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(17)
POPULATION = 200_000
PRONE, ALARM_SIZE, ALARM_SD = 0.4, 0.3, 1.0
INTERCEPT = 1.0
AT_DICE_07 = 0.7 * (1 - 0.7)  # how much a Dice of 0.7 rises per 1 on the logit scale


@dataclass(frozen=True)
class Simulation:
    """Standard deviations on the logit scale, except the first (of log size), the slope, and the last (a share
    of patients)."""

    size: float
    slope: float
    patient: float
    by_variant: float
    training: float
    by_patient: float
    hard: float = 0.0


SIMULATIONS = {
    "regular": Simulation(1.0, 0.2, 0.8, 0.25, 0.20, 0.3),
    "heavy": Simulation(1.5, 0.3, 1.2, 0.40, 0.50, 0.5),
    "misses": Simulation(1.2, 0.3, 1.0, 0.30, 0.35, 0.4, 0.1),
    # This project's own: large lesions score worse, patients differ more, trainings sometimes collapse (SD 0.8).
    "unruly": Simulation(1.2, -0.2, 1.2, 0.30, 0.80, 0.4, 0.05),
}


@dataclass(frozen=True)
class Cohort:
    """Patients of one study, with the effects that they bring to every training. alarm: pixels of a patient's false
    alarms; 0 in patients who are not prone to them."""

    truth: np.ndarray
    level: np.ndarray
    hard: np.ndarray
    alarm: np.ndarray


def expit(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)))


def cohort(simulation: Simulation, patients: int, rng: np.random.Generator) -> Cohort:
    log_size = rng.normal(0, simulation.size, patients)
    level = INTERCEPT + simulation.slope * log_size + rng.normal(0, simulation.patient, patients)
    prone = rng.random(patients // 2) < PRONE
    alarm = prone * ALARM_SIZE * np.exp(rng.normal(0, ALARM_SD, patients // 2))
    return Cohort(np.exp(log_size), level, rng.random(patients) < simulation.hard, alarm)


def trainings(
    simulation: Simulation, people: Cohort, effects: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return overlap, prediction and truth (R, P + P / 2) of one variant's trainings, whose effects are (R,)."""
    shape = (len(effects), len(people.truth))
    logit = people.level + rng.normal(0, simulation.by_variant, shape[1]) + effects[:, None]
    dice = expit(logit + rng.normal(0, simulation.by_patient, shape))
    dice[(rng.random(shape) < 0.9) & people.hard] = 0.0
    truth = np.broadcast_to(people.truth, shape)
    alarm = people.alarm * np.exp(rng.normal(0, simulation.by_patient, (shape[0], len(people.alarm))))
    nothing = np.zeros_like(alarm)
    overlap, pred, whole = (
        np.concatenate(parts, axis=1) for parts in ((dice * truth, nothing), (truth, alarm), (truth, nothing))
    )
    return overlap, pred, whole


@functools.cache
def population(simulation: Simulation) -> tuple[np.ndarray, float]:
    """Return the pooled Dice in the whole population of patients at each of NODES, and its mean over trainings."""
    rng = generator(0, "validity", "population")
    people = cohort(simulation, POPULATION, rng)
    # The term patient x variant belongs to a patient of the population: it is chosen with the patient.
    found = np.array(
        [
            _pooled(*trainings(simulation, people, np.array([node * simulation.training]), rng))[0]
            for node in NODES
        ]
    )
    return found, float((found * WEIGHTS).sum() / WEIGHTS.sum())


def _pooled(overlap: np.ndarray, pred: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.asarray(2 * overlap.sum(1) / (pred.sum(1) + truth.sum(1)))
