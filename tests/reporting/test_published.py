"""Published values stand beside the paper's own study and no other, as they were printed."""

import pytest
from reports import FOUR, Page, fill, store_run, words
from run_folders import random_run, small_study

from hnscc.aggregation.query import read_table
from hnscc.reporting.sections.lesion_slices import lesion_slices
from hnscc.reporting.sections.overlap import overlap_over_all_test_slices, overlap_slice_by_slice
from hnscc.reporting.sections.published import other_studies, published, published_p
from hnscc.reporting.sections.readings import readings
from hnscc.study import paper
from hnscc.study.loading import parse_study
from hnscc.study.yaml_text import read_yaml

TABLES = (overlap_over_all_test_slices, overlap_slice_by_slice, lesion_slices, readings, other_studies)


@pytest.mark.slow
def test_published_values_stand_only_beside_the_papers_study(corrected, page, tmp_path):
    for text in ("Published:", "0.68 / 0.52", "Published p", "0.84 ± 0.14"):
        assert text not in page.text
    run, study = store_run(tmp_path, repeats=1, variants=FOUR, protocol="as_written")
    fill(run, study)
    theirs = Page(words(run, *TABLES)[0])
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
    assert "chosen slice by slice, as the paper did" in theirs.text


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


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        (
            {"pet_mri_augmented": {"augmentation": {"copies": 2}}},
            ["Augmented PET-MRI: augmentation.copies: 5 -> 2"],
        ),
        (
            {"pet_mri_augmented": {}, "pet": {"training": {"network": {"width": 8}}}},
            ["PET: training.network.width: 16 -> 8", "Augmented PET-MRI: augmentation.copies: 5 -> 0"],
        ),
    ],
)
def test_what_a_variant_alone_does_otherwise_than_the_paper_is_told(changed, told):
    """Published values of the augmented variant stood beside one that augmented nothing, and no line said so."""
    variants = {name: own | changed.get(name, {}) for name, own in FOUR.items()}
    if changed.get("pet_mri_augmented") == {}:
        variants["pet_mri_augmented"] = {"modalities": ["pet", "mri"]}
    raw = {"name": "x", "store": "x", "protocol": "as_written", "training": {"epochs": 3}}
    study = parse_study(raw | {"variants": variants})
    assert paper.is_papers_study(study)
    assert paper.departures_of_variants(study) == told


def test_what_a_study_does_otherwise_than_its_preset_is_told_of_every_section():
    """Its resources train nothing otherwise. A variant of other modalities has its own name."""
    text = """
        {name: x, store: x, variants: {pet: {modalities: [ct]}}, resources: {gpus: 0}, repeats: 9,
        sampling: {ratio: 2.0}, split: {test: 0.3}, normalisation: {bounds: training_and_validation},
        augmentation: {copies: 3}, training: {epochs: 3}, evaluation: {cutoff_px: 7}}"""
    study = parse_study(read_yaml(text, "x").value)
    told = paper.departures(study)
    assert [line.partition(":")[0] for line in told] == [
        *("augmentation.copies", "evaluation.cutoff_px", "normalisation.bounds", "repeats", "sampling.ratio"),
        *("split.test", "training.epochs"),
    ]
    assert told[3] == "repeats: 50 -> 9"
    assert paper.label("pet", study.variants["pet"]) == "pet"


def test_what_variants_do_otherwise_and_whose_numbers_are_of_scans_is_told(tmp_path):
    """Table 4 of the paper counts its 62 scans as patients, of whom it had 44."""
    copies = {"originals": "kept", "copies": 1}
    study = small_study(("pet",), repeats=2, protocol="as_written", augmentation=copies)
    run = random_run(tmp_path, study)
    told = Page(words(run, other_studies)[0]).text
    assert "In its own row 42, 7 and 13 count its 62 scans, not its 44 patients" in told
    assert "augmentation.copies: 0 -> 1" in told and "PET: augmentation.copies" not in told


def test_published_values_are_written_by_pair_and_metric():
    """Table 2 of the paper: the p of Dice, then that of Jaccard, over true positive slices."""
    pair = {"variant_a": "pet_mri_augmented", "variant_b": "pet_mri", "slice_set": "true_positive"}
    assert [published_p(pair, name) for name in ("dice", "jaccard", "nsd")] == ["0.247", "0.273", ""]
    assert published_p(pair | {"slice_set": "lesion"}, "dice") == ""
    assert published_p(pair | {"variant_b": "mri"}, "dice") == ""
    assert published("slice_dice", "tp")({"variant": "pet"}) == "0.79 ± 0.16 / 18"
    assert published("pooled_dice", "r2")({"variant": "pet"}).note == "not published"


def test_published_counts_give_the_published_rates():
    for found in paper.PUBLISHED.values():
        assert round(found.tp / (found.tp + found.fn), 2) == found.sensitivity
        assert abs(found.tn / (found.tn + found.fp) - found.specificity) < 0.01  # 26 / 34 is printed as 0.77
        assert abs((found.tp + found.tn) / 66 - found.accuracy) < 0.01
        # Of one overlap Jaccard is Dice / (2 - Dice); of means it is at least that, since the curve is convex.
        assert abs(found.pooled_dice / (2 - found.pooled_dice) - found.pooled_jaccard) < 0.011
        dice, jaccard = found.slice_dice[0], found.slice_jaccard[0]
        assert dice / (2 - dice) - 0.01 < jaccard < dice
