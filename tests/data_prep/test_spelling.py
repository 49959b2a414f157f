"""How people spell headers and paths: capitals, `~`, backslashes; a drive of Windows is told as what it is."""

import csv
import os
from pathlib import Path

import pytest
from scans import cohort, read_manifest, refused, save

from data_prep.new_scans import list_scans

PLAIN = ["patient_id", "scan_id", "pet", "mri", "mask"]


def headed(folder: Path, *names: str) -> Path:
    """A cohort of two scans whose manifest has this header."""
    _, *rows = csv.reader(cohort(folder, 2).read_text().splitlines())
    return save(folder, [list(names), *rows])


def with_cells(folder: Path, respell) -> Path:
    """A cohort of two scans with every path of the manifest spelled otherwise."""
    header, *rows = csv.reader(cohort(folder, 2).read_text().splitlines())
    return save(
        folder, [header, *([*row[:2], *(cell and respell(cell) for cell in row[2:])] for row in rows)]
    )


@pytest.mark.parametrize(
    "header, modalities",
    [
        (["Patient_ID", "Scan_ID", "PET", "MRI", "Mask"], ["pet", "mri"]),
        (["PATIENT_ID", "SCAN_ID", "PET", "Mri", "MASK"], ["pet", "mri"]),
        (["patient_id", "scan_id", "Ct", "FLAIR", "mask"], ["ct", "FLAIR"]),
        (["patient_id", "scan_id", "T1", "t2", "mask"], ["T1", "t2"]),
    ],
)
def test_capitals_in_a_header_count_for_nothing_but_in_names_of_ones_own(tmp_path, header, modalities):
    plain = read_manifest(cohort(tmp_path, 2))
    rows = read_manifest(headed(tmp_path, *header))
    assert [list(row.files) for row in rows] == [modalities] * 2
    for row, expected in zip(rows, plain, strict=True):
        assert (row.patient_id, row.scan_id, row.mask) == (
            expected.patient_id,
            expected.scan_id,
            expected.mask,
        )
        assert list(row.files.values()) == list(expected.files.values())


def test_optional_columns_have_any_capitals(tmp_path):
    header, *rows = csv.reader(cohort(tmp_path, 2).read_text().splitlines())
    manifest = save(tmp_path, [[*header, "Split", "ROI"], [*rows[0], "train", "GTV"], [*rows[1], "test", ""]])
    assert [(row.split, row.region) for row in read_manifest(manifest)] == [("train", "GTV"), ("test", None)]


@pytest.mark.parametrize(
    "header, columns",
    [
        (["patient_id", "scan_id", "T1", "t1", "mask"], "columns 3 and 4"),
        (["patient_id", "scan_id", "pet", "PET", "mask"], "columns 3 and 4"),
        (["patient_id", "scan_id", "pet", "Mask", "mask"], "columns 4 and 5"),
    ],
)
def test_columns_that_differ_by_capitals_alone_are_told(tmp_path, header, columns):
    refused(headed(tmp_path, *header), "Two columns have the same name", columns, "more than capitals")


@pytest.mark.parametrize("needed", [["pet", "T1"], ["PET", "t1"], ["Pet"]])
def test_new_scans_have_the_modalities_of_the_study_in_any_capitals(tmp_path, needed):
    manifest = headed(tmp_path, "Patient_ID", "SCAN_ID", "PET", "T1", "MASK")
    assert [list(row.files) for row in list_scans(manifest, needed)] == [needed] * 2


@pytest.mark.parametrize(
    "respell",
    [
        lambda cell: cell.replace("/", "\\"),
        lambda cell: ".\\" + cell.replace("/", "\\"),
        lambda cell: f"~/{cell}",
        lambda cell: "~\\" + cell.replace("/", "\\"),
    ],
    ids=["backslashes", "dot and backslashes", "home", "home with backslashes"],
)
def test_other_spellings_of_a_path_name_the_same_file(tmp_path, monkeypatch, respell):
    monkeypatch.setenv("HOME", str(tmp_path))
    plain = read_manifest(cohort(tmp_path, 2))
    rows = read_manifest(with_cells(tmp_path, respell))
    assert [row.scan_id for row in rows] == ["S0", "S1"]
    for row, expected in zip(rows, plain, strict=True):
        for (_, path), (_, same) in zip(row.columns, expected.columns, strict=True):
            assert path.samefile(same)


def test_a_series_behind_a_mark_may_be_spelled_with_backslashes(tmp_path):
    (tmp_path / "p01" / "dicom").mkdir(parents=True)
    manifest = with_cells(tmp_path, lambda cell: "p01\\dicom#3f2a9c1e" if cell == "s0/pet.nii.gz" else cell)
    assert read_manifest(manifest)[0].files["pet"] == tmp_path / "p01" / "dicom#3f2a9c1e"


@pytest.mark.skipif(os.name == "nt", reason="there a backslash always separates, and drives are there")
def test_a_file_of_just_that_name_is_taken(tmp_path):
    """Where something has the cell's very name, this is what is meant."""
    names = {"s0/pet.nii.gz": "~s.nii.gz", "s0/mri.nii.gz": "a\\b.nii.gz", "s0/mask.nii.gz": "C:\\m.nii.gz"}
    manifest = with_cells(tmp_path, lambda cell: names.get(cell, cell))
    for cell, name in names.items():
        (tmp_path / cell).rename(tmp_path / name)
    assert [path.name for _, path in read_manifest(manifest)[0].columns] == list(names.values())


@pytest.mark.parametrize(
    "respell",
    [
        lambda cell: f"~/gone/{cell}",
        lambda cell: f"~nobody-of-that-name/{cell}",
        lambda cell: f"gone\\{cell}",
    ],
)
def test_what_is_not_there_in_any_spelling_is_told_by_cell(tmp_path, monkeypatch, respell):
    monkeypatch.setenv("HOME", str(tmp_path))
    text = refused(with_cells(tmp_path, respell), "5 faults", "row 3, scan S1, column mri", "does not exist")
    assert "gone" not in text and "nobody" not in text


@pytest.mark.skipif(os.name == "nt", reason="there are drives on Windows")
@pytest.mark.parametrize("start", ["C:\\data\\", "d:/data/", "\\\\server\\Smith\\"])
def test_a_drive_of_windows_is_told_once_with_what_to_do(tmp_path, start):
    text = refused(
        with_cells(tmp_path, lambda cell: start + cell.replace("/", "\\")),
        "drive or server of Windows",
        "manifest rows 2, 3, columns pet, mri, mask",
        "in 5 cells",
        "Copy the files to this machine",
    )
    assert "faults" not in text and "does not exist" not in text and "Smith" not in text


@pytest.mark.skipif(os.name == "nt", reason="there are drives on Windows")
def test_other_faults_are_told_beside_a_drive_of_windows(tmp_path):
    cells = {"s0/pet.nii.gz": "C:\\Smith\\pet.nii.gz", "s1/mri.nii.gz": "gone.nii.gz"}
    text = refused(
        with_cells(tmp_path, lambda cell: cells.get(cell, cell)),
        "2 faults",
        "manifest row 2, column pet: The manifest names files on a drive",
        "row 3, scan S1, column mri: The file does not exist",
    )
    assert "Smith" not in text
