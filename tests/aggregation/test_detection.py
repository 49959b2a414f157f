"""Tables `detection` and `reliability`: by hand, and against scikit-learn on the stored probabilities."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from run_folders import Slice, add_trial, noisy_levels, random_run, small_study, write_run
from small_tables import check_tables, levels, mask, row, rows

from hnscc.aggregation.build import write_tables
from hnscc.study.trials import trials_of

FOUR = {**dict.fromkeys(range(4), 900), 8: 450}
# Test: `a` is found, `b` is missed beside an alarm, `c` is missed; `d` has no lesion and an alarm, `e` none.
TEST = [("a", mask(0, 1), {0: 900}), ("b", mask(0), {15: 700}), ("c", mask(0), {0: 300})]
TEST += [("d", mask(), {0: 600, 10: 600}), ("e", mask(), {3: 100})]


def five_scans(root, **settings):
    slices = [Slice("train", "t", mask(0)), Slice("validation", "v", mask(0, 1, 2, 3))]
    slices += [Slice("test", patient, truth) for patient, truth, _ in TEST]
    study = small_study(("pet",), repeats=1, **settings)
    run = write_run(root, study, [slices])
    predicted = levels({0: 900}, FOUR, *(each for *_, each in TEST))
    add_trial(run, study, trials_of(study)[0], predicted)
    assert write_tables(run) == []
    check_tables(run)
    return run


def test_scans_and_lesions_by_hand(tmp_path):
    run = five_scans(tmp_path)
    found = row(run, "detection", split="test", unit="scan", repeat=0)
    counts = [found[name] for name in ("n", "with_lesion", "tp", "fn", "fp", "tn", "misplaced", "threshold")]
    assert counts == [5, 3, 2, 1, 1, 1, 1, 0.5]
    assert (found["sensitivity"], found["specificity"]) == (2 / 3, 0.5)
    # 0.9, 0.7 and 0.3 against 0.6 and 0.1: of six pairs one, 0.3 below 0.6, is not in order.
    assert found["auc"] == pytest.approx(5 / 6)
    assert [found[name] for name in ("lesions", "lesions_found", "false_lesions")] == [3, 1, 3]
    assert (found["false_per_scan"], found["lesion_sensitivity"]) == (3 / 5, 1 / 3)
    assert found["lesion_f1"] == 2 * 1 / (3 + 1 + 3)
    assert found["lesion_dice"] == pytest.approx((2 * 1 / (2 + 1)) / 3)
    assert [found[f"lesions_{size}"] for size in ("under_1_ml", "1_to_5_ml", "over_5_ml")] == [3, 0, 0]
    assert (found["sensitivity_under_1_ml"], found["sensitivity_over_5_ml"]) == (1 / 3, None)
    assert "of the size" in found["reason"]
    squares = (0.1**2 + 1) + (1 + 0.7**2) + 0.7**2 + 2 * 0.6**2 + 0.1**2
    assert found["brier"] == pytest.approx(squares / (5 * 16), abs=1e-5)


def test_what_does_not_exist_has_its_reason(tmp_path):
    """The validation scan holds lesion; without whole scans nothing exists."""
    found = row(five_scans(tmp_path / "whole"), "detection", split="validation", unit="patient", repeat=0)
    assert (found["sensitivity"], found["specificity"], found["auc"]) == (1, None, None)
    assert "every patient holds lesion" in found["reason"]
    settings = {"evaluation": {"slices": "sampled", "cutoff_px": 2}}
    sampled = five_scans(tmp_path / "sampled", **settings)
    assert rows(sampled, "reliability") == []
    assert len(rows(sampled, "detection")) == 8
    for each in rows(sampled, "detection"):
        assert each["n"] is each["auc"] is each["brier"] is None and "sampled slices alone" in each["reason"]


def test_thresholds_that_differ_do_not_hide_why_nothing_exists(tmp_path):
    settings = {"split": {"folds": 3}, "evaluation": {"slices": "sampled", "cutoff_px": 2, "bootstraps": 100}}
    run = random_run(tmp_path, small_study(("pet",), repeats=1, **settings))
    write_tables(run)
    of_medians = rows(run, "detection", repeat=None)
    assert len(of_medians) == 4
    for each in of_medians:
        assert each["n"] is None and each["threshold"] is None
        assert "its own threshold" in each["reason"] and "sampled slices alone" in each["reason"]


def test_median_models_stand_at_their_threshold_and_share_the_auc(tmp_path):
    run = five_scans(tmp_path)
    (chosen,) = {each["threshold"] for each in rows(run, "thresholds", chosen=True)}
    median, repeat = (row(run, "detection", split="test", unit="scan", repeat=each) for each in (None, 0))
    assert (median["threshold"], repeat["threshold"]) == (pytest.approx(chosen), 0.5) and chosen != 0.5
    assert (median["auc"], median["brier"]) == (repeat["auc"], repeat["brier"])
    called = [each["pred_ml"] > 0 for each in rows(run, "scans", split="test", threshold=median["threshold"])]
    assert median["tp"] + median["fp"] == sum(called)


def two_folds(root, *tested):
    """Patient v is validated on in both folds; tested: of each fold, the patient, scan, mask and prediction of each of
    its test slices."""
    study = small_study(("pet",), repeats=1, split={"folds": 2})
    found = mask(0), {0: 900}
    parts = [[("train", "t", "a", *found), ("validation", "v", "a", *found)] for _ in tested]
    for part, own in zip(parts, tested, strict=True):
        part += [("test", *each) for each in own]
    slices = [[Slice(*each[:2], each[3], scan=each[2]) for each in part] for part in parts]
    run = write_run(root, study, slices)
    for trial, part in zip(trials_of(study), parts, strict=True):
        add_trial(run, study, trial, levels(*(each[4] for each in part)))
    assert write_tables(run) == []
    check_tables(run)
    return run


def test_a_patient_counts_once_in_each_fold_whatever_its_scans(tmp_path):
    """Of `a` the lesion of the second scan is found alone, that of `c` is missed beside an alarm; `b` and `d` have
    alarms. The highest probabilities are 0.9 against 0.6, and, of the other fold's model, 0.65 against 0.7."""
    run = two_folds(
        tmp_path,
        [("a", "a", mask(0), {0: 300}), ("a", "b", mask(0), {0: 900}), ("b", "a", mask(), {5: 600})],
        [("c", "a", mask(0), {5: 650}), ("d", "a", mask(), {5: 700})],
    )
    names = ("n", "with_lesion", "tp", "fn", "fp", "tn", "misplaced", "auc")
    for unit, expected in (("scan", [5, 3, 2, 1, 2, 0, 1]), ("patient", [4, 2, 2, 0, 2, 0, 1])):
        found = row(run, "detection", split="test", unit=unit, repeat=0)
        # 0.9 and 0.3 against 0.6 are in order once of two pairs, those of patients always; 0.65 against 0.7 is not.
        assert [found[name] for name in names] == [*expected, 1 / 3 if unit == "scan" else 1 / 2]
    of_validation = row(run, "detection", split="validation", unit="patient", repeat=0)
    assert (of_validation["n"], of_validation["tp"]) == (2, 2)
    assert of_validation["reason"] == (
        "every patient holds lesion: no specificity, no AUC; no lesion is of the size whose sensitivity is null"
    )
    ill = row(run, "patients", patient_id="a", threshold=0.5)
    assert (ill["scans"], ill["lesion"], ill["detected"]) == (2, True, True)
    assert (ill["lesions"], ill["lesions_found"], ill["overlap_px"]) == (2, 1, 1)
    assert row(run, "patients", patient_id="c", threshold=0.5)["detected"] is False
    # Both median models, of which each is the only one, have the middle of 0.001 to 0.9.
    assert row(run, "detection", split="test", unit="scan", repeat=None)["threshold"] == 0.45


