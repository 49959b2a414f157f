"""`hnscc scan` of folders of NIfTI: which words of paths are patients, which are visits, and what is told in doubt."""

import json

import pytest
from layouts import KINDS, LAYOUTS, fill, rows_of

from data_prep.phantom.phantom import made_up_scans


def test_visits_of_a_patient_are_scans_and_what_cannot_be_told_is_said(hnscc, tmp_path):
    files = {f"P01/v{visit}/{name}.nii.gz": name for visit in (1, 2) for name in KINDS}
    files |= {"P02_pet_mri.nii.gz": "pet", "P02_mri.nii.gz": "mri", "P02_atlas.nii.gz": "mri"}
    folder = fill(tmp_path / "in", files | {"pet.nii.gz": "pet", "P02_brain_mask.nii.gz": "mask"})
    for name in ("notes.mhd", "all.tar.gz"):
        (folder / "P01" / name).write_text("")
    rows, out = rows_of(hnscc, folder, tmp_path / "m.csv")
    assert [(row["patient_id"], row["scan_id"]) for row in rows] == [
        *(("p001", "p001_1"), ("p001", "p001_2")),
        ("p002", "p002_1"),
    ]
    assert rows[1]["pet"] == "in/P01/v2/pet.nii.gz" and rows[2]["pet"] == ""
    for said in ("its name says pet and mri", "its path does not say whose it is", "1 of .mhd, 1 of .tar.gz"):
        assert said in " ".join(out.replace("│", " ").split()), said
    files = {each["remark"] for each in json.loads(hnscc("scan", folder, "--json")[1])["files"]}
    assert {"its name says neither mask nor modality"} < files
    assert any("something else than a lesion" in each for each in files)


def test_visits_that_may_be_taken_for_patients_are_told(hnscc, tmp_path):
    files = {f"V{visit}/{kind}.nii": kind for visit in (1, 2) for kind in KINDS}
    _, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    assert "look at p001, p002: only words that may be visits tell these 2 patients apart" in " ".join(
        out.split()
    )
    files = {f"{who}/V1_baseline/{kind}.nii": kind for who in ("D01", "M01") for kind in KINDS}
    _, out = rows_of(hnscc, fill(tmp_path / "two", files), tmp_path / "o.csv")
    assert "only words that may be visits tell these 2 patients apart" in " ".join(out.split())
    _, out = rows_of(hnscc, fill(tmp_path / "own", LAYOUTS["nnU-Net"]), tmp_path / "n.csv")
    assert "may be visits" not in out


def test_visits_above_ids_that_look_like_visits_are_scans_of_the_same_patients(hnscc, tmp_path):
    files = {
        f"{visit}/M0{n}/{kind}.nii": kind
        for visit in ("baseline", "followup")
        for n in (1, 2)
        for kind in KINDS
    }
    rows, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    assert [(row["patient_id"], row["scan_id"], row["pet"]) for row in rows] == [
        ("p001", "p001_1", "in/baseline/M01/pet.nii"),
        ("p001", "p001_2", "in/followup/M01/pet.nii"),
        ("p002", "p002_1", "in/baseline/M02/pet.nii"),
        ("p002", "p002_2", "in/followup/M02/pet.nii"),
    ]
    assert "look at" not in out


def test_many_scans_that_only_words_like_visits_tell_apart_are_told(hnscc, tmp_path):
    folders = [f"{who}/M0{number}" for who in ("HN", "LUNG") for number in range(5)]
    files = {f"{folder}/{kind}.nii": kind for folder in folders for kind in KINDS}
    _, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    assert "p001: 5 scans of one patient, whom words that look like visits" in " ".join(out.split())


def test_two_files_of_one_patient_alone_are_not_two_patients(hnscc, tmp_path):
    files = {"P01/pet_a.nii": "pet", "P01/pet_b.nii": "pet", "P01/mri.nii": "mri", "P01/mask.nii": "mask"}
    rows, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    assert [row["patient_id"] for row in rows] == ["p001"] and "2 files may be pet, and none was taken" in out


def test_years_that_may_be_numbers_of_patients_are_told(hnscc, tmp_path):
    files = {f"HN_{number}_{name}.nii": name for number in (1987, 2001, 300) for name in KINDS}
    files |= {f"P5/{year}/{name}.nii": name for year in (2019, 2020) for name in KINDS}
    rows, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    assert len({row["patient_id"] for row in rows}) == 3 and len(rows) == 5
    assert "look at p001: 2 scans of one patient, whom years" in out
    assert (
        "look at p001, p002: their ids differ by little" in out and "p003" not in out.partition("look at")[2]
    )


