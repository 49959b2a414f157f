"""Contours and frames that lie elsewhere than the slices of the image that they name."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from dicom_files import SAGITTAL, classic_series, enhanced, write
from dicom_masks import box, contour, items, segmentation, series_for_masks, structures
from pydicom import dcmread
from pydicom.dataset import Dataset

from data_prep.dicom.mask_files import read_dicom_mask
from data_prep.files.read import read_grid
from data_prep.masks.mask_of_cell import Mask, MaskCell, drawn_on, images_of, read_mask
from data_prep.volumes.volume import Grid
from hnscc.base.errors import InputError

SHAPE = (20, 16, 12)
STEP = 3.0  # mm from slice to slice: the first lies at 0
DRAWN = (2, 3, 4, 5)  # the slices that show the lesion


def series(folder: Path) -> list[Dataset]:
    """An image of voxels of 1 x 1 x 3 mm, whose first centre is 0; slice by slice."""
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.uint16)
    made = classic_series(values, origin=(0, 0, 0), pixel=(1, 1), step=STEP)
    write(folder, made)
    return made


def named(*images: Dataset, **more: object) -> dict[str, object]:
    """What a contour names: these images."""
    uids = [each.SOPInstanceUID for each in images]
    return {"ContourImageSequence": items(*({"ReferencedSOPInstanceUID": uid, **more} for uid in uids))}


def contours(folder: Path, moved: Sequence[float], names: Callable[[list[Dataset], int], dict]) -> Path:
    """Write the image and contours of DRAWN, each moved by so many slices, that name what `names` makes of the images
    and the slice of DRAWN."""
    images = series(folder / "mri")
    drawn = [
        contour(box(6, 5, 8, 7, at + by), **names(images, at)) for at, by in zip(DRAWN, moved, strict=True)
    ]
    return structures(folder / "rt" / "RS.dcm", {"GTV": drawn})


def read(path: Path) -> Mask:
    images = {"mri": path.parents[1] / "mri"}
    cell = MaskCell(path, None, images, "row 2, scan S, column mask")
    return read_mask(cell, {name: read_grid(each, "S") for name, each in images.items()}, "mri")


def fault(path: Path) -> str:
    """The error at which a mask is refused, which holds no UID; choosing the reference meets the same."""
    with pytest.raises(InputError) as error:
        read(path)
    images = {"mri": path.parents[1] / "mri"}
    cell = MaskCell(path, None, images, "row 2, scan S, column mask")
    with pytest.raises(InputError) as early:
        drawn_on(cell, {"mri": read_grid(images["mri"], "S")})
    assert str(early.value) == str(error.value) and "1.2.8" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "frame, series, expected",
    [
        ("1.2", {"1.9"}, (["b"], True)),
        ("1.2", set(), (["c", "d"], False)),  # those of its frame, and none that states no frame
        ("1.7", {""}, (["a"], False)),  # none of its frame: one that states none
        ("", {""}, (["a", "b", "c", "d"], False)),  # a UID that is not there is no UID
    ],
)
def test_the_images_that_a_mask_may_lie_on(frame, series, expected):
    stated = {"a": ("", ""), "b": ("1.9", "1.3"), "c": ("1.8", "1.2"), "d": ("1.7", "1.2")}
    grids = {
        name: Grid(SHAPE, np.eye(4), True, series=uid, frame_of_reference=own)
        for name, (uid, own) in stated.items()
    }
    assert images_of(frame, frozenset(series), grids, "S") == expected
    del grids["a"]
    if frame == "1.7":
        with pytest.raises(InputError, match="another frame of reference"):
            images_of(frame, frozenset(series), grids, "S")


@pytest.mark.parametrize("by", [-1, 1, 3, -2, 0.8])
def test_contours_that_lie_elsewhere_than_the_slices_they_name_are_refused(tmp_path, by):
    text = fault(contours(tmp_path, [by] * 4, lambda images, at: named(images[at])))
    assert "contours lie elsewhere than the slices of the image" in text
    assert "row 2, scan S, column mask" in text
    assert f"4 of 4 contours apart, by up to {abs(by) * STEP:.3g} mm" in text


@pytest.mark.parametrize("by", [0, 0.3, -0.5, 0.51])
def test_contours_between_slices_may_name_the_nearest(tmp_path, by):
    mask = read(contours(tmp_path, [by] * 4, lambda images, at: named(images[at])))
    assert not any("name" in each for each in mask.told)


NAMES = {
    "nothing": lambda images, at: {},
    "an empty sequence": lambda images, at: {"ContourImageSequence": items()},
    "an unknown image": lambda images, at: {
        "ContourImageSequence": items({"ReferencedSOPInstanceUID": "1.2.77"})
    },
    "another and an unknown one": lambda images, at: {
        "ContourImageSequence": items(
            {"ReferencedSOPInstanceUID": images[at].SOPInstanceUID}, {"ReferencedSOPInstanceUID": "1.2.77"}
        )
    },
    "every image": lambda images, at: named(*images),
    "several images": lambda images, at: named(images[at], images[at + 3]),
    "a frame of a file of one": lambda images, at: named(images[at], ReferencedFrameNumber=3),
}


@pytest.mark.parametrize("case", NAMES)
def test_what_names_no_slice_of_its_own_says_nothing(tmp_path, case):
    mask = read(contours(tmp_path, [3] * 4, NAMES[case]))
    assert mask.told == () and mask.volume.data.any((0, 1)).nonzero()[0].tolist() == [5, 6, 7, 8]


def test_a_few_contours_that_lie_elsewhere_are_told(tmp_path):
    mask = read(contours(tmp_path, [0, 0, 1, 2], lambda images, at: named(images[at])))
    expected = (
        "2 of 4 contours lie up to 6 mm, or 2 slices away from the slices of the image that they name; "
        "their coordinates count"
    )
    assert expected in mask.told
    assert "3 of 4 contours apart" in fault(
        contours(tmp_path / "more", [0, 1, 1, 2], lambda images, at: named(images[at]))
    )


def test_contours_across_the_slices_lie_in_each_that_they_cross(tmp_path):
    """A contour in a sagittal plane, from 3 to 12 mm, which names the slice at 6 mm, or that at 21 mm."""
    images = series(tmp_path / "mri")
    points = [5, 4, 3, 5, 9, 3, 5, 9, 12, 5, 4, 12]
    right, wrong = (
        structures(tmp_path / name / "RS.dcm", {"GTV": [contour(points, **named(images[at]))]})
        for name, at in (("right", 2), ("wrong", 7))
    )
    read(right)
    assert "1 of 1 contour apart, by up to 9 mm, or 3 slices" in fault(wrong)


def test_frames_of_an_enhanced_image_are_named_by_number(tmp_path):
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.uint16)
    image = enhanced(classic_series(values, origin=(0, 0, 0), pixel=(1, 1), step=STEP)[::-1])
    write(tmp_path / "mri", [image])
    for by in (0, 3):
        drawn = [
            contour(box(6, 5, 8, 7, at + by), **named(image, ReferencedFrameNumber=12 - at)) for at in DRAWN
        ]
        path = structures(tmp_path / "rt" / "RS.dcm", {"GTV": drawn})
        if by:
            assert "4 of 4 contours apart, by up to 9 mm, or 3 slices" in fault(path)
        else:
            assert read(path).told == ()


def segments(folder: Path, move: int, **options: object) -> Path:
    """Write an image and a SEG, as highdicom writes it: every frame names its slice; then move the frames by so many
    slices, and not the names."""
    mask = np.zeros(SHAPE, bool)
    mask[6:14, 5:12, DRAWN] = True
    images = series_for_masks(folder / "mri", SHAPE, **options)
    path = segmentation(folder / "rt" / "seg.dcm", images, mask)
    data = dcmread(path)
    groups = data.PerFrameFunctionalGroupsSequence
    assert all(each.DerivationImageSequence[0].SourceImageSequence for each in groups)
    by_uid = {each.SOPInstanceUID: at for at, each in enumerate(images)}
    for each in groups:
        source = each.DerivationImageSequence[0].SourceImageSequence[0]
        at = by_uid[source.ReferencedSOPInstanceUID]
        each.PlanePositionSequence[0].ImagePositionPatient = images[at + move].ImagePositionPatient
    data.save_as(path)
    return path


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0), SAGITTAL])
def test_frames_that_lie_elsewhere_than_the_slices_they_name_are_refused(tmp_path, orientation):
    assert read(segments(tmp_path / "right", 0, orientation=orientation)).told == ()
    for move in (3, -1):
        text = fault(segments(tmp_path / str(move), move, orientation=orientation))
        assert "frames lie elsewhere than the slices of the image" in text
        assert f"4 of 4 frames apart, by up to {abs(move) * STEP:g} mm" in text


def test_frames_that_name_no_slice_are_taken_as_they_lie(tmp_path):
    path = segments(tmp_path, 3)
    data = dcmread(path)
    for each in data.PerFrameFunctionalGroupsSequence:
        del each.DerivationImageSequence
    data.save_as(path)
    assert read(path).told == ()
    assert not any("1.2.8" in repr(each) for each in read_dicom_mask(path, None, "S").pieces)
