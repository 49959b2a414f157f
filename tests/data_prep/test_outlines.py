"""Outlines of a mask, filled again, are the mask: with holes, holes in holes, and pixels that touch at corners."""

import numpy as np
import pytest
from scipy import ndimage

from data_prep.dicom.outlines import outlines
from data_prep.masks.contours import coverage


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def test_a_pixel_has_four_corners():
    mask = np.zeros((4, 3), bool)
    mask[2, 1] = True
    (outline,) = outlines(mask)
    assert sorted(map(tuple, outline)) == [(1.5, 0.5), (1.5, 1.5), (2.5, 0.5), (2.5, 1.5)]
    assert outlines(np.zeros((3, 3), bool)) == []


def test_a_hole_is_joined_by_a_keyhole():
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    (outline,) = outlines(mask)
    assert area(outline) == 24
    corners = [tuple(each) for each in outline]
    channel = [at for at in corners if corners.count(at) == 2]
    assert len(channel) == 4, "both ends of the channel are passed twice"
    assert {at[1] for at in channel} == {1.5}


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_filled_again_they_are_the_mask(share):
    random = np.random.default_rng(7)
    for _ in range(40):
        mask = random.random(random.integers(1, 14, 2)) < share
        found = outlines(mask)
        # Parts that touch at corners alone are parts of their own, as SciPy labels them by edges.
        assert len(found) == ndimage.label(mask)[1]
        assert sum(map(area, found)) == mask.sum()
        if found:
            assert (coverage(found, mask.shape) == mask).all()


def test_holes_within_holes_and_a_large_mask():
    x, y = np.mgrid[:80, :70]
    mask = (np.hypot(x - 40, y - 35) // 5) % 2 == 0
    found = outlines(mask)
    assert (coverage(found, mask.shape) == mask).all()
    assert max(map(len, found)) < 400, "corners alone"
