"""NRRD, MetaImage and MGH files lie where nibabel says that the same NIfTI lies; damaged ones are refused."""

import gzip
import re
import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scans import LPS, change, cohort, prepare, refused, scan_arrays, to_itk, write
from scipy.spatial.transform import Rotation

from data_prep.files.itk_files import READERS, ItkReader, read_itk_grid, read_itk_volume
from data_prep.files.itk_header import Header
from data_prep.files.read import read_grid, read_volume
from hnscc.base.errors import InputError

DATA = np.random.default_rng(3).integers(-900, 900, (6, 7, 8)).astype(np.int16)


def oblique() -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [17, -31, 48], degrees=True).as_matrix() * [0.9, 1.3, 3.1]
    affine[:3, 3] = (-41, 77, 1003)
    return affine


AFFINES = {
    "LPS": LPS,
    "RAS": np.array([[1.0, 0, 0, -5], [0, 2, 0, 7], [0, 0, 3, 9], [0, 0, 0, 1]]),
    "sagittal": np.array([[0.0, 0, -3, 40], [1, 0, 0, -60], [0, -2, 0, 80], [0, 0, 0, 1]]),
    "flipped": np.diag([1.0, -1, -3, 1]),
    "oblique": oblique(),
}


def save_as(path, data: np.ndarray, affine: np.ndarray, compressed: bool = True) -> None:
    if path.suffix == ".mgz":
        nib.MGHImage(data, affine).to_filename(path)
    else:
        sitk.WriteImage(to_itk(data, affine), path, useCompression=compressed)


@pytest.mark.parametrize("lies", AFFINES)
@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.mgz", "b.seg.NRRD", "b.MHA"])
def test_values_and_place_are_those_of_the_same_nifti(tmp_path, name, lies):
    affine = AFFINES[lies]
    save_as(tmp_path / name.lower(), DATA, affine)
    (tmp_path / name.lower()).rename(tmp_path / name)
    write(tmp_path / "same.nii.gz", DATA, affine)
    read, same = (read_volume(tmp_path / each, "S") for each in (name, "same.nii.gz"))
    np.testing.assert_array_equal(read.data, same.data)
    np.testing.assert_allclose(read.grid.affine, same.grid.affine, atol=1e-4)
    assert read.grid.oriented
    np.testing.assert_array_equal(read_grid(tmp_path / name, "S").affine, read.grid.affine)


def test_a_format_that_simpleitk_reads_is_one_line_of_the_list(tmp_path, monkeypatch):
    """Its reader, what is said to place it, and what reads its header: here GIPL's, 256 bytes before the values. (VTK's
    would not do: that reader leaves the process in another locale.)"""

    def header_of(start: bytes, where: str) -> Header | None:
        begins = start[252:256] == bytes.fromhex("efffe9b0")
        return Header(256, packed=False, little=False) if begins else None

    monkeypatch.setitem(READERS, ".gipl", ItkReader("GiplImageIO", "GIPL", header_of))
    save_as(tmp_path / "a.gipl", DATA, LPS, compressed=False)
    write(tmp_path / "same.nii.gz", DATA, LPS)
    found, same = read_itk_volume(tmp_path / "a.gipl", "S"), read_volume(tmp_path / "same.nii.gz", "S")
    np.testing.assert_array_equal(found.data, same.data)
    np.testing.assert_allclose(found.grid.affine, same.grid.affine, atol=1e-4)
    assert read_itk_grid(tmp_path / "a.gipl", "S").stated_by == "GIPL"
    (tmp_path / "b.gipl").write_bytes(bytes(400))
    with pytest.raises(InputError, match="cannot be read"):
        read_itk_grid(tmp_path / "b.gipl", "S")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("compressed", [False, True])
def test_number_types_and_compression(tmp_path, dtype, compressed):
    for name in ("a.nrrd", "a.mha"):
        save_as(tmp_path / name, np.abs(DATA % 200).astype(dtype), LPS, compressed)
        np.testing.assert_array_equal(read_volume(tmp_path / name, "S").data, np.abs(DATA % 200))


