"""When missing more lesions never improves a score, and when it may: the rule of hnscc/scores/empty_masks.py and the
table in docs/explanation/statistics.md, on random scans."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import ROOT
from scipy.ndimage import binary_dilation, label

from hnscc.scores.calibration import brier, calibration
from hnscc.scores.counts import Counts
from hnscc.scores.detection import Calls, auc, sensitivity, specificity
from hnscc.scores.lesions import f1, false_per_scan, find_lesions, lesion_dice, lesion_sensitivity
from hnscc.scores.metrics import METRICS
from hnscc.scores.millilitres import millilitres_of, precision
from hnscc.scores.surface import average_distance, hd95, surface_dice, surface_distances

EVERY_NEIGHBOUR = np.ones((3, 3, 3), bool)
SURFACE = {"hd95_mm", "assd_mm", "nsd"}
LESION_COUNTS = {"lesion_f1", "lesion_sensitivity", "false_lesions"}
# To these a false alarm adds without end: silence is not the worst of them.
ALARMS = {"fp_ml", "false_lesions", "wrong_ml"}
MISSES_ALONE = {"fn_ml", "lesion_sensitivity", "lesion_dice"}


def scores(pred, truth, spacing, tolerance=2.0):
    """Every score of a scan that has a better way: name -> value (None where there is none), higher is better."""
    surface = surface_distances(pred, truth, spacing)
    values = {"hd95_mm": -hd95(surface), "assd_mm": -average_distance(surface)}
    values["nsd"] = surface_dice(surface, tolerance)
    ml = millilitres_of(pred, truth, spacing)
    values |= {"fp_ml": -ml.fp_ml, "fn_ml": -ml.fn_ml, "precision": precision(ml)}
    values["wrong_ml"] = -ml.fp_ml - ml.fn_ml
    lesions = find_lesions(pred, truth, spacing)
    values |= {"lesion_f1": f1(lesions), "lesion_sensitivity": lesion_sensitivity(lesions)}
    values |= {"lesion_dice": lesion_dice(lesions), "false_lesions": -false_per_scan(lesions)}
    counts = Counts(*(np.array(each.sum()) for each in (pred & truth, pred, truth)))
    return values | {name: float(each.of(counts)) for name, each in METRICS.items()}


def improved(before, after, among=None):
    """The names of the scores that are better after than before."""
    assert {name for name in before if before[name] is None} == {
        name for name in after if after[name] is None
    }
    names = [name for name in before if before[name] is not None and (among is None or name in among)]
    return [name for name in names if after[name] > before[name]]


@st.composite
def scans(choose):
    """Truth and prediction: bool masks of a small scan, of one slice too; and the spacing."""
    shape = choose(st.tuples(st.integers(1, 6), st.integers(1, 14), st.integers(1, 14)))
    spacing = choose(st.tuples(*[st.sampled_from([0.4, 0.977, 1.0, 2.0, 3.27])] * 3))
    rng = np.random.default_rng(choose(st.integers(0, 2**32 - 1)))
    dense = choose(st.sampled_from([0.02, 0.05, 0.15]))
    truth, pred = rng.random((2, *shape)) < dense
    if choose(st.booleans()):  # lesions of more than a few voxels
        truth, pred = (binary_dilation(each, iterations=choose(st.integers(1, 2))) for each in (truth, pred))
    return pred, truth, spacing, rng


def components(mask):
    """Each component's mask."""
    numbers, n = label(mask, EVERY_NEIGHBOUR)
    return [numbers == each for each in range(1, n + 1)]


