"""Comparisons of whole scans: against the rows of table `patients`, SciPy, and by hand which way is better."""

import numpy as np
import pytest
import scipy.stats
from run_folders import Slice, random_run, small_study
from small_tables import LESION, check_tables, levels, mask, row, rows, two_variants

from hnscc.aggregation.build import write_tables
from hnscc.scores.crossed import mean_difference
from hnscc.scores.patient_metrics import PATIENT_METRICS

NAMES = [each.name for each in PATIENT_METRICS]
FOUND_BY_ALL = ("lesion_sensitivity", "detected")  # here 1 of every patient in every training: nothing varies


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    study = small_study(("pet", "mri", "pet_mri"), repeats=3)
    run = random_run(tmp_path_factory.mktemp("random"), study, patients=30)
    write_tables(run)
    check_tables(run)
    return run


def f1(row):
    hits = row["lesions_found"]
    return 2 * hits / (hits + row["lesions"] + row["false_lesions"])


OF_ROW = {name: name for name in ("hd95_mm", "nsd", "fn_ml", "fp_ml", "false_lesions")} | {"lesion_f1": f1}
OF_ROW |= {"patient_dice": "dice", "patient_jaccard": "jaccard", "volume_precision": "volume_precision"}
OF_ROW |= {"volume_sensitivity": lambda row: row["overlap_ml"] / row["truth_ml"]}
OF_ROW |= {"volume_error_ml": lambda row: abs(row["pred_ml"] - row["truth_ml"])}


def table(run, variant, metric, **where):
    """Values (trials, patients) from the rows of table `patients`."""
    take = OF_ROW[metric]
    found = {}
    for each in rows(run, "patients", variant=variant, split="test", **where):
        if each["lesion"] or metric in ("fp_ml", "false_lesions"):
            found[each["repeat"], each["patient_id"]] = take(each) if callable(take) else each[take]
    patients = sorted({patient for _, patient in found})
    return np.array([[found[r, p] for p in patients] for r in sorted({r for r, _ in found})], float)


@pytest.mark.parametrize("metric", OF_ROW)
def test_the_t_test_is_that_of_the_patients_rows(run, metric):
    found = row(run, "comparisons", metric=metric, method="two_way_t", variant_a="pet", variant_b="mri")
    of = [table(run, variant, metric, threshold=0.5) for variant in ("pet", "mri")]
    expected = mean_difference(*of)
    assert found["difference"] == pytest.approx(of[0].mean() - of[1].mean())
    assert (found["n"], found["repeats_a"]) == of[0].shape[::-1]
    assert found["p"] == pytest.approx(expected.p)
    assert expected.low <= found["low"] < found["difference"] < found["high"] <= expected.high
    sign = 1 if found["higher_is_better"] else -1
    pairs = [(sign * a > sign * b) + (a == b) / 2 for a in of[0] for b in of[1]]
    assert found["better"] == pytest.approx(np.mean(pairs))


def test_wilcoxon_is_scipys_on_the_median_models_rows(run):
    thresholds = {each["variant"]: each["threshold"] for each in rows(run, "pooled", split="test")}
    a, b = (
        table(run, name, "nsd", is_median=True, threshold=thresholds[name])[0] for name in ("pet", "pet_mri")
    )
    found = row(run, "comparisons", metric="nsd", method="wilcoxon", variant_a="pet", variant_b="pet_mri")
    assert found["p"] == pytest.approx(scipy.stats.wilcoxon(a, b).pvalue)
    assert found["difference"] == pytest.approx(np.mean(a - b))


@pytest.mark.parametrize("metric", NAMES)
def test_holm_is_within_one_metric(run, metric):
    family = rows(run, "comparisons", metric=metric, method="two_way_t")
    assert len(family) == 3
    if metric in FOUND_BY_ALL:
        assert [each["p"] for each in family] == [each["p_holm"] for each in family] == [None] * 3
        assert all("neither patients nor repeats" in each["reason"] for each in family)
        return
    low, middle, high = sorted(each["p"] for each in family)
    expected = np.maximum.accumulate(np.minimum([3 * low, 2 * middle, high], 1))
    assert sorted(each["p_holm"] for each in family) == pytest.approx(expected)