def test_where_no_fold_has_both_kinds_there_is_no_auc(tmp_path):
    """The probabilities of two models are not compared."""
    run = two_folds(tmp_path, [("a", "a", mask(0), {0: 900})], [("d", "a", mask(), {5: 100})])
    for unit in ("scan", "patient"):
        found = row(run, "detection", split="test", unit=unit, repeat=0)
        assert (found["sensitivity"], found["specificity"], found["auc"]) == (1, 1, None)
        assert found["reason"].startswith(f"no fold has {unit}s both with lesion and without: no AUC; ")


def random_study(root, folds):
    """Twelve patients, every other without lesion; of the others one lesion in each size class at least."""
    rng = np.random.default_rng(3)
    study = small_study(("pet",), repeats=2, split={"folds": folds})
    parts = []
    for fold in range(folds):
        slices = []
        for patient in range(12):
            split = {fold: "test", (fold + 1) % 3: "validation"}.get(patient % 3, "train")
            for z in range(4):
                mask = np.zeros((24, 24), np.uint8)
                if patient % 2:
                    side = {1: 24, 3: 3, 5: 24 if z < 2 else 0}.get(patient, 5)
                    mask[:side, :side] = 1
                slices.append(Slice(split, f"p{patient:02d}", mask))
        parts.append(sorted(slices, key=lambda each: ("train", "validation", "test").index(each.split)))
    run = write_run(root, study, parts)
    for trial in trials_of(study):
        masks = np.stack([each.mask for each in parts[trial.fold]])
        weaker = masks * (rng.random(len(masks)) < 0.6)[:, None, None]
        add_trial(run, study, trial, noisy_levels(weaker, rng, noise=0.08))
    assert write_tables(run) == []
    check_tables(run)
    return run


