"""The tables of a run folder: what a row is, and which columns it has.

Types and meanings of columns travel in the Parquet files as their schema and its metadata.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from hnscc.aggregation.columns import METRIC_COLUMNS, column, metric_column, pooled_names
from hnscc.scores.metrics import Unit, metrics_at
from hnscc.scores.surface import SCAN_METRICS


@dataclass(frozen=True)
class PerMetric:
    """Columns that exist once for each metric that has a value for `unit`. patterns: of METRIC_COLUMNS, with spaces
    between them."""

    unit: Unit
    patterns: str
    last_first: bool = False


@dataclass(frozen=True)
class TableSchema:
    """The description of a table. row: what there is one row for. columns: names separated by spaces, or columns of
    each metric, in their order."""

    row: str
    columns: tuple[str | PerMetric, ...]


_REPEATS = " ".join(pattern for pattern in METRIC_COLUMNS if "_repeats_" in pattern)
TABLES: dict[str, TableSchema] = {
    "cohort": TableSchema(
        "scan, fold and split",
        ("patient_id scan_id fold split slices positive_slices used_positive used_negative",),
    ),
    "trials": TableSchema(
        "trial of the study",
        (
            "trial_id variant fold repeat seed status best_epoch epochs stop_reason best_val_soft_jaccard",
            PerMetric("pooled", "val_{}", last_first=True),  # this order is that of the first version
            PerMetric("pooled", "test_{}"),
            PerMetric("pooled", "train_{}"),
            "collapsed highest_probability is_median weights_sha256 seconds device versions unusable reason",
        ),
    ),
    "epochs": TableSchema(
        "epoch of a completed trial",
        ("trial_id variant fold repeat epoch train_loss val_loss val_soft_jaccard seconds",),
    ),
    "slices": TableSchema(
        "scored slice, completed trial and threshold (0.5; of the median model the chosen one too)",
        (
            "trial_id variant fold repeat split patient_id scan_id z threshold truth_px pred_px overlap_px",
            PerMetric("slice", "{}"),
            "outcome misplaced used",
        ),
    ),
    "thresholds": TableSchema(
        "variant, fold, split and threshold, by the median model",
        ("variant fold split threshold", PerMetric("pooled", "{}"), "chosen"),
    ),
    "pooled": TableSchema(
        "variant and split, by the median models of all folds (Table 1 of the paper): what pools as a ratio of sums "
        "over patients. Distances do not; their means over patients, and those of every other score, stand in `means`",
        (
            "variant split threshold",
            PerMetric("pooled", "{}"),
            PerMetric("pooled", "{}_low {}_high"),
            "effective_patients",
            PerMetric("pooled", "{}_at_half"),
            "repeats failed missing",
            PerMetric("pooled", _REPEATS),
            f"{pooled_names()} scans_reason",
            "slices n_empty patients collapsed highest_probability reason",
        ),
    ),
    "means": TableSchema(
        "variant, split and score of patients, over whole scans of validation and test: of all repeats at 0.5, and of "
        "the median models at their chosen thresholds",
        (
            "variant split metric mean low high patients repeats median_model median_model_low median_model_high",
            "higher_is_better reason",
        ),
    ),
    "per_slice": TableSchema(
        "variant, split and set of slices (Table 2 of the paper)",
        (
            "variant split slice_set threshold n n_empty patients",
            PerMetric("slice", "{}_mean {}_sd"),
            "reason",
        ),
    ),
    "comparisons": TableSchema(
        "pair of variants, metric, set of slices, unit and method, on the test slices",
        (
            "variant_a variant_b metric slice_set unit method n n_nonzero statistic p smallest_p p_holm",
            "difference low high repeats_a repeats_b effective_patients smallest_seen margin p_equal p_equal_holm",
            "better better_low better_high paired higher_is_better reason",
        ),
    ),
    "classification": TableSchema(
        "variant, split and convention (Table 3 of the paper)",
        (
            "variant split convention threshold cutoff_px n tp tn fp fn misplaced small_truth",
            "sensitivity specificity accuracy reason",
        ),
    ),
    "regression": TableSchema(
        "variant and split (Fig. 4 of the paper)",
        ("variant split slice_set threshold n slope intercept r2 reason",),
    ),
    "protocol": TableSchema(
        "variant and reading of the protocol, on the test slices",
        (
            "variant reading median_on threshold_on threshold slice_set slice_threshold convention n n_empty",
            PerMetric("slice", "{} {}_sd"),
            "sensitivity specificity accuracy tp tn fp fn misplaced",
            PerMetric("pooled", "pooled_{}"),
            "trial_ids study_protocol scored reason",
        ),
    ),
    "scans": TableSchema(
        "scan of validation and test, completed trial and threshold (0.5; of the median model the chosen one too)",
        (
            "trial_id variant fold repeat split patient_id scan_id threshold is_median slices",
            "truth_ml pred_ml overlap_ml",
            PerMetric("scan", "{}"),
            " ".join(each.name for each in SCAN_METRICS),
            "fp_ml fn_ml volume_precision lesions lesions_found false_lesions tlg_truth tlg_pred reason",
        ),
    ),
    "patients": TableSchema(
        "patient of validation and test, completed trial and threshold, as in `scans`: all scans of the patient",
        (
            "trial_id variant fold repeat split patient_id threshold is_median scans truth_px pred_px overlap_px",
            PerMetric("patient", "{}"),
            " ".join(each.name for each in SCAN_METRICS),
            "truth_ml pred_ml overlap_ml fp_ml fn_ml volume_precision lesion detected lesions",
            "lesions_found false_lesions tlg_truth tlg_pred reason",
        ),
    ),
    "lesions": TableSchema(
        "true lesion (connected in 3D) of a row of `scans`",
        (
            "trial_id variant fold repeat split patient_id scan_id lesion threshold is_median truth_ml overlap_ml",
            "dice found reason",
        ),
    ),
    "drawn_scans": TableSchema(
        "scan of validation and test and median model, at its chosen threshold, on the grid that the mask was drawn on",
        (
            "trial_id variant fold repeat split patient_id scan_id threshold drawn_on slices",
            "truth_ml pred_ml overlap_ml",
            PerMetric("scan", "{}"),
            " ".join(each.name for each in SCAN_METRICS),
            "fp_ml fn_ml volume_precision lesions lesions_found false_lesions",
            "dice_stored dice_of_mask_sent_back reason",
        ),
    ),
    "detection": TableSchema(
        "variant, repeat (and once for the median models), split and unit, of whole scans of validation and test",
        (
            "variant repeat split unit threshold n with_lesion tp fn fp tn misplaced sensitivity specificity auc",
            "lesions lesions_found false_lesions false_per_scan lesion_sensitivity lesion_f1 lesion_dice",
            "lesions_under_1_ml sensitivity_under_1_ml lesions_1_to_5_ml sensitivity_1_to_5_ml lesions_over_5_ml",
            "sensitivity_over_5_ml brier reason",
        ),
    ),
    "reliability": TableSchema(
        "row of `detection` (whatever its unit) and bin of probabilities, of all voxels of its scans",
        ("variant repeat split threshold low high n predicted observed reason",),
    ),
    "configurations": TableSchema(
        "configuration of a search, the winner first; after these columns stands one for each searched setting",
        (
            "configuration rank place written repeats score score_sd score_low score_high val_dice_mean round",
            "pairs behind behind_low behind_high p_worse trials epochs seconds reason",
        ),
    ),
}

# The tables in the run folder of a search. That of a study has every table but the last of these.
SEARCH_TABLES = ("cohort", "trials", "epochs", "configurations")
WRITTEN_LAST = "trials"  # in every run folder: without it, the others may be of different times
STUDY_TABLES = tuple(name for name in TABLES if name != "configurations")


def schema(table: str) -> pa.Schema:
    """Return the Arrow schema of a table, with its description, and those of its columns, as metadata."""
    return pa.schema(_fields(table), metadata={"description": f"one row per {TABLES[table].row}"})


def _fields(table: str) -> Iterator[pa.Field]:
    for group in TABLES[table].columns:
        if isinstance(group, PerMetric):
            yield from _metric_fields(group)
            continue
        for name in group.split():
            kind, meaning = column(table, name)
            yield pa.field(name, kind, metadata={"description": meaning})


def _metric_fields(group: PerMetric) -> Iterator[pa.Field]:
    metrics = metrics_at(group.unit)
    for metric in reversed(metrics) if group.last_first else metrics:
        for pattern in group.patterns.split():
            name, kind, meaning = metric_column(pattern, metric)
            yield pa.field(name, kind, metadata={"description": meaning})
