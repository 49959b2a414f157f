"""Manifests: what is missing, doubled or shifted is named, and no cell that may name a patient is shown."""

import csv
import os
import re

import pytest
from scans import (
    analyze,
    change,
    cohort,
    read_manifest,
    refused,
    save,
    scan_arrays,
)

from hnscc.base.errors import InputError


def test_missing_and_doubled_things_are_named(tmp_path):
    manifest = cohort(tmp_path, 3)
    whole = manifest.read_text()
    for row, column, value, words in (
        (3, "pet", "s1/nothing.nii.gz", ["row 3", "scan S1", "column pet", "does not exist"]),
        (3, "mask", "s1/nothing.nii.gz", ["row 3", "column mask", "does not exist"]),
        (3, "mri", "", ["row 3", "column mri", "empty cell"]),
        (3, "scan_id", "S0", ["row 3", "scan S0", "column scan_id", "row 2"]),
        (3, "scan_id", "s0", ["row 3", "row 2"]),
        (3, "scan_id", "", ["row 3", "column scan_id"]),
        (3, "scan_id", "../S1", ["row 3", "column scan_id"]),
        (3, "scan_id", "Jane Doe", ["row 3", "column scan_id"]),
        (3, "scan_id", "Zarr.json", ["row 3", "column scan_id", "the name of a file"]),
        (3, "patient_id", "", ["row 3", "column patient_id", "missing"]),
        (3, "patient_id", "..", ["row 3", "column patient_id"]),
        (3, "pet", "s0/pet.nii.gz", ["row 3", "scan S1", "column pet", "scan S0"]),
        (1, "mask", "truth", ["row 1", "mask"]),
        (1, "mri", "pet", ["row 1", "same name", "columns 3 and 4"]),
        (1, "mri", "T1 weighted", ["row 1", "column 4", "modality", "other characters"]),
    ):
        refused(change(manifest, row, column, value), *words)
        manifest.write_text(whole)


@pytest.mark.parametrize("column", ["patient_id", "scan_id", "split"])
@pytest.mark.parametrize("cell", ["scans/Smith_John/pet.nii", "Smith John", "Smith" * 60])
def test_cells_that_have_shifted_are_not_shown(tmp_path, column, cell):
    manifest = cohort(tmp_path, 2)
    rows = list(csv.reader(manifest.read_text().splitlines()))
    manifest = save(tmp_path, [[*rows[0], "split"], [*rows[1], "train"], [*rows[2], "test"]])
    text = refused(change(manifest, 2, column, cell), "row 2", f"column {column}", found(column, cell))
    assert "Smith" not in text


def found(column: str, cell: str) -> str:
    if column == "split":
        return "another word"
    return "other characters" if len(cell) <= 100 else "more than 100 characters"


@pytest.mark.parametrize("names", [("scans/Smith", "scans/Smith"), ("pet", "scans/Smith")])
def test_a_header_of_shifted_cells_is_not_shown(tmp_path, names):
    manifest = change(change(cohort(tmp_path, 2), 1, "mri", names[1]), 1, "pet", names[0])
    assert "Smith" not in refused(manifest, "row 1", "column")


@pytest.mark.parametrize("column", ["pet", "mask"])
def test_a_name_too_long_for_a_file_is_refused(tmp_path, column):
    manifest = change(cohort(tmp_path, 2), 2, column, "Smith" * 60)
    text = refused(manifest, "row 2", "scan S0", f"column {column}", "cannot be looked up", "too long")
    assert "Smith" not in text


@pytest.mark.parametrize("column", ["pet", "mask"])
def test_a_pipe_is_no_file(tmp_path, column):
    """Whoever opens one waits for another program, for ever."""
    manifest = change(cohort(tmp_path, 2), 2, column, "Smith.nii.gz")
    os.mkfifo(tmp_path / "Smith.nii.gz")
    assert "Smith" not in refused(manifest, "row 2", "scan S0", f"column {column}", "no file", "a pipe")


@pytest.mark.parametrize("first, second", [("pet", "mri"), ("pet", "mask"), ("mri", "mask")])
def test_a_file_in_two_columns_of_a_row_is_refused(tmp_path, first, second):
    manifest = change(cohort(tmp_path, 2), 2, second, f"s0/../s0/{first}.nii.gz")
    refused(manifest, "row 2", "scan S0", f"column {second}", f"also in column {first}", "two columns")


