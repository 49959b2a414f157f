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


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("nnunet", "unet"),
        ("unet++", "unet"),
        ("deeplab", "deeplabv3"),
        ("segformers", "segformer"),
        ("papr", "paper"),
    ],
)
def test_an_unknown_architecture_is_one_message_that_names_the_known_ones_nearest_first(wrong, nearest):
    """It read `needs an encoder`, and with one `Wrong architecture type`. The first that it names is taken."""
    message = refused(training={"network": {"architecture": wrong}})
    assert message == refused(training={"network": {"architecture": wrong, "encoder": "resnet18"}})
    assert "The setting training.network.architecture is not valid" in message and f"'{wrong}'" in message
    assert f"one of {nearest}, " in message and "encoder" not in message and "faults" not in message
    followed = {"architecture": nearest} | ({"width": 16} if nearest == "paper" else {"encoder": "resnet18"})
    study(training={"network": followed})


def nested(levels: int, wrap) -> object:
    value = 1
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": value}, lambda value: (value,)])
@pytest.mark.parametrize("key", ["variants", "training", "name", "search"])
def test_settings_that_are_nested_too_deep_are_one_message(key, wrap):
    for levels in (30, 5000):
        assert "nested too deep" in refused(**{key: nested(levels, wrap)})
    within = {}
    within["a"] = within
    assert "nested too deep" in refused(**{key: within})


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


def test_a_misspelt_key_is_counted_once_and_the_right_one_is_offered():
    message = refused(
        training={"epoch": 3}, variants={"a": {"modalities": ["pet"]}, "b": {"modalities": ["mri"]}}
    )
    assert "training.epoch is unknown" in message
    assert "epochs?" in message
    assert "faults" not in message
    assert "one of unit, folds" in refused(split={"xyz": 1})


@pytest.mark.parametrize(
    ("settings", "meant"),
    [
        ({"architecture": "unet"}, "training.network.architecture?"),
        ({"validation": 0.2}, "split.validation or augmentation.validation?"),
        ({"training": {"copies": 5}}, "augmentation.copies?"),
        ({"modality": ["pet"]}, "modalities or variants.NAME.modalities?"),
        ({"training.epochs": 3}, "`training: {epochs: 40}`"),
        ({"variants": {"a": {"modalities": ["pet"], "epochs": 3}}}, "variants.a.training.epochs?"),
        ({"variants": {"a": {"modalities": ["pet"], "width": 3}}}, "variants.a.training.network.width?"),
        ({"variants": {"a": {"modality": ["pet"]}}}, "variants.a.modalities?"),
        ({"variants": {"a": {"modalities": ["pet"], "seed": 3}}}, "seed (not of a variant)?"),
        ({"variants": {"a": {"modalities": ["pet"], "xyz": 3}}}, "one of modalities, augmentation, training"),
        # A variant may be named as pydantic names the forms of a setting.
        ({"variants": {"range": {"modalities": ["pet"], "epochs": 3}}}, "variants.range.training.epochs?"),
        ({"repeats": {"mx": 8, "until": 0.1}}, "repeats.max?"),
    ],
)
def test_an_unknown_setting_names_the_nearest_path_at_any_depth(settings, meant):
    message = refused(**settings)
    assert meant in message.partition("expected:")[2].partition("found:")[0]


@pytest.mark.parametrize("gpus", [0, 0.25, 1, 1.0, 2, 8.0, "auto"])
def test_a_share_of_a_gpu_or_whole_gpus_may_be_asked_for(gpus):
    assert study(resources={"gpus": gpus}).resources.gpus == gpus


@pytest.mark.parametrize("gpus", [1.5, 1.0001, 7.25])
def test_a_share_above_one_gpu_is_refused_as_ray_would(gpus):
    message = refused(resources={"gpus": gpus})
    assert "resources.gpus is not valid" in message
    assert "at most 1, or a whole number of GPUs" in message
    assert str(gpus) in message
    assert "faults" not in message


def test_all_wrong_settings_are_told_at_once_each_with_its_line(tmp_path):
    """The first was told, and of the others their number."""
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: x\nstore: s\nrepeats: 0\ntraining:\n  epochs: -3\n  learning_rate: fast\nseeds: 3\n"
        "variants:\n  pet: {modalities: [pet]}\n  mri: {modalities: []}\n"
    )
    with pytest.raises(InputError, match="5 faults were found") as caught:
        load_study(file)
    named = [line.partition(", ")[2] for line in str(caught.value).splitlines() if f"{file}, line" in line]
    assert [line.partition(" Expected")[0] for line in named] == [
        "line 3: The setting repeats is not valid.",
        "line 5: The setting training.epochs is not valid.",
        "line 6: The setting training.learning_rate is not valid.",
        "line 7: The setting seeds is unknown.",
        "line 10: The setting variants.mri.modalities is not valid.",
    ]
    assert str(caught.value).count("correct it in the study file") == 1


def test_a_value_of_two_forms_says_both_and_counts_once():
    message = refused(augmentation={"copies": -1})
    assert "augmentation.copies is not valid" in message
    assert "greater than or equal to 0; or: 'fresh'" in message
    assert "faults" not in message


@pytest.mark.parametrize(
    ("added", "line", "named"),
    [
        ("sede: 1", 7, "sede"),
        ("resources:\n  cpus: 1\n  gpus: 1.5", 9, "resources.gpus"),
        ("training:\n  epochs: 3\n  network:\n    width: 3", 9, "training.network"),
        ("training: {epochs: 3,\n  patience: 0}", 8, "training.patience"),
        ("sampling: 3", 7, "sampling"),
        ("  mri:\n    modalities: [mri]\n    training:\n      lr: 1", 10, "variants.mri.training.lr"),
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
