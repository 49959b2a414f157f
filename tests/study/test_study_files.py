"""Study files: those that are shipped, what YAML makes of one, and the line that a message names."""

from codecs import BOM_UTF16_BE
from pathlib import Path

import pytest
import yaml

from hnscc.base.errors import InputError
from hnscc.study.loading import dump_study, load_study, parse_study

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_shipped_studies_are_valid_and_resolve_to_themselves(path):
    loaded = load_study(path)
    assert loaded.name == path.stem
    assert parse_study(yaml.safe_load(dump_study(loaded))) == loaded


def test_paper_study_is_the_papers():
    paper = load_study(next(path for path in STUDIES if path.stem == "paper"))
    assert list(paper.variants) == ["pet", "mri", "pet_mri", "pet_mri_augmented"]
    assert (paper.repeats, paper.protocol) == (50, "as_written")
    for variant in paper.variants.values():
        training = variant.training
        assert (training.epochs, training.patience, training.batch_size) == (200, 50, 32)
        assert (training.learning_rate, training.adam_epsilon) == (0.001, 1e-7)
        assert (training.network.architecture, training.network.width) == ("paper", 16)
    augmentation = paper.variants["pet_mri_augmented"].augmentation
    assert (augmentation.copies, augmentation.originals, augmentation.validation) == (5, "dropped", True)
    assert (augmentation.flip_left_right, augmentation.flip_up_down) == (0.5, 0.5)
    assert (augmentation.translate, augmentation.rotate_degrees) == (0.1, 15)


def test_a_merge_key_is_taken_in_a_whole_study(tmp_path):
    """`<<: *anchor`: what is merged stands, and what is given beside it counts before it."""
    file = tmp_path / "merged.yaml"
    file.write_text(
        "name: x\nstore: x.zarr\nvariants:\n"
        "  pet: &pet\n    modalities: [pet]\n    training: {epochs: 7}\n"
        "  mri:\n    <<: *pet\n    modalities: [mri]\n"
    )
    made = load_study(file).variants
    assert made["mri"].modalities == ("mri",) and made["mri"].training.epochs == 7
    assert made["pet"].modalities == ("pet",)


def test_all_wrong_settings_are_told_at_once_each_with_its_line(tmp_path):
    """The first was told, and of the others their number."""
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: x\nstore: s\nrepeats: 0\ntraining:\n  epochs: -3\n  learning_rate: fast\nseeds: 3\n"
        "variants:\n  pet: {modalities: [pet]}\n  mri: {modalities: []}\n"
        "  both: {modalities: [pet, mri], repeats: 2, training: {epochs: -4}}\n"
    )
    with pytest.raises(InputError, match="7 faults were found") as caught:
        load_study(file)
    named = [line.partition(", ")[2] for line in str(caught.value).splitlines() if f"{file}, line" in line]
    assert [line.partition(" Expected")[0] for line in named] == [
        "line 3: The setting repeats is not valid.",
        "line 5: The setting training.epochs is not valid.",
        "line 6: The setting training.learning_rate is not valid.",
        "line 7: The setting seeds is unknown.",
        "line 10: The setting variants.mri.modalities is not valid.",
        # They were told once those of the same names at the top of the file were corrected.
        "line 11: The setting variants.both.repeats is unknown.",
        "line 11: The setting variants.both.training.epochs is not valid.",
    ]
    assert str(caught.value).count("correct it in the study file") == 1


@pytest.mark.parametrize(
    ("added", "line", "named"),
    [
        ("sede: 1", 7, "sede"),
        ("resources:\n  cpus: 1\n  gpus: 1.5", 9, "resources.gpus"),
        ("training:\n  epochs: 3\n  network:\n    width: 3", 9, "training.network"),
        ("training: {epochs: 3,\n  patience: 0}", 8, "training.patience"),
        ("sampling: 3", 7, "sampling"),
        ("  mri:\n    modalities: [mri]\n    training:\n      lr: 1", 10, "variants.mri.training.lr"),
        (
            "  mri:\n    modalities: [mri]\n    training:\n      epochs: 0\ntraining:\n  epochs: 3",
            10,
            "variants.mri.training.epochs",
        ),
        ("  mri:\n    modalities:\n      - mri\n      - 3", 10, "variants.mri.modalities.1"),
        ("  mri:\n    training: {epochs: 3}", 7, "variants.mri.modalities is missing"),
        ("  mri:\n    <<: *pet\n    modalities: []", 9, "variants.mri.modalities"),
    ],
)
def test_an_error_names_the_line_of_the_setting(tmp_path, added, line, named):
    file = tmp_path / "study.yaml"
    file.write_text(
        f"# A comment.\nname: x\nstore: s\nvariants:\n  pet: &pet\n    modalities: [pet]\n{added}\n"
    )
    with pytest.raises(InputError) as caught:
        load_study(file)
    assert caught.value.where == f"{file}, line {line}"
    assert named in caught.value.problem


