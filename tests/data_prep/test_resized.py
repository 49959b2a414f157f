"""Masks that are drawn larger or smaller than their lesion are told as that; masks that lie elsewhere are not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from stores import scan

from data_prep.oddities.oddity import MASK
from data_prep.oddities.resized import resized
from data_prep.placing.edges import edges_of

SHAPE, SPACING, SCANS = (24, 44, 48), (4.0, 2.0, 2.0), 10
LARGER = (
    "the mask is drawn larger than the lesion that pet shows: its values fall more across the mask's border 4 or 8 mm "
    "further in than where it lies, beside the other scans; was a margin drawn with it, as around what is irradiated? "
    "Draw the lesion alone"
)
SMALLER = (
    "the mask is drawn smaller than the lesion that pet shows: its values fall more across the mask's border 4 or 8 mm "
    "further out than where it lies, beside the other scans; was its core drawn alone, as by a high threshold? Draw "
    "the whole lesion"
)


def told(drawn: dict, lift: float = 3.0, known=frozenset(), outside=()) -> list[tuple[str | None, str]]:
    """What is said of blurred ellipsoids, `lift` brighter than noise; drawn: what was made of some masks, by number."""
    scans = []
    for number in range(SCANS):
        rng = np.random.default_rng(number)
        middle = np.array([14, 17, 18]) + rng.uniform(-1, 1, 3)
        apart = [(at - mid) * mm for at, mid, mm in zip(np.indices(SHAPE), middle, SPACING, strict=True)]
        whole = np.sqrt(sum(each**2 for each in apart)) < rng.uniform(15, 18)
        image = 2 + lift * rng.uniform(0.8, 1.2) * whole + rng.normal(0, 0.4, SHAPE)
        image = ndimage.gaussian_filter(image, (0.6, 1.2, 1.2)).astype(np.float32)
        mask = drawn[number](whole) if number in drawn else whole
        edges = {"pet": edges_of(image, mask, SPACING, 0.0, 1.2)}
        facts = {"lesion": {"edges": edges}, "outside": {"pet": outside}}
        scans.append(replace(scan(f"p{number}", (0, 4)), placement=facts))
    return [(odd.scan_id, odd.text) for odd in resized(scans, ["pet"], known)]


def by(mm: float):
    """Draws the mask larger by so many mm, or smaller."""

    def drawn(mask):
        if mm > 0:
            return ndimage.distance_transform_edt(~mask, sampling=SPACING) <= mm
        return ndimage.distance_transform_edt(mask, sampling=SPACING) > -mm

    return drawn


@pytest.mark.parametrize("lift", [3.0, -1.6], ids=["brighter", "darker"])
@pytest.mark.parametrize("mm, words", [(5.0, LARGER), (8.0, LARGER), (-5.0, SMALLER)])
def test_masks_that_are_drawn_larger_or_smaller_are_told_one_three_and_most_of_them(mm, words, lift):
    assert told({3: by(mm)}, lift) == [("p3_a", words)]
    ((scan_id, text),) = told({1: by(mm), 3: by(mm), 7: by(mm)}, lift)
    assert scan_id is None and text.startswith("in 3 scans (p1_a, p3_a, p7_a), ") and text.endswith(words)
    ((_, text),) = told(dict.fromkeys(range(7), by(mm)), lift)
    assert text.startswith("in 7 scans ") and text.endswith(words)


def test_margins_of_two_widths_are_told_together():
    ((scan_id, text),) = told({1: by(5.0), 3: by(8.0)})
    assert scan_id is None and text.startswith("in 2 scans (p1_a, p3_a), ") and text.endswith(LARGER)


@pytest.mark.parametrize(
    "elsewhere",
    [lambda mask: np.roll(mask, 8, 2), lambda mask: mask[:, :, ::-1], lambda mask: np.roll(mask, 2, 0)],
    ids=["moved", "mirrored", "two slices off"],
)
def test_masks_that_lie_elsewhere_are_not_said_to_be_larger_or_smaller(elsewhere):
    assert told({3: elsewhere}) == [] and told({1: elsewhere, 3: elsewhere}) == []


def test_right_masks_what_is_known_and_lesions_without_a_border_are_not_told():
    assert told({}) == [] and told({}, -1.6) == []
    for name in ("pet", MASK):
        assert told({3: by(8.0)}, known={("p3_a", name)}) == []
    assert told({3: by(8.0)}, outside=[0]) == []  # PET does not show a slice of the lesion
    assert told({3: by(8.0)}, lift=0.0) == []


def of_falls(further_in: list[float]) -> list[str | None]:
    """Which scans are told whose values fall by 1 where the mask lies, and so far 4 mm further in."""
    scans = [
        replace(
            scan(f"p{number}", (0, 4)),
            placement={
                "outside": {"pet": []},
                "lesion": {
                    "edges": {
                        "pet": {
                            "own": 1.0,
                            "sides": {},
                            "elsewhere": {
                                "moved": 0.5,
                                "with its border 4 mm further in": fall,
                                "with its border 4 mm further out": 0.7,
                            },
                        }
                    }
                },
            },
        )
        for number, fall in enumerate(further_in)
    ]
    return [odd.scan_id for odd in resized(scans, ["pet"])]


def test_where_masks_are_drawn_loosely_or_some_a_little_large_none_is_told():
    usual = [0.4, 0.45, 0.5, 0.55, 0.45, 0.5]
    assert of_falls([1.1, *usual]) == ["p0_a"] and of_falls([1.1, 1.0, *usual]) == [None]
    assert of_falls([0.85, *usual]) == []  # less clear than where it lies
    assert of_falls([1.1, 0.88, *usual]) == []  # another one is nearly so
    assert of_falls([1.1, 0.1, 0.3, 0.6, 0.8, 0.4, 0.2]) == []  # every ratio occurs
    assert of_falls([1.1, 0.4, 0.5, 0.45]) == []  # few scans