@pytest.mark.parametrize("header, values", [(".hdr", ".img"), (".HDR", ".IMG")])
def test_both_halves_of_a_pair_are_one_file(tmp_path, header, values):
    """Also in capitals, where half of it was said to be missing."""
    analyze(tmp_path / "both.hdr", scan_arrays()[0], (1.0, 1.0, 3.0))
    pair = [
        (tmp_path / f"both{old}").rename(tmp_path / f"both{new}").name
        for old, new in ((".hdr", header), (".img", values))
    ]
    manifest = change(cohort(tmp_path, 2), 2, "pet", pair[0])
    assert read_manifest(manifest)[0].files["pet"].name == pair[0]
    refused(change(manifest, 2, "mri", pair[1]), "row 2", "column mri", "also in column pet", "two columns")
    (tmp_path / pair[1]).unlink()
    refused(change(manifest, 2, "mri", "s0/mri.nii.gz"), "row 2", "column pet", "Half of the pair is missing")


def test_splits_are_checked(tmp_path):
    manifest = cohort(tmp_path, 3)
    rows = [
        [*row, split]
        for row, split in zip(
            csv.reader(manifest.read_text().splitlines()), ["split", "train", "test", "test"], strict=True
        )
    ]
    assert [row.split for row in read_manifest(save(tmp_path, rows))] == ["train", "test", "test"]
    whole = manifest.read_text()
    refused(
        change(manifest, 3, "split", "dev"),
        "row 3",
        "scan S1",
        "column split",
        "train, validation, test",
        "another word",
    )
    manifest.write_text(whole)
    refused(change(manifest, 3, "split", ""), "row 3", "column split")
    manifest.write_text(whole)
    refused(change(manifest, 3, "patient_id", "P0"), "row 3", "two splits", "row 2")


def test_empty_and_unreadable_manifests_are_refused(tmp_path):
    manifest = cohort(tmp_path, 2)
    lines = manifest.read_text().splitlines()
    for text, word in (
        ("", "The manifest is empty"),
        ("\ufeff \n", "The manifest is empty"),
        ("\n<!DOCTYPE html><html><body>Sign in</body></html>", "a web page (HTML)"),
        (lines[0] + "\n", "empty"),
        ("patient_id,scan_id,mask\nP,S,\n", "no modality"),
        (lines[0] + "\nP,S\n", "row 2"),
        (lines[0] + '\nP,S,"a,b\n', "from line 2 on"),
        (lines[0] + '\n"P\n1",S,a,b\n\nP,S,"a,b\nP,T,a,b\n', "from line 5 on"),
    ):
        manifest.write_text(text)
        refused(manifest, word)
    manifest.write_bytes(b"patient_id,scan_id,pet,mask\n\xff\xfe,S,,\n")
    refused(manifest, "UTF-8")
    manifest.unlink()
    refused(manifest, "no such manifest")


def test_blank_lines_marks_and_absolute_paths_are_welcome(tmp_path):
    manifest = cohort(tmp_path, 2)
    lines = manifest.read_text().replace("s0/pet", f"{tmp_path}/s0/pet").splitlines()
    manifest.write_text("\ufeff" + "\n\n".join(lines) + "\n", encoding="utf-8")
    assert [row.scan_id for row in read_manifest(manifest)] == ["S0", "S1"]


def column(manifest, name, values):
    """The manifest with one more column at its end."""
    rows = list(csv.reader(manifest.read_text().splitlines()))
    return save(manifest.parent, [[*row, value] for row, value in zip(rows, [name, *values], strict=True)])


@pytest.mark.quick(5)
@pytest.mark.parametrize(
    "first, second",
    [
        *(
            ("P01", "p01"),
            ("007", "7"),
            ("P01", "P-01"),
            ("P01", "P1"),
            ("p_1", "P-001"),
            ("2023-001", "2023001"),
        ),
        *(
            ("7", "7.0"),
            ("P01.0", "P01"),
            ("P01", "P.01"),
            ("12.00", "0012"),
            ("P1.", "P1"),
            ("2023-1.0", "2023-001"),
        ),
    ],
)
def test_patient_ids_that_differ_by_spelling_alone_are_refused_by_their_rows(tmp_path, first, second):
    manifest = cohort(tmp_path, 4)
    for row, patient in ((2, first), (3, "other"), (4, second), (5, second)):
        change(manifest, row, "patient_id", patient)
    text = refused(manifest, "rows 4, 5", "column patient_id", f"{second}, and {first} in row 2", "spelling")
    assert text.count("differs from another") == 1


