"""A study small enough to compute by hand, studies of a few repeats, and what is true of every run's tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from run_folders import Slice, add_failure, add_trial, small_study, write_run

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.query import read_table
from hnscc.aggregation.schemas import schema
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial, trials_of

# The columns that the design promises; a table may have more.
PROMISED = {
    "cohort": "patient_id scan_id fold split slices positive_slices used_positive used_negative",
    "trials": """trial_id variant fold repeat seed status best_epoch epochs stop_reason best_val_soft_jaccard
        val_jaccard val_dice test_dice test_jaccard collapsed is_median weights_sha256 seconds device""",
    "epochs": "trial_id epoch train_loss val_loss val_soft_jaccard seconds",
    "slices": """trial_id variant fold repeat split patient_id scan_id z threshold truth_px pred_px overlap_px
        dice jaccard outcome misplaced""",
    "thresholds": "variant fold split threshold dice jaccard",
    "pooled": """variant split threshold dice jaccard dice_low dice_high repeats dice_repeats_median
        dice_repeats_mean dice_repeats_sd reason volume_precision volume_precision_low volume_precision_high
        volume_precision_repeats_mean volume_sensitivity lesion_f1 lesion_sensitivity
        lesion_sensitivity_repeats_mean lesion_sensitivity_repeats_low scans_reason""",
    "per_slice": "variant split slice_set threshold n dice_mean dice_sd jaccard_mean jaccard_sd reason",
    "comparisons": """variant_a variant_b metric slice_set unit method n statistic p p_holm difference low
        high repeats_a repeats_b effective_patients smallest_seen margin p_equal p_equal_holm
        better better_low better_high reason""",
    "means": """variant split metric mean low high patients repeats median_model median_model_low median_model_high
        higher_is_better reason""",
    "classification": """variant split convention threshold cutoff_px tp tn fp fn misplaced sensitivity
        specificity accuracy reason""",
    "regression": "variant split slice_set n slope intercept r2 reason",
    "scans": """trial_id variant fold repeat split patient_id scan_id threshold is_median slices truth_ml pred_ml
        overlap_ml dice jaccard hd95_mm assd_mm nsd fp_ml fn_ml lesions lesions_found false_lesions tlg_truth tlg_pred
        reason""",
    "patients": """trial_id variant fold repeat split patient_id threshold is_median scans truth_px pred_px overlap_px
        dice jaccard hd95_mm nsd truth_ml pred_ml lesion detected reason""",
    "lesions": """trial_id variant repeat patient_id scan_id lesion threshold is_median truth_ml overlap_ml dice found
        reason""",
    "drawn_scans": """trial_id variant fold repeat split patient_id scan_id threshold drawn_on slices truth_ml pred_ml
        overlap_ml dice jaccard hd95_mm assd_mm nsd fp_ml fn_ml volume_precision lesions lesions_found false_lesions
        dice_stored dice_of_mask_sent_back reason""",
    "detection": """variant repeat split unit threshold n with_lesion tp fn fp tn misplaced sensitivity specificity auc
        lesions lesions_found false_lesions false_per_scan lesion_sensitivity lesion_f1 lesions_under_1_ml
        sensitivity_under_1_ml lesions_1_to_5_ml sensitivity_1_to_5_ml lesions_over_5_ml sensitivity_over_5_ml brier
        reason""",
    "reliability": "variant repeat split low high n predicted observed reason",
    "protocol": """variant reading median_on threshold_on threshold slice_set convention dice jaccard
        sensitivity specificity reason""",
}
# If one of these is null, the row's reason must say why.
EXPLAINED = {
    "trials": ["test_dice", "best_epoch", "seconds"],
    "pooled": [
        "threshold",
        "dice",
        "jaccard",
        "dice_low",
        "dice_high",
        "dice_repeats_mean",
        "dice_repeats_sd",
    ],
    "per_slice": ["threshold", "n", "dice_mean", "dice_sd", "jaccard_mean", "jaccard_sd"],
    "comparisons": ["difference", "p", "p_holm"],
    "means": ["mean", "low", "high", "median_model", "median_model_low"],
    "classification": ["threshold", "tp", "sensitivity", "specificity", "accuracy"],
    "scans": ["hd95_mm", "tlg_truth", "tlg_pred"],
    "patients": ["hd95_mm", "nsd", "truth_ml", "pred_ml", "lesion", "detected"],
    "drawn_scans": ["truth_ml", "dice", "hd95_mm", "lesions", "dice_of_mask_sent_back"],
    "detection": [
        *("threshold", "n", "sensitivity", "specificity", "auc", "false_per_scan", "lesion_sensitivity"),
        *("lesion_f1", "sensitivity_under_1_ml", "sensitivity_1_to_5_ml", "sensitivity_over_5_ml", "brier"),
    ],
    "reliability": ["threshold", "predicted", "observed"],
    "regression": ["threshold", "slope", "intercept", "r2"],
    "protocol": ["threshold", "dice", "jaccard", "sensitivity", "specificity", "pooled_dice"],
}
OF_SCANS = ("volume_precision", "volume_sensitivity", "lesion_f1", "lesion_sensitivity")


def at(k: int) -> int:
    """Return the lowest stored level that reaches the threshold k / 1000."""
    return -(-k * 65535 // 1000)


def mask(*pixels: int) -> np.ndarray:
    """Return a 4 x 4 mask with these pixels of 0..15 set."""
    flat = np.zeros(16, np.uint8)
    flat[list(pixels)] = 1
    return flat.reshape(4, 4)


def levels(*slices: dict[int, int]) -> np.ndarray:
    """Return stored probabilities of 4 x 4 slices from {pixel: threshold k that it just reaches}; 0 elsewhere."""
    flat = np.zeros((len(slices), 16), np.uint16)
    for row, pixels in enumerate(slices):
        for pixel, k in pixels.items():
            flat[row, pixel] = at(k)
    return flat.reshape(-1, 4, 4)


def perfect(slices: list[Slice]) -> np.ndarray:
    return np.stack([each.mask for each in slices]).astype(np.uint16) * np.uint16(65535)


def rows(run: RunFolder, name: str, **where: object) -> list[TableRow]:
    return [
        row
        for row in read_table(run, name).to_pylist()
        if all(row[key] == value for key, value in where.items())
    ]


def row(run: RunFolder, name: str, **where: object) -> TableRow:
    (found,) = rows(run, name, **where)
    return found


def check_tables(run: RunFolder) -> None:
    """Check what is true of every run: every promised table and column, typed, described; no NaN; nulls explained."""
    for name, promised in PROMISED.items():
        table = pq.read_table(run.table(name))
        assert table.schema.equals(schema(name), check_metadata=True)
        assert set(promised.split()) <= set(table.column_names)
        assert all(field.metadata[b"description"] for field in table.schema)
        for column in table.column_names:
            if pa.types.is_floating(table[column].type):
                assert not pc.any(pc.invert(pc.is_finite(table[column]))).as_py(), (name, column)
        for each in table.to_pylist():
            for column in EXPLAINED.get(name, []):
                assert each[column] is not None or each["reason"], (name, column, each)
            if each.get("method") == "two_way_t":
                told = (each["low"], each["better_low"], each["smallest_seen"])
                assert None not in told or each["reason"], each
                assert each["p"] is not None or each["smallest_seen"] is None, each
            if name == "pooled":
                of_scans = [each[column] for column in table.column_names if column.startswith(OF_SCANS)]
                assert (None in of_scans) == bool(each["scans_reason"]), each


# The hand-computed study: cut-off 2 pixels, one repeat, every patient with one scan.
LESION = (0, 1, 2, 3)
HAND = [
    Slice("train", "a", mask(*LESION)),
    Slice("validation", "b", mask(*LESION)),
    Slice("test", "c", mask(*LESION)),
    Slice("test", "c", mask()),
    Slice("test", "d", mask(5)),  # below the cut-off
    Slice("test", "d", mask(*LESION)),  # will be misplaced
]
# Validation: Dice 8/9 up to 0.300, 6/8 up to 0.400, 6/7 up to 0.600, then 0: the plateau's middle is 0.150.
PET = levels(
    dict.fromkeys(LESION, 900),
    {0: 600, 1: 600, 2: 600, 3: 300, 4: 400},
    {0: 600, 1: 600, 2: 200},
    {},
    {5: 600, 6: 600},
    {8: 600, 9: 600},
)


def hand_run(root: Path) -> RunFolder:
    """Write the hand-computed study with its trials, but not its tables: `pet` predicts PET, `pet_mri` the masks."""
    study = small_study(("pet", "pet_mri"), repeats=1)
    run = write_run(root, study, [HAND])
    add_trial(run, study, Trial("pet", 0, 0), PET)
    add_trial(run, study, Trial("pet_mri", 0, 0), perfect(HAND))
    return run


def repeats_run(root: Path, scores: list[int | None], **settings: Any) -> RunFolder:
    """Write one variant whose repeats predict so many of the 4 lesion pixels of validation and test; for None a
    repeat fails."""
    slices = [Slice(split, split, mask(*LESION)) for split in ("train", "validation", "test")]
    study = small_study(("pet",), repeats=len(scores), **settings)
    run = write_run(root, study, [slices])
    for trial, pixels in zip(trials_of(study), scores, strict=True):
        if pixels is None:
            add_failure(run, trial, "Traceback\n  File 'secret.nii'\nRuntimeError: secret.nii is bad\n")
        else:
            add_trial(run, study, trial, levels(*[dict.fromkeys(LESION[:pixels], 700)] * 3))
    return run


def two_variants(root: Path, slices: list[Slice], predicted: np.ndarray | None) -> RunFolder:
    """Write a perfect variant `good` of four repeats beside `odd`, which predicts as given, or was never run."""
    study = small_study(("good", "odd"), repeats=4)
    run = write_run(root, study, [slices])
    for trial in trials_of(study):
        if trial.variant == "good":
            add_trial(run, study, trial, perfect(slices))
        elif predicted is not None:
            add_trial(run, study, trial, predicted)
    write_tables(run)
    check_tables(run)
    return run


def many_slices(truth: bool = True) -> list[Slice]:
    splits = ["train"] * 8 + ["validation"] * 8 + ["test"] * 16
    return [
        Slice(split, f"{split}{number // 2}", mask(*(LESION if truth and number % 2 else ())))
        for number, split in enumerate(splits)
    ]
