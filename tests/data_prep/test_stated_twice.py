"""Files that state one thing twice: alike it is read, otherwise it is refused, whichever a library would take."""

import nibabel as nib
import numpy as np
import pytest
import scipy.io
import SimpleITK as sitk
from scans import to_itk

from data_prep.files.read import read_grid, read_volume
from hnscc.base.errors import InputError

DATA = np.arange(336, dtype=np.int16).reshape(6, 7, 8)
LIES = np.array([[-1.0, 0, 0, 10], [0, -1, 0, 20], [0, 0, 3, -30], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    "line, alike",
    [
        ("Offset = -10 -20 -10", False),  # by which PET was stored 20 mm off
        ("Position = -10 -20 -10", False),
        ("Origin = -10 -20 -30", True),
        ("Offset = -10.0 -20.00 -3e1", True),
        ("Orientation = 1 0 0 0 -1 0 0 0 -1", False),
        ("Rotation = 1 0 0 0 1 0 0 0 1", True),
        ("ElementSpacing = 1 1 5", False),
        ("ElementByteOrderMSB = True", False),
        ("ElementByteOrderMSB = false", True),
        ("DimSize = 7 6 8", False),
        ("ElementType = MET_USHORT", False),
    ],
)
@pytest.mark.parametrize("before", [False, True])
def test_a_metaimage(tmp_path, line, alike, before):
    sitk.WriteImage(to_itk(DATA, LIES), tmp_path / "a.mha")
    content = (tmp_path / "a.mha").read_bytes()
    assert b"Offset = -10 -20 -30\n" in content
    at = b"BinaryData =" if before else b"ElementDataFile"
    (tmp_path / "a.mha").write_bytes(content.replace(at, line.encode() + b"\n" + at, 1))
    if alike:
        np.testing.assert_array_equal(read_volume(tmp_path / "a.mha", "S").data, DATA)
        np.testing.assert_allclose(read_grid(tmp_path / "a.mha", "S").affine, LIES)
        return
    for read in (read_grid, read_volume):
        with pytest.raises(InputError, match="states one thing twice, and not alike"):
            read(tmp_path / "a.mha", "S")


def test_a_name_that_a_metaimage_header_makes_up_is_not_repeated(tmp_path):
    sitk.WriteImage(to_itk(DATA, LIES), tmp_path / "a.mha")
    content, twice = (tmp_path / "a.mha").read_bytes(), b"Jane Doe = 1931\nJane Doe = 1932\nElementDataFile"
    (tmp_path / "a.mha").write_bytes(content.replace(b"ElementDataFile", twice, 1))
    with pytest.raises(InputError, match="each once") as refused:
        read_grid(tmp_path / "a.mha", "S")
    assert "Jane" not in str(refused.value)


@pytest.mark.parametrize(
    "moved, mirrored, alike", [(0, False, True), (0, True, True), (0.009, False, True), (0.02, True, False)]
)
def test_a_mat_of_spm(tmp_path, moved, mirrored, alike):
    """M and mat lay 20 mm apart, and mat counted, without a word."""
    nib.Spm99AnalyzeImage(DATA, LIES).to_filename(tmp_path / "a.img")
    mat = scipy.io.loadmat(tmp_path / "a.mat")["mat"]
    other = np.diag([-1, 1, 1, 1]) @ mat if mirrored else mat.copy()
    other[2, 3] += moved
    scipy.io.savemat(tmp_path / "a.mat", {"M": other, "mat": mat}, format="4")
    if alike:
        np.testing.assert_allclose(read_grid(tmp_path / "a.hdr", "S").affine, LIES)  # by mat
        return
    with pytest.raises(InputError, match=r"SPM's \.mat states several places"):
        read_grid(tmp_path / "a.hdr", "S")


def test_a_mat_of_several_places(tmp_path):
    nib.Spm99AnalyzeImage(DATA, LIES).to_filename(tmp_path / "a.img")
    mat = scipy.io.loadmat(tmp_path / "a.mat")["mat"]
    scipy.io.savemat(tmp_path / "a.mat", {"mat": np.stack([mat, 2 * mat], axis=2)})
    with pytest.raises(InputError, match=r"SPM's \.mat states several places"):
        read_grid(tmp_path / "a.hdr", "S")


def test_a_mat_that_cannot_be_read_is_refused(tmp_path):
    """The volume would lie as its header alone says."""
    nib.Spm99AnalyzeImage(DATA, LIES).to_filename(tmp_path / "a.img")
    (tmp_path / "a.mat").unlink()
    assert read_grid(tmp_path / "a.img", "S").stated_by != "SPM's .mat"
    (tmp_path / "a.mat").mkdir()
    with pytest.raises(InputError, match=r"The \.mat .* cannot be read"):
        read_grid(tmp_path / "a.img", "S")


@pytest.mark.parametrize(
    "content",
    [
        b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM",  # HDF5
        b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"\x63\0\0\0\x08\0\0\0Jane Doe",
        bytes(200),
        b"\0",
    ],
)
def test_a_mat_that_scipy_does_not_read_is_told(tmp_path, content):
    """Each ended in a traceback of SciPy's."""
    nib.Spm99AnalyzeImage(DATA, LIES).to_filename(tmp_path / "a.img")
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(InputError, match=r"a \.mat of SPM that do not fit") as refused:
        read_grid(tmp_path / "a.hdr", "S")
    assert "Jane" not in str(refused.value)
