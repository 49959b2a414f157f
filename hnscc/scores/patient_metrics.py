"""Metrics of a patient's whole scans, as data: variants are compared by these besides overlap.

A patient's value is that of all its scans together (`scores.scans.scans_together`), by the rule for empty masks of
`scores.empty_masks`. No metric improves where one more lesion that was predicted exactly is missed, with two
exceptions: those that count false predictions alone, and descriptions such as the error of size, in which a false alarm
hides a miss of as many ml. Metrics of surfaces come from the list of `scores.surface`; they may improve where a lesion
that was only touched is given up.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hnscc.base.arrays import Floats
from hnscc.scores import millilitres
from hnscc.scores.lesions import f1, lesion_sensitivity
from hnscc.scores.metrics import DICE, JACCARD, Fraction, Metric, dice_fraction
from hnscc.scores.scans import ScanScore
from hnscc.scores.surface import SCAN_METRICS, ScanMetric

RATIO = (0.0, 1.0)


@dataclass(frozen=True)
class Pooling:
    """How a score is pooled over all patients: as a ratio of sums over patients.

    counts: gives overlap, prediction and truth of one patient, in ml or lesions. fraction: gives their numerator
    and denominator.
    """

    counts: Callable[[ScanScore], tuple[float, float, float]]
    fraction: Fraction


@dataclass(frozen=True)
class PatientMetric:
    """A score of a patient, whose mean over patients is compared.

    name: its name in column `metric` of table `comparisons`. label: its name in a report. measured_in: mm or ml, None
    for ratios and counts. meaning: what it is, in a few words. of: computes its value, which is never NaN. range: the
    least and the most that it can be, None where there is no most. of_all: whether patients without lesion have a value
    too, as for false predictions; else patients with lesion alone have one. decimals: how many a report writes.
    pooling: how it is pooled over patients; None where it cannot be (distances are no sums), or where another column
    has the pooled value (`dice`, `jaccard`).
    """

    name: str
    label: str
    meaning: str
    higher_is_better: bool
    of: Callable[[ScanScore], float]
    measured_in: str | None = None
    range: tuple[float, float] | None = None
    of_all: bool = False
    decimals: int = 3
    pooling: Pooling | None = None

    @property
    def is_share(self) -> bool:
        """Whether its values lie in 0..1, so that the interval of their mean is made on the logit scale."""
        return self.range == RATIO

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The least and the most that a difference of two values can be; None where there is no most."""
        return self.range and (self.range[0] - self.range[1], self.range[1] - self.range[0])


def _of_surface(metric: ScanMetric) -> PatientMetric:
    return PatientMetric(
        name=metric.name,
        label=metric.label,
        measured_in=metric.measured_in,
        meaning=metric.meaning,
        higher_is_better=metric.higher_is_better,
        of=lambda score: score.surface[metric.name],
        range=metric.range,
        decimals=metric.decimals,
    )


def _or_none_missed(share: float | None) -> float:
    """Return the share of lesions, or of their ml, that is found: 1 for a patient without any, who has missed none."""
    return 1.0 if share is None else share


def _own(metric: Metric, score: ScanScore) -> float:
    """Return a metric of overlap for the patient's voxels alone."""
    return float(metric.function(score.overlap_px, score.pred_px, score.truth_px))


def _lesions(score: ScanScore) -> tuple[float, float, float]:
    """Return how many true lesions are found, how many lesions are predicted (the found and the false ones), and how
    many true lesions there are."""
    found = score.lesions.found
    return found, found + score.lesions.false, len(score.lesions.lesions)


def _millilitres(score: ScanScore) -> tuple[float, float, float]:
    return score.millilitres.overlap_ml, score.millilitres.pred_ml, score.millilitres.truth_ml


def _of_pred(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """Return the share of the prediction that is truth, as numerator and denominator. Counts or ml of one shape, (P,)
    or (R, P)."""
    return np.asarray(overlap, np.float64), np.asarray(pred, np.float64)


def _of_truth(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """Return the share of the truth that is predicted, as numerator and denominator. Counts or ml of one shape, (P,) or
    (R, P)."""
    return np.asarray(overlap, np.float64), np.asarray(truth, np.float64)


# The patients' own Dice is not the pooled Dice, which weighs patients by their voxels; `comparisons` calls that `dice`.
PATIENT_METRICS = (
    PatientMetric(
        name="patient_dice",
        label="patients' own Dice",
        meaning="Dice of each patient's voxels",
        higher_is_better=True,
        of=lambda score: _own(DICE, score),
        range=RATIO,
    ),
    PatientMetric(
        name="patient_jaccard",
        label="patients' own Jaccard",
        meaning="Jaccard of each patient's voxels",
        higher_is_better=True,
        of=lambda score: _own(JACCARD, score),
        range=RATIO,
    ),
    *(_of_surface(each) for each in SCAN_METRICS),
    PatientMetric(
        name="lesion_f1",
        label="lesion F1",
        meaning="F1 of lesions found",
        higher_is_better=True,
        of=lambda score: f1(score.lesions),
        range=RATIO,
        pooling=Pooling(_lesions, dice_fraction),
    ),
    PatientMetric(
        name="lesion_sensitivity",
        label="lesion sensitivity",
        meaning="share of lesions found",
        higher_is_better=True,
        of=lambda score: _or_none_missed(lesion_sensitivity(score.lesions)),
        range=RATIO,
        pooling=Pooling(_lesions, _of_truth),
    ),
    PatientMetric(
        name="detected",
        label="a lesion found",
        meaning="1 where any voxel of the lesions is predicted, else 0",
        higher_is_better=True,
        of=lambda score: float(score.overlap_px > 0),
        range=RATIO,
    ),
    PatientMetric(
        name="volume_precision",
        label="precision by ml",
        meaning="the part of the predicted ml that is lesion, 0 where nothing is predicted",
        higher_is_better=True,
        of=lambda score: millilitres.precision(score.millilitres),
        range=RATIO,
        pooling=Pooling(_millilitres, _of_pred),
    ),
    PatientMetric(
        name="volume_sensitivity",
        label="sensitivity by ml",
        meaning="the part of the lesions' ml that is predicted",
        higher_is_better=True,
        of=lambda score: _or_none_missed(millilitres.volume_sensitivity(score.millilitres)),
        range=RATIO,
        pooling=Pooling(_millilitres, _of_truth),
    ),
    PatientMetric(
        name="volume_error_ml",
        label="error of size",
        measured_in="ml",
        meaning="absolute difference of predicted and true size",
        higher_is_better=False,
        of=lambda score: abs(score.millilitres.pred_ml - score.millilitres.truth_ml),
        decimals=2,
    ),
    PatientMetric(
        name="fn_ml",
        label="missed",
        measured_in="ml",
        meaning="lesion that was missed",
        higher_is_better=False,
        of=lambda score: score.millilitres.fn_ml,
        decimals=2,
    ),
    PatientMetric(
        name="fp_ml",
        label="falsely predicted",
        measured_in="ml",
        meaning="what was predicted outside of lesions",
        higher_is_better=False,
        of=lambda score: score.millilitres.fp_ml,
        of_all=True,
        decimals=2,
    ),
    PatientMetric(
        name="false_lesions",
        label="false lesions",
        meaning="number of predicted lesions that hold no true voxel",
        higher_is_better=False,
        of=lambda score: float(score.lesions.false),
        of_all=True,
        decimals=2,
    ),
)

# The metrics besides overlap that table `pooled` has, pooled over patients.
POOLED_METRICS = tuple(each for each in PATIENT_METRICS if each.pooling)
