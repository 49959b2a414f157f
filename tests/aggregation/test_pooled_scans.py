"""Precision and lesions found in table `pooled`: summed by hand from table `patients`, and where they do not exist."""

import numpy as np
import pytest
from run_folders import Slice, add_trial, random_run, small_study, write_run
from scipy.special import expit, logit
from scipy.stats import t
from small_tables import LESION, OF_SCANS, check_tables, levels, mask, row, rows

from hnscc.aggregation.build import write_tables
from hnscc.scores.crossed import pooled_interval
from hnscc.study.trials import trials_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    study = small_study(("pet", "mri"), repeats=3, split={"folds": 2})
    run = random_run(tmp_path_factory.mktemp("pooled"), study, patients=24)
    write_tables(run)
    check_tables(run)
    return run


def ratio(of, name):
    """The score of all these rows of table `patients` as one."""
    sums = {key: sum(each[key] for each in of) for key in ("overlap_ml", "pred_ml", "truth_ml")}
    found, lesions, false = (
        sum(each[key] for each in of) for key in ("lesions_found", "lesions", "false_lesions")
    )
    return {
        "volume_precision": sums["overlap_ml"] / sums["pred_ml"],
        "volume_sensitivity": sums["overlap_ml"] / sums["truth_ml"],
        "lesion_f1": 2 * found / (found + false + lesions),
        "lesion_sensitivity": found / lesions,
    }[name]


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("name", OF_SCANS)
def test_patients_rows_summed_by_hand_give_it(run, name, split):
    chosen = {each["fold"]: each["threshold"] for each in rows(run, "thresholds", chosen=True, variant="pet")}
    pooled = row(run, "pooled", variant="pet", split=split)
    own = rows(run, "patients", variant="pet", split=split)
    of_median = [each for each in own if each["is_median"] and each["threshold"] == chosen[each["fold"]]]
    assert len(of_median) > 10
    assert pooled[name] == pytest.approx(ratio(of_median, name))
    each_repeat = [
        ratio([each for each in own if each["repeat"] == repeat and each["threshold"] == 0.5], name)
        for repeat in range(3)
    ]
    assert pooled[f"{name}_repeats_mean"] == pytest.approx(np.mean(each_repeat))
    if name == "lesion_sensitivity":
        assert pooled[name] == 1 and "every patient with lesion scores 1" in pooled["scans_reason"]
    else:
        assert pooled[f"{name}_low"] < pooled[name] < pooled[f"{name}_high"]


def test_lesions_are_those_of_table_detection_and_f1_is_a_dice_of_lesions(run):
    detected = row(run, "detection", variant="pet", split="test", unit="scan", repeat=None)
    pooled = row(run, "pooled", variant="pet", split="test")
    assert pooled["lesion_f1"] == pytest.approx(detected["lesion_f1"])
    assert pooled["lesion_sensitivity"] == pytest.approx(detected["lesion_sensitivity"])
    own = [each for each in rows(run, "patients", variant="pet", split="test") if each["threshold"] == 0.5]
    counts = np.zeros((3, 3, 24))
    patients = sorted({each["patient_id"] for each in own})
    for each in own:
        found = each["lesions_found"]
        at = each["repeat"], patients.index(each["patient_id"])
        counts[:, *at] = found, found + each["false_lesions"], each["lesions"]
    expected = pooled_interval(*counts)
    assert tuple(pooled[f"lesion_f1_repeats_{end}"] for end in ("mean", "low", "high")) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )


def pooled_of(folder, *repeats):
    """The test row of table `pooled` of a training, a validation and two test patients, each with LESION in a slice;
    of each repeat, the pixels that it marks in each of the four slices."""
    splits = ("train", "validation", "test", "test")
    slices = [Slice(each, f"{each}{i}", mask(*LESION)) for i, each in enumerate(splits)]
    study = small_study(("pet",), repeats=len(repeats))
    run = write_run(folder, study, [slices])
    for trial, marked in zip(trials_of(study), repeats, strict=True):
        add_trial(run, study, trial, levels(*[dict.fromkeys(pixels, 900) for pixels in marked]))
    write_tables(run)
    check_tables(run)
    return row(run, "pooled", split="test")


