from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import cohort, scan, store_of, study_of

from hnscc.base.errors import InputError
from hnscc.cohort.patients import assign_patients
from hnscc.cohort.sampled_slices import (
    StoredSlice,
    candidates_without_lesion,
    sample_with_lesion,
)
from hnscc.cohort.splits import Division, check_disjoint, divide_cohort
from hnscc.study.section_schema import Split


def split(**settings) -> Split:
    return study_of("s", split={"test": 0.19, "validation": 0.15} | settings).split


def lesion_counts(assigned, lesion):
    return Counter(name for patient, name in assigned.items() if patient < f"p{lesion:02d}")


def test_the_papers_numbers_split_as_expected():
    """44 patients, 18 with lesion: 19 % of 18 = 3, of 26 = 5; then 15 % of 15 = 2, of 21 = 3."""
    assigned = assign_patients(cohort(18, 26), split(), seed=1, fold=0)
    assert Counter(assigned.values()) == {"train": 31, "validation": 5, "test": 8}
    assert lesion_counts(assigned, 18) == {"train": 13, "validation": 2, "test": 3}


def test_with_folds_each_patient_is_tested_once_and_lesions_are_dealt_evenly():
    rounds = [assign_patients(cohort(7, 10), split(folds=5), seed=3, fold=fold) for fold in range(5)]
    tested = Counter(patient for assigned in rounds for patient, name in assigned.items() if name == "test")
    assert len(tested) == 17
    assert set(tested.values()) == {1}
    assert {lesion_counts(assigned, 7)["test"] for assigned in rounds} == {1, 2}
    assert {Counter(assigned.values())["test"] for assigned in rounds} <= {3, 4}


@settings(max_examples=40, deadline=None)
@given(
    lesion=st.integers(3, 20),
    healthy=st.integers(0, 20),
    seed=st.integers(0, 2**40),
    negatives=st.sampled_from(["any_scan", "lesion_free_scans"]),
    folds=st.sampled_from([1, 3]),
    most=st.sampled_from([None, 20, 33]),
)
def test_no_patient_or_slice_stands_on_two_sides(lesion, healthy, seed, negatives, folds, most):
    scans = cohort(lesion, healthy)
    scans += [scan(each.patient_id, (0,) * 5, name="b") for each in scans[::3]]  # follow-ups
    study = study_of(
        "s", seed=seed, sampling={"negatives": negatives, "max_positive": most}, split={"folds": folds}
    )
    for fold in range(folds):
        division = divide_cohort(store_of(scans), study, fold)
        used = [(each.scan_id, each.z) for slices in division.slices.values() for each in slices]
        patients = [{each.patient_id for each in slices} for slices in division.slices.values()]
        assert len(used) == len(set(used))
        assert sum(map(len, patients)) == len(set.union(*patients))
        lesion_px = {each.scan_id: each.lesion_px for each in scans}
        assert all(
            each.with_lesion == bool(lesion_px[each.scan_id][each.z])
            for own in division.slices.values()
            for each in own
        )


def test_a_cap_on_slices_with_lesion_is_shared_out_evenly():
    scans = [scan("a", (1,)), scan("b", (1,) * 9), scan("c", (1,) * 9), scan("d", (0,))]
    for index in (scans, scans[::-1]):
        sampled = sample_with_lesion(index, 8, seed=0)
        assert Counter(each.patient_id for each in sampled) == {"a": 1, "b": 4, "c": 3}
        assert sampled == sorted(sampled)
    assert len(sample_with_lesion(scans, None, seed=0)) == len(sample_with_lesion(scans, 100, seed=0)) == 19


