"""Settings that change nothing beside another one: refused, with what to leave out."""

import pytest
import yaml
from small_settings import refused, study

from hnscc.base.errors import InputError
from hnscc.study.loading import dump_study, kept_study, load_study, parse_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.without_effect import OF_COPIES

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
    ({"split": {"folds": 2, "test": 0.3}}, ["split.test"], {"split": {"folds": 1, "test": 0.3}}),
    (
        {"sampling": {"ratio": 0, "negatives": "any_scan"}},
        ["sampling.negatives"],
        {"sampling": {"ratio": 0.5, "negatives": "any_scan"}},
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
    (
        {"modalities": ["mri"]},
        ["modalities"],
        {"modalities": ["mri"], "variants": {"mri": None, "pet": {"modalities": ["pet"]}}},
    ),
    ({"modalities": 12}, ["modalities"], {}),
    (
        {"repeats": {"max": 50, "until": 0.02, "enough": {"pet": 6, "mri": 6}}},
        ["repeats.enough.mri"],
        {"repeats": {"max": 50, "until": 0.02, "enough": {"pet": 6}}},
    ),
    *(
        (
            {"augmentation": {name: value}},
            [f"augmentation.{name}"],
            {"augmentation": {name: value} | ({"copies": "fresh"} if name == "translate" else COPIES)},
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


@pytest.mark.parametrize("left", ["", "name: x\nstore: s\n", "name: x\nvariants: {pet: {mod"])
def test_a_damaged_study_of_a_run_folder_is_told_with_what_to_do(tmp_path, left):
    """`hnscc run STUDY --out RUN` was told to name a study file, or to add to it what another file lacked."""
    RunFolder(tmp_path).study.write_text(left)
    with pytest.raises(InputError, match="The study in the run folder") as caught:
        kept_study(RunFolder(tmp_path))
    assert (
        caught.value.where == str(RunFolder(tmp_path).study)
        and "delete it: the same command" in caught.value.do
    )
