"""Masks of two scans that were exchanged are told of both, each with the other's name."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from stores import scan

from data_prep.oddities.exchanged import exchanged
from data_prep.oddities.oddity import MASK, Odd
from data_prep.oddities.off_border import off_border
from data_prep.placing.edges import edges_of

SHAPE, SPACING, SCANS = (16, 32, 32), (3.0, 2.0, 2.0), 10
ORGANS = {7: 2, 8: 9, 9: 8}  # scans with an organ where another has its lesion


def lesion(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image with a bright ball somewhere; of some scans a second one where another's lesion lies."""
    rng = np.random.default_rng(number)
    grid = np.indices(SHAPE)
    at = [place(number), *([place(ORGANS[number])] if number in ORGANS else [])]
    balls = [
        np.sqrt(sum(((each - mid) * mm) ** 2 for each, mid, mm in zip(grid, middle, SPACING, strict=True)))
        < 9
        for middle in at
    ]
    bright = 3.0 * balls[0] + (1.6 * balls[1] if len(balls) > 1 else 0)
    image = ndimage.gaussian_filter(2 + bright + rng.normal(0, 0.5, SHAPE), (0.6, 1.0, 1.0))
    return image.astype(np.float32), balls[0]


def place(number: int) -> tuple[float, float, float]:
    rng = np.random.default_rng(100 + number)
    return rng.uniform(5, 11), rng.uniform(8, 24), rng.uniform(8, 24)


def told(masks: list[int]) -> tuple[list[str | None], list[tuple[str | None, str]]]:
    """Which scans are told of a mask without a border, and what is said of exchanged ones. masks: whose each is."""
    known = [(lesion(number)[0], lesion(of)[1]) for number, of in enumerate(masks)]
    facts = {"first": 0.0, "tissue": {"last": 1.2}}
    scans = [
        replace(
            scan(f"p{at}", (0, 4)),
            spacing_mm=SPACING,
            placement={
                "values": {"pet": facts},
                "lesion": {"edges": {"pet": edges_of(image, mask, SPACING, 0.0, 1.2)}},
            },
        )
        for at, (image, mask) in enumerate(known)
    ]
    unseen = list(off_border(scans, "pet"))
    both = exchanged(scans, ["pet"], unseen, lambda at: (known[at][0][:, None], known[at][1]))
    return [scan_id for odd in unseen for scan_id, _ in odd.shown], [(odd.scan_id, odd.text) for odd in both]


def test_right_masks_are_not_told():
    assert told(list(range(SCANS))) == ([], [])


@pytest.mark.parametrize("one, other", [(2, 7), (0, 5)])
def test_both_of_an_exchange_are_told_also_where_one_seems_to_fit(one, other):
    """The mask of scan 2 lies on something bright in scan 7, so that nothing is odd about that one by itself."""
    masks = list(range(SCANS))
    masks[one], masks[other] = other, one
    unseen, both = told(masks)
    assert f"p{one}_a" in unseen and (other != 7 or "p7_a" not in unseen)
    assert [scan_id for scan_id, _ in both] == [f"p{one}_a", f"p{other}_a"]
    assert both[0][1].startswith(
        f"its mask and that of scan p{other}_a may be exchanged: on pet the lesion stands out"
    )


def test_an_exchange_is_told_though_neither_mask_is_told_by_itself():
    """Both masks lie on something bright in the other's scan."""
    unseen, both = told([*range(8), 9, 8])
    assert unseen == [] and [scan_id for scan_id, _ in both] == ["p8_a", "p9_a"]


def test_a_mask_of_a_scan_that_is_not_among_them_has_no_partner():
    masks = list(range(SCANS))
    masks[3] = 55
    unseen, both = told(masks)
    assert unseen == ["p3_a"] and both == []


