"""Masks that hold less than what was drawn: outlines, hollow and inverted ones, and thin lesions on coarser voxels."""

from dataclasses import replace

import numpy as np
import pytest
from scans import prepare, save, write
from scipy import ndimage
from stores import scan

from data_prep.oddities.odd_lesions import odd_drawn_lesions
from data_prep.placing.drawn_shape import hollow, is_box, skipped_slices, spanned

PLAIN = {"hollow": 0.0, "drawn_ml": 2.0, "stored_ml": 2.0}


def told(*changes: dict) -> list[tuple]:
    """What is odd about scans of an index alone, all with lesion; each change is of one scan."""
    scans = [
        replace(scan(f"p{at}", (0, 4)), placement={"lesion": PLAIN | change})
        for at, change in enumerate(changes)
    ]
    return [(odd.scan_id, odd.text, odd.refused) for odd in odd_drawn_lesions(scans)]


def test_what_a_ring_encloses_is_counted_by_hand():
    """7 x 7 in one slice, of which the outline has 24 of 49 pixels; full in another: 73 of 98."""
    voxels = np.zeros((4, 12, 12), bool)
    assert hollow(voxels) == 0
    voxels[1, 2:9, 3:10] = True
    assert hollow(voxels) == 0
    voxels[1, 3:8, 4:9] = False
    assert hollow(voxels) == pytest.approx(25 / 49)
    voxels[2, 2:9, 3:10] = True
    assert hollow(voxels) == pytest.approx(25 / 98)


@pytest.mark.parametrize("shared, skipped", [(1, 1), (0, 0)])
@pytest.mark.parametrize("size", [(10, 10), (10, 3), (3, 10)])
def test_a_slice_is_skipped_where_its_neighbours_share_a_tenth_of_the_larger(size, shared, skipped):
    """In one row, 10 pixels and as many or 3, of which one or none lie over one another; of 11, one is too little."""
    voxels = np.zeros((3, 1, 30), bool)
    voxels[0, 0, : size[0]], voxels[2, 0, size[0] - shared : size[0] - shared + size[1]] = True, True
    assert skipped_slices(voxels) == skipped
    voxels[size.index(10) * 2, 0, 29] = True
    assert skipped_slices(voxels) == 0


@pytest.mark.parametrize(
    "sides, expected",
    [
        ([(5, 5)], True),
        ([(4, 9)], False),
        ([(5, 6)] * 2, True),
        ([(5, 5), (5, 6)], False),  # of blocks that differ there must be three
        ([(5, 5), (5, 6), (6, 6)], True),
        ([(5, 5), (5, 6), (6, 6), None, None], True),
        ([(5, 5), (5, 6), (6, 6), None, None, None], False),  # half of the slices
    ],
)
def test_blocks_with_straight_edges_are_boxes(sides, expected):
    """Slices of a block of these sides, or of a cross."""
    voxels = np.zeros((len(sides) + 1, 12, 12), bool)
    for z, each in enumerate(sides):
        if each is None:
            voxels[z, 3, 1:9] = voxels[z, 1:9, 3] = True
        else:
            voxels[z, 1 : 1 + each[0], 2 : 2 + each[1]] = True
    assert is_box(voxels) is expected


def test_lesion_that_touches_opposite_borders_spans_its_slice():
    voxels = np.zeros((5, 6, 7), bool)
    voxels[0, 2], voxels[1, :, 3] = True, True
    voxels[2, 0], voxels[2, 1:, 0] = True, True  # three borders, of which two are opposite
    voxels[3, 0, 3], voxels[3, 3, 0] = True, True  # two that are not
    assert spanned(voxels) == 3


HOLLOW = (
    "the mask is hollow: 5% or more of what it encloses is not lesion; was the lesion's middle left out on "
    "purpose, as where it is necrotic, or is the mask inverted within a box around the lesion?"
)


def test_an_outline_is_told_and_a_small_hole_is_not():
    assert told({}, {"hollow": 0.04}) == []
    text = (
        "most of what the mask encloses (50% or more) is not lesion: was an outline drawn and never filled, or is the "
        "mask inverted within a box around the lesion?"
    )
    assert told({}, {"hollow": 0.6}) == [("p1_a", text, False)]
    # It is stored smaller than it was drawn, since it is thin: no finer pixels fill it.
    assert told({}, {"hollow": 0.6, "stored_ml": 0.5}) == [("p1_a", text, False)]
    assert told({"hollow": 0.6}, {"hollow": 0.7})[0][:2] == (
        None,
        f"in 2 scans (p0_a, p1_a), 2 of 2 with lesion, 0 of 0 without, {text}",
    )


