"""Files are read whole and with certainty, or refused without a name: NIfTI and Analyze pairs."""

import gzip
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scans import LPS, analyze, change, cohort, prepare, refused, save, scan_arrays, write

from data_prep.files.read import read_grid, read_volume
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


@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
def test_what_makes_a_volume_of_frames_or_of_a_picture_is_said(tmp_path, ending):
    """Diffusion images of several b-values, and a slice of ultrasound."""
    for shape, do in (((4, 4, 4, 2), "Write the frame that is meant"), ((4, 4), "a third axis of one slice")):
        if ending == ".mha":
            sitk.WriteImage(sitk.Image(list(shape), sitk.sitkFloat32), str(tmp_path / f"a{ending}"))
        else:
            write(tmp_path / f"a{ending}", np.ones(shape, np.float32))
        with pytest.raises(InputError, match=f"{' x '.join(map(str, shape))} voxels\n[^$]*{do}"):
            read_volume(tmp_path / f"a{ending}", "S")


@pytest.mark.parametrize("name", BAD_HEADER)
def test_headers_that_make_no_sense_are_refused(tmp_path, name):
    write(tmp_path / "Jane_Doe.nii", np.ones((4, 4, 4), np.float32))
    header(tmp_path / "Jane_Doe.nii", **BAD_HEADER[name])
    with pytest.raises(InputError, match="scan S") as caught:
        read_volume(tmp_path / "Jane_Doe.nii", "scan S")
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("kind, at, number", [(nib.Nifti1Image, 108, "<f4"), (nib.Nifti2Image, 168, "<i8")])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_values_that_would_begin_with_the_header_itself_are_refused(tmp_path, kind, at, number, name):
    """They were read from byte 0 on, 352 or 544 bytes off, with the header as the first voxels."""
    kind(np.ones((40, 30, 5), np.int16), LPS).to_filename(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[at : at + int(number[-1])] = np.zeros(1, number).tobytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    for read in (read_volume, read_grid):
        with pytest.raises(InputError, match="does not say where the values begin"):
            read(tmp_path / name, "scan S")


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
    (tmp_path / "a.other").write_bytes(b"x")
    with pytest.raises(InputError, match="unknown kind"):
        read_volume(tmp_path / "a.other", "scan S")
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


READ_WITHIN = """
import sys
from pathlib import Path
from data_prep.files.read import read_grid, read_volume
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


@pytest.mark.quick(1)
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


@pytest.mark.slow
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
