"""DICOM segmentations, as highdicom writes them, are masks on the images that they were drawn on."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from dicom_files import CORONAL, SAGITTAL, pet_attributes
from dicom_masks import segmentation, series_for_masks
from pydicom import dcmread
from pydicom.dataset import Dataset
from scans import change, cohort, prepare, refused, save

from data_prep.files.read import read_grid
from data_prep.masks.mask_of_cell import MaskCell, drawn_on, read_mask
from hnscc.base.errors import InputError

SHAPE = (20, 16, 6)
OBLIQUE = (0.8, 0.6, 0, -0.48, 0.64, 0.6)
LESION = np.zeros(SHAPE, bool)
LESION[6:14, 5:12, 1:3], LESION[3:5, 9, 4] = True, True
NODE = np.zeros(SHAPE, bool)
NODE[15:18, 2:4, 2:5] = True


def series(folder: Path, **options) -> list[Dataset]:
    return series_for_masks(folder, SHAPE, **options)


def on_image(path: Path, region: str | None = None, **images: Path):
    """The mask on the image "mri", turned to its file's order where that is LPS, and what was told."""
    grids = {name: read_grid(each, "S") for name, each in images.items()}
    return read_mask(MaskCell(path, region, images, "scan S"), grids, "mri")


def placed(mask, grid) -> np.ndarray:
    """The mask's voxels in the order of the grid: each looked up by its place in mm."""
    index = np.indices(grid.shape).reshape(3, -1)
    mm = grid.affine[:3, :3] @ index + grid.affine[:3, 3:]
    inverse = np.linalg.inv(mask.volume.grid.affine)
    at = np.rint(inverse[:3, :3] @ mm + inverse[:3, 3:]).astype(int)
    return mask.volume.data[tuple(at)].reshape(grid.shape) > 0


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0), CORONAL, SAGITTAL, OBLIQUE])
def test_a_mask_lies_where_it_was_drawn(tmp_path, orientation):
    """Frames without lesion, the first, the fourth and the last, are left out of the file."""
    images = series(tmp_path / "mri", orientation=orientation)
    path = segmentation(tmp_path / "seg.dcm", images, LESION)
    assert dcmread(path).NumberOfFrames == 3
    mask = on_image(path, mri=tmp_path / "mri")
    np.testing.assert_array_equal(placed(mask, read_grid(tmp_path / "mri", "S")), LESION)
    assert mask.told == ()


@pytest.mark.parametrize("region, expected", [("gtv", LESION), ("2", NODE), ("*", LESION | NODE)])
def test_segments_are_chosen_and_several_are_lesion_together(tmp_path, region, expected):
    images = series(tmp_path / "mri")
    path = segmentation(tmp_path / "seg.dcm", images, LESION, NODE)
    mask = on_image(path, region, mri=tmp_path / "mri")
    np.testing.assert_array_equal(placed(mask, read_grid(tmp_path / "mri", "S")), expected)
    with pytest.raises(InputError, match="several regions"):
        on_image(path, mri=tmp_path / "mri")


@pytest.mark.parametrize("region", [None, "GTV", "Node"])
def test_two_segments_of_one_number_are_refused(tmp_path, region):
    """Both were taken for the one that was named last, without a word."""
    written = dcmread(segmentation(tmp_path / "seg.dcm", series(tmp_path / "mri"), LESION, NODE))
    written.SegmentSequence[1].SegmentNumber = 1
    written.save_as(tmp_path / "seg.dcm")
    with pytest.raises(InputError, match="Two regions bear one number"):
        on_image(tmp_path / "seg.dcm", region, mri=tmp_path / "mri")


def test_frames_may_stand_in_any_order(tmp_path):
    images = series(tmp_path / "mri")
    path = segmentation(tmp_path / "seg.dcm", images, LESION, NODE, omit_empty_frames=False)
    data = dcmread(path)
    order = np.random.default_rng(2).permutation(int(data.NumberOfFrames))
    frames, groups = data.pixel_array[order], data.PerFrameFunctionalGroupsSequence
    data.PerFrameFunctionalGroupsSequence = [groups[at] for at in order]
    data.PixelData = np.packbits(frames.ravel(), bitorder="little").tobytes()
    data.save_as(path)
    mask = on_image(path, "Node", mri=tmp_path / "mri")
    np.testing.assert_array_equal(placed(mask, read_grid(tmp_path / "mri", "S")), NODE)


