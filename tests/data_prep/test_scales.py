"""Units, scales and levels of a cohort's scans: single outliers are told by scan, groups without a majority by name."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from facts import facts, scaled, told
from stores import scan

from data_prep.oddities.oddity import cut_short, grouped, has_majority, of_some


def test_a_factor_in_half_of_the_scans_names_both_halves_and_blames_none():
    """Tissue of 4.0, 4.1, 4.4, 4.5 and of 5 times 4.2, 4.3, 4.6, 4.7: medians 4.25 and 22.25."""
    found = told(facts(8, **scaled([1, 1, 5, 5, 1, 1, 5, 5])))
    assert found == [
        (
            None,
            "pet falls into 2 groups of scale: 4 scans (p0_a, p1_a, p4_a, p5_a), about 5.24 times as much in 4 scans "
            "(p2_a, p3_a, p6_a, p7_a); which is right is for you to say",
            False,
        )
    ]


def test_scans_that_are_cut_short_are_told_as_that_alone():
    """Filled slices made the medians of half of the scans another: PET was said to fall into groups of scale."""
    scans = facts(8, **scaled([1, 1, 5, 5, 1, 1, 5, 5]))
    for each in (scans[at] for at in (2, 3, 6, 7)):
        each.placement["outside"]["pet"] = [0]
    assert told(scans) == [
        (f"p{at}_a", "pet does not show 1 of 2 slices whole, which are not sampled", False)
        for at in (2, 3, 6, 7)
    ]


def test_scales_by_turns_are_refused_as_no_unit():
    """1, 12, 150, 1800: each step is below what tells two units apart, the whole is far above."""
    found = told(facts(12, **scaled([1, 12, 150, 1800] * 3)))
    assert [(scan_id, refused) for scan_id, _, refused in found] == [(None, True)]
    text = found[0][1]
    assert text.startswith(
        "pet cannot be in one unit of values with itself: 3 scans (p0_a, p4_a, p8_a), median 1, about 12."
    )
    assert text.endswith("3 scans (p3_a, p7_a, p11_a), median 1800")


@pytest.mark.parametrize(
    "factor, times",
    [
        (5, ["4.08 times", "4.39 times", "4.49 times", "5 times"]),
        (1 / 5, ["1/5.44 of", "1/5.06 of", "1/4.94 of", "1/4.44 of"]),
    ],
)
def test_a_factor_in_a_third_of_the_scans_marks_these_alone(factor, times):
    """Tissue of 4.0, 4.3, 4.4 and 4.9 times the factor; the median of all is 4.9 with 5, 4.35 with 1/5."""
    found = told(facts(12, **scaled([factor if number in (0, 3, 4, 9) else 1 for number in range(12)])))
    expected = zip(("p0_a", "p3_a", "p4_a", "p9_a"), times, strict=True)
    group = ", one of 4 scans of such a scale"
    assert found == [(name, f"pet is {each} the cohort's median{group}", False) for name, each in expected]


def test_a_quarter_of_pet_in_kilobecquerel_is_told_scan_by_scan():
    """Tissue of 4.0, 4.1, ... 5.5, and of every fourth scan 2.7 times as much: SUV and kBq/ml. The median of all is
    5.05: 4.0, 4.4, 4.8 and 5.2 times 2.7 are 2.14, 2.35, 2.57 and 2.78 times that."""
    found = told(facts(16, **scaled([2.7 if number % 4 == 0 else 1 for number in range(16)])))
    times = {"p0_a": "2.14", "p4_a": "2.35", "p8_a": "2.57", "p12_a": "2.78"}
    assert [(scan_id, text) for scan_id, text, _ in found] == [
        (scan_id, f"pet is {each} times the cohort's median, one of 4 scans of such a scale")
        for scan_id, each in times.items()
    ]


@pytest.mark.parametrize("factor, ratio", [(2, "2 times"), (0.4, "1/2.5 of")])
def test_a_single_scan_of_another_scale_throughout_is_told(factor, ratio):
    """Bright tissue of 4.0 to 5.1, and of the last scan 5.2 times the factor; the upper quartile of 2.0 to 2.2; usual
    tissue of 1, and of the factor. The last differs least between the scans."""
    assert told(facts(13, **scaled([1] * 12 + [factor]))) == [
        (
            "p12_a",
            f"pet is {ratio} the others' median, in bright and in usual tissue alike, as by a factor (in SUV, a "
            "weight in pounds, another dose or decay)",
            False,
        )
    ]


@pytest.mark.parametrize("factor", [2.2, 1 / 2.2])
@pytest.mark.parametrize("changed", [(0, 6, 12, 18, 23), (1, 5, 8, 11, 17, 20)])
def test_several_scans_of_another_scale_throughout_are_all_told(factor, changed):
    """Of patients usual tissue differs by 1 / 1.15 to 1.15 times and bright tissue by twice that, so that no gap parts
    scans. The changed ones moved what they were measured by, and of some the factor was less than 1.9 for that."""
    rng = np.random.default_rng(3)
    usual, bright = (np.exp(rng.permutation(np.linspace(-most, most, 24))) for most in (0.14, 0.28))
    patients = of_tissue(list(usual))
    for number, times in enumerate(bright):
        patients[f"s{number}"]["tissue"]["last"] = 4 * times
    assert told(facts(24, **patients)) == []
    for at in changed:
        patients[f"s{at}"]["tissue"] = {
            name: value * factor for name, value in patients[f"s{at}"]["tissue"].items()
        }
    found = told(facts(24, **patients))
    assert [scan_id for scan_id, _, _ in found] == [f"p{at}_a" for at in changed]
    assert all("in bright and in usual tissue alike, as by a factor" in text for _, text, _ in found)


@pytest.mark.parametrize("which", ["median", "upper", "last"])
def test_a_single_scan_whose_bright_or_usual_tissue_alone_is_otherwise_is_not(which):
    """Bright tissue of 4.0 to 5.1 beside 10.4, which is 2.3 times the median; or usual tissue of 1 beside 2.5."""
    changed = scaled([1] * 13)
    changed["s12"]["tissue"][which] = {"last": 10.4, "upper": 4.6, "median": 2.5}[which]
    assert told(facts(13, **changed)) == []


@pytest.mark.parametrize("share", [2, 4])
def test_two_scales_that_no_gap_parts_are_told(share):
    """Patients differ so much that the largest of one group is nearly as bright as the least of the other."""
    rng = np.random.default_rng(1)
    alike = [float(np.exp(each)) for each in np.clip(rng.normal(0, 0.1, 32), -0.17, 0.17)]
    assert told(facts(32, **of_tissue(alike))) == []
    factors = [each * (1.5 if at % 4 < 4 // share else 1) for at, each in enumerate(alike)]
    (found,) = told(facts(32, **of_tissue(factors)))
    scan_id, text, refused = found
    assert scan_id is None and not refused
    assert text.startswith(f"pet falls into 2 groups of scale: {32 - 32 // share} scans (")
    middles = [
        np.exp(np.median(np.log([each for each in factors if (each > 1.22) == above]))) for above in (0, 1)
    ]
    assert f", about {middles[1] / middles[0]:.3g} times as much in {32 // share} scans (" in text


def of_tissue(factors: list[float]) -> dict[str, dict[str, Any]]:
    """Bright tissue that differs as usual tissue does, no more."""
    changed = scaled(factors)
    for number, factor in enumerate(factors):
        changed[f"s{number}"]["tissue"] |= {"upper": 2 * factor, "last": 4 * factor}
    return changed


def test_a_single_scan_of_another_scale_is_not_told_where_patients_differ_as_much():
    """Scales of 1.2 to the power of -6 to 6: the last is 3 times the median, and half of them within 1.7 times."""
    rng = np.random.default_rng(0)
    assert told(facts(13, **scaled(list(rng.permutation(1.2 ** np.arange(-6.0, 7.0)))))) == []


def test_levels_of_two_kinds_are_named():
    found = told(facts(8, **scaled([100] * 8, lambda number: 1024.0 * (number % 4 < 2))))
    assert [text for _, text, _ in found] == [
        "pet falls into 2 groups of level: it begins at about 0 in 4 scans (p2_a, p3_a, p6_a, p7_a) and at about 1024 "
        "in 4 scans (p0_a, p1_a, p4_a, p5_a)"
    ]


@pytest.mark.parametrize("lowest", [-0.01, -0.3, -0.9])
def test_a_scan_that_goes_below_0_where_others_begin_at_it_is_told_at_any_size(lowest):
    """Bright tissue of 4 and more: the least level that was told before was a tenth of it."""
    found = told(facts(8, **scaled([1] * 8, lambda number: lowest if number == 5 else 0.0)))
    assert found == [
        (
            "p5_a",
            f"pet goes below 0, down to {lowest}, where it begins at exactly 0 in 7 others: was a number subtracted "
            "(scl_inter), or was it filtered or resliced by splines?",
            False,
        )
    ]


def test_half_of_the_scans_below_0_are_told_in_one_sentence():
    """Some of them by more than a tenth of the tissue's brightness: these alone were told, as beginning elsewhere. One
    is cut short."""
    scans = facts(8, **scaled([1] * 8, lambda number: -0.15 * number * (number % 2)))
    scans[1].placement["outside"]["pet"] = [0]
    (scan_id, text, _), (cut, _, _) = told(scans)
    assert scan_id is None and cut == "p1_a"
    assert text.startswith(
        "in 4 scans (p1_a, p3_a, p5_a, p7_a), 4 of 4 with lesion, 0 of 4 without, pet goes below 0"
    )
    assert ", down to -1.05, where it begins at exactly 0 in 4 others: " in text


def test_a_lowest_value_that_is_told_to_stand_for_nothing_is_not_told_again_as_below_0():
    scans = facts(8, **scaled([1] * 8))
    padding = {"value": -1.0, "voxels": 9, "filled": False, "mixed": 0}
    scans[5].placement["values"]["pet"] |= {"low": -1.0, "padding": padding}
    assert not any("below 0" in text for _, text, _ in told(scans))


def test_values_below_0_are_usual_where_few_scans_begin_at_0():
    assert told(facts(8, **scaled([1] * 8, lambda number: 0.0 if number < 3 else -0.01 * number))) == []


def test_arbitrary_units_that_vary_without_a_gap_are_not_odd():
    """1 to 2.9, in steps of 10 %: no scan stands apart."""
    rng = np.random.default_rng(0)
    assert told(facts(12, **scaled(list(rng.permutation(1.1 ** np.arange(12)))))) == []


def test_groups_need_gaps_that_are_wide_beside_their_spread():
    assert grouped([0, 5, 0.1, 5.1, 0.2, 5.2], 1) == [[0, 2, 4], [1, 3, 5]]
    assert grouped([0, 1.1, 2.2, 3.3, 4.4, 5.5], 1) == [[at] for at in range(6)]
    assert grouped([0, 0.9, 1.8, 2.7, 3.8, 4.7, 5.6], 1) == [[0, 1, 2, 3, 4, 5, 6]]
    assert grouped([0, 9, 0, 9], 1) == [[0, 2, 1, 3]]
    # The spread is 0.5, and a gap of three times that is wide.
    assert grouped([0, 1, 0, 1, 2.45, 3.45, 2.45, 3.45], 1.1) == [[0, 2, 1, 3, 4, 6, 5, 7]]
    assert grouped([0, 1, 0, 1, 2.55, 3.55, 2.55, 3.55], 1.1) == [[0, 2, 1, 3], [4, 6, 5, 7]]
    assert grouped([0, 1, 0, 1, 2.45, 3.45, 9, 10], 1.1) == [[0, 2, 1, 3, 4, 5, 6, 7]], "so is only one"
    assert grouped([0, 1, 0, 1, 0], 1) == [[0, 2, 4], [1, 3]]


def test_six_tenths_of_the_scans_are_most_and_more_than_a_tenth_of_the_slices_are_cut_off():
    assert has_majority([[1, 2, 3], [4, 5]]) and not has_majority([[1, 2, 3, 4], [5, 6, 7]])
    for outside, cut in (([0], False), ([0, 9], True)):
        of = replace(scan("p0", (0,) * 10), placement={"outside": {"pet": outside, "mri": []}})
        assert cut_short(of) == cut_short(of, "pet") == cut and not cut_short(of, "mri")


def test_a_sentence_on_some_scans_names_them_and_one_on_all_none():
    scans = facts(3)
    (some,), (all_,) = (
        of_some(scans, scans[:number], "x", files=("pet",), shown_in="pet") for number in (2, 3)
    )
    assert (some.among, all_.among) == (("p0_a", "p1_a"), ())
    assert some.shown == (("p0_a", "pet"), ("p1_a", "pet"))
