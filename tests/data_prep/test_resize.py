"""Square slices, worked out by hand: masks by area, images smoothed, cropped and padded around the centre."""

import numpy as np
import pytest
from scans import place, scan_arrays, volume

from data_prep.volumes.resize import (
    Window,
    area_weights,
    make_window,
    overlapped,
    resize_image,
    resize_mask,
    stored_affine,
    stored_spacing,
    weigh,
)
from data_prep.volumes.volume import Grid
from hnscc.base.errors import InputError


def test_masks_are_resized_by_area():
    """4 x 4 -> 2 x 2: 2 of 4 pixels is half and stays, 1 of 4 does not, 3 and 4 do."""
    lesion = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], [1, 1, 1, 0]], bool)
    window = Window(2, (2.0, 2.0), (0.0, 0.0))
    np.testing.assert_array_equal(resize_mask(lesion, window), [[1, 0], [1, 1]])


def test_area_counts_parts_of_pixels():
    """3 pixels -> 2 of 1.5: the first covers all of pixel 0 and half of pixel 1, so 0.67 and 0.33."""
    window = Window(2, (1.5, 1.5), (0.0, 0.0))
    row = np.array([[1, 0, 0]] * 3, bool)
    np.testing.assert_array_equal(resize_mask(row, window), [[1, 0], [1, 0]])
    middle = np.array([[0, 1, 0]] * 3, bool)
    np.testing.assert_array_equal(resize_mask(middle, window), [[0, 0], [0, 0]])


def test_512_to_128_is_the_mean_of_four_by_four_for_masks():
    rng = np.random.default_rng(1)
    lesion = rng.random((64, 64)) > 0.5
    share = lesion.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    window = make_window(Grid((64, 64, 1), np.eye(4), True), 16, None)
    np.testing.assert_array_equal(resize_mask(lesion, window), share >= 0.5)


def test_a_half_counts_though_its_sum_is_rounded():
    """Pixels of 0.4: the third spans 0.8 to 1.2, of which floats make 0.4999999999999999 covered."""
    half = np.array([[1, 0]] * 2, bool)
    np.testing.assert_array_equal(resize_mask(half, Window(5, (0.4, 0.4), (0.0, 0.0))), [[1, 1, 1, 0, 0]] * 5)


def test_a_pixel_is_overlapped_by_any_part_of_it():
    """Pixels from 0.95 to 1.95: a twentieth of the first."""
    lesion = np.array([[1, 0, 0]] * 3, bool)
    assert overlapped(lesion, Window(2, (1.0, 1.0), (0.95, 0.95))).tolist() == [[True, False]] * 2
    assert not overlapped(lesion, Window(2, (1.0, 1.0), (0.95, 1.0))).any()


