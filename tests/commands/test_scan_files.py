"""`hnscc scan` of folders of NIfTI and other volumes: hospitals' layouts, what is unclear, and what `prepare` takes."""

import csv
import json
import os
import re

import nibabel as nib
import pytest
import SimpleITK as sitk
from commands import refused
from identifiers import MARK, planted, write_nifti
from layouts import KINDS, LAYOUTS, LESION, MRI, PET, fill, rows_of
from scans import LPS, analyze, sts, to_itk, write

import hnscc as api
from hnscc.base.errors import InputError
from hnscc.cohort.store import open_store


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
    assert out.count("look at") == 1 and "no mask found" not in out and "--prefer" not in out
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
        "A file cannot be opened. Found: a link to nothing, or what is no plain file"
    ] * 3


def test_folders_that_may_be_listed_and_not_entered_are_told_without_a_path(hnscc, tmp_path, monkeypatch):
    """As after `chmod -R 644`: each of these ended in a traceback that had the path."""
    folder = fill(tmp_path / "in", {"SECRET_1/pet.nii": "pet"})
    monkeypatch.chdir(tmp_path)
    hnscc("scan", "in"), hnscc("init", "in/none", "mine.yaml")  # another user may not load what they need
    tmp_path.chmod(0o755)
    said = []
    for closed in (folder / "SECRET_1", folder):
        closed.chmod(0o644)
        if os.geteuid() == 0:
            os.seteuid(65534)
        try:
            said += [hnscc(*line) for line in (("scan", "in"), ("scan", "in/SECRET_1"), ("init", "in"))]
        finally:
            os.seteuid(os.getuid())
            closed.chmod(0o755)
    assert [code for code, _, _ in said] == [0, 0, 2, 2, 2, 2]
    assert not [text for _, *texts in said for text in texts if "SECRET" in text]
    assert "files that are taken for nothing, for the reason that stands beside them: 1" in said[0][1]
    assert "no access (Permission denied)" in said[4][2]


def test_a_path_in_a_folder_that_may_not_be_entered_is_told(hnscc, tmp_path, monkeypatch):
    """Each ended in a traceback."""
    fill(tmp_path / "in", {"P1/pet.nii": "pet"})
    (tmp_path / "closed").mkdir(mode=0o644)
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    lines = [
        ("scan", "in", "--manifest", "closed/SECRET.csv"),
        ("scan", "in", "--pseudonyms", "closed/SECRET.csv"),
        ("init", "in", "closed/SECRET.yaml"),
        ("status", "closed/SECRET"),
    ]
    [hnscc(*map(lambda word: word.replace("closed", "none"), line)) for line in lines]
    if os.geteuid() == 0:
        os.seteuid(65534)  # who may not load what they need
    try:
        said = [hnscc(*line) for line in lines]
    finally:
        os.seteuid(os.getuid())
    for each in said:
        error = refused(each)
        assert "Permission denied" in error and "SECRET" not in error, error


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
    assert out.count("write the right one there (or say which by `--prefer`") == 2
    assert "the mask of 2 scans says FILL-IN" in out and "1 scan lack an image" not in out
    assert "1 scan lacks an image: fill the empty cell" in out
    patterns = ("--prefer", "t1_MASK*", "--prefer", "pet.nii*")
    rows, out = rows_of(hnscc, folder, tmp_path / "again.csv", *patterns)
    assert [row["mask"] for row in rows] == ["in/P01/T1_mask.nii.gz", "in/P02/T1_mask.nii.gz"]
    assert [row["pet"] for row in rows] == ["in/P01/pet.nii.gz", "in/P02/pet.nii.gz"] and "look at" not in out


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
        "The file cannot be read. Found: plain text, not data compressed with gzip",
        *["A file cannot be opened. Found: a link to nothing, or what is no plain file"] * 2,
    ]


def test_nothing_that_names_a_patient_is_printed(hnscc, tmp_path):
    folder = tmp_path / f"{planted('folder of the hospital')}"
    for number in (1, 2):
        of = folder / f"{planted('folder of the patient')}_{number}"
        for name, values in KINDS.items():
            write_nifti(of / f"{name}_{planted('file')}.nii.gz", values, LPS)
    write_nifti(folder / f"{planted('file')}.nii.gz", PET, LPS)
    (of / f"pet_{planted('file')}_cut.nii.gz").write_bytes(b"x")
    for options in ([], ["--json"], ["--manifest", tmp_path / "m.csv", "--prefer", f"*{planted('file')}*"]):
        code, out, error = hnscc("scan", folder, *options)
        assert code == 0 and MARK.lower() not in (out + error).lower()
    assert "p002_1" in out and MARK in (tmp_path / "m.csv").read_text()
    error = refused(hnscc("scan", folder, "--manifest", tmp_path / "other.csv", "--prefer", planted("file")))
    assert MARK.lower() not in error.lower() and "found:      1 pattern and 6 names, and none fits" in error


def test_pseudonyms_of_files_are_kept(hnscc, tmp_path):
    folder = fill(tmp_path / "in", LAYOUTS["a folder for each patient"])
    kept = tmp_path / "kept.csv"
    kept.write_text("pseudonym,patient\np007,P02\n")
    rows, _ = rows_of(hnscc, folder, tmp_path / "m.csv", "--pseudonyms", kept)
    assert [(row["patient_id"], row["pet"]) for row in rows] == [
        ("p001", "in/P01/pet.nii.gz"),
        ("p007", "in/P02/pet.nii.gz"),
    ]
    assert kept.read_text() == "pseudonym,patient\np001,p01\np007,P02\n"


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


def test_a_manifest_that_is_there_already_is_told_before_anything_is_read(tmp_path):
    folder, table = fill(tmp_path / "in", {"P01/pet.nii": "pet", "P01/gtv.nii": "mask"}), tmp_path / "m.csv"
    table.write_text("mine")
    read: list[int] = []
    with pytest.raises(InputError, match="The manifest is there already"):
        api.scan(folder, manifest=table, progress=lambda done, total, text: read.append(done))
    assert read == [] and table.read_text() == "mine"
    api.scan(folder, progress=lambda done, total, text: read.append(done))
    assert read
