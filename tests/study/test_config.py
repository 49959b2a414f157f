"""Settings as a study gives them: defaults, differences of variants, and which values are refused."""

import pytest
from pydantic import ValidationError
from small_settings import one_network, refused, study

from hnscc.study.presets import merge

UNET_WITHOUT_ENCODER = {"pet": {"modalities": ["pet"], **one_network("unet")}}


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
    base, difference = {"a": {"b": 1, "c": 2}, "d": {"e": [1]}}, {"a": {"b": 3}, "f": {"g": [2]}}
    merged = merge(base, difference)
    assert merged == {"a": {"b": 3, "c": 2}, "d": {"e": [1]}, "f": {"g": [2]}}
    for values in (merged["a"], merged["d"]["e"], merged["f"]["g"]):
        values.clear()
    assert base == {"a": {"b": 1, "c": 2}, "d": {"e": [1]}} and difference == {"a": {"b": 3}, "f": {"g": [2]}}


def test_another_architecture_replaces_a_network_alone():
    base, difference = {"x": {"architecture": "fpn", "b": 1}}, {"x": {"architecture": "unet"}}
    assert merge(base, difference) == {"x": {"architecture": "unet", "b": 1}}
    base, difference = ({"network": each["x"]} for each in (base, difference))
    assert merge(base, difference) == difference


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
        (
            {"variants": {"a": {"modalities": ["pet", "pet"]}}},
            "a list in which each modality stands once",
        ),
        ({"variants": {"a": {"modalities": []}}}, "variants.a.modalities"),
        ({"variants": {"A-1": {"modalities": ["pet"]}}}, "variants.A-1"),
        ({"variants": {"_a": {"modalities": ["pet"]}}}, "variants._a"),
        ({"name": ".x"}, "The setting name is not valid"),  # its run folder would be hidden
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
        *(
            (
                {"augmentation": {"copies": "fresh", name: True}},
                f"copies: fresh, {name}: true",
                f"{name}: false",
            )
            for name in ("validation", "shared_by_repeats")
        ),
        (
            {"training": {"network": {"architecture": "paper", "width": 4, "encoder_weights": "x"}}},
            "architecture: paper, encoder_weights: x",
            "no encoder",
        ),
        (
            {
                "training": {"network": {"architecture": "paper", "width": 4}},
                "variants": UNET_WITHOUT_ENCODER,
            },
            "architecture: unet, encoder: null",
            "architecture unet needs an encoder, for example resnet18",
        ),
        (
            {"repeats": {"max": 8, "until": 0.1, "enough": {"pet": 9}}},
            "enough: {pet: 9}, max: 8",
            "enough is at most max for each variant",
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


@pytest.mark.parametrize(
    "settings",
    [{"evaluation": {"bootstraps": 10**9}}, {"sampling": {"ratio": 1e9}}, {"sampling": {"ratio": -1}}],
)
def test_numbers_that_no_study_needs_are_out_of_range(settings):
    ((section, given),) = settings.items()
    assert f"The setting {section}.{next(iter(given))} is not valid" in refused(**settings)


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


def test_the_most_repeats_may_be_the_first_ones_and_enough():
    made = study(repeats={"max": 6, "until": 0.1, "first": 6, "enough": {"pet": 6}})
    assert made.repeats_of("pet") == made.most_repeats == 6


def test_a_checked_study_cannot_be_changed():
    """It could be made one that was never checked."""
    with pytest.raises(ValidationError, match="frozen"):
        study().training.epochs = 0


@pytest.mark.parametrize("gpus", [0, 0.0001, 0.25, 1, 1.0, 2, 8.0, "auto"])
def test_a_share_of_a_gpu_or_whole_gpus_may_be_asked_for(gpus):
    assert study(resources={"gpus": gpus, "cpus": 0.0001}).resources.gpus == gpus


@pytest.mark.parametrize("resources", [{"cpus": 0.00009}, {"gpus": 1e-9}])
def test_less_than_ray_counts_is_refused(resources):
    """Ray ended in a traceback once the first trial was to be started."""
    assert "at least 0.0001" in refused(resources=resources)


@pytest.mark.parametrize("gpus", [1.5, 1.0001, 7.25])
def test_a_share_above_one_gpu_is_refused_as_ray_would(gpus):
    message = refused(resources={"gpus": gpus})
    assert "resources.gpus is not valid" in message
    assert "at most 1, or a whole number of GPUs" in message
    assert str(gpus) in message
    assert "faults" not in message


def test_a_value_of_two_forms_says_both_and_counts_once():
    message = refused(augmentation={"copies": -1})
    assert "augmentation.copies is not valid" in message
    assert "at least 0; or: 'fresh'" in message
    assert "faults" not in message