@given(scans(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_losing_a_found_lesion_never_improves_any_score(scan, alarms):
    """Lesions predicted as they are, some or all, with or without false ones elsewhere: lost one by one."""
    pred, truth, spacing, rng = scan
    elsewhere = pred & ~binary_dilation(truth, EVERY_NEIGHBOUR)
    found = [each for each in components(truth) if rng.random() < 0.8]
    now = np.logical_or.reduce([elsewhere & alarms, *found])
    for lesion in rng.permutation(len(found)):
        fewer = now & ~found[lesion]
        assert improved(scores(now, truth, spacing), scores(fewer, truth, spacing)) == []
        now = fewer


@given(scans(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_losing_what_lies_within_a_lesion_never_improves_volumes_and_overlap(scan, alarms):
    pred, truth, spacing, _ = scan
    inside = pred & truth
    now = inside | (pred & alarms & ~binary_dilation(truth, EVERY_NEIGHBOUR))
    for part in components(inside):
        before, after = scores(now, truth, spacing), scores(now & ~part, truth, spacing)
        assert improved(before, after, before.keys() - SURFACE) == []
        now &= ~part


@given(scans())
@settings(max_examples=100, deadline=None)
def test_losing_whatever_touches_a_lesion_never_improves_counts_of_lesions(scan):
    pred, truth, spacing, _ = scan
    now = pred
    for part in components(pred):
        if not (part & truth).any():
            continue
        before, after = (find_lesions(each, truth, spacing) for each in (now, now & ~part))
        assert after.found <= before.found and after.false == before.false
        assert improved(scores(now, truth, spacing), scores(now & ~part, truth, spacing), LESION_COUNTS) == []
        now = now & ~part


def test_giving_up_a_lesion_that_was_only_touched_may_improve_distances_of_surfaces_alone():
    """The example of docs/explanation/statistics.md, whose numbers these are: hits amid a square, and a ring."""
    away = np.abs(np.indices((60, 60)) - 30).max(0)[None]
    square, ring = away <= 16, (away >= 19) & (away <= 22)
    hits = np.zeros_like(square)
    hits[0, 27:34:2, 27:34:2] = True
    assert (hits & square).sum() == 16 and label(square | ring, EVERY_NEIGHBOUR)[1] == 2
    before, after = (
        scores(each, square | ring, (1.0, 1.0, 1.0), tolerance=5.0) for each in (ring | hits, ring)
    )
    assert set(improved(before, after)) == SURFACE
    told = {
        "hd95_mm": ("13.75", "2.00"),
        "assd_mm": ("1.08", "0.34"),
        "nsd": ("0.945", "1.000"),
        "dice": ("0.556", "0.546"),
        "lesion_sensitivity": ("1", "0.5"),
    }
    for name, texts in told.items():
        for each, text in zip((before, after), texts, strict=True):
            digits = len(text.partition(".")[2])
            assert f"{abs(each[name]):.{digits}f}" == text, name
    page = " ".join((ROOT / "docs/explanation/statistics.md").read_text().split())
    assert (
        "takes HD95 from 13.75 to 2.00 mm, ASSD from 1.08 to 0.34 mm and NSD (5 mm) from 0.945 to 1.000"
        in page
    )
    assert "Dice falls from 0.556 to 0.546 and lesion sensitivity from 1 to 0.5" in page


def test_giving_up_what_spills_out_of_a_lesion_may_improve_overlap_and_never_what_sees_misses():
    truth, pred = np.zeros((2, 1, 9, 20), bool)
    truth[0, 2:4, 2:4], truth[0, 3:8, 13:18] = True, True
    pred[0, 3:7, 3:8], pred[0, 3:8, 13:18] = True, True  # one voxel of the first lesion, and 19 beside it
    before, after = (
        scores(pred, truth, (1.0, 1.0, 1.0)),
        scores(pred & (np.arange(20) > 10), truth, (1.0, 1.0, 1.0)),
    )
    assert {"dice", "jaccard", "precision", "fp_ml"} <= set(improved(before, after))
    assert improved(before, after, LESION_COUNTS | {"fn_ml"}) == []
    assert after["fn_ml"] < before["fn_ml"] and after["lesion_sensitivity"] < before["lesion_sensitivity"]


@given(scans())
@settings(max_examples=100, deadline=None)
def test_predicting_nothing_is_never_better_than_predicting_anything(scan):
    """Where there is a lesion; and of what sees misses, it is the worst value there is."""
    pred, truth, spacing, _ = scan
    truth[0, 0, 0] = True
    nothing = scores(np.zeros_like(pred), truth, spacing)
    assert improved(scores(pred, truth, spacing), nothing, nothing.keys() - ALARMS) == []
    assert {name: nothing[name] for name in nothing.keys() - ALARMS} == worst(truth, spacing)


def worst(truth, spacing):
    """What stands where all is missed, written down by hand."""
    sides = [n * mm for n, mm in zip(truth.shape, spacing, strict=True)][0 if len(truth) > 1 else 1 :]
    missed = truth.sum() * math.prod(spacing) / 1000
    return {
        "hd95_mm": pytest.approx(-math.hypot(*sides)),
        "assd_mm": pytest.approx(-math.hypot(*sides)),
        "nsd": 0,
        "fn_ml": pytest.approx(-missed),
        "precision": 0,
        "lesion_f1": 0,
        "lesion_sensitivity": 0,
        "lesion_dice": 0,
        **dict.fromkeys(METRICS, 0),
    }


@given(scans())
@settings(max_examples=100, deadline=None)
def test_in_a_scan_without_lesion_a_false_one_never_improves_and_silence_is_perfect(scan):
    pred, truth, spacing, _ = scan
    truth[:] = False
    now = np.zeros_like(pred)
    silence = scores(now, truth, spacing)
    assert silence == {
        **dict.fromkeys(("hd95_mm", "assd_mm", "fp_ml", "fn_ml", "wrong_ml", "false_lesions"), 0),
        **dict.fromkeys(("nsd", "precision", "lesion_f1", *METRICS), 1),
        **dict.fromkeys(("lesion_sensitivity", "lesion_dice"), None),
    }
    for part in components(pred):
        before, after = scores(now, truth, spacing), scores(now | part, truth, spacing)
        assert improved(before, after) == []
        if not now.any():
            worse = {name for name in before if before[name] is not None and after[name] < before[name]}
            assert worse == before.keys() - MISSES_ALONE
        now = now | part


@given(scans())
@settings(max_examples=100, deadline=None)
def test_whether_a_score_exists_depends_on_the_truth_alone_and_it_is_in_its_range(scan):
    pred, truth, spacing, _ = scan
    values = [scores(each, truth, spacing) for each in (pred, ~pred, truth, np.zeros_like(pred))]
    assert len({frozenset(name for name in each if each[name] is None) for each in values}) == 1
    lower_is_better = SURFACE - {"nsd"} | ALARMS | {"fn_ml"}
    for name, value in values[0].items():
        assert value is None or (value <= 0 if name in lower_is_better else 0 <= value <= 1), name
    diagonal = surface_distances(pred, truth, spacing).diagonal_mm
    assert -values[0]["hd95_mm"] <= diagonal and -values[0]["assd_mm"] <= diagonal


@given(scans())
@settings(max_examples=100, deadline=None)
def test_a_perfect_prediction_has_the_best_values(scan):
    _, truth, spacing, _ = scan
    perfect = scores(truth, truth, spacing)
    for name in ("hd95_mm", "assd_mm", "fp_ml", "fn_ml", "wrong_ml", "false_lesions"):
        assert perfect[name] == 0
    for name in perfect.keys() - {"hd95_mm", "assd_mm", "fp_ml", "fn_ml", "wrong_ml", "false_lesions"}:
        assert perfect[name] == 1 or perfect[name] is None


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_a_scan_whose_lesion_is_missed_never_improves_calls(seed, n):
    rng = np.random.default_rng(seed)
    truth, called = rng.random((2, n)) < 0.6
    score = rng.integers(0, 5, n) / 4
    missed = truth & (rng.random(n) < 0.5)
    before = Calls(truth, called, score)
    after = Calls(truth, called & ~missed, np.where(missed, 0, score))
    for each in (sensitivity, specificity, auc):
        was, now = each(before), each(after)
        assert (was is None) == (now is None)
        assert was is None or now <= was


@given(scans())
@settings(max_examples=100, deadline=None)
def test_a_lesion_whose_probability_falls_never_improves_the_brier_score(scan):
    pred, truth, _, rng = scan
    levels = np.where(pred, rng.integers(30000, 65536, pred.shape), rng.integers(0, 30000, pred.shape))
    before, after = (
        calibration(each.astype(np.uint16), truth) for each in (levels, np.where(truth, 0, levels))
    )
    assert brier(after) >= brier(before)
