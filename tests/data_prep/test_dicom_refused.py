"""DICOM that makes no volume is refused by its kind, and no error tells what stands in a file."""

import os
from pathlib import Path

import dicom_files as made
import gdcm
import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from scans import prepare

from data_prep.files.read import read_volume
from hnscc.base.errors import InputError

SHAPE = (64, 48, 6)


def stored() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 4096, SHAPE).astype(np.uint16)


def series(**settings) -> list:
    return made.classic_series(stored(), **settings)


def at(index: int, **attributes):
    """A change of one slice's attributes."""

    def change(data, z):
        for name, value in attributes.items() if z == index else ():
            setattr(data, name, value)

    return change


def without(name: str):
    return lambda data, z: delattr(data, name)


def all_of(**attributes):
    return lambda data, z: [setattr(data, name, value) for name, value in attributes.items()]


def moved(index: int, way) -> list:
    made_series = series()
    place = np.array(made_series[index].ImagePositionPatient, float) + way
    made_series[index].ImagePositionPatient = list(place)
    return made_series


def twice(**attributes) -> list:
    return [*series(), *series(**attributes)]


TRIPLE = {"ImageOrientationPatient": list(made.CORONAL)}
CASES = {
    "missing slice": (lambda: [each for z, each in enumerate(series()) if z != 2], None, "Slices .* missing"),
    "two places": (
        lambda: [each for z, each in enumerate(series()) if z not in (1, 4)],
        None,
        "2 missing .* in 2 places",
    ),
    "uneven": (lambda: moved(5, (0, 0, 1.0)), None, "even steps"),
    "off the line": (lambda: moved(2, (0.4, 0, 0)), None, "on one line[^$]*a slice 0.4 mm away"),
    "PET that lacks its end": (
        lambda: series(modality="PT", NumberOfSlices=7),
        None,
        "Slices .* missing[^$]*7, which NumberOfSlices",
    ),
    "duplicates": (lambda: twice(), None, "stand twice"),
    "echoes": (lambda: twice(EchoTime=80), None, "several acquisitions[^$]*differ in EchoTime"),
    "times": (
        lambda: twice(AcquisitionTime="235959"),
        None,
        "several acquisitions[^$]*differ in AcquisitionTime",
    ),
    "one slice": (lambda: series()[:1], None, "one slice"),
    "tilt": (lambda: series(step=(0, 0.8, 3.0)), None, "tilted gantry[^$]*14.9 degrees"),
    "planes": (series, at(3, **TRIPLE), "differ in orientation[^$]*90 degrees apart"),
    "spacings": (series, at(3, PixelSpacing=[1.5, 2.5]), "differ in pixel spacing[^$]*from 1.5 to 2.5 mm"),
    "frames of reference": (
        series,
        at(3, FrameOfReferenceUID="1.2.99"),
        "several frames of reference[^$]*found: +2",
    ),
    "localiser": (series, all_of(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "a localiser"),
    "MIP": (series, all_of(ImageType=["DERIVED", "SECONDARY", "MIP"]), "a projection"),
    "mosaic": (series, all_of(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), "a mosaic of slices"),
    "capture": (lambda: series(modality="capture"), None, "Secondary Capture Image"),
    "structures": (lambda: series(modality="RTSTRUCT"), None, "RT Structure Set"),
    "unknown class": (series, all_of(SOPClassUID="1.2.3.4.5"), "an unknown kind"),
    "mixed classes": (series, at(3, SOPClassUID=made.STORAGE + "2"), "objects of several kinds"),
    "colour": (
        series,
        all_of(PhotometricInterpretation="PALETTE COLOR"),
        "grey values[^$]*found: +PALETTE COLOR",
    ),
    "table of values": (series, all_of(ModalityLUTSequence=[made.group()]), "scaled by a table"),
    "old frames": (series, all_of(NumberOfFrames=3), "many frames"),
    "position": (series, without("ImagePositionPatient"), "ImagePositionPatient is missing"),
    "orientation": (series, without("ImageOrientationPatient"), "ImageOrientationPatient is missing"),
    "lying": (
        series,
        all_of(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]),
        "ImageOrientationPatient is unusable[^$]*product 1",
    ),
    "spacing": (series, without("PixelSpacing"), "PixelSpacing is missing"),
    "zero spacing": (series, all_of(PixelSpacing=[0, 1]), "PixelSpacing is out of range[^$]*0 and 1 mm"),
    "CT without slope": (lambda: series(modality="CT"), without("RescaleSlope"), "RescaleSlope is missing"),
    "MR with an intercept alone": (
        lambda: series(modality="MR"),
        lambda data, z: (delattr(data, "RescaleSlope"), setattr(data, "RescaleIntercept", -1024)),
        "RescaleSlope is missing",
    ),
    "slope of zero": (series, at(2, RescaleSlope=0), "RescaleSlope is unusable"),
    "no series": (series, without("SeriesInstanceUID"), "SeriesInstanceUID is missing"),
    "no pixels": (series, at(2, PixelData=None), "PixelData is missing"),
    "fewer rows than pixels": (series, all_of(Rows=40), "cut short, or do not fit"),
    "more rows than pixels": (series, all_of(Rows=60), "cut short, or do not fit"),
    "bits": (series, all_of(HighBit=11), "packed in an unusual way[^$]*HighBit 11, BitsStored 16"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_makes_no_volume_is_refused_by_its_kind(tmp_path, case):
    instances, change, words = CASES[case]
    folder = made.write(tmp_path / "s", instances(), change)
    with pytest.raises(InputError, match=f"(?s){words}") as refused:
        read_volume(folder, "row 2")
    text = str(refused.value)
    assert (
        "SECRET" not in text and "1.2.826" not in text and str(tmp_path) not in text and "235959" not in text
    )


def test_slices_of_two_sizes_are_refused(tmp_path):
    one, other = series(), made.classic_series(stored()[:32], origin=(-20, -30, 58))
    folder = made.write(tmp_path / "s", [*one, *other])
    with pytest.raises(InputError, match="differ in size"):
        read_volume(folder, "row 2")


@pytest.mark.parametrize("damage", ["cut", "half", "empty", "text", "no mark"])
def test_a_damaged_file_of_a_folder_is_refused(tmp_path, damage):
    folder = made.write(tmp_path / "s", series())
    file = sorted(folder.iterdir())[0]
    whole = file.read_bytes()
    file = file.rename(folder / "slice.dcm")
    left = {
        "cut": whole[:-20],
        "half": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"moved to archive" * 20,
        "no mark": bytes(200) + whole[200:],
    }
    file.write_bytes(left[damage])
    with pytest.raises(InputError, match=r"cut short|is none|cannot be read|missing"):
        read_volume(folder, "row 2")


@pytest.mark.parametrize("left", [b"", bytes(5), bytes(128) + b"DI", bytes(5000)])
def test_what_a_full_disk_leaves_of_the_last_slice_is_refused_and_never_left_out(tmp_path, left):
    """A file that is empty, cut in its preamble, or of zeros as after a crash bears no mark of DICOM any more."""
    folder = made.write(tmp_path / "s", series())
    (folder / "notes.txt").write_bytes(b"")
    assert read_volume(folder, "row 2").data.shape == SHAPE
    last = max(folder.glob("IM*"), key=lambda each: made.opened(each).InstanceNumber)
    last.write_bytes(left)
    with pytest.raises(InputError, match=r"cannot be opened[^$]*row 2[^$]*1 that is"):
        read_volume(folder, "row 2")


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
@pytest.mark.parametrize("behind", [20, 60])
def test_compressed_pixels_that_lost_a_byte_are_refused(tmp_path, syntax, behind):
    """Those behind it move up, and the first of what closes the pixels takes the last place."""
    folder = tmp_path / "s"
    instances = [made.with_meta(each) for each in series()]
    for each in instances:
        each.compress(syntax, generate_instance_uid=False)
    for file in made.write(folder, instances).iterdir():
        content = file.read_bytes()
        file.write_bytes(content[:-behind] + content[-behind + 1 :])
    with pytest.raises(InputError, match=r"cannot be decoded"):
        read_volume(folder, "row 2")


@pytest.mark.parametrize("last", ["links to nothing", "links to themselves", "hidden links"])
def test_slices_that_cannot_be_opened_are_refused_and_never_left_out(tmp_path, last):
    """Those at the end leave no gap: without them, the rest would be a shorter volume."""
    folder = made.write(tmp_path / "s", series())
    for file in sorted(folder.iterdir(), key=lambda each: made.opened(each).InstanceNumber)[-2:]:
        name = f".#{file.name}" if last == "hidden links" else file.name
        file.rename(tmp_path / file.name)
        (folder / name).symlink_to(folder / name if last == "links to themselves" else "/nowhere/Doe")
    if last == "hidden links":  # as editors leave them behind
        assert read_volume(folder, "row 2").data.shape == (64, 48, 4)
        return
    with pytest.raises(
        InputError, match=r"cannot be opened[^$]*row 2[^$]*2 that are links to nothing"
    ) as refused:
        read_volume(folder, "row 2")
    assert "Doe" not in str(refused.value) and str(tmp_path) not in str(refused.value)


def test_folders_that_cannot_be_opened_are_refused(tmp_path):
    """A path that is too long for the system cannot be opened by anyone, an administrator included."""
    folder = made.write(tmp_path / "s", series())
    at = os.open(folder, os.O_RDONLY)
    for _ in range(18):
        os.mkdir("f" * 250, dir_fd=at)
        below = os.open("f" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    with pytest.raises(InputError, match="cannot be opened"):
        read_volume(folder, "row 2")


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless, "lossless JPEG"])
@pytest.mark.parametrize("damage", ["cut", "size", "none"])
def test_compressed_pixels_that_are_cut_or_of_another_size_are_refused(tmp_path, syntax, damage, capfd):
    instances = [made.with_meta(each) for each in series()]
    if syntax != "lossless JPEG":
        for each in instances:
            each.compress(syntax, generate_instance_uid=False)
    folder = made.write(tmp_path / "s", instances)
    files = sorted(folder.iterdir())
    if syntax == "lossless JPEG":
        for file in files:
            made.compressed_by_gdcm(file, gdcm.TransferSyntax.JPEGLosslessProcess14_1)
    for file in files:
        data = made.opened(file)
        if damage == "cut":
            data.PixelData = made.shortened(data.PixelData)
        elif damage == "size":
            data.Rows = data.Rows + 8
        data.save_as(file)
    if damage == "none":
        np.testing.assert_array_equal(read_volume(folder, "row 2").data, stored())
        return
    with pytest.raises(InputError, match=r"cannot be decoded|cut short"):
        read_volume(folder, "row 2")
    assert capfd.readouterr().err == ""


def test_a_deflated_data_set_is_refused_before_it_is_unpacked(tmp_path):
    folder = made.write(tmp_path / "s", series())
    for file in folder.iterdir():
        data = made.opened(file)
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        data.save_as(file)
    with pytest.raises(InputError, match="deflated as a whole"):
        read_volume(folder, "row 2")


def cohort(folder: Path) -> tuple[Path, Path]:
    """Two scans as DICOM and the same as NIfTI: a manifest of each."""
    rows = {"dicom": ["patient_id,scan_id,mri,mask"], "nifti": ["patient_id,scan_id,mri,mask"]}
    for number in (1, 2):
        values = np.random.default_rng(number).integers(0, 4096, SHAPE).astype(np.uint16)
        instances = made.classic_series(
            values, SeriesInstanceUID=f"1.2.826.0.1.{number}", PatientID=f"SECRET^{number}"
        )
        made.write(folder / "dicom", instances, name=f"s{number}")
        affine = np.diag([-2.0, -1.5, 3.0, 1.0])
        affine[:3, 3] = 20, 30, 40
        mask = np.zeros(SHAPE, np.uint8)
        mask[20:30, 20:30, 2:4] = 1
        nib.save(nib.Nifti1Image(values, affine), folder / f"{number}.nii.gz")
        nib.save(nib.Nifti1Image(mask, affine), folder / f"mask{number}.nii.gz")
        rows["dicom"].append(f"p{number},s{number},dicom#1.2.826.0.1.{number},mask{number}.nii.gz")
        rows["nifti"].append(f"p{number},s{number},{number}.nii.gz,mask{number}.nii.gz")
    for name, lines in rows.items():
        (folder / f"{name}.csv").write_text("\n".join(lines))
    return folder / "dicom.csv", folder / "nifti.csv"


def test_a_store_made_from_dicom_is_that_made_from_nifti(tmp_path):
    stores = [
        prepare(manifest, tmp_path / f"{manifest.stem}.zarr", size=32, workers=1)
        for manifest in cohort(tmp_path)
    ]
    one, other = ([scan.digest for scan in store.scans] for store in stores)
    assert one == other and len(set(one)) == 2
    assert stores[0].scans[0].affine == stores[1].scans[0].affine


def test_a_cell_without_its_folder_or_series_is_refused_by_row(tmp_path):
    manifest, _ = cohort(tmp_path)
    manifest.write_text(manifest.read_text().replace("dicom#1.2.826.0.1.2", "dicom"))
    with pytest.raises(InputError, match=r"several series[^$]*row 3, scan s2, column mri") as refused:
        prepare(manifest, tmp_path / "a.zarr", size=32, workers=1)
    assert "dicom#" not in str(refused.value) and "SECRET" not in str(refused.value)
    manifest.write_text(manifest.read_text().replace("dicom,", "gone#1.2,"))
    with pytest.raises(InputError, match="does not exist"):
        prepare(manifest, tmp_path / "b.zarr", size=32, workers=1)
