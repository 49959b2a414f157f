"""How clear the borders of masks must be for a sentence, by hand, from given falls, on both sides of each limit."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from stores import scan

from data_prep.oddities.off_border import off_border
from data_prep.oddities.resized import resized

MOVED, TURNED = "moved 8 mm to the head", "turned by 180 degrees in the slice"
IN, OUT = "with its border 4 mm further in", "with its border 4 mm further out"
SIDES = ("head", "foot", "back", "front", "left", "right")


def falls(own: float = 1.0, sides: Mapping[str, float] | None = None, **elsewhere: float) -> dict:
    """The falls across the border of one mask: of the tissue's brightness; elsewhere: `moved`, `turned` and, with the
    border further, `inside` and `outside`."""
    names = {"moved": MOVED, "turned": TURNED, "inside": IN, "outside": OUT}
    there = {"moved": 0.1, "turned": 0.1, "inside": 0.1, "outside": 0.1} | elsewhere
    return {
        "own": own,
        "sides": dict.fromkeys(SIDES, own) | (sides or {}),
        "elsewhere": {names[name]: fall for name, fall in there.items()},
    }


def scans_of(*edges: dict) -> list:
    return [
        replace(
            scan(f"p{at}", (0, 4)), placement={"lesion": {"edges": {"pet": each}}, "outside": {"pet": []}}
        )
        for at, each in enumerate(edges)
    ]


def darker(edge: dict) -> dict:
    """The same falls of a lesion that is darker than its surroundings."""
    turned = {part: {name: -fall for name, fall in edge[part].items()} for part in ("sides", "elsewhere")}
    return {"own": -edge["own"], **turned}


def told(*edges: dict) -> list[tuple[str | None, str]]:
    """What is said, which is the same where all lesions are darker than their surroundings."""
    found, other = (
        [(odd.scan_id, odd.text) for odd in off_border(scans_of(*each), "pet")]
        for each in (edges, map(darker, edges))
    )
    assert found == other
    return found


@pytest.mark.parametrize(
    ("elsewhere", "most_without"),
    [({"moved": 1.01}, 5), ({"turned": 1.01}, 8), ({"turned": 2.0}, 8), ({"turned": 2.01}, 5)],
)
def test_six_of_six_masks_that_fit_better_elsewhere_are_told_and_nine_turned_ones(elsewhere, most_without):
    """By chance all of five do with a probability of 1/32, of six of 1/64, which is less than 0.02; of seven ways to
    turn a seventh is asked, which 1/256 is not and 1/512 is, unless the border there is twice as clear."""
    fitting = falls(**elsewhere)

    def fits(*edges):
        return [each for each in told(*edges) if each[1].startswith("the masks fit pet better ")]

    assert fits(*[fitting] * most_without) == fits(*[fitting] * 7, falls()) == []  # 7 of 8: 9/256
    # Nor are those that rise where the others fall, or whose border where they lie is clearer, of either sign.
    for how in ({name: -fall for name, fall in elsewhere.items()}, dict.fromkeys(elsewhere, 0.5)):
        assert fits(*[fitting] * (most_without - 1), *[falls(-1.0, **how)] * 2) == []
    ((scan_id, text),) = fits(*[fitting] * (most_without + 1))
    way = TURNED if "turned" in elsewhere else MOVED
    assert scan_id is None and f" {way}: in {most_without + 1} of {most_without + 1} scans" in text


def test_a_side_with_less_than_two_fifths_of_the_fall_is_open_in_six_of_six():
    open_, closed = ([falls(sides={"head": share})] * 6 for share in (0.39, 0.4))
    ((scan_id, text),) = told(*open_)
    assert scan_id is None and text.startswith("in 6 of 6 scans with lesion pet goes on beyond the head end")
    assert told(*closed) == told(*open_[:5]) == []
    # A mask without a border has no open side.
    assert [scan_id for scan_id, _ in told(*open_[:5], falls(0.19, {"head": 0.01}))] == ["p5_a"]


LOST = "but where it would lie moved, mirrored or turned"


@pytest.mark.parametrize(
    ("own", "found", "clear", "between", "lost"),
    [
        (0.24, 2, 3, 0, True),
        (0.25, 2, 3, 0, False),  # of what is seen elsewhere
        (0.24, 1, 4, 0, False),
        (0.24, 3, 2, 0, False),
        (0.24, 2, 3, 1, False),  # 5 of 6 are one or the other
        (0.24, 2, 7, 1, True),  # 9 of 10
    ],
)
def test_several_masks_are_lost_where_nearly_all_others_are_clear(own, found, clear, between, lost):
    edges = [falls(own, moved=1.0)] * found + [falls(moved=1.0)] * clear + [falls(0.9, moved=1.0)] * between
    assert any(LOST in text for _, text in told(*edges)) == lost


def test_what_is_nowhere_a_border_is_not_lost():
    """0.2 of the tissue's brightness is asked where the mask would lie."""
    for moved, lost in ((0.2, True), (0.19, False)):
        edges = [falls(0.01, moved=moved)] * 2 + [falls(moved=0.9)] * 3
        assert any(LOST in text for _, text in told(*edges)) == lost


