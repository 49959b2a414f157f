"""Every table from real small run folders: hand-computed values, degenerate studies, determinism, SQL."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import scipy.stats
from run_folders import Case, add_failure, add_trial, random_run, small_study, write_run

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.query import query, read_table
from hnscc.aggregation.results import failure_summary
from hnscc.aggregation.schemas import STUDY_TABLES, schema
from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, write_sealed
from hnscc.study.plan import Trial, plan_trials
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.training.records import read_record

# The columns that the design promises; more may stand in a table.
PROMISED = {
    "cohort": "patient_id scan_id fold split slices positive_slices used_positive used_negative",
    "trials": """trial_id variant fold repeat seed status best_epoch epochs stop_reason best_val_soft_jaccard
        val_jaccard val_dice test_dice test_jaccard collapsed is_median weights_sha256 seconds device""",
    "epochs": "trial_id epoch train_loss val_loss val_soft_jaccard seconds",
    "slices": """trial_id variant fold repeat split patient_id scan_id z threshold truth_px pred_px overlap_px
        dice jaccard outcome misplaced""",
    "thresholds": "variant fold split threshold dice jaccard",
    "pooled": """variant split threshold dice jaccard dice_low dice_high repeats dice_repeats_median
        dice_repeats_mean dice_repeats_sd reason""",
    "per_slice": "variant split slice_set threshold n dice_mean dice_sd jaccard_mean jaccard_sd reason",
    "comparisons": """variant_a variant_b metric slice_set unit method n statistic p p_holm difference low
        high reason""",
    "classification": """variant split convention threshold cutoff_px tp tn fp fn misplaced sensitivity
        specificity accuracy reason""",
    "regression": "variant split slice_set n slope intercept r2 reason",
    "protocol": """variant reading median_on threshold_on threshold slice_set convention dice jaccard
        sensitivity specificity reason""",
}
# Where one of these is null, the row's reason must say why.
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
    "classification": ["threshold", "tp", "sensitivity", "specificity", "accuracy"],
    "regression": ["threshold", "slope", "intercept", "r2"],
    "protocol": ["threshold", "dice", "jaccard", "sensitivity", "specificity", "pooled_dice"],
}


def at(k: int) -> int:
    """The lowest stored level that reaches the threshold k / 1000."""
    return -(-k * 65535 // 1000)


def mask(*pixels: int) -> np.ndarray:
    """A 4 x 4 mask with these pixels of 0..15 set."""
    flat = np.zeros(16, np.uint8)
    flat[list(pixels)] = 1
    return flat.reshape(4, 4)


def levels(*slices: dict[int, int]) -> np.ndarray:
    """Stored probabilities of 4 x 4 slices from {pixel: threshold k that it just reaches}; 0 elsewhere."""
    flat = np.zeros((len(slices), 16), np.uint16)
    for row, pixels in enumerate(slices):
        for pixel, k in pixels.items():
            flat[row, pixel] = at(k)
    return flat.reshape(-1, 4, 4)


def perfect(cases: list[Case]) -> np.ndarray:
    return np.stack([each.mask for each in cases]).astype(np.uint16) * np.uint16(65535)


def rows(run: RunFolder, name: str, **where) -> list[dict]:
    return [
        row
        for row in read_table(run, name).to_pylist()
        if all(row[key] == value for key, value in where.items())
    ]


def row(run: RunFolder, name: str, **where) -> dict:
    (found,) = rows(run, name, **where)
    return found


def check_tables(run: RunFolder) -> None:
    """What holds of every run: every promised table and column, typed, described; no NaN; nulls explained."""
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


# The hand-computed study: cut-off 2 pixels, one repeat, every patient with one scan.
LESION = (0, 1, 2, 3)
HAND = [
    Case("train", "a", mask(*LESION)),
    Case("validation", "b", mask(*LESION)),
    Case("test", "c", mask(*LESION)),
    Case("test", "c", mask()),
    Case("test", "d", mask(5)),  # below the cut-off
    Case("test", "d", mask(*LESION)),  # will be misplaced
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


@pytest.fixture(scope="module")
def hand(tmp_path_factory) -> RunFolder:
    study = small_study(("pet", "pet_mri"), repeats=1)
    run = write_run(tmp_path_factory.mktemp("hand"), study, [HAND])
    add_trial(run, study, Trial("pet", 0, 0), PET)
    add_trial(run, study, Trial("pet_mri", 0, 0), perfect(HAND))
    assert write_tables(run) == []
    return run


def test_hand_tables_hold_what_every_run_holds(hand):
    check_tables(hand)


def test_hand_pooled(hand):
    found = row(hand, "pooled", variant="pet", split="test")
    assert found["threshold"] == 0.15
    assert (found["dice"], found["jaccard"]) == pytest.approx((8 / 16, 4 / 12))
    assert (found["dice_at_half"], found["jaccard_at_half"]) == pytest.approx((6 / 15, 3 / 12))
    assert (found["slices"], found["n_empty"], found["patients"]) == (4, 1, 2)
    # Two patients: c alone scores 6/7, d alone 2/9; a quarter of the resamples hold one of them twice.
    assert (found["dice_low"], found["dice_high"]) == pytest.approx((2 / 9, 6 / 7))
    assert (found["repeats"], found["dice_repeats_median"], found["dice_repeats_sd"]) == (1, 0.4, None)
    assert found["reason"] == "one repeat: no sd over repeats"
    one_patient = row(hand, "pooled", variant="pet", split="validation")
    assert one_patient["dice"] == pytest.approx(8 / 9)
    assert one_patient["dice_low"] is None and "2 patients" in one_patient["reason"]


def test_hand_thresholds(hand):
    found = rows(hand, "thresholds", variant="pet", split="validation")
    assert len(found) == 1000
    by_k = {round(each["threshold"] * 1000): each for each in found}
    for k, expected in (
        (1, 8 / 9),
        (300, 8 / 9),
        (301, 6 / 8),
        (400, 6 / 8),
        (401, 6 / 7),
        (600, 6 / 7),
        (601, 0),
    ):
        assert by_k[k]["dice"] == pytest.approx(expected)
    assert [k for k, each in by_k.items() if each["chosen"]] == [150]


def test_hand_slices(hand):
    pet = rows(hand, "slices", variant="pet")
    assert [each["threshold"] for each in pet] == [0.5] * 6 + [0.15] * 6
    chosen = pet[8:]
    assert [each["outcome"] for each in chosen] == ["tp", "tn", "fp", "tp"]
    assert [each["misplaced"] for each in chosen] == [False, False, False, True]
    assert [each["dice"] for each in chosen] == pytest.approx([6 / 7, 1, 2 / 3, 0])
    assert [each["pred_px"] for each in chosen] == [3, 0, 2, 2]
    assert [each["patient_id"] for each in chosen] == ["c", "c", "d", "d"]
    # The perfect model's plateau is 0.001 .. 1.000: its chosen threshold is 0.5, so nothing stands twice.
    assert len(rows(hand, "slices", variant="pet_mri")) == 6


def test_hand_per_slice(hand):
    scores = {"true_positive": [6 / 7, 0], "lesion": [6 / 7, 2 / 3, 0], "all": [6 / 7, 1, 2 / 3, 0]}
    for slice_set, expected in scores.items():
        found = row(hand, "per_slice", variant="pet", split="test", slice_set=slice_set)
        assert found["n"] == len(expected)
        assert found["n_empty"] == expected.count(1)
        assert found["dice_mean"] == pytest.approx(np.mean(expected))
        assert found["dice_sd"] == pytest.approx(np.std(expected, ddof=1))
    single = row(hand, "per_slice", variant="pet", split="validation", slice_set="lesion")
    assert (single["n"], single["dice_sd"], single["reason"]) == (1, None, "one slice: no sd")


def test_hand_classification(hand):
    expected = {"slice": (2, 1, 1, 0), "lesion": (1, 1, 1, 1), "overlap": (1, 1, 2, 0)}
    for convention, (tp, tn, fp, fn) in expected.items():
        found = row(hand, "classification", variant="pet", split="test", convention=convention)
        assert (found["tp"], found["tn"], found["fp"], found["fn"]) == (tp, tn, fp, fn)
        assert (found["misplaced"], found["small_truth"], found["cutoff_px"]) == (1, 1, 2)
        assert found["sensitivity"] == pytest.approx(tp / (tp + fn))
        assert found["specificity"] == pytest.approx(tn / (tn + fp))
        assert found["accuracy"] == pytest.approx((tp + tn) / 4)
    validation = row(hand, "classification", variant="pet", split="validation", convention="slice")
    assert validation["specificity"] is None
    assert validation["reason"] == "no negative slice: no specificity"


def test_hand_regression(hand):
    found = row(hand, "regression", variant="pet", split="test")
    theirs = scipy.stats.linregress([4, 0, 1, 4], [3, 0, 2, 2])
    assert (found["n"], found["slope"], found["intercept"]) == (
        4,
        pytest.approx(theirs.slope),
        pytest.approx(theirs.intercept),
    )
    assert found["r2"] == pytest.approx(theirs.rvalue**2)


def test_hand_protocol_readings(hand):
    written = row(hand, "protocol", variant="pet", reading="as_written")
    assert (written["median_on"], written["threshold_on"], written["threshold"]) == ("test", "test", 0.001)
    # True positives by the paper's own convention leave the misplaced slice out.
    assert (written["slice_set"], written["n"], written["dice"]) == ("true_positive", 1, pytest.approx(6 / 7))
    assert (written["sensitivity"], written["specificity"]) == (1.0, pytest.approx(1 / 3))
    assert written["pooled_dice"] == pytest.approx(0.5)
    # By the slice convention, of Table 2, the misplaced slice is a true positive.
    kept = row(hand, "per_slice", variant="pet", split="test", slice_set="true_positive")
    assert (kept["n"], kept["dice_mean"]) == (2, pytest.approx(3 / 7))
    coded = row(hand, "protocol", variant="pet", reading="as_coded")
    assert (coded["slice_set"], coded["slice_threshold"], coded["threshold"]) == ("partial", 0.5, 0.001)
    assert (coded["n"], coded["dice"]) == (2, pytest.approx(2 / 3))  # 4/6 and 2/3; 0 and 1 are left out
    assert coded["convention"] == "overlap"
    assert coded["dice_sd"] == pytest.approx(0, abs=1e-12) and written["dice_sd"] is None
    corrected = row(hand, "protocol", variant="pet", reading="corrected")
    assert (corrected["median_on"], corrected["threshold_on"]) == ("validation", "validation")
    assert (corrected["threshold"], corrected["n"]) == (0.15, 3)
    assert corrected["dice"] == pytest.approx((6 / 7 + 2 / 3) / 3)
    assert (corrected["sensitivity"], corrected["specificity"]) == (0.5, 0.5)
    assert corrected["trial_ids"] == "pet-f0-r00"


def test_hand_comparisons(hand):
    found = rows(hand, "comparisons")
    assert len(found) == 2 * 3 * 3
    assert all(each["p"] is None and each["p_holm"] is None and each["reason"] for each in found)
    slices = row(hand, "comparisons", metric="dice", slice_set="lesion", unit="slice")
    assert (slices["variant_a"], slices["variant_b"]) == ("pet", "pet_mri")
    assert (slices["n"], slices["n_nonzero"], slices["smallest_p"]) == (3, 3, 0.25)
    assert slices["difference"] == pytest.approx((6 / 7 + 2 / 3) / 3 - 1)
    patients = row(hand, "comparisons", metric="dice", slice_set="all", unit="patient", method="wilcoxon")
    assert patients["n"] == 2
    assert patients["difference"] == pytest.approx((6 / 7 + 2 / 9) / 2 - 1)
    both = row(hand, "comparisons", metric="dice", slice_set="true_positive", unit="slice")
    assert both["n"] == 2  # the slice with a small truth is a true positive of neither
    resampled = row(hand, "comparisons", metric="dice", slice_set="all", method="bootstrap")
    assert resampled["difference"] == pytest.approx(0.4 - 1)
    assert "there are 1 and 1" in resampled["reason"]


def test_hand_trials_epochs_cohort(hand):
    found = row(hand, "trials", trial_id="pet-f0-r00")
    assert found["status"] == "completed" and found["is_median"] and found["reason"] is None
    assert (found["val_dice"], found["test_dice"]) == pytest.approx((6 / 7, 0.4))
    assert (found["collapsed"], found["highest_probability"]) == (False, at(600) / 65535)
    assert (found["best_epoch"], found["seconds"], found["device"]) == (2, 2.75, "cpu")
    assert found["weights_sha256"] == "f" * 64
    epochs = rows(hand, "epochs", trial_id="pet-f0-r00")
    assert [(each["epoch"], each["val_loss"]) for each in epochs] == [(1, 0.8), (2, 0.6)]
    test = rows(hand, "cohort", split="test")
    assert [(each["patient_id"], each["used_positive"], each["used_negative"]) for each in test] == [
        ("c", 1, 1),
        ("d", 2, 0),
    ]


def repeats_run(root: Path, scores: list[int | None], **settings) -> RunFolder:
    """One variant whose repeats predict so many of the 4 lesion pixels of validation and test; None fails."""
    cases = [Case(split, split, mask(*LESION)) for split in ("train", "validation", "test")]
    study = small_study(("pet",), repeats=len(scores), **settings)
    run = write_run(root, study, [cases])
    for trial, pixels in zip(plan_trials(study), scores, strict=True):
        if pixels is None:
            add_failure(run, trial, "Traceback\n  File 'secret.nii'\nRuntimeError: secret.nii is bad\n")
        else:
            add_trial(run, study, trial, levels(*[dict.fromkeys(LESION[:pixels], 700)] * 3))
    return run


@pytest.mark.parametrize(
    ("scores", "median"),
    [([3], 0), ([4, 1, 2], 2), ([4, 1, 2, 3], 2), ([2, 2, 2, 2], 1), ([None, 4, 1], 2), ([3, None, 3, 1], 0)],
)
def test_median_repeat(tmp_path, scores, median):
    run = repeats_run(tmp_path, scores)
    write_tables(run)
    check_tables(run)
    assert [each["repeat"] for each in rows(run, "trials", is_median=True)] == [median]
    pooled = row(run, "pooled", variant="pet", split="test")
    completed = [2 * pixels / (pixels + 4) for pixels in scores if pixels is not None]
    assert (pooled["repeats"], pooled["failed"]) == (len(completed), scores.count(None))
    assert pooled["dice_repeats_median"] == pytest.approx(np.median(completed))
    assert pooled["dice_repeats_q25"] == pytest.approx(np.quantile(completed, 0.25))


def test_medians_on_validation_and_on_test_may_be_different_trials(tmp_path):
    cases = [Case(split, split, mask(*LESION)) for split in ("train", "validation", "test")]
    study = small_study(("pet",), repeats=3)
    run = write_run(tmp_path, study, [cases])
    for trial, (validation, test) in zip(plan_trials(study), [(1, 2), (2, 3), (3, 1)], strict=True):
        predicted = [dict.fromkeys(LESION[:pixels], 700) for pixels in (4, validation, test)]
        add_trial(run, study, trial, levels(*predicted))
    write_tables(run)
    assert row(run, "protocol", reading="corrected")["trial_ids"] == "pet-f0-r01"
    assert row(run, "protocol", reading="as_written")["trial_ids"] == "pet-f0-r00"
    assert row(run, "protocol", reading="as_coded")["trial_ids"] == "pet-f0-r00"


def test_failed_missing_and_damaged_trials_are_named_and_never_used(tmp_path):
    run = repeats_run(tmp_path, [3, None, 1, 2, 2, 4])
    trials = [run.trial(f"pet-f0-r{repeat:02d}") for repeat in range(6)]
    shutil.rmtree(trials[2].root)
    trials[3].predictions.write_bytes(trials[5].predictions.read_bytes())
    trials[4].record.write_text("{ not whole")
    problems = write_tables(run)
    check_tables(run)
    assert [each["status"] for each in rows(run, "trials")] == [
        "completed",
        "failed",
        "missing",
        "missing",
        "missing",
        "completed",
    ]
    reasons = [each["reason"] for each in rows(run, "trials")]
    assert reasons[1] == "failed: RuntimeError; the traceback is in its record.json"
    assert "secret" not in str(reasons) and "secret" not in str(problems)
    assert "predictions.npz is damaged: its content is not what was written" in reasons[3]
    assert [each.split(":")[0] for each in problems] == [
        "pet-f0-r01",
        "pet-f0-r03",
        "pet-f0-r04",
        "3 of 6 trials are missing",
    ]
    pooled = row(run, "pooled", split="test")
    assert (pooled["repeats"], pooled["failed"], pooled["missing"]) == (2, 1, 3)
    assert {each["trial_id"] for each in rows(run, "slices")} == {"pet-f0-r00", "pet-f0-r05"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"trial_id": "pet-f0-r09"},
        {"settings": {"data": "other"}},
        {"settings": None},
        {"files": {}},
        {"files": None},
        {"files": [1]},
        {"best_epoch": "two"},
        {"seconds": None},
        {"status": "started", "error": ""},
        {"status": "failed", "error": None},
        {"trial_id": "pet-f0-r09", "status": "failed", "error": "ValueError: no"},
    ],
)
def test_a_record_that_does_not_belong_is_not_used(tmp_path, wrong):
    run = repeats_run(tmp_path, [3, 2])
    record = run.trial("pet-f0-r01").record
    write_sealed(record, read_sealed(record) | wrong)
    assert write_tables(run)[0].startswith("pet-f0-r01: not used: ")
    check_tables(run)
    found = row(run, "trials", trial_id="pet-f0-r01")
    assert found["status"] == "missing" and found["reason"].startswith("not used: ")


@pytest.mark.parametrize(
    "name", ["trial_id", "status", "settings", "files", "best_epoch", "device", "identity"]
)
def test_a_record_that_lacks_something_is_not_used(tmp_path, name):
    run = repeats_run(tmp_path, [3, 2])
    record = run.trial("pet-f0-r01").record
    write_sealed(record, {key: value for key, value in read_sealed(record).items() if key != name})
    assert write_tables(run)[0].startswith("pet-f0-r01: not used: its record ")
    check_tables(run)
    assert row(run, "trials", trial_id="pet-f0-r01")["status"] == "missing"


def test_a_failure_is_told_without_its_message(tmp_path):
    run = repeats_run(tmp_path, [3, 2])
    add_failure(run, Trial("pet", 0, 1), "Traceback\n  x\nRuntimeError: /home/p/s.nii")
    record = read_record(run.trial("pet-f0-r01"))
    assert failure_summary(record) == "failed: RuntimeError; the traceback is in its record.json"


def test_predictions_of_another_shape_are_not_used(tmp_path):
    run = repeats_run(tmp_path, [3, 2])
    study = small_study(("pet",), repeats=2)
    add_trial(run, study, Trial("pet", 0, 1), np.zeros((2, 4, 4), np.uint16))
    assert "not uint16 (3, 4, 4)" in write_tables(run)[0]


def two_variants(root: Path, cases: list[Case], predicted: np.ndarray | None) -> RunFolder:
    """A perfect variant `good` of two repeats beside `odd`, which predicts as given, or was never run."""
    study = small_study(("good", "odd"), repeats=2)
    run = write_run(root, study, [cases])
    for trial in plan_trials(study):
        if trial.variant == "good":
            add_trial(run, study, trial, perfect(cases))
        elif predicted is not None:
            add_trial(run, study, trial, predicted)
    write_tables(run)
    check_tables(run)
    return run


def many_cases(truth: bool = True) -> list[Case]:
    splits = ["train"] * 8 + ["validation"] * 8 + ["test"] * 16
    return [
        Case(split, f"{split}{number // 2}", mask(*(LESION if truth and number % 2 else ())))
        for number, split in enumerate(splits)
    ]


def test_collapsed_variant_without_a_threshold(tmp_path):
    """No overlap with any lesion at any threshold: scores at 0.5 exist, none at a chosen one."""
    cases = many_cases()
    run = two_variants(tmp_path, cases, np.zeros((len(cases), 4, 4), np.uint16))
    found = row(run, "pooled", variant="odd", split="test")
    assert (found["threshold"], found["dice"], found["dice_low"]) == (None, None, None)
    assert (found["dice_at_half"], found["dice_repeats_mean"], found["dice_repeats_sd"]) == (0.0, 0.0, 0.0)
    assert (found["collapsed"], found["highest_probability"]) == (True, 0.0)
    assert "0 at every threshold" in found["reason"]
    classified = row(run, "classification", variant="odd", split="test", convention="lesion")
    assert classified["sensitivity"] is None and "no threshold on validation" in classified["reason"]
    coded = row(run, "protocol", variant="odd", reading="as_coded")
    assert (coded["threshold"], coded["slice_threshold"], coded["n"]) == (None, 0.5, 0)
    compared = rows(run, "comparisons", metric="dice", slice_set="lesion")
    assert [each["p"] is None for each in compared] == [True, True, False]  # the bootstrap needs no threshold
    assert compared[0]["reason"].startswith("odd: no threshold")
    assert compared[2]["difference"] == 1.0 and compared[2]["p"] == compared[2]["smallest_p"]


def test_collapsed_variant_with_a_threshold(tmp_path):
    """Everything at 0.02, as a network gives that learned only how rare a lesion is: one flat plateau."""
    cases = many_cases()
    run = two_variants(tmp_path, cases, np.full((len(cases), 4, 4), at(20), np.uint16))
    found = row(run, "pooled", variant="odd", split="test")
    assert (found["collapsed"], found["highest_probability"]) == (True, pytest.approx(0.02, abs=2e-5))
    assert (found["threshold"], found["dice_at_half"]) == (0.01, 0.0)
    assert found["dice"] == pytest.approx(2 * 32 / (32 + 256))
    flat = row(run, "regression", variant="odd", split="test")
    assert (flat["slope"], flat["r2"]) == (0.0, None) and "no r2" in flat["reason"]
    classified = row(run, "classification", variant="odd", split="test", convention="lesion")
    assert (classified["sensitivity"], classified["specificity"]) == (1.0, 0.0)


def test_no_true_positive_slice_at_all(tmp_path):
    cases = many_cases()
    run = two_variants(tmp_path, cases, levels(*[{0: 700}] * len(cases)))  # one pixel, below the cut-off of 2
    found = row(run, "per_slice", variant="odd", split="test", slice_set="true_positive")
    assert (found["n"], found["dice_mean"], found["reason"]) == (0, None, "no slice in this set")
    written = row(run, "protocol", variant="odd", reading="as_written")
    assert (written["dice"], written["sensitivity"]) == (None, 0.0)
    assert written["reason"] == "no true_positive slice"
    compared = row(run, "comparisons", metric="dice", slice_set="true_positive", unit="slice")
    assert (compared["n"], compared["reason"]) == (0, "no slices in common")


def test_all_masks_empty(tmp_path):
    cases = many_cases(truth=False)
    run = two_variants(tmp_path, cases, np.full((len(cases), 4, 4), at(600), np.uint16))
    good = row(run, "pooled", variant="good", split="test")
    assert (good["dice_at_half"], good["dice"], good["collapsed"]) == (1.0, None, True)
    assert "no lesion pixel" in good["reason"]
    assert row(run, "pooled", variant="odd", split="test")["dice_at_half"] == 0.0
    assert row(run, "comparisons", metric="dice", slice_set="lesion", method="bootstrap")["reason"]


def test_a_variant_without_any_trial(tmp_path):
    run = two_variants(tmp_path, many_cases(), None)
    found = row(run, "pooled", variant="odd", split="test")
    assert (found["dice"], found["repeats"], found["missing"], found["collapsed"]) == (None, 0, 2, None)
    assert found["reason"] == "no completed trial; no repeat is completed"
    assert all(each["p"] is None for each in rows(run, "comparisons"))
    assert row(run, "pooled", variant="good", split="test")["dice"] == 1.0
    assert row(run, "protocol", variant="odd", reading="corrected")["trial_ids"] is None


def test_equal_variants_do_not_differ(tmp_path):
    cases = many_cases()
    run = two_variants(tmp_path, cases, perfect(cases))
    for found in rows(run, "comparisons", method="wilcoxon"):
        assert (found["difference"], found["p"]) == (0.0, None)
        assert "differs" in found["reason"]
    found = row(run, "comparisons", metric="dice", slice_set="all", method="bootstrap")
    assert (found["p"], found["p_holm"], found["low"], found["high"]) == (1.0, 1.0, 0.0, 0.0)


def test_nothing_run_at_all_still_gives_every_table(tmp_path):
    study = small_study(repeats=2)
    run = write_run(tmp_path, study, [many_cases()])
    assert write_tables(run) == ["4 of 4 trials are missing"]
    check_tables(run)
    assert [each["status"] for each in rows(run, "trials")] == ["missing"] * 4
    assert len(rows(run, "slices")) == 0


def test_folds_pool_the_out_of_fold_predictions(tmp_path):
    study = small_study(repeats=2, split={"folds": 3})
    run = random_run(tmp_path, study, patients=9)
    write_tables(run)
    check_tables(run)
    medians = {
        (each["variant"], each["fold"]): each["trial_id"] for each in rows(run, "trials", is_median=True)
    }
    assert len(medians) == 6
    chosen = {
        (each["variant"], each["fold"]): each["threshold"]
        for each in rows(run, "thresholds", chosen=True, split="validation")
    }
    used = [
        each
        for each in rows(run, "slices", variant="pet", split="test")
        if each["trial_id"] == medians["pet", each["fold"]]
        and each["threshold"] == chosen["pet", each["fold"]]
    ]
    assert len({each["patient_id"] for each in used}) == 9  # each patient is tested once
    totals = {name: sum(each[name] for each in used) for name in ("overlap_px", "pred_px", "truth_px")}
    found = row(run, "pooled", variant="pet", split="test")
    expected = 2 * totals["overlap_px"] / (totals["pred_px"] + totals["truth_px"])
    assert found["dice"] == pytest.approx(expected)
    assert found["patients"] == 9 and found["repeats"] == 2
    assert found["threshold"] is None and found["reason"].startswith("each fold has its own threshold: f0 0.")
    assert found["collapsed"] is False


def test_a_variant_collapsed_only_where_every_folds_median_model_did(tmp_path):
    study = small_study(("pet",), repeats=1, split={"folds": 3})
    run = random_run(tmp_path, study, patients=9)
    for collapsed in range(1, 4):
        trial = plan_trials(study)[collapsed - 1]
        masks = np.load(run.fold(trial.fold).truth)["masks"]
        add_trial(run, study, trial, np.where(masks, at(300), 0).astype(np.uint16))
        write_tables(run)
        found = row(run, "pooled", variant="pet", split="test")
        assert found["collapsed"] is (collapsed == 3)
        assert (found["highest_probability"] < 0.5) is (collapsed == 3)


def test_a_fold_without_a_completed_trial_is_said(tmp_path):
    study = small_study(repeats=2, split={"folds": 3})
    run = random_run(tmp_path, study, patients=9)
    for repeat in range(2):
        shutil.rmtree(run.trial(f"pet-f1-r{repeat:02d}").root)
    write_tables(run)
    check_tables(run)
    found = row(run, "pooled", variant="pet", split="test")
    assert found["dice"] is None and found["repeats"] == 0
    assert "no completed trial in fold f1" in found["reason"]


@pytest.fixture(scope="module")
def study() -> Study:
    return small_study(("pet", "mri", "pet_mri"), repeats=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory, study) -> RunFolder:
    run = random_run(tmp_path_factory.mktemp("random"), study, patients=24)
    write_tables(run)
    return run


def test_comparisons_of_a_whole_study(run):
    check_tables(run)
    pairs = [(each["variant_a"], each["variant_b"]) for each in rows(run, "comparisons")]
    assert list(dict.fromkeys(pairs)) == [("pet", "mri"), ("pet", "pet_mri"), ("mri", "pet_mri")]
    for unit, method in (("slice", "wilcoxon"), ("patient", "wilcoxon"), ("patient", "bootstrap")):
        family = rows(run, "comparisons", metric="dice", slice_set="all", unit=unit, method=method)
        low, middle, high = sorted(each["p"] for each in family)
        expected = np.maximum.accumulate(np.minimum([3 * low, 2 * middle, high], 1))
        assert sorted(each["p_holm"] for each in family) == pytest.approx(expected)
    assert all(each["low"] <= each["difference"] <= each["high"] for each in family)


def test_wilcoxon_over_slices_is_scipys_on_the_slices_table(run):
    thresholds = {each["variant"]: each["threshold"] for each in rows(run, "pooled", split="test")}
    medians = {each["variant"]: each["trial_id"] for each in rows(run, "trials", is_median=True)}
    a, b = (
        np.array(
            [
                each["dice"]
                for each in rows(
                    run, "slices", trial_id=medians[name], threshold=thresholds[name], split="test"
                )
                if each["truth_px"]
            ]
        )
        for name in ("pet", "pet_mri")
    )
    found = row(
        run,
        "comparisons",
        variant_a="pet",
        variant_b="pet_mri",
        metric="dice",
        slice_set="lesion",
        unit="slice",
    )
    theirs = scipy.stats.wilcoxon(np.round(a - b, 12))
    assert (found["n"], found["p"], found["statistic"]) == (len(a), theirs.pvalue, theirs.statistic)
    assert found["difference"] == pytest.approx(np.mean(a) - np.mean(b))


def test_slices_agree_with_pooled_through_sql(run):
    found = query(
        run,
        """SELECT t.variant, 2 * sum(overlap_px) / (sum(pred_px) + sum(truth_px)) AS dice,
        any_value(t.test_dice) AS kept FROM slices s JOIN trials t USING (trial_id)
        WHERE s.split = 'test' AND threshold = 0.5 GROUP BY t.variant, t.repeat""",
    ).to_pylist()
    assert len(found) == 9
    assert all(each["dice"] == pytest.approx(each["kept"]) for each in found)


def without_seconds(path: Path) -> bytes:
    table = pq.read_table(path)
    if "seconds" in table.column_names:
        table = table.drop_columns("seconds")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def test_the_same_trials_give_the_same_bytes(run, study, tmp_path):
    copy = RunFolder(shutil.copytree(run.root, tmp_path / "elsewhere"))
    shutil.rmtree(copy.tables)
    write_tables(copy)
    for name in STUDY_TABLES:
        assert copy.table(name).read_bytes() == run.table(name).read_bytes(), name
    record = copy.trial("pet-f0-r01").record
    attempts = [{"node": "n", "pid": 1, "gpus": 0.5, "from_epoch": epoch} for epoch in (1, 2)]
    write_sealed(record, read_sealed(record) | {"seconds": 99.0, "attempts": attempts})
    write_tables(copy)
    assert copy.table("trials").read_bytes() != run.table("trials").read_bytes()
    for name in STUDY_TABLES:
        assert without_seconds(copy.table(name)) == without_seconds(run.table(name)), name
    assert not list(copy.tables.glob(".*"))


def test_tables_open_with_pandas(run):
    import pandas as pd

    assert pd.read_parquet(run.table("pooled"))["dice"].notna().all()
    assert pd.read_parquet(run.tables / "slices.parquet")["outcome"].isin(["tp", "tn", "fp", "fn"]).all()


def test_rows_of_a_query_stand_in_the_tables_order(run):
    assert query(run, "SELECT * FROM slices").to_pylist() == read_table(run, "slices").to_pylist()
    assert query(run, "SELECT count(*) AS n FROM comparisons").to_pylist() == [{"n": 3 * 2 * 3 * 3}]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nothing FROM pooled", "nothing"),
        ("SELECT * FROM other", "other"),
        ("", "no rows"),
        ("SELECT * FROM read_parquet('{table}')", "disabled"),
        ("SELECT * FROM '{table}'", "disabled"),
        ("COPY pooled TO '{root}/stolen.csv'", "disabled"),
        ("ATTACH '{root}/other.db'", "disabled"),
        ("SET enable_external_access = true", "enable_external_access"),
        ("SELECT * FROM sql", "sql"),  # a variable of the Python code is no table
        ("SELECT CAST('x' AS INTEGER)", "Could not convert"),
    ],
)
def test_bad_sql_is_one_clear_error(run, sql, message):
    sql = sql.format(table=run.table("pooled"), root=run.root)
    with pytest.raises(InputError, match=message):
        query(run, sql)
    assert not (run.root / "stolen.csv").exists()


def test_reading_what_is_not_there(run, tmp_path):
    with pytest.raises(InputError, match="no such table"):
        read_table(run, "Pooled")
    bare = write_run(tmp_path, small_study(), [many_cases()])
    for read in (lambda: read_table(bare, "pooled"), lambda: query(bare, "SELECT 1")):
        with pytest.raises(InputError, match="hnscc aggregate"):
            read()


def test_a_damaged_fold_is_refused_and_old_tables_are_kept(run, tmp_path):
    copy = RunFolder(shutil.copytree(run.root, tmp_path / "damaged"))
    before = copy.table("pooled").read_bytes()
    truth = copy.fold(0).truth
    truth.write_bytes(truth.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"truth\.npz is not what was written"):
        write_tables(copy)
    for junk in ("{ not whole", "[]", "{}", '{"digest": "d", "files": [], "warnings": []}'):
        copy.fold(0).split.write_text(junk)
        with pytest.raises(InputError, match=r"split\.json (that|whose)") as caught:
            write_tables(copy)
        assert caught.value.where == "folds/f0" and str(tmp_path) not in str(caught.value)
    copy.fold(0).split.unlink()
    with pytest.raises(InputError, match=r"split\.json cannot be read"):
        write_tables(copy)
    assert copy.table("pooled").read_bytes() == before


def damage_table(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "junk":
        content = bytearray(b"no parquet at all")
    elif how == "cut":
        content = content[: len(content) // 2]
    else:  # the footer is whole, the pages are not
        content[4 : len(content) // 3] = b"\x00" * (len(content) // 3 - 4)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("how", ["junk", "cut", "pages"])
def test_a_damaged_table_is_one_clear_error_without_a_path(run, tmp_path, how):
    copy = RunFolder(shutil.copytree(run.root, tmp_path / "damaged"))
    damage_table(copy.table("slices"), how)
    for read in (lambda: read_table(copy, "slices"), lambda: query(copy, "SELECT sum(pred_px) FROM slices")):
        with pytest.raises(InputError, match=r"tables/slices\.parquet") as caught:
            read()
        assert str(tmp_path) not in str(caught.value)


def test_a_table_of_another_version_is_refused(run, tmp_path):
    copy = RunFolder(shutil.copytree(run.root, tmp_path / "older"))
    pq.write_table(pq.read_table(copy.table("protocol")).drop_columns("dice_sd"), copy.table("protocol"))
    with pytest.raises(InputError, match="no column dice_sd"):
        read_table(copy, "protocol")


def test_true_positive_is_described_by_both_of_its_meanings():
    told = schema("per_slice").field("slice_set").metadata[b"description"].decode()
    assert "slice convention" in told and "overlap" in told
