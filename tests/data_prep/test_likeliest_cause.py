"""A modality that fades in the plane of the slices, is moved to a side, mirrored, inverted, of other grey values,
without some slices, or a copy is told by what was done to it, and nothing else is."""

import numpy as np
import pytest
from heads import SHAPE, STEPS_MM, Change, Heads, head
from scipy import ndimage

from hnscc.base.errors import InputError

SCANS = 12


@pytest.fixture(scope="module")
def heads(tmp_path_factory) -> Heads:
    return Heads(tmp_path_factory.mktemp("heads"), SCANS)


def fading(axis: int, to: float) -> Change:
    """From 1 at the right, front or foot end of the volume to less at the other."""
    gain = np.linspace(1, to, SHAPE[axis])
    return lambda image: image * np.moveaxis(gain[:, None, None], 0, axis)


def test_nothing_is_told_of_heads_as_they_are(heads):
    assert heads.told({}) == []


@pytest.mark.quick(1)
@pytest.mark.parametrize("axis, way", [(0, "right to left"), (1, "front to back"), (2, "foot to head")])
@pytest.mark.parametrize("name", ["pet", "mri"])
def test_a_fade_is_told_of_the_modality_that_fades(heads, name, axis, way):
    ((scan_id, text),) = heads.told({3: {name: fading(axis, 0.25)}})
    assert scan_id == "S3" and text.startswith(f"{name} grows darker from {way}, beside the other scans, by ")


@pytest.mark.quick(1)
@pytest.mark.parametrize("axis, pixels", [(0, 5), (1, -5)])
@pytest.mark.parametrize("name", ["pet", "mri"])
def test_a_shift_to_a_side_is_no_fade(heads, name, axis, pixels):
    ((scan_id, text),) = heads.told({3: {name: lambda image: np.roll(image, pixels, axis)}})
    mm = round(abs(pixels) * STEPS_MM[axis])
    assert scan_id == "S3" and text.startswith(f"pet shows the body {mm} mm beside where mri shows it")


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["pet", "mri"])
@pytest.mark.parametrize("chosen", [[3], [0, 4, 8]])
def test_modalities_that_are_mirror_images_of_one_another_are_told(heads, name, chosen):
    ((scan_id, text),) = heads.told({at: {name: lambda image: image[::-1]} for at in chosen})
    assert "pet and mri are mirror images of one another from left to right" in text
    assert scan_id == (f"S{chosen[0]}" if len(chosen) == 1 else None)
    assert len(chosen) == 1 or text.startswith(
        "in 3 scans (S0, S4, S8), 0 of 0 with lesion, 3 of 12 without, "
    )


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["pet", "mri"])
def test_a_modality_that_is_inverted_is_told_as_that_alone(heads, name, chosen=(0, 4, 8)):
    """Its air is cut off at its highest value, and the other's body was sought where it shows one."""
    told = heads.told({at: {name: lambda image: image.max() - image} for at in chosen})
    assert [scan_id for scan_id, _ in told] == [f"S{at}" for at in chosen]
    assert all(text.startswith(f"{name} is bright at its rim") for _, text in told)


@pytest.mark.quick(1)
@pytest.mark.parametrize("power, how", [(0.5, "nearer to one another"), (2, "farther apart")])
@pytest.mark.parametrize("name", ["pet", "mri"])
def test_a_curve_is_told_of_the_modality_whose_values_went_through_it(
    heads, name, power, how, chosen=(0, 4, 8)
):
    """A root shows more of the air around as body: the other one was told, too, or alone."""
    told = heads.told({at: {name: lambda image: 1000 * (image / 1000) ** power} for at in chosen})
    assert [scan_id for scan_id, _ in told] == [f"S{at}" for at in chosen]
    assert all(text.startswith(f"dark and bright tissue lie {how} in {name} than in") for _, text in told)


def test_a_root_of_noisy_air_is_told_as_a_curve_alone(heads):
    """Air counts as tissue then, and the zeros in it as single voxels without a signal amid tissue."""

    def root(image):
        rng = np.random.default_rng(0)
        air = (rng.random(SHAPE) < 0.96) * rng.uniform(60, 90, SHAPE)
        return 30 * np.sqrt(np.where(image < 90, air, image))

    ((scan_id, text),) = heads.told({3: {"pet": root}})
    assert scan_id == "S3" and text.startswith(
        "dark and bright tissue lie nearer to one another in pet than in"
    )


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["pet", "mri"])
def test_slices_that_were_lost_are_not_out_of_order(heads, name, chosen=(0, 4, 8)):
    def without(image):
        return np.where((np.arange(SHAPE[2]) >= 6) & (np.arange(SHAPE[2]) < 9), 0, image)

    told = heads.told({at: {name: without} for at in chosen})
    assert [scan_id for scan_id, _ in told] == [f"S{at}" for at in chosen]
    assert all("does not show 3 of 16 slices" in text for _, text in told)


def test_a_turned_copy_of_another_patient_is_told_as_that_alone(heads):
    def turned(name):
        return lambda image: ndimage.rotate(head(9)[name], 12, (0, 1), reshape=False, order=1)

    told = heads.told({3: {name: turned(name) for name in ("pet", "mri")}})
    assert [(scan_id, text.split(", of another patient")[0]) for scan_id, text in told] == [
        ("S8", "pet is nearly that of scan S3"),
        ("S8", "mri is nearly that of scan S3"),
    ]


def cut(image):
    """Without the face, which is taken off along a straight line."""
    return np.where(np.arange(SHAPE[1])[:, None] < 0.35 * SHAPE[1], 0, image)


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["pet", "mri"])
def test_an_image_that_is_cut_off_along_a_line_is_told_as_that_alone(heads, name):
    """It grew darker to the front, or showed less of the body there, too."""
    ((scan_id, text),) = heads.told({3: {name: cut}}, "defaced")
    assert scan_id == "S3" and text.startswith(f"{name} shows nothing in 35% of most slices")


def test_a_copy_is_told_before_what_its_scan_is_refused_for(heads):
    """What the scan lacks was told alone, and once that was accepted the copy of one modality."""
    smooth = ndimage.gaussian_filter(head(9)["pet"], (0.5, 0.5, 0))
    laid = ndimage.shift(head(9)["mri"], (0.3, 0.4, 0), order=1)
    with pytest.raises(InputError) as caught:
        heads.told({3: {"pet": lambda image: smooth, "mri": lambda image: cut(laid)}})
    first, second, third = caught.value.found.split("\n  ")
    assert "pet is nearly that of scan S3, of another patient" in first
    assert "mri is nearly that of scan S3, of another patient (moved or changed" in second
    assert "scan S3: mri shows nothing in 35% of most slices" in third