def seen_by(run, repeat, folds, split="test"):
    """Of a repeat, over all folds: each scan's probabilities and truth."""
    for fold in range(folds):
        slices = pq.read_table(run.fold(fold).slices).to_pylist()
        masks = np.load(run.fold(fold).truth)["masks"]
        stored = np.load(run.trial(f"pet-f{fold}-r{repeat:02d}").predictions)["probabilities"]
        for scan in sorted({each["scan_id"] for each in slices if each["split"] == split}):
            own = [position for position, each in enumerate(slices) if each["scan_id"] == scan]
            yield stored[own] / 65535, masks[own] > 0


@pytest.mark.parametrize("folds", [1, 3])
def test_rates_auc_brier_and_reliability_are_scikit_learn_s(sklearn, tmp_path, folds):
    run = random_study(tmp_path, folds)
    for repeat in (0, 1):
        found = row(run, "detection", split="test", unit="scan", repeat=repeat)
        scans = list(seen_by(run, repeat, folds))
        truth = np.array([each.any() for _, each in scans])
        highest = np.array([each.max() for each, _ in scans])
        assert found["n"] == len(scans) == 12 * folds // 3
        parts = [*zip(np.split(truth, folds), np.split(highest, folds), strict=True)]
        areas = [sklearn.metrics.roc_auc_score(*each) for each in parts]
        assert len({each.sum() for each, _ in parts}) == 1  # every fold has as many pairs
        assert found["auc"] == pytest.approx(np.mean(areas), abs=1e-12)
        assert found["sensitivity"] == pytest.approx(
            sklearn.metrics.recall_score(truth, highest >= 0.5), abs=1e-12
        )
        assert found["specificity"] == pytest.approx(
            sklearn.metrics.recall_score(~truth, highest < 0.5), abs=1e-12
        )
        voxels, lesion = (np.concatenate([each[at].ravel() for each in scans]) for at in (0, 1))
        assert found["brier"] == pytest.approx(sklearn.metrics.brier_score_loss(lesion, voxels), abs=1e-12)
        curve = [each for each in rows(run, "reliability", split="test", repeat=repeat) if each["n"]]
        observed, predicted = sklearn.calibration.calibration_curve(lesion, voxels, n_bins=10)
        assert [each["observed"] for each in curve] == pytest.approx(observed.tolist(), abs=1e-12)
        assert [each["predicted"] for each in curve] == pytest.approx(predicted.tolist(), abs=1e-12)
        assert sum(each["n"] for each in curve) == len(voxels)


def test_rows_agree_with_the_tables_of_scans_patients_and_lesions(tmp_path):
    run = random_study(tmp_path, 3)
    for repeat in (0, 1):
        scan, patient = (
            row(run, "detection", split="test", unit=unit, repeat=repeat) for unit in ("scan", "patient")
        )
        own = rows(run, "scans", split="test", repeat=repeat, threshold=0.5)
        assert scan["false_lesions"] == sum(each["false_lesions"] for each in own)
        assert scan["false_per_scan"] == scan["false_lesions"] / len(own)
        patients = rows(run, "patients", split="test", repeat=repeat, threshold=0.5)
        detected = sum(each["detected"] for each in patients if each["lesion"])
        assert patient["tp"] - patient["misplaced"] == detected
        assert patient["fp"] == sum(each["detected"] for each in patients if not each["lesion"])
        lesions = rows(run, "lesions", split="test", repeat=repeat, threshold=0.5)
        bounds = {"under_1_ml": (0, 1), "1_to_5_ml": (1, 5), "over_5_ml": (5, np.inf)}
        for size, (low, high) in bounds.items():
            of_size = [each["found"] for each in lesions if low <= each["truth_ml"] < high]
            assert scan[f"lesions_{size}"] == len(of_size) > 0
            assert scan[f"sensitivity_{size}"] == pytest.approx(np.mean(of_size))
