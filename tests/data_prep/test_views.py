"""What is shown of a scan: which slices, which row, the right values on the right pixels."""

import numpy as np
import pytest
from stores import scan

from data_prep.views import BINS, LEVELS, bin_edges, pooled, slices_to_show, view_of


def listed(lesion_px, outside=()):
    entry = scan("p", tuple(lesion_px))
    entry.placement["outside"] = {"pet": list(outside), "mri": []}
    return entry


def test_slices_go_from_the_first_with_lesion_to_the_last_with_the_largest_among_them():
    assert slices_to_show(listed([0, 0, 5, 0, 7, 0])) == [2, 4]
    px = np.zeros(40, int)
    px[10:31] = 1
    px[13] = 9
    assert slices_to_show(listed(px)) == [10, 13, 18, 22, 26, 30]


def test_without_lesion_slices_that_a_modality_does_not_show_are_left_out():
    assert slices_to_show(listed([0] * 8, outside=[0, 1, 6])) == [2, 3, 4, 5, 7]
    shown = slices_to_show(listed([0] * 100))
    assert shown[0] == 10 and shown[-1] == 89 and len(shown) == 6
    assert len(slices_to_show(listed([0] * 8, outside=range(8)))) == 6


@pytest.fixture
def seen():
    """Four slices of 12 x 12: PET shows rows 2 to 9 and columns 3 to 10, MRI a part of them; lesion in slice 2."""
    random = np.random.default_rng(0)
    images = np.full((4, 2, 12, 12), 1.0, np.float32)
    images[:, 0, 2:10, 3:11] = 2 + 8 * random.random((4, 8, 8), np.float32)
    images[:, 1] = -50
    images[:, 1, 4:8, 5:9] = 100 * random.random((4, 4, 4), np.float32)
    mask = np.zeros((4, 12, 12), np.uint8)
    mask[2, 6, 5:9] = mask[2, 5, 6] = 1
    entry = listed(mask.sum(axis=(1, 2)))
    return images, mask, view_of(images, mask, entry)


def test_a_view_holds_the_values_of_the_pixels_that_show_something(seen):
    images, mask, view = seen
    assert view.slices == (2,) and view.row == 6
    assert view.axial.shape == (1, 2, 8, 8) and view.coronal.shape == (2, 4, 8)
    for at in range(2):
        low, high = view.low[at], view.high[at]
        step = (high - low) / LEVELS
        values = low + step * view.axial[0, at]
        np.testing.assert_allclose(values, images[2, at, 2:10, 3:11], atol=1.01 * step)
        np.testing.assert_allclose(low + step * view.coronal[at], images[:, at, 6, 3:11], atol=1.01 * step)
    assert (view.outlines[0] == mask[2, 2:10, 3:11]).all()
    assert (view.coronal_outline == mask[:, 6, 3:11]).all()


def test_the_histogram_counts_every_other_pixel_above_the_lowest(seen):
    images, _, view = seen
    for at in range(2):
        some = images[:, at, ::2, ::2].astype(np.float64)
        edges = bin_edges(view.low[at], view.high[at])
        expected, _ = np.histogram(some[some > view.low[at]], edges)
        assert view.histogram.shape == (2, BINS) and view.histogram[at].sum() == expected.sum() > 0
        # A value on an edge may fall to either side of it.
        assert np.abs(view.histogram[at].cumsum() - expected.cumsum()).max() <= 1


def test_large_slices_are_shown_by_means():
    images = np.arange(2 * 330 * 330, dtype=np.float32).reshape(2, 1, 330, 330)
    mask = np.zeros((2, 330, 330), np.uint8)
    mask[1, :200, :200] = 1
    view = view_of(images, mask, listed(mask.sum(axis=(1, 2))))
    assert view.axial.shape == (1, 1, 110, 110) and view.spacing_mm == (1, 3, 3)
    step = (view.high[0] - view.low[0]) / LEVELS
    assert view.low[0] + step * view.axial[0, 0, 5, 7] == pytest.approx(images[1, 0, 16, 22], abs=2 * step)
    # 66 whole rows and columns, one with two of three pixels, and of the corner four of nine, which is no half.
    assert view.outlines[0].sum() == 67 * 67 - 1


def test_means_leave_out_what_is_over():
    assert pooled(np.arange(10.0).reshape(2, 5), 2, 2).tolist() == [[3.0, 5.0]]


def test_a_modality_of_one_value_has_an_empty_histogram():
    images = np.full((3, 1, 8, 8), 4, np.float32)
    view = view_of(images, np.zeros((3, 8, 8), np.uint8), listed([0, 0, 0]))
    assert view.histogram.sum() == 0 and view.axial.shape[2:] == (8, 8) and not view.axial.any()
