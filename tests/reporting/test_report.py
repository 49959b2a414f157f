"""The report of whole run folders: complete, self-contained, true to the tables, and written whatever is missing."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from run_folders import (
    Case,
    add_failure,
    add_trial,
    levels_of,
    noisy_levels,
    random_run,
    small_study,
    write_run,
)
from stores import make_store, study_of

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.query import read_table
from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, write_sealed, write_text
from hnscc.cohort.fold import read_folds, write_fold
from hnscc.cohort.splits import plan_fold
from hnscc.reporting.findings import VERDICTS, merged, verdict
from hnscc.reporting.pictures import NAMES
from hnscc.reporting.report import write_report
from hnscc.study import paper
from hnscc.study.loading import dump_study, parse_study
from hnscc.study.plan import plan_trials
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study

FOUR = {
    "pet": {"modalities": ["pet"]},
    "mri": {"modalities": ["mri"]},
    "pet_mri": {"modalities": ["pet", "mri"]},
    "pet_mri_augmented": {"modalities": ["pet", "mri"], "augmentation": {"copies": 5}},
}


TESTED = "Table 2, tests. Differences in Dice between variants"


class Page(HTMLParser):
    """A report's tables as {title: rows of cells, the head first}, its tags and its text; marks of notes left out."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables, self.tags, self.text, self._title, self._place = {}, [], "", "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "p" and ("class", "title") in attributes:
            self._title, self._place = "", "title"
        elif tag == "table":
            self.tables[self._title] = []
        elif tag == "tr":
            self.tables[self._title].append([])
        elif tag in ("td", "th"):
            self.tables[self._title][-1].append("")
            self._place = "cell"
        elif tag == "sup":
            self._place = None

    def handle_endtag(self, tag):
        if tag in ("td", "th", "p"):
            self._place = None

    def handle_data(self, data):
        data = data.replace("\u00a0", " ")
        self.text += data
        if self._place == "title":
            self._title += data
        elif self._place == "cell":
            self.tables[self._title][-1][-1] += data

    def rows(self, title: str) -> list[list[str]]:
        return self.tables[title][1:]


def store_run(folder: Path, **settings) -> tuple[RunFolder, Study]:
    """A run folder on a real store, its folds written, and no trial."""
    store = make_store(folder, patients=18, slices=4, size=24)
    study = study_of(store.location, **settings)
    run = RunFolder(folder / "run")
    write_text(run.study, dump_study(study))
    for number in range(study.split.folds):
        plan = plan_fold(store, study, number)
        write_fold(run.fold(number), store, plan, read_folds(store, study, [plan])[0])
    return run, study


def fill(run: RunFolder, study: Study, skip: tuple[str, ...] = ()) -> None:
    """Made-up predictions for every trial but those to skip; the variant `mri` collapses."""
    for trial in plan_trials(study):
        if trial.trial_id in skip:
            continue
        fold = run.fold(trial.fold)
        masks = np.load(fold.truth)["masks"]
        draw = np.random.default_rng([trial.repeat, len(trial.variant)])
        levels = noisy_levels(masks, draw, noise=0.12)
        if trial.variant == "mri":
            levels = levels_of(np.full(masks.shape, 0.2) + 0.1 * masks)
        digest = json.loads(fold.split.read_text())["digest"]
        add_trial(run, study, trial, levels, settings={"data": digest}, precision="fp32")


def report(run: RunFolder) -> tuple[str, str]:
    write_tables(run)
    write_report(run)
    return run.html.read_text(), run.markdown.read_text()


@pytest.fixture(scope="module")
def corrected(tmp_path_factory) -> RunFolder:
    run, study = store_run(tmp_path_factory.mktemp("corrected"), repeats=3, variants=FOUR)
    fill(run, study, skip=("pet-f0-r02",))
    add_failure(run, plan_trials(study)[2], "Traceback\n  secret.nii\nRuntimeError: /home/patient/secret.nii")
    report(run)
    return run