@pytest.mark.parametrize("fractional_type", ["PROBABILITY", "OCCUPANCY"])
def test_fractions_are_lesion_from_a_half_on(tmp_path, fractional_type):
    """Of 200: 0.5 is 100."""
    images = series(tmp_path / "mri")
    shares = np.where(LESION, 0.5, 0.495) * (NODE | LESION)
    path = segmentation(
        *(tmp_path / "seg.dcm", images, shares),
        kind="FRACTIONAL",
        fractional_type=fractional_type,
        max_fractional_value=200,
    )
    mask = on_image(path, mri=tmp_path / "mri")
    np.testing.assert_array_equal(placed(mask, read_grid(tmp_path / "mri", "S")), LESION)


def test_label_maps_hold_the_segments_number(tmp_path):
    images = series(tmp_path / "mri")
    labels = (LESION + 2 * (NODE & ~LESION)).astype(np.uint8)
    path = segmentation(tmp_path / "seg.dcm", images, LESION, NODE & ~LESION, kind="LABELMAP")
    assert dcmread(path).SegmentationType == "LABELMAP"
    mask = on_image(path, "label:2", mri=tmp_path / "mri")
    np.testing.assert_array_equal(placed(mask, read_grid(tmp_path / "mri", "S")), labels == 2)


def test_segments_on_a_grid_of_their_own_are_brought_by_area_and_told(tmp_path):
    """Drawn on a series of the same frame that the row lacks, whose pixels are half as wide and high."""
    series(tmp_path / "mri", pixel=(2, 2))
    fine = series(tmp_path / "fine", pixel=(1, 1), SeriesInstanceUID="1.2.9")
    path = segmentation(tmp_path / "seg.dcm", fine, LESION)
    mask = on_image(path, mri=tmp_path / "mri")
    expected = np.zeros(SHAPE, bool)
    # Fine voxel i spans i - 0.5 to i + 0.5 mm, a coarse one j 2j - 1 to 2j + 1.
    expected[3:7, 3:6, 1:3] = (
        True  # x from 5.5 to 13.5 covers 0.75 of the 4th to 1/4 of the 8th; y 4.5 to 11.5
    )
    got = placed(mask, read_grid(tmp_path / "mri", "S"))
    np.testing.assert_array_equal(got[:, :, 1:3], expected[:, :, 1:3])
    assert mask.told == (
        "segments that refer to no series of the row are taken as drawn on mri",
        "segments on a grid of their own are brought to mri, by area",
    )


@pytest.mark.parametrize("thickness", [0.5, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0), OBLIQUE])
@pytest.mark.parametrize("slices", [[1, 2, 3], [1, 3], [0, 4], [2]])
def test_planes_are_slices_of_the_image_however_thick_the_file_calls_them(
    tmp_path, thickness, orientation, slices
):
    """Slices of 3 mm. Of frames at every second one each was taken for two slices, and of thin ones for none."""
    lesion = np.zeros(SHAPE, bool)
    lesion[6:14, 5:12, slices] = True
    images = series(tmp_path / "mri", orientation=orientation)
    written = dcmread(segmentation(tmp_path / "seg.dcm", images, lesion))
    measures = written.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SliceThickness = thickness
    del measures.SpacingBetweenSlices
    written.save_as(tmp_path / "seg.dcm")
    mask = on_image(tmp_path / "seg.dcm", mri=tmp_path / "mri")
    np.testing.assert_array_equal(placed(mask, read_grid(tmp_path / "mri", "S")), lesion)
    assert mask.told == ()


def test_planes_that_are_said_to_lie_farther_apart_than_the_slices_fill_those_between(tmp_path):
    """Drawn on every second slice of 3 mm, in planes of 6 mm without a gap: not a lesion in three pieces."""
    lesion = np.zeros(SHAPE, bool)
    lesion[6:14, 5:12, [0, 2, 4]] = True
    written = dcmread(segmentation(tmp_path / "seg.dcm", series(tmp_path / "mri"), lesion))
    measures = written.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SliceThickness = measures.SpacingBetweenSlices = 6.0
    written.save_as(tmp_path / "seg.dcm")
    mask = on_image(tmp_path / "seg.dcm", mri=tmp_path / "mri")
    assert placed(mask, read_grid(tmp_path / "mri", "S"))[6:14, 5:12].all()
    assert mask.told == ("segments on a grid of their own are brought to mri, by area",)


