import json

import pytest
from searches import searched
from stores import study_of

from hnscc.base.errors import InputError
from hnscc.base.seeds import derive_seed, short_seed
from hnscc.study.identity import (
    changed_settings,
    changed_values,
    identity,
    other_settings,
    trial_seeds,
    trial_settings,
)
from hnscc.study.loading import open_run
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial, find_trial, trials_of


def identity_of(study, trial=None, device="cpu", precision="fp32", data="d"):
    trial = trial or Trial("pet_mri", 0, 1)
    return identity(trial_settings(study, trial, device=device, precision=precision, fold_digest=data))


def test_trials_are_every_variant_fold_and_repeat_in_order():
    study = study_of("s", split={"folds": 2}, repeats=2)
    assert [trial.trial_id for trial in trials_of(study)] == [
        *("pet-f0-r00", "pet-f0-r01", "pet-f1-r00", "pet-f1-r01"),
        *("pet_mri-f0-r00", "pet_mri-f0-r01", "pet_mri-f1-r00", "pet_mri-f1-r01"),
    ]
    assert find_trial(study, "pet_mri-f1-r00") == Trial("pet_mri", 1, 0)
    with pytest.raises(InputError, match="pet-f0-r00 to pet_mri-f1-r01"):
        find_trial(study, "pet-f0-r02")


def test_seeds_belong_to_the_trial_and_not_to_the_study_around_it():
    few, many = study_of("s", repeats=2), study_of("s", repeats=200)
    trial = Trial("pet", 0, 1)
    assert trial_seeds(few, trial) == trial_seeds(many, trial)
    every = [seed for each in trials_of(many) for seed in trial_seeds(many, each).values()]
    assert len(set(every)) == len(every)
    assert trial_seeds(study_of("s", seed=1), trial) != trial_seeds(few, trial)


def test_seeds_are_taken_from_sha256():
    """By `printf '2023\\x1fstr:pet-f0-r01' | sha256sum`: the first 16 digits, without the last bit. Others would train
    every trial otherwise than before, and no identity would tell."""
    assert derive_seed(2023, "pet-f0-r01") == 0xA2DB8F0E68BBC413 >> 1
    assert derive_seed(7, 1) == 0x8A33709FF572A701 >> 1 != derive_seed(7, "1")
    assert short_seed(7, 1) == (0x8A33709FF572A701 >> 1) % 2**32
    paired, shared = {"number": 2, "paired": True}, {"copies": 2, "shared_by_repeats": True}
    for study, key, copies in (
        (study_of("s"), "pet-f1-r01", None),
        (study_of("s", repeats=paired), "paired-f1-r01", None),
        (study_of("s", augmentation=shared), "pet-f1-r01", "f1"),
        (searched(augmentation=shared | {"copies": 0}), "search-f1-r01", "search-f1"),
    ):
        variant = "searched" if study.search else "pet"
        own = derive_seed(2023, key)
        assert trial_seeds(study, Trial(variant, 1, 1)) == {
            "trial": own,
            **{use: derive_seed(own, use) for use in ("initialisation", "order", "dropout")},
            "augmentation": derive_seed(derive_seed(2023, copies) if copies else own, "augmentation"),
        }


def test_shared_copies_share_only_the_augmentation_seed():
    shared = {"copies": 2, "shared_by_repeats": True}
    study = study_of("s", augmentation=shared)
    first, second = (trial_seeds(study, Trial("pet", 0, repeat)) for repeat in (0, 1))
    assert [use for use in first if first[use] == second[use]] == ["augmentation"]


def test_identity_is_what_determines_the_result():
    base = study_of("s")
    same = [
        study_of("elsewhere"),
        study_of("s", name="other"),
        study_of("s", repeats=9),
        study_of("s", resources={"cpus": 2, "gpus": 0.1}),
        study_of("s", evaluation={"cutoff_px": 20}),
        study_of("s", variants={"pet_mri": {"modalities": ["pet", "mri"]}}),
    ]
    assert {identity_of(study) for study in same} == {identity_of(base)}
    other = [
        identity_of(study_of("s", seed=1)),
        identity_of(study_of("s", training={"epochs": 4})),
        identity_of(study_of("s", training={"threads": 2})),
        identity_of(study_of("s", augmentation={"copies": 1})),
        identity_of(study_of("s", variants={"pet_mri": {"modalities": ["mri", "pet"]}})),
        identity_of(base, precision="bf16"),
        identity_of(base, device="cuda"),
        identity_of(base, data="e"),
        identity_of(base, Trial("pet_mri", 0, 2)),
    ]
    assert len({identity_of(base), *other}) == len(other) + 1


