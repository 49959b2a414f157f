"""Repeats until the median is known: the interval, when it is looked at, and how many repeats a pilot asks for."""

import numpy as np
import pytest
from run_folders import Slice, add_failure, add_trial, small_study, write_run

from hnscc.aggregation.enough_repeats import repeats_shown, settle
from hnscc.aggregation.results import read_trials
from hnscc.base.errors import InputError
from hnscc.base.split_names import SPLITS
from hnscc.scores.intervals import is_known_within, median_interval, repeats_for_width
from hnscc.study.loading import parse_study
from hnscc.study.trials import due, looks_at, trials_of


def study_until(until: float, most: int = 14, **settings):
    return small_study(repeats={"max": most, "until": until}, **settings)


def test_looks_are_every_fourth_repeat_and_the_last():
    assert looks_at(study_until(0.1, most=14).repeats) == [6, 10, 14]
    assert looks_at(study_until(0.1, most=15).repeats) == [6, 10, 14, 15]
    assert looks_at(study_until(0.1, most=6).repeats) == [6]


def test_what_is_due_is_all_before_the_next_look():
    study = study_until(0.1)
    left = [trial for trial in trials_of(study) if not (trial.variant == "pet" and trial.repeat < 7)]
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
        [[Slice(split, f"p-{split}", mask) for split in SPLITS]],
    )
    full = np.stack([mask] * 3).astype(np.uint16) * 65535
    for trial in trials_of(study):
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
    assert len(trials_of(settled)) == 14
    assert settle(run, settled, []) == settled
    # What is left before a look leaves that look open; what failed does not.
    waiting = [trial for trial in trials_of(study) if trial.variant == "pet" and trial.repeat == 5]
    assert settle(run, study, waiting).repeats.enough == {}
    add_failure(run, waiting[0], "ValueError: x")
    assert settle(run, study, []).repeats.enough == {"pet": 8}, "five that are completed have no interval"


def test_a_pilot_tells_how_many_repeats_a_precision_needs(trained):
    run, study = trained
    found = repeats_shown(read_trials(run, study))
    assert {name: each.scores for name, each in found.items()} == {
        "pet": [1.0] * 8,
        "pet_mri": [1.0, 0.0] * 4,
    }
    found = repeats_for_width([0.5, 0.6, 0.7], 0.05)
    # SD 0.1, whose own 95 % range is 0.0521 to 0.6285.
    assert (found.pilot_repeats, found.repeats, found.low, found.high) == (3, 37, 15, 1148)
    assert found.sd == pytest.approx(0.1)
    assert repeats_for_width([0.5], 0.05).repeats is None


@pytest.mark.parametrize("collapsed", [True, False])
def test_a_variant_that_collapsed_or_finds_hardly_any_lesion_gets_no_number_of_repeats(tmp_path, collapsed):
    """Six repeats of Dice 0 and 0.031 look precise: 6 repeats (SD 0.02) was what `check` asked for."""
    study = small_study(("pet",), repeats=6)
    mask = np.zeros((16, 16), np.uint8)
    mask[:8, :8] = 1
    run = write_run(tmp_path / "run", study, [[Slice(split, f"p-{split}", mask) for split in SPLITS]])
    for trial in trials_of(study):
        levels = np.zeros((3, 16, 16), np.uint16)
        if not collapsed or trial.repeat >= 4:
            levels[2, 0, : trial.repeat % 2] = 65535  # of the 64 pixels of lesion
            levels[1, 0, 0] = 65535
        add_trial(run, study, trial, levels)
    found = repeats_shown(read_trials(run, study))["pet"]
    assert found.mostly_collapsed == collapsed
    assert found.scores == pytest.approx([0, 0, 0, 0, 0, 2 / 65] if collapsed else [0, 2 / 65] * 3)
    asked = found.repeats_for_width(0.02)
    assert (asked.pilot_repeats, asked.sd, asked.repeats, asked.low, asked.high) == (
        6,
        None,
        None,
        None,
        None,
    )
    assert (
        "collapsed" if collapsed else "hardly overlaps the lesions (median test Dice 0.015)"
    ) in asked.reason


@pytest.mark.parametrize("until", [pytest.param(0.02, marks=pytest.mark.slow), 0.03])
def test_stopping_when_precise_keeps_the_coverage_near_its_level(until):
    """1,000 studies of normal repeats, at most 50, until 0.02 and 0.03 of SD 0.05: looked at again and again, the
    interval still covers the true median about 95 times in 100, for with few values it covers it more often."""
    covered = 0
    rule = study_until(until, most=50).repeats
    for seed in range(1000):
        scores = np.random.default_rng(seed).normal(0.6, 0.05, 50)
        for look in looks_at(rule):
            if is_known_within(scores[:look].tolist(), rule.until):
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
        ({"max": 8, "until": 0.1, "enough": {"pet": 100}}, "enough is at most max"),
        ("many", "repeats"),
    ],
)
def test_bad_rules_are_one_clear_error(repeats, said):
    with pytest.raises(InputError, match=r"repeats") as caught:
        parse_study(
            {"name": "s", "store": "none", "repeats": repeats, "variants": {"pet": {"modalities": ["pet"]}}}
        )
    assert said in str(caught.value)
