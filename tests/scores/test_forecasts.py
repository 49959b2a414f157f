"""What is forecast of the next study, by hand and against simulated studies."""

import math

import numpy as np
import pytest
import scipy.stats
from two_way import limit_of, variance_of

from hnscc.scores.crossed import Estimate, mean_difference, pooled_difference
from hnscc.scores.forecasts import (
    Design,
    design_of,
    designs_at_limits,
    patients_needed,
    power,
    repeats_needed,
    smallest_seen,
    smallest_study,
)

# Standard deviations of a difference: 0.15 from patient to patient, 0.05 by training of each variant, 0.1 together.
PATIENTS, TRAINING, TOGETHER = 0.15, 0.05, 0.1
TRUE = Design(PATIENTS**2, 2 * TRAINING**2, 2 * TOGETHER**2)


def study(draw, patients, repeats, difference=0.0, training=TRAINING):
    own = draw.normal(0, PATIENTS, patients)
    a, b = (
        draw.normal(0, training, (repeats, 1)) + draw.normal(0, TOGETHER, (repeats, patients))
        for _ in range(2)
    )
    return mean_difference(a + own + difference, b)


def true_pilot(patients, repeats):
    """A pilot that found the true parts."""
    joint = TRUE.joint / (patients * repeats)
    return Estimate(
        0.1,
        patients=patients,
        repeats=(repeats, repeats),
        patient_variance=TRUE.patients / patients + joint,
        repeat_variance=((TRUE.repeats / repeats + joint) / 2,) * 2,
        joint_variance=joint,
    )


def test_parts_of_a_pilot_by_hand():
    pilot = Estimate(
        0.1,
        patients=10,
        repeats=(5, 5),
        patient_variance=0.003,
        repeat_variance=(0.001, 0.0015),
        joint_variance=0.0005,
    )
    design = design_of(pilot)
    assert design.patients == pytest.approx(10 * 0.0025)
    assert design.repeats == pytest.approx(5 * 0.002)
    assert design.joint == pytest.approx(50 * 0.0005)
    assert design.variance(10, 5) == pytest.approx(0.0025 + 0.002 + 0.0005)
    assert design.variance(20, 10) == pytest.approx(0.00125 + 0.001 + 0.000125)


@pytest.mark.parametrize(("patients", "repeats"), [(10, 5), (5, 3), (10, 50)])
@pytest.mark.parametrize(("effective", "weight"), [(4.0, 0.4), (None, 1.0), (12.0, 1.0)])
def test_forecasts_are_those_of_studies_drawn_one_by_one(effective, weight, patients, repeats):
    """Cohorts differ by their few large lesions, the parts that a study finds by chance, and a difference that is large
    by chance comes with a large variance (correlation 0.3)."""
    pilot = Estimate(
        0.1,
        patients=10,
        repeats=(5, 5),
        effective_patients=effective,
        patient_variance=0.003,
        repeat_variance=(0.001, 0.0015),
        joint_variance=0.0005,
    )
    design = design_of(pilot)
    assert design.weight == weight
    draw = np.random.default_rng(1)
    joint, known = 0.025 / (patients * repeats), min(patients - 1.0, patients * weight)
    of_cohort = np.full(6_000, 0.025 / patients + joint)
    if weight < 1:
        degrees = 3 / (1 - weight) ** 2
        of_cohort *= draw.chisquare(degrees, 6_000) / degrees
    own = of_cohort * draw.chisquare(known, 6_000) / known
    of_one = (0.01 / repeats + joint) / 2
    brought = of_one * draw.chisquare(repeats - 1, (6_000, 2)) / (repeats - 1)
    found = np.array([variance_of(*each, joint) for each in zip(own, brought, strict=True)])
    of_parts = zip(own, brought, strict=True)
    reach = np.sqrt(found) * [limit_of(*each, patients, [repeats] * 2) for each in of_parts]
    true = of_cohort + 0.01 / repeats
    wide = scipy.stats.zscore(np.log(found / true))
    away = scipy.stats.norm(0.15 + 0.3 * np.sqrt(true) * wide, np.sqrt((1 - 0.3**2) * true))
    expected = np.mean(away.sf(reach) + away.cdf(-reach))
    assert power(design, 0.15, patients, repeats) == pytest.approx(expected, abs=0.015)


