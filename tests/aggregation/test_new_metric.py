"""A metric that is added as one entry stands in every table, with the right values."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from run_folders import add_failure
from scipy.special import expit, logit
from small_tables import check_tables, hand_run, row, rows
from stores import study_of

from hnscc.aggregation.build import table_bytes, table_of_parts, table_of_rows, write_tables
from hnscc.aggregation.columns import OF_PATIENTS
from hnscc.aggregation.comparisons import TESTS, Side
from hnscc.aggregation.query import read_table
from hnscc.aggregation.schemas import schema
from hnscc.scores.counts import Counts
from hnscc.scores.metrics import METRICS, Metric
from hnscc.scores.paired_tests import Comparison
from hnscc.scores.thresholds import score_trial
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial


def share_right(overlap, pred, truth):
    """Overlap / predicted pixels; of an empty prediction 1 where truth is empty too, else 0."""
    overlap, pred, truth = np.broadcast_arrays(*(np.asarray(each, float) for each in (overlap, pred, truth)))
    return np.where(pred > 0, overlap / np.maximum(pred, 1), (truth == 0).astype(float))


PRECISION = Metric(
    name="precision",
    label="Precision",
    units=frozenset({"slice", "scan", "patient", "pooled"}),
    measured_in=None,
    range=(0.0, 1.0),
    higher_is_better=True,
    empty_value=1.0,
    function=share_right,
    fraction=lambda overlap, pred, truth: (np.asarray(overlap, float), np.asarray(pred, float)),
)


@pytest.fixture
def hand(tmp_path, monkeypatch) -> RunFolder:
    """Pixels of `pet` per test slice, at 0.15: overlap 3 0 1 0, predicted 3 0 2 2; at 0.5: 2 0 1 0 of 2 0 2 2."""
    monkeypatch.setitem(METRICS, "precision", PRECISION)
    run = hand_run(tmp_path)
    write_tables(run)
    check_tables(run)
    return run


def test_it_stands_behind_the_others_and_is_described(hand):
    metrics, names = list(METRICS), schema("pooled").names
    assert metrics[:2] == ["dice", "jaccard"] and metrics[-1] == "precision"
    assert names[3 : 3 + 3 * len(metrics)] == [
        *metrics,
        *(f"{name}_{end}" for name in metrics for end in ("low", "high")),
    ]
    assert {f"precision_repeats_{name}" for name in ("median", "q25", "q75", "mean", "sd", "min", "max")} < {
        *names
    }
    assert schema("trials").field("val_precision").metadata[b"description"].startswith(b"pooled Precision")
    told = schema("comparisons").field("metric").metadata[b"description"].decode()
    assert (
        told == f"name of the metric compared: {' or '.join(METRICS)}, or of whole test scans, {OF_PATIENTS}"
    )


def test_its_values_by_hand(hand):
    pooled = row(hand, "pooled", variant="pet", split="test")
    assert pooled["precision"] == pytest.approx(4 / 7)
    # Patient c alone scores 3/3, d alone 1/4: left out, the other one stands twice.
    shares = (3 / 7) ** 2 + (4 / 7) ** 2
    jackknife, even = ((1 / 4 - 4 / 7) ** 2 + (1 - 4 / 7) ** 2) / 2, (1 - 1 / 4) ** 2 / 2 * shares
    half = scipy.stats.t.ppf(0.975, 1) * np.sqrt(0.75 * jackknife + 0.25 * even) / (4 / 7 * 3 / 7)
    ends = [expit(logit(4 / 7) - half), expit(logit(4 / 7) + half)]
    assert [pooled["precision_low"], pooled["precision_high"]] == pytest.approx(ends)
    assert (pooled["precision_at_half"], pooled["precision_repeats_median"]) == pytest.approx((0.5, 0.5))
    chosen = rows(hand, "slices", variant="pet", split="test", threshold=0.15)
    assert [each["precision"] for each in chosen] == pytest.approx([1, 1, 1 / 2, 0])
    by_set = row(hand, "per_slice", variant="pet", split="test", slice_set="lesion")
    assert by_set["precision_mean"] == pytest.approx(0.5)
    assert by_set["precision_sd"] == pytest.approx(0.5)
    trial = row(hand, "trials", trial_id="pet-f0-r00")
    assert (trial["val_precision"], trial["test_precision"]) == (1.0, 0.5)
    thresholds = {each["threshold"]: each for each in rows(hand, "thresholds", variant="pet", split="test")}
    assert thresholds[0.15]["precision"] == pytest.approx(4 / 7)
    read = row(hand, "protocol", variant="pet", reading="corrected")
    assert (read["precision"], read["precision_sd"]) == pytest.approx((0.5, 0.5))
    assert read["pooled_precision"] == pytest.approx(4 / 7)


def test_pairs_are_compared_by_it(hand):
    assert len(rows(hand, "comparisons", metric="precision")) == 3 * 4
    slices = row(hand, "comparisons", metric="precision", slice_set="all", unit="slice")
    assert slices["difference"] == pytest.approx((1 + 1 + 1 / 2 + 0) / 4 - 1)
    repeats = row(hand, "comparisons", metric="precision", slice_set="all", method="bootstrap")
    assert repeats["difference"] == pytest.approx(0.5 - 1)


def test_a_record_holds_it(hand):
    levels, masks = np.array([[[65535, 65535, 0]]], np.uint16), np.array([[[1, 0, 1]]], np.uint8)
    found = score_trial(levels, masks, ["test"])["scores"]["test"]
    assert found.keys() == METRICS.keys()
    assert [found[name] for name in ("dice", "jaccard", "precision")] == pytest.approx([1 / 2, 1 / 3, 1 / 2])


def test_where_it_has_no_value_it_is_null(hand):
    add_failure(hand, Trial("pet", 0, 0), "ValueError: x")
    write_tables(hand)
    check_tables(hand)
    assert row(hand, "pooled", variant="pet", split="test")["precision_at_half"] is None
    assert row(hand, "trials", trial_id="pet-f0-r00")["test_precision"] is None
    with pytest.raises(ValueError, match="column dice of table pooled holds NaN"):
        table_bytes("pooled", pa.table({"variant": ["pet", "mri"], "dice": [0.5, np.nan]}))


def test_a_metric_stands_only_in_tables_of_its_levels(tmp_path, monkeypatch):
    only_pooled = replace(PRECISION, units=frozenset({"pooled"}))
    monkeypatch.setitem(METRICS, "precision", only_pooled)
    run = hand_run(tmp_path)
    write_tables(run)
    check_tables(run)
    assert "precision" in read_table(run, "pooled").column_names
    assert "precision" not in read_table(run, "slices").column_names
    assert "precision_mean" not in read_table(run, "per_slice").column_names
    assert {each["method"] for each in rows(run, "comparisons", metric="precision")} == {
        "bootstrap",
        "two_way_t",
    }


@pytest.mark.parametrize("build", [table_of_rows, table_of_parts])
def test_a_row_gives_every_column_of_its_table_and_no_other(build):
    row = {"trial_id": "pet-f0-r00", "variant": "pet", "fold": 0, "repeat": 0, "epoch": np.array([1])}
    row |= {"train_loss": None, "val_loss": None, "seconds": 1.0, "speed": 1.0}
    with pytest.raises(ValueError, match=r"`epochs`.*absent are val_soft_jaccard, unknown speed"):
        build("epochs", [row])
    with pytest.raises(ValueError, match="absent are none, unknown speed"):
        build("epochs", [row | {"val_soft_jaccard": None}])


def of_patients(metric: Metric, a: Counts, b: Counts) -> Comparison:
    """What a study of two variants and all their repeats tells of a metric, by the test over patients and repeats."""
    study = study_of("s", evaluation={"margin": 0.05})
    sides = [Side(name, None, None, {"all": each}, False) for name, each in (("a", a), ("b", b))]
    return TESTS["patient", "two_way_t"](study, *sides, "all")[metric.name]


def test_a_patient_without_a_predicted_pixel_stops_no_table(monkeypatch):
    """Precision is overlap by prediction: of a lesion that one repeat did not mark it was 0 / 0, and an error."""
    monkeypatch.setitem(METRICS, "precision", PRECISION)
    truth = np.array([[5, 6, 7]] * 2)
    a = Counts(np.array([[3, 0, 6], [4, 5, 5]]), np.array([[4, 0, 7], [5, 6, 6]]), truth)
    b = Counts(a.overlap, a.pred + 1, truth)
    found = of_patients(PRECISION, a, b)
    # Training by training: b's first and second, of the three patients, the missed one a tie with itself at 0.
    scores_a, scores_b = (share_right(each.overlap, each.pred, each.truth) for each in (a, b))
    pairs = scores_a[:, None] - scores_b[None]
    assert found.better == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_better_is_lower_where_lower_values_are():
    """1 - Dice as a metric: of the variant that is better in all patients it said 0, and Dice 1."""

    def lost(overlap, pred, truth):
        overlap, pred, truth = (np.asarray(each, float) for each in (overlap, pred, truth))
        return pred + truth - 2 * overlap, pred + truth

    missed = replace(
        PRECISION,
        name="lost",
        higher_is_better=False,
        function=lambda *counts: np.divide(*lost(*counts)),
        fraction=lost,
    )
    random = np.random.default_rng(0)
    truth = np.array([[50, 60, 70, 40]] * 3)
    a, b = (Counts(truth - less - random.integers(0, 5, truth.shape), truth, truth) for less in (10, 25))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METRICS, "lost", missed)
        found = [of_patients(each, a, b) for each in (METRICS["dice"], missed)]
    assert [each.better for each in found] == [1.0, 1.0]
    assert found[0].difference == pytest.approx(-found[1].difference)
