"""What `hnscc scan` says of series that its manifest leaves out, and which parts of a scan it finds to be one."""

import json

import dicom_files as made
import numpy as np
import pytest
from scans import scan_arrays, write

from data_prep.manifest.folder import list_scans_below

VALUES = np.random.default_rng(0).integers(0, 30000, (24, 20, 6)).astype(np.int16)
NO_WEIGHT = "no series of PT can be read, so none is named: The attribute PatientWeight is missing."
PARTS = "p001_1 and p001_2: neither has the other's images; if they show one visit"


def write_patient(folder, number: int, *, mri: bool = True, **pet: object) -> None:
    """Write PET, with attributes as given, and MR of one patient, in one DICOM study."""
    ids = {"PatientID": "ABCDE"[number], "StudyInstanceUID": f"1.2.826.0.{number}"}
    facts = made.pet_attributes(SeriesInstanceUID=f"1.2.826.0.{number}.1", **ids, **pet)
    made.write(folder, made.classic_series(VALUES, modality="PT", **facts), name=f"PT{number}")
    if mri:
        series = made.classic_series(VALUES, SeriesInstanceUID=f"1.2.826.0.{number}.2", **ids)
        made.write(folder, series, name=f"MR{number}")


def said(hnscc, tmp_path, code: int = 0) -> tuple[str, str]:
    """Return the header of the manifest that `hnscc scan` writes, and what it says, in one line."""
    ended, out, _ = hnscc("scan", tmp_path / "in", "--manifest", tmp_path / "m.csv")
    assert ended == code
    return (tmp_path / "m.csv").read_text().splitlines()[0], " ".join(out.split())


def test_a_modality_that_no_scan_shows_whole_is_told(hnscc, tmp_path):
    """A study of PET and MRI became one of MRI, because an anonymiser had taken the weight out; nothing was said."""
    for number in (1, 2):
        write_patient(tmp_path / "in", number, PatientWeight=None)
    header, out = said(hnscc, tmp_path)
    assert header == "patient_id,scan_id,mri,mask,roi" and f"look at p001_1, p002_1: {NO_WEIGHT}" in out


def test_a_scan_without_a_row_is_told(hnscc, tmp_path):
    write_patient(tmp_path / "in", 1)
    write_patient(tmp_path / "in", 2, mri=False, PatientWeight=None)
    _, out = said(hnscc, tmp_path)
    assert "p002" not in (tmp_path / "m.csv").read_text() and f"look at p002_1: {NO_WEIGHT}" in out


def test_a_series_that_cannot_be_read_beside_one_that_can_is_not_told(hnscc, tmp_path):
    write_patient(tmp_path / "in", 1)
    ids = {"PatientID": "B", "StudyInstanceUID": "1.2.826.0.1", "SeriesInstanceUID": "1.2.826.0.1.7"}
    made.write(tmp_path / "in", made.classic_series(VALUES[:, :, :1], **ids), name="scout")
    _, out = said(hnscc, tmp_path)
    assert "The series holds" in out and "can be read" not in out


@pytest.mark.parametrize("both", [False, True], ids=["of two scanners", "two visits"])
def test_scans_of_which_each_lacks_the_others_images_are_told(hnscc, tmp_path, both):
    write_patient(tmp_path / "in", 1, mri=both)
    ids = {"PatientID": "B", "StudyInstanceUID": "1.2.826.0.8", "FrameOfReferenceUID": "1.2.826.0.8.9"}
    series = made.classic_series(VALUES[::-1], SeriesInstanceUID="1.2.826.0.8.1", **ids)
    made.write(tmp_path / "in", series, name="other")
    _, out = said(hnscc, tmp_path)
    assert (PARTS in out) == (not both)


@pytest.mark.parametrize("patients", [1, 2])
def test_a_file_in_the_folder_of_one_patients_dicom_is_of_that_patient(hnscc, tmp_path, patients):
    """Only the folder that is scanned may be the patient's: the mask became a patient of its own, without images."""
    for number in range(1, patients + 1):
        write_patient(tmp_path / "in" / "series", number)
    write(tmp_path / "in" / "Tumor.nii.gz", scan_arrays()[2])
    said(hnscc, tmp_path)
    rows = (tmp_path / "m.csv").read_text().splitlines()[1:]
    masks = [row.endswith("in/Tumor.nii.gz,") for row in rows]
    assert masks == ([True] if patients == 1 else [False, False, True])


@pytest.mark.parametrize("ending", [".img", ".hdr"])
def test_half_of_a_pair_is_told_as_that(hnscc, tmp_path, ending):
    """As the data of a viewer on an archive's disc; it was said that the other half had vanished meanwhile."""
    write_patient(tmp_path / "in", 1)
    (tmp_path / "in" / f"viewer{ending}").write_bytes(b"\1" * 500)
    code, out, _ = hnscc("scan", tmp_path / "in", "--json")
    (file,) = json.loads(out)["files"]
    assert code == 0 and file["remark"].startswith("Half of the pair is missing.")


@pytest.mark.parametrize("scans", [4, 5])
def test_many_scans_of_one_patient_id_are_told(hnscc, tmp_path, scans):
    """An anonymiser had written ANONYMOUS into the files of all patients, and the cohort was one patient."""
    for number in range(scans):
        ids = {"PatientID": "ANONYMOUS", "StudyInstanceUID": f"1.2.826.0.{number}"}
        ids["FrameOfReferenceUID"] = f"1.2.826.0.{number}.9"
        series = made.classic_series(VALUES, SeriesInstanceUID=f"1.2.826.0.{number}.1", **ids)
        made.write(tmp_path / "in", series, name=f"{number}")
    _, out = said(hnscc, tmp_path)
    assert ("look at p001: 5 scans of one PatientID; if an anonymiser wrote it" in out) == (scans == 5)


@pytest.mark.parametrize("both", [True, False])
def test_of_several_folders_of_one_name_a_file_is_of_the_patient_in_its_own(tmp_path, both):
    """A mask in the first folder was given to the second folder's patient, since both are called `dicom`."""
    folders = [tmp_path / name / "dicom" for name in ("anna", "berta")]
    write_patient(folders[0], 1)
    write(folders[0 if both else 1] / "Tumor.nii.gz", scan_arrays()[2])
    if both:
        write_patient(folders[1], 2)
    listing = list_scans_below(folders)
    (file,) = listing.files
    (of_first,) = {each.patient for each in listing.series if each.paths[0].is_relative_to(folders[0])}
    assert (file.patient == of_first) == both
