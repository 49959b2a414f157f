"""DICOM series as volumes: values, order and place, against hand-made numbers, SimpleITK and the real cohort."""

from pathlib import Path

import dicom_files as made
import gdcm
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from scans import sts

from data_prep.dicom.series_in_folder import list_folders
from data_prep.dicom.series_volume import named_series
from data_prep.files.read import read_grid, read_volume
from data_prep.volumes.volume import to_lps, turned_to_lps
from hnscc.base.errors import InputError

TURNED = (np.cos(0.3), np.sin(0.3), 0, -np.sin(0.3) * np.cos(0.2), np.cos(0.3) * np.cos(0.2), np.sin(0.2))
PLANES = {
    "axial": made.AXIAL,
    "flipped": (-1, 0, 0, 0, -1, 0),
    "upside down": (1, 0, 0, 0, -1, 0),
    "coronal": made.CORONAL,
    "sagittal": made.SAGITTAL,
    "oblique": TURNED,
}


def stored(shape=(5, 4, 6), kind=np.int16) -> np.ndarray:
    """Different values everywhere, (x, y, z)."""
    return np.random.default_rng(3).permutation(np.prod(shape)).reshape(shape).astype(kind)


def by_sitk(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


@pytest.mark.parametrize("plane", PLANES)
def test_voxels_lie_where_simpleitk_puts_them(tmp_path, plane):
    folder = made.write(tmp_path / "s", made.classic_series(stored(), orientation=PLANES[plane]))
    volume, image = read_volume(folder, "row 2"), by_sitk(folder)
    assert volume.grid.shape == image.GetSize()
    for index in [(0, 0, 0), (4, 0, 0), (0, 3, 0), (0, 0, 5), (4, 3, 5), (1, 2, 3)]:
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((volume.grid.affine @ [*index, 1])[:3], (-x, -y, z), atol=1e-5)
        assert volume.data[index] == image[index]
    grid = read_grid(folder, "row 2")
    np.testing.assert_array_equal(grid.affine, volume.grid.affine)
    assert grid.stated_by == "DICOM" and grid.oriented


def test_each_slice_has_its_own_slope(tmp_path):
    values = stored(kind=np.uint16)
    slopes = [0.5, 0.25, 2.0, 1.0, 3.5, 0.125]
    folder = made.write(
        tmp_path / "s", made.classic_series(values, modality="CT", slopes=slopes, intercept=-1000)
    )
    np.testing.assert_array_equal(
        read_volume(folder, "row 2").data, (values * np.array(slopes) - 1000).astype(np.float32)
    )


def test_negative_values_and_bits_above_those_stored(tmp_path):
    values = stored(kind=np.int16) % 2048 - 60
    series = made.classic_series(values)

    def overlaid(data, z):
        pixels = np.frombuffer(data.PixelData, "<u2") & 0x0FFF | 0x8000
        data.BitsStored, data.HighBit, data.PixelData = 12, 11, pixels.astype("<u2").tobytes()

    np.testing.assert_array_equal(
        read_volume(made.write(tmp_path / "s", series, overlaid), "row 2").data, values
    )


def test_an_enhanced_object_is_what_its_classic_series_is(tmp_path):
    series = made.classic_series(stored(), orientation=TURNED, slopes=[1, 2, 3, 4, 5, 6])
    classic = read_volume(made.write(tmp_path / "classic", series), "row 2")
    folder = made.write(tmp_path / "enhanced", [made.enhanced([series[at] for at in (3, 0, 5, 1, 4, 2)])])
    for path in (folder, next(folder.iterdir())):
        volume = read_volume(path, "row 2")
        np.testing.assert_array_equal(volume.data, classic.data)
        np.testing.assert_array_equal(volume.grid.affine, classic.grid.affine)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_pixels(tmp_path, syntax):
    values = stored((64, 72, 2)) % 4096
    series = [made.with_meta(each) for each in made.classic_series(values)]
    for each in series:
        each.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(read_volume(made.write(tmp_path / "s", series), "row 2").data, values)


def test_lossless_jpeg_as_archives_keep_it(tmp_path):
    values = stored((20, 16, 3), np.uint16)
    folder = made.write(tmp_path / "s", made.classic_series(values))
    for file in folder.iterdir():
        made.compressed_by_gdcm(file, gdcm.TransferSyntax.JPEGLosslessProcess14_1)
    np.testing.assert_array_equal(read_volume(folder, "row 2").data, values)


def test_files_without_preamble_beside_other_files(tmp_path):
    values = stored()
    folder = tmp_path / "s"
    folder.mkdir()
    for z, data in enumerate(made.classic_series(values)):
        below = folder / f"d{z % 2}"
        below.mkdir(exist_ok=True)
        data.save_as(below / f"{z}", implicit_vr=True, little_endian=True, enforce_file_format=False)
    (folder / "Thumbs.db").write_bytes(bytes(1000))
    (folder / "notes.txt").write_text("the patient was moved")
    np.testing.assert_array_equal(read_volume(folder, "row 2").data, values)


def test_a_file_that_is_there_twice_counts_once(tmp_path):
    folder = made.write(tmp_path / "s", made.classic_series(stored()))
    first = sorted(folder.iterdir())[2]
    (folder / "copy").write_bytes(first.read_bytes())
    assert read_volume(folder, "row 2").grid.shape == (5, 4, 6)


def test_one_of_several_series_is_chosen_by_its_key_or_uid(tmp_path):
    folder = tmp_path / "s"
    values = {"1.2.826.0.1.77": stored(), "1.2.826.0.1.78": stored() + 1000}
    for uid, each in values.items():
        made.write(folder, made.classic_series(each, SeriesInstanceUID=uid), name=uid[-2:])
    made.write(
        folder, made.classic_series(stored(), modality="capture", SeriesInstanceUID="1.2.9"), name="shot"
    )
    with pytest.raises(InputError, match="several series") as refused:
        read_volume(folder, "row 2")
    assert "1.2.826" not in str(refused.value) and "SECRET" not in str(refused.value)
    keys = [
        line.split(":")[0].strip() for line in str(refused.value).splitlines() if "#" in line.split(":")[0]
    ]
    assert len(keys) == 2 and str(refused.value).count("6 slices of 5 x 4") == 2
    sums = {float(each.sum()) for each in values.values()}
    assert {float(read_volume(Path(f"{folder}{key}"), "row 2").data.sum()) for key in keys} == sums
    for uid, each in values.items():
        np.testing.assert_array_equal(read_volume(Path(f"{folder}#{uid}"), "row 2").data, each)
    with pytest.raises(InputError, match="no such series"):
        read_volume(Path(f"{folder}#1.2.3"), "row 2")
    with pytest.raises(InputError, match="Secondary Capture Image"):
        read_volume(Path(f"{folder}#1.2.9"), "row 2")


def test_a_name_may_hold_the_mark_of_series(tmp_path):
    """A path that exists is taken as it stands; without a folder before the mark, only a UID or key is a series."""
    folder = made.write(tmp_path / "scan #1", made.classic_series(stored()))
    for cell in ("scan #1", "scan #1#1.2.826.0.1.2"):
        np.testing.assert_array_equal(read_volume(tmp_path / cell, "row 2").data, stored())
    assert named_series(folder / "#1.2.826.0.1.2") == (folder, "1.2.826.0.1.2")
    assert named_series(tmp_path / "#a mask.nii") == (tmp_path / "#a mask.nii", None)


@pytest.mark.parametrize("patient", ["STS_008", "STS_025"])
@pytest.mark.parametrize("modality", ["PET", "MR_T1"])
def test_real_series_agree_with_their_nifti(patient, modality):
    folder = sts()
    series = read_volume(folder / "dicom" / patient / modality / "image", "row 2")
    (file,) = (folder / "nifti" / patient).glob(f"{modality}_image*")
    nifti = read_volume(file, "row 2")
    one, other = to_lps(series.grid), to_lps(nifti.grid)
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-4)
    np.testing.assert_allclose(
        turned_to_lps(series.data, series.grid), turned_to_lps(nifti.data, nifti.grid), atol=1e-6, rtol=1e-6
    )


