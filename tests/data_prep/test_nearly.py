"""Cells that nearly name a file, and headers that nearly name a column: what is wrong is told, or understood."""

import unicodedata

import pytest
from scans import cohort, read_manifest, save

from hnscc.base.errors import InputError

# What stands in the cell of the PET of `s0/pet.nii.gz`, and what is found there.
CELLS = {
    "S0/PET.nii.gz": "differs by capitals alone",
    "s0/pet.nii": "with the ending .nii.gz",
    "'s0/pet.nii.gz'": "quotation marks",
    "\u201cs0/pet.nii.gz\u201d": "quotation marks",
    "file:///data/SECRET/pet.nii.gz": "an address",
    "$HOME/s0/pet.nii.gz": "a variable",
    "n\u00e4/pet.nii.gz": "other signs, as macOS does",
    "s0/SECRET.nii.gz": "found:      nothing there\n",
    "SECRET/pet.nii.gz": "found:      nothing there\n",
}


@pytest.mark.parametrize("cell", CELLS)
def test_what_a_cell_nearly_names_is_told_without_a_name(tmp_path, cell):
    rows = [line.split(",") for line in cohort(tmp_path, 2).read_text().splitlines()]
    folder = tmp_path / unicodedata.normalize("NFD", "n\u00e4")
    folder.mkdir()
    (folder / "pet.nii.gz").write_bytes(b"")
    rows[1][2] = cell
    with pytest.raises(InputError) as caught:
        read_manifest(save(tmp_path, rows))
    text = str(caught.value)
    assert "The file does not exist." in text and "row 2" in text and "column pet" in text
    assert CELLS[cell] in text and "SECRET" not in text and "pet.nii" not in text


@pytest.mark.parametrize("word", ["NA", "n/a", "No", "-", "negative"])
def test_a_word_for_no_lesion_is_told_the_word_that_says_it(tmp_path, word):
    rows = [line.split(",") for line in cohort(tmp_path, 2).read_text().splitlines()]
    rows[2][4] = word
    with pytest.raises(InputError, match="a scan without lesion says `none`"):
        read_manifest(save(tmp_path, rows))


@pytest.mark.parametrize("header", ["Patient ID,Scan ID,PET,MRI,Mask", "patientId,scan-id,pet,mri,mask"])
def test_columns_of_ids_are_known_in_other_spellings(tmp_path, header):
    manifest = cohort(tmp_path, 2)
    rows = manifest.read_text().splitlines()[1:]
    manifest.write_text("\n".join([header, *rows]))
    assert [(row.patient_id, list(row.files)) for row in read_manifest(manifest)] == [
        ("P0", ["pet", "mri"]),
        ("P1", ["pet", "mri"]),
    ]


def test_empty_lines_before_the_header_hide_no_separator(tmp_path):
    manifest = cohort(tmp_path, 2)
    text = manifest.read_text().replace(",", ";")
    manifest.write_text(f"\n\n;;;;\n{text}")
    assert [row.line for row in read_manifest(manifest)] == [5, 6]
