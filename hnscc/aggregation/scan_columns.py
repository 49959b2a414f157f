"""The columns of whole scans and their lesions (tables `scans`, `drawn_scans`, `patients` and `lesions`), and those of
`detection` and `reliability`. `columns` joins them to all others."""

import pyarrow as pa

from hnscc.aggregation.column_types import REAL, TEXT, WHOLE, YES
from hnscc.scores.surface import SCAN_METRICS

SCANS: dict[str, tuple[pa.DataType, str]] = {
    "scans": (WHOLE, "number of the patient's scans that are scored, whole or by sampled slices"),
    "truth_ml": (REAL, "size of the lesions in ml (MTV), on the stored slices"),
    "drawn_scans.truth_ml": (
        REAL,
        "size of the lesions in ml (MTV), as they were drawn",
    ),
    "drawn_scans.threshold": (
        REAL,
        "probability from which on a pixel counts as predicted: the one chosen for the median model, or 0.5 where none "
        "was chosen",
    ),
    "drawn_on": (
        TEXT,
        "modality on whose grid the mask was drawn; null for a scan without a mask, which is scored on the grid of the "
        "modality whose slices are stored",
    ),
    "dice_stored": (REAL, "Dice of the same scan, model and threshold on the stored slices, as in `scans`"),
    "dice_of_mask_sent_back": (
        REAL,
        "Dice of the scan's own mask with itself, once it was placed on the stored slices and sent back: what a "
        "perfect model would reach; 1 where the mask is empty",
    ),
    "pred_ml": (REAL, "size of the prediction in ml"),
    "overlap_ml": (REAL, "what is both predicted and lesion, in ml"),
    "fp_ml": (REAL, "false positives in ml: predicted and no lesion"),
    "fn_ml": (REAL, "misses in ml: lesion and not predicted"),
    "volume_precision": (
        REAL,
        "the part of the predicted ml that is lesion, 0 to 1; of an empty prediction 1 where the truth is empty "
        "too, else 0",
    ),
    **{
        metric.name: (
            REAL,
            f"{metric.meaning}: {metric.column}. In `patients` the mean over the scans with lesion, or over all of a "
            "patient without",
        )
        for metric in SCAN_METRICS
    },
    "lesions": (WHOLE, "number of true lesions, connected in 3D"),
    "lesions_found": (WHOLE, "how many of these hold a predicted voxel"),
    "false_lesions": (
        WHOLE,
        "number of predicted lesions, connected in 3D, that hold no voxel of a true one",
    ),
    "tlg_truth": (
        REAL,
        "total lesion glycolysis of the true mask, its mean SUV times its size in ml; null where PET is not in SUV",
    ),
    "tlg_pred": (
        REAL,
        "total lesion glycolysis of the predicted mask, its mean SUV times its size in ml; null where PET is not in "
        "SUV",
    ),
    "lesion": (YES, "whether any scan of the patient holds lesion; null where scans are not whole"),
    "lesions.lesion": (
        WHOLE,
        "number of the lesion in its scan, from 1 on, by its first voxel along z, y, x",
    ),
    "detected": (
        YES,
        "of a patient with lesion, whether any voxel of the lesion is predicted (tp of table detection asks only "
        "whether anything is, wherever); of one without, whether anything is predicted, which is a false alarm; null "
        "where scans are not whole",
    ),
    "found": (YES, "whether any voxel of the lesion is predicted"),
    "lesions.dice": (REAL, "Dice of the lesion and the predicted ones that touch it; 0 where none does"),
}

DETECTION: dict[str, tuple[pa.DataType, str]] = {
    "detection.repeat": (
        WHOLE,
        "number of the repeat, at 0.5 in every fold; null for the median models of all folds, each at its chosen "
        "threshold",
    ),
    "detection.unit": (TEXT, "what is told apart: scan, or patient (all scans of the patient)"),
    "detection.n": (WHOLE, "number of scans or patients; one of validation counts once for each fold"),
    "with_lesion": (WHOLE, "how many of these hold lesion"),
    "detection.tp": (
        WHOLE,
        "number with lesion where anything is predicted, wherever: also beside the lesion, unlike patients.detected",
    ),
    "detection.fn": (WHOLE, "number with lesion where nothing is predicted"),
    "detection.fp": (WHOLE, "number without lesion where anything is predicted"),
    "detection.tn": (WHOLE, "number without lesion where nothing is predicted"),
    "detection.misplaced": (WHOLE, "how many of tp hold no predicted voxel in their lesions"),
    "auc": (
        REAL,
        "area under the ROC curve, 0 to 1: how often one with lesion has a higher probability than one without, by "
        "the highest of any voxel; ties count half, and the threshold plays no part. Of several folds the mean of "
        "their own areas, weighted by pairs of one with lesion and one without: none is compared with one of another "
        "fold",
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