def test_precision_and_its_interval_by_hand(tmp_path):
    """Two patients with lesions of 4 voxels: of 2 predicted voxels 2 are lesion, of 4 one is."""
    found = pooled_of(tmp_path, (LESION, LESION, LESION[:2], (0, 8, 10, 15)))
    value = 3 / 6
    assert found["volume_precision"] == found["volume_precision_repeats_mean"] == value
    assert found["volume_sensitivity"] == pytest.approx(3 / 8)
    # Without one patient the other stands for both, with precision 1 or 1/4; they weigh 2/6 and 4/6.
    jackknife = ((1 - value) ** 2 + (1 / 4 - value) ** 2) / 2
    even = (1 - 1 / 4) ** 2 / 2 * ((2 / 6) ** 2 + (4 / 6) ** 2)
    half = t.ppf(0.975, 1) * np.sqrt(0.75 * jackknife + 0.25 * even) / (value * (1 - value))
    assert (found["volume_precision_low"], found["volume_precision_high"]) == pytest.approx(
        (expit(logit(value) - half), expit(logit(value) + half))
    )
    assert found["volume_precision_repeats_low"] is found["volume_precision_repeats_high"] is None
    assert found["scans_reason"].startswith("one repeat: no interval over repeats; ")
    assert found["lesion_sensitivity"] == 1 and "lesion sensitivity: every patient" in found["scans_reason"]
    assert found["reason"] == "one repeat: no sd and no interval over repeats", "of overlap alone"


def test_a_model_that_predicts_nothing_is_as_bad_as_can_be(tmp_path):
    """It does not leave the table: its precision is 0, as the rule for empty masks has it."""
    found = pooled_of(tmp_path, [LESION] * 4, [()] * 4)
    for name in OF_SCANS:
        assert found[f"{name}_repeats_mean"] == 0.5, name
    assert found["volume_precision_repeats_low"] is found["volume_precision_repeats_high"] is None
    assert "precision by ml: 2 patients with lesion have no value in some repeat" in found["scans_reason"]


def test_reasons_say_whether_they_are_of_the_median_model_or_of_the_repeats(tmp_path):
    """The median model, the first of two equal ones, marks nothing in one patient, the other repeat in neither."""
    found = pooled_of(tmp_path, *((LESION, LESION, (), last) for last in (LESION, ())))
    assert found["volume_precision_low"] is found["volume_precision_repeats_low"] is None
    said = found["scans_reason"].split("; ")
    assert "precision by ml: 1 patient with lesion has no value" in said
    assert "repeats at 0.5: precision by ml: 2 patients with lesion have no value in some repeat" in said


def test_where_there_is_no_lesion_or_no_whole_scan_there_is_a_reason(tmp_path):
    slices = [Slice(each, f"{each}{i}", mask()) for i, each in enumerate(("train", "validation", "test"))]
    study = small_study(("pet",), repeats=2)
    healthy = write_run(tmp_path / "healthy", study, [slices])
    for trial in trials_of(study):
        add_trial(healthy, study, trial, levels(*[{0: 900}] * 3))
    sampled = small_study(("pet",), repeats=2, evaluation={"slices": "sampled", "cutoff_px": 2})
    for run, reason in (
        (healthy, "no test patient has a lesion"),
        (random_run(tmp_path / "sampled", sampled), "the sampled slices alone"),
    ):
        write_tables(run)
        check_tables(run)
        found = row(run, "pooled", split="test")
        assert all(found[name] is found[f"{name}_repeats_mean"] is None for name in OF_SCANS)
        assert reason in found["scans_reason"]
    assert "training scans are not scored whole" in row(run, "pooled", split="train")["scans_reason"]