@pytest.fixture(scope="module")
def page(corrected) -> Page:
    return Page(corrected.html.read_text())


def test_html_loads_nothing_and_runs_nothing(corrected):
    text = corrected.html.read_text()
    tags = Page(text).tags
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in tags}
    for tag, attributes in tags:
        assert not [name for name in attributes if name.startswith("on")]
        if "src" in attributes:
            assert (
                tag == "img" and attributes["src"].startswith("data:image/png;base64,") and attributes["alt"]
            )
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"https?://|@import|url\(", text)


def test_every_figure_is_in_both_reports_and_in_both_formats(corrected):
    text, markdown = corrected.html.read_text(), corrected.markdown.read_text()
    for name in NAMES:
        png = corrected.figure(name).read_bytes()
        assert base64.b64encode(png).decode() in text
        assert f"(figures/{name}.png)" in markdown
        assert corrected.figure(name, "svg").read_bytes().startswith(b"<?xml")
    assert {path.name for path in corrected.figures.iterdir()} == {
        f"{n}.{k}" for n in NAMES for k in ("png", "svg")
    }


def test_table_1_shows_the_values_of_table_pooled(corrected, page):
    rows = [row for row in read_table(corrected, "pooled").to_pylist() if row["split"] == "test"]
    shown = page.rows("Table 1. Overlap over all test slices together")
    assert len(shown) == len(rows) == 4
    for row, cells in zip(rows, shown, strict=True):
        spread = [row[f"dice_repeats_{key}"] for key in ("median", "q25", "q75")]
        assert cells[2] == "{:.3f} ({:.3f} to {:.3f})".format(*spread)
        assert cells[4] == ("–" if row["threshold"] is None else f"{row['threshold']:.3f}")
        assert cells[5] == "{dice:.3f} ({dice_low:.3f} to {dice_high:.3f})".format(**row)
        assert cells[6] == "{jaccard:.3f} ({jaccard_low:.3f} to {jaccard_high:.3f})".format(**row)


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
    lesion = [row for row in rows if row["slice_set"] == "lesion" and row["method"] == "bootstrap"]
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


def test_the_readings_and_what_is_not_reproduced_are_told(corrected, page):
    rows = read_table(corrected, "protocol").to_pylist()
    shown = page.rows("The three readings side by side: overlap, test slices")
    assert [cells[1] for cells in shown[:3]] == ["as written", "as coded", "corrected"]
    for row, cells in zip(rows, shown, strict=True):
        assert cells[4] == ("–" if row["pooled_dice"] is None else f"{row['pooled_dice']:.3f}")
    for each in paper.NOT_REPRODUCED_IN_TRAINING + paper.NOT_REPRODUCED_IN_PREPARATION:
        assert each in page.text


def test_failed_missing_collapsed_and_warnings_are_told(corrected, page):
    assert "11 of 12 planned trainings completed (4 variants x 3 repeats)." in page.text
    assert "Failed (failed: RuntimeError; the traceback is in its record.json): pet-f0-r02." in page.text
    assert "secret" not in page.text + corrected.markdown.read_text()
    assert "The median model collapsed" in page.text and "highest probability 0.300" in page.text
    assert "only 2 patients with lesion" in page.text
    assert re.search(r"All test scores come from \d+ patients, \d+ of them with lesion", page.text)


def test_why_a_value_is_missing_stands_below_its_table(corrected, page):
    reasons = {row["reason"] for row in read_table(corrected, "comparisons").to_pylist() if row["p"] is None}
    assert reasons and None not in reasons
    for reason in reasons:
        assert reason in page.text
    assert "nan" not in re.sub(r"base64,[^\"]*", "", corrected.html.read_text()).lower().split()
    cells = [cell for rows in page.tables.values() for row in rows for cell in row]
    assert not {"None", "nan", ""} & set(cells)