def test_slices_of_many_pixels(tmp_path):
    values = np.random.default_rng(6).integers(0, 4096, (400, 380, 2)).astype(np.uint16)
    folder = made.write(tmp_path / "s", made.classic_series(values, modality="CT"))
    volume = read_volume(folder, "row 2")
    np.testing.assert_array_equal(volume.data, values)
    assert volume.unit == "HU"
    file = sorted(folder.iterdir())[0]
    content = bytearray(file.read_bytes())
    at = content.index(b"\xe0\x7f\x10\x00OW") + 8  # the length of the pixel data, which now claims 4 GiB
    content[at : at + 4] = b"\xf0\xff\xff\xff"
    file.write_bytes(content[:-2])
    with pytest.raises(InputError, match=r"cut short|cannot be read"):
        read_volume(folder, "row 2")


def test_patient_ids_are_told_apart_by_their_capitals(tmp_path):
    for number, patient in enumerate(("Abc1", " aBC1 ")):
        uids = {
            name: f"1.2.826.0.{number}.{at}"
            for at, name in enumerate(("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"))
        }
        scan = made.classic_series(np.ones((4, 4, 3), np.int16), PatientID=patient, **uids)
        made.write(tmp_path / str(number), scan)
    assert list_folders([tmp_path]).pseudonyms == {"Abc1": "p001", "aBC1": "p002"}
    assert list_folders([tmp_path], {"Abc1": "p007"}).pseudonyms == {"Abc1": "p007", "aBC1": "p001"}


@pytest.mark.parametrize("stated, unit", [(None, "HU"), ("HU", "HU"), ("MGML", ""), ("US", "")])
def test_ct_is_in_hu_unless_it_says_otherwise(tmp_path, stated, unit):
    """A map of iodine, or of density, is CT by its SOP class too."""
    more = {"RescaleType": stated} if stated else {}
    series = made.classic_series(np.arange(60).reshape(5, 4, 3).astype(np.int16), modality="CT", **more)
    assert read_volume(made.write(tmp_path / "s", series), "S").unit == unit
