"""How many patients and repeats a study needs, by the parts that a pilot found."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from simulated_pilots import PATIENTS, study, true_pilot

from hnscc.scores.crossed import mean_difference
from hnscc.scores.forecasts import Design, design_of, designs_at_limits, power, smallest_seen
from hnscc.scores.needed import patients_needed, repeats_needed, smallest_study


def test_more_patients_may_see_less_with_two_repeats_and_the_least_are_found_all_the_same():
    """With 2 repeats that differ, many patients leave them all that varies: the study then hardly knows its spread."""
    pilot = true_pilot(20, 2)
    design = design_of(pilot)
    seen = {n: smallest_seen(design, n, 2) for n in range(4, 60)}
    aim = 1.05 * min(seen.values())
    needed = patients_needed(pilot, aim, repeats=2).value
    assert smallest_seen(design, needed, 2) <= aim < smallest_seen(design, needed - 1, 2)
    assert needed == min(n for n, each in seen.items() if each <= aim)
    assert smallest_seen(design, 10_000, 2) > aim


def test_what_a_pilot_sees_takes_no_more_patients_than_it_has():
    """14 patients see most by 2 and 3 repeats, fewer and more see less, and between 12 and 15 no number was tried."""
    pilot = true_pilot(14, 2)
    seen = {n: smallest_seen(design_of(pilot), n, (2, 3)) for n in range(12, 16)}
    assert min(seen, key=seen.get) == 14
    assert patients_needed(pilot, seen[14] + 1e-8, (2, 3)).value == 14


def test_numbers_needed_are_the_least_that_suffice():
    pilot = study(np.random.default_rng(4), 60, 20)
    design = design_of(pilot)
    needed = patients_needed(pilot, 0.08, repeats=20)
    assert smallest_seen(design, needed.value, 20) <= 0.08 < smallest_seen(design, needed.value - 1, 20)
    assert needed.low <= needed.value <= needed.high
    repeats = repeats_needed(pilot, 0.08, patients=60)
    assert smallest_seen(design, 60, repeats.value) <= 0.08 < smallest_seen(design, 60, repeats.value - 1)


@pytest.mark.parametrize(
    ("of_both", "paired", "effective", "of_patients", "of_repeats"),
    [((5, 5), False, None, 9, 8), ((6, 6), True, None, 9, 5), ((3, 9), False, 4.0, 4, 2 * 3.2)],
)
def test_the_range_of_a_pilot_s_parts_is_that_of_chi_square(
    of_both, paired, effective, of_patients, of_repeats
):
    """Its middle 80 %. Of 3 and 9 repeats, degrees are twice the harmonic mean of 2 and 8."""
    pilot = replace(true_pilot(10, 5), repeats=of_both, effective_patients=effective)
    design = Design(0.02, 0.008, 0.01, paired, 0.4 if effective else 1.0)
    for tail, found in zip((0.9, 0.1), designs_at_limits(pilot, design), strict=True):
        patients, repeats, joint = (
            degrees / scipy.stats.chi2.ppf(tail, degrees)
            for degrees in (of_patients, of_repeats, of_patients * of_repeats)
        )
        assert (found.patients, found.repeats, found.joint) == pytest.approx(
            (0.02 * patients, 0.008 * repeats, 0.01 * joint)
        )
        assert (found.paired, found.weight) == (paired, design.weight)


def test_what_so_many_just_see_takes_so_many():
    """Rounding makes no more of them, and the most that are tried are among them."""
    pilot = true_pilot(20, 5)
    for patients, repeats in ((4, 5), (23, 8), (10_000, 5)):
        seen = smallest_seen(design_of(pilot), patients, repeats)
        assert patients_needed(pilot, seen, repeats).value == patients
    assert repeats_needed(pilot, smallest_seen(design_of(pilot), 20, 1_000), 20).value == 1_000
    seen = smallest_seen(design_of(pilot), 20, 5, 0.5)  # the least chance that is planned for
    assert patients_needed(pilot, seen, 5, 0.5).value == 20


@pytest.mark.parametrize("patients", [2, 3])
def test_a_pilot_without_p_itself_plans_a_study_that_has_one(patients):
    assert patients_needed(true_pilot(patients, 5), 2.0, repeats=5).value == 4


@pytest.mark.quick(2)
@pytest.mark.parametrize("difference", [0.3, 0.15, 0.08])
def test_the_smallest_study_is_that_of_all_sizes_tried_one_by_one(difference):
    pilot = study(np.random.default_rng(2), 10, 20)
    design = design_of(pilot)
    repeats, patients = smallest_study(pilot, difference)
    suffices = [
        (p * r, r)
        for r in range(2, 41)
        for p in range(4, 151)
        if p * r <= repeats * patients.value and power(design, difference, p, r) >= 0.8
    ]
    least = min(suffices)
    assert (repeats * patients.value, repeats) in suffices
    assert repeats * patients.value <= 1.1 * least[0], "steps of a quarter lose little"
    assert repeats > 8 or (repeats * patients.value, repeats) == min(
        each for each in suffices if each[1] <= 8
    )


@pytest.mark.slow
def test_the_smallest_study_finds_the_difference_as_often_as_it_is_said():
    """Where neither more patients nor more repeats alone would; simulated."""
    pilot = true_pilot(6, 3)
    assert (
        patients_needed(pilot, 0.07, repeats=3).value is repeats_needed(pilot, 0.07, patients=6).value is None
    )
    repeats, patients = smallest_study(pilot, 0.07)
    found = [study(np.random.default_rng([8, n]), patients.value, repeats, 0.07).p < 0.05 for n in range(600)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)


def test_a_pilot_that_tells_nothing_has_no_smallest_study():
    assert smallest_study(mean_difference([[0.5, 0.6]], [[0.4, 0.5]]), 0.05) is None


@pytest.mark.parametrize(("paired", "fewest"), [(False, 2), (True, 5)])
def test_no_fewer_are_named_than_a_study_is_tested_with(paired, fewest):
    """A difference of 0.9 is seen with the fewest: 4 patients with lesion have a p, 5 pairs are compared."""
    a, b = (np.random.default_rng(n).normal(0.5, 0.01, (6, 8)) for n in range(2))
    pilot = mean_difference(a, b, paired=paired)
    assert repeats_needed(pilot, 0.9, patients=8, paired=paired).value == fewest
    assert patients_needed(pilot, 0.9, repeats=6, paired=paired).value == 4


def test_what_more_repeats_cannot_do_is_said():
    """Repeats leave the spread of 10 patients: 0.15 / sqrt(10) alone takes a difference of over 0.13."""
    floor = (scipy.stats.t.ppf(0.975, 9) + scipy.stats.t.ppf(0.8, 9)) * PATIENTS / math.sqrt(10)
    assert floor > 0.13
    pilot = study(np.random.default_rng(2), 10, 20)
    found = repeats_needed(pilot, 0.02, patients=10)
    assert found.value is None and "not even 1000 suffice" in found.reason


@pytest.mark.parametrize(
    ("forecast", "told"),
    [
        (lambda pilot: repeats_needed(pilot, 0.3, patients=1), "at least 4 patients .*, not 1 and 2"),
        (lambda pilot: patients_needed(pilot, 0.3, repeats=1), "2 repeats of each variant, not 4 and 1"),
        (lambda pilot: power(design_of(pilot), 0.3, 1, 5), "not 1 and 5"),
        (lambda pilot: smallest_seen(design_of(pilot), 5, (4, 1)), "not 5 and 1"),
        (lambda pilot: repeats_needed(pilot, 0.3, 8, 1.2), "from 0.5 to below 1, not 1.2"),
        (lambda pilot: patients_needed(pilot, 0.3, 5, math.nan), "from 0.5 to below 1, not nan"),
        (lambda pilot: smallest_study(pilot, 0.3, 0.01), "from 0.5 to below 1, not 0.01"),
        (lambda pilot: smallest_seen(design_of(pilot), 8, 5, 1.0), "from 0.5 to below 1, not 1.0"),
        (lambda pilot: repeats_needed(pilot, 0.0, 8), "a number other than 0, not 0.0"),
        (lambda pilot: smallest_study(pilot, math.nan), "a number other than 0, not nan"),
    ],
)
def test_what_no_study_can_be_is_refused(forecast, told):
    """A study of one patient was a division by zero, a chance above 1 one that "not even 10000" would reach."""
    with pytest.raises(ValueError, match=f"{told}; give "):
        forecast(true_pilot(20, 5))


@pytest.mark.parametrize(
    ("pilot", "reason"),
    [
        (mean_difference([[0.5, 0.6]], [[0.4, 0.5]]), "at least 2 of both"),
        (mean_difference(np.full((3, 4), 0.5), np.full((3, 4), 0.5)), "nothing varied"),
    ],
)
def test_a_pilot_that_tells_nothing_says_why(pilot, reason):
    found = patients_needed(pilot, 0.05, repeats=10)
    assert found.value is None and reason in found.reason
