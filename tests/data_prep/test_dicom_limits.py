"""How far the slices of a DICOM series may lie from where even steps put them, and what else its numbers may be: on
both sides of each limit."""

from pathlib import Path

import dicom_files as made
import numpy as np
import pytest

from data_prep.files.read import read_volume
from data_prep.volumes.volume import Volume
from hnscc.base.errors import InputError

VALUES = np.random.default_rng(8).integers(0, 4096, (64, 48, 6)).astype(np.uint16)


def read(tmp_path: Path, change=None, **settings) -> Volume:
    return read_volume(made.write(tmp_path / "s", made.classic_series(VALUES, **settings), change), "row 2")


def moved(*way: float):
    """Move the third of six slices, in mm."""

    def change(data, z):
        if z == 2:
            data.ImagePositionPatient = list(np.array(data.ImagePositionPatient, float) + way)

    return change


def of_third(**attributes):
    def change(data, z):
        for name, value in attributes.items() if z == 2 else ():
            setattr(data, name, value)

    return change


def turned(degrees: float) -> list[float]:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return [float(f"{each:.10g}") for each in (cos, sin, 0, -sin, cos, 0)]


@pytest.mark.parametrize(
    # Pixels of 2 x 1.5 mm. A twentieth of a step of 3 mm is 0.15 mm. Of a step of 1 mm it is 0.05 mm; aside, a
    # twentieth of a pixel's shorter side counts too: 0.075 mm. A tilt is a hundredth of a step.
    "settings, change, words",
    [
        ({"step": 3.0}, moved(0, 0, 0.14), ""),
        ({"step": 3.0}, moved(0, 0, 0.16), "even steps"),
        ({"step": 1.0}, moved(0, 0, 0.04), ""),
        ({"step": 1.0}, moved(0, 0, 0.06), "even steps"),
        ({"step": 3.0}, moved(0.14, 0, 0), ""),
        ({"step": 3.0}, moved(0, 0.16, 0), "on one line"),
        ({"step": 1.0}, moved(0, 0.07, 0), ""),
        ({"step": 1.0}, moved(0.08, 0, 0), "on one line"),
        ({"step": (0, 0.028, 3.0)}, None, ""),
        ({"step": (0.032, 0, 3.0)}, None, "tilted gantry"),
        # 64 pixels add up to a difference of 0.05 pixels at most; of directions, to one of 0.1.
        ({}, of_third(PixelSpacing=[1.5, 2.001]), ""),
        ({}, of_third(PixelSpacing=[1.5, 2.002]), "differ in pixel spacing"),
        ({}, of_third(ImageOrientationPatient=turned(0.08)), ""),
        ({}, of_third(ImageOrientationPatient=turned(0.1)), "differ in orientation[^$]*0.1 degrees"),
    ],
)
def test_slices_that_lie_apart_from_even_steps(tmp_path, settings, change, words):
    if words:
        with pytest.raises(InputError, match=words):
            read(tmp_path, change, **settings)
        return
    volume = read(tmp_path, change, **settings)
    step = settings.get("step", 3.0)
    steps = np.array(
        [[-2, 0, 0], [0, -1.5, 0], [0, 0, step] if np.ndim(step) == 0 else [0, -step[1], step[2]]]
    )
    np.testing.assert_allclose(volume.grid.affine[:3], np.c_[steps.T, [20, 30, 40]], atol=1e-6)
    np.testing.assert_array_equal(volume.data, VALUES)


@pytest.mark.parametrize("away, words", [(0.29, "several acquisitions[^$]*EchoTime"), (0.31, "even steps")])
def test_a_slice_within_a_tenth_of_a_step_of_another_is_at_its_position(tmp_path, away, words):
    again = made.classic_series(VALUES, EchoTime=80, origin=(-20, -30, 40 + away))[2]
    with pytest.raises(InputError, match=words):
        read_volume(made.write(tmp_path / "s", [*made.classic_series(VALUES), again]), "row 2")


