"""Lesions found, missed and false, by hand and against scikit-learn's F1."""

import numpy as np
import pytest

from hnscc.scores.lesions import (
    f1,
    false_per_scan,
    find_lesions,
    lesion_dice,
    lesion_sensitivity,
    lesions_together,
    sensitivity_by_size,
)

SPACING = (5.0, 10.0, 20.0)  # a voxel is 1 ml


def scan(*rows):
    """A mask (1, 1, W) per row of text, marked at '#'."""
    return [np.array([[[each == "#" for each in row]]]) for row in rows]


def test_a_scan_by_hand(sklearn):
    truth, pred = scan("##..####..###......####.", "#...#####.....##..###...")
    found = find_lesions(pred, truth, SPACING)
    assert [(each.truth_ml, each.pred_ml, each.overlap_ml, each.found) for each in found.lesions] == [
        (2, 1, 1, True),
        (4, 5, 4, True),
        (3, 0, 0, False),
        (4, 3, 2, True),
    ]
    assert [each.lesion for each in found.lesions] == [1, 2, 3, 4]
    assert [each.dice for each in found.lesions] == pytest.approx([2 / 3, 8 / 9, 0, 4 / 7])
    assert (found.found, found.missed, found.false, found.false_ml, found.predicted) == (3, 1, 1, 2, 4)
    assert (lesion_sensitivity(found), f1(found), false_per_scan(found)) == (0.75, 6 / 8, 1)
    assert lesion_dice(found) == pytest.approx((2 / 3 + 8 / 9 + 4 / 7) / 4)
    assert f1(found) == sklearn.metrics.f1_score([1, 1, 1, 1, 0], [1, 1, 0, 1, 1])


def test_one_predicted_lesion_may_find_two_and_two_may_find_one():
    truth, pred = scan("##.##.....######", "#####.....#.#...")
    found = find_lesions(pred, truth, SPACING)
    assert [(each.pred_ml, each.overlap_ml) for each in found.lesions] == [(5, 2), (5, 2), (2, 2)]
    assert (found.found, found.false, found.predicted) == (3, 0, 3)


def test_what_counts_as_connected():
    """A voxel, its neighbour across an edge, one across a corner of the cube from that, and one by itself."""
    truth = np.zeros((4, 4, 9), bool)
    truth[0, 0, 0] = truth[0, 1, 1] = truth[1, 2, 2] = truth[3, 0, 8] = True
    found = find_lesions(truth, truth, SPACING)
    assert (len(found.lesions), found.found, found.false) == (2, 2, 0)


def test_scans_without_lesion_or_prediction():
    empty, some = scan("....", "#..#")
    both = find_lesions(empty, empty, SPACING)
    assert (f1(both), lesion_sensitivity(both), lesion_dice(both), both.false) == (1.0, None, None, 0)
    alarm = find_lesions(some, empty, SPACING)
    assert (f1(alarm), lesion_sensitivity(alarm), alarm.false, alarm.false_ml) == (0.0, None, 2, 2)
    missed = find_lesions(empty, some, SPACING)
    assert (f1(missed), lesion_sensitivity(missed), lesion_dice(missed), missed.false) == (0.0, 0.0, 0.0, 0)


def test_scans_are_put_together_by_counting():
    one = find_lesions(*scan("#.#.##", "#..###"), SPACING)
    two = find_lesions(*scan("#.....", "......"), SPACING)
    both = lesions_together([one, two, two])
    assert (len(both.lesions), both.found, both.false, both.scans) == (2, 2, 3, 3)
    assert (f1(both), false_per_scan(both)) == (4 / 7, 1.0)
    assert lesions_together([both, one]).scans == 4
    assert (false_per_scan(lesions_together([])), f1(lesions_together([]))) == (None, 1.0)


def test_sensitivity_by_size():
    truth, pred = scan("#.##.####.#####", "#....####......")
    assert sensitivity_by_size(find_lesions(pred, truth, SPACING)) == {
        "under_1_ml": (0, None),
        "1_to_5_ml": (3, 2 / 3),
        "over_5_ml": (1, 0.0),
    }


def test_other_masks_are_refused():
    truth, pred = scan("#", "#")
    with pytest.raises(ValueError, match="bool"):
        find_lesions(pred.astype(int), truth, SPACING)
