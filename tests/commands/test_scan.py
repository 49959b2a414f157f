"""`hnscc scan FOLDER` lists what DICOM holds, under pseudonyms, and writes a manifest that `prepare` takes."""

import csv
import json
import os
from copy import deepcopy

import dicom_files as made
import numpy as np
import pytest
from commands import refused
from pydicom import dcmread
from pydicom.sequence import Sequence as Items
from scans import write

from hnscc.cohort.store import open_store

SHAPE = (24, 20, 6)


def structures(frame: str, images, corners) -> made.Dataset:
    """A structure set with one region, `GTV`: the same polygon (x, y) in mm on the slices z = 43 to 49 mm."""
    data = made.image("RTSTRUCT", np.zeros((1, 1), np.uint8), FrameOfReferenceUID=frame)
    del data.PixelData
    roi = made.Dataset()
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 1, "GTV", frame
    data.StructureSetROISequence = Items([roi])
    contours = []
    for image in images:
        contour = made.Dataset()
        z = float(image.ImagePositionPatient[2])
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(corners)
        contour.ContourData = [value for x, y in corners for value in (x, y, z)]
        contours.append(contour)
    drawn = made.Dataset()
    drawn.ReferencedROINumber, drawn.ContourSequence = 1, Items(contours)
    data.ROIContourSequence = Items([drawn])
    return data


