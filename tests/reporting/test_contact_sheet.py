"""The contact sheet of a scan and its histogram: what is black, what is white, where the outline is."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hnscc.reporting.plotting.contact_sheet import (
    BARS,
    GAP,
    HEIGHT,
    Panel,
    contact_sheet,
    histogram_svg,
    rows_of,
    shares_on_axis,
)

SIDE = 60


def panel(height=30, width=30, pixel_mm=(1.0, 1.0), **images):
    mask = np.zeros((height, width), bool)
    mask[10:20, 10:20] = True
    return Panel(
        {name: np.broadcast_to(each, (height, width)) for name, each in images.items()}, mask, pixel_mm
    )


def pixels_of(panels, windows):
    """The sheet's pixels by row and column of it: (rows, columns, SIDE, SIDE, 3)."""
    pixels = np.asarray(Image.open(io.BytesIO(contact_sheet(panels, windows, SIDE)))).astype(int)
    step = SIDE + GAP
    shape = [(length + GAP) // step for length in pixels.shape[:2]]
    assert pixels.shape[:2] == tuple(step * number - GAP for number in shape)
    return np.array(
        [
            [pixels[row * step :, column * step :][:SIDE, :SIDE] for column in range(shape[1])]
            for row in range(shape[0])
        ]
    )


def test_a_row_per_modality_and_one_for_the_mask():
    windows = {"pet": (0.0, 10.0), "mri": (100.0, 300.0)}
    sheet = pixels_of([panel(pet=10.0, mri=100.0), panel(pet=0.0, mri=200.0)], windows)
    assert sheet.shape == (3, 2, SIDE, SIDE, 3) and rows_of(["pet", "mri"]) == [
        "pet",
        "mri",
        "pet on mri, mask",
    ]
    middle = sheet[:, :, 30, 30]
    assert (middle[0, 0] < 10).all() and (middle[0, 1] > 245).all(), "PET is black where it is hot"
    assert (middle[1, 0] < 10).all() and (abs(middle[1, 1] - 127) < 10).all()
    red, green, blue = middle[2, 0]
    assert red > 150 and green > 150 and blue < 40, "hot on black is yellow"
    assert (abs(middle[2, 1] - 127) < 10).all(), "cold leaves the anatomy as it is"


def test_of_two_anatomies_the_one_that_the_row_names_is_below_the_mask():
    windows = {"ct": (0.0, 1.0), "mri": (0.0, 1.0)}
    sheet = pixels_of([panel(ct=0.0, mri=1.0)], windows)
    assert rows_of(list(windows))[2] == "mri, mask" and (sheet[2, 0, 30, 30] > 245).all()


def test_what_was_registered_is_shown_over_the_reference_before_that():
    """PET over anatomy as in the row above; two anatomies in magenta and green, before and after."""
    windows = {"pet": (0.0, 10.0), "mri": (0.0, 1.0), "ct": (0.0, 1.0)}
    one = replace(
        panel(pet=0.0, mri=1.0, ct=1.0),
        before={"pet": np.full((30, 30), 10.0), "ct": np.zeros((30, 30))},
        reference="mri",
    )
    expected = ["pet", "mri", "ct", "pet on mri, mask", "pet on mri, before", "ct on mri, before"]
    assert rows_of(list(windows), ["pet", "ct"], "mri") == [*expected, "ct on mri, registered"]
    middle = pixels_of([one], windows)[3:, 0, 30, 30]
    red, green, blue = middle[1]
    assert (middle[0] > 245).all() and red > 200 and green > 200 and blue < 120, "hot before, cold now"
    assert middle[2, 0] > 245 and middle[2, 1] < 10 and middle[2, 2] > 245, "magenta: the reference alone"
    assert (middle[3] > 245).all(), "grey where both agree"


def test_the_outline_is_where_the_mask_ends():
    sheet = pixels_of([panel(mri=0.0)], {"mri": (0.0, 1.0)})
    assert sheet.shape[0] == 2 and rows_of(["mri"]) == ["mri", "mri, mask"]
    white = sheet[1, 0].min(axis=2) > 128
    found = np.flatnonzero(white.any(axis=0)), np.flatnonzero(white.any(axis=1))
    for each in found:  # 10 to 20 of 30 pixels are 20 to 40 of 60
        assert abs(each[0] - 20) <= 1 and abs(each[-1] - 39) <= 1
    assert not white[24:36, 24:36].any() and not (sheet[0, 0] > 128).any()


def test_a_pixel_that_is_longer_than_wide_is_shown_so():
    sheet = pixels_of([panel(mri=1.0, pixel_mm=(1.0, 0.5))], {"mri": (0.0, 1.0)})
    bright = sheet[0, 0].min(axis=2) > 128
    assert np.ptp(np.flatnonzero(bright.any(axis=0))) + 1 == pytest.approx(SIDE / 2, abs=1)
    assert bright.any(axis=1).all()


def test_pet_alone_and_a_window_without_width():
    sheet = pixels_of([panel(pet=5.0)], {"pet": (5.0, 5.0)})
    assert rows_of(["pet"]) == ["pet", "pet, mask"] and (sheet[0, 0] > 245).all()


def test_the_common_axis_keeps_every_pixel():
    counts, edges = np.array([6, 2, 1, 1]), np.array([0.0, 1.0, 2.0, 3.0, 100.0])
    shares = shares_on_axis(counts, edges, (1.0, 3.0))
    assert shares.shape == (BARS + 2,) and shares.sum() == pytest.approx(1)
    assert shares[0] == 0.6 and shares[-1] == 0.1, "what lies beyond the axis is at its ends"
    assert shares[1 + BARS // 4] == 0.2 and shares[1 + 3 * BARS // 4] == 0.1
    assert shares_on_axis(np.zeros(4, int), edges, (1.0, 1.0)).sum() == 0


def test_bars_are_as_high_as_their_shares_in_decades():
    shares = np.zeros(BARS + 2)
    shares[3], shares[5], shares[7] = 1.0, 0.01, 1e-6
    svg = histogram_svg(shares, shares, [0.0, 2.0])
    bars = re.search(r'class="bars" d="([^"]*)"', svg).group(1)
    heights = [float(each) for each in re.findall(r"v-([\d.]+)h", bars)]
    assert heights == pytest.approx([HEIGHT, HEIGHT / 2], abs=0.1)
    assert re.search(r'class="lesion" d="([^"]*)"', svg).group(1).count("z") == 2
