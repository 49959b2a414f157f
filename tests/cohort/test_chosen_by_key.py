"""Which patients and slices a fold chooses: by the keys of randomness that are documented, in NumPy alone."""

from dataclasses import replace

import pytest
from stores import cohort, scan, store_of, study_of

from hnscc.base.seeds import generator
from hnscc.cohort.patients import assign_patients
from hnscc.cohort.sampled_slices import share_of
from hnscc.cohort.splits import divide_cohort


@pytest.mark.parametrize(("folds", "fold", "tested"), [(1, 0, {0}), (3, 1, {1, 4, 7, 10})])
def test_patients_are_those_that_the_documented_keys_give(folds, fold, tested):
    """Patients p00 to p06 have lesion, p07 to p11 none. A share of 5 % or 10 % of these is nobody, and of those
    with lesion one. With folds, patient i is tested in fold i mod 3."""
    shares = study_of("s", split={"validation": 0.1} | ({"folds": 3} if folds == 3 else {"test": 0.05})).split
    names = [f"p{i:02d}" for i in range(12)]
    strata = {
        name: generator(3, "split", name).permutation(own).tolist()
        for name, own in (("lesion", names[:7]), ("none", names[7:]))
    }
    test = {patient for i, patient in enumerate([*strata["lesion"], *strata["none"]]) if i in tested}
    rest = [patient for patient in strata["lesion"] if patient not in test]
    validation = generator(3, "validation", "lesion", f"f{fold}").permutation(rest)[0]
    expected = {name: "test" if name in test else "train" for name in names} | {validation: "validation"}
    assert assign_patients(cohort(7, 5)[::-1], shares, seed=3, fold=fold) == expected


def test_a_share_is_rounded_and_takes_one_of_two_or_more_where_one_must_be_taken():
    wanted = [share_of(0.15, n, at_least=True) for n in (0, 1, 2, 3, 10, 11, 18)]
    assert wanted == [0, 0, 1, 1, 2, 2, 3]
    assert [share_of(0.15, n, at_least=False) for n in (1, 2, 3, 4)] == [0, 0, 0, 1]


@pytest.mark.parametrize("unit", ["patient", "slice"])
def test_slices_are_those_that_the_documented_keys_give(unit):
    """Two slices with lesion of each patient, and 0.75 times as many without: 1.5 for 2, 3 for 4, 4.5 for 6. As the
    paper did, a fifth of both kinds is then moved to validation: one of 6, and one of 4."""
    scans = [scan(f"p{i}", (0, 5, 0, 7, 9), split=name) for i, name in enumerate(("train", "test") * 3)]
    scans[2] = replace(scans[2], split="train" if unit == "slice" else "validation")
    shares = {"validation": 0.2, "validation_unit": unit}
    sampling = {"max_positive": 12, "negatives": "any_scan", "ratio": 0.75}
    division = divide_cohort(store_of(scans), study_of("s", seed=5, sampling=sampling, split=shares), 0)
    found = {name: [(each.patient_id, each.z) for each in own] for name, own in division.slices.items()}
    expected = {name: [] for name in found}
    for name in expected:
        own = [each.patient_id for each in scans if each.split == name]
        ill = [
            (p, (1, 3, 4)[i]) for p in own for i in sorted(generator(5, "positives", p).permutation(3)[:2])
        ]
        pool = [(p, z) for p in own for z in (0, 2)]
        wanted = {0: 0, 2: 2, 4: 3, 6: 4}[len(ill)]
        chosen = generator(5, "negatives", "f0", name).permutation(len(pool))[:wanted]
        expected[name] = [ill, [pool[i] for i in sorted(chosen)]]
    if unit == "slice":
        rng = generator(5, "validation", "f0")
        expected["validation"] = [[kind.pop(rng.permutation(len(kind))[0])] for kind in expected["train"]]
    assert found == {name: sorted([*kinds[0], *kinds[1]]) for name, kinds in expected.items()}


def test_every_slice_of_whole_scans_is_scored_in_order_of_split_scan_and_z():
    """Also of patients of whom no slice is sampled, and with the lesion that the stored mask holds."""
    names = ("test", "train", "validation", "test")
    scans = [scan(f"p{i}", (0, 3), split=name) for i, name in enumerate(names)]
    scans[0] = replace(scans[0], source_lesion_px=(2, 3))
    scans.append(scan("p9", (0, 0), split="validation"))
    study = study_of("s", sampling={"ratio": 0.0})
    division = divide_cohort(store_of(scans), study, 0)
    assert division.patients == {"train": ("p1",), "validation": ("p2", "p9"), "test": ("p0", "p3")}
    assert division.whole_scans == ("p2_a", "p9_a", "p0_a", "p3_a")
    assert [(name, each.scan_id, each.z, each.with_lesion) for name, each in division.others] == [
        *(("validation", "p2_a", 0, False), ("validation", "p9_a", 0, False)),
        *(("validation", "p9_a", 1, False), ("test", "p0_a", 0, False), ("test", "p3_a", 0, False)),
    ]
    sampled = study_of("s", sampling={"ratio": 0.0}, evaluation={"slices": "sampled"})
    alone = divide_cohort(store_of(scans), sampled, 0)
    assert alone.slices == division.slices and (alone.others, alone.whole_scans) == (None, ())