@pytest.mark.parametrize("name, order", [("a.nrrd", b"endian: "), ("a.mha", b"BinaryDataByteOrderMSB = ")])
def test_the_order_of_bytes_is_that_of_the_header(tmp_path, name, order):
    save_as(tmp_path / name, DATA, LPS, compressed=False)
    content = (tmp_path / name).read_bytes()
    words = {b"endian: ": (b"little", b"big")}.get(order, (b"False", b"True"))
    head = content[: -DATA.nbytes].replace(order + words[0], order + words[1])
    (tmp_path / name).write_bytes(head + DATA.T.astype(">i2").tobytes())
    np.testing.assert_array_equal(read_volume(tmp_path / name, "S").data, DATA)


@pytest.mark.parametrize(
    "name, line, words",
    [
        ("a.nrrd", b"endian: little", "a header that is damaged"),  # SimpleITK itself
        ("a.mha", b"BinaryDataByteOrderMSB = False", "in which order the bytes of a number stand"),
    ],
)
def test_numbers_of_bytes_in_an_unknown_order_are_refused(tmp_path, name, line, words):
    """Those of a MetaImage were taken for little-endian: 256 for 1. A number of one byte has no order."""
    save_as(tmp_path / name, DATA, LPS, compressed=False)
    content = (tmp_path / name).read_bytes()
    assert line in content
    for unknown in (b"", line[:-2]):
        (tmp_path / name).write_bytes(content.replace(line + b"\n", unknown and unknown + b"\n"))
        with pytest.raises(InputError, match=words):
            read_volume(tmp_path / name, "S")
    save_as(tmp_path / name, np.abs(DATA % 200).astype(np.uint8), LPS, compressed=False)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes().replace(line + b"\n", b""))
    np.testing.assert_array_equal(read_volume(tmp_path / name, "S").data, np.abs(DATA % 200))


@pytest.mark.parametrize("space, flips", [("right-anterior-superior", (-1, -1)), ("LAS", (1, -1))])
def test_other_spaces_of_nrrd_are_turned(tmp_path, space, flips):
    """The same numbers in the header mean another place: x or y counts the other way."""
    save_as(tmp_path / "a.nrrd", DATA, oblique(), compressed=False)
    content = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "b.nrrd").write_bytes(content.replace(b"left-posterior-superior", space.encode()))
    expected = np.diag([*flips, 1, 1]) @ oblique()
    np.testing.assert_allclose(read_grid(tmp_path / "b.nrrd", "S").affine, expected, atol=1e-4)


def test_a_trailing_axis_of_one_is_no_axis(tmp_path):
    data = DATA[..., None]
    write(tmp_path / "a.nii.gz", data, oblique())
    sitk.WriteImage(sitk.JoinSeries([to_itk(DATA, oblique())]), tmp_path / "a.mha")
    np.testing.assert_allclose(read_grid(tmp_path / "a.mha", "S").affine, oblique(), atol=1e-4)
    for name in ("a.nii.gz", "a.mha"):
        assert read_volume(tmp_path / name, "S").data.shape == DATA.shape


@pytest.mark.parametrize("name", ["mask.nrrd", "mask.mha", "mask.mgz"])
def test_a_cohort_with_such_masks_gives_the_same_store(tmp_path, name):
    manifest = cohort(tmp_path, 2)
    plain = prepare(manifest, tmp_path / "plain.zarr", size=16, workers=1)
    save_as(tmp_path / name, scan_arrays()[2], LPS)
    other = prepare(change(manifest, 2, "mask", name), tmp_path / "other.zarr", size=16, workers=1)
    assert other.scans[0].digest == plain.scans[0].digest and not other.odd


@pytest.mark.parametrize("decimals", [3, 4])
def test_headers_rounded_by_other_programs_are_the_same_grid(tmp_path, decimals):
    """ITK-SNAP and 3D Slicer write spacing, directions and origin with so many digits."""
    manifest = cohort(tmp_path, 2)
    exact = oblique()
    exact[:3, :3] = Rotation.from_euler("xyz", [3, -5, 4], degrees=True).as_matrix() * [
        0.97656,
        0.97656,
        3.27,
    ]
    for name in ("pet", "mri"):
        write(tmp_path / "s0" / f"{name}.nii.gz", scan_arrays()[name == "mri"], exact)
    rounded = to_itk(scan_arrays()[2], exact)
    rounded.SetOrigin(np.round(rounded.GetOrigin(), decimals).tolist())
    rounded.SetSpacing(np.round(rounded.GetSpacing(), decimals).tolist())
    rounded.SetDirection(np.round(rounded.GetDirection(), decimals + 1).tolist())
    sitk.WriteImage(rounded, tmp_path / "mask.nrrd")
    store = prepare(change(manifest, 2, "mask", "mask.nrrd"), tmp_path / "s.zarr", size=20, workers=1)
    assert store.scans[0].source_lesion_px == (0, 56, 56, 56, 0)


