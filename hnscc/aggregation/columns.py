"""The columns of all tables, those of a search included: their type and meaning. A column name has one meaning in every
table, unless COLUMNS says otherwise."""

import pyarrow as pa

from hnscc.aggregation.column_types import REAL, TEXT, WHOLE, YES
from hnscc.aggregation.comparison_columns import COMPARISONS
from hnscc.aggregation.scan_columns import DETECTION, SCANS
from hnscc.scores.metrics import METRICS, Metric
from hnscc.scores.patient_metrics import PATIENT_METRICS, POOLED_METRICS

# What may become of a configuration, and the words for it that follow its name.
PLACES = {
    "winner": "",
    "not_distinguished": "from the winner",
    "dismissed": "worse by a paired test",
    "set_aside": "one repeat, which nothing can be tested on",
    "stopped": "across epochs",
    "failed": "",
    "untrained": "the budget was spent before",
}
_PLACES_IN_WORDS = "; ".join(f"{name} ({why})" if why else name for name, why in PLACES.items())

SEARCH: dict[str, tuple[pa.DataType, str]] = {
    "configuration": (TEXT, "name of the configuration: the variant of its trials"),
    "rank": (WHOLE, "rank of the configuration, the winner's being 1; more repeats go before a higher score"),
    "place": (TEXT, f"what became of it: {_PLACES_IN_WORDS}"),
    "written": (YES, "whether it stands in winners.yaml"),
    "score": (REAL, "mean over its repeats of best_val_soft_jaccard"),
    "score_sd": (REAL, "standard deviation (n - 1) over its repeats of best_val_soft_jaccard"),
    "score_low": (REAL, "lower end of the 95 % t interval of score over repeats"),
    "score_high": (REAL, "upper end of the 95 % t interval of score over repeats"),
    "val_dice_mean": (REAL, "mean over its completed repeats of val_dice, the pooled validation Dice at 0.5"),
    "round": (WHOLE, "the last round of the race that it ran in; 0 stands for its first repeats"),
    "pairs": (WHOLE, "number of repeats that it and the winner have in common"),
    "behind": (REAL, "the winner's score less this one's, over these pairs"),
    "behind_low": (REAL, "lower end of the 95 % t interval of behind, by the variance of the paired test"),
    "behind_high": (REAL, "upper end of that interval"),
    "p_worse": (REAL, "one-sided p of the paired test that it is worse than the winner, not corrected"),
    "trials": (WHOLE, "number of trials begun"),
}


OF_PATIENTS = "the mean over patients (those with lesion, but for fp_ml and false_lesions): "
OF_PATIENTS += ", ".join(
    f"{each.name} ({each.meaning}{f' in {each.measured_in}' if each.measured_in else ''})"
    for each in PATIENT_METRICS
)

_POOLED_COLUMNS = {
    "{}": "{meaning}, of all patients as one, by the median models at threshold, over whole scans",
    "{}_low": "lower end of the 95 % interval over patients of {name}, the model being fixed",
    "{}_high": "upper end of the 95 % interval over patients of {name}, the model being fixed",
    "{}_repeats_mean": "mean over these repeats of {name} at 0.5",
    "{}_repeats_low": "lower end of the 95 % interval of {name}_repeats_mean over patients and repeats",
    "{}_repeats_high": "upper end of the 95 % interval of {name}_repeats_mean over patients and repeats",
}