def test_one_mask_stands_out_a_third_as_much_as_others_or_is_told():
    others = [falls()] * 9
    ((scan_id, text),) = told(falls(0.33), *others)
    assert scan_id == "p0_a" and text.startswith(
        "the lesion does not stand out on pet: its values fall by 0.33 of "
    )
    assert told(falls(0.34), *others) == told(falls(0.33), *others[:3]) == []


def test_one_mask_is_told_that_stands_out_more_than_twice_as_much_elsewhere():
    others = [falls()] * 9
    ((_, text),) = told(falls(0.5, moved=1.01), *others)
    assert "stands out on pet where the mask lies, and more elsewhere" in text
    assert f"most {MOVED}, by 1" in text
    assert told(falls(0.5, moved=1.0), *others) == []
    # By 0.3 of the median fall, too.
    for moved, more in ((0.589, False), (0.591, True)):
        ((_, text),) = told(falls(0.29, moved=moved), *others)
        assert text.startswith("the lesion does not stand out") and ("places that are tried" in text) == more


@pytest.mark.parametrize(
    ("own", "count", "of", "apart"),
    [(0.2, 1, 5, True), (0.21, 1, 5, False), (0.2, 2, 9, False), (0.2, 4, 10, True), (0.2, 5, 11, False)],
)
def test_masks_stand_apart_from_others_of_many_falls_where_a_gap_separates_them(own, count, of, apart):
    """All others have 0.4 or more of the median fall, which differs so much between them that little is odd. Of fewer
    than ten masks a fifth may be apart, of more two fifths."""
    even = 1 - of % 2
    others = [0.45] * (of // 2 - count - even) + [1.0] * (1 + even)  # the median one, or two
    others += [6.0] * (of - count - len(others))
    found = told(*[falls(own)] * count, *map(falls, others))
    assert [scan_id for scan_id, _ in found] == ([f"p{at}_a" for at in range(count)] if apart else [])


def ids(*edges: dict) -> list[str | None]:
    return [scan_id for scan_id, _ in told(*edges)]


def test_nothing_is_said_of_one_mask_where_others_have_no_border_or_rise_where_it_falls():
    """0.2 is asked of the median one, and that four fifths fall as it does or stand apart from all others."""
    assert ids(falls(0.05), *[falls(0.2)] * 9) == ["p0_a"] and ids(falls(0.05), *[falls(0.19)] * 9) == []
    rising = falls(-0.5)
    assert ids(*[rising] * 2, falls(0.3), *[falls()] * 7) == ["p0_a", "p1_a", "p2_a"]
    assert ids(*[rising] * 3, falls(0.3), *[falls()] * 6) == []
    assert ids(*[rising] * 3, *[falls()] * 7) == ["p0_a", "p1_a", "p2_a"]


def test_what_one_mask_must_lack_follows_from_how_much_others_differ():
    """The logarithms of others lie 0.2 beside their median: 4 robust deviations of 1.4826 x 0.2, times 4.781 / 3.291, t
    of 9 degrees by the normal at 1 in 2,000, are 1.723, so that 0.18 of the median fall, 1.02, is asked."""
    others = [falls(0.35), *[falls(0.8187)] * 3, *[falls(1.2214)] * 5]
    assert ids(falls(0.175), *others) == ["p0_a"] and ids(falls(0.19), *others) == []
    # 0.35 beside it: 3.016; a fall of less than a tenth counts as that, of which the logarithm is -2.3.
    others = [falls(0.35), *[falls(0.7047)] * 3, *[falls(1.419)] * 5]
    assert ids(falls(0.01), *others) == []


def test_a_mask_between_those_apart_and_all_others_leaves_no_gap():
    others = [0.3, 0.45, 0.45, 1.0, *[6.0] * 4]
    assert ids(falls(0.15), *map(falls, others)) == []


def test_each_mask_is_told_by_one_sentence_the_surest():
    """Where most masks end too early, those that lie elsewhere are left for later; a mask that does not stand out is
    not said to lack a part."""
    most = [falls(sides={"head": 0.39}, moved=0.5)] * 8
    ((_, text),) = told(*most, *[falls(0.1, moved=1.0)] * 2)
    assert text.startswith("in 8 of 8 scans with lesion pet goes on beyond the head end")
    ((_, text),) = told(falls(0.33, {"head": 0.1}), *[falls()] * 9)
    assert text.startswith("the lesion does not stand out")
    # Of four that stand out no part is said to be missing, nor of those that do not.
    assert ids(falls(0.2), *[falls(sides={"head": 0.3})] * 2, *[falls()] * 2) == ["p0_a"]
    others = [0.45, 0.45, 1.0, *[6.0] * 4]
    assert ids(*[falls(0.19, {"head": 0.01})] * 2, *map(falls, others)) == []


def test_clear_masks_stand_out_and_lost_ones_stand_out_elsewhere_than_at_their_border():
    for own, lost in ((0.2, True), (0.19, False)):
        edges = [falls(0.01, moved=0.2)] * 2 + [falls(own)] * 3
        assert any(LOST in text for _, text in told(*edges)) == lost
    edges = [falls(0.24, inside=1.0)] * 2 + [falls(moved=0.9)] * 3
    assert not any(LOST in text for _, text in told(*edges))


CUT = "pet goes on beyond the head end of the mask as within it: is a part of the mask missing?"


def test_masks_that_are_cut_on_one_side_are_told_together_up_to_half_of_them():
    cut, whole = falls(sides={"head": 0.45}), falls(sides={"foot": 0.65})
    for count in (2, 3):
        ((scan_id, text),) = told(*[cut] * count, *[whole] * (6 - count))
        assert scan_id is None and text.startswith(f"in {count} scans (p0_a, p1_a") and text.endswith(CUT)
    assert told(*[cut] * 4, *[whole] * 2) == []
    # With another weak side, or a weaker one in between, each is told that has less than half of what is usual.
    for other in (falls(sides={"foot": 0.64}), falls(sides={"head": 0.46})):
        assert [text for _, text in told(*[falls(sides={"head": 0.3})] * 2, other, *[falls()] * 5)] == [
            CUT
        ] * 2 + ([CUT] if other["sides"]["head"] < 0.5 else [])
    assert told(falls(sides={"head": 0.51}), *[falls()] * 5) == []
    # Half of the fall less than 0.6, which is usual.
    usual = [falls(sides={"head": 0.6})] * 5
    assert told(falls(sides={"head": 0.11}), *usual) == []
    assert told(falls(sides={"head": 0.09}), *usual) == [("p0_a", CUT)]
    assert told(falls(sides={"head": 0.49}), *[falls()] * 5) == [("p0_a", CUT)]


def told_resized(found: list[dict], others: list[float]) -> list[str | None]:
    edges = [*found, *(falls(inside=each, moved=0.1) for each in others)]
    return [odd.scan_id for odd in resized(scans_of(*edges), ["pet"])]


def test_a_mask_is_larger_than_its_lesion_beyond_what_chance_and_every_other_mask_give():
    """The others' ratios have a mean of 0.4 and squares of 0.2 in all, of 11 degrees of freedom with one that is found.
    With their t at 1 in 2,000, 4.437, and 13/12 of the variance, 1.023 is asked. Of others that are alike, 1.3 times
    the largest."""
    various = [0.2, 0.4, 0.6, 0.3, 0.5, 0.4] * 2
    assert told_resized([falls(inside=1.03)], various) == ["p0_a"]
    assert told_resized([falls(inside=1.015)], various) == []
    for largest, found in ((0.73, ["p0_a"]), (0.74, [])):
        assert told_resized([falls(inside=0.955)], [largest] * 12) == found
    assert told_resized([falls(inside=1.1), falls(inside=0.955)], [0.74] * 12) == []
    # Of two that differ by 0.2, too: 0.4 + 8.61 x (5/4 x 0.02/4) ** 0.5 is 1.08.
    assert told_resized([falls(inside=1.0), falls(inside=1.2)], [0.4] * 4) == []
    # However much clearer, a ratio counts as 1.2: two of them do not differ.
    assert told_resized([falls(inside=5.0), falls(inside=1.2)], [0.4] * 3) == [None]


def test_a_mask_is_not_larger_than_its_lesion_where_less_is_clear():
    usual = [0.4, 0.45, 0.5, 0.55, 0.45, 0.5]
    assert (
        told_resized([falls(inside=0.91)], usual) == ["p0_a"]
        and told_resized([falls(inside=0.89)], usual) == []
    )
    assert told_resized([falls(inside=1.1, moved=1.11)], usual) == []
    # A fifth of the median fall is asked there.
    for inside, found in ((0.21, ["p0_a"]), (0.19, [])):
        assert told_resized([falls(0.1, inside=inside)], usual) == found
    # Two others are needed, which have a border where they lie.
    three = [falls(inside=1.1)] * 3
    assert told_resized(three, [0.4] * 2) == [None]
    assert told_resized([*three, falls(0.19, inside=0.076)], [0.4]) == []
