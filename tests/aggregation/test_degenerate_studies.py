"""Studies in which values do not exist, and studies of several folds."""

import shutil

import numpy as np
import pytest
from run_folders import add_trial, random_run, small_study, write_run
from small_tables import at, check_tables, levels, many_slices, perfect, row, rows, two_variants

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.folds import holds_evaluated
from hnscc.aggregation.results import join_reasons, load_results
from hnscc.base.files import read_sealed, write_sealed
from hnscc.study.trials import trials_of


def test_collapsed_variant_without_a_threshold(tmp_path):
    """No overlap with any lesion at any threshold: scores at 0.5 exist, none at a chosen one."""
    slices = many_slices()
    run = two_variants(tmp_path, slices, np.zeros((len(slices), 4, 4), np.uint16))
    found = row(run, "pooled", variant="odd", split="test")
    assert (found["threshold"], found["dice"], found["dice_low"]) == (None, None, None)
    assert (found["dice_at_half"], found["dice_repeats_mean"], found["dice_repeats_sd"]) == (0.0, 0.0, 0.0)
    assert (found["collapsed"], found["highest_probability"]) == (True, 0.0)
    assert "0 at every threshold" in found["reason"]
    results = load_results(run)
    assert [results.number_collapsed(each) for each in ("odd", "good")] == [4, 0]
    assert [results.mostly_collapsed(each) for each in ("odd", "good")] == [True, False]
    classified = row(run, "classification", variant="odd", split="test", convention="lesion")
    assert classified["sensitivity"] is None and "no threshold on validation" in classified["reason"]
    coded = row(run, "protocol", variant="odd", reading="as_coded")
    assert (coded["threshold"], coded["slice_threshold"], coded["n"]) == (None, 0.5, 0)
    compared = rows(run, "comparisons", metric="dice", slice_set="lesion")
    # The bootstrap needs no threshold; nor does the t test, but here no patient and no repeat varies.
    assert [each["p"] is None for each in compared] == [True, True, True, False]
    crossed = next(each for each in compared if each["method"] == "two_way_t")
    assert (crossed["difference"], crossed["low"], crossed["high"]) == (1.0, None, None)
    assert "neither patients nor repeats are seen to vary" in crossed["reason"]
    assert compared[0]["reason"].startswith("odd: no threshold")
    assert compared[2]["difference"] == 1.0 and compared[2]["p"] == compared[2]["smallest_p"]


def test_collapsed_variant_with_a_threshold(tmp_path):
    """Everything at 0.02, as a network gives that learned only how rare a lesion is: one flat plateau."""
    slices = many_slices()
    run = two_variants(tmp_path, slices, np.full((len(slices), 4, 4), at(20), np.uint16))
    found = row(run, "pooled", variant="odd", split="test")
    assert (found["collapsed"], found["highest_probability"]) == (True, pytest.approx(0.02, abs=2e-5))
    assert (found["threshold"], found["dice_at_half"]) == (0.01, 0.0)
    assert found["dice"] == pytest.approx(2 * 32 / (32 + 256))
    assert found["n_empty"] == 0, "no prediction is empty, where the truth is"
    flat = row(run, "regression", variant="odd", split="test")
    assert (flat["slope"], flat["r2"]) == (0.0, None) and "no r2" in flat["reason"]
    classified = row(run, "classification", variant="odd", split="test", convention="lesion")
    assert (classified["sensitivity"], classified["specificity"]) == (1.0, 0.0)


def test_no_true_positive_slice_at_all(tmp_path):
    slices = many_slices()
    # One pixel, below the cut-off of 2.
    run = two_variants(tmp_path, slices, levels(*[{0: 700}] * len(slices)))
    found = row(run, "per_slice", variant="odd", split="test", slice_set="true_positive")
    assert (found["n"], found["dice_mean"], found["reason"]) == (0, None, "no slice in this set")
    written = row(run, "protocol", variant="odd", reading="as_written")
    assert (written["dice"], written["sensitivity"]) == (None, 0.0)
    assert written["reason"] == "no true_positive slice"
    compared = row(run, "comparisons", metric="dice", slice_set="true_positive", unit="slice")
    assert (compared["n"], compared["reason"]) == (0, "no slices in common")


def test_all_masks_empty(tmp_path):
    slices = many_slices(truth=False)
    run = two_variants(tmp_path, slices, np.full((len(slices), 4, 4), at(600), np.uint16))
    good = row(run, "pooled", variant="good", split="test")
    assert (good["dice_at_half"], good["dice"], good["collapsed"]) == (1.0, None, True)
    assert "no lesion pixel" in good["reason"]
    assert {each["chosen"] for each in rows(run, "thresholds")} == {False}, (
        "by which predict would ask its models"
    )
    assert row(run, "pooled", variant="odd", split="test")["dice_at_half"] == 0.0
    assert row(run, "comparisons", metric="dice", slice_set="lesion", method="bootstrap")["reason"]
    detected = row(run, "detection", variant="odd", split="test", unit="scan", repeat=0)
    assert detected["reason"] == "no scan holds lesion: no sensitivity, no AUC", (
        "nor are sizes of lesions told"
    )


def test_a_variant_without_any_trial(tmp_path):
    run = two_variants(tmp_path, many_slices(), None)
    found = row(run, "pooled", variant="odd", split="test")
    assert (found["dice"], found["repeats"], found["missing"], found["collapsed"]) == (None, 0, 4, None)
    assert found["reason"] == "no completed trial; no repeat is completed in every fold"
    assert all(each["p"] is None for each in rows(run, "comparisons"))
    assert row(run, "pooled", variant="good", split="test")["dice"] == 1.0
    assert row(run, "protocol", variant="odd", reading="corrected")["trial_ids"] is None


def test_of_three_patients_with_lesion_no_difference_is_seen(tmp_path):
    """They have no p, so that no difference is found: the report said "no p from 3 patients; seen from 0.125"."""
    run = random_run(tmp_path, small_study(repeats=2), patients=9)
    write_tables(run)
    check_tables(run)
    found = row(run, "comparisons", metric="dice", slice_set="all", method="two_way_t")
    assert found["low"] is not None and found["p"] is found["smallest_seen"] is None
    assert found["reason"].startswith("no p from 3 patients, 4 are needed")


def test_equal_variants_do_not_differ(tmp_path):
    slices = many_slices()
    run = two_variants(tmp_path, slices, perfect(slices))
    for found in rows(run, "comparisons", method="wilcoxon"):
        assert (found["difference"], found["p"]) == (0.0, None)
        assert "differs" in found["reason"]
    found = row(run, "comparisons", metric="dice", slice_set="all", method="bootstrap")
    assert (found["p"], found["p_holm"], found["low"], found["high"]) == (1.0, 1.0, 0.0, 0.0)


def test_nothing_run_at_all_still_gives_every_table(tmp_path):
    study = small_study(repeats=2)
    run = write_run(tmp_path, study, [many_slices()])
    assert [each.text for each in write_tables(run)] == ["4 of 4 trials are missing"]
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
        trial = trials_of(study)[collapsed - 1]
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
    # Of some folds alone it would not be the detection of the study.
    detected = row(run, "detection", variant="pet", split="test", unit="scan", repeat=None)
    assert (detected["n"], detected["reason"]) == (None, "no completed trial in fold f1")
    split = run.fold(2).split
    assert holds_evaluated(run, study)
    write_sealed(split, read_sealed(split) | {"slices": "sampled"})
    assert not holds_evaluated(run, study)


def test_reasons_are_joined_in_order_each_once():
    assert join_reasons(["b", None, "a", "", "b"]) == "b; a" and join_reasons([None]) is None