def test_segments_lie_on_the_image_that_they_fit(tmp_path):
    """Images as NIfTI name no series: the one whose voxels the frames are."""
    manifest = cohort(tmp_path, 2)
    images = series(tmp_path / "drawn", pixel=(1, 1))
    mask = LESION.copy()
    mask[:, :, [0, 4, 5]] = False
    segmentation(tmp_path / "s0" / "seg.dcm", images, mask)
    rows = list(csv.reader(manifest.read_text().splitlines()))
    rows[1][rows[0].index("mask")] = "s0/seg.dcm"
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=16, workers=1)
    assert store.placed["reference"] == "mri"
    assert store.scans[0].source_lesion_px == (0, 56, 56, 0, 0)
    assert store.scans[0].placement["mask_told"] == [
        "segments that refer to no series of the row are taken as drawn on mri"
    ]
    images = {name: tmp_path / "s0" / f"{name}.nii.gz" for name in ("pet", "mri")}
    cell = MaskCell(tmp_path / "s0" / "seg.dcm", None, images, "S")
    assert drawn_on(cell, {name: read_grid(path, "S") for name, path in images.items()}) == ["mri"]


@pytest.mark.parametrize("modality, kind", [("PT", "Positron Emission Tomography"), ("MR", "MR Image")])
@pytest.mark.parametrize("named", ["the folder", "a series", "a file"])
def test_images_are_no_mask(tmp_path, modality, kind, named):
    """Else a PET would be turned into SUV, and what is 0 or 1 there be lesion."""
    manifest = cohort(tmp_path, 2)
    more = {"modality": modality, **(pet_attributes() if modality == "PT" else {})}
    series(tmp_path / "s0" / "drawn", **more)
    key = hashlib.sha256(b"1.2.826.0.1.2").hexdigest()[:8]
    file = next((tmp_path / "s0" / "drawn").iterdir()).name
    cell = {"the folder": "s0/drawn", "a series": f"s0/drawn#{key}", "a file": f"s0/drawn/{file}"}[named]
    change(manifest, 2, "mask", cell)
    text = refused(
        manifest, "The DICOM that is named as a mask is none.", "row 2, scan S0, column mask", kind
    )
    assert "structure set (RTSTRUCT) or segmentation (SEG)" in text and file not in text


def test_a_series_that_is_not_there_is_no_mask(tmp_path):
    manifest = cohort(tmp_path, 2)
    series(tmp_path / "s0" / "drawn")
    change(manifest, 2, "mask", "s0/drawn#00000000")
    refused(manifest, "The folder holds no such series.", "row 2, scan S0, column mask")


def no_segments(data: Dataset) -> None:
    data.SegmentSequence = []


def cut(data: Dataset) -> None:
    data.PixelData = data.PixelData[:-20]


def one_group_less(data: Dataset) -> None:
    del data.PerFrameFunctionalGroupsSequence[0]


def no_place(data: Dataset) -> None:
    del data.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence


def aside(data: Dataset) -> None:
    data.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0].ImagePositionPatient = [9, 9, 3]


def other_type(data: Dataset) -> None:
    data.SegmentationType = "SECRET"


@pytest.mark.parametrize(
    "change, words",
    [
        (no_segments, "no region"),
        (cut, "cannot be read"),
        (one_group_less, "do not fit the frames"),
        (no_place, "ImagePositionPatient is missing"),
        (aside, " mm away from where they put it"),
        (other_type, "unknown type"),
    ],
)
def test_what_is_damaged_or_lies_nowhere_is_refused(tmp_path, change, words):
    images = series(tmp_path / "mri")
    path = segmentation(tmp_path / "Jane.dcm", images, LESION)
    data = dcmread(path)
    change(data)
    data.save_as(path)
    manifest = save(tmp_path, [["patient_id", "scan_id", "mri", "mask"], ["P1", "S1", "mri", "Jane.dcm"]])
    text = refused(manifest, "row 2, scan S1, column mask", words)
    assert "Jane" not in text and "SECRET" not in text


def test_segments_outside_of_the_image_are_refused(tmp_path):
    series(tmp_path / "mri")
    images = series(tmp_path / "far", SeriesInstanceUID="1.2.9")
    for each in images:
        each.ImagePositionPatient[0] += 500
    path = segmentation(tmp_path / "seg.dcm", images, LESION)
    with pytest.raises(InputError, match="outside"):
        on_image(path, mri=tmp_path / "mri")