def test_where_lesions_are_unlike_in_size_as_much_is_found_as_forecast_within_7_points():
    """Who is tested then decides how far a difference scatters; the forecast is by the mean parts of 400 pilots."""
    pilots, tries = (
        [_uneven(np.random.default_rng([11, first, n])) for n in range(number)]
        for first, number in enumerate((400, 2_000))
    )
    parts = [design_of(each) for each in pilots]
    patients, repeats, joint, weight = (
        float(np.mean([getattr(each, name) for each in parts]))
        for name in ("patients", "repeats", "joint", "weight")
    )
    mean = Design(patients, repeats, joint, weight=weight)
    found = np.mean([each.p < 0.05 for each in tries])
    true = float(np.mean([each.value for each in tries]))
    assert found == pytest.approx(power(mean, true, 20, 4), abs=0.07)


def _uneven(draw):
    """20 patients whose lesions are unlike in size, and 4 repeats of both variants, of which a is better by 0.07."""
    truth = np.maximum(20, np.round(1000 * np.exp(draw.normal(size=20))))
    own = draw.normal(0.035, 0.05, 20)
    a, b = (
        np.clip(0.6 + side * own + draw.normal(0, 0.002, (4, 1)) + draw.normal(0, 0.02, (4, 20)), 0, 1)
        for side in (1, -1)
    )
    size = np.tile(truth, (4, 1))
    return pooled_difference(*((np.round(dice * truth), size, size) for dice in (a, b)))


@pytest.mark.parametrize("uneven", [0.0, 1.3], ids=["alike", "a_few_large"])
def test_the_range_holds_what_most_pilots_should_have_found(uneven):
    """The middle 80 %, also where a few large lesions weigh most and a pilot knows the patients' part the less."""
    held = []
    found = [_pooled_pilot(np.random.default_rng([7, n]), uneven) for n in range(200)]
    designs = [design_of(each) for each in found]
    # A patient's own variance, without the weights, which differ from pilot to pilot.
    own = [each.patients * each.weight for each in designs]
    for pilot, design in zip(found, designs, strict=True):
        low, high = (each.patients * design.weight for each in designs_at_limits(pilot, design))
        held.append(low <= np.mean(own) <= high)
    assert np.mean(held) == pytest.approx(0.8, abs=0.08)


def _pooled_pilot(draw, uneven):
    """12 patients whose lesions are the more unlike in size the larger `uneven`, 6 repeats of both variants."""
    truth = np.maximum(20, np.round(1000 * np.exp(uneven * draw.normal(size=12))))
    own = draw.normal(0, 0.12, 12)
    a, b = (
        np.clip(mean + side * own + draw.normal(0, 0.01, (6, 1)) + draw.normal(0, 0.03, (6, 12)), 0.02, 0.98)
        for mean, side in ((0.7, 1), (0.6, -1))
    )
    size = np.tile(truth, (6, 1))
    return pooled_difference(*((np.round(dice * truth), size, size) for dice in (a, b)))


def test_repeats_of_a_variant_count_as_many_as_they_are():
    """Of a variant with 2 repeats and one with 50: what one repeat of each brings, not the fewer of both for both."""
    pilot = Estimate(
        0.1,
        patients=10,
        repeats=(2, 50),
        patient_variance=0.003,
        repeat_variance=(0.001, 0.0002),
        joint_variance=0.0005,
    )
    design = design_of(pilot)
    # One repeat of both together: 0.0005 = joint / 10 x (1/2 + 1/50) / 2.
    joint = 0.0005 * 10 * 2 / (1 / 2 + 1 / 50)
    assert design.joint == pytest.approx(joint)
    assert design.repeats == pytest.approx(2 * 0.001 + 50 * 0.0002 - joint / 10)