# A column that means something else in one table has a second entry, `table.name`.
COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "patient_id": (TEXT, "pseudonym of the patient"),
    "scan_id": (TEXT, "pseudonym of the scan"),
    "z": (WHOLE, "position of the slice in its scan, counted from 0"),
    "split": (TEXT, "what the slices serve for: train, validation or test"),
    "slices": (
        WHOLE,
        "number of slices: of the scan in `cohort` and `scans`, of the mask's own grid in `drawn_scans`, of the split "
        "in `pooled`",
    ),
    "positive_slices": (WHOLE, "number of the scan's slices with lesion: whose stored mask holds its pixels"),
    "used_positive": (WHOLE, "number of sampled slices with lesion, in this split"),
    "used_negative": (WHOLE, "number of sampled slices without lesion, in this split"),
    "trial_id": (TEXT, "name of the trial, made of variant, fold and repeat, for example pet_mri-f0-r07"),
    "variant": (TEXT, "name of the variant in the study file"),
    "fold": (WHOLE, "number of the fold, counted from 0"),
    "repeat": (WHOLE, "number of the repeat, counted from 0"),
    "seed": (WHOLE, "the trial's own seed, from which its other seeds follow"),
    "status": (
        TEXT,
        "completed, failed or missing; in a search also stopped, before its last epoch. A trial whose files are "
        "damaged counts as missing",
    ),
    "best_epoch": (WHOLE, "number, counted from 1, of the epoch whose weights were kept"),
    "epochs": (WHOLE, "number of epochs trained"),
    "stop_reason": (
        TEXT,
        "why training ended: patience (no epoch was better for as long as the study waits) or epochs (all were "
        "trained)",
    ),
    "best_val_soft_jaccard": (
        REAL,
        "soft Jaccard of the validation slices after best_epoch: the one of probabilities, without a threshold",
    ),
    "collapsed": (
        YES,
        "whether no pixel of validation or test reaches the probability 0.5; of a variant, whether that holds of the "
        "median model of every fold",
    ),
    "highest_probability": (
        REAL,
        "highest probability of any pixel of validation and test; of a variant, by any fold's median model",
    ),
    "is_median": (
        YES,
        "whether the trial is the median model of its variant and fold: the middle one by pooled validation Dice at "
        "0.5, the lower of two middle repeats, ties by repeat number",
    ),
    "weights_sha256": (TEXT, "SHA-256 of the trial's weights"),
    "seconds": (
        REAL,
        "wall-clock time in seconds; the only kind of value that differs between two runs of one study",
    ),
    "unusable": (
        YES,
        "whether the trial left results that are not used, since its files are damaged or are of other slices, "
        "or it was trained by other settings; "
        "`reason` says why",
    ),
    "device": (TEXT, "kind of device that the trial was trained on"),
    "versions": (
        TEXT,
        "versions that trained the trial: of this project's own arithmetic and of each library that weights depend on",
    ),
    "epoch": (WHOLE, "number of the epoch, counted from 1"),
    "train_loss": (REAL, "mean loss of the training slices"),
    "val_loss": (REAL, "mean loss of the validation slices"),
    "val_soft_jaccard": (
        REAL,
        "soft Jaccard of the validation slices: the one of probabilities, without a threshold",
    ),
    "threshold": (
        REAL,
        "probability from which on a pixel counts as predicted; null where the folds' thresholds differ",
    ),
    "chosen": (
        YES,
        "whether this is the threshold chosen for the variant and fold, on the validation slices",
    ),
    "truth_px": (WHOLE, "number of lesion pixels of the slice, or of all scored slices of the patient"),
    "pred_px": (WHOLE, "number of predicted pixels there"),
    "overlap_px": (WHOLE, "number of pixels that are both predicted and lesion"),
    "outcome": (
        TEXT,
        "tp, tn, fp or fn of the slice, which counts as with lesion from cutoff_px pixels of truth on, and as called "
        "positive from as many of prediction on",
    ),
    "misplaced": (
        WHOLE,
        "number of slices where truth and prediction both reach cutoff_px and share no pixel",
    ),
    "slices.misplaced": (YES, "whether truth and prediction both reach cutoff_px and share no pixel"),
    **SCANS,
    "used": (
        YES,
        "whether the slice is a sampled one: by these trials are trained and the readings as_written and as_coded "
        "score; the others make whole scans of those of validation and test, and all count in every other table",
    ),
    "scored": (
        TEXT,
        "which slices the reading scores and chooses by: sampled (`used` in table `slices`), or all; with "
        "`evaluation: {slices: sampled}` these are the same",
    ),
    **{
        f"pooled.{pattern.format(each.name)}": (REAL, meaning.format(name=each.name, meaning=each.meaning))
        for each in POOLED_METRICS
        for pattern, meaning in _POOLED_COLUMNS.items()
    },
    "scans_reason": (
        TEXT,
        f"why a value of whole scans ({', '.join(each.name for each in POOLED_METRICS)}) does not exist; null where "
        "all do. `reason` is of the other columns",
    ),
    "pooled.reason": (
        TEXT,
        "why a value of the row does not exist, other than those of whole scans (scans_reason says it of these); null "
        "where all do",
    ),
    "repeats": (WHOLE, "number of repeats that are completed in every fold"),
    "failed": (WHOLE, "number of failed trials of the variant"),
    "missing": (WHOLE, "number of missing trials of the variant"),
    "patients": (WHOLE, "number of patients behind the row"),
    "slice_set": (
        TEXT,
        "which slices count: lesion (truth holds a pixel), all, partial (as in the paper's code: Dice is neither 0 "
        "nor 1), or true_positive: predicted and true from cutoff_px on. In `protocol` these are tp by the row's "
        "convention, so the paper's (overlap) leaves misplaced slices out; elsewhere by the slice convention, which "
        "keeps them",
    ),
    "n": (WHOLE, "number of slices; in `comparisons`, number of pairs of slices or patients"),
    "n_empty": (WHOLE, "number of these slices whose truth and prediction are both empty"),
    "mean": (
        REAL,
        "mean over repeats and patients, each counting alike, measured in what the metric is: mm, ml, or a ratio; of a "
        "patient that several folds validate on, the mean over these folds",
    ),
    "means.low": (REAL, "lower end of the 95 % interval of mean over patients and repeats (two-way t)"),
    "means.high": (REAL, "upper end of the 95 % interval of mean over patients and repeats (two-way t)"),
    "median_model": (
        REAL,
        "mean over the same patients by the median models of all folds, at their chosen thresholds",
    ),
    "median_model_low": (
        REAL,
        "lower end of the 95 % t interval over patients of median_model: these models being fixed, it says nothing of "
        "other trainings",
    ),
    "median_model_high": (REAL, "upper end of that interval"),
    "means.higher_is_better": (YES, "whether more of the metric is better"),
    "means.patients": (WHOLE, "number of patients that the mean is over"),
    **COMPARISONS,
    "convention": (
        TEXT,
        "what a misplaced slice counts as, whose truth and prediction both reach cutoff_px and share no pixel: tp "
        "(slice), fn (lesion) or fp (overlap, the paper's)",
    ),
    "cutoff_px": (
        WHOLE,
        "number of pixels from which on a slice counts as with lesion, by its truth, and as called positive, by its "
        "prediction",
    ),
    "tp": (WHOLE, "number of true positive slices"),
    "tn": (WHOLE, "number of true negative slices"),
    "fp": (WHOLE, "number of false positive slices"),
    "fn": (WHOLE, "number of false negative slices"),
    "small_truth": (
        WHOLE,
        "number of slices whose truth is 1 to cutoff_px - 1 pixels: they count as without lesion",
    ),
    "sensitivity": (REAL, "tp / (tp + fn)"),
    "specificity": (REAL, "tn / (tn + fp)"),
    "accuracy": (REAL, "(tp + tn) / all slices"),
    "slope": (REAL, "slope of the line of predicted on true pixels per slice, at the chosen threshold"),
    "intercept": (REAL, "intercept of that line, in pixels"),
    "r2": (REAL, "coefficient of determination of that line"),
    "reading": (
        TEXT,
        "how the protocol is read: as_written (the paper's text), as_coded (the paper's code) or corrected",
    ),
    "study_protocol": (TEXT, "the preset that the study was trained by"),
    "median_on": (TEXT, "the split whose pooled Dice at 0.5 chooses the median model"),
    "threshold_on": (TEXT, "the split whose pooled Dice chooses the threshold"),
    "slice_threshold": (REAL, "the threshold of the means over slice_set"),
    "trial_ids": (TEXT, "names of the median models, one of each fold, separated by spaces"),
    **DETECTION,
    **SEARCH,
    "reason": (TEXT, "why a value of the row does not exist; null where all do"),
}

