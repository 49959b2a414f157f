"""Where the planes of a DICOM segmentation lie, by its frames and by what it says of their distance, and when they are
slices of its image: at the limits of each rule."""

from pathlib import Path

import numpy as np
import pytest
from dicom_masks import segmentation, series_for_masks
from pydicom import dcmread
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from data_prep.dicom.mask_files import read_dicom_mask
from data_prep.dicom.seg import Segmentation, with_steps_of
from data_prep.volumes.volume import Grid, Volume
from hnscc.base.errors import InputError

SHAPE = (20, 16, 6)
LESION = np.zeros(SHAPE, bool)
LESION[6:14, 5:12, 1:3] = True
NODE = np.zeros(SHAPE, bool)
NODE[15:18, 2:4, 2:5] = True


def written(folder: Path, *masks: np.ndarray, kind: str = "BINARY") -> Dataset:
    """A SEG on slices of 3 mm, which may be changed before it is read."""
    return dcmread(
        segmentation(folder / "seg.dcm", series_for_masks(folder / "mri", SHAPE), *masks, kind=kind)
    )


def read(folder: Path, data: Dataset, region: str | None = None) -> Segmentation:
    data.save_as(folder / "seg.dcm")
    found = read_dicom_mask(folder / "seg.dcm", region, "S")
    assert isinstance(found, Segmentation)
    return found


def measures(data: Dataset) -> Dataset:
    return data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]


@pytest.mark.parametrize(
    "between, thick, step, stated",
    [
        (3, 2.5, 3.0, True),
        (1.5, 3, 1.5, True),  # a plane between two frames was left out
        (0, 3, 3.0, False),
        (100, 3, 3.0, False),  # all frames would lie in one plane
        (100, 100, 3.0, False),
        (1.7, 2.5, 3.0, False),
        (None, 1, 1.0, False),
    ],
)
def test_the_distance_of_planes_is_what_the_file_states_if_its_frames_fit(
    tmp_path, between, thick, step, stated
):
    """Frames 3 mm apart. How far apart planes are comes before how thick they are, and either before the frames."""
    data = written(tmp_path, LESION)
    measures(data).SliceThickness = thick
    if between is None:
        del measures(data).SpacingBetweenSlices
    else:
        measures(data).SpacingBetweenSlices = between
    found = read(tmp_path, data)
    assert found.volume.grid.spacing[2] == pytest.approx(step) and found.apart_stated is stated
    assert found.volume.data.sum() == LESION.sum()


def test_the_smallest_distance_of_frames_counts_where_nothing_fits(tmp_path):
    """Frames on slices 1, 2 and 5 of 3 mm; of a single frame, the distance of 0 that the file states is none."""
    lesion = np.zeros(SHAPE, bool)
    lesion[6:14, 5:12, [1, 2, 5]] = True
    data = written(tmp_path, lesion)
    measures(data).SpacingBetweenSlices = measures(data).SliceThickness = 1.7
    np.testing.assert_array_equal(read(tmp_path, data).volume.data > 0, lesion[:, :, 1:])
    data = written(tmp_path, lesion & (np.arange(6) == 2))
    measures(data).SpacingBetweenSlices = 0
    assert read(tmp_path, data).volume.grid.spacing[2] == 2.5


def test_frames_of_two_segments_that_lie_in_one_plane_but_for_rounding(tmp_path):
    data = written(tmp_path, LESION, NODE)
    for each in data.PerFrameFunctionalGroupsSequence:
        if each.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2:
            place = each.PlanePositionSequence[0]
            place.ImagePositionPatient = [
                *place.ImagePositionPatient[:2],
                place.ImagePositionPatient[2] + 0.002,
            ]
    measures(data).SpacingBetweenSlices = 3
    found = read(tmp_path, data, "*")
    assert found.volume.grid.shape == (20, 16, 4)
    np.testing.assert_array_equal(found.volume.data > 0, (LESION | NODE)[:, :, 1:5])