@pytest.fixture
def exports(tmp_path):
    """Two patients, each with PET and MR of one frame and a structure set, all in one folder per patient; the second
    has an MR of fewer slices more, a localiser and a file that is damaged."""
    for number in (1, 2):
        rng = np.random.default_rng(number)
        ids = {"PatientID": f"SECRET{number}", "StudyInstanceUID": f"1.2.826.0.{number}"}
        ids["FrameOfReferenceUID"] = f"1.2.826.0.{number}.9"
        folder = tmp_path / "exports" / f"SECRET_{number}"
        values = rng.integers(0, 30000, SHAPE).astype(np.int16)
        pet = made.pet_attributes(SeriesInstanceUID=f"1.2.826.0.{number}.1", **ids)
        made.write(folder, made.classic_series(values, modality="PT", **pet), name="PT")
        mri = made.classic_series(values[::-1], SeriesInstanceUID=f"1.2.826.0.{number}.2", **ids)
        made.write(folder, mri, name="MR")
        corners = [(-8, -20), (4, -20), (4, -10), (-8, -10)]
        lesion = structures(ids["FrameOfReferenceUID"], mri[1:4], corners)
        for name, value in {**ids, "SeriesInstanceUID": f"1.2.826.0.{number}.3"}.items():
            setattr(lesion, name, value)
        made.write(folder, [lesion], name="RS")
    short = made.classic_series(values[:, :, :3], SeriesInstanceUID="1.2.826.0.2.4", **ids)
    made.write(folder, short, name="short")
    scout = {"SeriesInstanceUID": "1.2.826.0.2.5", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    made.write(folder, made.classic_series(values, **{**ids, **scout}), name="scout")
    (folder / "broken.dcm").write_bytes(b"moved")
    return tmp_path / "exports"


def test_a_folder_is_listed_under_pseudonyms(hnscc, exports, tmp_path):
    code, out, error = hnscc("scan", exports, "--json")
    assert code == 0
    listing = json.loads(out)
    assert listing["unreadable"] == 1
    series = listing["series"]
    assert {each["patient"] for each in series} == {"p001", "p002"}
    assert {each["scan"] for each in series} == {"p001_1", "p002_1"}
    (pet,) = [each for each in series if each["patient"] == "p001" and each["modality"] == "PT"]
    assert pet["shape"] == [24, 20, 6] and pet["spacing_mm"] == [2, 1.5, 3] and pet["slices"] == 6
    assert pet["plane"] == "axial" and pet["fault"] == ""
    assert [each["regions"] for each in series if each["regions"]] == [["GTV"], ["GTV"]]
    assert any(each["kind"] == "a localiser (scout)" for each in series)
    code, table, more = hnscc("scan", exports)
    assert code == 0 and "2 patients, 2 scans, 8 series" in table and f"#{pet['key']}" in table
    assert "DICOM files that could not be read: 1" in table
    for text in (out, error, table, more):
        assert "SECRET" not in text and "1.2.826" not in text


def test_patients_whose_ids_differ_by_a_visit_are_told_once_under_their_pseudonyms(hnscc, tmp_path):
    for number, patient in enumerate(("P05_20190101", "P05_20200301", "P06_pre", "P06_post", "Q7")):
        ids = {"PatientID": patient, "StudyInstanceUID": f"1.2.826.0.{number}"}
        values = np.full(SHAPE, number + 1, np.int16)
        series = made.classic_series(values, SeriesInstanceUID=f"1.2.826.0.{number}.1", **ids)
        made.write(tmp_path / "in", series, name=f"{number}")
    _, out, _ = hnscc("scan", tmp_path / "in", "--json")
    (note,) = json.loads(out)["notes"]
    assert note.startswith("p001, p002; p003, p004: their ids differ by what may be a visit alone")


def test_linked_folders_are_read_once_and_lead_not_round(hnscc, exports, tmp_path):
    """A folder of links, as archives of a study are often made; one of them leads back, one twice to the same."""
    (tmp_path / "linked").mkdir()
    for name, to in (("one", "SECRET_1"), ("two", "SECRET_2"), ("again", "SECRET_1")):
        (tmp_path / "linked" / name).symlink_to(exports / to)
    (exports / "SECRET_1" / "round").symlink_to(tmp_path / "linked")
    _, straight, _ = hnscc("scan", exports / "SECRET_2", "--json")
    code, linked, _ = hnscc("scan", tmp_path / "linked", "--json")
    assert code == 0
    series = json.loads(linked)["series"]
    assert len(series) == 8 and len({each["key"] for each in series}) == 8
    files = {each["key"]: each["files"] for each in series}
    for each in json.loads(straight)["series"]:
        assert files[each["key"]] == each["files"], "each file counts once"
    assert sum(files.values()) == 6 + 6 + 1 + 6 + 6 + 1 + 3 + 6


def test_its_manifest_is_prepared(hnscc, exports, tmp_path):
    manifest, store = tmp_path / "manifest.csv", tmp_path / "s.zarr"
    code, out, _ = hnscc("scan", exports, "--manifest", manifest)
    assert code == 0 and "look at p002_1: of 2 series of MR" in out
    rows = list(csv.DictReader(manifest.read_text().splitlines()))
    assert [(row["patient_id"], row["scan_id"], row["roi"]) for row in rows] == [
        ("p001", "p001_1", "GTV"),
        ("p002", "p002_1", "GTV"),
    ]
    (exports / "SECRET_2" / "broken.dcm").unlink()
    options = ("--size", 16, "--workers", 1, "--accept-odd", "noise")
    code, shown, error = hnscc("prepare", manifest, store, *options)
    assert code == 0, error
    assert "median, pet in SUV, mri in the files' own units of values." in shown
    kept = [file.read_bytes() for file in store.rglob("*") if file.is_file()]
    for text in (shown.encode(), error.encode(), *kept):
        assert b"SECRET" not in text and b"1.2.826" not in text
    opened = open_store(store)
    assert opened.placed["units"] == {"pet": "SUV"}
    # 12 x 10 mm on three slices of 3 mm.
    assert [scan.placement["lesion"]["ml"] for scan in opened.scans] == pytest.approx([1.08, 1.08], rel=0.15)
    assert "SECRET" not in refused(hnscc("scan", exports, "--manifest", manifest))


def test_a_scan_without_a_mask_is_not_taken_as_free_of_lesion(hnscc, exports, tmp_path):
    """Contours that were not exported: the user says whether there is a lesion, and `prepare` waits for that."""
    (contours,) = (exports / "SECRET_1").glob("RS*")
    contours.unlink()
    (exports / "SECRET_2" / "broken.dcm").unlink()
    manifest = tmp_path / "manifest.csv"
    code, out, _ = hnscc("scan", exports, "--manifest", manifest)
    assert code == 0 and "look at p001_1: no mask found; its cell says FILL-IN" in out
    assert "the mask of 1 scan says FILL-IN: write a mask there" in out.partition("next:")[2]
    rows = {row["scan_id"]: row for row in csv.DictReader(manifest.read_text().splitlines())}
    assert [rows[scan]["mask"] == "FILL-IN" for scan in ("p001_1", "p002_1")] == [True, False]
    options = ("--size", 16, "--workers", 1, "--accept-odd", "noise")
    error = refused(hnscc("prepare", manifest, tmp_path / "s.zarr", *options))
    assert "The mask is still to be filled in." in error and "row 2, scan p001_1, column mask" in error
    assert "a mask, or `none` for a scan without lesion" in error and "row 3" not in error
    assert not (tmp_path / "s.zarr").exists()
    manifest.write_text(manifest.read_text().replace("FILL-IN", "none"))
    code, _, error = hnscc("prepare", manifest, tmp_path / "s.zarr", *options)
    assert code == 0, error
    code, out, _ = hnscc("scan", exports, "--manifest", tmp_path / "again.csv", "--json")
    assert json.loads(out)["to_fill_in"] == ["p001_1"]


def test_a_mask_of_several_regions_is_to_be_looked_at_before_the_cohort_is_prepared(hnscc, exports, tmp_path):
    """`next:` was to prepare a manifest that `prepare` refused."""
    (contours,) = (exports / "SECRET_1").glob("RS*")
    data = dcmread(contours)
    data.StructureSetROISequence.append(deepcopy(data.StructureSetROISequence[0]))
    data.StructureSetROISequence[1].ROINumber, data.StructureSetROISequence[1].ROIName = 2, "PTV"
    data.ROIContourSequence.append(deepcopy(data.ROIContourSequence[0]))
    data.ROIContourSequence[1].ReferencedROINumber = 2
    data.save_as(contours)
    (exports / "SECRET_2" / "broken.dcm").unlink()
    table = tmp_path / "m.csv"
    code, out, error = hnscc("scan", exports, "--manifest", table)
    assert code == 0, error
    first, then = out.partition("next:")[2].strip().splitlines()
    assert first == "1 mask holds several regions: write the lesion's name into the column roi; then"
    assert then.strip().startswith(f"hnscc prepare {table}")
    assert "The mask holds several regions" in refused(
        hnscc("prepare", table, tmp_path / "s.zarr", "--workers", 1)
    )
    listing = json.loads(hnscc("scan", exports, "--manifest", tmp_path / "again.csv", "--json")[1])
    assert listing["without_region"] == ["p001_1"] and listing["to_fill_in"] == []


def test_slices_that_are_named_as_volumes_are_dicom_alone(hnscc, exports):
    """Old archives name slices .img, which Analyze does too."""
    before = json.loads(hnscc("scan", exports, "--json")[1])
    for file in exports.rglob("MR*"):
        file.rename(file.with_name(f"{file.name}.img"))
    after = json.loads(hnscc("scan", exports, "--json")[1])
    assert after == before and after["files"] == []


def test_volumes_beside_dicom_are_of_the_same_patient(hnscc, exports, tmp_path):
    """A mask in NIfTI in the folder of the patient's series belongs to their scan; images in NIfTI whose name bears the
    PatientID are a second scan of that patient."""
    (contours,) = (exports / "SECRET_1").glob("RS*")
    contours.unlink()
    write(exports / "SECRET_1" / "lesion.nii.gz", np.zeros(SHAPE, np.uint8))
    write(exports / "nifti" / "SECRET2_pet.nii.gz", np.zeros(SHAPE, np.float32))
    manifest = tmp_path / "manifest.csv"
    code, out, error = hnscc("scan", exports, "--manifest", manifest)
    assert code == 0 and "SECRET" not in out + error
    rows = {row["scan_id"]: row for row in csv.DictReader(manifest.read_text().splitlines())}
    assert sorted(rows) == ["p001_1", "p002_1", "p002_2"]
    assert rows["p001_1"]["mask"] == "exports/SECRET_1/lesion.nii.gz" and "#" in rows["p001_1"]["pet"]
    assert rows["p002_2"]["pet"] == "exports/nifti/SECRET2_pet.nii.gz"
    assert rows["p002_2"]["mri"] == "" and "look at p002_2: nothing for the column mri" in out


# What a file may hold instead of pseudonyms, and how that is told.
NO_PSEUDONYMS = {
    "name,id\na,b\n": "other words in its first line",
    "": "an empty file",
    "pseudonym,patient\np001,SECRET1,x\n": "3 cells in line 2",
    "pseudonym,patient\np001,SECRET1\np002,SECRET1\n": "a patient in line 3",
    "pseudonym,patient\np001,SECRET1\np001,SECRET2\n": "a pseudonym in line 3",
    'pseudonym,patient\n"p001,SECRET1\n': "cannot be read as CSV",
}


def test_where_the_pseudonyms_cannot_be_written_no_manifest_is_left(hnscc, exports, tmp_path):
    """It was left without the one file that says whose scans it lists, and the same command then refused to go on."""
    kept = tmp_path / f"{'p' * 235}.csv"  # a name that is too long for a file while it is written
    asked = ("scan", exports, "--manifest", tmp_path / "m.csv", "--pseudonyms")
    assert "File name too long" in refused(hnscc(*asked, kept))
    assert not (tmp_path / "m.csv").exists()
    long = tmp_path / f"{'m' * 235}.csv"
    assert "File name too long" in refused(hnscc("scan", exports, "--manifest", long)), (
        "it ended in a traceback"
    )
    assert hnscc(*asked, tmp_path / "p.csv")[0] == 0 and (tmp_path / "m.csv").is_file()


def test_one_file_cannot_be_manifest_and_pseudonyms(hnscc, exports, tmp_path):
    """The table that tells who is who replaced the manifest, and `next:` said to prepare it."""
    table = tmp_path / "m.csv"
    again = tmp_path / "exports" / ".." / "m.csv"
    error = refused(hnscc("scan", exports, "--manifest", table, "--pseudonyms", again))
    assert "the same path twice" in error and not table.exists()


def test_a_file_of_pseudonyms_keeps_them(hnscc, exports, tmp_path):
    """A manifest's patient_id is the pseudonym: the file calls the other one by another name."""
    kept = tmp_path / "pseudonyms.csv"
    kept.write_text("pseudonym,dicom_patient_id\np007,SECRET2\n")  # as the column was named before
    code, out, _ = hnscc("scan", exports, "--pseudonyms", kept, "--json")
    assert code == 0 and {each["patient"] for each in json.loads(out)["series"]} == {"p001", "p007"}
    assert kept.read_text() == "pseudonym,patient\np001,SECRET1\np007,SECRET2\n"
    assert kept.stat().st_mode & 0o077 == 0
    for text, found in NO_PSEUDONYMS.items():
        kept.write_text(text)
        error = refused(hnscc("scan", exports, "--pseudonyms", kept))
        assert "The file of pseudonyms cannot be used" in error and found in error and "SECRET" not in error
        assert kept.read_text() == text


def test_what_keeps_a_series_from_being_read_is_told(hnscc, tmp_path):
    values = np.zeros(SHAPE, np.int16)
    pet = made.pet_attributes(PatientWeight=None, SeriesInstanceUID="1.2.826.0.7")
    made.write(tmp_path / "x", made.classic_series(values, modality="PT", **pet))
    gap = made.classic_series(values, SeriesInstanceUID="1.2.826.0.8", orientation=made.CORONAL)
    made.write(tmp_path / "x", [*gap[:2], *gap[3:]], name="gap")
    _, out, _ = hnscc("scan", tmp_path / "x", "--json")
    faults = {each["modality"]: each["fault"] for each in json.loads(out)["series"]}
    assert faults == {
        "PT": "The attribute PatientWeight is missing.",
        "MR": "Slices of the series are missing.",
    }
    assert "No scan of the folder can be prepared" in refused(
        hnscc("scan", tmp_path / "x", "--manifest", tmp_path / "m.csv")
    )


def test_a_folder_without_dicom_is_refused(hnscc, tmp_path):
    (tmp_path / "notes.txt").write_text("SECRET")
    assert "holds no DICOM file" in refused(hnscc("scan", tmp_path))
    assert "There is no such folder." in refused(hnscc("scan", tmp_path / "nothing"))


def test_a_pipe_among_the_files_counts_as_unreadable(hnscc, exports):
    before = json.loads(hnscc("scan", exports, "--json")[1])["unreadable"]
    os.mkfifo(exports / "SECRET_1" / "SECRET")
    code, out, _ = hnscc("scan", exports, "--json")
    assert code == 0 and json.loads(out)["unreadable"] == before + 1


def test_a_folder_whose_name_is_no_text_is_refused_and_not_named(hnscc, exports, tmp_path):
    """In latin-1, as old systems named it: a manifest, which is UTF-8, has no way to say it."""
    (exports / "SECRET_1").rename(exports / os.fsdecode(b"SECRET_M\xfcller"))
    error = refused(hnscc("scan", exports, "--manifest", tmp_path / "m.csv"))
    assert "cannot be written into a manifest" in error and "SECRET" not in error
    assert not (tmp_path / "m.csv").exists()
