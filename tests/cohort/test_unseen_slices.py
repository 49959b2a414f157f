"""Slices outside of a modality's field of view: known to the store, told, and used by no training and no score."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scans import LPS, prepare, refused, save, scan_arrays, write
from stores import cohort, study_of

from hnscc.cohort.patients import assign_patients
from hnscc.cohort.placement import WHY_UNSEEN
from hnscc.cohort.sampled_slices import candidates_without_lesion, sample_with_lesion
from hnscc.cohort.splits import divide_cohort
from hnscc.cohort.store import Store

SHAPE = (16, 16, 20)


def half_covered(folder, scans: int = 3, zeros: bool = False, first: int = 9):
    """PET of 11 of the MRI's 20 slices, or resliced to all 20 with zeros outside; lesion in slices 12 and 13."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(scans):
        pet, mri, _ = scan_arrays(number, SHAPE)
        mask = np.zeros(SHAPE, np.uint8)
        mask[4:8, 4:8, 12:14] = 1
        if number == 0 and zeros:
            pet[:, :, :first] = 0
            write(folder / "0-pet.nii", pet)
        elif number == 0:
            affine = LPS.copy()
            affine[2, 3] = 3 * first
            write(folder / "0-pet.nii", pet[:, :, first:], affine)
        else:
            write(folder / f"{number}-pet.nii", pet)
        write(folder / f"{number}-mri.nii", mri)
        write(folder / f"{number}-mask.nii", mask)
        rows.append(
            [f"P{number}", f"S{number}", *(f"{number}-{name}.nii" for name in ("pet", "mri", "mask"))]
        )
    return save(folder, rows)


@pytest.mark.parametrize("zeros", [False, True])
def test_slices_that_a_modality_does_not_show_are_known_and_told(tmp_path, zeros):
    """9 of 20 stored slices hold one value of PET."""
    store = prepare(half_covered(tmp_path, zeros=zeros), tmp_path / "s.zarr", size=16, workers=1)
    first, second = store.scans[:2]
    assert first.placement["outside"] == {"pet": list(range(9)), "mri": []}
    assert first.unseen(["pet", "mri"]) == frozenset(range(9)) and first.unseen(["mri"]) == frozenset()
    assert second.unseen(["pet", "mri"]) == frozenset()
    images, _ = store.read("S0")
    assert [len(np.unique(image)) == 1 for image in images[:, 0]] == [True] * 9 + [False] * 11
    assert "scan S0: pet does not show 9 of 20 slices whole, which are not sampled" in store.odd
    if not zeros:
        assert first.placement["coverage"]["pet"] == pytest.approx(11 / 20)
        assert "scan S0: pet covers 55% of the grid, in most scans 100%" in store.odd


def test_a_modality_that_shows_no_slice_with_anything_is_refused(tmp_path):
    refused(half_covered(tmp_path, zeros=True, first=20), "pet is 0 everywhere", "row 2, scan S0")


def unseen(scan, **outside):
    return replace(scan, placement={"outside": outside})


def index(scans) -> Store:
    return Store("s", ("pet", "mri"), 32, "0" * 64, tuple(scans), {})


def test_they_are_neither_with_nor_without_lesion():
    """Slices 1, 3 and 5 hold lesion, 0, 2 and 4 none; PET does not show 0 to 2."""
    (ill,) = cohort(1, 0)
    ill = unseen(ill, pet=[0, 1, 2], mri=[])
    assert [each.z for each in sample_with_lesion([ill], None, seed=1, shown=["pet"])] == [3, 5]
    assert [each.z for each in candidates_without_lesion([ill], "any_scan", shown=["pet"])] == [4]
    assert [each.z for each in sample_with_lesion([ill], None, seed=1, shown=["mri"])] == [1, 3, 5]
    (free,) = cohort(0, 1)
    free = unseen(free, pet=[5])
    found = candidates_without_lesion([free], "lesion_free_scans", shown=["pet", "mri"])
    assert [each.z for each in found] == [0, 1, 2, 3, 4]


def test_a_patient_whose_lesion_is_not_shown_counts_as_one_without():
    """Of 3 patients with lesion one is left with none; a split in three still needs three."""
    scans = cohort(4, 4)
    hidden = [unseen(scans[0], pet=[1, 3, 5]), *scans[1:]]
    split = study_of("s").split
    for seed in range(5):
        assigned = assign_patients(hidden, split, seed=seed, fold=0, shown=["pet"])
        with_lesion = {assigned[scan.patient_id] for scan in scans[1:4]}
        assert with_lesion == {"train", "validation", "test"}


def test_no_variant_uses_a_slice_that_another_does_not_see():
    """All are compared on the same slices. What no variant uses does not matter."""
    scans = [unseen(scan, pet=[0, 1], mri=[3], ct=[4]) for scan in cohort(12, 12)]
    division = divide_cohort(index(scans), study_of("s"), 0)
    used = {each.z for slices in division.slices.values() for each in slices}
    assert used == {2, 4, 5}
    left_out = f"72 slices of 24 scans never sampled: a modality does not show them, since {WHY_UNSEEN}"
    assert left_out in division.warnings
    scans = [unseen(scan, pet=[0, 1], ct=[4]) for scan in cohort(12, 12)]
    mri = study_of("s", variants={"mri": {"modalities": ["mri"]}})
    division = divide_cohort(index(scans), mri, 0)
    assert {each.z for slices in division.slices.values() for each in slices} == set(range(6))
    assert not any("never sampled" in warning for warning in division.warnings)


def test_slices_come_from_no_unknown_kind_of_scans():
    """A misspelt setting of a caller never means one of the two."""
    for kind in ("any_scan", "lesion_free_scans"):
        assert len(candidates_without_lesion(cohort(0, 2), kind)) == 12
    with pytest.raises(ValueError, match="lesion_free_scans, any_scan"):
        candidates_without_lesion(cohort(0, 2), "lesion_free")


READERS = {"hnscc/cohort/placement.py": 1, "hnscc/commands/predicted_scan.py": 1}


def test_the_stored_name_is_read_in_one_place():
    """`outside` names three facts in files; code reads each by one function, which says which it is."""
    root = Path(__file__).parent.parent.parent
    found: dict[str, int] = {}
    for wing in ("hnscc", "data_prep", "rayjobs"):
        for path in (root / wing).rglob("*.py"):
            count = len(re.findall(r"""(\[|\.get\()['"]outside['"]""", path.read_text()))
            found |= {path.relative_to(root).as_posix(): count} if count else {}
    assert found == READERS
