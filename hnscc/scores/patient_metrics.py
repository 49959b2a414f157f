"""Metrics of a patient's whole scans, as data: what variants are compared by beside overlap.

The value of a patient is that of its scans together (`scores.scans.together`), by the rule for empty masks of
`scores.masks`. None of them improves where more lesions are missed, but for what counts false predictions alone, and
for the volume error: it is a description, in which a false alarm hides a miss of the same volume. Those of surfaces
are the list of `scores.surface`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hnscc.base.arrays import Floats
from hnscc.scores import volumes
from hnscc.scores.lesions import f1, sensitivity
from hnscc.scores.metrics import DICE, JACCARD, Fraction, Metric
from hnscc.scores.metrics.overlap import dice_fraction
from hnscc.scores.scans import ScanScore
from hnscc.scores.surface import SCAN_METRICS, ScanMetric

RATIO = (0.0, 1.0)


@dataclass(frozen=True)
class Pooling:
    """What a score of all patients as one is made of: a ratio of sums over patients.

    counts: overlap, prediction and truth of one patient: ml, or lesions. fraction: their numerator and denominator.
    """

    counts: Callable[[ScanScore], tuple[float, float, float]]
    fraction: Fraction


@dataclass(frozen=True)
class PatientMetric:
    """A score of a patient, whose mean over patients is compared.

    name: in column `metric` of table `comparisons`. label: how a report writes it. unit: of its values, None where they
    are ratios or counts. meaning: what it is, in a few words. of: its value, never NaN. range: the least and the most
    that it can be, None where there is no most. of_all: whether it has a value of patients without lesion too, as false
    predictions have; else it is of patients with lesion. decimals: how many a report writes. pooling: how it pools over
    patients, None where it does not (distances are no sums), or where another column has it (`dice`, `jaccard`).
    """

    name: str
    label: str
    unit: str | None
    meaning: str
    higher_is_better: bool
    of: Callable[[ScanScore], float]
    range: tuple[float, float] | None = None
    of_all: bool = False
    decimals: int = 3
    pooling: Pooling | None = None

    @property
    def is_share(self) -> bool:
        """Whether its values lie in 0..1, so that the interval of a mean is made on the logit scale."""
        return self.range == RATIO

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The least and the most that a difference can be."""
        return self.range and (self.range[0] - self.range[1], self.range[1] - self.range[0])


def _of_surface(metric: ScanMetric) -> PatientMetric:
    return PatientMetric(
        metric.name,
        metric.label,
        metric.unit,
        metric.meaning,
        metric.higher_is_better,
        lambda score: score.surface[metric.name],
        metric.range,
        decimals=metric.decimals,
    )


def _found(score: ScanScore) -> float:
    """The share of lesions that are found; a patient without lesion has missed none."""
    share = sensitivity(score.lesions)
    return 1.0 if share is None else share


def _own(metric: Metric, score: ScanScore) -> float:
    """A metric of overlap, of the patient's voxels alone."""
    return float(metric.function(score.overlap_px, score.pred_px, score.truth_px))


def _volume_error(score: ScanScore) -> float:
    return abs(score.volumes.pred_ml - score.volumes.truth_ml)


def _found_volume(score: ScanScore) -> float:
    """The share of the lesions' volume that is predicted; a patient without lesion has missed none."""
    share = volumes.sensitivity(score.volumes)
    return 1.0 if share is None else share


def _lesions(score: ScanScore) -> tuple[float, float, float]:
    """Of true lesions those found, the lesions that are predicted (those found, and false ones), and the true ones."""
    found = score.lesions.found
    return found, found + score.lesions.false, len(score.lesions.lesions)


def _volumes(score: ScanScore) -> tuple[float, float, float]:
    return score.volumes.overlap_ml, score.volumes.pred_ml, score.volumes.truth_ml


def _of_pred(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """The share of the prediction that is truth, as a fraction; arrays of one shape, (P,) or (R, P)."""
    return np.asarray(overlap, np.float64), np.asarray(pred, np.float64)


def _of_truth(overlap: ArrayLike, pred: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """The share of the truth that is predicted, in the same way."""
    return np.asarray(overlap, np.float64), np.asarray(truth, np.float64)


# Patients' own Dice is not the pooled Dice, which `comparisons` names `dice` and which weighs patients by their voxels.
PATIENT_METRICS = (
    PatientMetric(
        "patient_dice",
        "patients' own Dice",
        None,
        "Dice of each patient's voxels",
        True,
        lambda score: _own(DICE, score),
        RATIO,
    ),
    PatientMetric(
        "patient_jaccard",
        "patients' own Jaccard",
        None,
        "Jaccard of each patient's voxels",
        True,
        lambda score: _own(JACCARD, score),
        RATIO,
    ),
    *(_of_surface(each) for each in SCAN_METRICS),
    PatientMetric(
        "lesion_f1",
        "lesion F1",
        None,
        "F1 of lesions found",
        True,
        lambda score: f1(score.lesions),
        RATIO,
        pooling=Pooling(_lesions, dice_fraction),
    ),
    PatientMetric(
        "lesion_sensitivity",
        "lesion sensitivity",
        None,
        "share of lesions found",
        True,
        _found,
        RATIO,
        pooling=Pooling(_lesions, _of_truth),
    ),
    PatientMetric(
        "detected",
        "detected",
        None,
        "1 where any voxel of the lesions is predicted, else 0",
        True,
        lambda score: float(score.overlap_px > 0),
        RATIO,
    ),
    PatientMetric(
        "volume_precision",
        "precision by volume",
        None,
        "the part of the predicted volume that is lesion, 0 where nothing is predicted",
        True,
        lambda score: volumes.precision(score.volumes),
        RATIO,
        pooling=Pooling(_volumes, _of_pred),
    ),
    PatientMetric(
        "volume_sensitivity",
        "sensitivity by volume",
        None,
        "the part of the lesions' volume that is predicted",
        True,
        _found_volume,
        RATIO,
        pooling=Pooling(_volumes, _of_truth),
    ),
    PatientMetric(
        "volume_error_ml",
        "volume error",
        "ml",
        "absolute difference of predicted and true volume",
        False,
        _volume_error,
        decimals=2,
    ),
    PatientMetric(
        "fn_ml",
        "missed",
        "ml",
        "volume of lesion missed",
        False,
        lambda score: score.volumes.fn_ml,
        decimals=2,
    ),
    PatientMetric(
        "fp_ml",
        "falsely predicted",
        "ml",
        "volume predicted outside of lesions",
        False,
        lambda score: score.volumes.fp_ml,
        of_all=True,
        decimals=2,
    ),
    PatientMetric(
        "false_lesions",
        "false lesions",
        None,
        "number of predicted lesions that hold no true voxel",
        False,
        lambda score: float(score.lesions.false),
        of_all=True,
        decimals=2,
    ),
)

# Those that are pooled over patients beside overlap, in table `pooled`.
POOLED_METRICS = tuple(each for each in PATIENT_METRICS if each.pooling)
