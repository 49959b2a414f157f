"""Files are read whole and with certainty, or refused without a name: NIfTI and Analyze pairs."""

import gzip
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scans import LPS, analyze, change, cohort, prepare, refused, save, scan_arrays, write

from data_prep.files.read import read_volume
from hnscc.base.errors import InputError


def header(path: Path, **fields) -> None:
    """Change header fields of an uncompressed NIfTI file, as a broken export would."""
    content = bytearray(path.read_bytes())
    head = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        head[name] = value
    content[:348] = head.binaryblock
    path.write_bytes(content)


def test_scaled_integers_are_read_in_their_units(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), LPS)
    image.header.set_slope_inter(0.5, 1)
    image.to_filename(tmp_path / "a.nii.gz")
    read = read_volume(tmp_path / "a.nii.gz", "here")
    np.testing.assert_array_equal(read.data, (np.arange(24) * 0.5 + 1).reshape(2, 3, 4))
    assert read.data.dtype == np.float32


def test_one_frame_of_a_4d_file_is_a_volume(tmp_path):
    write(tmp_path / "a.nii", np.ones((3, 4, 5, 1), np.float32))
    assert read_volume(tmp_path / "a.nii", "here").data.shape == (3, 4, 5)


BAD_DATA = {
    "frames": np.ones((4, 4, 4, 2), np.float32),
    "flat": np.ones((4, 4), np.float32),
    "complex": np.ones((4, 4, 4), np.complex64),
    "nan": np.full((4, 4, 4), np.nan, np.float32),
    "infinite": np.full((4, 4, 4), np.inf, np.float32),
}


BAD_HEADER = {
    "no codes": {"sform_code": 0, "qform_code": 0},
    "singular": {"sform_code": 1, "srow_x": [0, 0, 0, 0]},
    "not finite": {"sform_code": 1, "srow_x": [np.nan, 0, 0, 0]},
    "no axis": {"dim": [3, 0, 4, 4, 1, 1, 1, 1]},
    "negative axis": {"dim": [3, -4, 4, 4, 1, 1, 1, 1]},
    "huge": {"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]},
    "more than there is": {"dim": [3, 400, 400, 4, 1, 1, 1, 1]},
    "unknown type": {"datatype": 777},
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_data_that_is_no_volume_is_refused(tmp_path, name):
    write(tmp_path / "Jane_Doe.nii.gz", BAD_DATA[name])
    with pytest.raises(InputError, match="row 2, column pet, scan S") as caught:
        read_volume(tmp_path / "Jane_Doe.nii.gz", "row 2, column pet, scan S")
    assert "Jane" not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize("name", BAD_HEADER)
def test_headers_that_make_no_sense_are_refused(tmp_path, name):
    write(tmp_path / "Jane_Doe.nii", np.ones((4, 4, 4), np.float32))
    header(tmp_path / "Jane_Doe.nii", **BAD_HEADER[name])
    with pytest.raises(InputError, match="scan S") as caught:
        read_volume(tmp_path / "Jane_Doe.nii", "scan S")
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 3, 200, 400, 0.5, 0.9, -4, -1])
def test_truncated_files_are_refused(tmp_path, keep):
    write(tmp_path / "a.nii.gz", np.random.default_rng(0).random((9, 9, 9), np.float32))
    write(tmp_path / "a.nii", np.random.default_rng(0).random((9, 9, 9), np.float32))
    for path in (tmp_path / "a.nii.gz", tmp_path / "a.nii"):
        content = path.read_bytes()
        path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
        with pytest.raises(InputError, match="cannot be read"):
            read_volume(path, "scan S")


def test_a_damaged_byte_in_a_compressed_file_is_refused(tmp_path):
    write(tmp_path / "a.nii.gz", np.random.default_rng(0).random((9, 9, 9), np.float32))
    content = bytearray((tmp_path / "a.nii.gz").read_bytes())
    for place_ in range(400, len(content), 251):
        broken = bytearray(content)
        broken[place_] ^= 16
        (tmp_path / "a.nii.gz").write_bytes(broken)
        with pytest.raises(InputError):
            read_volume(tmp_path / "a.nii.gz", "scan S")


def test_other_kinds_of_files_and_folders_are_refused(tmp_path):
    (tmp_path / "a.mnc").write_bytes(b"x")
    with pytest.raises(InputError, match="unknown kind"):
        read_volume(tmp_path / "a.mnc", "scan S")
    (tmp_path / "text.nii").write_text("not an image " * 100)
    with pytest.raises(InputError, match="cannot be read"):
        read_volume(tmp_path / "text.nii", "scan S")
    (tmp_path / "series").mkdir()
    with pytest.raises(InputError, match="DICOM"):
        read_volume(tmp_path / "series", "scan S")


