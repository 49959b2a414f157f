"""What is forecast of the next study, by hand and against simulated studies."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from simulated_pilots import PATIENTS, TOGETHER, TRAINING, TRUE, study
from two_way import limit_of, variance_of

from hnscc.scores.crossed import Estimate, mean_difference, mean_of_patients, pooled_difference
from hnscc.scores.forecasts import (
    Design,
    design_of,
    designs_at_limits,
    power,
    smallest_seen,
    smallest_seen_by,
)

PILOT = Estimate(
    0.1,
    patients=10,
    repeats=(5, 5),
    patient_variance=0.003,
    repeat_variance=(0.001, 0.0015),
    joint_variance=0.0005,
)


def test_parts_of_a_pilot_by_hand():
    design = design_of(PILOT)
    assert design.patients == pytest.approx(10 * 0.0025)
    assert design.repeats == pytest.approx(5 * 0.002)
    assert design.joint == pytest.approx(50 * 0.0005)
    assert design.variance(10, 5) == pytest.approx(0.0025 + 0.002 + 0.0005)
    assert design.variance(20, 10) == pytest.approx(0.00125 + 0.001 + 0.000125)
    # Pairs of repeats have one variance of both together.
    paired = design_of(replace(PILOT, repeat_variance=(0.0025,)), paired=True)
    assert paired == replace(design, paired=True)
    # Of patients who weigh alike one degree of freedom goes to their mean; of others their weight is left, but not less
    # than 1.
    assert [design.known(n) for n in (4, 10)] == [3, 9]
    uneven = design_of(replace(PILOT, effective_patients=2.0))
    assert [uneven.known(n) for n in (4, 10, 30)] == [1, 2, pytest.approx(6)]
    assert design_of(replace(PILOT, effective_patients=12.0)).weight == 1


@pytest.mark.quick(1)
@pytest.mark.parametrize(("patients", "repeats"), [(10, 5), (5, 3), (10, 50)])
@pytest.mark.parametrize(("effective", "weight"), [(4.0, 0.4), (None, 1.0), (12.0, 1.0)])
def test_forecasts_are_those_of_studies_simulated_one_by_one(effective, weight, patients, repeats):
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
    rng = np.random.default_rng(1)
    joint, known = 0.025 / (patients * repeats), min(patients - 1.0, patients * weight)
    of_cohort = np.full(6_000, 0.025 / patients + joint)
    if weight < 1:
        degrees = 3 / (1 - weight) ** 2
        of_cohort *= rng.chisquare(degrees, 6_000) / degrees
    own = of_cohort * rng.chisquare(known, 6_000) / known
    of_one = (0.01 / repeats + joint) / 2
    brought = of_one * rng.chisquare(repeats - 1, (6_000, 2)) / (repeats - 1)
    found = np.array([variance_of(*each, joint) for each in zip(own, brought, strict=True)])
    of_parts = zip(own, brought, strict=True)
    reach = np.sqrt(found) * [limit_of(*each, patients, [repeats] * 2) for each in of_parts]
    true = of_cohort + 0.01 / repeats
    wide = scipy.stats.zscore(np.log(found / true))
    away = scipy.stats.norm(0.15 + 0.3 * np.sqrt(true) * wide, np.sqrt((1 - 0.3**2) * true))
    expected = np.mean(away.sf(reach) + away.cdf(-reach))
    assert power(design, 0.15, patients, repeats) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(("of_both", "weight"), [((5, 5), 1.0), ((3, 6), 0.4)])
def test_a_forecast_is_the_mean_over_studies_that_are_equally_likely(of_both, weight):
    """4 cohorts, where patients weigh unlike, 8 estimates of the patients' part and 12 of each variant's repeats, one
    by one: each is the mean of an equal part of the chi-square distribution."""
    design, mean = Design(0.02, 0.008, 0.01, weight=weight), 2 / sum(1 / each for each in of_both)
    cohorts = _parts(4, 3 / (1 - weight) ** 2) if weight < 1 else [1.0]
    estimates = _parts(8, min(9, 10 * weight)), *(_parts(12, each - 1) for each in of_both)
    joint = 0.01 / (10 * mean)
    of_patients, of_one = 0.02 / 10 + joint, (0.008 + 0.01 / 10) / 2
    found, reach, true = [], [], []
    for cohort, own, *brought in itertools.product(cohorts, *estimates):
        repeats = [of_one / each * part for each, part in zip(of_both, brought, strict=True)]
        parts = of_patients * cohort * own, repeats
        found.append(variance_of(*parts, joint))
        reach.append(math.sqrt(found[-1]) * limit_of(*parts, 10, of_both))
        true.append(of_patients * cohort + 0.008 / mean)
    away = 0.15 + 0.3 * np.sqrt(true) * scipy.stats.zscore(np.log(np.divide(found, true)))
    study = scipy.stats.norm(away, np.sqrt((1 - 0.3**2) * np.array(true)))
    expected = np.mean(study.sf(reach) + study.cdf(np.negative(reach)))
    assert power(design, 0.15, 10, of_both) == pytest.approx(expected, rel=1e-6)


def _parts(number, degrees):
    """Means of so many equally likely parts of a chi-square value over its degrees, by numerical integration."""
    chi2 = scipy.stats.chi2(degrees)
    edges = chi2.ppf(np.linspace(0, 1, number + 1))
    return [
        chi2.expect(lb=low, ub=high, conditional=True) / degrees for low, high in itertools.pairwise(edges)
    ]


@pytest.mark.slow
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


def _uneven(rng):
    """20 patients whose lesions are unlike in size, and 4 repeats of both variants, of which a is better by 0.07."""
    truth = np.maximum(20, np.round(1000 * np.exp(rng.normal(size=20))))
    own = rng.normal(0.035, 0.05, 20)
    a, b = (
        np.clip(0.6 + side * own + rng.normal(0, 0.002, (4, 1)) + rng.normal(0, 0.02, (4, 20)), 0, 1)
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


def _pooled_pilot(rng, uneven):
    """12 patients whose lesions are the more unlike in size the larger `uneven`, 6 repeats of both variants."""
    truth = np.maximum(20, np.round(1000 * np.exp(uneven * rng.normal(size=12))))
    own = rng.normal(0, 0.12, 12)
    a, b = (
        np.clip(mean + side * own + rng.normal(0, 0.01, (6, 1)) + rng.normal(0, 0.03, (6, 12)), 0.02, 0.98)
        for mean, side in ((0.7, 1), (0.6, -1))
    )
    size = np.tile(truth, (6, 1))
    return pooled_difference(*((np.round(dice * truth), size, size) for dice in (a, b)))


def test_parts_that_come_out_below_nothing_are_nothing():
    """What is joint was estimated as more than what patients, and what repeats, bring with it."""
    design = design_of(replace(PILOT, patient_variance=0.0004, repeat_variance=(0.0001, 0.0001)))
    assert (design.patients, design.repeats, design.joint) == (0, 0, pytest.approx(0.025))


def test_one_model_is_no_pilot():
    one = mean_of_patients([0.5, 0.7, 0.9, 0.6], share=True)
    assert one.patient_variance and design_of(one) == "the pilot has no difference over patients and repeats"


def test_repeats_of_a_variant_count_as_many_as_they_are():
    """Of a variant with 2 repeats and one with 50: what one repeat of each brings, not the fewer of both for both."""
    design = design_of(replace(PILOT, repeats=(2, 50), repeat_variance=(0.001, 0.0002)))
    # One repeat of both together: 0.0005 = joint / 10 x (1/2 + 1/50) / 2.
    joint = 0.0005 * 10 * 2 / (1 / 2 + 1 / 50)
    assert design.joint == pytest.approx(joint)
    assert design.repeats == pytest.approx(2 * 0.001 + 50 * 0.0002 - joint / 10)


@pytest.mark.parametrize("repeats", [(2, 20), (20, 2), (6, 6)])
def test_parts_of_many_pilots_are_the_true_ones_whoever_has_more_repeats(repeats):
    found = []
    for n in range(600):
        rng = np.random.default_rng([5, n])
        own = rng.normal(0, PATIENTS, 8)
        a, b = (rng.normal(0, TRAINING, (each, 1)) + rng.normal(0, TOGETHER, (each, 8)) for each in repeats)
        found.append(design_of(mean_difference(a + own, b)))
    assert np.mean([each.repeats for each in found]) == pytest.approx(TRUE.repeats, rel=0.2)
    assert np.mean([each.joint for each in found]) == pytest.approx(TRUE.joint, rel=0.1)


@pytest.mark.parametrize("patients", range(4, 61))
def test_lesions_alike_in_size_are_taken_as_alike_whatever_is_lost_by_rounding(patients):
    """1 / the sum of squares of equal weights is often just below their number: a chi-square value of 1e32 degrees gave
    wrong numbers, or NaN."""
    rng = np.random.default_rng(patients)
    whole = np.full((3, patients), 100.0)
    a, b = ((whole * rng.uniform(0.6, 0.9, whole.shape), whole, whole) for _ in range(2))
    found = pooled_difference(a, b)
    assert found.effective_patients == pytest.approx(patients, rel=1e-12)
    exact = smallest_seen_by(replace(found, effective_patients=float(patients)), None)
    for rounded in (found.effective_patients, patients * (1 - 1e-15), np.nextafter(patients, 0)):
        assert smallest_seen_by(replace(found, effective_patients=rounded), None) == pytest.approx(
            exact, rel=1e-9
        )


@pytest.mark.parametrize("patients", [1, 2, 3, 4])
def test_a_study_without_p_sees_no_difference(patients):
    found = study(np.random.default_rng(1), patients, 3)
    seen = smallest_seen_by(found, None)
    assert isinstance(seen, str) == (found.p is None) == (patients < 4)
    assert seen == found.reason or patients == 4


def test_more_than_the_largest_difference_there_can_be_is_not_seen():
    found = study(np.random.default_rng(1), 5, 2, training=0.8)
    beyond = smallest_seen_by(found, None)
    assert beyond > 1 and smallest_seen_by(found, beyond) == beyond, "of a score without a largest value"
    assert "not even a difference of 1, the largest there can be" in smallest_seen_by(found, 1.0)


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


@pytest.mark.parametrize("repeats", [(2, 20), (10, 3)])
def test_of_unlike_numbers_of_repeats_as_much_is_found_as_forecast(repeats):
    seen = smallest_seen(TRUE, 20, repeats)
    assert seen == pytest.approx(smallest_seen(TRUE, 20, repeats[::-1]), abs=1e-8)
    assert smallest_seen(TRUE, 20, max(repeats)) < seen < smallest_seen(TRUE, 20, min(repeats))
    assert TRUE.variance(20, repeats) < TRUE.variance(20, min(repeats))
    found = []
    for n in range(400):
        rng = np.random.default_rng([6, n])
        own = rng.normal(0, PATIENTS, 20)
        a, b = (rng.normal(0, TRAINING, (each, 1)) + rng.normal(0, TOGETHER, (each, 20)) for each in repeats)
        found.append(mean_difference(a + own + seen, b).p < 0.05)
    assert np.mean(found) == pytest.approx(0.8, abs=0.07)


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
