"""The report's tables are true to the run folder's tables, and every dash has its reason."""

import re

import numpy as np
import pyarrow.compute as pc
import pytest
from reports import Page, report, words
from run_folders import (
    Slice,
    add_trial,
    levels_of,
    random_run,
    small_study,
    write_run,
)

from hnscc.aggregation.query import read_table
from hnscc.reporting.blocks import Section
from hnscc.reporting.sections import comparisons
from hnscc.reporting.sections.lesion_slices import lesion_slices
from hnscc.reporting.sections.overlap import pooled_block
from hnscc.reporting.sections.readings import readings
from hnscc.reporting.sections.whole_scans import whole_scans
from hnscc.scores.patient_metrics import PATIENT_METRICS
from hnscc.study import paper
from hnscc.study.trials import trials_of

TESTED = "Table 2, tests. Differences in Dice between variants"


def shows(cell, value, low, high):
    """Whether a cell shows a value with its interval, or alone, with a remark, where it has none."""
    if low is None:
        return cell.startswith(f"{value:.3f}") and " to " not in cell
    return cell == f"{value:.3f} ({low:.3f} to {high:.3f})"


def test_table_1_shows_the_values_of_table_pooled(corrected, page):
    rows = [row for row in read_table(corrected, "pooled").to_pylist() if row["split"] == "test"]
    shown = page.rows("Table 1. Overlap over all test slices together")
    threshold = page.tables["Table 1. Overlap over all test slices together"][0].index(
        "Median model: threshold"
    )
    assert len(shown) == len(rows) == 4
    for row, cells in zip(rows, shown, strict=True):
        assert row["repeats"] < 4, "too few for quartiles"
        spread = [row[f"dice_repeats_{key}"] for key in ("median", "min", "max")]
        assert cells[2] == "{:.3f} ({:.3f} to {:.3f})".format(*spread)
        assert shows(cells[3], *(row[f"dice_repeats_{key}"] for key in ("mean", "low", "high")))
        assert cells[threshold] == ("–" if row["threshold"] is None else f"{row['threshold']:.3f}")
        assert shows(cells[threshold + 1], *(row[f"dice{end}"] for end in ("", "_low", "_high")))
        assert shows(cells[threshold + 2], *(row[f"jaccard{end}"] for end in ("", "_low", "_high")))
    assert any(row["dice_low"] is not None for row in rows)


def test_four_repeats_are_told_by_their_quartiles(tmp_path):
    run = random_run(tmp_path, small_study(("pet",), repeats=4))
    text, _ = words(run, lambda source: Section("", (pooled_block(source, "Table 1", "", "test"),)))
    (row,) = read_table(run, "pooled").filter(pc.field("split") == "test").to_pylist()
    middle, low, high = (f"{row[f'dice_repeats_{key}']:.3f}" for key in ("median", "q25", "q75"))
    shown = Page(text)
    assert shown.rows("Table 1")[0][2] == f"{middle} ({low} to {high})"
    assert f"in the middle of 4 repeats (half of them between {low} and {high})" in shown.text


def test_tables_2_and_3_show_the_values_of_their_tables(corrected, page):
    rows = [row for row in read_table(corrected, "per_slice").to_pylist() if row["split"] == "test"]
    for row, cells in zip(rows, page.rows("Table 2. Overlap slice by slice, test slices"), strict=True):
        assert cells[2:5] == [str(row[key]) for key in ("n", "n_empty", "patients")]
        assert cells[5] == "{dice_mean:.3f} ± {dice_sd:.3f}".format(**row)
    rows = [row for row in read_table(corrected, "classification").to_pylist() if row["split"] == "test"]
    names = ("tp", "tn", "fp", "fn", "misplaced", "small_truth")
    shown = page.rows("Table 3. Slices with and without lesion, test slices")
    for row, cells in zip(rows, shown, strict=True):
        assert cells[1] == row["convention"]
        assert cells[2:8] == [str(row[name]) for name in names]
        assert cells[8:] == [f"{row[name]:.3f}" for name in ("sensitivity", "specificity", "accuracy")]