def test_analyze_pairs_lie_on_the_grid_in_file_order(tmp_path):
    pet, mri, mask = scan_arrays()
    analyze(tmp_path / "pet.hdr", pet, (1.0, 1.0, 3.0))
    write(tmp_path / "mri.nii", mri)
    write(tmp_path / "mask.nii", mask)
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"], ["P", "S", "pet.img", "mri.nii", "mask.nii"]]
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=20, workers=1)
    images, stored = store.read("S")
    np.testing.assert_allclose(images[:, 0, 2:18], pet.transpose(2, 1, 0), rtol=1e-6)
    np.testing.assert_array_equal(stored[:, 2:18], mask.transpose(2, 1, 0))
    assert store.scans[0].placement["assumed"] == ["pet"]


@pytest.mark.parametrize("spacing, shape", [((2.0, 1.0, 3.0), (20, 16, 5)), ((1.0, 1.0, 3.0), (20, 15, 5))])
def test_analyze_pairs_of_another_shape_or_spacing_are_refused(tmp_path, spacing, shape):
    manifest = cohort(tmp_path, 2)
    analyze(tmp_path / "pet.hdr", scan_arrays(shape=shape)[0], spacing)
    refused(change(manifest, 2, "pet", "pet.hdr"), "Analyze", "row 2", "column pet", "S0", reference="mri")


def _bytes_of(path: Path) -> bytes:
    """A small volume as the bytes of an uncompressed NIfTI file."""
    write(path / "whole.nii", np.random.default_rng(0).random((9, 9, 9), np.float32))
    return (path / "whole.nii").read_bytes()


def _archive(kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.nii", b"x" * 999)
    else:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("a.nii"), None)
    return file.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
PAGE = b"\n<!DOCTYPE html><html><head><title>Sign in, Jane Doe</title></head></html>"
# What stands under the name of a volume, made of the bytes of a whole one; what is found; a word of the cure.
CAUSES = {
    "not gzip": ("a.nii.gz", lambda whole: whole, "a plain NIfTI file, not compressed", "ending .nii"),
    "gzip twice": (
        "a.nii.gz",
        lambda whole: gzip.compress(gzip.compress(whole)),
        "compressed twice",
        "gunzip",
    ),
    "garbage behind": (
        "a.nii.gz",
        lambda whole: gzip.compress(whole) + b"garbage",
        "7 bytes of something else",
        "again",
    ),
    "LFS pointer": ("a.nii.gz", lambda whole: POINTER, "Git LFS pointer", "git lfs pull"),
    "LFS pointer, plain": ("a.nii", lambda whole: POINTER, "Git LFS pointer", "git lfs pull"),
    "annex pointer": (
        "a.nii",
        lambda whole: b"/annex/objects/SHA256E-s1--0.nii\n",
        "git-annex",
        "git annex get",
    ),
    "page": ("a.nii.gz", lambda whole: PAGE, "a web page (HTML)", "login"),
    "page, compressed": (
        "a.nii.gz",
        lambda whole: gzip.compress(PAGE),
        "a web page (HTML), compressed",
        "login",
    ),
    "XML": ("a.nii.gz", lambda whole: b"<?xml version='1.0'?><Error/>", "an XML text", "server"),
    "empty": ("a.nii.gz", lambda whole: b"", "an empty file (0 bytes)", "again"),
    "empty, plain": ("a.nii", lambda whole: b"", "an empty file (0 bytes)", "again"),
    "empty, compressed": ("a.nii.gz", lambda whole: gzip.compress(b""), "an empty file, compressed", "again"),
    "gzip under .nii": (
        "a.nii",
        lambda whole: gzip.compress(whole),
        "under a name that says they are not",
        ".nii.gz",
    ),
    "cut short": ("a.nii.gz", lambda whole: gzip.compress(whole)[:-900], "cut short", "again"),
    "cut short, plain": ("a.nii", lambda whole: whole[:-900], "cut short", "again"),
    "checksum": ("a.nii.gz", lambda whole: gzip.compress(whole)[:-8] + b"0" * 8, "checksum", "again"),
    "zeros": ("a.nii", lambda whole: bytes(len(whole)), "zeros alone", "again"),
    "zip": ("a.nii.gz", lambda whole: _archive("zip"), "a zip archive", "Unpack"),
    "tar": ("a.nii.gz", lambda whole: gzip.compress(_archive("tar")), "a tar archive, compressed", "Unpack"),
    "DICOM": ("a.nii", lambda whole: bytes(128) + b"DICM" + bytes(400), "a DICOM file", "dcm2niix"),
    "NRRD": ("a.nii.gz", lambda whole: b"NRRD0004\ntype: float\n", "an NRRD file", "Convert"),
    "text": ("a.nii", lambda whole: b"scanner was offline", "plain text", "again"),
    "noise": ("a.nii", lambda whole: bytes(range(255, 0, -1)), "no kind that is known", "again"),
}