def test_slices_whose_lesion_vanished_are_neither_with_nor_without_lesion():
    vanished = replace(scan("a", (0, 0, 5)), source_lesion_px=(0, 2, 9))
    assert sample_with_lesion([vanished], None, seed=0) == [StoredSlice("a", "a_a", 2, True)]
    assert candidates_without_lesion([vanished], "any_scan") == [StoredSlice("a", "a_a", 0, False)]
    assert candidates_without_lesion([vanished], "lesion_free_scans") == []
    whole = replace(scan("a", (0, 0)), source_lesion_px=(0, 2))
    assert candidates_without_lesion([whole], "lesion_free_scans") == [], "no scan that is free of lesion"


def test_where_negatives_run_out_all_are_taken_and_it_is_said():
    scans = [scan(f"p{i}", (3,) * 9 + (0,)) for i in range(9)]
    division = divide_cohort(store_of(scans), study_of("s", sampling={"negatives": "any_scan"}), 0)
    assert all(
        sum(not each.with_lesion for each in own) == len(division.patients[name])
        for name, own in division.slices.items()
    )
    assert any("slices without lesion wanted" in warning for warning in division.warnings)
    just_enough = [scan(f"p{i}", (3, 3, 0, 0)) for i in range(9)]
    division = divide_cohort(store_of(just_enough), study_of("s", sampling={"negatives": "any_scan"}), 0)
    assert all(len(own) == 4 * len(division.patients[name]) for name, own in division.slices.items())
    assert not any("slices without lesion wanted" in warning for warning in division.warnings)


def test_few_lesion_patients_are_warned_of():
    """Of 20 with lesion 5 are tested, and 20 % of the 15 others validate: 3, beside one of the healthy ones."""
    division = divide_cohort(
        store_of(cohort(20, 5)), study_of("s", split={"test": 0.25, "validation": 0.2}), 0
    )
    assert [warning.split(";")[0] for warning in division.warnings if "fewer than 5" in warning] == [
        "validation: only 3 patients with lesion (fewer than 5)"
    ]


def test_too_small_a_cohort_is_refused():
    """Fewer folds are advised only where there are fewer that the patients suffice for; then they do."""
    with pytest.raises(InputError, match="too small to split") as told:
        divide_cohort(store_of(cohort(2, 40)), study_of("s"), 0)
    assert told.value.do == "add patients with lesion"
    with pytest.raises(InputError, match=r"0 patients with lesion[^$]*does the manifest name the masks"):
        divide_cohort(store_of(cohort(0, 40)), study_of("s"), 0)
    with pytest.raises(InputError, match="at least 9 patients") as told:
        divide_cohort(store_of(cohort(8, 8)), study_of("s", split={"folds": 9}), 0)
    assert told.value.do == "add patients with lesion, or use fewer folds"
    assert divide_cohort(store_of(cohort(8, 8)), study_of("s", split={"folds": 4}), 0)
    with pytest.raises(InputError, match="at least 9 patients") as told:
        divide_cohort(store_of(cohort(3, 8)), study_of("s", split={"folds": 9}), 0)
    assert told.value.do == "add patients with lesion, or use fewer folds"
    assert divide_cohort(store_of(cohort(3, 8)), study_of("s"), 0)
    assert divide_cohort(store_of(cohort(2, 8)), study_of("s", split={"validation_unit": "slice"}), 0)


def test_a_split_fixed_in_the_manifest_is_taken():
    names = ["train", "train", "validation", "test"]
    scans = [scan(f"p{i}", (3, 0), split=name) for i, name in enumerate(names)]
    assert assign_patients(scans, split(), seed=0, fold=0) == {f"p{i}": name for i, name in enumerate(names)}
    with pytest.raises(InputError, match="0 patients without; unused: validation; folds 1"):
        assign_patients([*scans[:2], scans[3]], split(), seed=0, fold=0)
    scans[0] = scan("p0", (3, 0))
    with pytest.raises(InputError, match="1 patient without"):
        assign_patients(scans, split(), seed=0, fold=0)


