from pathlib import Path

import pytest
import yaml

from hnscc.base.errors import InputError
from hnscc.study.loading import dump_study, kept_study, load_study, parse_study
from hnscc.study.presets import merge
from hnscc.study.run_folder import RunFolder
from hnscc.study.without_effect import OF_COPIES

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
    ("settings", "found", "do"),
    [
        (
            {"augmentation": {"copies": "fresh", "originals": "dropped"}},
            "copies: fresh, originals: dropped",
            "copies: fresh goes with originals: kept",
        ),
        (
            {"training": {"network": {"width": 4}}},
            "architecture: unet, width: 4",
            "only architecture paper has a width",
        ),
        (
            {"training": {"network": {"architecture": "paper", "width": 4, "encoder": "resnet18"}}},
            "architecture: paper, encoder: resnet18",
            "no encoder",
        ),
        ({"repeats": {"max": 8, "until": 0.1, "first": 9}}, "first: 9, max: 8", "first is at most max"),
        (
            {
                "variants": None,
                "modalities": ["pet"],
                "search": {"method": "grid", "ranges": {"training.epochs": [2, 3]}, "budget": {}},
            },
            "trials: null, hours: null, gpu_hours: null",
            "a budget has trials",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_named_and_the_advice_says_what_does(settings, found, do):
    """What was found was the whole section as Python prints it, cut at 200 characters."""
    message = refused(**settings)
    assert f"found:      {found}\n" in message
    assert "correct it in the study file: " in message and do in message.partition("what to do:")[2]


def one_network(architecture: str, **more) -> dict:
    return {"training": {"network": {"architecture": architecture} | more}}


@pytest.mark.parametrize("name", ["Unet", "UNET", "unet"])
def test_an_architecture_is_one_setting_however_it_is_spelt(name):
    """`Unet` was another setting than `unet`, with another identity, and lost the encoder that it inherited."""
    plain = study(**one_network("unet", encoder="resnet34"))
    assert study(**one_network(name, encoder="resnet34")) == plain
    assert study(**one_network(name)) == study()
    variant = {"modalities": ["pet"]} | one_network(name)
    assert study(variants={"pet": variant}) == study()
    assert study(variants={"architecture": variant}).variants["architecture"] == study().variants["pet"]


def test_a_search_takes_two_spellings_for_one_architecture():
    for ranges in (
        {"training.network.architecture": ["unet", "Unet"]},
        {
            "training.network": [
                {"architecture": "FPN", "encoder": "a"},
                {"architecture": "fpn", "encoder": "a"},
            ]
        },
    ):
        search = {"method": "random", "configurations": 2, "budget": {"trials": 9}, "ranges": ranges}
        message = refused(variants=None, modalities=["pet"], search=search)
        assert "at least two different values" in message


@pytest.mark.parametrize("name", ["encoder", "encoder_weights"])
def test_an_empty_name_is_no_second_spelling_of_none(name):
    assert f"training.network.{name}" in refused(**one_network("paper", width=4, **{name: ""}))


SEARCH = {
    "variants": None,
    "modalities": ["pet"],
    "training": {"epochs": 1},
    "search": {
        "method": "grid",
        "stopping": "median",
        "budget": {"trials": 9},
        "ranges": {"augmentation.translate": [0.1, 0.2]},
    },
}
COPIES = {"copies": 2}
# Settings of a file, which of them change nothing, and the same without what they stand beside.
WITHOUT_EFFECT = [
    ({"split": {"folds": 5, "test": 0.3}}, ["split.test"], {"split": {"folds": 1, "test": 0.3}}),
    (
        {"sampling": {"ratio": 0, "negatives": "any_scan"}},
        ["sampling.negatives"],
        {"sampling": {"ratio": 1, "negatives": "any_scan"}},
    ),
    (
        {"evaluation": {"slices": "sampled", "tolerance_mm": 3}},
        ["evaluation.tolerance_mm"],
        {"evaluation": {"slices": "all", "tolerance_mm": 3}},
    ),
    (
        {"protocol": "as_written", "evaluation": {"tolerance_mm": 3}},
        ["evaluation.tolerance_mm"],
        {"protocol": "as_written", "evaluation": {"slices": "all", "tolerance_mm": 3}},
    ),
    *(
        (
            {"augmentation": {name: value}},
            [f"augmentation.{name}"],
            {"augmentation": {name: value} | COPIES},
        )
        for name, value in {
            "originals": "dropped",
            "validation": True,
            "shared_by_repeats": True,
            "flip_left_right": 0.1,
            "flip_up_down": 0.1,
            "translate": 0.2,
            "rotate_degrees": 30,
        }.items()
    ),
    (
        {
            "augmentation": {"rotate_degrees": 30},
            "variants": {
                "a": {"modalities": ["pet"], "augmentation": {"translate": 0.2}},
                "b": {"modalities": ["pet"], "augmentation": COPIES},
            },
        },
        ["variants.a.augmentation.translate"],
        {
            "augmentation": {"rotate_degrees": 30},
            "variants": {
                "a": {"modalities": ["pet"]},
                "b": {"modalities": ["pet"], "augmentation": COPIES},
            },
        },
    ),
    (
        SEARCH,
        ["search.ranges.augmentation.translate", "search.stopping"],
        SEARCH | {"training": {"epochs": 2}, "augmentation": COPIES},
    ),
]


@pytest.mark.parametrize(("settings", "named", "with_effect"), WITHOUT_EFFECT)
def test_a_setting_that_changes_nothing_beside_another_is_refused(settings, named, with_effect):
    """It was taken, and ignored without a word."""
    message = refused(**settings)
    for path in named:
        assert f"The setting {path} changes nothing here." in message
    assert message.count("changes nothing here") == len(named) and "leave it out" in message
    study(**with_effect)


def test_every_setting_of_an_augmentation_is_in_that_table():
    tried = {name for settings, _, _ in WITHOUT_EFFECT for name in settings.get("augmentation", {})}
    assert {*OF_COPIES} <= tried


def test_what_the_file_does_not_give_is_no_fault_of_it(tmp_path):
    """A preset holds these values too, and a resolved study spells them out."""
    for settings in (
        {"split": {"folds": 5}},
        {"sampling": {"ratio": 0}},
        {"protocol": "as_written", "evaluation": {"slices": "sampled"}},
        {"protocol": "as_written", "split": {"folds": 3}},
    ):
        made = study(**settings)
        assert parse_study(yaml.safe_load(dump_study(made))) == made


def test_a_line_is_named_with_what_changes_nothing(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: x\nstore: s\nsplit:\n  folds: 5\n  test: 0.3\nvariants: {pet: {modalities: [pet]}}\n"
    )
    with pytest.raises(InputError) as caught:
        load_study(file)
    assert caught.value.where == f"{file}, line 5" and caught.value.found == "test: 0.3"
    # A run folder of before may hold it.
    assert kept_study(RunFolder(tmp_path)).split.test == 0.3


@pytest.mark.parametrize(
    "settings",
    [{"evaluation": {"bootstraps": 10**9}}, {"sampling": {"ratio": 1e9}}, {"sampling": {"ratio": -1}}],
)
def test_numbers_that_no_study_needs_are_out_of_range(settings):
    ((section, given),) = settings.items()
    assert f"The setting {section}.{next(iter(given))} is not valid" in refused(**settings)


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
