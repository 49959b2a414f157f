"""Cells that nearly name a file, and headers that nearly name a column: what is wrong is told, or understood."""

import unicodedata

import pytest
import SimpleITK as sitk
from scans import LPS, cohort, read_manifest, save, scan_arrays, to_itk, write

from data_prep.files.read import OTHERS, VOLUME_ENDINGS, read_grid
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
    "s0/link.nii.gz": "a link to something that is not there",  # "differs by capitals alone", by none
    "s0/round.nii.gz": "a link to something that is not there",
    "linked/pet.nii.gz": "a link to something that is not there",
    "s0/SECRET.nii.gz": "found:      nothing there\n",
    "SECRET/pet.nii.gz": "found:      nothing there\n",
}


@pytest.mark.parametrize("cell", CELLS)
def test_what_a_cell_nearly_names_is_told_without_a_name(tmp_path, cell):
    rows = [line.split(",") for line in cohort(tmp_path, 2).read_text().splitlines()]
    folder = tmp_path / unicodedata.normalize("NFD", "n\u00e4")
    folder.mkdir()
    (folder / "pet.nii.gz").write_bytes(b"")
    for link, to in (("s0/link.nii.gz", "SECRET"), ("s0/round.nii.gz", "round.nii.gz"), ("linked", "SECRET")):
        (tmp_path / link).symlink_to(to)
    rows[1][2] = cell
    with pytest.raises(InputError) as caught:
        read_manifest(save(tmp_path, rows))
    text = str(caught.value)
    assert "The file does not exist." in text and "row 2" in text and "column pet" in text
    assert CELLS[cell] in text and "SECRET" not in text and "pet.nii" not in text


@pytest.mark.parametrize(
    "cell, there", [("s0/a.nii.gz", ".nrrd"), ("s0/a.MHA", ".nii.gz"), ("s0/a.nii", ".mgz")]
)
def test_a_volume_of_that_name_in_another_format_is_told_by_its_ending(tmp_path, cell, there):
    rows = [line.split(",") for line in cohort(tmp_path, 2).read_text().splitlines()]
    (tmp_path / "s0" / f"a{there}").write_bytes(b"")
    rows[1][2] = cell
    with pytest.raises(InputError, match=f"a file of that name with the ending {there}\n"):
        read_manifest(save(tmp_path, rows))


def test_a_folder_in_place_of_a_manifest_is_told_with_what_makes_one(tmp_path):
    """It was to be saved as 'CSV UTF-8' in a spreadsheet program."""
    with pytest.raises(InputError, match=r"no CSV[^$]*found: +a folder\n[^$]*hnscc scan FOLDER --manifest"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("word", ["NA", "n/a", "No", "-", "negative"])
def test_a_word_for_no_lesion_is_told_the_word_that_says_it(tmp_path, word):
    rows = [line.split(",") for line in cohort(tmp_path, 2).read_text().splitlines()]
    rows[2][4] = word
    with pytest.raises(InputError, match="a scan without lesion says `none`"):
        read_manifest(save(tmp_path, rows))


@pytest.mark.parametrize("column", [2, 4])
@pytest.mark.parametrize("word", ["#N/A", "#REF!", "#NAME?", "#DIV/0!", "#NV", "#BEZUG!"])
def test_a_formula_that_fails_is_told_and_is_no_series(tmp_path, word, column):
    """Behind a # stands a series of the manifest's own folder, which is there."""
    rows = [line.split(",") for line in cohort(tmp_path, 3).read_text().splitlines()]
    rows[1][column] = word
    with pytest.raises(
        InputError, match=r"does not exist[^$]*what a spreadsheet shows of a formula that fails"
    ):
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


def test_no_ending_is_both_read_and_told_as_not_read():
    """A format that is read from now on leaves the list of those that are not."""
    others = {ending for endings in OTHERS for ending in endings}
    assert len(set(VOLUME_ENDINGS)) == len(VOLUME_ENDINGS) and not others & set(VOLUME_ENDINGS)


KINDS = {
    "a.mhd": ".mha (3D Slicer and ITK-SNAP do)",
    "a.mgh": "Compress it with gzip under the ending .mgz",
    "a.nii.bz2": "compress it with gzip (.nii.gz)",
    "a.ZIP": "Unpack it, and name the file that is in it.",
    "PET": "name that file itself",
    "a.seg.nrrd": "export the segment of the lesion alone",
}


@pytest.mark.parametrize("name", KINDS)
def test_what_makes_a_file_that_is_read_of_one_that_is_not_is_said(tmp_path, name):
    mask = to_itk(scan_arrays()[2], LPS)
    path = tmp_path / name
    if name == "PET":
        write(path / "mask.nii", scan_arrays()[2])
    elif name == "a.seg.nrrd":
        sitk.WriteImage(sitk.Compose([mask, mask]), str(path))
    else:
        path.write_bytes(b"a")
    with pytest.raises(InputError) as caught:
        read_grid(path, "here")
    assert KINDS[name] in caught.value.do and name not in caught.value.problem + caught.value.found