def test_only_scans_of_as_many_slices_are_read():
    scans = [
        replace(
            scan(f"p{at}", (0, 4) if at < 2 else (0,) * at + (4,)),
            placement={
                "values": {"pet": {"first": 0.0, "tissue": {"last": 1.2}}},
                "lesion": {"edges": {"pet": {"own": 1.0}}},
            },
        )
        for at in range(SCANS)
    ]
    assert scans[0].slices == scans[1].slices
    read = []

    def images_and_mask(at: int) -> tuple[np.ndarray, np.ndarray]:
        read.append(at)
        return np.ones((scans[at].slices, 1, 8, 8), np.float32), np.ones((scans[at].slices, 8, 8), bool)

    assert list(exchanged(scans, ["pet"], [], images_and_mask)) == []
    twins = {
        at
        for at, one in enumerate(scans)
        for other in scans
        if one is not other and one.slices == other.slices
    }
    assert len(twins) < SCANS
    assert sorted(read) == sorted(twins)


def by_hand(
    own: tuple[float, float], there: tuple[float, float], others: list[float], unseen: int = 0
) -> list[str]:
    """Which of two scans are told whose images are brighter by so much within the other's mask than around it, where
    the mask of each has a border so clear; other scans have other numbers of slices, and the last ones, so many, are
    told to have masks without a border."""
    scans = []
    for at, each in enumerate([*own, *others]):
        edges = {"own": each, "sides": {}, "elsewhere": {}}
        placement = {
            "values": {"pet": {"first": 0.0, "tissue": {"last": 1.0}}},
            "lesion": {"edges": {"pet": edges}},
        }
        slices = (0,) * max(8, at + 7) + (4,)
        scans.append(replace(scan(f"p{at}", slices), spacing_mm=(4.0, 4.0, 4.0), placement=placement))

    def read(at: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = np.zeros((9, 1, 20, 20), np.float32), np.zeros((9, 20, 20), bool)
        places = (slice(2, 5), slice(3, 7), slice(3, 7)), (slice(2, 5), slice(12, 16), slice(12, 16))
        mask[places[at]] = True
        image[:, 0][places[1 - at]] = there[at]
        return image, mask

    lost = [
        Odd(each.scan_id, "", (MASK,), shown=((each.scan_id, MASK),)) for each in scans[len(scans) - unseen :]
    ]
    return [str(odd.scan_id) for odd in exchanged(scans, ["pet"], lost, read)]


def test_how_much_clearer_both_masks_are_on_the_others_images_by_hand():
    """1.5 times as clear as where they lie, 0.2 of the tissue's brightness, and 0.4 of the median fall."""
    usual, both = [1.0] * 4, ["p0_a", "p1_a"]
    assert by_hand((0.6, 0.6), (0.91, 0.91), usual) == both
    for there in ((0.89, 0.91), (0.91, 0.89)):
        assert by_hand((0.6, 0.6), there, usual) == []
    assert by_hand((0.0, 0.0), (0.41, 0.41), usual) == both and by_hand((0.0, 0.0), (0.39, 0.41), usual) == []
    for own, there, found in (
        ((0.6, 0.3), (0.91, 0.46), both),
        ((0.3, 0.6), (0.46, 0.91), both),
        ((0.6, 0.3), (0.89, 0.46), []),
        ((0.3, 0.6), (0.46, 0.89), []),
    ):
        assert by_hand(own, there, usual) == found
    assert by_hand((0.0, 0.0), (0.21, 0.21), [0.19] * 4) == [], "where most lesions have no border"
    faint = [0.4] * 4
    assert by_hand((0.0, 0.0), (0.21, 0.21), faint) == both and by_hand((0.0, 0.0), (0.21, 0.19), faint) == []
    assert (
        by_hand((0.0, 0.0), (1.0, 1.0), [1.0] * 3) == both
        and by_hand((0.0, 0.0), (1.0, 1.0), [1.0] * 2) == []
    )


def test_the_ten_weakest_and_those_that_are_told_are_asked_by_hand():
    """Nine others are weaker than both of a pair, or ten; no pair is looked for where more than 20 scans are told."""
    own, there = (0.6, 0.61), (1.0, 1.0)
    assert by_hand(own, there, [0.3] * 9 + [1.0] * 12) == ["p0_a", "p1_a"]
    assert by_hand(own, there, [0.3] * 10 + [1.0] * 12) == []
    assert by_hand((0.0, 0.0), there, [1.0] * 22, unseen=20) == ["p0_a", "p1_a"]
    assert by_hand((0.0, 0.0), there, [1.0] * 22, unseen=21) == []