def test_names_are_pseudonyms_and_no_path_is_shown(corrected, page):
    shown = page.rows("The slices in Figs. 2 and 3")
    assert shown and all(re.fullmatch(r"p\d\d_a", cells[3]) for cells in shown)
    for text in (page.text, corrected.markdown.read_text()):
        assert str(corrected.root.parent) not in text and ".zarr" not in text and ".nii" not in text


def test_markdown_and_html_hold_the_same_cells(corrected, page):
    lines = [line for line in corrected.markdown.read_text().splitlines() if line.startswith("| PET |")]
    cells = [
        re.sub(r"<sup>.*?</sup>", "", cell).replace("\u00a0", " ").strip()
        for cell in lines[0].split("|")[1:-1]
    ]
    assert cells == page.rows("Table 1. Overlap over all test slices together")[0]


def test_the_same_run_folder_gives_the_same_bytes(corrected):
    before = {
        path.name: path.read_bytes()
        for path in (corrected.html, corrected.markdown, *corrected.figures.iterdir())
    }
    write_report(corrected)
    after = {
        path.name: path.read_bytes()
        for path in (corrected.html, corrected.markdown, *corrected.figures.iterdir())
    }
    assert before == after


def test_published_values_stand_only_beside_the_papers_study(corrected, page, tmp_path):
    for text in ("Published:", "0.68 / 0.52", "Published p", "0.84 ± 0.14"):
        assert text not in page.text
    run, study = store_run(tmp_path, repeats=1, variants=FOUR, protocol="as_written")
    fill(run, study)
    theirs = Page(report(run)[0])
    table_1 = theirs.rows("Table 1. Overlap over all test slices together")
    assert [cells[-1] for cells in table_1] == ["0.68 / 0.52", "–", "0.81 / 0.68", "0.71 / 0.56"]
    table_3 = theirs.rows("Table 3. Slices with and without lesion, test slices")
    assert ["PET", "published", "18", "23", "19", "6", "–", "–", "0.75", "0.55", "0.62"] in table_3
    assert "0.90" in theirs.text and "0.008" in theirs.text
    table_2 = theirs.rows("Table 2, as the published study counted it")
    readings = [row for row in read_table(run, "protocol").to_pylist() if row["reading"] == "as_written"]
    for row, cells, beside in zip(
        readings, table_2, ["0.79 ± 0.16", "–", "0.84 ± 0.14", "0.87 ± 0.09"], strict=True
    ):
        assert cells[3:5] == [f"{row['dice']:.3f} ± {row['dice_sd']:.3f}", beside]
    assert not any(
        "Published" in cell for cell in theirs.tables["Table 2. Overlap slice by slice, test slices"][0]
    )
    outcomes = theirs.rows("The three readings side by side: slices with and without lesion")
    assert outcomes[1][:7] == ["PET", "published", "overlap", "18", "23", "19", "6"]
    assert "Settings that differ from it" in theirs.text and "training.epochs: 200 -> 3" in theirs.text
    assert "drawn slice by slice, as the paper did" in theirs.text


def test_table_4_is_by_the_reading_as_written(tmp_path):
    """A misplaced mark in the only other positive slice: the paper's true positives leave it out."""
    lesion, beside = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    lesion[:4, :4], beside[8:, 8:] = 1, 1
    splits = ("train", "validation", "test", "test")
    cases = [Case(split, f"{split}{place}", lesion) for place, split in enumerate(splits)]
    study = small_study(("pet",), repeats=1)
    run = write_run(tmp_path, study, [cases])
    add_trial(run, study, plan_trials(study)[0], levels_of(0.9 * np.stack([lesion, lesion, lesion, beside])))
    page = Page(report(run)[0])
    assert page.rows("Table 4. Mean Dice in other studies")[-1][-1] == "1.000"
    assert page.rows("Table 2. Overlap slice by slice, test slices")[0][5].startswith("0.500 ± ")
    assert "so few patients with lesion" not in page.text  # one variant: nothing is compared
    assert "2 patients with lesion cannot carry a conclusion" in page.text


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"protocol": "as_written", "variants": FOUR}, True),
        ({"protocol": "corrected", "variants": FOUR}, False),
        ({"protocol": "as_written", "variants": {"pet": {"modalities": ["ct"]}}}, False),
        ({"protocol": "as_written", "variants": FOUR | {"other": {"modalities": ["pet"]}}}, False),
    ],
)
def test_what_counts_as_the_papers_study(settings, expected):
    assert paper.is_papers_study(parse_study({"name": "x", "store": "x", **settings})) is expected


