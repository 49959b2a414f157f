"""The scores that a trial keeps: read back as they were, not used for anything else, computed in little memory."""

import json
import tracemalloc

import numpy as np
import pytest

from hnscc.base.files import hash_of
from hnscc.base.steps import at_once
from hnscc.scores.stored import VERSION, scores_from_bytes, scores_to_bytes, scoring_at_half
from hnscc.scores.thresholds import score_trial

ROWS = {"a": np.arange(3), "b": np.arange(3, 5)}
SPACING = {"a": (3.0, 1.0, 1.0), "b": (5.0, 0.7, 0.7)}
TOLERANCE = 2.0


def written():
    rng = np.random.default_rng(1)
    levels = rng.integers(0, 65536, (5, 8, 8)).astype(np.uint16)
    masks = rng.random((5, 8, 8)) < 0.3
    scores = at_once(scoring_at_half(levels, masks, ROWS, SPACING, TOLERANCE))
    return scores, scores_to_bytes(scores, SPACING, TOLERANCE)


def test_stored_scores_come_back():
    scores, content = written()
    found = scores_from_bytes(content, SPACING, TOLERANCE, 5)
    assert found.scans == scores.scans and found.calibrations == scores.calibrations
    np.testing.assert_array_equal([found.overlap, found.pred], [scores.overlap, scores.pred])


# What version 4 writes of `written`, every number with 9 digits.
GOLDEN = {4: "5b5b3c69e29e3b8b61b9fdbc8b5d18f91cee975c49414ae8765caa47651d8d1d"}


def test_what_is_written_changes_only_with_version():
    """Else tables would hold older scores at 0.5 beside newer ones at other thresholds. Where this fails, raise VERSION
    and put the new hash under it; a metric of surfaces that came or went needs the new hash alone."""
    content = json.loads(written()[1], parse_float=lambda text: f"{float(text):.9g}")
    assert {VERSION: hash_of(content)} == GOLDEN


@pytest.mark.parametrize(
    ("spacing_mm", "tolerance_mm", "slices"),
    [
        (SPACING | {"a": (3.0, 1.0, 1.1)}, TOLERANCE, 5),
        ({"a": SPACING["a"]}, TOLERANCE, 5),
        (SPACING | {"c": (1.0, 1.0, 1.0)}, TOLERANCE, 5),
        (SPACING, 5.0, 5),
        (SPACING, TOLERANCE, 4),
    ],
)
def test_scores_of_another_spacing_selection_or_tolerance_are_not_used(spacing_mm, tolerance_mm, slices):
    assert scores_from_bytes(written()[1], spacing_mm, tolerance_mm, slices) is None


@pytest.mark.parametrize("column", ["overlap_px", "pred_px", "version"])
def test_scores_of_other_slices_or_of_no_version_are_not_used(column):
    content = json.loads(written()[1])
    if column.endswith("_px"):
        content[column].pop()
    else:
        del content[column]
    assert scores_from_bytes(json.dumps(content).encode(), SPACING, TOLERANCE, 5) is None


@pytest.mark.parametrize(
    "lacking", ["tolerance_mm", "spacing_mm", "scans", "probabilities", "truth_px", "total"]
)
def test_scores_of_this_version_that_lack_a_part_are_a_fault_and_those_of_another_are_not_read(lacking):
    """A change of what is written without a new VERSION was never seen: every table then scored all scans again."""
    content = json.loads(written()[1])
    parts = [
        content,
        *content["scans"].values(),
        *(each["calibration"] for each in content["probabilities"].values()),
    ]
    for part in parts:
        part.pop(lacking, None)
    with pytest.raises((KeyError, TypeError)):
        scores_from_bytes(json.dumps(content).encode(), SPACING, TOLERANCE, 5)
    assert scores_from_bytes(json.dumps(content | {"version": 0}).encode(), SPACING, TOLERANCE, 5) is None


@pytest.mark.parametrize("change", ["a metric of before", "a metric to come"])
def test_scores_without_a_metric_of_now_or_with_another_are_computed_again(change):
    """A metric that is added, or removed, asks for no new VERSION."""
    content = json.loads(written()[1])
    for each in content["scans"].values():
        if change == "a metric of before":
            each["boundary_iou"] = 0.5
        else:
            del each["hd95_mm"]
    assert scores_from_bytes(json.dumps(content).encode(), SPACING, TOLERANCE, 5) is None


def test_scoring_makes_no_second_array_as_large_as_the_predictions():
    """Predictions take two bytes a pixel, and a copy of their masks one: the memory that `hnscc check` tells."""
    slices, side = 2000, 64
    levels = np.zeros((slices, side, side), np.uint16)
    masks = np.zeros(levels.shape, np.uint8)
    levels[::5, 10:20, 10:20], masks[::5, 12:22, 12:22] = 60000, 1
    rows = {str(scan): np.arange(80 * scan, 80 * (scan + 1)) for scan in range(slices // 80)}
    tracemalloc.start()
    spacing = dict.fromkeys(rows, (3.0, 1.0, 1.0))
    scores = at_once(scoring_at_half(levels, masks.view(bool), rows, spacing, 5.0))
    record = score_trial(levels, masks, ["test"] * slices)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scores.pred.sum() == slices // 5 * 100 and scores.overlap.sum() == slices // 5 * 64
    assert record["scores"]["test"]["dice"] == pytest.approx(0.64)
    assert peak < levels.size / 2
