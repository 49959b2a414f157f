"""Repeats that share their seeds: in which trials, and how variants of such a study are compared."""

import re

import numpy as np
import pytest
from run_folders import add_failure, random_run, small_study
from small_tables import check_tables, row, rows

import hnscc
from hnscc.aggregation.build import write_tables
from hnscc.aggregation.columns import column
from hnscc.base.errors import InputError
from hnscc.scores.crossed import mean_difference, pooled_difference
from hnscc.scores.forecasts import design_of, smallest_seen
from hnscc.scores.needed import repeats_needed
from hnscc.study.identity import trial_seeds
from hnscc.study.trials import Trial, trials_of

# What stands in brackets in the meaning of a column, and names methods of `comparisons`.
METHODS = re.compile(r"\((?=[^()]*(?:two_way_t|wilcoxon|bootstrap))[^()]*\)")


def paired_study(number, **settings):
    return small_study(("pet", "mri"), repeats={"number": number, "paired": True}, **settings)


def test_repeat_r_of_all_variants_shares_its_seeds_and_no_other():
    study = paired_study(3, split={"folds": 2})
    seeds = {(t.variant, t.fold, t.repeat): trial_seeds(study, t) for t in trials_of(study)}
    assert len(seeds) == 2 * 2 * 3
    for fold in range(2):
        for repeat in range(3):
            assert seeds["pet", fold, repeat] == seeds["mri", fold, repeat]
    assert len({each["trial"] for each in seeds.values()}) == 6
    alone = small_study(("pet", "mri"), repeats={"number": 3, "paired": False})
    usual = small_study(("pet", "mri"), repeats=3)
    for trial in trials_of(usual):
        assert trial_seeds(alone, trial) == trial_seeds(usual, trial) != trial_seeds(study, trial)
    assert (
        not alone.paired
        and study.paired
        and paired_study(50)
        == small_study(
            repeats={"paired": True}, variants={name: {"modalities": ["pet"]} for name in ("pet", "mri")}
        )
    )


@pytest.mark.parametrize(
    "repeats", [{"paired": "yes"}, {"paired": True, "until": 0.1}, {"paired": True, "number": 0}]
)
def test_what_is_no_paired_repeats_is_refused(repeats):
    with pytest.raises(InputError, match="repeats"):
        small_study(repeats=repeats)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Seven repeats, of which repeat 2 of `mri` and repeat 5 of `pet` failed."""
    run = random_run(tmp_path_factory.mktemp("paired"), paired_study(7), patients=24)
    for trial in (Trial("mri", 0, 2), Trial("pet", 0, 5)):
        add_failure(run, trial, "Traceback\nRuntimeError: no")
    write_tables(run)
    check_tables(run)
    return run


def counted(run, variant, repeats):
    """Pixels of overlap, prediction and truth, each (R, P), from the rows of table `patients` at 0.5."""
    found = {
        (each["repeat"], each["patient_id"]): [each[f"{name}_px"] for name in ("overlap", "pred", "truth")]
        for each in rows(run, "patients", variant=variant, split="test", threshold=0.5)
    }
    patients = sorted({patient for _, patient in found})
    table = np.array([[found[repeat, patient] for patient in patients] for repeat in repeats])
    return tuple(np.moveaxis(table, 2, 0))


def test_the_main_test_pairs_and_leaves_a_repeat_that_one_lacks_out_of_both(run):
    both = [0, 1, 3, 4, 6]
    found = row(run, "comparisons", metric="dice", slice_set="all", method="two_way_t")
    a, b = (counted(run, variant, both) for variant in ("pet", "mri"))
    expected = pooled_difference(a, b, paired=True)
    assert found["paired"] and (found["repeats_a"], found["repeats_b"]) == (5, 5)
    assert [found[name] for name in ("difference", "low", "high", "p")] == pytest.approx(
        [expected.value, expected.low, expected.high, expected.p]
    )
    assert found["p"] != pytest.approx(pooled_difference(a, b).p), "not what the unpaired test would say"
    seen = smallest_seen(design_of(expected, paired=True), expected.patients, 5)
    assert found["smallest_seen"] == pytest.approx(seen)


def test_so_does_the_test_of_whole_scans(run):
    both = [0, 1, 3, 4, 6]
    found = row(run, "comparisons", metric="fp_ml", method="two_way_t")
    values = []
    for variant in ("pet", "mri"):
        of = {
            (each["repeat"], each["patient_id"]): each["fp_ml"]
            for each in rows(run, "patients", variant=variant, split="test", threshold=0.5)
        }
        patients = sorted({patient for _, patient in of})
        values.append([[of[repeat, patient] for patient in patients] for repeat in both])
    expected = mean_difference(*values, paired=True)
    assert found["paired"] and found["p"] == pytest.approx(expected.p)
    assert {each["paired"] for each in rows(run, "comparisons", method="wilcoxon")} == {None}


@pytest.mark.parametrize("paired", [True, False])
def test_fewer_than_five_pairs_and_repeats_that_share_no_seeds_are_compared_as_unpaired_ones(
    tmp_path, paired
):
    study = paired_study(4) if paired else small_study(("pet", "mri"), repeats=5)
    run = random_run(tmp_path, study, patients=24)
    write_tables(run)
    found = row(run, "comparisons", metric="dice", slice_set="all", method="two_way_t")
    a, b = (counted(run, variant, range(study.most_repeats)) for variant in ("pet", "mri"))
    assert found["paired"] is False
    assert found["p"] == pytest.approx(pooled_difference(a, b).p)


def test_forecasts_know_pairs(run):
    both = [0, 1, 3, 4, 6]
    (pair,) = hnscc.plan(run.root, see=0.02)["pairs"]
    pilot = pooled_difference(*(counted(run, variant, both) for variant in ("pet", "mri")), paired=True)
    assert pair["repeats_a"] == pair["repeats_b"] == 5
    expected = repeats_needed(pilot, 0.02, pilot.patients, paired=True)
    assert pair["repeats_needed"]["value"] == expected.value
    design, unpaired = design_of(pilot, paired=True), design_of(pilot)
    assert smallest_seen(design, 10, 5) > smallest_seen(unpaired, 10, 5), (
        "pairs have fewer degrees of freedom"
    )


@pytest.mark.parametrize("method", ["two_way_t", "wilcoxon", "bootstrap"])
def test_what_a_method_does_not_give_is_said_in_the_meaning_of_the_column(run, method):
    """Rows by wilcoxon had no interval and no reason, and the table said that one stands beside every null."""
    whole = [each for each in rows(run, "comparisons", method=method) if each["reason"] is None]
    never = {name for name in whole[0] if all(each[name] is None for each in whole)} - {"reason"}
    unsaid = {"margin", "p_equal", "p_equal_holm"}  # the study names no margin
    not_given = {
        name
        for name in whole[0]
        if (methods := METHODS.findall(column("comparisons", name)[1])) and method not in " ".join(methods)
    }
    assert never - unsaid == not_given - unsaid
