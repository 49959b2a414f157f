"""Threshold sweep, choice of the threshold, median model, and a trial's scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnscc.scores.counts import THRESHOLDS, Counts, count, positive
from hnscc.scores.metrics import DICE, METRICS
from hnscc.scores.thresholds import choose_threshold, median_position, score_trial, sweep


def curve(dice_by_k: dict[int, int], truth: int = 100) -> Counts:
    """Pooled counts over the grid with the overlap given for some k, and 1 elsewhere."""
    overlap = np.ones(1000, np.int64)
    for k, value in dice_by_k.items():
        overlap[k - 1] = value
    return Counts(overlap, np.full(1000, 100), np.full(1000, truth))


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(0, 0.3))
@settings(max_examples=15, deadline=None)
def test_sweep_is_naive_thresholding_at_every_threshold(seed, centre, density):
    rng = np.random.default_rng(seed)
    p = np.clip(rng.normal(centre, 0.2, (3, 7, 7)), 0, 1)
    levels, masks = np.round(p * 65535).astype(np.uint16), rng.random((3, 7, 7)) < density
    found = sweep(levels, masks)
    for k in THRESHOLDS:
        naive = levels.astype(np.int64) * 1000 >= int(k) * 65535
        expected = (np.count_nonzero(naive & masks), np.count_nonzero(naive), np.count_nonzero(masks))
        assert (found.overlap[k - 1], found.pred[k - 1], found.truth[k - 1]) == expected


def test_sweep_agrees_with_counting_slices_at_one_threshold():
    rng = np.random.default_rng(0)
    levels, masks = rng.integers(0, 65536, (4, 8, 8)).astype(np.uint16), rng.random((4, 8, 8)) < 0.3
    for k in (1, 499, 500, 1000):
        at_once, single = sweep(levels, masks), count(positive(levels, k), masks).pooled()
        assert float(DICE.of(at_once)[k - 1]) == float(DICE.of(single))


@pytest.mark.parametrize(
    ("best", "plateau", "first"),
    [
        ({700: 50}, 700, 700),
        ({k: 50 for k in range(300, 305)}, 302, 300),  # odd length: the middle
        ({k: 50 for k in range(300, 304)}, 301, 300),  # even length: the lower of two
        ({100: 50, **{k: 50 for k in range(300, 303)}}, 301, 100),  # the longest run
        ({k: 50 for k in (*range(200, 203), *range(300, 303))}, 201, 200),  # of equally long ones the lowest
        ({k: 50 for k in (*range(300, 303), *range(304, 308))}, 305, 300),  # 303 lies between two runs
        # No overlap from 701 on.
        ({**dict.fromkeys(range(697, 701), 50), **dict.fromkeys(range(701, 1001), 0)}, 698, 697),
        ({1: 50, 1000: 60}, 1000, 1000),
        ({}, 500, 1),  # flat: all thresholds are one plateau
    ],
)
def test_choice_of_the_threshold(best, plateau, first):
    assert choose_threshold(curve(best), "plateau") == (plateau, None)
    assert choose_threshold(curve(best), "first") == (first, None)


@pytest.mark.parametrize("rule", ["plateau", "first"])
def test_no_threshold_without_lesion_or_without_overlap(rule):
    nothing = sweep(np.zeros((2, 4, 4), np.uint16), np.zeros((2, 4, 4), bool))
    k, reason = choose_threshold(nothing, rule)
    assert k is None and "no lesion pixel" in reason
    missed = sweep(np.zeros((2, 4, 4), np.uint16), np.ones((2, 4, 4), bool))
    k, reason = choose_threshold(missed, rule)
    assert k is None and "0 at every threshold" in reason


def test_median_is_the_lower_of_two_middle_repeats_and_ties_go_by_number():
    assert median_position([0.4], [0]) == 0
    assert median_position([0.9, 0.1, 0.5], [0, 1, 2]) == 2
    assert median_position([0.9, 0.1, 0.5, 0.6], [0, 1, 2, 3]) == 2
    # In the order of repeats 0 1 2 3 it is repeat 1.
    assert median_position([0.5, 0.5, 0.5, 0.5], [3, 2, 1, 0]) == 2
    assert median_position([0.5, 0.5, 0.1], [7, 4, 9]) == 1


def test_score_trial_is_pooled_per_split_at_one_half(sklearn):
    rng = np.random.default_rng(2)
    levels, masks = rng.integers(0, 65536, (5, 6, 6)).astype(np.uint16), rng.random((5, 6, 6)) < 0.4
    splits = ["train", "train", "validation", "test", "test"]
    found = score_trial(levels, masks.astype(np.uint8), splits)
    for split, rows in (("train", slice(0, 2)), ("validation", slice(2, 3)), ("test", slice(3, 5))):
        expected = sklearn.metrics.f1_score(masks[rows].ravel(), (levels[rows] >= 32768).ravel())
        assert found["scores"][split]["dice"] == pytest.approx(expected)
    assert found["collapsed"] is False
    assert found["highest_probability"] == levels[2:].max() / 65535


def test_collapsed_looks_at_validation_and_test_only():
    levels = np.full((3, 2, 2), 32767, np.uint16)
    levels[0] = 65535
    masks = np.ones((3, 2, 2), np.uint8)
    found = score_trial(levels, masks, ["train", "validation", "test"])
    assert found["collapsed"] is True
    assert found["highest_probability"] == 32767 / 65535
    assert found["scores"].keys() == {"train", "validation", "test"}
    for split, score in (("train", 1.0), ("validation", 0.0), ("test", 0.0)):
        scores = found["scores"][split]
        assert scores.keys() == METRICS.keys() and scores["dice"] == scores["jaccard"] == score
    levels[2, 0, 0] = 32768
    for splits in (["train", "validation", "test"], ["train", "test", "validation"]):
        assert score_trial(levels, masks, splits)["collapsed"] is False


def test_a_split_without_slices_has_no_score():
    found = score_trial(np.zeros((1, 2, 2), np.uint16), np.zeros((1, 2, 2), np.uint8), ["test"])
    assert found["scores"] == {"test": {name: metric.empty_value for name, metric in METRICS.items()}}
    assert (found["scores"]["test"]["dice"], found["scores"]["test"]["jaccard"]) == (1.0, 1.0)
    assert found["highest_probability"] == 0


def test_a_rule_that_is_none_chooses_nothing():
    """Any other word than first was taken as plateau."""
    with pytest.raises(ValueError, match="first or plateau, not 'lowest'"):
        choose_threshold(curve({300: 50}), "lowest")
