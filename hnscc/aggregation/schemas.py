"""The tables of a run folder: what a row is, which columns there are, of what type, and what they mean.

A column name has one meaning in every table. The descriptions travel in the Parquet files as field metadata.
"""

import pyarrow as pa

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
    "train_dice": (REAL, "pooled Dice of the training slices at 0.5"),
    "train_jaccard": (REAL, "pooled Jaccard of the training slices at 0.5"),
    "val_dice": (REAL, "pooled Dice of the validation slices at 0.5"),
    "val_jaccard": (REAL, "pooled Jaccard of the validation slices at 0.5"),
    "test_dice": (REAL, "pooled Dice of the test slices at 0.5"),
    "test_jaccard": (REAL, "pooled Jaccard of the test slices at 0.5"),
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
    "dice": (
        REAL,
        "Dice: of the slice in `slices`, mean over slice_set in `protocol`, else pooled over the split; "
        "1 where truth and prediction are empty",
    ),
    "jaccard": (REAL, "Jaccard, formed like dice"),
    "outcome": (
        TEXT,
        "tp, tn, fp or fn by the slice convention: truth and prediction positive from cutoff_px on",
    ),
    "misplaced": (WHOLE, "slices where truth and prediction both reach cutoff_px and share no pixel"),
    "dice_low": (
        REAL,
        "lower end of the 95 % bootstrap interval over patients of dice, the model being fixed",
    ),
    "dice_high": (REAL, "upper end of that interval"),
    "jaccard_low": (REAL, "lower end of the 95 % bootstrap interval over patients of jaccard"),
    "jaccard_high": (REAL, "upper end of that interval"),
    "dice_at_half": (REAL, "pooled Dice of the median model at 0.5"),
    "jaccard_at_half": (REAL, "pooled Jaccard of the median model at 0.5"),
    "repeats": (WHOLE, "repeats completed in every fold"),
    "failed": (WHOLE, "failed trials of the variant"),
    "missing": (WHOLE, "missing trials of the variant"),
    **{
        f"{score}_repeats_{name}": (REAL, f"{name} over these repeats of the pooled {score} at 0.5")
        for score in ("dice", "jaccard")
        for name in ("median", "q25", "q75", "mean", "sd", "min", "max")
    },
    "patients": (WHOLE, "patients behind the row"),
    "slice_set": (
        TEXT,
        "lesion (truth holds a pixel), all, partial (as coded: Dice neither 0 nor 1), or true_positive: "
        "predicted and true from cutoff_px on. In `protocol` these are tp by the row's convention, so the "
        "paper's (overlap) leaves misplaced slices out; elsewhere by the slice convention, which keeps them",
    ),
    "n": (WHOLE, "slices; in comparisons: pairs of slices or patients"),
    "n_empty": (WHOLE, "of these, slices whose truth and prediction are both empty (score 1 by rule)"),
    "dice_mean": (REAL, "mean Dice of the slices"),
    "dice_sd": (REAL, "sample standard deviation (n - 1) of the slices' Dice"),
    "jaccard_mean": (REAL, "mean Jaccard of the slices"),
    "jaccard_sd": (REAL, "sample standard deviation (n - 1) of the slices' Jaccard"),
    "variant_a": (TEXT, "the variant that stands first in the study file"),
    "variant_b": (TEXT, "the other variant"),
    "metric": (TEXT, "dice or jaccard"),
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
    "pooled_dice": (REAL, "pooled Dice of the test slices at threshold"),
    "pooled_jaccard": (REAL, "pooled Jaccard of the test slices at threshold"),
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

_REPEATS = " ".join(name for name in COLUMNS if "_repeats_" in name)
TABLES: dict[str, tuple[str, str]] = {
    "cohort": (
        "scan, fold, split",
        "patient_id scan_id fold split slices positive_slices used_positive used_negative",
    ),
    "trials": (
        "planned trial",
        """trial_id variant fold repeat seed status best_epoch epochs stop_reason best_val_soft_jaccard
        val_jaccard val_dice test_dice test_jaccard train_dice train_jaccard collapsed highest_probability
        is_median weights_sha256 seconds device reason""",
    ),
    "epochs": (
        "completed trial, epoch",
        "trial_id variant fold repeat epoch train_loss val_loss val_soft_jaccard seconds",
    ),
    "slices": (
        "completed trial, threshold (0.5; of the median model the chosen one too), slice",
        """trial_id variant fold repeat split patient_id scan_id z threshold truth_px pred_px overlap_px dice
        jaccard outcome misplaced""",
    ),
    "thresholds": (
        "variant, fold, split, threshold; of the median model",
        "variant fold split threshold dice jaccard chosen",
    ),
    "pooled": (
        "variant, split; the median models of all folds (Table 1)",
        f"""variant split threshold dice jaccard dice_low dice_high jaccard_low jaccard_high
        dice_at_half jaccard_at_half repeats failed missing {_REPEATS} slices n_empty patients collapsed
        highest_probability reason""",
    ),
    "per_slice": (
        "variant, split, slice set (Table 2)",
        """variant split slice_set threshold n n_empty patients dice_mean dice_sd jaccard_mean jaccard_sd
        reason""",
    ),
    "comparisons": (
        "pair of variants, metric, slice set, unit, method; on the test slices",
        """variant_a variant_b metric slice_set unit method n n_nonzero statistic p smallest_p p_holm
        difference low high reason""",
    ),
    "classification": (
        "variant, split, convention (Table 3)",
        """variant split convention threshold cutoff_px n tp tn fp fn misplaced small_truth sensitivity
        specificity accuracy reason""",
    ),
    "regression": (
        "variant, split (Fig. 4)",
        "variant split slice_set threshold n slope intercept r2 reason",
    ),
    "protocol": (
        "variant, reading; on the test slices",
        """variant reading median_on threshold_on threshold slice_set slice_threshold convention n n_empty
        dice dice_sd jaccard jaccard_sd sensitivity specificity accuracy tp tn fp fn misplaced pooled_dice
        pooled_jaccard trial_ids study_protocol reason""",
    ),
    "configurations": (
        "configuration of a search, the winner first; behind these columns, one for each searched setting",
        """configuration rank place written repeats score score_sd score_low score_high round pairs behind
        behind_low behind_high p_worse trials epochs seconds reason""",
    ),
}


# What the run folder of a search holds; that of a study holds all but the last.
SEARCH_TABLES = ("cohort", "trials", "epochs", "configurations")
STUDY_TABLES = tuple(name for name in TABLES if name != "configurations")


def schema(table: str) -> pa.Schema:
    """The Arrow schema of a table: types, and descriptions as metadata of the fields and of the whole."""
    row, names = TABLES[table]
    fields = [_field(table, name) for name in names.split()]
    return pa.schema(fields, metadata={"description": f"one row per {row}"})


def _field(table: str, name: str) -> pa.Field:
    kind, description = COLUMNS[name]
    if (table, name) == ("slices", "misplaced"):
        kind, description = YES, "truth and prediction both reach cutoff_px and share no pixel"
    return pa.field(name, kind, metadata={"description": description})
