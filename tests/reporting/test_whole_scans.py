"""The section "Whole scans" is counted from tables `scans` and `patients`, and the page says what was scored."""

import numpy as np
from reports import Page, report
from run_folders import add_failure, random_run, small_study

from hnscc.aggregation.query import read_table
from hnscc.study.plan import plan_trials


def of_median(run, name):
    """Variant -> its median model's test rows at the chosen threshold."""
    chosen = {
        row["variant"]: row["threshold"] for row in read_table(run, "thresholds").to_pylist() if row["chosen"]
    }
    found = {variant: [] for variant in chosen}
    for row in read_table(run, name).to_pylist():
        if row["is_median"] and row["split"] == "test" and row["threshold"] == chosen[row["variant"]]:
            found[row["variant"]].append(row)
    return found


def test_the_section_shows_the_values_of_its_tables(tmp_path):
    run = random_run(tmp_path, small_study(repeats=2))
    page = Page(report(run)[0])
    scans, patients = of_median(run, "scans"), of_median(run, "patients")
    lesions = page.rows("Lesions in test scans")
    sizes = page.rows("Surfaces and volumes in test scans")
    people = page.rows("Test patients with and without lesion")
    for position, variant in enumerate(scans):
        own = scans[variant]
        found, every = (sum(row[name] for row in own) for name in ("lesions_found", "lesions"))
        alarms = sum(row["false_lesions"] for row in own)
        assert lesions[position][2:5] == [f"{found} of {every}", str(alarms), f"{alarms / len(own):.2f}"]
        quartiles = np.quantile([row["hd95_mm"] for row in own if row["lesions"]], [0.5, 0.25, 0.75])
        assert sizes[position][1] == "{:.1f} ({:.1f} to {:.1f})".format(*quartiles)
        assert sizes[position][4:6] == [
            f"{sum(row[name] for row in own):.1f}" for name in ("truth_ml", "pred_ml")
        ]
        ill = [row["detected"] for row in patients[variant] if row["lesion"]]
        assert people[position][1:3] == [str(len(patients[variant])), f"{sum(ill)} of {len(ill)}"]
    slices = sum(row["slices"] for row in scans["pet"])
    detection = read_table(run, "detection").to_pylist()
    for position, variant in enumerate(scans):
        own = [row for row in detection if (row["variant"], row["split"]) == (variant, "test")]
        median = next(row for row in own if row["repeat"] is None and row["unit"] == "scan")
        repeats = [row["lesion_f1"] for row in own if row["repeat"] is not None and row["unit"] == "scan"]
        shown = page.rows("Detection in the test set")[position]
        assert shown[1].startswith(f"{median['sensitivity']:.3f} (")
        assert shown[5] == f"{median['lesion_f1']:.3f} ({min(repeats):.3f} to {max(repeats):.3f})"
        assert shown[6].startswith(f"{median['brier']:.4f} (")
    scored = f"every slice of {len(scans['pet'])} test scans ({slices} slices)"
    assert page.text.count(scored) >= 6


def test_sampled_slices_are_called_so(tmp_path):
    study = small_study(repeats=2, evaluation={"slices": "sampled", "cutoff_px": 2, "bootstraps": 200})
    text = Page(report(random_run(tmp_path, study))[0]).text
    assert "nothing is known of whole scans" in text
    assert "sampled slices of the test scans" in text


def test_without_a_completed_trial_the_section_says_so(tmp_path):
    study = small_study(repeats=1)
    run = random_run(tmp_path, study)
    for trial in plan_trials(study):
        add_failure(run, trial, "RuntimeError: lost")
    text = Page(report(run)[0]).text
    assert "No trial is completed: nothing is known of whole scans" in text
    assert "sampled slices alone were scored" not in text


def test_a_variant_that_lacks_a_fold_has_a_dash_and_the_fold(tmp_path):
    """The other folds test other scans: a row of these would stand beside the whole cohort's without a word."""
    study = small_study(repeats=1, split={"folds": 3})
    run = random_run(tmp_path, study)
    for trial in plan_trials(study):
        if (trial.variant, trial.fold) == ("pet", 1):
            add_failure(run, trial, "RuntimeError: lost")
    page = Page(report(run)[0])
    for title in (
        "Lesions in test scans",
        "Surfaces and volumes in test scans",
        "Test patients with and without lesion",
    ):
        without, beside = page.rows(title)
        assert set(without[1:]) == {"–"}
        assert "–" not in beside[1]
    assert page.text.count("no completed trial in fold f1") >= 3
