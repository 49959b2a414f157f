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
    size_names,
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


def test_a_lesion_is_found_from_a_share_on():
    truth, pred = scan("##..####..###......####.", "#...#####.....##..###...")
    for share, expected in ((0.5, [1, 1, 0, 1]), (0.51, [0, 1, 0, 0]), (1.0, [0, 1, 0, 0])):
        found = find_lesions(pred, truth, SPACING, share=share)
        assert [each.found for each in found.lesions] == expected
        # What touches a lesion without finding it is not false.
        assert found.false == 1
    # A tenth of ten voxels is one, although 0.1 is not a tenth in floating point.
    assert find_lesions(*scan("#.........", "##########"), SPACING, share=0.1).found == 1


def test_one_predicted_lesion_may_find_two_and_two_may_find_one():
    truth, pred = scan("##.##.....######", "#####.....#.#...")
    found = find_lesions(pred, truth, SPACING)
    assert [(each.pred_ml, each.overlap_ml) for each in found.lesions] == [(5, 2), (5, 2), (2, 2)]
    assert (found.found, found.false, found.predicted) == (3, 0, 3)


@pytest.mark.parametrize(("connectivity", "lesions"), [(6, 4), (18, 3), (26, 2)])
def test_what_counts_as_connected(connectivity, lesions):
    """A voxel, its neighbour across an edge, one across a corner of the cube from that, and one by itself."""
    truth = np.zeros((4, 4, 9), bool)
    truth[0, 0, 0] = truth[0, 1, 1] = truth[1, 2, 2] = truth[3, 0, 8] = True
    found = find_lesions(truth, truth, SPACING, connectivity=connectivity)
    assert (len(found.lesions), found.found, found.false) == (lesions, lesions, 0)


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
    assert (false_per_scan(lesions_together([])), f1(lesions_together([]))) == (None, 1.0)


def test_sensitivity_by_size():
    truth, pred = scan("#.##.###.####.#####", "#.....#..####......")
    found = find_lesions(pred, truth, SPACING)
    classes = sensitivity_by_size(found, (2, 4, 9))
    assert [(each.low_ml, each.high_ml, each.lesions, each.found) for each in classes] == [
        (0, 2, 1, 1),
        (2, 4, 2, 1),
        (4, 9, 2, 1),
        (9, None, 0, 0),
    ]
    assert [each.sensitivity for each in classes] == [1.0, 0.5, 0.5, None]
    names = ("under_2_ml", "2_to_4_ml", "4_to_9_ml", "over_9_ml")
    assert size_names((2, 4, 9)) == names and len(size_names()) == len(sensitivity_by_size(found))
    for edges in ((2, 2), (0, 1), (3, 1)):
        with pytest.raises(ValueError, match="rise"):
            sensitivity_by_size(found, edges)


def test_other_settings_are_refused():
    truth, pred = scan("#", "#")
    with pytest.raises(ValueError, match="share"):
        find_lesions(pred, truth, SPACING, share=1.5)
    with pytest.raises(ValueError, match="connectivity"):
        find_lesions(pred, truth, SPACING, connectivity=8)
    with pytest.raises(ValueError, match="bool"):
        find_lesions(pred.astype(int), truth, SPACING)
