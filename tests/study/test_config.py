from pathlib import Path

import pytest
import yaml

from hnscc.base.errors import InputError
from hnscc.study.loading import dump_study, load_study, parse_study
from hnscc.study.presets import merge

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
SMALL = {"name": "x", "store": "x.zarr", "variants": {"pet": {"modalities": ["pet"]}}}


def study(**settings):
    return parse_study(SMALL | settings)


def refused(**settings) -> str:
    with pytest.raises(InputError) as caught:
        study(**settings)
    return str(caught.value)


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


def test_corrected_is_the_default_and_leak_free():
    assert study() == study(protocol="corrected")
    assert study().split.validation_unit == "patient"
    assert study().normalisation.bounds == "training"
    assert study().training.network.encoder == "resnet18"
    written = study(protocol="as_written")
    assert written.split.validation_unit == "slice"
    assert written.normalisation.bounds == "training_and_validation"
    assert written.training.monitor == "soft_jaccard_batch_mean"


def test_a_variant_is_a_difference_from_the_base():
    made = study(
        training={"epochs": 7},
        variants={
            "pet": {"modalities": ["pet"]},
            "slow": {"modalities": ["pet"], "training": {"learning_rate": 1e-5}},
            "narrow": {"modalities": ["pet"], "training": {"network": {"architecture": "paper", "width": 4}}},
        },
    )
    assert [variant.training.epochs for variant in made.variants.values()] == [7, 7, 7]
    assert made.variants["slow"].training.learning_rate == 1e-5
    assert made.variants["narrow"].training.network.encoder is None
    assert made.variants["pet"].training == made.training


def test_merge_changes_neither_side():
    base, difference = {"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}
    assert merge(base, difference) == {"a": {"b": 3, "c": 2}}
    assert (base, difference) == ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"sede": 1}, "The setting sede is unknown"),
        ({"training": {"lr": 1}}, "training.lr is unknown"),
        (
            {"variants": {"a": {"modalities": ["pet"], "training": {"epoch": 1}}}},
            "variants.a.training.epoch is unknown",
        ),
        ({"variants": {"a": {}}}, "variants.a.modalities is missing"),
        ({"variants": {"a": {"modalities": ["pet", "pet"]}}}, "named twice"),
        ({"variants": {"a": {"modalities": []}}}, "variants.a.modalities"),
        ({"variants": {"A-1": {"modalities": ["pet"]}}}, "variants.A-1"),
        ({"variants": {}}, "variants is not valid"),
        ({"variants": {"a": {"modalities": ["pet"], "seed": 3}}}, "variants.a.seed is unknown"),
        ({"repeats": 0}, "repeats is not valid"),
        ({"repeats": "fifty"}, "'fifty'"),
        ({"split": {"test": 1.5}}, "split.test"),
        ({"split": {"unit": "scan"}}, "split.unit"),
        ({"training": 3}, "training is not valid"),
        ({"training": {"learning_rate": float("inf")}}, "training.learning_rate"),
        ({"sampling": {"ratio": float("nan")}}, "sampling.ratio"),
        ({"protocol": "as_coded"}, "protocol"),
        ({"training": {"network": {"width": 4}}}, "only architecture paper has a width"),
        ({"training": {"network": {"architecture": "paper"}}}, "needs its width"),
        ({"protocol": "as_written", "augmentation": {"copies": "fresh"}}, "copies: fresh goes with"),
    ],
)
def test_each_wrong_setting_is_named_by_its_path(settings, named):
    message = refused(**settings)
    assert named in message
    assert "what to do" in message


def test_a_misspelt_key_is_counted_once_and_the_right_one_is_offered():
    message = refused(
        training={"epoch": 3}, variants={"a": {"modalities": ["pet"]}, "b": {"modalities": ["mri"]}}
    )
    assert "training.epoch is unknown" in message
    assert "epochs?" in message
    assert "more to correct" not in message
    assert "one of unit, folds" in refused(split={"xyz": 1})


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