# The columns that each metric has. {name} stands for the metric's name, {label} for its label, {empty} for its value
# where both masks are empty.
METRIC_COLUMNS: dict[str, str] = {
    "{}": "{label}: of the slice in `slices`, of all voxels in `scans`, `drawn_scans` and `patients`, mean over "
    "slice_set in `protocol`, else pooled over the split; {empty}",
    "{}_sd": "standard deviation (n - 1) of the slices' {label}",
    "{}_mean": "mean {label} of the slices",
    "{}_low": "lower end of the 95 % interval over patients of {name}, the model being fixed",
    "{}_high": "upper end of the 95 % interval over patients of {name}, the model being fixed",
    "{}_at_half": "pooled {label} of the median model at 0.5",
    "train_{}": "pooled {label} of the training slices at 0.5",
    "val_{}": "pooled {label} of the validation slices at 0.5",
    "test_{}": "pooled {label} of the test slices at 0.5",
    "pooled_{}": "pooled {label} of the test slices at threshold",
    "{}_repeats_median": "median over these repeats of the pooled {label} at 0.5",
    "{}_repeats_q25": "lower quartile over these repeats of the pooled {label} at 0.5",
    "{}_repeats_q75": "upper quartile over these repeats of the pooled {label} at 0.5",
    "{}_repeats_mean": "mean over these repeats of the pooled {label} at 0.5",
    "{}_repeats_low": "lower end of the 95 % interval of {name}_repeats_mean over patients and repeats",
    "{}_repeats_high": "upper end of the 95 % interval of {name}_repeats_mean over patients and repeats",
    "{}_repeats_sd": "standard deviation (n - 1) over these repeats of the pooled {label} at 0.5",
    "{}_repeats_min": "lowest value over these repeats of the pooled {label} at 0.5",
    "{}_repeats_max": "highest value over these repeats of the pooled {label} at 0.5",
}


def pooled_names() -> str:
    """Return the columns that table `pooled` has for whole scans, metric by metric."""
    return " ".join(pattern.format(each.name) for each in POOLED_METRICS for pattern in _POOLED_COLUMNS)


def column(table: str, name: str) -> tuple[pa.DataType, str]:
    """Return type and meaning of a table's column that does not belong to a single metric."""
    if name == "metric" and table == "means":
        return TEXT, f"name of the score, of which the row has {OF_PATIENTS}"
    if name == "metric":
        pooled = " or ".join(METRICS)
        return TEXT, f"name of the metric compared: {pooled}, or of whole test scans, {OF_PATIENTS}"
    return COLUMNS.get(f"{table}.{name}") or COLUMNS[name]


def metric_column(pattern: str, metric: Metric) -> tuple[str, pa.DataType, str]:
    """Return name, type and meaning of a metric's own column. pattern: one of METRIC_COLUMNS."""
    words = {"label": metric.label, "name": metric.name, "empty": metric.when_empty}
    return pattern.format(metric.name), REAL, METRIC_COLUMNS[pattern].format(**words)
