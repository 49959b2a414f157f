"""Settings and architectures that there are not: the nearest ones are named."""

import pytest
from small_settings import refused, study


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


SEARCH = {
    "method": "random",
    "ranges": {"training.epochs": [1, 2]},
    "configurations": 2,
    "budget": {"trials": 9},
}


def test_a_misspelt_key_is_counted_once_and_the_right_one_is_offered():
    message = refused(
        training={"epoch": 3}, variants={"a": {"modalities": ["pet"]}, "b": {"modalities": ["mri"]}}
    )
    assert "training.epoch is unknown" in message
    assert "epochs?" in message
    assert "faults" not in message
    assert "one of unit, folds" in refused(split={"xyz": 1})


def test_what_a_variant_expects_is_not_told_of_the_base():
    own = {"pet": {"modalities": ["pet"], "training": {"epochs": "x"}}}
    assert "expected:   at least 1\n" in refused(training={"epochs": 0}, variants=own)


@pytest.mark.parametrize(
    ("settings", "meant"),
    [
        ({"architecture": "unet"}, "training.network.architecture?"),
        ({"validation": 0.2}, "split.validation or augmentation.validation?"),
        ({"training": {"copies": 5}}, "augmentation.copies?"),
        ({"training": {"rate": 0.1}}, "   training.learning_rate?\n"),
        ({"modality": ["pet"]}, "modalities or variants.NAME.modalities?"),
        ({"training.epochs": 3}, "`training: {epochs: 40}`"),
        ({"variants": {"a": {"modalities": ["pet"], "epochs": 3}}}, "variants.a.training.epochs?"),
        ({"variants": {"a": {"modalities": ["pet"], "width": 3}}}, "variants.a.training.network.width?"),
        ({"variants": {"a": {"modality": ["pet"]}}}, "variants.a.modalities?"),
        ({"variants": {"a": {"modalities": ["pet"], "seed": 3}}}, "seed (not of a variant)?"),
        ({"variants": {"a": {"modalities": ["pet"], "xyz": 3}}}, "one of modalities, augmentation, training"),
        # A variant may be named as pydantic names the forms of a setting.
        ({"variants": {"range": {"modalities": ["pet"], "epochs": 3}}}, "variants.range.training.epochs?"),
        ({"repeats": {"mx": 8, "until": 0.1}}, "   repeats.max?\n"),
        # `max` and `until` are of the section repeats.
        ({"search": SEARCH | {"repeats": {"max": 8}}}, "one of first, most; or repeats.max?"),
        ({"split": {"unti": "patient"}}, "   split.unit or repeats.until?\n"),
    ],
)
def test_an_unknown_setting_names_the_nearest_path_at_any_depth(settings, meant):
    message = refused(**settings)
    assert meant in message.partition("expected:")[2].partition("found:")[0]