@pytest.mark.parametrize("case", CAUSES)
def test_what_a_file_is_instead_of_a_volume_is_told_in_words(tmp_path, case):
    name, content, found, cure = CAUSES[case]
    path = tmp_path / name
    path.write_bytes(content(_bytes_of(tmp_path)))
    with pytest.raises(InputError) as caught:
        read_volume(path, "row 2, column pet, scan S")
    error = caught.value
    assert "cannot be read" in error.problem and error.where == "row 2, column pet, scan S"
    assert found in error.found and cure in error.do
    assert "Error" not in str(error) and "Jane" not in str(error) and str(tmp_path) not in str(error)


def test_a_pair_tells_which_half_is_no_half(tmp_path):
    analyze(tmp_path / "a.hdr", scan_arrays()[0], (1.0, 1.0, 3.0))
    header_, values = (tmp_path / "a.hdr").read_bytes(), (tmp_path / "a.img").read_bytes()
    for half, content, found in (
        ("a.hdr", POINTER, "Git LFS pointer, which stands for the file, as the .hdr"),
        ("a.img", b"", "an empty file (0 bytes), as the .img"),
        ("a.img", values[:-9], "cut short"),
    ):
        (tmp_path / "a.hdr").write_bytes(header_)
        (tmp_path / "a.img").write_bytes(values)
        (tmp_path / half).write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_volume(tmp_path / "a.img", "scan S")
        assert found in caught.value.found


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mgz", "a.nrrd"])
def test_a_file_that_has_vanished_is_named_as_that(tmp_path, name):
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path / name, "scan S")
    assert caught.value.found == "no file any more" and "Put the file back" in caught.value.do


@pytest.mark.parametrize("half", ["hdr", "img"])
def test_half_of_a_pair_that_has_vanished_is_named_as_that(tmp_path, half):
    analyze(tmp_path / "a.hdr", scan_arrays()[0], (1.0, 1.0, 3.0))
    (tmp_path / f"a.{half}").unlink()
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path / "a.hdr", "scan S")
    assert caught.value.found == f"no file any more, as the .{half}"


def test_zeros_behind_a_compressed_file_and_several_members_are_welcome(tmp_path):
    """gzip pads with zeros on tapes and some storages; parallel compressors write several members."""
    whole = _bytes_of(tmp_path)
    expected = read_volume(tmp_path / "whole.nii", "here").data
    for content in (
        gzip.compress(whole) + bytes(512),
        gzip.compress(whole[:900]) + gzip.compress(whole[900:]),
    ):
        (tmp_path / "a.nii.gz").write_bytes(content)
        np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz", "here").data, expected)


READ_WITHIN = """
import sys
from pathlib import Path
from data_prep.files.read import read_volume
from hnscc.base.errors import InputError
def most_memory():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0])
before = most_memory()
try:
    read_volume(Path(sys.argv[1]), "scan S")
except InputError as error:
    print(error.problem, error.found)
print((most_memory() - before) // 1024)
"""


def _bomb(tmp_path: Path, shape: tuple[int, int, int], dtype: str, **fields) -> Path:
    """A volume of zeros whose header tells `shape`, with 8 GiB of them behind it once unpacked."""
    write(tmp_path / "a.nii", np.zeros((4, 4, 4), dtype))
    header(tmp_path / "a.nii", dim=[3, *shape, 1, 1, 1, 1], **fields)
    content = gzip.compress((tmp_path / "a.nii").read_bytes())
    (tmp_path / "bomb.nii.gz").write_bytes(content + gzip.compress(bytes(2**26)) * 128)
    return tmp_path / "bomb.nii.gz"


@pytest.mark.parametrize(
    "shape, dtype, fields, words",
    [
        ((1024, 1024, 512), "<f8", {}, "too large for memory"),
        ((512, 1024, 1024), "<f4", {"datatype": 1024, "bitpix": 64}, "too large for memory"),
        ((4, 4, 4), "<f4", {}, "unpacks to more than its header tells"),
        ((4, 4, 4), "<f4", {"vox_offset": 2**33}, "header is too long"),
    ],
)
def test_a_small_file_that_unpacks_to_gigabytes_is_not_read_whole(tmp_path, shape, dtype, fields, words):
    path = _bomb(tmp_path, shape, dtype, **fields)
    assert path.stat().st_size < 18e6
    told = subprocess.run(
        [sys.executable, "-c", READ_WITHIN, str(path)], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert words in told[0]
    assert int(told[1]) < 200, "MiB"


def test_an_extension_without_length_does_not_read_the_rest(tmp_path):
    """nibabel asks for all that is left where an extension claims to be 7 bytes long: 8 less is -1."""
    path = _bomb(tmp_path, (4, 4, 4), "<f4")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    head = nib.Nifti1Header(bytes(content[:348]), check=False)
    head["vox_offset"] = 384
    content[:352] = head.binaryblock + b"\x01\0\0\0"
    content[352:352] = b"\x07" + bytes(31)
    path.write_bytes(gzip.compress(bytes(content)) + gzip.compress(bytes(2**26)) * 4)
    told = subprocess.run(
        [sys.executable, "-c", READ_WITHIN, str(path)], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert "cannot be read" in told[0] and int(told[1]) < 200