def test_the_tests_show_the_values_of_table_comparisons(corrected, page):
    rows = [row for row in read_table(corrected, "comparisons").to_pylist() if row["metric"] == "dice"]
    shown = page.rows(TESTED)
    assert len(shown) == 6 * 3
    lesion = [row for row in rows if row["slice_set"] == "lesion" and row["method"] == "two_way_t"]
    for row, cells in zip(lesion, shown[6:12], strict=True):
        assert (
            cells[2].replace("−", "-").replace("+", "")
            == f"{row['difference']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        )
    paired = [row for row in rows if row["slice_set"] == "lesion" and row["method"] == "wilcoxon"]
    for place, unit in ((4, "patient"), (6, "slice")):
        for row, cells in zip([row for row in paired if row["unit"] == unit], shown[6:12], strict=True):
            if row["difference"] is not None:
                assert (
                    cells[place].replace("−", "-").startswith(f"{row['difference']:+.3f}; {row['n']} pairs")
                )


def test_the_reach_of_the_main_test_is_that_of_table_comparisons(corrected, page):
    every = [row for row in read_table(corrected, "comparisons").to_pylist() if row["metric"] == "dice"]
    main = [row for row in every if row["slice_set"] == "all" and row["method"] == "two_way_t"]
    shown = page.rows("Table 2, reach of the t test. All test slices")
    assert len(shown) == len(main) == 6
    for row, cells in zip(main, shown, strict=True):
        assert row["smallest_seen"] is None and "no p from 2 patients" in row["reason"]
        assert cells[2].startswith("\N{EN DASH}")
        assert cells[3].startswith(f"{row['better']:.3f} (")


def test_other_scores_stand_in_short_with_what_is_better(corrected, page):
    rows = read_table(corrected, "comparisons").to_pylist()
    names = [each.name for each in PATIENT_METRICS]
    main = [row for row in rows if row["metric"] in names and row["method"] == "two_way_t"]
    shown = page.rows("Table 2, other scores. Differences of whole test scans, patient by patient")
    assert len(shown) == len(main) == 6 * len(names)
    for row, cells in zip(main, shown, strict=True):
        assert cells[2] == ("higher" if row["higher_is_better"] else "lower")
        assert cells[5] == str(row["n"])
        if row["metric"] == "nsd":
            assert float(cells[3].replace("−", "-").split(" ")[0]) == round(row["difference"], 3)


def test_the_readings_and_what_is_not_reproduced_are_told(corrected, page):
    rows = read_table(corrected, "protocol").to_pylist()
    shown = page.rows("The three readings side by side: overlap, test slices")
    assert [cells[1] for cells in shown[:3]] == ["as written", "as coded", "corrected"]
    for row, cells in zip(rows, shown, strict=True):
        assert cells[4] == ("–" if row["pooled_dice"] is None else f"{row['pooled_dice']:.3f}")
    lists = (paper.NOT_REPRODUCED_IN_TRAINING, paper.NOT_REPRODUCED_IN_PREPARATION)
    for each in (*lists[0], *lists[1], *paper.NOT_REPRODUCED_IN_EVALUATION):
        assert each in page.text
    # What as_written has of the code, and corrected has not.
    assert "batches of 32" in page.text and "averaged over batches" in page.text
    assert "chosen on the training slices" in page.text


def test_why_a_value_is_missing_stands_below_its_table(corrected, page):
    tested = [row for row in read_table(corrected, "comparisons").to_pylist() if row["method"] != "bootstrap"]
    reasons = {row["reason"] for row in tested if row["p"] is None}
    assert reasons and None not in reasons
    for reason in reasons:
        assert reason in page.text
    assert "nan" not in re.sub(r"base64,[^\"]*", "", corrected.html.read_text()).lower().split()
    cells = [cell for rows in page.tables.values() for row in rows for cell in row]
    assert not {"None", "nan", ""} & set(cells)


def test_table_4_is_by_the_reading_as_written(tmp_path):
    """A misplaced mark in the only other slice with lesion: the paper's true positives leave it out."""
    lesion, beside = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    lesion[:4, :4], beside[8:, 8:] = 1, 1
    splits = ("train", "validation", "test", "test")
    slices = [Slice(split, f"{split}{position}", lesion) for position, split in enumerate(splits)]
    study = small_study(("pet",), repeats=1)
    run = write_run(tmp_path, study, [slices])
    add_trial(run, study, trials_of(study)[0], levels_of(0.9 * np.stack([lesion, lesion, lesion, beside])))
    page = Page(report(run)[0])
    assert page.rows("Table 4. Mean Dice in other studies")[-1][2:] == ["1", "1", "2", "1.000"]
    assert "In its own row" not in page.text, "that is told of the paper's own row alone"
    assert page.rows("Table 2. Overlap slice by slice, test slices")[0][5].startswith("0.500 ± ")
    assert "so few patients with lesion" not in page.text  # one variant: nothing is compared
    assert "2 patients with lesion cannot carry a conclusion" in page.text


@pytest.mark.quick(1)
@pytest.mark.parametrize(("repeats", "told"), [(6, False), ({"max": 6, "until": 0.5}, True)])
def test_the_tests_of_a_study_with_until_are_said_to_call_equal_variants_different_more_often(
    tmp_path, repeats, told
):
    run = random_run(tmp_path, small_study(("pet", "mri"), repeats=repeats))
    text, _ = words(run, lambda source: Section("", tuple(comparisons.tests(source))))
    assert ("repeats.until" in text) == told


@pytest.mark.parametrize(
    ("repeats", "copies", "told"),
    [
        (2, {"copies": 2, "shared_by_repeats": True}, True),
        (1, {"copies": 2, "shared_by_repeats": True}, False),
        (2, {"copies": 2}, False),
        (2, {}, False),
    ],
)
def test_copies_that_repeats_share_are_told_to_be_one_choice(tmp_path, repeats, copies, told):
    """They vary in no interval, and the report did not say that it holds for these copies alone."""
    run = random_run(tmp_path, small_study(("pet",), repeats=repeats, augmentation=copies))
    text, _ = words(run)
    assert ("All repeats of PET train on the same augmented copies" in text) == told


@pytest.mark.parametrize("images", [["pet"], ["mri"]])
def test_which_images_is_asked_where_variants_have_different_ones(tmp_path, images):
    """Of two variants that differ in their augmentation alone it was asked which images are best."""
    study = small_study(("a", "b"), repeats=1)
    other = study.variants["b"].model_copy(update={"modalities": tuple(images)})
    study = study.model_copy(update={"variants": study.variants | {"b": other}})
    text, _ = words(random_run(tmp_path, study))
    assert ("Which images" in text) == (images == ["mri"]) and "Compared: a and b." in text


def test_captions_hold_for_a_cut_off_of_one_and_a_model_without_a_threshold(tmp_path):
    """Small truths were of `1 to 0 pixels`, and scores at 0.5 stood below `at its chosen threshold`."""
    evaluation = {"cutoff_px": 1, "bootstraps": 200}
    run = random_run(tmp_path, small_study(("pet",), repeats=1, evaluation=evaluation))
    (trial,) = trials_of(small_study(("pet",), repeats=1))
    masks = np.load(run.fold(0).truth)["masks"]
    add_trial(run, small_study(("pet",), repeats=1), trial, levels_of(0.9 * (1 - masks)))
    text, _ = words(run, lesion_slices, whole_scans)
    page = Page(text)
    assert "0 pixels" not in page.text and "Small truths: lesions of fewer pixels" in page.text
    (lesions,) = page.rows("Lesions in test scans")
    assert lesions[2].startswith("0 of ") and int(lesions[3]) > 0
    assert page.text.count("or at 0.5 where none could be chosen") == 4


@pytest.mark.parametrize(
    ("without", "told"),
    [
        (0, "Every test patient has lesion: nothing here"),
        (1, "One test patient has no lesion: how"),
        (2, None),
    ],
)
def test_too_few_patients_without_lesion_are_told(tmp_path, without, told):
    """Of tests on lesions alone it was not said that false alarms in other patients are not in the scores."""
    lesion, empty = np.ones((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    people = [("train", 2, lesion), ("validation", 2, lesion), ("test", 4, lesion), ("test", without, empty)]
    slices = [
        Slice(split, f"{split}{mask[0, 0]}{n}", mask) for split, number, mask in people for n in range(number)
    ]
    study = small_study(("pet",), repeats=1)
    run = write_run(tmp_path, study, [slices])
    add_trial(run, study, trials_of(study)[0], levels_of([each.mask for each in slices]))
    text, _ = words(run)
    assert told is None or told in text
    assert len(re.findall("Every test patient has|One test patient has", text)) == (told is not None)


@pytest.mark.parametrize(("slices", "told"), [("all", "all"), ("sampled", "sampled")])
def test_which_slices_the_corrected_reading_scores_is_told(tmp_path, slices, told):
    """It was said to be all of them where the study scores the sampled ones alone."""
    evaluation = {"cutoff_px": 2, "bootstraps": 200, "slices": slices}
    run = random_run(tmp_path, small_study(("pet",), repeats=1, evaluation=evaluation))
    text, _ = words(run, readings)
    shown = Page(text).rows("The three readings side by side: overlap, test slices")
    assert [cells[-1] for cells in shown] == ["sampled", "sampled", told]
    assert [cells[2] for cells in shown] == ["test", "test", "validation"]
    assert [cells[6] for cells in shown] == [
        "true positive slices, misplaced ones left out",
        "slices whose Dice is neither 0 nor 1",
        "slices with lesion",
    ]
    assert [cells[7] == "0.500" for cells in shown] == [False, True, False] and shown[1][3] != "0.500"
