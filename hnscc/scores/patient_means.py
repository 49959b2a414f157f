"""The mean over patients of a score that each patient has, with its interval: of one model, or over repeats too."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from hnscc.base.arrays import Floats
from hnscc.scores.crossed import Estimate, logit_interval
from hnscc.scores.given import check_flag, scores_of
from hnscc.scores.intervals import too_few
from hnscc.scores.variance_parts import NOTHING_VARIES, VarianceParts, mean_parts


def mean_of_patients(scores: ArrayLike, *, share: bool) -> Estimate:
    """The mean over patients of a score, with its 95 % interval: of one model, or of a variant over its repeats too.

    scores: (P,) of one model, or (R, P) of R repeats on the same P patients, finite and from 0 on, such as the Dice or
    the 95 % Hausdorff distance of each patient with lesion. share: whether they lie in 0..1; then the interval is made
    on the logit scale, else on that of logarithms. Every patient counts alike. Of (P,) it is a t interval over
    patients, which says nothing of another training; of (R, P) a two-way t interval over patients and repeats. Of
    strongly skewed distances it covers too seldom, since few values move such a mean: docs/explanation/statistics.md
    has how often in simulation. No interval with fewer than 2 patients, of (R, P) with fewer
    than 2 repeats, nor where nothing is seen to vary, as where all are 0. Raises ValueError for scores of another shape
    or range.
    """
    values = scores_of(scores)
    check_flag("share", share)
    _check_range(values, share)
    repeats, patients = len(values), values.shape[1]
    mean = float(values.mean()) if values.size else None
    lacking = too_few(patients, "patients")
    if np.ndim(scores) > 1:
        lacking = lacking or too_few(repeats, "repeats")
    if lacking:
        return Estimate(mean, reason=lacking, patients=patients, repeats=(repeats,))
    parts = mean_parts([values], (1,), paired=False)
    return logit_interval(parts, (repeats,), NOTHING_VARIES) if share else _log_interval(parts, repeats)


def _check_range(values: Floats, share: bool) -> None:
    """ValueError unless the scores (R, P) lie where they can."""
    if values.size and (values.min() < 0 or (share and values.max() > 1)):
        allowed = "in 0..1" if share else "from 0 on"
        do = (
            "give share=False for distances, volumes and counts"
            if values.min() >= 0
            else "leave out what is none"
        )
        found = f"they reach from {values.min():g} to {values.max():g}"
        raise ValueError(f"scores must lie {allowed}, and {found}; {do}")


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
    if not parts.varies:
        return replace(found, reason=NOTHING_VARIES)
    spread = parts.spread
    factor = math.exp(spread.half_width() / parts.value)
    return replace(found, low=parts.value / factor, high=parts.value * factor, spread=spread)