def test_frames_half_a_millimetre_apart_are_planes_of_their_own(tmp_path):
    images = series_for_masks(tmp_path / "mri", SHAPE, step=0.5)
    data = dcmread(segmentation(tmp_path / "seg.dcm", images, LESION))
    del measures(data).SpacingBetweenSlices
    assert read(tmp_path, data).volume.grid.shape == (20, 16, 2)


def test_pixels_that_are_not_square_keep_their_sides(tmp_path):
    """2 mm between columns, 1.5 mm between rows."""
    found = read(tmp_path, written(tmp_path, LESION))
    np.testing.assert_allclose(found.volume.grid.spacing, [2, 1.5, 3])


def test_the_background_of_a_label_map_is_no_segment(tmp_path):
    data = written(tmp_path, LESION, kind="LABELMAP")
    if all(each.SegmentNumber for each in data.SegmentSequence):
        background = Dataset()
        background.SegmentNumber, background.SegmentLabel = 0, "Background"
        data.SegmentSequence.append(background)
    assert read(tmp_path, data).volume.data.sum() == LESION.sum()


def test_frames_of_two_orientations_are_refused(tmp_path):
    data = written(tmp_path, LESION)
    orientation = data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    del data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    for at, each in enumerate(data.PerFrameFunctionalGroupsSequence):
        own = Dataset()
        own.ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if at else [0, 1, 0, -1, 0, 0]
        each.PlaneOrientationSequence = [own]
    assert orientation and len(data.PerFrameFunctionalGroupsSequence) == 2
    with pytest.raises(InputError, match=r"frames differ in orientation[^$]*90 degrees"):
        read(tmp_path, data)


IMAGE = Grid((8, 8, 6), np.diag([-1.0, -1.0, 3.0, 1.0]), True)


def mask(planes: list[int], apart: float, first: float, tilt: float = 0.0, down: bool = False) -> Volume:
    """A mask with lesion in these planes, so many mm apart, the first of all at `first` mm; IMAGE's slices are 3 mm."""
    data = np.zeros((8, 8, max(planes, default=0) + 1), np.float32)
    data[2:5, 3:6, planes] = 1
    affine = np.diag([-1.0, -1.0, -apart if down else apart, 1.0])
    affine[:3, :3] = Rotation.from_euler("x", tilt, degrees=True).as_matrix() @ affine[:3, :3]
    affine[2, 3] = first
    return Volume(data, Grid(data.shape, affine, True))


@pytest.mark.parametrize(
    "own, slices",
    [
        (mask([0, 2], 1.5, 6), [2, 3]),
        (mask([0, 2], 3, 0), [0, 2]),
        (mask([1, 3], 1.5, 1.5), [1, 2]),
        (mask([0, 2], 7.5, 0), [0, 5]),
        (mask([0, 2], 1.5, 15, down=True), [4, 5]),
        (mask([0, 2], 1.5, 3, down=True), [0, 1]),
        (mask([0, 5], 1.5, 0.0), None),  # the second lies half a slice beside one
        (mask([0, 2], 1.5, 7.5), None),  # both do
        (mask([0, 2], 1.5, 6.1), [2, 3]),  # by 0.03 of a slice
        (mask([0, 2], 1.5, 6.2), None),
        (mask([0, 2], 1.5, 15), None),  # the second lies behind the last slice
        (mask([0, 2], 1.5, -3), None),
        (mask([0, 2], 1.5, 0, down=True), None),
        (mask([0, 2], 1.5, 6, tilt=5), None),
        (mask([], 1.5, 6), None),
    ],
)
def test_planes_are_slices_of_the_image_where_each_lies_on_one(own, slices):
    found = with_steps_of(own, IMAGE)
    if slices is None:
        assert found is own
        return
    at = np.argwhere(found.data)
    mm = at @ found.grid.affine[:3, :3].T + found.grid.affine[:3, 3]
    assert sorted(set(np.round(mm[:, 2] / 3).astype(int))) == slices and len(at) == 2 * 9
    assert found.grid.spacing[2] == pytest.approx(3)
    assert {tuple(each) for each in np.round(mm[:, :2]).astype(int).tolist()} == {
        (-x, -y) for x in (2, 3, 4) for y in (3, 4, 5)
    }
