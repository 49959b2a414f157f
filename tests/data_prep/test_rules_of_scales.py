"""How far the scales and levels of scans must lie apart for a sentence, by hand, on both sides of each limit."""

from typing import Any

import numpy as np
from facts import facts, told

# Three of eight lie to either side, so that the robust deviation is 1.4826 times how far they do.
SIDES = (-1, -1, -1, 0, 0, 1, 1, 1)
FACTOR, HALVES, LEVELS = "as by a factor", "2 groups of scale", "2 groups of level"
TOGETHER, ELSEWHERE, UNIT, BELOW = "of such a scale", "begins elsewhere", "one unit", "goes below 0"
ALONE = "times the cohort's median"
WORDS = (FACTOR, HALVES, LEVELS, TOGETHER, ELSEWHERE, UNIT, BELOW, ALONE)


def values(factor: float = 1.0, level: float = 0.0, **changed: float) -> dict[str, Any]:
    """Values of a scan that begin at a level; its tissue lies 1, 2 and 4 times a factor above it, but for what is
    changed, as a multiple of that."""
    tissue = {"median": 1.0, "upper": 2.0, "last": 4.0, "high": 5.0, "grain": 0.1}
    tissue = {name: level + factor * each * changed.get(name, 1.0) for name, each in tissue.items()}
    ranges = {"low": 0.0, "first": 0.0, "median": 1.0, "last": 5.0, "high": 9.0}
    return {**{name: level + factor * each for name, each in ranges.items()}, "tissue": tissue}


def kinds(*scans: dict[str, Any]) -> list[str]:
    """What is said of PET of such values, in short."""
    changed = {f"s{at}": each for at, each in enumerate(scans)}
    found = []
    for scan_id, text, _ in told(facts(len(scans), **changed)):
        words = [word for word in WORDS if word in text]
        if "separates" not in text:
            found.append(f"{scan_id}: {words[0] if words else text}")
    return found


def test_one_scan_is_of_another_scale_by_1_9_times_throughout_or_3_times_in_its_brightest_tissue():
    usual = [values()] * 8
    for factor in (1.91, 1 / 1.91):
        assert kinds(values(factor), *usual) == [f"p0_a: {FACTOR}"]
    assert kinds(values(1.89), *usual) == kinds(values(1 / 1.89), *usual) == []
    for name in ("upper", "last"):
        assert kinds(values(2, **{name: 0.551}), *usual) == [f"p0_a: {FACTOR}"], "1.1 times by each"
        assert kinds(values(2, **{name: 0.549}), *usual) == []
    assert kinds(values(last=3.01), *usual) == [f"p0_a: {ALONE}"] and kinds(values(last=2.99), *usual) == []
    # Halfway to two that are found, 3 ** 0.5, another one is nearer to these.
    for factor, found in ((1.74, True), (1.72, False)):
        assert (f"p0_a: {FACTOR}" in kinds(values(factor), *[values(3)] * 2, *usual)) == found
    assert f"p0_a: {FACTOR}" not in kinds(values(1.74), values(3), *usual)
    # Four robust deviations of 1.4826 times 0.12 are 0.712.
    various = [values(np.exp(0.12 * side)) for side in SIDES]
    assert kinds(values(np.exp(0.72)), *various) == [f"p0_a: {FACTOR}"]
    assert kinds(values(np.exp(0.7)), *various) == []


def test_several_scans_are_of_another_scale_by_1_6_times_and_half_of_them_by_2_times():
    assert kinds(*[values(1.61)] * 2, *[values()] * 6) == [f"p0_a: {TOGETHER}", f"p1_a: {TOGETHER}"]
    assert kinds(*[values(1.59)] * 2, *[values()] * 6) == []
    # Of 12 eight are most, and seven are not.
    assert kinds(*[values(1.95)] * 4, *[values()] * 8) == [f"p{at}_a: {TOGETHER}" for at in range(4)]
    assert kinds(*[values(1.95)] * 5, *[values()] * 7) == []
    assert kinds(*[values(2.01)] * 4, *[values()] * 4) == [f"None: {HALVES}"]
    assert kinds(*[values(1.99)] * 4, *[values()] * 4) == []