def test_a_whole_split_column_with_several_folds_says_what_is_in_its_way():
    """`fill the column for all scans` was the advice, which all of them had."""
    scans = [scan(f"p{i}", (3, 0), split=name) for i, name in enumerate(["train", "validation", "test"])]
    with pytest.raises(InputError, match="folds 3") as told:
        assign_patients(scans, split(folds=3), seed=0, fold=0)
    assert "set split.folds to 1" in told.value.do
    assert assign_patients(scans, split(folds=1), seed=0, fold=0)["p2"] == "test"


def test_validation_patients_of_the_manifest_are_used_or_refused():
    """Of theirs, no slice was trained on, validated or tested, without a word."""
    names = ["train"] * 4 + ["validation"] * 2 + ["test"]
    scans = [scan(f"p{i}", (3, 0), split=name) for i, name in enumerate(names)]
    by_slice = study_of("s", split={"validation_unit": "slice"})
    with pytest.raises(InputError, match="takes validation slices from training patients") as told:
        divide_cohort(store_of(scans), by_slice, 0)
    assert told.value.found.startswith("2 validation patients")
    division = divide_cohort(store_of(scans), study_of("s"), 0)
    assert division.patients["validation"] == ("p4", "p5")
    shares = (
        "patients are split as the manifest's column split says; split.test and split.validation are not used"
    )
    assert division.warnings[0] == shares
    named = divide_cohort(store_of([each for each in scans if each.split != "validation"]), by_slice, 0)
    assert named.warnings[0] == shares.replace("split.test and split.validation are", "split.test is")


def test_validation_by_slices_keeps_the_test_patients_apart():
    """As written: 43 of the 290 slices that are not tested, chosen slice by slice."""
    division = divide_cohort(
        store_of(cohort(18, 26, slices=10)), study_of("s", split={"validation_unit": "slice"}), 0
    )
    rest = len(division.slices["train"]) + len(division.slices["validation"])
    assert len(division.slices["validation"]) == pytest.approx(0.15 * rest, abs=1)
    assert not set(division.patients["test"]) & (
        set(division.patients["train"]) | set(division.patients["validation"])
    )
    assert any("also stand in training" in warning for warning in division.warnings)
    assert any("every slice of the test scans is scored" in warning for warning in division.warnings)
    sampled = study_of("s", split={"validation_unit": "slice"}, evaluation={"slices": "sampled"})
    warnings = divide_cohort(store_of(cohort(18, 26)), sampled, 0).warnings
    assert not any("every slice of the test scans" in warning for warning in warnings)


ONE, NEXT = StoredSlice("a", "a_a", 0, True), StoredSlice("a", "a_a", 1, True)


@pytest.mark.parametrize(
    ("unit", "slices", "leaks"),
    [
        ("patient", {"train": (ONE,), "test": (NEXT,)}, "train and test"),
        ("patient", {"train": (ONE,), "validation": (NEXT,)}, "train and validation"),
        ("patient", {"validation": (ONE,), "test": (NEXT,)}, "validation and test"),
        ("slice", {"train": (ONE,), "validation": (ONE,)}, "train and validation"),
        ("slice", {"train": (ONE,), "validation": (NEXT,)}, None),
        ("slice", {"train": (ONE,), "test": (NEXT,)}, "train and test"),
        ("slice", {"validation": (ONE,), "test": (NEXT,)}, "validation and test"),
    ],
)
def test_leakage_is_found(unit, slices, leaks):
    """Of slices of one patient: training and validation may share the patient where validation is by slice."""
    slices = {name: slices.get(name, ()) for name in ("train", "validation", "test")}
    patients = {name: tuple(each.patient_id for each in own) for name, own in slices.items()}
    division = Division(0, patients, slices, ())
    if leaks is None:
        check_disjoint(division, validation_unit=unit)
        return
    with pytest.raises(InputError, match="Leakage") as told:
        check_disjoint(division, validation_unit=unit)
    assert (told.value.where, told.value.found) == (f"fold f0, {leaks}", "1 in common")


