"""Every table of a study small enough to compute by hand."""

import numpy as np
import pytest
import scipy.stats
from scipy.special import expit
from small_tables import at, check_tables, hand_run, row, rows

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.schemas import schema
from hnscc.scores.metrics import METRICS
from hnscc.scores.patient_metrics import PATIENT_METRICS
from hnscc.study.run_folder import RunFolder


@pytest.fixture(scope="module")
def hand(tmp_path_factory) -> RunFolder:
    run = hand_run(tmp_path_factory.mktemp("hand"))
    assert write_tables(run) == []
    return run


def test_hand_tables_hold_what_every_run_holds(hand):
    check_tables(hand)


JACKKNIFE = 1 / 2 * ((4 / 18 - 1 / 2) ** 2 + (12 / 14 - 1 / 2) ** 2)
EVEN = (6 / 7 - 2 / 9) ** 2 / 2 * ((7 / 16) ** 2 + (9 / 16) ** 2)


def test_hand_pooled(hand):
    found = row(hand, "pooled", variant="pet", split="test")
    assert found["threshold"] == 0.15
    assert (found["dice"], found["jaccard"]) == pytest.approx((8 / 16, 4 / 12))
    assert (found["dice_at_half"], found["jaccard_at_half"]) == pytest.approx((6 / 15, 3 / 12))
    assert (found["slices"], found["n_empty"], found["patients"]) == (4, 1, 2)
    # Two patients, c 6 of 7 and d 2 of 9: without c 4/18, without d 12/14, each 1/2 off; jackknife 0.1024, equal
    # spread 0.2016 x (7/16)^2 + (9/16)^2 = 0.1024; t of one degree is 12.7: two patients tell next to nothing.
    half = scipy.stats.t.ppf(0.975, 1) * np.sqrt(0.75 * JACKKNIFE + 0.25 * EVEN) / (0.5 * 0.5)
    assert (found["dice_low"], found["dice_high"]) == pytest.approx((expit(-half), expit(half)))
    assert found["effective_patients"] == pytest.approx(1 / ((7 / 16) ** 2 + (9 / 16) ** 2))
    assert (found["dice_repeats_low"], found["dice_repeats_high"]) == (None, None)
    assert (found["repeats"], found["dice_repeats_median"], found["dice_repeats_sd"]) == (1, 0.4, None)
    assert found["reason"] == "one repeat: no sd and no interval over repeats"
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
        assert (found["n"], found["patients"]) == (len(expected), 2)
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
    assert validation["reason"] == "neither tn nor fp: no specificity"


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
    assert len(found) == len(METRICS) * 3 * 4 + len(PATIENT_METRICS) * 2
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
    crossed = row(hand, "comparisons", metric="dice", slice_set="all", method="two_way_t")
    assert crossed["difference"] == pytest.approx(0.4 - 1)
    assert (crossed["n"], crossed["repeats_a"], crossed["repeats_b"], crossed["low"]) == (2, 1, 1, None)
    assert "at least 2 of both variants, and there are 1 and 1" in crossed["reason"]


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


def test_true_positive_is_described_by_both_of_its_meanings():
    told = schema("per_slice").field("slice_set").metadata[b"description"].decode()
    assert "slice convention" in told and "overlap" in told