def test_directions_are_brought_to_length_1(tmp_path):
    """As rounded numbers leave them; what is longer, or not at right angles, is no direction."""
    volume = read(tmp_path, ImageOrientationPatient=[1.0009, 0, 0, 0, 0.9991, 0])
    np.testing.assert_allclose(volume.grid.affine[:3, :3], np.diag([-2, -1.5, 3]), atol=1e-9)
    for number, cosines in enumerate(([1.002, 0, 0, 0, 1, 0], [1, 0, 0, 0.002, 1, 0])):
        with pytest.raises(InputError, match="ImageOrientationPatient is unusable"):
            read(tmp_path / str(number), ImageOrientationPatient=cosines)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"origin": (2e5, 0, 0)}, "ImagePositionPatient is out of range"),
        ({"PixelSpacing": [1001, 1]}, "PixelSpacing is out of range"),
        ({"PixelSpacing": [1, 1001]}, "PixelSpacing is out of range"),
        ({"PixelSpacing": [1, 0.0009]}, "PixelSpacing is out of range"),
        ({"Rows": 10_000, "Columns": 10_000}, "too large for memory[^$]*600[, ]*000[, ]*000 voxels"),
        ({"RescaleSlope": "1e-21"}, "RescaleSlope is unusable"),
        ({"RescaleIntercept": "-1e21"}, "RescaleSlope is unusable[^$]*intercept -1e"),
    ],
)
def test_numbers_that_no_image_has_are_refused(tmp_path, settings, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, **settings)


def test_a_pet_must_say_how_its_values_are_scaled(tmp_path):
    """They would be taken as they stand; a PET has a scale of its own in each slice."""

    def unscaled(data, z):
        del data.RescaleSlope, data.RescaleIntercept

    assert read(tmp_path / "mri", unscaled).unit == ""
    with pytest.raises(InputError, match="RescaleSlope is missing"):
        read(tmp_path / "pet", unscaled, modality="PT", **made.pet_attributes())


def test_the_number_of_slices_counts_for_a_pet_that_has_fewer(tmp_path):
    """More than it states are no sign that any is missing; other objects define no such attribute."""
    for number, settings in enumerate(
        ({"modality": "CT", "NumberOfSlices": 7}, {"modality": "PT", **made.pet_attributes(NumberOfSlices=5)})
    ):
        assert read(tmp_path / str(number), **settings).grid.shape == VALUES.shape


def test_a_ct_with_slices_of_several_units_has_none(tmp_path):
    assert read(tmp_path, of_third(RescaleType="MGML"), modality="CT", RescaleType="HU").unit == ""


def test_groups_must_be_as_many_as_the_frames_of_an_enhanced_object(tmp_path):
    for number, frames in enumerate((5, 7)):
        image = made.enhanced(made.classic_series(VALUES))
        image.NumberOfFrames = frames
        with pytest.raises(InputError, match="groups do not fit the frames"):
            read_volume(made.write(tmp_path / str(number), [image]), "row 2")


def test_an_attribute_of_no_functional_group_is_not_taken_from_elsewhere(tmp_path):
    """The header of an enhanced object defines no slope; that of MR is 1 where its frames state none."""
    image = made.enhanced(made.classic_series(VALUES))
    image.RescaleSlope, image.RescaleIntercept = 5, 7  # means nothing there
    for each in image.PerFrameFunctionalGroupsSequence:
        del each.PixelValueTransformationSequence
    np.testing.assert_array_equal(read_volume(made.write(tmp_path / "s", [image]), "row 2").data, VALUES)


def test_echoes_of_an_enhanced_object_are_told_apart(tmp_path):
    frames = made.classic_series(VALUES)
    image = made.enhanced([*frames, *frames])
    for at, each in enumerate(image.PerFrameFunctionalGroupsSequence):
        each.MREchoSequence = made.group(MREchoSequence={"EffectiveEchoTime": 10 + at // 6}).MREchoSequence
    with pytest.raises(InputError, match=r"several acquisitions[^$]*differ in EffectiveEchoTime"):
        read_volume(made.write(tmp_path / "s", [image]), "row 2")


@pytest.mark.parametrize(
    "name, values",
    [
        ("FrameType", (["ORIGINAL", "PRIMARY", "DIXON", "WATER"], ["ORIGINAL", "PRIMARY", "DIXON", "FAT"])),
        ("ComplexImageComponent", ("MAGNITUDE", "PHASE")),
    ],
)
def test_kinds_of_images_in_an_enhanced_object_are_told_apart(tmp_path, name, values):
    """It was said that slices stand twice, and advised to export the series again."""
    frames = made.classic_series(VALUES)
    image = made.enhanced([*frames, *frames])
    for at, each in enumerate(image.PerFrameFunctionalGroupsSequence):
        kind = made.group(MRImageFrameTypeSequence={name: values[at // 6]})
        each.MRImageFrameTypeSequence = kind.MRImageFrameTypeSequence
    with pytest.raises(InputError, match=rf"several acquisitions[^$]*differ in {name}"):
        read_volume(made.write(tmp_path / "s", [image]), "row 2")