def test_published_counts_give_the_published_rates():
    for found in paper.PUBLISHED.values():
        assert round(found.tp / (found.tp + found.fn), 2) == found.sensitivity
        assert abs(found.tn / (found.tn + found.fp) - found.specificity) < 0.01  # 26 / 34 is printed as 0.77
        assert abs((found.tp + found.tn) / 66 - found.accuracy) < 0.01


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


def test_one_variant_one_repeat_one_modality(tmp_path):
    study = small_study(("ct",), repeats=1)
    text, markdown = report(random_run(tmp_path, study))
    assert "nothing is compared" in text and "in the only repeat; one tells" in text
    assert "one slice: no sd" not in text and "There is no difference" not in markdown
    assert "Table 2, tests" not in text


def test_several_folds_and_lengths(tmp_path):
    study = small_study(repeats=2, split={"folds": 3, "test": 0.2, "validation": 0.2})
    text, _ = report(random_run(tmp_path, study))
    page = Page(text)
    assert "every patient is tested once" in page.text
    assert "each fold has its own threshold" in page.text
    assert "The 3 folds are pooled in the tables of scores" in page.text
    assert "trainings completed (2 variants x 3 folds x 2 repeats)." in page.text
    assert [cells[0] for cells in page.rows("Patients and slices")][-1] == "test, fold 2"


def test_warnings_of_folds_are_one_line_per_split_with_ranges(tmp_path):
    study = small_study(repeats=1, split={"folds": 3, "test": 0.2, "validation": 0.2})
    run = random_run(tmp_path, study)
    for fold, number in enumerate((3, 4, 3)):
        where = run.fold(fold).split
        warnings = [
            f"{split}: only {n} patients with lesion (fewer than 5)"
            for split, n in (("train", number), ("test", 1))
        ]
        warnings += ["validation: drawn by slice"] if fold else []
        write_sealed(where, read_sealed(where) | {"warnings": warnings})
    text, markdown = report(run)
    lines = [line for line in markdown.splitlines() if line.startswith("- Split")]
    assert lines == [
        "- Split, in all 3 folds: training: only 3 to 4 patients with lesion (fewer than 5).",
        "- Split, in all 3 folds: test: only 1 patient with lesion (fewer than 5).",
        "- Split, in folds 1 and 2: validation: drawn by slice.",
    ]
    assert "only one repeat each: no interval; set <code>repeats: 2</code> or more" in text


def test_a_range_that_ends_in_one_keeps_its_plural():
    assert merged(["test: only 0 patients", "test: only 1 patients"]) == "test: only 0 to 1 patients"


def test_differences_lie_in_the_direction_of_the_tables_and_say_who_scored_higher(corrected, page):
    rows = {cells[0]: cells[2] for cells in page.rows(TESTED) if cells[1] == "all slices"}
    said = re.findall(r"(\S.*? minus .*?) ([+−]?\d\.\d{3}) \(95 % .*?: (.*?) scored higher; ", page.text)
    assert {pair for pair, _, _ in said} == set(rows) and len(said) == len(rows) == 6
    for pair, value, higher in said:
        assert rows[pair].split(" ")[0] == value
        assert higher == pair.split(" minus ")[value.startswith("−")]
    pooled = [row for row in read_table(corrected, "pooled").to_pylist() if row["split"] == "test"]
    best = sorted(pooled, key=lambda row: row["dice_repeats_median"])[-2:]
    labels = {paper.VARIANTS[row["variant"]] for row in best}
    assert set(said[0][0].split(" minus ")) == labels


