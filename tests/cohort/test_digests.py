"""Which facts of a fold's data its digests follow, by which trainings and predictions are told to be of other data."""

from dataclasses import replace

import pytest
from stores import make_store, study_of

from hnscc.cohort.fold import digest_of_others, read_folds
from hnscc.cohort.same_data import data_digest
from hnscc.cohort.splits import divide_cohort
from hnscc.cohort.store import open_store


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("store"))
    study = study_of(store.location)
    division = divide_cohort(store, study, 0)
    return store, study, division, read_folds(store, study, [division])[0]


def test_digest_follows_the_content_and_not_the_place(small, tmp_path):
    store, study, division, data = small
    twin = make_store(tmp_path)
    assert open_store(twin.location).digest == store.digest
    assert read_folds(twin, study, [division])[0].digest == data.digest
    other = make_store(tmp_path / "other", seed=1)
    assert read_folds(other, study, [division])[0].digest != data.digest


def test_every_part_of_a_division_and_of_its_data_is_in_the_digests(small):
    """The split of a slice too: the last one of training, moved to validation, leaves the order as it is."""
    store, _, division, data = small
    *train, last = division.slices["train"]
    validation = division.slices["validation"]
    moved = {"train": tuple(train), "validation": (last, *validation), "test": division.slices["test"]}
    elsewhere = division.slices | {"train": (*train, replace(last, z=last.z + 1))}
    of_others = replace(store, scans=tuple(replace(scan, digest=scan.digest[::-1]) for scan in store.scans))
    found = [
        data_digest(store, division, data.bounds),
        data_digest(store, replace(division, slices=moved), data.bounds),
        data_digest(store, replace(division, slices=elsewhere), data.bounds),
        data_digest(of_others, division, data.bounds),
        data_digest(replace(store, modalities=("mri", "pet")), division, data.bounds),
        data_digest(replace(store, size=48), division, data.bounds),
        data_digest(store, division, data.bounds | {"pet": (0.0, 1.0)}),
    ]
    assert found[0] == data.digest and len(set(found)) == 7
    division = divide_cohort(store, study_of(store.location, sampling={"ratio": 0.0}), 0)
    (split, first), *others = division.others
    assert split == "validation"
    found = [
        digest_of_others(store, division),
        digest_of_others(store, replace(division, others=(("test", first), *others))),
        digest_of_others(store, replace(division, others=((split, replace(first, z=9)), *others))),
        digest_of_others(of_others, division),
        digest_of_others(store, replace(division, others=())),
    ]
    assert len(set(found)) == 5 and found[4] == ""
