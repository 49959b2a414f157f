"""Masks of scans in DICOM come as DICOM segmentations that lie over the source series, and name no patient."""

import json

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import AXIAL, CORONAL, SAGITTAL, classic_series, enhanced, with_meta
from dicom_files import write as write_series
from pydicom import dcmread
from pydicom.uid import generate_uid
from scans import save
from trained_runs import scan_of

import hnscc
from data_prep.dicom.referred import write_referring
from data_prep.dicom.rtstruct_out import save_rtstruct
from data_prep.dicom.seg_out import save_seg
from data_prep.files.read import read_grid
from hnscc.base.errors import InputError

OBLIQUE = (*(0.98, 0.199, 0.0), *(-0.199 * 0.96, 0.98 * 0.96, 0.28))
# How the slices of the same scan lie: direction, how its voxels (x, y, z to left, posterior, superior) are turned into
# columns, rows and slices, and the steps between these in mm.
WAYS = {
    "axial": (AXIAL, lambda data: data, (1.0, 1.0), 3.0),
    "sagittal": (SAGITTAL, lambda data: data.transpose(1, 2, 0)[:, ::-1, ::-1], (1.0, 3.0), 1.0),
    "coronal": (CORONAL, lambda data: data.transpose(0, 2, 1)[:, ::-1], (1.0, 3.0), 1.0),
    "oblique": (OBLIQUE, lambda data: data, (1.0, 1.0), 3.0),
}
SECRET = b"SECRET"


def series_of(data, way):
    orientation, turn, pixel, step = WAYS[way]
    stored = np.ascontiguousarray(turn(np.clip(np.rint(data * 100), 0, 60000).astype(np.uint16)))
    slopes = [0.01] * stored.shape[2]
    made = classic_series(stored, orientation=orientation, pixel=pixel, step=step, slopes=slopes)
    uid = generate_uid()
    for each in made:
        each.SeriesInstanceUID = uid
    return made


@pytest.fixture(scope="module")
def predicted(trained, tmp_path_factory):
    """The same scan in every way, predicted; the last is an enhanced object whose frames stand in another order."""
    folder = tmp_path_factory.mktemp("dicom")
    rows = [["patient_id", "scan_id", "pet", "mri"]]
    volumes = scan_of(101)
    for name in (*WAYS, "enhanced"):
        for modality in ("pet", "mri"):
            made = series_of(volumes[modality], name if name in WAYS else "axial")
            made = made if name in WAYS else [enhanced([made[at] for at in (2, 0, 3, 1)])]
            write_series(folder / name / modality, made)
        rows.append([name.upper(), name, f"{name}/pet", f"{name}/mri"])
    hnscc.predict(trained.root, save(folder, rows), folder / "out", variant="pet_mri", rtstruct=True)
    return folder


def points(marked, affine):
    at = np.argwhere(marked) @ affine[:3, :3].T + affine[:3, 3]
    return at[np.lexsort(np.round(at, 3).T)]


@pytest.mark.quick(3)
@pytest.mark.parametrize("name", [*WAYS, "enhanced"])
def test_a_segmentation_lies_where_the_mask_lies(predicted, name):
    """Read back by highdicom as a volume, and by SimpleITK; the NIfTI mask by nibabel."""
    mask = nib.load(predicted / "out" / f"{name}.nii.gz")
    expected = points(np.asarray(mask.dataobj), np.diag([-1, -1, 1, 1]) @ mask.affine)
    assert len(expected) > 10
    path = predicted / "out" / f"{name}.seg.dcm"
    volume = hd.seg.segread(path).get_volume(combine_segments=True)
    found = points(np.asarray(volume.array), volume.affine)
    assert found.shape == expected.shape and np.abs(found - expected).max() < 1e-3
    if name != "enhanced":
        image = sitk.ReadImage(path)
        voxels = np.argwhere(sitk.GetArrayFromImage(image))[:, ::-1]
        at = np.array([image.TransformIndexToPhysicalPoint(list(map(int, each))) for each in voxels])
        assert np.abs(at[np.lexsort(np.round(at, 3).T)] - expected).max() < 1e-3