def test_of_16_scans_a_fifth_or_more_are_of_another_scale_by_1_25_times():
    """Where each of both lies 0.093 or 0.097 beside its middle, and these 0.405 apart, 0.826 or 0.814 of the variance
    lies between them, of which 0.82 are asked. Of 25 scans a fifth are five: the five largest, with four of another
    scale, hold 0.76."""
    for others, number in (([values(1.26)] * 8, 8), ([values(1.5)] * 4, 12), ([values(1.5)] * 5, 20)):
        assert kinds(*others, *[values()] * number) == [f"None: {HALVES}"]
    for others, number in (([values(1.24)] * 8, 8), ([values(1.5)] * 7, 8), ([values(1.5)] * 4, 21)):
        assert kinds(*others, *[values()] * number) == []
    assert kinds(*[values(1.5, upper=1 / 1.5)] * 8, *[values()] * 8) == []
    for apart, found in ((0.093, [f"None: {HALVES}"]), (0.097, [])):
        logs = [middle + side * apart for middle in (0, np.log(1.5)) for side in (-1, 1)]
        assert kinds(*[values(np.exp(log)) for log in logs * 4]) == found


def test_another_unit_is_twenty_times_the_largest_range_and_ten_times_that_of_most_voxels():
    for last, high, found in (
        (99.0, 181.0, True),
        (50.1, 181.0, True),
        (99.0, 179.0, False),
        (49.9, 181.0, False),
    ):
        scans = [values() | {"last": last, "high": high}, *[values()] * 4]
        assert (f"p0_a: {UNIT}" in kinds(*scans)) == found


def test_levels_differ_by_three_tenths_of_the_brightness_in_groups_and_by_a_tenth_in_one_scan():
    usual = [values(level=10.0)] * 4
    assert kinds(*[values(level=11.22)] * 4, *usual) == [f"None: {LEVELS}"]
    assert kinds(*[values(level=11.18)] * 4, *usual) == []
    assert kinds(values(level=10.41), *usual) == kinds(values(level=9.59), *usual) == [f"p0_a: {ELSEWHERE}"]
    assert kinds(values(level=10.39), *usual) == kinds(values(level=10.41), *usual[1:]) == []
    # Eight robust deviations of 1.4826 times 0.02 are 0.237.
    various = [values(level=10 + 4 * 0.02 * side) for side in SIDES]
    assert kinds(values(level=10 + 4 * 0.24), *various) == [f"p0_a: {ELSEWHERE}"]
    assert kinds(values(level=10 + 4 * 0.235), *various) == []


def test_values_below_0_are_odd_where_four_of_ten_scans_begin_at_0():
    below, above = values(level=-0.01), values(level=0.01)
    assert kinds(below, *[above] * 5, *[values()] * 4) == [f"p0_a: {BELOW}"]
    assert kinds(below, *[above] * 6, *[values()] * 3) == []
    assert kinds(below, *[values()] * 4) == [f"p0_a: {BELOW}"] and kinds(below, *[values()] * 3) == []


def test_what_is_told_of_units_and_groups_is_not_told_again():
    assert kinds(*[values(5000)] * 3, *[values()] * 4) == [f"None: {UNIT}"]
    assert kinds(values(5000), *[values()] * 4) == [f"p0_a: {UNIT}"]
    assert kinds(values(5000), *[values()] * 4, *[values(2.5)] * 4) == [f"p0_a: {UNIT}"]
    assert kinds(values(1.91, level=-0.01), *[values()] * 8) == [f"p0_a: {FACTOR}"]
    below = values(2.01, level=-0.01)
    assert kinds(below, *[values(2.01)] * 3, *[values()] * 4) == [f"None: {HALVES}"]