@pytest.mark.parametrize("first, second", [("S1-1", "S1-01"), ("S01", "s1"), ("a-b", "A_B")])
def test_scan_ids_that_differ_by_spelling_alone_are_refused(tmp_path, first, second):
    manifest = change(change(cohort(tmp_path, 3), 2, "scan_id", first), 4, "scan_id", second)
    refused(manifest, "row 4", "column scan_id", f"{second}, and {first} in row 2")


@pytest.mark.parametrize(
    "first, second",
    [("P1-11", "P11-1"), ("P1", "P10"), ("100", "001"), ("PA", "PB"), ("P1.1", "P11"), ("1.10", "1.1")],
)
def test_ids_that_differ_by_more_than_spelling_are_two(tmp_path, first, second):
    manifest = change(change(cohort(tmp_path, 2), 2, "patient_id", first), 3, "patient_id", second)
    assert [row.patient_id for row in read_manifest(manifest)] == [first, second]


@pytest.mark.parametrize("name", ["Jane_pet.nii.gz", "Jane.DCM"])
@pytest.mark.parametrize("column", ["patient_id", "scan_id"])
def test_a_file_in_the_place_of_an_id_is_not_repeated(tmp_path, column, name):
    """Cells that have shifted by one, in a flat folder, had made a scan's id of a patient's file."""
    manifest = change(change(cohort(tmp_path, 2), 2, column, name), 2, "pet", "gone.nii")
    assert "Jane" not in refused(manifest, "row 2", f"column {column}", "the name of a file")


def test_all_faulty_rows_are_told_at_once(tmp_path):
    manifest = cohort(tmp_path, 7)
    change(manifest, 2, "pet", "s0/nothing.nii.gz")
    change(manifest, 3, "mri", "")
    change(manifest, 4, "scan_id", "S1")
    change(manifest, 5, "patient_id", "p0")
    change(manifest, 6, "mask", "s4/pet.nii.gz")
    manifest.write_text(manifest.read_text() + "P9,S9\n")
    text = refused(manifest, "6 faults")
    told = [found[1] for line in text.splitlines() if (found := re.match(r" +\d\. (.+)", line))]
    assert [line.split(": ")[0] for line in told] == [
        "manifest row 2, scan S0, column pet",
        "manifest row 3, scan S1, column mri",
        "manifest row 4, scan S1, column scan_id",
        "manifest row 5, column patient_id",
        "manifest row 6, scan S4, column mask",
        "manifest row 9",
    ]
    assert "does not exist" in told[0] and "stands twice" in told[2] and "also in column pet" in told[4]


def test_a_row_with_several_faults_tells_each(tmp_path):
    manifest = cohort(tmp_path, 3)
    manifest = column(manifest, "split", ["train", "dev", "test"])
    change(manifest, 3, "pet", "gone.nii")
    text = refused(change(manifest, 3, "mask", "gone.nii"), "3 faults")
    assert "column pet" in text and "column mask" in text and "column split" in text and "missing" not in text


def test_an_error_of_several_faults_tells_common_cures_once(tmp_path):
    manifest = change(change(cohort(tmp_path, 3), 2, "pet", "x.nii"), 3, "pet", "y.nii")
    with pytest.raises(InputError) as caught:
        read_manifest(manifest)
    assert caught.value.do.count("Correct the manifest") == 1


def test_visits_that_name_the_scans_of_several_patients_are_told_how_to_be_ids(tmp_path):
    """The advice was to correct the manifest, or to take the scan out."""
    manifest = change(change(cohort(tmp_path, 2), 2, "scan_id", "baseline"), 3, "scan_id", "baseline")
    refused(manifest, "row 3, scan baseline", "an id of its own in the whole cohort, such as p001_baseline")