@pytest.mark.parametrize(
    ("lesion", "changes"),
    [
        (3, {"split": {"folds": 2}}),
        (3, {"split": {"test": 0.9}}),
        (8, {"sampling": {"max_positive": 1}}),
    ],
)
def test_a_split_without_lesion_slices_is_refused(lesion, changes):
    folds = changes.get("split", {}).get("folds", 1)
    with pytest.raises(InputError, match="holds no slice with lesion") as told:
        for fold in range(folds):
            divide_cohort(store_of(cohort(lesion, 8)), study_of("s", **changes), fold)
    assert ("fewer folds" in told.value.do, "split.test" in told.value.do) == (folds > 1, folds == 1)


def test_a_patient_fixed_to_two_splits_is_refused():
    names = ["train", "validation", "test"]
    scans = [scan(f"p{i}", (3, 0), split=name) for i, name in enumerate(names)]
    scans.append(scan("p0", (3,), name="b", split="test"))
    with pytest.raises(InputError, match="fixed to different splits"):
        assign_patients(scans, split(), seed=0, fold=0)


def every_scan_with_lesion():
    """Nine patients of ten slices each, the last without lesion: no scan is free of it."""
    return store_of([scan(f"p{i}", (3,) * 6 + (0,) * 4) for i in range(9)])


def test_a_cohort_whose_every_scan_has_lesion_is_told_the_cure_and_it_works():
    lesion_free = {"negatives": "lesion_free_scans"}
    division = divide_cohort(every_scan_with_lesion(), study_of("s", sampling=lesion_free), 0)
    patients = {split: len(own) for split, own in division.patients.items()}
    told = [warning for warning in division.warnings if "slices without lesion wanted" in warning]
    assert [warning.split(":")[0] for warning in told] == ["training", "validation", "test"]
    for split, warning in zip(("train", "validation", "test"), told, strict=True):
        assert f"{6 * patients[split]} slices without lesion wanted, 0 exist" in warning
        assert f"{4 * patients[split]} more stand in scans with lesion" in warning
        assert (
            "`sampling: {negatives: any_scan}`" in warning and "never shown a slice without lesion" in warning
        )
    cured = divide_cohort(every_scan_with_lesion(), study_of("s", sampling={"negatives": "any_scan"}), 0)
    for split in patients:
        assert sum(not each.with_lesion for each in cured.slices[split]) == 4 * patients[split]
    assert not any("any_scan" in warning for warning in cured.warnings), "the advice is not given twice"


@pytest.mark.parametrize("negatives", ["any_scan", "lesion_free_scans"])
def test_a_cohort_with_lesion_in_every_slice_is_told_what_it_trains_on(negatives):
    """No setting cures it: there is no slice without lesion."""
    store = store_of([scan(f"p{i}", (3,) * 6) for i in range(9)])
    division = divide_cohort(store, study_of("s", sampling={"negatives": negatives}), 0)
    told = [warning for warning in division.warnings if "slices without lesion wanted" in warning]
    assert len(told) == 3 and not any("sampling:" in warning for warning in told)
    assert all("0 exist; all are taken: the networks are never shown a slice" in warning for warning in told)


SEARCH = {
    "method": "random",
    "ranges": {"training.learning_rate": {"low": 0.0001, "high": 0.1, "log": True}},
    "configurations": 4,
    "budget": {"trials": 40},
}


def test_with_a_search_nothing_is_warned_of_the_test_patients():
    scans = every_scan_with_lesion()
    sampling = {"negatives": "lesion_free_scans"}
    searched = divide_cohort(scans, study_of("s", sampling=sampling, search=SEARCH), 0)
    plain = divide_cohort(scans, study_of("s", sampling=sampling), 0)
    assert searched.slices == plain.slices
    about_test = [warning for warning in plain.warnings if warning.startswith("test:")]
    assert len(about_test) == 2, "negatives, and few patients"
    assert [*searched.warnings] == [warning for warning in plain.warnings if warning not in about_test]
