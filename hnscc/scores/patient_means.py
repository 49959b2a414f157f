"""The mean over patients of a score that each patient has, with its interval over patients and repeats."""

import math
from dataclasses import replace

from numpy.typing import ArrayLike

from hnscc.scores.crossed import Estimate, logit_interval, scores_of
from hnscc.scores.intervals import t_limit, too_few
from hnscc.scores.variance_parts import FEWEST_REPEATS, NOTHING, VarianceParts, mean_parts

NOTHING_VARIES = (
    "neither patients nor repeats are seen to vary: there is nothing that an interval could rest on"
)


def mean_of_patients(scores: ArrayLike, *, share: bool) -> Estimate:
    """The mean over repeats and patients of a score, with its 95 % two-way t interval over both.

    scores: (R, P) of R repeats on the same P patients, finite and from 0 on, such as the Dice or the 95 % Hausdorff
    distance of each patient with lesion. share: whether they lie in 0..1; then the interval is made on the logit scale,
    else on that of logarithms. Every patient counts alike. In simulation the intervals of shares cover 92 to 98 %,
    those of strongly skewed distances 80 to 89 % with 5 patients and 92 to 96 % with 30: few values move such a mean.
    No interval with fewer than 2 repeats or 2 patients, nor where neither is seen to vary, as where all are 0.
    Raises ValueError for scores of another shape or range.
    """
    values = scores_of(scores)
    if values.size and (values.min() < 0 or (share and values.max() > 1)):
        allowed = "in 0..1" if share else "from 0 on"
        raise ValueError(
            f"scores must lie {allowed}, and they reach from {values.min():g} to {values.max():g}"
        )
    repeats, patients = len(values), values.shape[1]
    mean = float(values.mean()) if values.size else None
    if lacking := too_few(patients, "patients") or _few_repeats(repeats):
        return Estimate(mean, reason=lacking, patients=patients, repeats=(repeats,))
    parts = mean_parts([values], (1,), paired=False)
    if parts.variance <= NOTHING:
        return Estimate(mean, reason=NOTHING_VARIES, patients=patients, repeats=(repeats,))
    if share:
        return logit_interval(parts, (repeats,), NOTHING_VARIES)
    return _log_interval(parts, repeats)


def _log_interval(parts: VarianceParts, repeats: int) -> Estimate:
    """The t interval on the scale of logarithms: distances and volumes are skewed, and it covers more often there."""
    found = Estimate(
        parts.value,
        patients=parts.patients,
        repeats=(repeats,),
        patient_variance=parts.patient,
        repeat_variance=parts.repeat,
        joint_variance=parts.joint,
    )
    reach = math.exp(t_limit(parts.degrees) * math.sqrt(parts.variance) / parts.value)
    return replace(found, low=parts.value / reach, high=parts.value * reach, degrees=parts.degrees)


def _few_repeats(repeats: int) -> str | None:
    """Why there is no interval over repeats, if there are too few."""
    if repeats >= FEWEST_REPEATS:
        return None
    there = "is 1" if repeats == 1 else f"are {repeats}"
    return f"an interval over repeats needs at least {FEWEST_REPEATS}, and there {there}"
