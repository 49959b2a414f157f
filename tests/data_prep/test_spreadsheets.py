"""Manifests as programs of tables leave them: empty cells, encodings, workbooks, and columns that hold no files."""

import csv

import pytest
from scans import change, cohort, read_manifest, refused, save

from hnscc.base.errors import InputError


def column(manifest, name, values):
    """The manifest with one more column at its end."""
    rows = list(csv.reader(manifest.read_text().splitlines()))
    return save(manifest.parent, [[*row, value] for row, value in zip(rows, [name, *values], strict=True)])


def test_empty_columns_and_rows_of_a_spreadsheet_are_ignored(tmp_path):
    manifest = cohort(tmp_path, 3)
    lines = manifest.read_text().splitlines()
    expected = read_manifest(manifest)
    inner = [line.replace(",", ",,", 1) for line in lines]
    for text in (
        "\n".join(f"{line},,, ," for line in lines) + "\n,,,,,,,,\n ,,,,,,,,\n",
        "\n".join(inner),
        "\n".join([lines[0] + ",,", *lines[1:]]),
        "\n".join([lines[0], *(line + ",," for line in lines[1:])]),
        "\r\n".join(lines) + "\r\n",
        "\n".join(lines).replace(",", ";"),
        "\n".join(lines).replace(",", "\t"),
    ):
        manifest.write_bytes(text.encode())
        assert read_manifest(manifest) == expected
    for first, sign in (("sep=;", ";"), ('"sep=;"', ";"), ("sep=\t", "\t"), ("sep=,", ",")):
        manifest.write_text("\n".join([first, *lines]).replace(",", sign))
        assert [row.files for row in read_manifest(manifest)] == [row.files for row in expected]


@pytest.mark.parametrize("sign", ["\ufeff", "\u200b", "\u202a", "\u00a0"])
def test_signs_that_show_nothing_around_a_cell_count_for_nothing(tmp_path, sign):
    """A second byte order mark, and what Windows copies before a path."""
    manifest = cohort(tmp_path, 2)
    expected = read_manifest(manifest)
    text = "\n".join(sign + line.replace(",", f"{sign},{sign}") for line in manifest.read_text().splitlines())
    manifest.write_bytes(text.encode("utf-8-sig"))
    assert read_manifest(manifest) == expected


@pytest.mark.parametrize(
    "above",
    ["SECRET of 2024", "# SECRET, of Anna", ",,Images,,", "SECRET,,,,", "SECRET\n,,Images,,", "\t\t\nSECRET"],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_header_below_a_title_or_merged_cells_is_told_by_its_row(tmp_path, above, separator):
    manifest = cohort(tmp_path, 2)
    text = (
        above.replace(",,", separator * 2) + "\n" + manifest.read_text().replace("patient_id", "Patient ID")
    )
    manifest.write_text(text if separator == "," else text.replace(",", separator))
    row = 2 + above.count("\n")
    with pytest.raises(
        InputError, match=rf"header is not in the first row[^$]*found: +them in row {row}\n"
    ) as caught:
        read_manifest(manifest)
    assert "SECRET" not in str(caught.value) and "faults" not in str(caught.value)


@pytest.mark.parametrize(
    "content", ["<?xml version='1.0'?><Workbook/>", "<!-- x --><table/>", "<html><table/>"]
)
def test_a_table_in_tags_is_no_csv(tmp_path, content):
    """Programs of hospitals write HTML under the ending .xls, and Excel wrote XML."""
    manifest = cohort(tmp_path, 2)
    manifest.write_text(content)
    refused(manifest, "HTML", "If a spreadsheet program opens it as a table")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_of_spreadsheets_are_read(tmp_path, encoding):
    manifest = cohort(tmp_path, 2)
    expected = read_manifest(manifest)
    manifest.write_bytes(manifest.read_text().encode(encoding))
    assert read_manifest(manifest) == expected


@pytest.mark.parametrize("content", [b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0rest"])
def test_a_workbook_is_named_as_what_it_is(tmp_path, content):
    manifest = cohort(tmp_path, 2)
    manifest.write_bytes(content)
    refused(manifest, "spreadsheet program", "CSV UTF-8")


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
@pytest.mark.parametrize("start", [0, 1])
def test_a_pandas_index_is_named_as_what_it_is(tmp_path, name, start):
    rows = list(csv.reader(cohort(tmp_path, 3).read_text().splitlines()))
    index = [name, *(str(start + number) for number in range(3))]
    manifest = save(tmp_path, [[first, *row] for first, row in zip(index, rows, strict=True)])
    refused(manifest, "index that pandas writes", "row 1, column 1", "index=False")


def test_a_column_without_a_name_is_told_by_its_number(tmp_path):
    refused(column(cohort(tmp_path, 2), "", ["x", ""]), "no name", "row 1, column 6")


@pytest.mark.parametrize(
    "name, values",
    [
        ("age", ["61", "58", "70"]),
        ("age", ["61", "", "70"]),
        ("sex", ["F", "M", "n/a"]),
        ("visit", ["2021-03-04", "4/3/2021", "4.3.2021"]),
        ("suv", ["1.5", "2,7", "1e3"]),
    ],
)
def test_a_column_that_holds_no_paths_is_called_that(tmp_path, name, values):
    text = refused(
        column(cohort(tmp_path, 3), name, values),
        f"column {name} holds no paths",
        f"Leave the column {name} out",
    )
    assert "does not exist" not in text and "faults" not in text


def test_columns_of_other_things_are_told_by_number_where_their_name_may_not_be_shown(tmp_path):
    text = refused(column(cohort(tmp_path, 2), "age of Smith", ["61", "58"]), "column 6 holds no paths")
    assert "Smith" not in text


def test_a_manifest_without_a_header_repeats_nothing_of_its_first_row(tmp_path):
    """It had called the columns by a patient's file and date of birth."""
    (tmp_path / "b.nii").touch()
    rows = [["p1", "p1_a", "Jane.nii", "Jane_t1.nii", "19310307"], ["p2", "p2_a", "b.nii", "", "19320507"]]
    text = refused(
        save(tmp_path, rows), "no patient_id, scan_id, mask", "column 4 is empty", "column 5 holds"
    )
    assert "Jane" not in text and "1931" not in text


def test_a_named_column_without_cells_and_a_mask_column_of_labels_are_refused(tmp_path):
    manifest = cohort(tmp_path, 2)
    whole = manifest.read_text()
    refused(column(manifest, "ct", ["", ""]), "column ct is empty in every row", "leave it out")
    manifest.write_text(whole)
    refused(
        change(change(manifest, 2, "mask", "1"), 3, "mask", "0"), "column mask holds no paths", "empty cell"
    )


def test_a_folder_without_an_ending_may_be_a_modality(tmp_path):
    """What kind of files it holds is told when it is read, not that the column holds no paths."""
    manifest = cohort(tmp_path, 2)
    for row, folder in ((2, "series_a"), (3, "series_b")):
        (tmp_path / folder).mkdir()
        change(manifest, row, "pet", folder)
    assert [row.files["pet"].name for row in read_manifest(manifest)] == ["series_a", "series_b"]
