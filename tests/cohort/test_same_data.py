"""Whether a store still holds what a fold was made of: which facts the digests follow, and what is told of a change."""

from dataclasses import replace

import pytest
from stores import make_store, study_of

from hnscc.base.errors import InputError
from hnscc.cohort.fold import digest_of_others, read_folds, write_fold
from hnscc.cohort.same_data import check_same_data, data_digest
from hnscc.cohort.splits import divide_cohort
from hnscc.cohort.store import open_store
from hnscc.study.run_folder import RunFolder


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


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (
            {"patients": 10},
            "8 -> 10 patients (with p08 p09); 8 -> 10 scans (with p08_a p09_a); 32 -> 40 slices",
        ),
        ({"slices": 6}, "32 -> 48 slices"),
        ({"size": 48}, "32 x 32 -> 48 x 48 pixels"),
        ({"seed": 1}, "mri of the training slices "),
    ],
)
def test_a_store_that_changed_is_told_by_what_differs(small, tmp_path, changed, found):
    """Two hashes were all that was said. `check` sees the index alone: that values are others, and not which they are
    (it took them for the same)."""
    store, study, division, data = small
    folder = RunFolder(tmp_path).fold(0)
    write_fold(folder, store, division, data)
    now = make_store(tmp_path / "now", **({"patients": 8, "slices": 4, "size": 32} | changed))
    other = divide_cohort(now, study, 0)
    with pytest.raises(InputError, match="other data or another division") as caught:
        write_fold(folder, now, other, read_folds(now, study, [other])[0])
    assert found in caught.value.found and data.digest[:12] not in str(caught.value)
    found = "other images or masks in the same slices" if "seed" in changed else found
    with pytest.raises(InputError, match="other data or another division") as caught:
        check_same_data(folder, now, other)
    assert found in caught.value.found


def test_a_modality_that_a_store_lost_is_named(small, tmp_path):
    store, _, division, data = small
    folder = RunFolder(tmp_path).fold(0)
    write_fold(folder, store, division, data)
    with pytest.raises(InputError) as caught:
        check_same_data(folder, replace(store, modalities=("pet",)), division)
    assert caught.value.found == "modalities mri, pet -> pet"
    check_same_data(folder, store, division)


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_other_data_is_refused_where_a_kept_file_is_lost(small, tmp_path, how):
    """Nothing was compared then, and nothing was said."""
    store, study, division, data = small
    folder = RunFolder(tmp_path).fold(0)
    write_fold(folder, store, division, data)
    folder.slices.unlink() if how == "gone" else folder.slices.write_bytes(b"torn")
    check_same_data(folder, store, division)
    now = make_store(tmp_path / "now", patients=10, slices=4, size=32)
    with pytest.raises(InputError, match="other data or another division") as caught:
        check_same_data(folder, now, divide_cohort(now, study, 0))
    assert f"its file {folder.slices.name} is {how}" in caught.value.found


@pytest.mark.parametrize("unit", ["patient", "slice"])
def test_what_differs_is_told_and_nothing_else(small, tmp_path, unit):
    """By slice, scans stand in two splits. Why other slices are sampled is told only where others are."""
    store, study, _, _ = small
    split = study.split.model_copy(update={"validation_unit": unit})
    few = study.model_copy(
        update={"split": split, "sampling": study.sampling.model_copy(update={"ratio": 0.0})}
    )
    division = divide_cohort(store, few, 0)
    assert division.others
    folder = RunFolder(tmp_path).fold(0)
    write_fold(folder, store, division, read_folds(store, few, [division])[0])
    now = replace(store, scans=tuple(replace(scan, digest="0" * 64) for scan in store.scans))
    for changed, other, found in (
        (now, division, "other images or masks in the same slices, or another order of modalities"),
        (store, divide_cohort(store, study, 0), "16 -> 32 sampled slices; so it is"),
    ):
        with pytest.raises(InputError) as caught:
            check_same_data(folder, changed, other, why_others=lambda: "so it is")
        assert caught.value.found == found
    (first, *others), train = division.slices["train"], {"train": division.slices["train"]}
    train["train"] = (*others, replace(first, z=9))
    with pytest.raises(InputError) as caught:
        check_same_data(folder, store, replace(division, slices=division.slices | train))
    assert caught.value.found == "other slices are sampled"
