"""The tables of a random study: against SciPy and SQL, byte for byte again, and of a damaged fold."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats
from run_folders import random_run, small_study
from small_tables import check_tables, row, rows

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.query import query
from hnscc.aggregation.schemas import STUDY_TABLES
from hnscc.base.errors import InputError, StorageError
from hnscc.base.files import read_sealed, write_sealed
from hnscc.scores.better import equivalence
from hnscc.scores.crossed import pooled_difference, pooled_interval
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study


@pytest.fixture(scope="module")
def study() -> Study:
    evaluation = {"cutoff_px": 2, "bootstraps": 200, "margin": 0.1}
    return small_study(("pet", "mri", "pet_mri"), repeats=3, evaluation=evaluation)


@pytest.fixture(scope="module")
def run(tmp_path_factory, study) -> RunFolder:
    run = random_run(tmp_path_factory.mktemp("random"), study, patients=24)
    write_tables(run)
    return run


def test_comparisons_of_a_whole_study(tmp_path, run):
    check_tables(run)
    assert not [each for each in rows(run, "comparisons", method="bootstrap") if each["p"] is not None]
    evaluation = {"cutoff_px": 2, "bootstraps": 200, "margin": 0.1}
    study = small_study(("pet", "mri", "pet_mri"), repeats=4, evaluation=evaluation)
    run = random_run(tmp_path, study, patients=24)
    write_tables(run)
    check_tables(run)
    pairs = [(each["variant_a"], each["variant_b"]) for each in rows(run, "comparisons")]
    assert list(dict.fromkeys(pairs)) == [("pet", "mri"), ("pet", "pet_mri"), ("mri", "pet_mri")]
    for unit, method in (
        *(("slice", "wilcoxon"), ("patient", "wilcoxon")),
        *(("patient", "two_way_t"), ("patient", "bootstrap")),
    ):
        family = rows(run, "comparisons", metric="dice", slice_set="all", unit=unit, method=method)
        for name in ("p", "p_equal") if method == "two_way_t" else ("p",):
            low, middle, high = sorted(each[name] for each in family)
            expected = np.maximum.accumulate(np.minimum([3 * low, 2 * middle, high], 1))
            corrected = {each[name]: each[f"{name}_holm"] for each in family}
            assert [corrected[each] for each in (low, middle, high)] == pytest.approx(expected)
            assert sorted(each[f"{name}_holm"] for each in family) == pytest.approx(expected)
    assert all(each["low"] <= each["difference"] <= each["high"] for each in family)


def counted(run, variant):
    """Pixels of overlap, prediction and truth (R, P) of a variant's test patients at 0.5, summed by hand."""
    sums: dict[tuple[int, str], list[int]] = {}
    for each in rows(run, "slices", variant=variant, split="test", threshold=0.5):
        pixels = sums.setdefault((each["repeat"], each["patient_id"]), [0, 0, 0])
        for part, name in enumerate(("overlap_px", "pred_px", "truth_px")):
            pixels[part] += each[name]
    patients = sorted({patient for _, patient in sums})
    repeats = sorted({repeat for repeat, _ in sums})
    table = np.array([[sums[repeat, patient] for patient in patients] for repeat in repeats])
    return tuple(np.moveaxis(table, 2, 0))


def test_the_main_test_is_that_of_the_patients_rows_summed_by_hand(run):
    for kind in ("dice", "jaccard"):
        found = row(
            run,
            "comparisons",
            metric=kind,
            slice_set="all",
            method="two_way_t",
            variant_a="pet",
            variant_b="mri",
        )
        expected = pooled_difference(counted(run, "pet"), counted(run, "mri"), metric=kind)
        assert [
            found[name] for name in ("difference", "low", "high", "p", "effective_patients")
        ] == pytest.approx(
            [expected.value, expected.low, expected.high, expected.p, expected.effective_patients]
        )
        assert (found["repeats_a"], found["repeats_b"]) == (3, 3)
        assert (
            found["low"] <= found["difference"] <= found["high"] < found["low"] + 4 * found["smallest_seen"]
        )
        assert (found["margin"], found["p_equal"]) == (0.1, pytest.approx(equivalence(expected, 0.1)))


def test_the_chance_to_be_better_is_that_of_the_patients_dice_at_one_half(run):
    found = row(
        run,
        "comparisons",
        metric="dice",
        slice_set="all",
        method="two_way_t",
        variant_a="pet",
        variant_b="mri",
    )
    dice = []
    for variant in ("pet", "mri"):
        overlap, pred, truth = counted(run, variant)
        with_lesion = truth[0] > 0
        dice.append((2 * overlap / (pred + truth))[:, with_lesion])
    pairs = [(a > b) + (a == b) / 2 for a in dice[0] for b in dice[1]]
    assert found["better"] == pytest.approx(np.mean(pairs))
    assert found["better_low"] < found["better"] < found["better_high"]