def damage(content: bytes, how: str) -> bytes:
    end = len(content)
    return {
        "cut": content[: end - 40],
        "half": content[: end // 2 + 100],
        "header alone": content[:120],
        "empty": b"",
        "flipped bit": content[:-30] + bytes([content[-30] ^ 255]) + content[-29:],
        "text": b"no volume at all\n" * 9,
        "LFS": b"version https://git-lfs.github.com/spec/v1\n",
    }[how]


@pytest.mark.parametrize("how", ["cut", "half", "header alone", "empty", "flipped bit", "text", "LFS"])
@pytest.mark.parametrize("name", ["Jane.nrrd", "Jane.mha", "Jane.mgz"])
def test_damaged_files_are_refused_without_their_name(tmp_path, capfd, name, how):
    save_as(tmp_path / name, DATA, LPS)
    (tmp_path / name).write_bytes(damage((tmp_path / name).read_bytes(), how))
    with pytest.raises(InputError, match="scan S") as caught:
        read_volume(tmp_path / name, "scan S")
    assert "Jane" not in str(caught.value) and caught.value.__cause__ is None
    assert ("Git LFS" in str(caught.value)) == (how == "LFS")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_plain_values_that_are_cut_short_are_refused(tmp_path, name):
    save_as(tmp_path / name, DATA, LPS, compressed=False)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[: 284 + DATA.nbytes // 2])
    with pytest.raises(InputError):
        read_volume(tmp_path / name, "S")


# Of the header of an uncompressed file: what stands there, what is put in its place, and what the error says.
WRONG = {
    "values elsewhere": ("a.nrrd", "encoding: raw", "encoding: raw\ndata file: ../other.raw", "another file"),
    "values as text": ("a.nrrd", "encoding: raw", "encoding: ascii", "not read"),
    "no space": ("a.nrrd", "space: left-posterior-superior", "space dimension: 3", "lies in space"),
    "no origin": ("a.nrrd", "space origin: (0,0,0)\n", "", "lies in space"),
    "no directions": ("a.nrrd", "space directions: (1,0,0) (0,1,0) (0,0,3)\n", "", "lies in space"),
    "a scanner's space": ("a.nrrd", "left-posterior-superior", "scanner-xyz", "lies in space"),
    "metres": ("a.nrrd", "kinds:", 'space units: "m" "m" "m"\nkinds:', "lengths that are not in mm"),
    "numbers of another range": ("a.nrrd", "kinds:", "old min: -1024\nkinds:", "old min makes other values"),
    "the same in one word": ("a.nrrd", "kinds:", "oldmax: 300\nkinds:", "oldmax makes other values"),
    "values after some bytes": ("a.nrrd", "encoding: raw", "encoding: raw\nbyteskip: 4", "with a skip"),
    "values after a line": ("a.nrrd", "encoding: raw", "encoding: raw\nline skip: 1", "with a skip"),
    "huge nrrd": ("a.nrrd", "sizes: 6 7 8", "sizes: 60000 70000 80000", ""),
    "singular": ("a.nrrd", "(0,0,3)", "(1,0,0)", ""),
    "not a number": ("a.nrrd", "space origin: (0", "space origin: (nan", ""),
    "MetaImage elsewhere": ("a.mha", "= LOCAL", "= ../other.raw", "another file"),
    "no matrix": ("a.mha", "TransformMatrix = 1 0 0 0 1 0 0 0 1\n", "", "lies in space"),
    "no spacing": ("a.mha", "ElementSpacing = 1 1 3\n", "", "lies in space"),
    "no offset": ("a.mha", "Offset = 0 0 0\n", "", "lies in space"),
    "colour": ("a.mha", "ElementType", "ElementNumberOfChannels = 3\nElementType", ""),
    "another word": ("a.mha", "ElementDataFile = LOCAL", "ElementDataFile   LOCAL", "another file"),
    "no size": ("a.mha", "DimSize = 6 7 8\n", "", "cannot be read"),
    "huge MetaImage": ("a.mha", "DimSize = 6 7 8", "DimSize = 60000 70000 80000", "impossible size"),
    "values from the end": ("a.mha", "ElementType", "HeaderSize = -1\nElementType", "HeaderSize"),
    "values from a byte on": ("a.mha", "ElementType", "HeaderSize = 300\nElementType", "HeaderSize"),
    "a factor": ("a.mha", "ElementType", "ElementToIntensityFunctionSlope = 2\nElementType", "Slope makes"),
    "an offset": (
        "a.mha",
        "ElementType",
        "ElementToIntensityFunctionOffset = -9\nElementType",
        "Offset makes",
    ),
    "two axes": ("a.mha", "NDims = 3", "NDims = 2", ""),
}


@pytest.mark.parametrize("case", WRONG)
def test_headers_that_cannot_be_trusted_are_refused(tmp_path, case):
    name, old, new, words = WRONG[case]
    save_as(tmp_path / name, DATA, np.diag([-1.0, -1, 3, 1]), compressed=False)
    content = (tmp_path / name).read_bytes()
    assert old.encode() in content
    (tmp_path / "other.raw").write_bytes(DATA.tobytes())
    (tmp_path / name).write_bytes(content.replace(old.encode(), new.encode()))
    for read in (read_grid, read_volume):
        with pytest.raises(InputError, match=words or None):
            read(tmp_path / name, "S")


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_plain_values_that_are_more_than_the_header_tells_are_refused(tmp_path, name):
    """A header of fewer slices was read in silence, without those beyond."""
    save_as(tmp_path / name, DATA, LPS, compressed=False)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content.replace(b"6 7 8", b"6 7 5"))
    with pytest.raises(InputError, match=rf"{2 * 6 * 7 * 5} bytes of values, .*\n.*found: +{DATA.nbytes}\n"):
        read_volume(tmp_path / name, "S")


def test_what_leaves_the_values_of_a_metaimage_as_they_are_is_read(tmp_path):
    save_as(tmp_path / "a.mha", DATA, np.diag([-1.0, -1, 3, 1]), compressed=False)
    content = (tmp_path / "a.mha").read_bytes()
    said = b"HeaderSize = 0\nElementToIntensityFunctionSlope = 1.0\nElementToIntensityFunctionOffset = 0\nElementType"
    (tmp_path / "b.mha").write_bytes(content.replace(b"ElementType", said, 1))
    plain, other = (read_volume(tmp_path / name, "S").data for name in ("a.mha", "b.mha"))
    np.testing.assert_array_equal(plain, other)


def test_values_of_a_longer_type_than_there_are_bytes_for_are_refused(tmp_path):
    save_as(tmp_path / "a.mha", DATA, LPS, compressed=False)
    content = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(content.replace(b"MET_SHORT", b"MET_FLOAT"))
    with pytest.raises(InputError, match="cut short"):
        read_volume(tmp_path / "a.mha", "S")


def test_mgh_files_without_a_place_or_of_a_huge_size_are_refused(tmp_path):
    image = nib.MGHImage(DATA, LPS)
    image.to_filename(tmp_path / "a.mgz")
    content = gzip.decompress((tmp_path / "a.mgz").read_bytes())
    lost = content[:28] + struct.pack(">h", 0) + content[30:]
    huge = content[:4] + struct.pack(">3i", 60000, 70000, 80000) + content[16:]
    for changed, words in ((lost, "lies in space"), (huge, "impossible size")):
        (tmp_path / "a.mgz").write_bytes(gzip.compress(changed))
        with pytest.raises(InputError, match=words or None):
            read_grid(tmp_path / "a.mgz", "S")


def test_a_header_without_values_is_told_how_to_be_saved(tmp_path):
    manifest = cohort(tmp_path, 2)
    sitk.WriteImage(to_itk(scan_arrays()[2], LPS), tmp_path / "mask.mhd")
    text = refused(change(manifest, 2, "mask", "mask.mhd"), "unknown kind")
    assert re.search(r"\.nrrd, \.mha", text)
