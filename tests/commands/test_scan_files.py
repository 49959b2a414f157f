"""`hnscc scan` of folders of NIfTI and other volumes: hospitals' layouts, what is unclear, and what `prepare` takes."""

import csv
import json
import os
import re
from pathlib import Path

import nibabel as nib
import pytest
import SimpleITK as sitk
from commands import refused
from identifiers import MARK, planted, write_nifti
from scans import LPS, analyze, scan_arrays, sts, to_itk, write

from hnscc.cohort.store import open_store

PET, MRI, LESION = scan_arrays()
KINDS = {"pet": PET, "mri": MRI, "mask": LESION}


def fill(folder: Path, files: dict[str, str]) -> Path:
    """Write tiny volumes: `files` says of each path whether it is a pet, mri or mask."""
    for number, (path, kind) in enumerate(sorted(files.items())):
        noise = dict(zip(KINDS, scan_arrays(number), strict=True))
        write(folder / path, noise[kind])
    return folder


def rows_of(hnscc, folder: Path, manifest: Path, *options: object) -> tuple[list[dict[str, str]], str]:
    code, out, error = hnscc("scan", folder, "--manifest", manifest, *options)
    assert code == 0, error
    return list(csv.DictReader(manifest.read_text().splitlines())), out


LAYOUTS = {
    "a folder for each patient": {
        **{"P01/pet.nii.gz": "pet", "P01/t1.nii.gz": "mri", "P01/mask.nii.gz": "mask"},
        **{"P02/pet.nii.gz": "pet", "P02/t1.nii.gz": "mri", "P02/mask.nii.gz": "mask"},
    },
    "BIDS": {
        "sub-01/ses-1/pet/sub-01_ses-1_trc-FDG_pet.nii.gz": "pet",
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz": "mri",
        "derivatives/manual/sub-01/ses-1/anat/sub-01_ses-1_desc-lesion_mask.nii.gz": "mask",
        "sub-02/ses-1/pet/sub-02_ses-1_trc-FDG_pet.nii.gz": "pet",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz": "mri",
        "derivatives/manual/sub-02/ses-1/anat/sub-02_ses-1_desc-lesion_mask.nii.gz": "mask",
    },
    "nnU-Net": {
        "imagesTr/HN_001_0000.nii.gz": "pet",
        "imagesTr/HN_001_0001.nii.gz": "mri",
        "labelsTr/HN_001.nii.gz": "mask",
        "imagesTr/HN_002_0000.nii.gz": "pet",
        "imagesTr/HN_002_0001.nii.gz": "mri",
        "labelsTr/HN_002.nii.gz": "mask",
    },
    "all in one folder": {
        **{"P01_PET.nii.gz": "pet", "P01_T1.nii.gz": "mri", "P01_GTV.nii.gz": "mask"},
        **{"P02_PET.nii.gz": "pet", "P02_T1.nii.gz": "mri", "P02_GTV.nii.gz": "mask"},
    },
    "HECKTOR": {
        "imagesTr/CHUS001__PT.nii.gz": "pet",
        "imagesTr/CHUS001__MR.nii.gz": "mri",
        "labelsTr/CHUS001.nii.gz": "mask",
        "imagesTr/CHUS002__PT.nii.gz": "pet",
        "imagesTr/CHUS002__MR.nii.gz": "mri",
        "labelsTr/CHUS002.nii.gz": "mask",
    },
    "a folder for each modality": {
        **{"PET/P01.nii": "pet", "MRI/P01.nii": "mri", "masks/P01.nii": "mask"},
        **{"PET/P02.nii": "pet", "MRI/P02.nii": "mri", "masks/P02.nii": "mask"},
    },
    "a mask by its header": {
        **{"P01/suv.nii.gz": "pet", "P01/flair.nii.gz": "mri", "P01/manual.nii.gz": "mask"},
        **{"P02/suv.nii.gz": "pet", "P02/flair.nii.gz": "mri", "P02/manual.nii.gz": "mask"},
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_hospitals_become_manifests(hnscc, tmp_path, layout):
    folder = fill(tmp_path / "in", LAYOUTS[layout])
    if layout == "nnU-Net":
        (folder / "dataset.json").write_text('{"channel_names": {"0": "PET", "1": "MRI"}}')
    rows, out = rows_of(hnscc, folder, tmp_path / "m.csv")
    kind_of = {f"in/{path}": kind for path, kind in LAYOUTS[layout].items()}
    for number, row in enumerate(rows, start=1):
        assert (row["patient_id"], row["scan_id"]) == (f"p00{number}", f"p00{number}_1")
        assert {name: kind_of[row[name]] for name in KINDS} == {name: name for name in KINDS}
        of = {path for path in kind_of if re.search(rf"(P0|sub-0|HN_00|CHUS00){number}", path)}
        assert {row[name] for name in KINDS} == of
    assert len(rows) == 2 and "2 patients, 2 scans, 6 files" in out
    assert "look at" not in out or (layout == "a mask by its header" and "by its header" in out)


def test_masks_of_organs_are_left_out_and_told(hnscc, tmp_path):
    files = {f"P0{at}/{name}.nii": name for at in (1, 2) for name in ("pet", "mri")}
    files |= {"P01/segmentations/liver.nii": "mask", "P02/brain/mask.nii": "mask", "P02/gtv.nii": "mask"}
    rows, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    assert [row["mask"] for row in rows] == ["FILL-IN", "in/P02/gtv.nii"]
    assert "look at p001_1: a mask was left out, since its name says liver" in out
    assert out.count("look at") == 1 and "no mask found" not in out
    files = {f"{folder}Tr/lung_001{end}.nii": kind for folder, end, kind in [("images", "_0000", "pet")]}
    folder = fill(tmp_path / "msd", files | {"labelsTr/lung_001.nii": "mask"})
    rows, out = rows_of(hnscc, folder, tmp_path / "n.csv")
    assert [row["mask"] for row in rows] == [
        "msd/labelsTr/lung_001.nii"
    ] and "1 patient, 1 scan, 2 files" in out
    assert "look at p001_1: a file is taken for the mask though its name says lung" in out


def test_images_of_which_none_is_clear_are_told_in_the_refusal(hnscc, tmp_path):
    names = ("pet_a", "pet_b", "mask")
    files = {f"P0{at}/{name}.nii": name.partition("_")[0] for at in (1, 2) for name in names}
    folder = fill(tmp_path / "in", files)
    error = refused(hnscc("scan", folder, "--manifest", tmp_path / "m.csv"))
    assert "2 files may be pet, and none was taken" in error and "--prefer" in error


def test_links_that_lead_nowhere_are_listed_and_no_path_is_printed(hnscc, tmp_path):
    """A link to itself, one to a name that is too long, a list of channels that is nested without end."""
    folder = fill(
        tmp_path / "in", {"imagesTr/SECRET_001_0000.nii": "pet", "imagesTr/SECRET_001_0001.nii": "mri"}
    )
    (folder / "SECRET_2_pet.nii").symlink_to("SECRET_2_pet.nii")
    (folder / "SECRET_3_pet.nii").symlink_to("SECRET" * 99)
    (folder / "SECRET_4_mri.img").symlink_to("SECRET_4_mri.img")
    (folder / "dataset.json").write_text("[" * 100_000)
    code, out, error = hnscc("scan", folder)
    assert code == 0 and "SECRET" not in out + error, error
    assert "look at dataset.json, which names the channels" in " ".join(out.split())
    code, out, error = hnscc("scan", folder, "--json")
    assert code == 0 and "SECRET" not in out + error, error
    assert [each["remark"] for each in json.loads(out)["files"] if not each["shape"]] == [
        "A file cannot be opened."
    ] * 3


def test_its_manifest_is_prepared_as_it_is(hnscc, tmp_path):
    folder = fill(tmp_path / "in", LAYOUTS["BIDS"])
    rows_of(hnscc, folder, tmp_path / "m.csv")
    options = ("--size", 16, "--workers", 1, "--accept-odd", "noise")
    code, _, error = hnscc("prepare", tmp_path / "m.csv", tmp_path / "s.zarr", *options)
    assert code == 0, error
    store = open_store(tmp_path / "s.zarr")
    assert list(store.modalities) == ["pet", "mri"]
    assert [sum(scan.source_lesion_px) for scan in store.scans] == [int(LESION.sum())] * 2


def test_two_files_for_one_cell_leave_it_to_the_user(hnscc, tmp_path):
    """Masks on either grid, two PET of one patient: nothing is guessed; a pattern says which is meant."""
    files = {f"P0{number}/{name}.nii.gz": "mask" for number in (1, 2) for name in ("PET_mask", "T1_mask")}
    files |= {f"P0{number}/{name}.nii.gz": name for number in (1, 2) for name in ("pet", "mri")}
    folder = fill(tmp_path / "in", files | {"P02/pet_nac.nii.gz": "pet"})
    rows, out = rows_of(hnscc, folder, tmp_path / "m.csv")
    assert [row["mask"] for row in rows] == ["FILL-IN"] * 2
    assert [row["pet"] for row in rows] == ["in/P01/pet.nii.gz", ""]
    assert (
        "look at p001_1, p002_1: 2 files may be mask (by their names of pet, t1), and none was taken" in out
    )
    assert "look at p002_1: 2 files may be pet, and none was taken" in out
    assert "the mask of 2 scans says FILL-IN" in out and "1 scan lack an image" not in out
    assert "1 scan lacks an image: fill the empty cell" in out
    patterns = ("--prefer", "t1_MASK*", "--prefer", "pet.nii*")
    rows, out = rows_of(hnscc, folder, tmp_path / "again.csv", *patterns)
    assert [row["mask"] for row in rows] == ["in/P01/T1_mask.nii.gz", "in/P02/T1_mask.nii.gz"]
    assert [row["pet"] for row in rows] == ["in/P01/pet.nii.gz", "in/P02/pet.nii.gz"] and "look at" not in out


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


def test_links_to_files_and_umlauts_in_two_spellings_are_one(hnscc, tmp_path):
    """A link beside its file is no second candidate, a tree of links is a cohort; macOS writes umlauts in two signs."""
    names = {"pet": "M\u00fcller", "mri": "Mu\u0308ller", "mask": "M\u00fcller"}
    folder = fill(tmp_path / "in", {f"{names[kind]} 1/{kind}.nii": kind for kind in KINDS})
    (folder / "M\u00fcller 1" / "latest_pet.nii").symlink_to("pet.nii")
    rows, out = rows_of(hnscc, folder, tmp_path / "m.csv")
    assert len(rows) == 1 and "look at" not in out and rows[0]["pet"].endswith("/pet.nii")
    linked = tmp_path / "linked"
    for name in KINDS:
        for link in ("P1_", "a_P1_"):
            (linked / f"{link}{name}.nii").parent.mkdir(exist_ok=True)
            (linked / f"{link}{name}.nii").symlink_to(folder / f"{names[name]} 1" / f"{name}.nii")
    rows, out = rows_of(hnscc, linked, tmp_path / "n.csv")
    assert [row["pet"] for row in rows] == ["linked/P1_pet.nii"] and "look at" not in out


def test_one_sequence_in_several_spellings_is_one_column(hnscc, tmp_path):
    files = {
        f"P0{number}/{name}": "mri" for number, name in enumerate(("T1.nii", "t1_mprage.nii", "T1w.nii"))
    }
    rows, _ = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    assert [row["mri"] for row in rows] == [f"in/{name}" for name in files]
    rows, out = rows_of(hnscc, fill(tmp_path / "in", {"P03/T2.nii": "mri"}), tmp_path / "n.csv")
    assert [bool(row["t1"]) for row in rows] == [True, True, True, False] and rows[3]["t2"]
    assert "look at p004_1: nothing for the column t1" in out


def test_patients_whose_ids_differ_by_little_are_told(hnscc, tmp_path):
    files = {f"{patient}/{name}.nii": name for patient in ("P01", "P01-2", "Q7") for name in KINDS}
    _, out = rows_of(hnscc, fill(tmp_path / "in", files), tmp_path / "m.csv")
    assert (
        "look at p001, p002: their ids differ by little" in out and "p003" not in out.partition("look at")[2]
    )


def test_every_kind_of_file_is_listed_by_its_header(hnscc, tmp_path):
    folder = tmp_path / "in"
    write(folder / "P1_pet.nii", PET)
    analyze(folder / "P1_mri.img", MRI, (1, 1, 3))
    nib.save(nib.MGHImage(MRI, LPS), folder / "P2_mri.mgz")
    for name, values in (("P2_pet.nrrd", PET), ("P2_mask.mha", LESION)):
        sitk.WriteImage(to_itk(values, LPS), str(folder / name))
    (folder / "P1_mask.nii.gz").write_bytes(b"not gzip")
    (folder / "._P1_pet.nii").write_bytes(b"of macOS")
    (folder / "P3_pet.nii").symlink_to("nowhere")
    os.mkfifo(folder / "P4_pet.nii")
    listed = json.loads(hnscc("scan", folder, "--json")[1])["files"]
    seen = [(each["scan"], each["column"], each["numbers"], each["spacing_mm"]) for each in listed]
    assert seen == [
        ("p001_1", "", "", []),
        ("p001_1", "mri", "float32", [1, 1, 3]),
        ("p001_1", "pet", "float32", [1, 1, 3]),
        ("p002_1", "mask", "uint8", [1, 1, 3]),
        ("p002_1", "mri", "float32", [1, 1, 3]),
        ("p002_1", "pet", "float32", [1, 1, 3]),
        ("p003_1", "", "", []),
        ("p004_1", "", "", []),
    ]
    assert all(each["shape"] == [20, 16, 5] for each in listed if each["column"])
    assert [each["remark"] for each in listed if not each["column"]] == [
        "The file cannot be read.",
        *["A file cannot be opened."] * 2,
    ]


def test_nothing_that_names_a_patient_is_printed(hnscc, tmp_path):
    folder = tmp_path / f"{planted('folder of the hospital')}"
    for number in (1, 2):
        of = folder / f"{planted('folder of the patient')}_{number}"
        for name, values in KINDS.items():
            write_nifti(of / f"{name}_{planted('file')}.nii.gz", values, LPS)
    write_nifti(folder / f"{planted('file')}.nii.gz", PET, LPS)
    (of / f"pet_{planted('file')}_cut.nii.gz").write_bytes(b"x")
    for options in ([], ["--json"], ["--manifest", tmp_path / "m.csv", "--prefer", planted("file")]):
        code, out, error = hnscc("scan", folder, *options)
        assert code == 0 and MARK.lower() not in (out + error).lower()
    assert "p002_1" in out and MARK in (tmp_path / "m.csv").read_text()


def test_pseudonyms_of_files_are_kept(hnscc, tmp_path):
    folder = fill(tmp_path / "in", LAYOUTS["a folder for each patient"])
    kept = tmp_path / "kept.csv"
    kept.write_text("pseudonym,dicom_patient_id\np007,P02\n")
    rows, _ = rows_of(hnscc, folder, tmp_path / "m.csv", "--pseudonyms", kept)
    assert [(row["patient_id"], row["pet"]) for row in rows] == [
        ("p001", "in/P01/pet.nii.gz"),
        ("p007", "in/P02/pet.nii.gz"),
    ]
    assert kept.read_text() == "pseudonym,dicom_patient_id\np001,p01\np007,P02\n"


def test_a_folder_that_holds_or_is_nothing_is_refused(hnscc, tmp_path):
    assert "no such folder" in refused(hnscc("scan", tmp_path / "SECRET"))
    write(tmp_path / "P1_pet.nii", PET)
    assert "a file, and no folder" in refused(hnscc("scan", tmp_path / "P1_pet.nii"))
    (tmp_path / "P1_pet.nii").unlink()
    (tmp_path / "a.mhd").write_text("")
    assert "1 of .mhd" in refused(hnscc("scan", tmp_path))


def test_the_real_cohort_has_the_rows_that_were_written_by_hand(hnscc, tmp_path):
    folder = sts()
    rows, _ = rows_of(hnscc, folder / "nifti", tmp_path / "m.csv", "--prefer", "MR_T1_mask*")
    with (folder / "manifest.csv").open(newline="") as file:
        by_hand = list(csv.DictReader(file))
    named = [{name: (tmp_path / row[name]).resolve() for name in KINDS} for row in rows]
    expected = [{name: (folder / row[name]).resolve() for name in KINDS} for row in by_hand]
    assert named == [each for each in expected if "nifti" in each["pet"].parts]
    assert len({row["patient_id"] for row in rows}) == len(rows) >= 30
