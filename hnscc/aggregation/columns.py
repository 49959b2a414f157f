"""What the columns of the tables are: their type and meaning. A column name has one meaning in every table."""

import pyarrow as pa

from hnscc.scores.metrics import METRICS, Metric

TEXT, WHOLE, REAL, YES = pa.string(), pa.int64(), pa.float64(), pa.bool_()

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "patient_id": (TEXT, "pseudonym of the patient"),
    "scan_id": (TEXT, "pseudonym of the scan"),
    "z": (WHOLE, "index of the slice in its scan, from 0"),
    "split": (TEXT, "train, validation or test"),
    "slices": (WHOLE, "number of slices"),
    "positive_slices": (WHOLE, "slices of the scan whose stored mask holds lesion pixels"),
    "used_positive": (WHOLE, "slices with lesion pixels that the study uses in this split"),
    "used_negative": (WHOLE, "slices without lesion pixels that the study uses in this split"),
    "trial_id": (TEXT, "variant-fold-repeat, for example pet_mri-f0-r07"),
    "variant": (TEXT, "name of the variant in the study file"),
    "fold": (WHOLE, "fold, from 0"),
    "repeat": (WHOLE, "repeat, from 0"),
    "seed": (WHOLE, "the trial's own seed, from which its other seeds are drawn"),
    "status": (TEXT, "completed, failed or missing; a trial whose files are damaged counts as missing"),
    "best_epoch": (WHOLE, "epoch, from 1, whose weights were kept"),
    "epochs": (WHOLE, "epochs trained"),
    "stop_reason": (TEXT, "patience or epochs"),
    "best_val_soft_jaccard": (REAL, "monitored soft Jaccard of the validation set at best_epoch"),
    "collapsed": (
        YES,
        "no pixel of validation or test reaches 0.5; of a variant: by the median model of every fold",
    ),
    "highest_probability": (
        REAL,
        "highest probability in validation and test; of a variant: by any fold's median model",
    ),
    "is_median": (
        YES,
        "the median model of its variant and fold: by pooled validation Dice at 0.5, the lower of "
        "two middle repeats, ties by repeat number",
    ),
    "weights_sha256": (TEXT, "hash of the trial's weights"),
    "seconds": (REAL, "wall-clock time; the only kind of value that differs between two runs of one study"),
    "device": (TEXT, "what the trial was trained on"),
    "epoch": (WHOLE, "epoch, from 1"),
    "train_loss": (REAL, "mean loss of the training slices"),
    "val_loss": (REAL, "mean loss of the validation slices"),
    "val_soft_jaccard": (REAL, "Jaccard of the validation set without a threshold"),
    "threshold": (
        REAL,
        "a pixel is positive where its probability is at least this; null where folds differ",
    ),
    "chosen": (YES, "the threshold chosen for this variant and fold (on the validation set)"),
    "truth_px": (WHOLE, "lesion pixels of the slice's mask"),
    "pred_px": (WHOLE, "predicted pixels of the slice"),
    "overlap_px": (WHOLE, "pixels that are both"),
    "outcome": (
        TEXT,
        "tp, tn, fp or fn by the slice convention: truth and prediction positive from cutoff_px on",
    ),
    "misplaced": (WHOLE, "slices where truth and prediction both reach cutoff_px and share no pixel"),
    "repeats": (WHOLE, "repeats completed in every fold"),
    "failed": (WHOLE, "failed trials of the variant"),
    "missing": (WHOLE, "missing trials of the variant"),
    "patients": (WHOLE, "patients behind the row"),
    "slice_set": (
        TEXT,
        "lesion (truth holds a pixel), all, partial (as coded: Dice neither 0 nor 1), or true_positive: "
        "predicted and true from cutoff_px on. In `protocol` these are tp by the row's convention, so the "
        "paper's (overlap) leaves misplaced slices out; elsewhere by the slice convention, which keeps them",
    ),
    "n": (WHOLE, "slices; in comparisons: pairs of slices or patients"),
    "n_empty": (WHOLE, "of these, slices whose truth and prediction are both empty (score 1 by rule)"),
    "variant_a": (TEXT, "the variant that stands first in the study file"),
    "variant_b": (TEXT, "the other variant"),
    "unit": (
        TEXT,
        "what is paired: slice (not independent within a patient) or patient (pooled score of each)",
    ),
    "method": (
        TEXT,
        "wilcoxon: median models at their chosen thresholds. bootstrap: all repeats at 0.5, patients and "
        "repeats resampled together",
    ),
    "n_nonzero": (WHOLE, "pairs that differ (wilcoxon)"),
    "statistic": (REAL, "smaller sum of signed ranks (wilcoxon)"),
    "p": (REAL, "two-sided p, not corrected"),
    "smallest_p": (
        REAL,
        "the smallest p that the test could have given (wilcoxon: by its exact distribution, 2^(1 - n_nonzero))",
    ),
    "p_holm": (
        REAL,
        "p by Holm's correction over the pairs within metric, slice_set, unit and method that have a p",
    ),
    "difference": (REAL, "a - b: mean over pairs (wilcoxon), or of the medians over repeats (bootstrap)"),
    "low": (REAL, "lower end of the 95 % interval of difference (bootstrap)"),
    "high": (REAL, "upper end of that interval (bootstrap)"),
    "convention": (
        TEXT,
        "slice: both from cutoff_px on is tp. lesion: a misplaced slice is fn. overlap: it is fp",
    ),
    "cutoff_px": (WHOLE, "pixels from which a slice counts as positive"),
    **{name: (WHOLE, f"slices counted as {name}") for name in ("tp", "tn", "fp", "fn")},
    "small_truth": (WHOLE, "slices whose truth is 1 .. cutoff_px - 1 pixels: they count as negative"),
    "sensitivity": (REAL, "tp / (tp + fn)"),
    "specificity": (REAL, "tn / (tn + fp)"),
    "accuracy": (REAL, "(tp + tn) / all"),
    "slope": (REAL, "of predicted on true pixels per slice, at the chosen threshold"),
    "intercept": (REAL, "of that line, in pixels"),
    "r2": (REAL, "its coefficient of determination"),
    "reading": (TEXT, "as_written, as_coded or corrected"),
    "study_protocol": (TEXT, "the preset that the study was trained by"),
    "median_on": (TEXT, "split whose pooled Dice at 0.5 chooses the median model"),
    "threshold_on": (TEXT, "split whose pooled Dice chooses the threshold"),
    "slice_threshold": (REAL, "threshold of dice and jaccard, the means over slice_set"),
    "trial_ids": (TEXT, "the median model of each fold, separated by spaces"),
    "configuration": (TEXT, "name of the configuration: the variant of its trials"),
    "rank": (WHOLE, "1 is the winner; more repeats before a higher score"),
    "place": (
        TEXT,
        "winner; not_distinguished (from it); dismissed (worse by a paired test); set_aside (one repeat, which "
        "nothing can be tested on); stopped (across epochs); failed; untrained (the budget was spent before)",
    ),
    "written": (YES, "whether it stands in winners.yaml"),
    "score": (REAL, "mean over its repeats of best_val_soft_jaccard"),
    "score_sd": (REAL, "sample standard deviation (n - 1) of these"),
    "score_low": (REAL, "lower end of the 95 % t interval of score over repeats"),
    "score_high": (REAL, "upper end of that interval"),
    "round": (WHOLE, "the last round of the race that it ran in; 0: its first repeats"),
    "pairs": (WHOLE, "repeats that it and the winner have in common"),
    "behind": (REAL, "the winner's score less this one's, over these pairs"),
    "behind_low": (REAL, "lower end of the 95 % t interval of behind, by the variance of the paired test"),
    "behind_high": (REAL, "upper end of that interval"),
    "p_worse": (REAL, "one-sided p of the paired test that it is worse than the winner, not corrected"),
    "trials": (WHOLE, "trials begun"),
    "reason": (TEXT, "why a value of the row does not exist; null where all do"),
}