def test_which_way_is_better(tmp_path):
    """`good` is perfect. `odd` misses half of every lesion of four pixels and marks a lone pixel in every slice."""
    splits = ["validation"] * 2 + ["test"] * 12
    slices = [Slice("train", "t", mask(*LESION))]
    slices += [Slice(split, f"p{i:02d}", mask(*(LESION if i % 3 else ()))) for i, split in enumerate(splits)]
    half = [dict.fromkeys(LESION[:2] if each.mask.any() else (), 900) | {15: 900} for each in slices]
    run = two_variants(tmp_path, slices, levels(*half))
    direction = {}
    for metric in PATIENT_METRICS:
        found = row(run, "comparisons", metric=metric.name, method="two_way_t")
        assert found["higher_is_better"] == metric.higher_is_better
        direction[metric.name] = (np.sign(found["difference"]), found["n"])
        assert found["better"] == (1.0 if found["difference"] else 0.5), "of `good`, whichever way is better"
    everyone, with_lesion = 12, 8
    by_hand = {
        "patient_dice": (1, with_lesion),
        "patient_jaccard": (1, with_lesion),
        "detected": (0, with_lesion),
        "volume_precision": (1, with_lesion),
        "volume_sensitivity": (1, with_lesion),
        "volume_error_ml": (-1, with_lesion),
        "hd95_mm": (-1, with_lesion),
        "assd_mm": (-1, with_lesion),
        "nsd": (0, with_lesion),
        "lesion_f1": (1, with_lesion),
        "lesion_sensitivity": (0, with_lesion),
        "fn_ml": (-1, with_lesion),
        "fp_ml": (-1, everyone),
        "false_lesions": (-1, everyone),
    }
    assert direction | by_hand == direction, (
        "a metric that is added is asked above that `good` is better by it"
    )
    missed = row(run, "comparisons", metric="fn_ml", method="two_way_t")
    assert missed["difference"] == pytest.approx(-2 * 3 * 1 * 1 / 1000), "two voxels of 3 x 1 x 1 mm"
    # Of four voxels two are marked, and one beside them: 2 x 2 of 4 + 3, 2 of 5, 2 of 3 marked, one voxel too few.
    differences = {"patient_dice": 1 - 4 / 7, "patient_jaccard": 1 - 2 / 5, "volume_precision": 1 - 2 / 3}
    differences |= {"volume_error_ml": -3 * 1 * 1 / 1000, "lesion_f1": 1 - 2 / 3}
    for metric, difference in differences.items():
        found = row(run, "comparisons", metric=metric, method="two_way_t")
        assert found["difference"] == pytest.approx(difference)
    assert row(run, "comparisons", metric="false_lesions", method="two_way_t")["difference"] == -1
    # Pooled, of 8 slices with lesion alone 2 x 16 of 24 + 32; of all 12, with 4 alarms more, of 28 + 32.
    for slice_set, dice in (("lesion", 32 / 56), ("all", 32 / 60)):
        for method in ("two_way_t", "bootstrap"):
            found = row(run, "comparisons", metric="dice", slice_set=slice_set, method=method)
            assert found["difference"] == pytest.approx(1 - dice)


def test_where_scans_are_not_whole_or_nothing_is_trained_there_is_a_reason(tmp_path):
    study = small_study(("pet", "mri"), repeats=2, evaluation={"slices": "sampled", "cutoff_px": 2})
    run = random_run(tmp_path / "sampled", study)
    write_tables(run)
    check_tables(run)
    for name in NAMES:
        for each in rows(run, "comparisons", metric=name):
            assert (each["n"], each["p"]) == (0, None) and "the sampled slices alone" in each["reason"]
    alone = two_variants(tmp_path / "alone", [Slice(*each) for each in SLICES], None)
    for name in NAMES:
        wilcoxon, t = rows(alone, "comparisons", metric=name)
        assert wilcoxon["reason"] == "odd: no completed trial"
        assert t["reason"] == "odd: no repeat is completed in every fold"


SLICES = [(split, split, mask(*LESION)) for split in ("train", "validation", "test")]


def test_patients_own_dice_stands_apart_from_the_pooled_one(run):
    pair = {"variant_a": "pet", "variant_b": "mri", "method": "two_way_t"}
    own = row(run, "comparisons", metric="patient_dice", **pair)
    pooled = row(run, "comparisons", metric="dice", slice_set="all", **pair)
    assert own["difference"] != pytest.approx(pooled["difference"])
    assert own["effective_patients"] is None, "every patient weighs alike"
    assert pooled["effective_patients"] < pooled["n"]


def test_a_patient_whose_lesion_is_not_touched_is_not_detected(tmp_path):
    """`odd` marks a voxel beside each lesion, and of four of the eight lesions nothing else; nor does it in four
    patients without lesion."""
    slices = [Slice("train", "t", mask(*LESION)), Slice("validation", "v", mask(*LESION))]
    slices += [Slice("test", f"p{i}", mask(*LESION)) for i in range(8)]
    marked = [dict.fromkeys(LESION if i % 2 else (), 900) | {15: 900} for i in range(len(slices))]
    slices += [Slice("test", f"q{i}", mask()) for i in range(4)]
    run = two_variants(tmp_path, slices, levels(*marked, *[{}] * 4))
    found = row(run, "comparisons", metric="detected", method="two_way_t")
    assert (found["difference"], found["n"], found["higher_is_better"]) == (4 / 8, 8, True)
    assert row(run, "comparisons", metric="volume_precision", method="two_way_t")["difference"] == (
        pytest.approx(1 - (4 * 0 + 4 * 4 / 5) / 8)
    )
    pooled = row(run, "comparisons", metric="dice", slice_set="all", method="two_way_t")
    assert (pooled["n"], pooled["better"]) == (12, 1.0), "of those with lesion; the other four are ties"