def test_a_variants_interval_over_patients_and_repeats_is_that_of_the_same_rows(run):
    found = row(run, "pooled", variant="pet", split="test")
    expected = pooled_interval(*counted(run, "pet"))
    assert found["dice_repeats_mean"] == pytest.approx(expected.value)
    assert [found["dice_repeats_low"], found["dice_repeats_high"]] == pytest.approx(
        [expected.low, expected.high]
    )


def test_wilcoxon_over_slices_is_scipys_on_the_slices_table(run):
    thresholds = {each["variant"]: each["threshold"] for each in rows(run, "pooled", split="test")}
    medians = {each["variant"]: each["trial_id"] for each in rows(run, "trials", is_median=True)}
    a, b = (
        np.array(
            [
                each["dice"]
                for each in rows(
                    run, "slices", trial_id=medians[name], threshold=thresholds[name], split="test"
                )
                if each["truth_px"]
            ]
        )
        for name in ("pet", "pet_mri")
    )
    found = row(
        run,
        "comparisons",
        variant_a="pet",
        variant_b="pet_mri",
        metric="dice",
        slice_set="lesion",
        unit="slice",
    )
    theirs = scipy.stats.wilcoxon(np.round(a - b, 12))
    assert (found["n"], found["p"], found["statistic"]) == (len(a), theirs.pvalue, theirs.statistic)
    assert found["difference"] == pytest.approx(np.mean(a) - np.mean(b))


def test_slices_agree_with_pooled_through_sql(run):
    found = query(
        run,
        """SELECT t.variant, 2 * sum(overlap_px) / (sum(pred_px) + sum(truth_px)) AS dice,
        any_value(t.test_dice) AS kept FROM slices s JOIN trials t USING (trial_id)
        WHERE s.split = 'test' AND threshold = 0.5 GROUP BY t.variant, t.repeat""",
    ).to_pylist()
    assert len(found) == 9
    assert all(each["dice"] == pytest.approx(each["kept"]) for each in found)


def without_seconds(path: Path) -> bytes:
    table = pq.read_table(path)
    if "seconds" in table.column_names:
        table = table.drop_columns("seconds")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def test_the_same_trials_give_the_same_bytes(run, study, tmp_path):
    copy = RunFolder(shutil.copytree(run.root, tmp_path / "elsewhere"))
    shutil.rmtree(copy.tables)
    write_tables(copy)
    for name in STUDY_TABLES:
        assert copy.table(name).read_bytes() == run.table(name).read_bytes(), name
    record = copy.trial("pet-f0-r01").record
    attempts = [{"node": "n", "pid": 1, "gpus": 0.5, "from_epoch": epoch} for epoch in (1, 2)]
    write_sealed(record, read_sealed(record) | {"seconds": 99.0, "attempts": attempts})
    write_tables(copy)
    assert copy.table("trials").read_bytes() != run.table("trials").read_bytes()
    for name in STUDY_TABLES:
        assert without_seconds(copy.table(name)) == without_seconds(run.table(name)), name
    assert not list(copy.tables.glob(".*"))


def test_tables_open_with_pandas(run):
    import pandas as pd

    assert pd.read_parquet(run.table("pooled"))["dice"].notna().all()
    assert pd.read_parquet(run.tables / "slices.parquet")["outcome"].isin(["tp", "tn", "fp", "fn"]).all()


def test_a_damaged_fold_is_refused_and_old_tables_are_kept(run, tmp_path):
    copy = RunFolder(shutil.copytree(run.root, tmp_path / "damaged"))
    before = copy.table("pooled").read_bytes()
    truth = copy.fold(0).truth
    truth.write_bytes(truth.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"truth\.npz is not what was written"):
        write_tables(copy)
    truth.unlink()
    truth.symlink_to("/proc/self/mem")  # of which no first byte can be read: EIO, as of a disk that is gone
    with pytest.raises(StorageError, match="does not answer"):
        write_tables(copy)
    truth.unlink()
    truth.mkdir()
    with pytest.raises(InputError, match=r"truth\.npz cannot be read \(IsADirectoryError\)"):
        write_tables(copy)
    for junk in ("{ not whole", "[]", "{}", '{"digest": "d", "files": [], "warnings": []}'):
        copy.fold(0).split.write_text(junk)
        with pytest.raises(InputError, match=r"split\.json (that|whose)") as caught:
            write_tables(copy)
        assert caught.value.where == "folds/f0" and str(tmp_path) not in str(caught.value)
    copy.fold(0).split.unlink()
    with pytest.raises(InputError, match=r"no split\.json"):
        write_tables(copy)
    assert copy.table("pooled").read_bytes() == before
