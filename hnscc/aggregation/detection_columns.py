"""What the columns of tables `detection` and `reliability` are; joined to all others in `columns`."""

import pyarrow as pa

from hnscc.aggregation.column_types import REAL, TEXT, WHOLE

DETECTION: dict[str, tuple[pa.DataType, str]] = {
    "detection.repeat": (
        WHOLE,
        "number of the repeat, at 0.5 in every fold; null for the median models of all folds, each at its chosen "
        "threshold",
    ),
    "detection.unit": (TEXT, "what is told apart: scan, or patient (all scans of the patient)"),
    "detection.n": (WHOLE, "number of scans or patients; one of validation counts once for each fold"),
    "with_lesion": (WHOLE, "how many of these hold lesion"),
    "detection.tp": (WHOLE, "number with lesion where anything is predicted, wherever"),
    "detection.fn": (WHOLE, "number with lesion where nothing is predicted"),
    "detection.fp": (WHOLE, "number without lesion where anything is predicted"),
    "detection.tn": (WHOLE, "number without lesion where nothing is predicted"),
    "detection.misplaced": (WHOLE, "how many of tp hold no predicted voxel in their lesions"),
    "auc": (
        REAL,
        "area under the ROC curve, 0 to 1: how often one with lesion has a higher probability than one without, by "
        "the highest of any voxel; ties count half, and the threshold plays no part",
    ),
    "false_per_scan": (REAL, "false_lesions / scans; lesions are counted over all scans, whatever the unit"),
    "lesion_sensitivity": (REAL, "lesions_found / lesions, 0 to 1"),
    "lesion_f1": (
        REAL,
        "2 lesions_found / (lesions + lesions_found + false_lesions), 0 to 1; 1 where there is neither a true nor a "
        "false lesion",
    ),
    "lesion_dice": (REAL, "mean over lesions of the Dice of each and the predicted ones that touch it"),
    "lesions_under_1_ml": (WHOLE, "number of true lesions below 1 ml"),
    "lesions_1_to_5_ml": (WHOLE, "number of true lesions from 1 ml on, below 5 ml"),
    "lesions_over_5_ml": (WHOLE, "number of true lesions from 5 ml on"),
    "sensitivity_under_1_ml": (REAL, "the part of lesions below 1 ml that is found, 0 to 1"),
    "sensitivity_1_to_5_ml": (REAL, "the part of lesions from 1 ml on, below 5 ml, that is found, 0 to 1"),
    "sensitivity_over_5_ml": (REAL, "the part of lesions from 5 ml on that is found, 0 to 1"),
    "brier": (
        REAL,
        "Brier score of all voxels of these scans: mean squared difference of probability and truth, 0 to 1, lower is "
        "better; most voxels lie far from any lesion, so it is small",
    ),
    "reliability.repeat": (WHOLE, "number of the repeat; null for the median models of all folds"),
    "reliability.low": (
        REAL,
        "lower edge of the bin: probabilities above it, in the first bin from 0 on",
    ),
    "reliability.high": (REAL, "upper edge of the bin: probabilities up to it"),
    "reliability.n": (WHOLE, "number of voxels of the bin"),
    "predicted": (REAL, "mean probability of these voxels"),
    "observed": (
        REAL,
        "the part of these voxels that is lesion: as large as predicted where probabilities are right",
    ),
}