def test_where_stored_pixels_lie_in_mm():
    """Of 6 x 17 voxels of 2 x 0.5 mm, 8 x 8 pixels of 1 mm: along x the first spans 1 to 1.5 voxels from the outer
    face, so that its middle is that of voxel 0.75; along y 0.5 to 2.5, and its middle is that of voxel 1."""
    affine = np.diag([-2.0, -0.5, 3, 1])
    affine[:3, 3] = 10, 20, 30
    grid = Grid((6, 17, 4), affine, True)
    window = make_window(grid, 8, 1.0)
    expected = [[-1, 0, 0, 8.5], [0, -1, 0, 19.5], [0, 0, 3, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(stored_affine(grid, window), expected)
    assert stored_spacing(grid, window) == (3, 1, 1)


def test_a_pixel_whose_middle_lies_on_the_border_is_no_padding():
    window = Window(4, (1.0, 1.0), (-0.5, -0.5))
    np.testing.assert_array_equal(resize_image(np.full((3, 3), 7.0), window, -1.0), np.full((4, 4), 7.0))
    beside = resize_image(np.full((3, 3), 7.0), Window(4, (1.0, 1.0), (-0.6, -0.4)), -1.0)
    np.testing.assert_array_equal(beside == -1, [[1, 1, 1, 1], *[[0, 0, 0, 1]] * 3])


def test_images_keep_level_and_slope_and_do_not_alias():
    x = np.arange(64, dtype=float)
    ramp = np.broadcast_to(3 * x, (64, 64))
    window = Window(16, (4.0, 4.0), (0.0, 0.0))
    inner = resize_image(ramp, window, 0.0)[2:-2, 2:-2]
    np.testing.assert_allclose(
        inner, np.broadcast_to(3 * (4 * np.arange(2, 14) + 1.5), inner.shape), rtol=1e-6
    )
    stripes = np.broadcast_to(x % 2, (64, 64))
    np.testing.assert_allclose(resize_image(stripes, window, 0.0)[:, 1:-1], 0.5, atol=1e-6)


def test_enlarging_is_linear():
    image = np.array([[0.0, 10.0], [0.0, 10.0]])
    window = Window(4, (0.5, 0.5), (0.0, 0.0))
    np.testing.assert_allclose(resize_image(image, window, -1.0)[0], [0, 2.5, 7.5, 10])


def test_padding_is_square_and_centred_and_filled():
    _, mri, mask = scan_arrays(shape=(20, 10, 3))
    mask[:] = 0
    mask[8:12, 4:6] = 1
    placed = place({"mri": volume(mri + 5)}, volume(mask), size=20)
    assert (placed.images[:, 0, :5] == (mri + 5).min()).all() and (
        placed.images[:, 0, 15:] == (mri + 5).min()
    ).all()
    np.testing.assert_allclose(placed.images[:, 0, 5:15], (mri + 5).transpose(2, 1, 0), rtol=1e-6)
    np.testing.assert_array_equal(placed.mask[:, 5:15], mask.transpose(2, 1, 0))
    assert placed.source_lesion_px == (8, 8, 8) and placed.spacing_mm == (3, 1, 1)


def test_a_fixed_pixel_size_crops_and_pads_around_the_centre():
    _, mri, mask = scan_arrays(shape=(20, 10, 2))
    mask[:] = 0
    mask[9:11, 4:6] = 1
    placed = place({"mri": volume(mri)}, volume(mask), size=16, pixel_mm=1.0)
    np.testing.assert_allclose(placed.images[:, 0, 3:13], mri[2:18].transpose(2, 1, 0), rtol=1e-6)
    assert (placed.images[:, 0, :3] == mri.min()).all()
    assert placed.placement["lesion_px_cropped"] == 0


def test_lesion_cropped_off_is_counted_or_refused():
    _, mri, mask = scan_arrays(shape=(20, 20, 2))
    mask[:] = 0
    mask[1:9, 9:11] = 1  # x from 1; the window of 16 starts at 2
    placed = place({"mri": volume(mri)}, volume(mask), size=16, pixel_mm=1.0)
    assert placed.placement["lesion_px_cropped"] == 2 * 2
    mask[3:9] = 0
    mask[0] = mask[1]
    with pytest.raises(InputError, match="slice 0"):
        place({"mri": volume(mri)}, volume(mask), size=16, pixel_mm=1.0)


@pytest.mark.parametrize(
    ("slices", "side", "dtype"), [(5, 40, np.float64), (9, 400, np.float32), (0, 8, np.float64)]
)
def test_a_stack_is_weighed_as_its_images_one_by_one_to_the_same_bits(slices, side, dtype):
    """Images of 400 pixels are weighed three at a time."""
    images = np.random.default_rng(3).normal(size=(slices, side, side + 3)).astype(dtype)
    rows = area_weights(16, side, side / 16, 0.3).astype(dtype)
    columns = area_weights(11, side + 3, side / 11, -0.7).astype(dtype)
    found = weigh(images, rows, columns)
    assert found.shape == (slices, 16, 11) and found.dtype == dtype
    for image, each in zip(images, found, strict=True):
        np.testing.assert_array_equal(each, weigh(image, rows, columns))
        np.testing.assert_allclose(each, rows.toarray() @ image @ columns.toarray().T, rtol=1e-3, atol=1e-5)