def test_a_hollow_mask_is_told_as_that_and_not_as_an_outline():
    assert told({}, {"hollow": 0.4}) == [("p1_a", HOLLOW, False)]
    assert [
        (scan_id, text.partition(": ")[0]) for scan_id, text, _ in told({"hollow": 0.05}, {"hollow": 0.49})
    ] == [(None, "in 2 scans (p0_a, p1_a), 2 of 2 with lesion, 0 of 0 without, the mask is hollow")]
    assert [scan_id for scan_id, _, _ in told({}, {"hollow": 0.2}, {"hollow": 0.6})] == ["p2_a", "p1_a"]


@pytest.mark.parametrize("around", ["box", "ellipsoid"])
def test_what_lies_around_a_lesion_in_a_box_or_an_ellipsoid_is_hollow(around):
    """A ball of radius 6 taken out of what lies up to 4 voxels around it; the ball itself is not hollow."""
    distance = [abs(axis - 15) for axis in np.indices((31, 31, 31))]
    ball = sum(each**2 for each in distance) < 36
    outer = (np.max(distance, axis=0) < 10) if around == "box" else sum(each**2 for each in distance) < 100
    inverted = outer & ~ball
    share = hollow(inverted)
    assert hollow(ball) == 0 and share == pytest.approx(ball.sum() / outer.sum())
    assert told({}, {"hollow": share})[0][:2] == ("p1_a", HOLLOW)


@pytest.mark.parametrize("stored", [0.96, 3.0])
def test_a_lesion_that_is_stored_much_smaller_or_larger_is_told_with_both_volumes(stored):
    ((scan_id, text, refused),) = told({}, {"drawn_ml": 2.2, "stored_ml": stored})
    assert scan_id == "p1_a" and not refused
    assert text.startswith(f"of the lesion 2.2 ml were drawn and {stored:.2g} ml are stored")
    assert told({"stored_ml": 1.51}, {"stored_ml": 2.66}, {"drawn_ml": 0.0, "stored_ml": 0.0}) == []
    assert len(told({"stored_ml": 1.49}, {"stored_ml": 2.68})) == 2, "a third more or less than 2 ml"


def test_prepare_tells_an_outline_and_a_plaque_that_coarser_pixels_lose(tmp_path):
    """Voxels of 3 mm3, stored as 2 x 2: a slanting plaque one voxel thick (2 x 27 x 6 voxels) has one of four each
    and is lost; the node beside it of 8 x 8 x 4 is kept."""
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    x, y, z = np.indices((48, 48, 8))
    disc = (x - 23.5) ** 2 + (y - 23.5) ** 2 < 400
    masks = [((x - 20 - number) ** 2 + (y - 24) ** 2 < 49) & (abs(z - 4) < 3) for number in range(3)]
    masks[1] &= ~ndimage.binary_erosion(masks[1], np.ones((3, 3, 1)))
    node = (x // 8 == 2) & (y // 8 == 2) & (z // 4 == 0)
    masks[2] = node | ((abs(x - y) == 21) & (z < 6))
    for number, mask in enumerate(masks):
        rng = np.random.default_rng(number)
        image = disc * (1 + ndimage.gaussian_filter(rng.normal(size=disc.shape), 2)) + rng.normal(
            0, 0.05, disc.shape
        )
        write(tmp_path / f"{number}.nii", image.astype(np.float32))
        write(tmp_path / f"{number}-mask.nii", mask.astype(np.uint8))
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii"])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=24, workers=1, accept_odd="a test")
    outline = [text for text in store.odd if "an outline" in text]
    kept = [text for text in store.odd if "were drawn" in text and text.startswith("scan S2")]
    assert len(outline) == 1 and outline[0].startswith("scan S1: most of what the mask encloses")
    (lesion,) = (each.placement["lesion"] for each in store.scans if each.scan_id == "S2")
    assert lesion["drawn_ml"] == pytest.approx((324 + 256) * 3 / 1000)
    assert lesion["stored_ml"] == pytest.approx(256 * 3 / 1000)
    assert "of the lesion 1.7 ml were drawn and 0.77 ml are stored" in kept[0]
