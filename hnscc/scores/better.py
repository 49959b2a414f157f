"""Answers beyond "is there a difference": are two variants practically equal, and how often does one score better?"""

import math

import numpy as np
from numpy.typing import ArrayLike

from hnscc.base import fewest
from hnscc.base.arrays import Floats
from hnscc.scores.crossed import Estimate, logit_interval
from hnscc.scores.describe import DIGITS, size_of
from hnscc.scores.intervals import few_repeats, too_few
from hnscc.scores.score_checks import check_labels, check_same_patients, scores_of
from hnscc.scores.two_way_t import VarianceParts, mean_parts

ALWAYS = "in every pair of trainings the score of every patient is better for the same variant: the chance is {:g} here"


def equivalence(difference: Estimate, margin: float) -> float | None:
    """Return the p of the hypothesis that a difference is as large as `margin` or larger, in either direction.

    This is the larger p of two one-sided t tests (TOST; Schuirmann 1987). If it is below 0.05, the 90 % interval lies
    within -margin..margin, and the variants may be called equal up to the margin. difference: the result of
    `pooled_difference` or `mean_difference`, whose spread is used. margin: a number above 0, in the unit of the score.

    None where the difference has no p, because patients or repeats are too few or nothing varies. Raises ValueError for
    a margin that is not a number above 0.
    """
    number = isinstance(margin, int | float | np.integer | np.floating) and not isinstance(margin, bool)
    if not number or not 0 < margin < math.inf:
        raise ValueError(
            f"the margin must be a number above 0, not {margin!r}; give the least difference that would matter"
        )
    if difference.value is None or not difference.spread or difference.patients < fewest.PATIENTS_FOR_P:
        return None
    inside = margin - abs(difference.value)
    beyond = difference.spread.p(inside) / 2
    return beyond if inside > 0 else 1 - beyond


def chance_of_better(a: ArrayLike, b: ArrayLike) -> Estimate:
    """Return how likely a training of variant a scores higher than one of b on the same patient; ties count half.

    a, b: scores (R, P), in any unit, of the same P patients in the same order, such as the Dice of each patient with
    lesion. Higher scores must be better (negate others). The numbers of repeats may differ. value: the share, 0..1, of
    pairs of trainings in which a is higher (Mann and Whitney's statistic for each patient), averaged over patients; it
    tells what to expect of a new training on a new patient, and is 0.5 if neither variant is better. Scores that differ
    by less than about 1e-12 of the largest score count as ties, since such differences come from rounding.

    The interval is a t interval on the logit scale. Its variance adds the part of the patients to that of each
    variant's trainings, by their placements (DeLong, DeLong and Clarke-Pearson 1988), and subtracts what both contain.
    With fewer than 2 patients, or fewer than 2 repeats of either variant, there is no value, and a reason instead.
    There is no interval, and a reason instead, where one variant is always better, and where nothing is seen to vary,
    as where all are ties. Raises ValueError for other shapes, for tables of pandas whose labels differ, and for scores
    that are not finite.
    """
    check_labels(a, b)
    given = [scores_of(each) for each in (a, b)]
    # A tie must not be broken by rounding noise.
    first, second = (np.round(each / size_of(*given), DIGITS) for each in given)
    check_same_patients(first, second)
    repeats, patients = (len(first), len(second)), first.shape[1]
    if lacking := too_few(patients, "patients") or few_repeats(repeats):
        return Estimate(None, reason=lacking, patients=patients, repeats=repeats)
    sides = [mean_parts([each], (1,), paired=False) for each in _placements(first, second)]
    parts = VarianceParts(
        value=sides[0].value,
        patient=sides[0].patient,
        repeat=tuple(part for side in sides for part in side.repeat),
        repeat_degrees=tuple(own for side in sides for own in side.repeat_degrees),
        joint=math.fsum(side.joint for side in sides),
        patients=patients,
    )
    return logit_interval(parts, repeats, ALWAYS)


def _placements(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return, for each training of a, the share of b's trainings that it beats (R_a, P), and for each training of b the
    share of a's trainings that beat it (R_b, P). Their means over trainings are equal (P,). a, b: scores (R_a, P) and
    (R_b, P) in any unit."""
    beats = np.empty((len(a), len(b), a.shape[1]))
    # One row at a time: 50 x 50 x P at once would be three such arrays.
    for own, row in zip(a, beats, strict=True):
        row[:] = (own > b) + 0.5 * (own == b)
    return beats.mean(1), beats.mean(0)
