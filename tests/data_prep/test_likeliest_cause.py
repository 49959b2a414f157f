"""A modality that fades in the plane of the slices, is moved to a side or mirrored is told by what was done to it, and
nothing else is."""

import numpy as np
import pytest
from heads import SHAPE, STEPS_MM, Change, Heads

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


@pytest.mark.parametrize("axis, way", [(0, "right to left"), (1, "front to back"), (2, "foot to head")])
@pytest.mark.parametrize("name", ["pet", "mri"])
def test_a_fade_is_told_of_the_modality_that_fades(heads, name, axis, way):
    ((scan_id, text),) = heads.told({3: {name: fading(axis, 0.25)}})
    assert scan_id == "S3" and text.startswith(f"{name} grows darker from {way}, beside the other scans, by ")


@pytest.mark.parametrize("axis, pixels", [(0, 5), (1, -5)])
@pytest.mark.parametrize("name", ["pet", "mri"])
def test_a_shift_to_a_side_is_no_fade(heads, name, axis, pixels):
    ((scan_id, text),) = heads.told({3: {name: lambda image: np.roll(image, pixels, axis)}})
    mm = round(abs(pixels) * STEPS_MM[axis])
    assert scan_id == "S3" and text.startswith(f"pet shows the body {mm} mm beside where mri shows it")


@pytest.mark.parametrize("name", ["pet", "mri"])
@pytest.mark.parametrize("chosen", [[3], [0, 4, 8]])
def test_modalities_that_are_mirror_images_of_one_another_are_told(heads, name, chosen):
    ((scan_id, text),) = heads.told({at: {name: lambda image: image[::-1]} for at in chosen})
    assert "pet and mri are mirror images of one another from left to right" in text
    assert scan_id == (f"S{chosen[0]}" if len(chosen) == 1 else None)
    assert len(chosen) == 1 or text.startswith(
        "in 3 scans (S0, S4, S8), 0 of 0 with lesion, 3 of 12 without, "
    )
