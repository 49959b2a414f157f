"""What a file is that cannot be read as a volume, told by its first bytes and its size."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scans import analyze, scan_arrays, write

from data_prep.files.first_bytes import cause_of
from data_prep.files.read import read_volume
from hnscc.base.errors import InputError


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


def test_a_half_that_may_not_be_looked_at_is_not_called_empty(tmp_path):
    analyze(tmp_path / "a.hdr", scan_arrays()[0], (1.0, 1.0, 3.0))
    (tmp_path / "a.img").unlink()
    (tmp_path / "a.img").symlink_to("a.img")
    assert cause_of(tmp_path / "a.hdr").found == "no access (Too many levels of symbolic links), as the .img"


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


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.img"])
@pytest.mark.parametrize("slices, fits", [(9, True), (8, False), (5, False)])
def test_values_that_the_header_tells_nothing_of_are_refused(tmp_path, name, slices, fits):
    """A header of fewer slices was read in silence, without those beyond; MetaImage and NRRD were refused."""
    data = np.random.default_rng(0).random((9, 9, 9), np.float32)
    if name == "a.img":
        data = np.round(99 * data).astype(np.int16)
        analyze(tmp_path / name, data, (1, 1, 1))
        path, header = tmp_path / name, tmp_path / "a.hdr"
    else:
        path = header = tmp_path / name
        write(path, data)
    opened = gzip.open if name.endswith("gz") else open
    with opened(header, "rb") as file:
        content = bytearray(file.read())
    content[46:48] = np.array([slices], "<i2").tobytes()  # dim[3]
    for padding in (b"", b"\0" * 99):
        with opened(header, "wb") as file:
            file.write(content + (b"" if name == "a.img" else padding))
        if fits:
            np.testing.assert_allclose(read_volume(path, "S").data, data, atol=1)
            continue
        with pytest.raises(InputError, match=r"more values than its header tells[^$]*less than a slice"):
            read_volume(path, "S")
