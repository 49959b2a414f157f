"""Boxes of one value: cut out of a body they take their slices; in air, or as blocks of compression, they do not."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from data_prep.placing.absent import absent

SHAPE = (84, 76, 12)


def limb(seed: int = 0) -> np.ndarray:
    """Smooth tissue of grey values from 60 to 240 in a disc, and faint air (x, y, z)."""
    rng = np.random.default_rng(seed)
    tissue = ndimage.gaussian_filter(rng.normal(size=SHAPE), (6, 6, 1))
    x, y = np.indices(SHAPE[:2]) - np.array(SHAPE[:2])[:, None, None] / 2
    inside = (np.hypot(x, y) < 34)[:, :, None]
    image = np.where(inside, 150 + 25 * tissue / tissue.std() + 4 * rng.normal(size=SHAPE), 0)
    return np.clip(image + np.abs(rng.normal(0, 2, SHAPE)), 0, 255).astype(np.float32)


def jpeg(data: np.ndarray, quality: int) -> np.ndarray:
    """Each slice written as JPEG and read again (x, y, z)."""
    planes = []
    for plane in np.moveaxis(data, 2, 0):
        written = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(plane.T).astype(np.uint8)).save(written, "JPEG", quality=quality)
        planes.append(np.asarray(Image.open(written)).T)
    return np.stack(planes, axis=2).astype(np.float32)


def turned(data: np.ndarray, turn: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(data, turn))


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("quality", [10, 20, 30, 50])
def test_slices_that_were_compressed_with_loss_show_the_body(quality, turn):
    """All 12 of them, or half, were no image for blocks of one value."""
    assert absent(turned(jpeg(limb(), quality), turn)) is None


def test_a_label_that_was_painted_over_in_the_air_takes_no_slice():
    data = limb()
    data[3:14, 2:9] = 0
    assert absent(data) is None


@pytest.mark.parametrize("value", [0, 150, 255])
@pytest.mark.parametrize("at", [(40, 30), (12, 40)], ids=["amid", "at the skin"])
def test_a_box_of_any_value_in_the_body_takes_its_slices(at, value):
    data = limb()
    data[at[0] : at[0] + 9, at[1] : at[1] + 7, 3:6] = value
    np.testing.assert_array_equal(np.flatnonzero(absent(data).all(axis=(0, 1))), (3, 4, 5))


def test_boxes_of_other_sides_at_several_places_are_holes():
    """Blocks lie on a lattice: these are as large, but do not."""
    data = limb()
    for z, (x, y) in enumerate([(21, 30), (35, 22), (44, 45), (50, 30)]):
        data[x : x + 8, y : y + 8, 2 * z + 2] = 0
    np.testing.assert_array_equal(np.flatnonzero(absent(data).all(axis=(0, 1))), (2, 4, 6, 8))


def test_two_boxes_of_round_sides_are_holes():
    data = limb()
    data[16:32, 24:40, 3] = data[48:56, 24:40, 5] = 0
    np.testing.assert_array_equal(np.flatnonzero(absent(data).all(axis=(0, 1))), (3, 5))
