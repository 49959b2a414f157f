"""Masks that do not lie where the images show a border are told, all of a cohort's or one; right ones are not."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage
from stores import scan

from data_prep.oddities.off_border import off_border
from data_prep.placing.edges import edges_of

SHAPE, SPACING = (24, 44, 48), (4.0, 2.0, 2.0)
CROSS = ndimage.generate_binary_structure(3, 1)


@cache
def lesion(number: int, lift: float = 3.0):
    """A blurred image with an ellipsoid that is `lift` brighter than its noisy surroundings, away from the middle."""
    rng = np.random.default_rng(number)
    z, y, x = np.indices(SHAPE)
    at, radius = (
        (15 + rng.uniform(-1, 1), 14 + rng.uniform(-2, 2), 14 + rng.uniform(-2, 2)),
        rng.uniform(15, 17),
    )
    distance = np.sqrt(
        sum(((each - mid) * mm) ** 2 for each, mid, mm in zip((z, y, x), at, SPACING, strict=True))
    )
    mask = distance < radius
    image = 2 + lift * rng.uniform(0.8, 1.2) * mask + rng.normal(0, 0.5, SHAPE)
    return ndimage.gaussian_filter(image, (0.6, 1.2, 1.2)).astype(np.float32), mask


def told(damage, damaged: set[int], count: int = 10, lift: float = 3.0) -> list[tuple[str | None, str]]:
    """What is said of so many scans, of which some have a mask that was damaged: changed from it, by the number."""
    scans = []
    for number in range(count):
        image, mask = lesion(number, lift)
        drawn = damage(mask, number) if number in damaged else mask
        placement = {"lesion": {"edges": {"pet": edges_of(image, drawn, SPACING, 0.0, 1.2)}}}
        scans.append(replace(scan(f"p{number}", (0, 4)), placement=placement))
    return [(odd.scan_id, odd.text) for odd in off_border(scans, "pet")]


def half(mask, number):
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    return mask & (np.arange(SHAPE[0]) < slices[len(slices) // 2])[:, None, None]


def dilated(mask, number):
    return ndimage.binary_dilation(mask, CROSS & (np.arange(3) == 1)[:, None, None], 2)


def exchanged(mask, number):
    """Rows and columns exchanged and stretched to as many as there were."""
    y, x = ((np.arange(n) + 0.5) * m / n for n, m in ((SHAPE[1], SHAPE[2]), (SHAPE[2], SHAPE[1])))
    return mask.swapaxes(1, 2)[:, y.astype(int)][:, :, x.astype(int)]


DAMAGES = {
    "the masks fit pet better mirrored from foot to head": lambda mask, number: mask[::-1],
    "the masks fit pet better mirrored from front to back": lambda mask, number: mask[:, ::-1],
    "the masks fit pet better mirrored from left to right": lambda mask, number: mask[:, :, ::-1],
    "the masks fit pet better turned by 180 degrees in the slice": lambda mask, number: mask[:, ::-1, ::-1],
    "the masks fit pet better mirrored from foot to head and from left to right": lambda mask, number: mask[
        ::-1, :, ::-1
    ],
    "the masks fit pet better with rows and columns exchanged and turned by 180 degrees": lambda mask, number: (
        exchanged(mask, number)[:, ::-1, ::-1]
    ),
    "the masks fit pet better moved 16 mm to the right": lambda mask, number: np.roll(mask, 8, 2),
    "the masks fit pet better moved 8 mm to the head": lambda mask, number: np.roll(mask, -2, 0),
    "the masks fit pet better with its border 4 mm further in": dilated,
    "pet goes on beyond the head end of the mask": half,
}


@pytest.mark.parametrize("lift", [3.0, -1.6], ids=["brighter", "darker"])
@pytest.mark.parametrize("text", DAMAGES)
def test_what_is_wrong_with_most_masks_is_told_once(text, lift):
    found = told(DAMAGES[text], set(range(10)), lift=lift)
    assert any(text in each for _, each in found)
    assert all(scan_id is None for scan_id, _ in found)


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda mask, number: mask[::-1], "mirrored from foot to head, by "),
        (lambda mask, number: mask[:, :, ::-1], "mirrored from left to right, by "),
        (lambda mask, number: mask[:, ::-1, ::-1], "turned by 180 degrees in the slice, by "),
        (lambda mask, number: np.roll(mask, 8, 2), "moved 16 mm to the right, by "),
        (lambda mask, number: lesion(number + 50)[1][::-1, ::-1], "does the mask belong here?"),
    ],
    ids=["mirrored in z", "mirrored in x", "turned", "moved", "of another scan"],
)
def test_one_mask_that_lies_elsewhere_is_told_with_where(damage, words):
    found = told(damage, {3})
    assert [scan_id for scan_id, _ in found] == ["p3_a"]
    assert found[0][1].startswith("the lesion does not stand out on pet: ") and words in found[0][1]


def test_half_of_the_masks_turned_by_180_degrees_are_told_in_one_sentence():
    ((scan_id, text),) = told(lambda mask, number: mask[:, ::-1, ::-1], set(range(5)))
    assert scan_id is None and text.startswith("in 5 scans (p0_a, p1_a, p2_a, p3_a, p4_a), ")
    assert "where it would lie moved, mirrored or turned" in text


def test_one_mask_of_which_half_is_missing_is_told_with_the_side():
    assert told(half, {3}) == [
        ("p3_a", "pet goes on beyond the head end of the mask as within it: is a part of the mask missing?")
    ]


def test_two_masks_of_which_the_same_half_is_missing_are_told_in_one_sentence():
    ((scan_id, text),) = told(half, {1, 3}, count=6)
    assert scan_id is None and text.startswith("in 2 scans (p1_a, p3_a), 2 of ")
    assert text.endswith(
        "pet goes on beyond the head end of the mask as within it: is a part of the mask missing?"
    )


def of_sides(*sides: dict[str, float]) -> list[str | None]:
    """Which scans are told of borders across which values fall by 1, and across some sides less."""
    scans = []
    for number, fall in enumerate(sides):
        border = {"own": 1.0, "sides": {"head": 1.0, "foot": 1.0} | fall, "elsewhere": {"moved": 0.0}}
        placement = {"lesion": {"edges": {"pet": border}}}
        scans.append(replace(scan(f"p{number}", (0, 4)), placement=placement))
    return [odd.scan_id for odd in off_border(scans, "pet")]


def test_masks_are_cut_where_the_same_side_of_half_of_them_at_most_stands_apart_from_all_others():
    cut, whole = {"head": 0.44}, [{"foot": 0.66}, {"foot": 0.9}, {"head": 0.8}]
    assert of_sides(cut, cut, *whole) == [None] and of_sides(cut, cut, cut, *whole) == [None]
    assert of_sides(cut, *whole, {}) == []  # one alone
    assert of_sides(cut, {"foot": 0.44}, *whole) == []  # of two sides
    assert of_sides(cut, cut, {"foot": 0.6}, *whole) == []  # one is in between
    assert of_sides(cut, cut, cut, *whole[:2]) == []  # most


@pytest.mark.parametrize("lift", [3.0, -1.6, 0.05], ids=["brighter", "darker", "without a border"])
def test_right_masks_are_not_told(lift):
    assert told(None, set(), 30, lift) == []


def test_where_lesions_have_no_border_nothing_is_said_of_one():
    assert told(lambda mask, number: mask[::-1], {3}, lift=0.0) == []


def test_of_few_lesions_nothing_is_said():
    assert told(lambda mask, number: mask[::-1], {0, 1, 2, 3}, count=4) == []
    assert told(lambda mask, number: mask[::-1], set(range(6)), count=6) != []


def of_falls(
    falls: list[float], elsewhere: list[float] | None = None, how: str = "moved"
) -> list[str | None]:
    """Which scans are told whose values fall so far across the border and its sides, and half as far, or as given,
    where the mask would lie moved, or as `how` says."""
    scans = [
        replace(
            scan(f"p{number}", (0, 4)),
            placement={
                "lesion": {
                    "edges": {
                        "pet": {
                            "own": fall,
                            "sides": {"head": fall},
                            "elsewhere": {how: elsewhere[number] if elsewhere else fall / 2},
                        }
                    }
                }
            },
        )
        for number, fall in enumerate(falls)
    ]
    return [odd.scan_id for odd in off_border(scans, "pet")]


def test_of_ten_masks_four_at_most_are_told_where_a_gap_parts_them_from_all_others():
    """By what ten masks differ by, three that have no border hide one another. The medians are 1.05 and 0.9."""
    clear = [0.7, 0.9, 1.2, 1.3, 1.4, 1.6, 1.8]
    three, four = ["p0_a", "p1_a", "p2_a"], ["p0_a", "p1_a", "p2_a", "p3_a"]
    assert of_falls([0.01, -0.01, 0.2, *clear]) == three
    assert of_falls([-0.03, -0.01, -0.02, 0.1, *clear[1:]]) == four  # fewer than 0.8 of all are above 0
    assert of_falls([0.01, 0.02, 0.03, 0.04, 0.05, *clear[2:]]) == []  # half of them
    assert of_falls([0.01, 0.02, 0.03, *clear[1:]]) == []  # of nine
    assert of_falls([0.01, 0.02, 0.3, *clear]) == []  # one is in between


@pytest.mark.parametrize("how, times", [("mirrored from left to right", 1), ("turned by 90 degrees", 2)])
def test_of_all_masks_a_turned_border_must_be_twice_as_clear_and_a_mirrored_one_clearer(how, times):
    own = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert of_falls(own, [(times + 0.1) * fall for fall in own], how) == [None]
    assert of_falls(own, [(times - 0.1) * fall for fall in own], how) == []


def test_of_many_masks_a_turned_border_need_not_be_twice_as_clear():
    """Nine of nine by chance: 0.5^9 = 0.00195, less than a seventh of 0.02; eight of eight: 0.0039."""
    assert of_falls([1.0] * 9, [1.3] * 9, "turned by 180 degrees") == [None]
    assert of_falls([1.0] * 8, [1.3] * 8, "turned by 180 degrees") == []


def test_a_mask_without_a_border_stands_apart_from_seven_that_differ_threefold():
    """A mask of the patient's other visit among true ones, as measured: half a cohort's spread is no excuse for it."""
    others = [0.54, 0.7, 0.9, 1.0, 1.1, 1.3, 1.54]
    assert of_falls([*others, 0.12]) == ["p7_a"]
    assert of_falls([*others, 0.3]) == []
    assert of_falls([*others[1:], 0.3, 0.12]) == []  # falls of every size: nothing stands apart


def test_half_of_the_masks_that_lie_elsewhere_are_told_in_one_sentence():
    """Eight lesions of the phantom, of which four masks were moved by 12 mm, as measured: nothing is usual then."""
    own, moved = (
        [-0.05, 0.54, 0.07, 1.09, -0.08, 1.02, -0.1, 1.53],
        [0.57, 0.29, 0.68, 0.5, 0.36, 0.7, 0.35, 0.72],
    )
    assert of_falls(own, moved) == [None]
    assert of_falls([*own[:4], 0.2, 0.3, *own[6:]], moved) == []  # two scans that are neither
    assert of_falls(own[::-1], [0.1] * 8) == []  # no border anywhere
    one = [0.54, 1.09, 1.02, 1.53, -0.1]
    assert of_falls(one, [0.29, 0.5, 0.7, 0.72, 0.35]) == ["p4_a"]