@pytest.mark.parametrize("repeats", [(2, 20), (20, 2), (6, 6)])
def test_parts_of_many_pilots_are_the_true_ones_whoever_has_more_repeats(repeats):
    found = []
    for n in range(600):
        draw = np.random.default_rng([5, n])
        own = draw.normal(0, PATIENTS, 8)
        a, b = (draw.normal(0, TRAINING, (each, 1)) + draw.normal(0, TOGETHER, (each, 8)) for each in repeats)
        found.append(design_of(mean_difference(a + own, b)))
    assert np.mean([each.repeats for each in found]) == pytest.approx(TRUE.repeats, rel=0.2)
    assert np.mean([each.joint for each in found]) == pytest.approx(TRUE.joint, rel=0.1)


def test_the_smallest_difference_seen_is_found_with_that_chance():
    seen = smallest_seen(TRUE, 30, 10)
    assert power(TRUE, seen, 30, 10) == pytest.approx(0.8, abs=1e-4)
    assert power(TRUE, 0.0, 30, 10) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(("patients", "repeats"), [(10, 5), (30, 5)])
def test_forecasts_are_what_simulated_studies_find(patients, repeats):
    found = [
        study(np.random.default_rng([patients, repeats, n]), patients, repeats, 0.1).p < 0.05
        for n in range(400)
    ]
    assert np.mean(found) == pytest.approx(power(TRUE, 0.1, patients, repeats), abs=0.07)


@pytest.mark.parametrize(("patients", "repeats"), [(20, 2), (20, 3), (20, 4)])
def test_with_few_repeats_the_planned_study_is_not_taken_to_know_its_spread(patients, repeats):
    """Trainings differ most; by the limits of the true parts 80 of 100 would be promised."""
    true = Design(PATIENTS**2, 2 * 0.2**2, 2 * TOGETHER**2)
    joint = true.joint / (patients * repeats)
    own, brought = true.patients / patients + joint, true.repeats / repeats + joint
    limits = [limit_of(own, [brought / 2] * 2, patients, [repeats] * 2, each) for each in (0.05, 0.4)]
    promised = sum(limits) * math.sqrt(true.variance(patients, repeats))
    found = np.mean(
        [
            study(np.random.default_rng([3, repeats, n]), patients, repeats, promised, training=0.2).p < 0.05
            for n in range(600)
        ]
    )
    assert found == pytest.approx(power(true, promised, patients, repeats), abs=0.05)
    assert found < {2: 0.6, 3: 0.75, 4: 0.8}[repeats]
    seen = smallest_seen(true, patients, repeats)
    assert seen > promised and power(true, seen, patients, repeats) == pytest.approx(0.8, abs=1e-3)


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


def test_numbers_needed_are_the_least_that_suffice():
    pilot = study(np.random.default_rng(4), 60, 20)
    design = design_of(pilot)
    needed = patients_needed(pilot, 0.08, repeats=20)
    assert smallest_seen(design, needed.value, 20) <= 0.08 < smallest_seen(design, needed.value - 1, 20)
    assert needed.low <= needed.value <= needed.high
    repeats = repeats_needed(pilot, 0.08, patients=60)
    assert smallest_seen(design, 60, repeats.value) <= 0.08 < smallest_seen(design, 60, repeats.value - 1)


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
        (lambda pilot: repeats_needed(pilot, 0.3, patients=1), "at least 2 patients .*, not 1 and 2"),
        (lambda pilot: patients_needed(pilot, 0.3, repeats=1), "2 repeats of each variant, not 4 and 1"),
        (lambda pilot: power(design_of(pilot), 0.3, 1, 5), "not 1 and 5"),
        (lambda pilot: smallest_seen(design_of(pilot), 5, 1), "not 5 and 1"),
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
