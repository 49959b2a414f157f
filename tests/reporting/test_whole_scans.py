"""The section "Whole scans" is counted from tables `scans` and `patients`, and the page says what was scored."""

import numpy as np
from reports import Page, report, words
from run_folders import Slice, add_failure, add_trial, levels_of, random_run, small_study, write_run

from hnscc.aggregation.query import read_table
from hnscc.cohort.kept_of_store import packed
from hnscc.cohort.store_format import DrawnMask
from hnscc.reporting.sections.whole_scans import whole_scans
from hnscc.scores.surface import SCAN_METRICS
from hnscc.study.trials import trials_of

DRAWN = "Test scans on the grids that their masks were drawn on"


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
    sizes = page.rows("Surfaces and sizes in test scans")
    people = page.rows("Test patients with and without lesion")
    titles = page.tables["Surfaces and sizes in test scans"][0]
    # A column for each metric of surfaces, behind the variant's.
    column = {metric.name: at for at, metric in enumerate(SCAN_METRICS, start=1)}
    for metric in SCAN_METRICS:
        assert titles[column[metric.name]].startswith(
            f"{metric.label} in mm" if metric.measured_in else metric.label
        )
    volumes = titles.index("True size in ml")
    for position, variant in enumerate(scans):
        own = scans[variant]
        found, every = (sum(row[name] for row in own) for name in ("lesions_found", "lesions"))
        alarms = sum(row["false_lesions"] for row in own)
        assert lesions[position][2:5] == [f"{found} of {every}", str(alarms), f"{alarms / len(own):.2f}"]
        distances = [row["hd95_mm"] for row in own if row["lesions"]]
        ends = [0.25, 0.75] if len(distances) >= 4 else [0, 1]
        assert sizes[position][column["hd95_mm"]].startswith(
            "{:.1f} ({:.1f} to {:.1f})".format(*np.quantile(distances, [0.5, *ends]))
        )
        assert (
            sizes[position][column["nsd"]] == f"{np.mean([row['nsd'] for row in own if row['lesions']]):.3f}"
        )
        assert sizes[position][volumes : volumes + 2] == [
            f"{sum(row[name] for row in own):.1f}" for name in ("truth_ml", "pred_ml")
        ]
        ill = [row["detected"] for row in patients[variant] if row["lesion"]]
        assert people[position][1:3] == [str(len(patients[variant])), f"{sum(ill)} of {len(ill)}"]
    assert [row[1:] for row in page.rows(DRAWN)] == [["–"] * (5 + len(SCAN_METRICS))] * len(scans), (
        "the store kept no masks as drawn"
    )
    assert "prepare it again" in page.text
    slices = sum(row["slices"] for row in scans["pet"])
    detection = read_table(run, "detection").to_pylist()
    for position, variant in enumerate(scans):
        own = [row for row in detection if (row["variant"], row["split"]) == (variant, "test")]
        median = next(row for row in own if row["repeat"] is None and row["unit"] == "scan")
        repeats = [row["lesion_f1"] for row in own if row["repeat"] is not None and row["unit"] == "scan"]
        shown = page.rows("Detection in test scans")[position]
        assert shown[1].startswith(f"{median['sensitivity']:.3f} (")
        assert shown[5] == f"{median['lesion_f1']:.3f} ({min(repeats):.3f} to {max(repeats):.3f})"
        assert shown[6].startswith(f"{median['brier']:.4f} (")
    scored = f"every slice of {len(scans['pet'])} test scans ({slices} slices)"
    assert page.text.count(scored) >= 6


def block(left, right, seen, slices=4):
    """A patient whose lesion has columns left to right of 6 rows of each slice, and is seen by a model from the column
    `seen` on; of 12 x 12 pixels, each of four voxels, and one voxel more than those."""
    stored, found = np.zeros((slices, 12, 12), np.uint8), np.zeros((slices, 12, 12), np.uint8)
    stored[:, 3:9, left:right], found[:, 3:9, max(seen, left) : right] = 1, 1
    voxels = stored.repeat(2, 1).repeat(2, 2) == 1
    voxels[0, 23, 23] = True
    affine = tuple(tuple(row) for row in np.diag([-0.5, -0.5, 3.0, 1.0]).tolist())
    placement = {"reference": "mri", "input_shape": [24, 24, slices], "input_affine": affine, "size": 12}
    placement |= {"input_axes": "LPS", "scale": [2.0, 2.0], "offset": [0.0, 0.0]}
    return stored, found, packed(DrawnMask(voxels, affine, "mri"), placement)


