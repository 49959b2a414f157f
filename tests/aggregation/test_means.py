"""Table `means`: against the rows of table `patients`, averaged by hand, and where it has no value."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from run_folders import Slice, add_trial, random_run, small_study, write_run
from small_tables import LESION, check_tables, levels, mask, row, rows

from hnscc.aggregation.build import write_tables
from hnscc.scores.crossed import mean_of_patients
from hnscc.scores.patient_metrics import PATIENT_METRICS
from hnscc.study.trials import trials_of

NAMES = [each.name for each in PATIENT_METRICS]
COLUMN = {"patient_dice": "dice", "patient_jaccard": "jaccard"}
COLUMN |= {
    name: name
    for name in ("hd95_mm", "assd_mm", "nsd", "volume_precision", "fn_ml", "fp_ml", "false_lesions")
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    study = small_study(("pet", "mri"), repeats=3, split={"folds": 2})
    run = random_run(tmp_path_factory.mktemp("folds"), study, patients=24)
    write_tables(run)
    check_tables(run)
    return run


@pytest.mark.parametrize("metric", COLUMN)
def test_the_mean_is_that_of_the_patients_rows_of_all_folds(run, metric):
    by_place: dict[tuple[int, str], float] = {}
    for each in rows(run, "patients", variant="mri", split="test", threshold=0.5):
        if each["lesion"] or metric in ("fp_ml", "false_lesions"):
            by_place[each["repeat"], each["patient_id"]] = each[COLUMN[metric]]
    patients = sorted({patient for _, patient in by_place})
    scores = np.array([[by_place[repeat, patient] for patient in patients] for repeat in range(3)], float)
    found = row(run, "means", variant="mri", split="test", metric=metric)
    assert found["mean"] == pytest.approx(sum(by_place.values()) / len(by_place))
    assert (found["patients"], found["repeats"]) == (len(patients), 3)
    expected = mean_of_patients(scores, share=not metric.endswith(("_mm", "_ml", "lesions")))
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert found["low"] < found["mean"] < found["high"]


@pytest.mark.parametrize("metric", COLUMN)
def test_the_median_models_mean_is_that_of_their_rows_with_students_t(run, metric):
    """At each fold's own threshold; its interval is over patients alone."""
    chosen = {each["fold"]: each["threshold"] for each in rows(run, "thresholds", chosen=True, variant="mri")}
    own = rows(run, "patients", variant="mri", split="test", is_median=True)
    scores = [
        each[COLUMN[metric]]
        for each in own
        if each["threshold"] == chosen[each["fold"]]
        and (each["lesion"] or metric in ("fp_ml", "false_lesions"))
    ]
    found = row(run, "means", variant="mri", split="test", metric=metric)
    mean = np.mean(scores)
    assert found["median_model"] == pytest.approx(mean) and len(scores) == found["patients"]
    share = not metric.endswith(("_mm", "_ml", "lesions"))
    half = scipy.stats.t.ppf(0.975, len(scores) - 1) * scipy.stats.sem(scores)
    half /= mean * (1 - mean) if share else mean
    ends = [
        scipy.special.expit(scipy.special.logit(mean) + side * half) if share else mean * np.exp(side * half)
        for side in (-1, 1)
    ]
    assert [found["median_model_low"], found["median_model_high"]] == pytest.approx(ends)


def test_differences_of_means_are_those_of_comparisons(run):
    for metric in NAMES:
        pet, mri = (row(run, "means", variant=name, split="test", metric=metric) for name in ("pet", "mri"))
        compared = row(run, "comparisons", metric=metric, method="two_way_t")
        assert pet["mean"] - mri["mean"] == pytest.approx(compared["difference"], abs=1e-12)
        assert pet["higher_is_better"] == mri["higher_is_better"] == compared["higher_is_better"]


def test_rows_stand_in_the_order_of_variants_splits_and_scores(run):
    found = [(each["variant"], each["split"], each["metric"]) for each in rows(run, "means")]
    expected = [(v, s, m) for v in ("pet", "mri") for s in ("validation", "test") for m in NAMES]
    assert found == expected