def test_what_is_missing_from_the_file_has_no_line(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("store: s\nvariants: {pet: {modalities: [pet]}}\n")
    with pytest.raises(InputError, match="name is missing") as caught:
        load_study(file)
    assert caught.value.where == str(file)


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        ("method", "random, grid or tpe"),
        (
            "ranges",
            "a section (for the path of a setting of `training` or `augmentation`: a list of values, or a range)",
        ),
        ("budget", "a section (what the search may spend; the first that is spent ends it)"),
    ],
)
def test_what_a_missing_setting_is_is_said(left_out, expected):
    """Pydantic says `Field required` alone."""
    search = {"method": "grid", "ranges": {"training.epochs": [1, 2]}, "budget": {"trials": 9}}
    del search[left_out]
    with pytest.raises(InputError, match=f"search.{left_out} is missing") as caught:
        parse_study({"name": "x", "store": "s", "modalities": ["pet"], "search": search})
    assert (caught.value.expected, caught.value.do) == (expected, "add it to the study file")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"search": {"ranges": {"training.epochs": [1, 2]}}}, ["search.method", "search.budget"]),
        *(
            (
                {"method": "grid", "budget": {"trials": 9}, "ranges": {"training.learning_rate": values}},
                [f"search.ranges.training.learning_rate.{end}" for end in ("low", "high")],
            )
            for values in ({}, {"low": "a", "high": "b"})
        ),
        (
            {"variants": {"A": {"modalities": ["pet"]}, "B": {"modalities": ["pet"]}}},
            ["variants.A", "variants.B"],
        ),
    ],
)
def test_each_of_two_faults_in_a_section_is_told(settings, told):
    """Of a range the first was told alone."""
    settings = settings if "ranges" not in settings else {"search": settings}
    with pytest.raises(InputError, match="2 faults were found") as caught:
        parse_study({"name": "x", "store": "s", "modalities": ["pet"], **settings})
    assert all(f"The setting {each} is " in str(caught.value) for each in told)


def test_variants_may_share_settings_by_merge_keys(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: x\nstore: s\nvariants:\n  pet: &pet\n    modalities: [pet]\n    training: {epochs: 7}\n"
        "  mri:\n    <<: *pet\n    modalities: [mri]\n"
    )
    variants = load_study(file).variants
    assert variants["mri"].modalities == ("mri",)
    assert variants["mri"].training == variants["pet"].training
    assert variants["mri"].training.epochs == 7


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_resolved_study_is_written_as_pyyaml_writes_it(path):
    loaded = load_study(path)
    assert dump_study(loaded) == yaml.safe_dump(loaded.model_dump(mode="json"), sort_keys=False)


def test_yaml_pitfalls(tmp_path):
    good = tmp_path / "good.yaml"
    good.write_text(
        "name: x\nstore: s\ntraining: {learning_rate: 1e-3}\nvariants: {a: {modalities: [pet]}}\n"
    )
    assert load_study(good).training.learning_rate == 0.001
    for text in ("name: x\nname: y\n", "name: [", "", "- a\n", "!!python/object/apply:os.getcwd []"):
        bad = tmp_path / "bad.yaml"
        bad.write_text(text)
        with pytest.raises(InputError):
            load_study(bad)
    with pytest.raises(InputError, match="no such study file"):
        load_study(tmp_path / "absent.yaml")


def test_a_file_in_utf_16_is_read_by_its_mark_and_another_is_told_to_be_saved_as_utf_8(tmp_path):
    """As Windows' editors write it; manifests in it are taken, too. Of others the path was to be checked."""
    text = "name: kn\u00f6del\nstore: x.zarr\nvariants: {pet: {modalities: [pet]}}\n".replace("\u00f6", "o")
    big_endian = BOM_UTF16_BE + text.encode("utf-16-be")
    for content in (*(text.encode(each) for each in ("utf-8", "utf-8-sig", "utf-16")), big_endian):
        (tmp_path / "x.yaml").write_bytes(content)
        assert load_study(tmp_path / "x.yaml").name == "knodel"
    for content in ("# \u00e4\n".encode("latin-1") + text.encode(), b"\xff\xfea"):
        (tmp_path / "x.yaml").write_bytes(content)
        with pytest.raises(InputError, match="save the file as UTF-8"):
            load_study(tmp_path / "x.yaml")
