"""What stands in a file beside its values and its place, and where values begin and end."""

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import classic_series
from dicom_files import write as write_series
from scans import to_itk

from data_prep.files.read import read_volume
from hnscc.base.errors import InputError

DATA = np.random.default_rng(3).integers(-900, 900, (6, 7, 8)).astype(np.int16)
LIES = np.diag([-1.0, -1, 3, 1])


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("a.nrrd", "kinds:", "# data file: of an earlier version\nkinds:"),
        ("a.nrrd", "kinds:", 'space units: "none" "???" "mm"\nkinds:'),
        ("a.nrrd", "kinds:", "byte skip: 0\nkinds:"),
        ("a.mha", "ElementType", "DistanceUnits = ?\nElementType"),
        ("a.mha", "ElementType", "DistanceUnits = mm\nElementType"),
    ],
)
def test_what_a_header_states_beside_is_no_hindrance(tmp_path, name, old, new):
    sitk.WriteImage(to_itk(DATA, LIES), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert old.encode() in content
    (tmp_path / name).write_bytes(content.replace(old.encode(), new.encode(), 1))
    volume = read_volume(tmp_path / name, "S")
    np.testing.assert_array_equal(volume.data, DATA)
    np.testing.assert_allclose(volume.grid.affine, LIES)


@pytest.mark.parametrize("line", [b"\n", b"\r\n"])
def test_values_begin_behind_the_first_empty_line(tmp_path, line):
    """Of either kind of lines, since the values themselves may look like an empty line of either."""
    values = DATA.copy()
    values[:2, 3, 4], values[3:5, 3, 4] = 0x0A0D, 0x0A0A
    sitk.WriteImage(to_itk(values, LIES), tmp_path / "a.nrrd")
    head, held = (tmp_path / "a.nrrd").read_bytes().split(b"\n\n", 1)
    assert b"\r\n\r\n" in held and b"\n\n" in held
    (tmp_path / "a.nrrd").write_bytes(head.replace(b"\n", line) + 2 * line + held)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nrrd", "S").data, values)


def test_compressed_values_that_are_more_than_the_header_tells_are_refused(tmp_path):
    sitk.WriteImage(to_itk(DATA, LIES), tmp_path / "a.nrrd", useCompression=True)
    content = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "a.nrrd").write_bytes(content.replace(b"6 7 8", b"6 7 5"))
    with pytest.raises(InputError, match="fewer or more"):
        read_volume(tmp_path / "a.nrrd", "S")


def test_notes_behind_the_values_of_an_mgh_file_are_welcome(tmp_path):
    """FreeSurfer writes there which commands made the file; in NIfTI, as many bytes may be slices."""
    nib.MGHImage(DATA, LIES).to_filename(tmp_path / "a.mgz")
    content = gzip.decompress((tmp_path / "a.mgz").read_bytes())
    (tmp_path / "a.mgz").write_bytes(gzip.compress(content + bytes(3 * 6 * 7 * 2)))
    np.testing.assert_array_equal(read_volume(tmp_path / "a.mgz", "S").data, DATA)


@pytest.mark.parametrize("name", ["a.nii", "a.mgz", "a.mha", "a.nrrd"])
def test_a_folder_whose_name_ends_as_a_file_does_is_one_of_dicom(tmp_path, name):
    series = classic_series(np.abs(DATA))
    np.testing.assert_array_equal(read_volume(write_series(tmp_path / name, series), "S").data, np.abs(DATA))