def test_identity_survives_json():
    settings = trial_settings(
        study_of("s"), Trial("pet", 0, 0), device="cpu", precision="fp32", fold_digest="d"
    )
    assert identity(json.loads(json.dumps(settings))) == identity(settings)


def test_differences_name_the_setting():
    assert list(changed_values({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4})) == [
        "a.c: 2 -> 3",
        "d: null -> 4",
    ]
    assert list(changed_values({"a": 1}, {"a": 1})) == []
    assert list(changed_values({"a": ["pet"], "b": True}, {"a": ["pet", "mri"], "b": False})) == [
        "a: [pet] -> [pet, mri]",
        "b: true -> false",
    ]


@pytest.mark.parametrize("copies, differs", [(0, []), (2, ["seeds.augmentation"])])
def test_seeds_of_copies_that_are_not_made_are_no_difference(copies, differs):
    before, now = ({"augmentation": {"copies": copies}, "seeds": {"augmentation": seed}} for seed in (1, 2))
    assert [each.path for each in changed_settings(before, now)] == differs


def test_how_copies_are_altered_differs_where_one_of_two_trials_has_copies():
    none, some = ({"augmentation": {"copies": n, "translate": n / 10}} for n in (0, 2))
    changed = ["augmentation.copies", "augmentation.translate"]
    for before, now in ((none, some), (some, none)):
        assert [each.path for each in changed_settings(before, now)] == changed


def test_open_run_refuses_other_folders(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match=r"not a run folder(.*\n)+.* check the path"):
            open_run(path)
    # It holds no study until the store is read, which takes minutes where that is large.
    RunFolder(tmp_path).lock.touch()
    with pytest.raises(InputError, match=r"in which a run has begun\n.* wait until"):
        open_run(tmp_path)
    RunFolder(tmp_path).study.write_text("name: x")
    assert open_run(tmp_path).trial("pet-f0-r00").record == tmp_path / "trials/pet-f0-r00/record.json"


EVERY_SLICE, SAMPLED = {"evaluation": {"slices": "all"}}, {"evaluation": {"slices": "sampled"}}
BY_SLICE = {"split": {"test": 0.25, "validation": 0.34, "validation_unit": "slice"}}


@pytest.mark.parametrize(
    ("study", "whole", "read"),
    [
        (study_of("s", **EVERY_SLICE), ("validation", "test"), ("train", "validation", "test")),
        (study_of("s", **SAMPLED), (), ("train", "validation", "test")),
        (study_of("s", **EVERY_SLICE, **BY_SLICE), ("test",), ("train", "validation", "test")),
        (searched(**EVERY_SLICE), (), ("train", "validation")),
    ],
    ids=["every slice", "sampled", "validation by slice", "search"],
)
def test_which_splits_are_scored_whole_and_which_are_read(study, whole, read):
    assert (study.whole_splits, study.read_splits) == (whole, read)


@pytest.mark.parametrize(
    ("repeats", "paired"), [(3, False), ({"paired": True}, True), ({"number": 3, "paired": False}, False)]
)
def test_repeats_are_paired_where_the_study_says_so_and_searches_nothing(repeats, paired):
    assert study_of("s", repeats=repeats).paired == paired and not searched(repeats=repeats).paired


def test_the_repeats_of_a_search_are_its_own():
    """Those of the study are for its winners."""
    found = searched({"repeats": {"most": 9}}, repeats={"max": 40, "until": 0.1, "enough": {"searched": 6}})
    assert found.repeats_of("searched") == found.most_repeats == 9


@pytest.mark.parametrize(
    ("setting", "recorded", "differs"),
    [
        ("precision", "fp32", True),
        ("precision", "bf16", False),
        ("network", {"encoder_weights": "a hash"}, True),
        ("network", {}, False),  # as a record of before the setting
    ],
)
def test_what_a_study_names_itself_is_compared(setting, recorded, differs):
    """Precision and weights of encoders were left aside, whatever the study said of them."""
    study = study_of("s", training={"precision": "bf16"})
    trial = trials_of(study)[0]
    found = other_settings(study, trial, {"training": {setting: recorded, "device": "cpu"}})
    assert bool(found) == differs