# Columns that each metric has: {} stands for its name, {label} and {empty} for what it says of itself.
METRIC_COLUMNS: dict[str, str] = {
    "{}": "{label}: of the slice in `slices`, mean over slice_set in `protocol`, else pooled over the split; {empty}",
    "{}_sd": "sample standard deviation (n - 1) of the slices' {label}",
    "{}_mean": "mean {label} of the slices",
    "{}_low": "lower end of the 95 % bootstrap interval over patients of {name}, the model being fixed",
    "{}_high": "upper end of that interval",
    "{}_at_half": "pooled {label} of the median model at 0.5",
    "train_{}": "pooled {label} of the training slices at 0.5",
    "val_{}": "pooled {label} of the validation slices at 0.5",
    "test_{}": "pooled {label} of the test slices at 0.5",
    "pooled_{}": "pooled {label} of the test slices at threshold",
    **{
        f"{{}}_repeats_{name}": f"{name} over these repeats of the pooled {{name}} at 0.5"
        for name in ("median", "q25", "q75", "mean", "sd", "min", "max")
    },
}


def column(name: str) -> tuple[pa.DataType, str]:
    """Type and meaning of a column that is of no single metric."""
    if name == "metric":
        return TEXT, " or ".join(METRICS)
    return COLUMNS[name]


def metric_column(pattern: str, metric: Metric) -> tuple[str, pa.DataType, str]:
    """Name, type and meaning of a metric's own column. pattern: one of METRIC_COLUMNS."""
    words = {"label": metric.label, "name": metric.name, "empty": metric.when_empty}
    return pattern.format(metric.name), REAL, METRIC_COLUMNS[pattern].format(**words)
