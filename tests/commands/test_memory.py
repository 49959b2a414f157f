"""The memory that `hnscc check` tells, by hand and against the arrays that a study really has."""

import pytest
from stores import make_store, study_of

from hnscc.commands.checked import memory_of
from hnscc.training.augment import training_slices
from hnscc.training.ready import make_run_ready, open_and_divide

MIB = 2**20


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), patients=12)


def told(store, **settings):
    study = study_of(store.location, **settings)
    opened, divisions = open_and_divide(study)
    return study, divisions, memory_of(study, opened, divisions, dict.fromkeys(study.variants, 0))


def test_slices_stand_once_whatever_the_number_of_folds(store, tmp_path):
    """Kept once per fold, as they were, three folds took three times as much."""
    for folds in (1, 3):
        study, _, memory = told(store, split={"folds": folds})
        ready = make_run_ready(study, tmp_path / str(folds))
        pixels = {id(data.pixels): data.pixels for data in ready.folds.values()}
        assert len(pixels) == 1
        (kept,) = pixels.values()
        assert memory["driver"] == memory["object_store"]
        assert memory["driver"] == pytest.approx((kept.images.nbytes + kept.masks.nbytes) / MIB, abs=0.05)
        assert len(set(kept.keys)) == len(kept.keys)


@pytest.mark.parametrize("copies", [0, 3, "fresh"])
def test_a_worker_has_no_slices_of_its_own(store, tmp_path, copies):
    """Copies are made when they are read, of the pixels that all share. Predictions by hand: 32 x 32 pixels of two
    bytes each, one more of their masks, and two where none can be saved by compression."""
    variants = {"pet_mri": {"modalities": ["pet", "mri"]}}
    study, divisions, memory = told(store, variants=variants, augmentation={"copies": copies})
    data = make_run_ready(study, tmp_path).folds[0]
    slices = training_slices(study.variants["pet_mri"], data, {"augmentation": 1})(1)
    assert (slices if copies == 0 else slices.own).images is data.pixels.images
    predicted = len(data.scored_at) * 32 * 32 * (2 + 1 + 2)
    assert memory["worker"] == pytest.approx(predicted / MIB, abs=0.05)
    assert len(slices) == (1 if copies == "fresh" else copies + 1) * len(divisions[0].slices["train"])
