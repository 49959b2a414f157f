"""Metrics of a patient's whole scans, as data: what variants are compared by beside overlap.

The value of a patient is that of its scans together (`scores.scans.together`), by the rule for empty masks of
`scores.masks`. None of them improves where more lesions are missed, but for what counts false predictions alone, and
for the volume error: it is a description, in which a false alarm hides a miss of the same volume.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hnscc.scores.lesions import f1, sensitivity
from hnscc.scores.metrics import DICE, JACCARD, Metric
from hnscc.scores.scans import ScanScore
from hnscc.scores.volumes import precision


@dataclass(frozen=True)
class PatientMetric:
    """A score of a patient, whose mean over patients is compared.

    name: in column `metric` of table `comparisons`. label: how a report writes it. unit: of its values, None where they
    are ratios or counts. meaning: what it is, in a few words. of: its value, never NaN. range: the least and the most
    that it can be, None where there is no most. of_all: whether it has a value of patients without lesion too, as false
    predictions have; else it is of patients with lesion. decimals: how many a report writes.
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

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The least and the most that a difference can be."""
        return self.range and (self.range[0] - self.range[1], self.range[1] - self.range[0])


def _found(score: ScanScore) -> float:
    """The share of lesions that are found; a patient without lesion has missed none."""
    share = sensitivity(score.lesions)
    return 1.0 if share is None else share


def _own(metric: Metric, score: ScanScore) -> float:
    """A metric of overlap, of the patient's voxels alone."""
    return float(metric.function(score.overlap_px, score.pred_px, score.truth_px))


def _volume_error(score: ScanScore) -> float:
    return abs(score.volumes.pred_ml - score.volumes.truth_ml)


RATIO = (0.0, 1.0)
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
    PatientMetric(
        "hd95_mm", "HD95", "mm", "95 % Hausdorff distance", False, lambda score: score.hd95_mm, decimals=1
    ),
    PatientMetric(
        "assd_mm", "ASSD", "mm", "average surface distance", False, lambda score: score.assd_mm, decimals=1
    ),
    PatientMetric("nsd", "NSD", None, "normalised surface Dice", True, lambda score: score.nsd, RATIO),
    PatientMetric(
        "lesion_f1", "lesion F1", None, "F1 of lesions found", True, lambda score: f1(score.lesions), RATIO
    ),
    PatientMetric(
        "lesion_sensitivity", "lesion sensitivity", None, "share of lesions found", True, _found, RATIO
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
        "precision",
        None,
        "the part of the predicted volume that is lesion, 0 where nothing is predicted",
        True,
        lambda score: precision(score.volumes),
        RATIO,
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