def test_a_single_fold_that_collapsed_is_named_with_its_own_evidence(tmp_path):
    study = small_study(("pet",), repeats=1, split={"folds": 3, "test": 0.2, "validation": 0.2})
    run = random_run(tmp_path, study)
    trials = plan_trials(study)

    def collapse(trial) -> str:
        masks = np.load(run.fold(trial.fold).truth)["masks"]
        add_trial(run, study, trial, levels_of(0.3 * masks))
        return Page(report(run)[0]).text

    text = collapse(trials[1])
    assert "In 1 of 3 folds the median model collapsed" in text
    assert "Highest probability: fold 1 (0.300)." in text
    collapse(trials[0])
    text = collapse(trials[2])
    assert "The median models of all 3 folds collapsed" in text and "(highest probability 0.300)" in text


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
    add_failure(run, plan_trials(study)[0], "ValueError: no")
    text, markdown = report(run)
    assert "0 of 4 planned trainings completed" in text and "no completed trial" in text
    assert "no median model has a test slice to show" in markdown
    assert not run.figures.exists()


def test_no_lesion_in_the_test_split(tmp_path):
    study = small_study(repeats=2)
    run = random_run(tmp_path / "seed", study)
    masks = np.load(run.fold(0).truth)["masks"]
    cases = cases_without_lesion_in_test(run, masks)
    other = write_run(tmp_path / "run", study, [cases])
    for trial in plan_trials(study):
        stacked = np.stack([case.mask for case in cases])
        add_trial(other, study, trial, noisy_levels(stacked, np.random.default_rng(trial.repeat)))
    text, _ = report(other)
    assert "No test slice holds lesion" in text
    assert "no slice in this set" in text


def cases_without_lesion_in_test(run: RunFolder, masks: np.ndarray) -> list:
    rows = pq.read_table(run.fold(0).slices).to_pylist()
    return [
        Case(row["split"], row["patient_id"], mask * (row["split"] != "test"))
        for row, mask in zip(rows, masks, strict=True)
    ]


def test_every_variant_collapsed(tmp_path):
    study = small_study(repeats=2)
    run = random_run(tmp_path, study)
    masks = np.load(run.fold(0).truth)["masks"]
    for trial in plan_trials(study):
        add_trial(run, study, trial, levels_of(np.zeros(masks.shape)))
    text, _ = report(run)
    assert text.count("The median model collapsed") == 2
    assert "pooled Dice is 0 at every threshold" in text


def test_signs_in_names_are_shown_as_they_are(tmp_path):
    run = random_run(tmp_path, small_study(repeats=1, name="a_b.c"))
    text, markdown = report(run)
    assert "<h1>Report of the study a_b.c</h1>" in text
    assert markdown.startswith("# Report of the study a\\_b.c\n")


@pytest.mark.parametrize(
    ("difference", "low", "high", "p_holm", "lesion", "expected"),
    [
        (None, None, None, None, 9, "none"),
        (0.1, None, None, None, 9, "lone"),
        (0.1, -0.1, 0.2, 0.4, 9, "open"),
        (0.1, 0.0, 0.2, 0.04, 9, "open"),
        (0.1, 0.05, 0.2, None, 9, "untested"),
        (0.1, 0.05, 0.2, 0.04, 6, "clear"),
        (0.1, 0.05, 0.2, 0.05, 6, "suggestive"),
        (0.1, 0.05, 0.2, 0.04, 5, "few"),
        (0.1, 0.05, 0.2, None, 2, "few"),
        (0.1, None, None, None, 1, "few"),
        (None, None, None, None, 1, "none"),
    ],
)
def test_what_a_difference_allows_to_say(difference, low, high, p_holm, lesion, expected):
    row = {"difference": difference, "low": low, "high": high, "p_holm": p_holm}
    assert verdict(row, lesion) == expected
    assert expected in VERDICTS
