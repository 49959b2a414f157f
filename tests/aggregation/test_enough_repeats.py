"""Repeats until the median is known: the interval, when it is looked at, and how many repeats a pilot asks for."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from run_folders import Case, add_failure, add_trial, small_study, write_run

from hnscc.aggregation.enough_repeats import due, half_width, is_precise, looks, needed, scores_of, settle
from hnscc.base.errors import InputError
from hnscc.scores.stats import median_interval
from hnscc.study.loading import parse_study
from hnscc.study.plan import SPLITS, plan_trials


@pytest.mark.parametrize(("n", "k"), [(6, 1), (8, 1), (9, 2), (10, 2), (15, 4), (20, 6), (25, 8), (50, 18)])
def test_the_interval_of_a_median_is_the_tabled_pair_of_order_statistics(n, k):
    """k-th lowest to k-th highest: Conover's, Dixon and Massey's tables."""
    found = median_interval(list(range(1, n + 1))[::-1])
    assert (found.low, found.high) == (k, n + 1 - k)


@given(st.integers(6, 300))
def test_it_holds_the_median_with_95_percent_and_the_next_narrower_one_does_not(n):
    k = int(median_interval(list(range(1, n + 1))).low)
    outside = 2 * scipy.stats.binom.cdf(k - 1, n, 0.5)
    assert outside <= 0.05 < 2 * scipy.stats.binom.cdf(k, n, 0.5)


def test_five_values_have_none():
    assert median_interval([1, 2, 3, 4, 5]).low is None
    assert "at least 6" in median_interval([1, 2, 3, 4, 5]).reason
    assert half_width([0.5] * 5) is None
    assert not is_precise([0.5] * 5, 0.9)


def test_the_farther_side_counts():
    assert half_width([0.1, 0.5, 0.5, 0.5, 0.5, 0.6]) == pytest.approx(0.4)


def study_until(until: float, most: int = 14, **settings):
    return small_study(repeats={"max": most, "until": until}, **settings)


def test_looks_are_every_fourth_repeat_and_the_last():
    assert looks(study_until(0.1, most=14).repeats) == [6, 10, 14]
    assert looks(study_until(0.1, most=15).repeats) == [6, 10, 14, 15]
    assert looks(study_until(0.1, most=6).repeats) == [6]


def test_what_is_due_is_all_before_the_next_look():
    study = study_until(0.1)
    left = [trial for trial in plan_trials(study) if not (trial.variant == "pet" and trial.repeat < 7)]
    wanted = due(study, left)
    expected = {("pet", r) for r in (7, 8, 9)} | {("pet_mri", r) for r in range(6)}
    assert {(t.variant, t.repeat) for t in wanted} == expected
    assert [t.repeat for t in wanted] == sorted(t.repeat for t in wanted)
    assert due(small_study(), left) == left


@pytest.fixture
def trained(tmp_path):
    """`pet`: 8 repeats with pooled test Dice 1; `pet_mri`: 8 that alternate between 1 and 0."""
    study = study_until(0.1, most=8)
    mask = np.zeros((4, 4), np.uint8)
    mask[1:3, 1:3] = 1
    run = write_run(
        tmp_path / "run",
        study,
        [[Case(split, f"p-{split}", mask) for split in SPLITS]],
    )
    full = np.stack([mask] * 3).astype(np.uint16) * 65535
    for trial in plan_trials(study):
        misses = trial.variant == "pet_mri" and trial.repeat % 2
        levels = full.copy()
        if misses:
            levels[2] = 0
        add_trial(run, study, trial, levels)
    return run, study


def test_a_variant_is_settled_at_its_first_precise_look(trained):
    run, study = trained
    settled = settle(run, study, [])
    assert settled.repeats.enough == {"pet": 6}
    assert settled.repeats_of("pet") == 6
    assert settled.repeats_of("pet_mri") == 8
    assert len(plan_trials(settled)) == 14
    assert settle(run, settled, []) == settled
    # What is left before a look leaves that look open; what failed does not.
    waiting = [trial for trial in plan_trials(study) if trial.variant == "pet" and trial.repeat == 5]
    assert settle(run, study, waiting).repeats.enough == {}
    add_failure(run, waiting[0], "ValueError: x")
    assert settle(run, study, []).repeats.enough == {"pet": 8}, "five that are completed have no interval"


def test_a_pilot_tells_how_many_repeats_a_precision_needs(trained):
    run, study = trained
    scores = scores_of(run, study)
    assert scores == {"pet": [1.0] * 8, "pet_mri": [1.0, 0.0] * 4}
    found = needed([0.5, 0.6, 0.7], 0.05)
    # SD 0.1; (1.959964 x 1.253314 x 0.1 / 0.05)^2 = 24.1; the SD's own 95 % range is 0.0521 to 0.6285.
    assert (found.pilot, found.repeats, found.low, found.high) == (3, 25, 7, 954)
    assert found.sd == pytest.approx(0.1)
    assert needed([0.5], 0.05).repeats is None


def test_repeats_so_found_are_precise_in_four_of_ten_studies_or_more():
    """Normal scores: with the number that a large pilot asks for, the interval's farther side is about as long as
    wanted, now a little longer, now a little shorter."""
    draw = np.random.default_rng(0)
    n = needed(draw.normal(0.6, 0.05, 2000).tolist(), 0.02).repeats
    widths = [half_width(draw.normal(0.6, 0.05, n).tolist()) for _ in range(400)]
    assert 0.015 < np.median(widths) < 0.027


@pytest.mark.parametrize("until", [0.02, 0.03])
def test_stopping_when_precise_keeps_the_coverage_near_its_level(until):
    """1,000 studies of normal repeats, at most 50, until 0.02 and 0.03 of SD 0.05: looked at again and again, the
    interval still covers the true median about 95 times in 100, for with few values it covers it more often."""
    covered = 0
    rule = study_until(until, most=50).repeats
    for seed in range(1000):
        scores = np.random.default_rng(seed).normal(0.6, 0.05, 50)
        for look in looks(rule):
            if is_precise(scores[:look].tolist(), rule.until):
                break
        interval = median_interval(scores[:look].tolist())
        covered += interval.low <= 0.6 <= interval.high
    assert covered >= 930


@pytest.mark.parametrize(
    ("repeats", "said"),
    [
        ({"max": 5, "until": 0.1}, "repeats.max"),
        ({"max": 50}, "repeats.until is missing"),
        ({"max": 50, "until": 2}, "repeats.until"),
        ({"max": 50, "untl": 0.1}, "until?"),
        ({"max": 8, "until": 0.1, "first": 9}, "first is at most max"),
        ("many", "repeats"),
    ],
)
def test_bad_rules_are_one_clear_error(repeats, said):
    with pytest.raises(InputError, match=r"repeats") as caught:
        parse_study(
            {"name": "s", "store": "none", "repeats": repeats, "variants": {"pet": {"modalities": ["pet"]}}}
        )
    assert said in str(caught.value)
