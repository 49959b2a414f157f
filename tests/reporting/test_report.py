"""A report is written whatever is missing, or refused with one clear error."""

import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from reports import Page, report, words
from run_folders import (
    Slice,
    add_failure,
    add_trial,
    levels_of,
    noisy_levels,
    random_run,
    small_study,
    write_run,
)
from stores import make_store

from hnscc.base.errors import InputError
from hnscc.reporting.report import write_report
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of


@pytest.mark.slow
def test_without_the_store_the_report_stands_without_images(corrected, tmp_path):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(corrected.root, run.root)
    text = run.study.read_text()
    run.study.write_text(re.sub(r"^store: .*$", f"store: {tmp_path}/gone.zarr", text, flags=re.M))
    write_report(run)
    text = Page(run.html.read_text()).text
    assert "Images of slices are left out: the images could not be read from the store" in text
    assert str(tmp_path) not in text
    assert not run.figure("fig2_good").exists() and not run.figure("fig3_poor", "svg").exists()
    assert run.figure("fig4_pixels").exists()


@pytest.mark.slow
def test_images_of_another_store_are_not_shown(corrected, tmp_path):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(corrected.root, run.root)
    other = make_store(tmp_path, patients=18, slices=4, size=24, seed=1)
    text = run.study.read_text()
    run.study.write_text(re.sub(r"^store: .*$", f"store: {other.location}", text, flags=re.M))
    write_report(run)
    assert "The store holds other data than the study was run on" in run.html.read_text()


def test_a_run_folder_without_tables_is_refused(tmp_path):
    run = random_run(tmp_path, small_study(repeats=1))
    with pytest.raises(InputError, match="no tables yet"):
        write_report(run)


@pytest.mark.quick(7)
@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("folds/f0/split.json", "{ not whole", "folds/f0"),
        ("folds/f0/split.json", '{"digest": "d", "files": {}}', "folds/f0"),
        ("provenance.json", "{ not whole", "provenance.json"),
        ("provenance.json", "[]", "provenance.json"),
        ("provenance.json", '{"invocations": ["x"]}', "provenance.json"),
        ("provenance.json", '{"invocations": [{"versions": [1]}]}', "provenance.json"),
        ("tables/pooled.parquet", "junk", "tables/pooled.parquet"),
        ("tables/epochs.parquet", "junk", "tables/epochs.parquet"),
    ],
)
def test_a_damaged_file_is_one_clear_error_without_a_path(corrected, tmp_path, file, content, expected):
    run = RunFolder(shutil.copytree(corrected.root, tmp_path / "run"))
    (run.root / file).write_text(content)
    with pytest.raises(InputError) as caught:
        write_report(run)
    assert expected in caught.value.where and str(tmp_path) not in str(caught.value)


def test_nothing_completed(tmp_path):
    study = small_study(repeats=2)
    run = random_run(tmp_path, study)
    shutil.rmtree(run.root / "trials")
    add_failure(run, trials_of(study)[0], "ValueError: no")
    text, markdown = report(run)
    assert "0 of 4 trials completed" in text and "no completed trial" in text
    assert "no median model has a test slice to show" in markdown
    assert not run.figures.exists()


@pytest.mark.slow
def test_no_lesion_in_the_test_split(tmp_path):
    study = small_study(repeats=2)
    run = random_run(tmp_path / "seed", study)
    masks = np.load(run.fold(0).truth)["masks"]
    slices = without_lesion_in_test(run, masks)
    other = write_run(tmp_path / "run", study, [slices])
    for trial in trials_of(study):
        stacked = np.stack([each.mask for each in slices])
        add_trial(other, study, trial, noisy_levels(stacked, np.random.default_rng(trial.repeat)))
    text, _ = report(other)
    assert "No test slice holds lesion" in text
    assert "no slice in this set" in text


def without_lesion_in_test(run: RunFolder, masks: np.ndarray) -> list:
    rows = pq.read_table(run.fold(0).slices).to_pylist()
    return [
        Slice(row["split"], row["patient_id"], mask * (row["split"] != "test"))
        for row, mask in zip(rows, masks, strict=True)
    ]


@pytest.mark.slow
def test_every_variant_collapsed(tmp_path):
    study = small_study(repeats=2)
    run = random_run(tmp_path, study)
    masks = np.load(run.fold(0).truth)["masks"]
    for trial in trials_of(study):
        add_trial(run, study, trial, levels_of(np.zeros(masks.shape)))
    text, _ = report(run)
    assert text.count("The median model collapsed") == 2
    assert "pooled Dice is 0 at every threshold" in text
    assert "both mostly collapsed; there is nothing to compare." in text and "scored the same" not in text


def test_of_a_pair_the_one_that_collapsed_is_named(tmp_path):
    study = small_study(repeats=2)
    run = random_run(tmp_path, study, patients=24)
    masks = np.load(run.fold(0).truth)["masks"]
    for trial in trials_of(study):
        if trial.variant == "pet":
            add_trial(run, study, trial, levels_of(np.zeros(masks.shape)))
    assert "pet_mri scored higher; PET mostly collapsed; the difference holds up" in Page(words(run)[0]).text