@pytest.mark.parametrize("name", WAYS)
def test_every_slice_of_the_series_has_its_frame(predicted, name):
    sources = [dcmread(path) for path in (predicted / name / "pet").iterdir()]
    segmentation = hd.seg.segread(predicted / "out" / f"{name}.seg.dcm")
    assert segmentation.NumberOfFrames == len(sources)
    assert segmentation.StudyInstanceUID == sources[0].StudyInstanceUID
    assert segmentation.SeriesInstanceUID != sources[0].SeriesInstanceUID
    (referred,) = segmentation.ReferencedSeriesSequence
    assert referred.SeriesInstanceUID == sources[0].SeriesInstanceUID
    ordered = sorted(sources, key=lambda each: int(each.InstanceNumber))
    frames = segmentation.get_pixels_by_source_instance(
        [each.SOPInstanceUID for each in ordered], segment_numbers=[1], ignore_spatial_locations=True
    )
    mask = np.asarray(nib.load(predicted / "out" / f"{name}.nii.gz").dataobj)
    assert (frames[..., 0] == mask.T).all()


def test_contours_filled_again_are_the_mask(predicted, trained, tmp_path):
    """Read as the masks of another manifest, they score as the masks themselves; each refers to its slice."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for name in (*WAYS, "enhanced"):
        cells = [str(predicted / each) for each in (f"{name}/pet", f"{name}/mri", f"out/{name}.rtstruct.dcm")]
        rows.append([name, name, *cells])
    found = hnscc.predict(trained.root, save(tmp_path, rows), tmp_path / "out", variant="pet_mri")
    assert [scan["dice"] for scan in found.facts["scans"]] == [1.0] * 5
    for name in (*WAYS, "enhanced"):
        drawn = dcmread(predicted / "out" / f"{name}.rtstruct.dcm")
        sources = {each.SOPInstanceUID: each for each in map(dcmread, (predicted / name / "pet").iterdir())}
        (region,) = drawn.ROIContourSequence
        assert drawn.StructureSetROISequence[0].ROIName == "Lesion"
        assert drawn.PatientID == name.upper() and not drawn.PatientName and not drawn.StudyDate
        for contour in region.ContourSequence:
            (image,) = contour.ContourImageSequence
            source = sources[image.ReferencedSOPInstanceUID]
            if name == "enhanced":
                frame = source.PerFrameFunctionalGroupsSequence[image.ReferencedFrameNumber - 1]
                source = frame.PlanePositionSequence[0]
                source.ImageOrientationPatient = list(AXIAL)
            else:
                assert "ReferencedFrameNumber" not in image
            across = np.cross(source.ImageOrientationPatient[:3], source.ImageOrientationPatient[3:])
            at = np.reshape(contour.ContourData, (-1, 3)) - np.array(source.ImagePositionPatient)
            assert np.abs(at @ across).max() < 1e-3, "it lies in its slice"


def test_nothing_of_the_patient_stands_in_what_is_written(predicted, trained, tmp_path):
    for path in (predicted / "out").iterdir():
        assert SECRET not in path.read_bytes(), path.name
    segmentation = dcmread(predicted / "out" / "axial.seg.dcm")
    assert segmentation.PatientID == "AXIAL" and segmentation.PatientIdentityRemoved == "YES"
    assert not segmentation.StudyDate and not segmentation.PatientName
    rows = [["patient_id", "scan_id", "pet"], ["A", "a", str(predicted / "axial" / "pet")]]
    hnscc.predict(
        trained.root, save(tmp_path, rows), tmp_path / "out", variant="pet", keep_identity=True, rtstruct=True
    )
    for kind in ("seg", "rtstruct"):
        kept = dcmread(tmp_path / "out" / f"a.{kind}.dcm")
        assert str(kept.PatientName).startswith("SECRET") and kept.StudyDate == "20200102"
        assert "PatientIdentityRemoved" not in kept


def test_pixels_of_an_enhanced_object_that_are_not_square_keep_their_sides(tmp_path):
    """Sagittal frames of 1 x 3 mm in an order of their own; the mask is asymmetric along each axis."""
    made = series_of(scan_of(101)["pet"], "sagittal")
    write_series(
        tmp_path / "pet", [enhanced([made[at] for at in np.random.default_rng(4).permutation(len(made))])]
    )
    grid = read_grid(tmp_path / "pet", "scan a")
    mask = np.zeros(grid.shape, np.uint8)
    mask[2:5, 1:3, 3:9], mask[5, 1, 3] = 1, 1
    whose = {"patient_id": "p001", "keep_identity": False, "where": "scan a"}
    save_seg(tmp_path / "a.dcm", mask, tmp_path / "pet", **whose)
    volume = hd.seg.segread(tmp_path / "a.dcm").get_volume(combine_segments=True)
    found, expected = (
        points(np.asarray(volume.array), volume.affine),
        points(mask, np.diag([-1, -1, 1, 1]) @ grid.affine),
    )
    assert found.shape == expected.shape and np.abs(found - expected).max() < 1e-3
    assert volume.spacing == pytest.approx((1, 3, 1))
    with pytest.raises(InputError, match="nothing to outline"):
        save_rtstruct(tmp_path / "b.dcm", np.zeros_like(mask), tmp_path / "pet", **whose)
    assert not (tmp_path / "b.dcm").exists()


def test_what_the_source_calls_its_modality_is_not_copied(tmp_path):
    made = series_of(scan_of(5)["pet"], "axial")
    for each in made:
        each.Modality = "SECRET"
    write_series(tmp_path / "pet", made)
    mask = np.ones((*made[0].pixel_array.shape[::-1], len(made)), np.uint8)
    save_seg(
        tmp_path / "a.dcm", mask, tmp_path / "pet", patient_id="p001", keep_identity=False, where="scan a"
    )
    assert SECRET not in (tmp_path / "a.dcm").read_bytes()


def test_a_series_without_a_frame_of_reference_has_a_mask_alone(trained, tmp_path):
    made = series_of(scan_of(4)["pet"], "axial")
    for each in made:
        del each.FrameOfReferenceUID
        with_meta(each)
    write_series(tmp_path / "pet", made)
    rows = [["patient_id", "scan_id", "pet"], ["A", "a", "pet"]]
    found = hnscc.predict(trained.root, save(tmp_path, rows), tmp_path / "out", variant="pet")
    assert set(found.facts["scans"][0]["files"]) == {"mask", "picture"}
    assert any("a FrameOfReferenceUID in every file" in line for line in found.facts["scans"][0]["told"])


def without_study(made):
    for each in made:
        del each.StudyInstanceUID
    return made


def of_odd_attributes(made):
    for each in made:
        each.add_new(0x00100030, "DA", "SECRET19500101")
        each.add_new(0x00101010, "AS", "SECRET45")
    return made


def of_another_sex(made):
    """A code as DICOM wants it, and none of its own; highdicom's error quotes it."""
    for each in made:
        each.PatientSex = "SECRET"
    return made


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda made: [enhanced(made[:2]), enhanced(made[2:])], "4 slices in 2 files"),
        (without_study, "a StudyInstanceUID in every file"),
        (of_odd_attributes, "attributes as DICOM defines them"),
        (of_another_sex, "attributes as DICOM defines them"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of pydicom, while the files of the test are made
def test_what_no_segmentation_can_refer_to_has_a_mask_alone(
    trained, tmp_path, capfd, monkeypatch, damage, said
):
    """The other scans are not lost, and nothing quotes the header."""
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
    for name, made in (("odd", damage(series_of(scan_of(4)["pet"], "axial"))), ("sound", None)):
        write_series(tmp_path / name, made or series_of(scan_of(5)["pet"], "axial"))
    monkeypatch.undo()
    capfd.readouterr()
    rows = [["patient_id", "scan_id", "pet"], ["A", "a", "odd"], ["B", "b", "sound"]]
    found = hnscc.predict(
        trained.root, save(tmp_path, rows), tmp_path / "out", variant="pet", keep_identity=True
    )
    odd, sound = found.facts["scans"]
    assert set(odd["files"]) == {"mask", "picture"} and "segmentation" in sound["files"]
    (line,) = [line for line in odd["told"] if line.startswith("no DICOM segmentation was written")]
    assert said in line
    printed = capfd.readouterr()
    assert "SECRET" not in json.dumps(found.facts) + printed.out + printed.err
    assert not list((tmp_path / "out").glob("a*.dcm"))


def test_a_fault_of_our_own_is_not_told_as_one_of_the_series(tmp_path):
    """Whatever failed was told as attributes that pydicom cannot write."""
    write_series(tmp_path / "sound", series_of(scan_of(5)["pet"], "axial"))

    def save(slices, to, keep_identity):
        raise TypeError("of this program")

    with pytest.raises(TypeError, match="of this program"):
        write_referring(
            tmp_path / "out.dcm",
            tmp_path / "sound",
            save,
            kind="segmentation",
            keep_identity=True,
            where="scan b",
        )
    assert not (tmp_path / "out.dcm").exists()