def test_patients_whose_ids_differ_by_little_are_told(hnscc, tmp_path):
    files = {f"{patient}/{name}.nii": name for patient in ("P01", "P01-2", "Q7") for name in KINDS}
    _, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    assert (
        "look at p001, p002: their ids differ by little" in out and "p003" not in out.partition("look at")[2]
    )


@pytest.mark.parametrize("ends", [("-1", "-2"), ("_1", "_2"), ("a", "b")])
def test_visits_numbered_behind_the_ids_of_all_patients_are_told_in_one_sentence(hnscc, tmp_path, ends):
    """Each was a patient without a word, and one patient stood in training and test."""
    files = {f"P0{who}{end}/{kind}.nii": kind for who in (1, 2, 3) for end in ends for kind in KINDS}
    _, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    text = " ".join(out.split())
    assert "look at p001, p002; p003, p004; p005, p006: their ids have one stem" in text
    assert text.count("look at") == 1 and "visits of one patient, or patients of a site?" in text


def test_the_phantoms_second_scans_are_of_the_same_patients(hnscc, tmp_path):
    """They were patients of their own: 23 of 16."""
    made = made_up_scans(16, 2023)
    files = {f"{each.folder}/{kind}.nii.gz": kind for each in made for kind in KINDS}
    rows, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    own = [row["scan_id"].replace("p0", "P").replace("_", "-") for row in rows]
    assert own == [each.scan_id for each in made] and len({row["patient_id"] for row in rows}) == 16
    assert [row["pet"] for row in rows] == [f"in/{each.folder}/pet.nii.gz" for each in made]
    assert "look at" not in out


@pytest.mark.parametrize("names", [("a_pet", "b_pet"), ("pet_01", "pet_02"), ("1_pet", "2_pet")])
def test_several_files_of_one_patient_alone_below_a_folder_are_told(hnscc, tmp_path, names):
    """They were two patients without a word: the folder above all files was not asked whose they are."""
    files = {f"P01/{name}.nii": "pet" for name in names} | {"P01/mri.nii": "mri", "P01/mask.nii": "mask"}
    _, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    told = "look at p001, p002: a letter or a number in the names of their files tells them apart"
    assert told in " ".join(out.split())
    for given in (
        fill(tmp_path / "group1", {f"{name}.nii": "pet" for name in names}),
        tmp_path / "in" / "P01",
    ):
        told_too = told in " ".join(hnscc("scan", given)[1].split())
        assert told_too == (given.name == "P01"), "a group is no patient"


def test_patients_numbered_in_a_folder_of_theirs_are_not_told(hnscc, tmp_path):
    files = {f"HN1/{number:02d}_{kind}.nii": kind for number in range(1, 7) for kind in KINDS}
    rows, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    assert len({row["patient_id"] for row in rows}) == 6 and "look at" not in out


@pytest.mark.parametrize(
    "files, expected",
    [
        (
            {f"{visit}/M01/{kind}": kind for visit in ("baseline", "followup") for kind in KINDS},
            ["p001", "p001"],
        ),
        (
            {f"center{c}/{k.upper()}_00{n}": k for c in "AB" for n in (1, 2) for k in KINDS},
            [f"p00{n}" for n in range(1, 5)],
        ),
        ({f"centerA/{k.upper()}_00{n}": k for n in (1, 2) for k in KINDS}, ["p001", "p002"]),
    ],
    ids=["one patient at two visits", "two centers", "one center"],
)
def test_visits_and_centers_above_an_id_are_no_patients(hnscc, tmp_path, files, expected):
    named = {f"{path}.nii": kind for path, kind in files.items()}
    rows, out = rows_of(hnscc, fill(tmp_path / "in", named), tmp_path / "m.csv")
    assert [row["patient_id"] for row in rows] == expected and "look at" not in out
    assert all(row[kind] for row in rows for kind in KINDS)


def test_a_patient_whose_id_is_much_like_that_of_an_earlier_listing_is_told(hnscc, tmp_path):
    """A second visit under P-1 got a pseudonym of its own, beside that of P01, which the file of pseudonyms knows."""
    kept = tmp_path / "kept.csv"
    kept.write_text("pseudonym,patient\np007,P01\np008,P-02\np009,P2\n")
    folder = fill(tmp_path / "in", {f"{who}/{kind}.nii": kind for who in ("P-1", "Q9") for kind in KINDS})
    rows, out = rows_of(hnscc, folder, tmp_path / "m.csv", "--pseudonyms", kept)
    assert [row["patient_id"] for row in rows] == ["p001", "p002"]
    text = " ".join(out.split())
    assert "look at p001, p007: their ids differ by little" in text
    assert "p008" not in text, "of two that are not here nothing is said"