def test_by_hand(tmp_path):
    """Two patients with lesion of 4 voxels, one without; repeat 0 finds 4 and 2 of 4, repeat 1 finds 2 and 0 of 4."""
    splits = ("train", "validation", "test", "test", "test")
    slices = [Slice(each, f"{each}{i}", mask(*(LESION if i < 4 else ()))) for i, each in enumerate(splits)]
    study = small_study(("pet",), repeats=2)
    run = write_run(tmp_path, study, [slices])
    for trial, found in zip(trials_of(study), ((4, 2), (2, 0)), strict=True):
        marked = [4, 4, *found, 0]
        add_trial(run, study, trial, levels(*[dict.fromkeys(LESION[:pixels], 900) for pixels in marked]))
    write_tables(run)
    check_tables(run)
    dice = (1 + 2 / 3 + 2 / 3 + 0) / 4
    expected = {"patient_dice": dice, "patient_jaccard": (1 + 1 / 2 + 1 / 2) / 4, "detected": 3 / 4}
    expected |= {"volume_precision": 3 / 4, "volume_error_ml": (0 + 2 + 2 + 4) / 4 * 3 / 1000}
    expected |= {"lesion_f1": 3 / 4, "false_lesions": 0.0}
    for metric, mean in expected.items():
        found = row(run, "means", split="test", metric=metric)
        assert found["mean"] == pytest.approx(mean)
        assert found["patients"] == (3 if metric == "false_lesions" else 2)
    assert "at least 4 patients, of distances, ml or counts, and there are 3" in found["reason"]


def test_where_scans_are_not_whole_or_a_fold_is_missing_there_is_a_reason(tmp_path):
    study = small_study(("pet",), repeats=2, evaluation={"slices": "sampled", "cutoff_px": 2})
    run = random_run(tmp_path / "sampled", study)
    write_tables(run)
    check_tables(run)
    for each in rows(run, "means"):
        assert (each["mean"], each["patients"], each["repeats"]) == (None, 0, 0)
        assert "the sampled slices alone" in each["reason"]
    slices = [Slice(each, each, mask(*LESION)) for each in ("train", "validation", "test")]
    untrained = write_run(tmp_path / "untrained", small_study(("pet",), repeats=2), [slices])
    write_tables(untrained)
    assert {each["reason"] for each in rows(untrained, "means")} == {"no repeat is completed in every fold"}


def test_a_patient_that_every_fold_validates_on_counts_once(tmp_path):
    """`v` is missed beside an alarm in each of three folds, and found in the third of repeat 1."""
    folds = [
        [
            Slice("train", "t", mask(0)),
            Slice("validation", "v", mask(*LESION)),
            Slice("validation", f"w{fold}", mask(*LESION)),
            Slice("test", f"s{fold}", mask(*LESION)),
        ]
        for fold in range(3)
    ]
    study = small_study(("pet",), repeats=2, split={"folds": 3})
    run = write_run(tmp_path, study, folds)
    found = dict.fromkeys(LESION, 900)
    for trial in trials_of(study):
        of_v = found if (trial.fold, trial.repeat) == (2, 1) else {15: 900}
        add_trial(run, study, trial, levels({0: 900}, of_v, found, found))
    assert write_tables(run) == []
    check_tables(run)
    ml = 4 * 3 / 1000
    missed = (1 + 2 / 3) / 2  # mean over both repeats of the share of folds
    expected = {
        "fn_ml": ml * missed,
        "false_lesions": missed,
        "fp_ml": 0.003 * missed,
        "detected": 4 - missed,
    }
    expected |= {"patient_dice": 4 - missed, "volume_error_ml": 0.009 * missed}
    for metric, of_v in expected.items():
        value = row(run, "means", split="validation", metric=metric)
        assert value["patients"] == 4
        assert value["mean"] == pytest.approx(of_v / 4), metric