def test_what_resampling_costs_is_shown(tmp_path):
    """Two test scans with lesions of 3 and 4 columns, of which 2 and 4 are seen: of 72 and 96 voxels in each slice 48
    and 96; and a voxel more in each, which the stored slices do not hold."""
    blocks = {"t": block(2, 5, 0), "v": block(2, 5, 0), "a": block(2, 5, 3), "b": block(6, 10, 6)}
    split = {"t": "train", "v": "validation"}
    slices = [
        Slice(split.get(name, "test"), name, each)
        for name, (stored, _, _) in blocks.items()
        for each in stored
    ]
    study = small_study(("pet",), repeats=1)
    predicted = levels_of(np.concatenate([found for _, found, _ in blocks.values()]) * 0.9)
    run = write_run(tmp_path, study, [slices], {f"{name}-a": blocks[name][2] for name in "vab"})
    (trial,) = trials_of(study)
    add_trial(run, study, trial, predicted)
    (shown,) = Page(words(run, whole_scans)[0]).rows(DRAWN)
    stored = (2 * 2 / (3 + 2) + 1) / 2
    drawn = [2 * 4 * 48 / (4 * (72 + 48) + 1), 2 * 4 * 96 / (4 * (96 + 96) + 1)]
    assert shown[1:3] == [f"{stored:.3f}", f"{np.mean(drawn):.3f}"]
    assert shown[3] == f"{np.mean(drawn) - stored:+.3f}".replace("-", "−")
    perfect = [2 * 4 * each / (4 * 2 * each + 1) for each in (72, 96)]
    assert shown[4] == f"{np.mean(perfect):.3f}"
    assert shown[5] == f"{2 * 4 * (48 + 96) / (4 * (72 + 48 + 2 * 96) + 2):.3f}"


def test_sampled_slices_are_called_so(tmp_path):
    study = small_study(repeats=2, evaluation={"slices": "sampled", "cutoff_px": 2, "bootstraps": 200})
    text = Page(words(random_run(tmp_path, study), whole_scans)[0]).text
    assert "nothing is known of whole scans" in text
    assert "sampled slices of the test scans" in text


def test_means_of_patients_are_those_of_table_means(tmp_path):
    run = random_run(tmp_path, small_study(repeats=2))
    shown = Page(words(run, whole_scans)[0]).rows("Scores of test patients: means over repeats and patients")
    rows = [row for row in read_table(run, "means").to_pylist() if row["split"] == "test"]
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    assert len(shown) * len(variants) == len(rows)
    for place, variant in enumerate(variants):
        own = {row["metric"]: row for row in rows if row["variant"] == variant}
        for position, name in ((0, "patient_dice"), (4, "nsd")):
            assert shown[position][2 + place].startswith(
                f"{own[name]['mean']:.3f} ({own[name]['low']:.3f} to"
            )
    assert [cells[1] for cells in shown[:3]] == ["higher", "higher", "lower"]


def test_without_a_completed_trial_the_section_says_so(tmp_path):
    study = small_study(repeats=1)
    run = random_run(tmp_path, study)
    for trial in trials_of(study):
        add_failure(run, trial, "RuntimeError: lost")
    text = Page(report(run)[0]).text
    assert "No trial is completed: nothing is known of whole scans" in text
    assert "sampled slices alone were scored" not in text


def test_a_variant_that_lacks_a_fold_has_a_dash_and_the_fold(tmp_path):
    """The other folds test other scans: a row of these would stand beside the whole cohort's without a word."""
    study = small_study(repeats=1, split={"folds": 3})
    run = random_run(tmp_path, study)
    for trial in trials_of(study):
        if (trial.variant, trial.fold) == ("pet", 1):
            add_failure(run, trial, "RuntimeError: lost")
    page = Page(words(run, whole_scans)[0])
    for title in (
        "Lesions in test scans",
        "Surfaces and sizes in test scans",
        "Test patients with and without lesion",
    ):
        without, beside = page.rows(title)
        assert set(without[1:]) == {"–"}
        assert "–" not in beside[1]
    assert page.text.count("no completed trial in fold f1") >= 3
