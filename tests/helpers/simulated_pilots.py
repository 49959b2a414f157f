"""Pilots of known parts of variance: random ones, and one that found the true parts."""

import numpy as np

from hnscc.scores.crossed import Estimate, mean_difference
from hnscc.scores.forecasts import Design

# Standard deviations of a difference: 0.15 from patient to patient, 0.05 by training of each variant, 0.1 together.
PATIENTS, TRAINING, TOGETHER = 0.15, 0.05, 0.1
TRUE = Design(PATIENTS**2, 2 * TRAINING**2, 2 * TOGETHER**2)


def study(
    rng: np.random.Generator,
    patients: int,
    repeats: int,
    difference: float = 0.0,
    training: float = TRAINING,
) -> Estimate:
    """Return the difference that a study of this size finds, where the true one is `difference`."""
    own = rng.normal(0, PATIENTS, patients)
    a, b = (
        rng.normal(0, training, (repeats, 1)) + rng.normal(0, TOGETHER, (repeats, patients)) for _ in range(2)
    )
    return mean_difference(a + own + difference, b)


def true_pilot(patients: int, repeats: int) -> Estimate:
    """Return a pilot that found the true parts."""
    joint = TRUE.joint / (patients * repeats)
    return Estimate(
        0.1,
        patients=patients,
        repeats=(repeats, repeats),
        patient_variance=TRUE.patients / patients + joint,
        repeat_variance=((TRUE.repeats / repeats + joint) / 2,) * 2,
        joint_variance=joint,
    )
