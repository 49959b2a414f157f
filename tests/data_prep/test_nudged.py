"""Masks that lie one voxel beside their lesion are told, of one scan and of half of them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from stores import scan

from data_prep.oddities.nudged import moves_of, nudged
from data_prep.oddities.off_border import MASK

SHAPE, SPACING, SCANS = (16, 32, 32), (4.0, 1.5, 1.5), 18
SIDES = ("head", "back", "left")


def told(
    moved: dict[int, tuple[int, int]], noise: float = 0.1, known=(), count: int = SCANS
) -> list[tuple[str | None, str]]:
    """moved: the scans, of `count`, whose masks lie so many voxels off along an axis. noise: of the images; the ball
    has 3."""
    scans, moves = [], []
    for number in range(count):
        rng = np.random.default_rng(number)
        middle = [(length - 1) / 2 + rng.uniform(-2, 2) for length in SHAPE]
        apart = [(at - mid) * mm for at, mid, mm in zip(np.indices(SHAPE), middle, SPACING, strict=True)]
        mask = np.sqrt(sum(each**2 for each in apart)) < 13
        image = ndimage.gaussian_filter(3.0 * mask + rng.normal(0, noise, SHAPE), (0.5, 1.0, 1.0))
        axis, voxels = moved.get(number, (0, 0))
        facts = {
            "values": {"pet": {"first": 0.0, "tissue": {"last": 1.2}}},
            "lesion": {"edges": {"pet": {"own": 1.0}}},
        }
        scans.append(replace(scan(f"p{number:02d}", (0, 4)), spacing_mm=SPACING, placement=facts))
        moves.append(moves_of(image[:, None].astype(np.float32), np.roll(mask, voxels, axis), scans[-1]))
    return [(odd.scan_id, odd.text) for odd in nudged(scans, ["pet"], moves, known)]


def test_masks_where_they_belong_are_not_told():
    assert told({}) == []


@pytest.mark.parametrize("axis", range(3))
def test_one_mask_that_is_a_voxel_off_is_told_with_where_it_belongs(axis):
    ((scan_id, text),) = told({4: (axis, -1)})
    mm = SPACING[axis]
    found = float(text.split("clearest ")[1].split(" mm")[0])
    assert scan_id == "p04_a" and abs(found - mm) < 0.3 * mm
    assert f" mm farther to the {SIDES[axis]} than in the other scans" in text
    assert told({4: (axis, -1)}, known={("p04_a", MASK)}) == []


@pytest.mark.parametrize("axis", range(3))
def test_half_of_the_masks_a_voxel_off_are_told_in_one_sentence(axis):
    ((scan_id, text),) = told({number: (axis, -1) for number in range(9)})
    assert scan_id is None and text.startswith("in 9 scans (p00_a, p01_a, ")
    assert f" mm farther to the {SIDES[axis]} than in the other scans" in text


@pytest.mark.parametrize(("moved", "side"), [({4: 0}, "foot"), (dict.fromkeys(range(9), -2), "head")])
def test_size_and_side_are_those_of_the_difference_from_the_other_scans(moved, side):
    """All masks lie a slice off but one that lies where it belongs, or half of them two slices."""
    ((_, text),) = told({number: (0, moved.get(number, -1)) for number in range(SCANS)})
    found = float(text.split("clearest ")[1].split(" mm")[0])
    assert abs(found - SPACING[0]) < 0.3 * SPACING[0]
    assert f" mm farther to the {side} than in the other scans" in text


def test_of_few_scans_nothing_is_said():
    """Of so few the deviation is small by chance, as it was of limbs whose masks are drawn loosely."""
    assert len(told({4: (0, -1)}, count=12)) == 1 and told({4: (0, -1)}, count=11) == []


def test_where_masks_are_drawn_loosely_nothing_is_said():
    assert told({number: (1, number % 5 - 2) for number in range(SCANS)}) == []


def test_a_mask_from_the_first_slice_to_the_last_is_not_said_to_belong_elsewhere_along_them():
    """Where it is moved along the slices, a scan of one or two looks the same: the first move tried seemed best."""
    mask = np.hypot(*(np.indices((32, 32)) - 15.5)) < 8
    image = 3.0 * mask + np.random.default_rng(0).normal(0, 0.1, mask.shape)
    for depth in (1, 2):
        images = np.repeat(image[None, None], depth, axis=0).astype(np.float32)
        facts = {"values": {"pet": {"first": 0.0, "tissue": {"last": 1.2}}}}
        of = replace(scan("p00", (4,) * depth), spacing_mm=SPACING, placement=facts)
        for moved in (0, 2):
            ((z, y, x),) = moves_of(images, np.repeat(np.roll(mask, -moved, 0)[None], depth, axis=0), of)
            assert z == 0 and abs(y - moved * SPACING[1]) < 0.1 and abs(x) < 0.1


def of_moves(
    *moved: tuple[float, float, float], others: int, spread: float = 0.0, own: float = 1.0
) -> list[str]:
    """What is said of scans whose clearest border lies so many mm along z, y and x beside the mask, and of others in
    which it lies by `spread` to the left and to the right by turns; own: the fall where the masks of the first lie."""
    moves = [*moved, *((0.0, 0.0, spread * (1 - 2 * (at % 2))) for at in range(others))]
    scans = [
        replace(
            scan(f"p{at:02d}", (0, 4)),
            spacing_mm=SPACING,
            placement={"lesion": {"edges": {"pet": {"own": own if at < len(moved) else 1.0}}}},
        )
        for at in range(len(moves))
    ]
    along = [np.array([each], np.float32) for each in moves]
    return [
        f"{odd.scan_id}: {odd.text.partition('clearest ')[2].partition(' than')[0]}"
        for odd in nudged(scans, ["pet"], along)
    ]


def test_how_far_one_mask_of_twelve_must_lie_off_by_hand():
    """By more than half a voxel, 2 mm along z and 0.75 mm in the slice; and than 3.5 robust deviations, of 1.4826 times
    the median one, which are at most 0.5 mm."""
    assert of_moves((2.1, 0, 0), others=11) == ["p00_a: 2.1 mm farther to the head"]
    assert of_moves((2.0, 0, 0), others=11) == of_moves((2.1, 0, 0), others=10) == []
    assert of_moves((0, 0.8, 0), others=11) == ["p00_a: 0.8 mm farther to the back"]
    assert of_moves((0, 0.7, 0), others=11) == []
    # Of two axes that along which it is off by more.
    assert of_moves((-2.1, 0.8, 0), others=11) == ["p00_a: 2.1 mm farther to the foot"]
    # 3.5 x 1.4826 x 0.337 is 1.749, and 1.4826 x 0.338 more than 0.5.
    assert of_moves((0, 0, 1.8), others=11, spread=-0.337) == ["p00_a: 1.8 mm farther to the left"]
    assert (
        of_moves((0, 0, 1.7), others=11, spread=-0.337) == of_moves((0, 0, 3), others=11, spread=-0.338) == []
    )
    # A mask without a border, of either sign, is not counted, nor one whose move is unknown.
    assert len(of_moves((2.1, 0, 0), others=11, own=-0.2)) == 1
    assert of_moves((2.1, 0, 0), others=11, own=0.19) == []
    assert of_moves((np.nan, 0, 0), (2.1, 0, 0), others=10) == []
    assert of_moves((np.nan, 0, 0), (2.1, 0, 0), others=11) == ["p01_a: 2.1 mm farther to the head"]


def test_half_of_sixteen_masks_are_off_by_more_than_the_others_by_hand():
    """By more than 3.5 robust deviations within both halves: 1.557 of 0.3 mm to either side. Of 0.338 mm they are more
    than 0.5."""

    def off(by: float, spread: float) -> list[tuple[float, float, float]]:
        return [(0, 0, by + each) for each in (spread, -spread) * 4]

    for by in (1.6, 3.0):
        assert of_moves(*off(by, 0.3), others=8, spread=0.3) == [f"None: {by} mm farther to the left"]
    assert (
        of_moves(*off(1.5, 0.3), others=8, spread=0.3) == of_moves(*off(3, 0.3), others=7, spread=0.3) == []
    )
    assert of_moves(*off(-3.0, 0.3), others=8, spread=0.3) == ["None: 3.0 mm farther to the right"]
    assert of_moves(*off(3, 0.338), others=8, spread=0.338) == []
    # Of 1.5 mm beside 2 x 3 mm, and 0 beside 2 x -1.5 mm, 3/4 of the variance lies between: 0.8 is asked.
    halves = [(0, 0, by) for by in (*[1.5] * 6, 3, 3, -1.5, -1.5)]
    assert of_moves(*halves, others=6) == []
