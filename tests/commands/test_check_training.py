"""`check` tries what every trial would do: one step of training by its own batches, on its own device."""

import pytest
from stores import make_store, study_of

import hnscc
from hnscc.base.errors import InputError
from hnscc.training.ready import batches_in, make_run_ready

DEEPLAB = {"architecture": "deeplabv3plus", "encoder": "resnet18"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), size=64).location


def settings(store, **training):
    return study_of(store, training=training).model_dump(mode="json")


@pytest.mark.quick(1)
@pytest.mark.parametrize("call", [hnscc.check, lambda study, out: hnscc.run(study, out)])
def test_a_batch_size_that_no_trial_could_train_by_is_refused_before_any_is_tried(store, tmp_path, call):
    with pytest.raises(InputError, match="cannot be trained on a batch of 1 slice") as refused:
        call(settings(store, network=DEEPLAB, batch_size=1), tmp_path / "run")
    assert refused.value.do == "set training.batch_size to 2 or more"
    assert not (tmp_path / "run").exists()
    assert hnscc.check(settings(store, network=DEEPLAB, batch_size=2))["trials"]["in_all"] == 4


def searched(store, sizes, **training):
    """A search for the size of batches."""
    return {
        "name": "s",
        "store": str(store),
        "modalities": ["pet"],
        "repeats": 7,
        "split": {"test": 0.25, "validation": 0.34},
        "training": {"device": "cpu"} | training,
        "search": {
            "method": "grid",
            "ranges": {"training.batch_size": sizes},
            "budget": {"trials": 30},
        },
    }


def test_a_search_tries_the_batch_sizes_of_its_ranges(store, tmp_path):
    with pytest.raises(InputError, match="cannot be trained on a batch of 1 slice"):
        hnscc.check(searched(store, [2, 1], network=DEEPLAB), tmp_path / "run")


@pytest.mark.parametrize(("sizes", "told"), [([2, 1000], 1), ([2, 4], 0)])
def test_a_search_is_warned_of_the_batches_that_it_tries(store, tmp_path, sizes, told):
    """What the base said was told of, which no training of a search takes, and what the ranges said was not."""
    small = {"architecture": "paper", "width": 4}
    found = hnscc.check(searched(store, sizes, network=small, batch_size=900), tmp_path / "run")["warnings"]
    lines = [line for line in found if "an epoch is a single step" in line]
    assert len(lines) == told and all("in place of 1000" in line for line in lines)


@pytest.mark.parametrize(
    ("augmentation", "batch_size", "expected"),
    [
        ({}, 4, {4, 3}),  # 7 slices
        ({}, 3, {3, 4}),  # a last one of a single slice joins the one before
        ({}, 16, {7}),
        ({"copies": "fresh"}, 4, {4, 3}),
        ({"copies": 2}, 4, {4, 5}),  # 21
        ({"copies": 2, "originals": "dropped"}, 4, {4, 2}),  # 14
    ],
)
def test_the_batches_of_a_variant_by_hand(augmentation, batch_size, expected):
    study = study_of("s", training={"batch_size": batch_size}, augmentation=augmentation)
    assert batches_in(study.variants["pet"], [7]) == expected


def test_the_batches_are_those_that_are_trained(store, tmp_path, monkeypatch):
    """As a trial makes them, of its own random slices."""
    from hnscc.study.identity import trial_seeds
    from hnscc.study.trials import Trial
    from hnscc.training.augment import training_slices
    from hnscc.training.feeding import batches_of

    study = study_of(store, training={"batch_size": 5}, augmentation={"copies": 1})
    data = make_run_ready(study, tmp_path / "run").folds[0]
    variant = study.variants["pet"]
    slices = training_slices(variant, data, trial_seeds(study, Trial("pet", 0, 0)))(1)
    trained = {len(batch) for batch in batches_of(range(len(slices)), 5)}
    assert batches_in(variant, [len(data.slices(("pet",), "train"))]) == trained
