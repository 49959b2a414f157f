"""`hnscc plan`: what a finished study tells of the next one."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from run_folders import add_trial, levels_of, noisy_levels, random_run, small_study
from typer.testing import CliRunner

import hnscc
from hnscc.aggregation.build import write_tables
from hnscc.aggregation.enough_repeats import repeats_shown
from hnscc.aggregation.query import read_table
from hnscc.aggregation.results import read_trials
from hnscc.base.errors import InputError
from hnscc.commands.cli import app
from hnscc.commands.printed_studies import lines_of_plan
from hnscc.study.loading import load_study
from hnscc.study.trials import trials_of


def pilot(folder):
    """Equal variants whose trainings differ: each repeat is blurred by its own strength. Without tables."""
    study = small_study(repeats=5)
    run = random_run(folder, study, patients=30)
    masks = np.load(run.fold(0).truth)["masks"]
    for trial in trials_of(study):
        rng = np.random.default_rng([trial.repeat, trial.variant == "pet"])
        add_trial(run, study, trial, noisy_levels(masks, rng, noise=rng.uniform(0.23, 0.27)))
    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = pilot(tmp_path_factory.mktemp("plan"))
    write_tables(run)
    return run


def test_what_the_pilot_itself_sees_is_what_the_table_says(finished):
    (pair,) = hnscc.plan(finished.root, see=0.02)["pairs"]
    rows = read_table(finished, "comparisons").to_pylist()
    (row,) = [
        each
        for each in rows
        if (each["metric"], each["slice_set"], each["method"]) == ("dice", "all", "two_way_t")
    ]
    assert pair["seen_from"] == pytest.approx(row["smallest_seen"])
    assert pair["difference"] == pytest.approx(row["difference"])
    assert pair["repeats_a"] == pair["repeats_b"] == row["repeats_a"] == 5


@pytest.fixture(scope="module")
def unlike(tmp_path_factory):
    """The same, of which one variant has 2 repeats and the other 5."""
    run = pilot(tmp_path_factory.mktemp("unlike"))
    for repeat in (2, 3, 4):
        shutil.rmtree(run.trial(f"pet-f0-r{repeat:02d}").root)
    write_tables(run)
    return run


def test_of_unlike_numbers_of_repeats_every_line_says_the_same(unlike):
    """What the study sees went by their harmonic mean, the patients needed by the fewer: the study saw from 0.132 on,
    and for 0.15 not even 10000 patients sufficed."""
    (row,) = [
        each
        for each in read_table(unlike, "comparisons").to_pylist()
        if (each["metric"], each["slice_set"], each["method"]) == ("dice", "all", "two_way_t")
    ]
    own = row["smallest_seen"]
    plan = hnscc.plan(unlike.root, see=own + 1e-6, patients=10)
    (pair,) = plan["pairs"]
    assert (pair["repeats_a"], pair["repeats_b"]) == (row["repeats_a"], row["repeats_b"]) == (2, 5)
    assert pair["seen_from"] == pytest.approx(own)
    assert pair["patients_needed"]["value"] <= pair["patients"] == 10
    planned = pair["planned"]
    assert (planned["repeats_a"], planned["repeats_b"], planned["seen_from"]) == (2, 5, pytest.approx(own))
    told = "\n".join(lines_of_plan(plan))
    assert "this study (10 patients with lesion, 2 and 5 repeats) sees differences from" in told
    assert "patients with lesion, at 2 and 5 repeats: about" in told
    assert "10 patients, 2 and 5 repeats: differences from" in told


def test_what_twice_as_many_would_see_is_asked_of_the_design_itself(unlike):
    """More patients were said to help most, by their share of the variance, also where they let a study see less."""
    (pair,) = (plan := hnscc.plan(unlike.root, patients=20))["pairs"]
    assert pair["of_twice_patients"] == pair["planned"]["seen_from"] > pair["seen_from"]
    assert pair["of_twice_repeats"] < pair["seen_from"]
    told = (
        f"from {pair['seen_from']:.3f} on; with twice the patients from {pair['of_twice_patients']:.3f} on, "
        f"with twice the repeats from {pair['of_twice_repeats']:.3f} on"
    )
    assert told in lines_of_plan(plan)[1]


@pytest.mark.slow
def test_less_to_see_needs_more(finished):
    (small,), (large,) = (hnscc.plan(finished.root, see=see)["pairs"] for see in (0.02, 0.1))
    # Trainings differ by so much that no number of patients makes up for five of them; more repeats do.
    assert small["patients_needed"]["value"] is None
    assert "not even 10000 suffice: so few repeats" in small["patients_needed"]["reason"]
    needed, fewer = small["repeats_needed"], large["repeats_needed"]
    assert needed["low"] <= needed["value"] <= needed["high"]
    assert fewer["value"] < small["repeats_a"] < needed["value"]
    assert large["patients_needed"]["value"] < small["patients"]


@pytest.mark.slow
def test_where_neither_suffices_alone_both_are_told_together(finished):
    """Each line had said that the other number was what is short."""
    plan = hnscc.plan(finished.root, see=0.005)
    (pair,) = plan["pairs"]
    assert pair["patients_needed"]["value"] is pair["repeats_needed"]["value"] is None
    repeats, patients = pair["smallest_study"]["repeats"], pair["smallest_study"]["patients_needed"]["value"]
    assert repeats > pair["repeats_a"] and patients > pair["patients"]
    (planned,) = hnscc.plan(finished.root, see=0.005, patients=patients, repeats=repeats)["pairs"]
    assert 0.8 <= planned["planned"]["chance"] < 0.805
    told = "\n".join(lines_of_plan(plan))
    assert (
        f"neither alone suffices, so more of both: {repeats:,} repeats of each, and patients with lesion about"
        in told
    )
    assert f"about {patients} (" in told and "the other number" not in told


def test_a_collapsed_variant_gets_no_number(finished, tmp_path):
    study = small_study(repeats=4)
    run = random_run(tmp_path, study, patients=24)
    masks = np.load(run.fold(0).truth)["masks"]
    for trial in trials_of(study):
        if trial.variant == "pet":
            add_trial(run, study, trial, levels_of(np.zeros(masks.shape)))
    (pair,) = hnscc.plan(run.root, patients=30)["pairs"]
    assert "pet mostly collapsed" in pair["reason"] and pair["collapsed"] == {"pet": 4}
    for needed in (pair["patients_needed"], pair["repeats_needed"]):
        assert needed == {"value": None, "low": None, "high": None, "reason": pair["reason"]}
    assert pair["seen_from"] is pair["planned"] is pair["of_twice_patients"] is pair["smallest_study"] is None


@pytest.mark.parametrize(("patients", "reason"), [(9, "no p from 3 patients, 4 are needed"), (12, None)])
def test_a_pilot_without_p_gets_no_number(tmp_path, patients, reason):
    """A third of the patients is tested, and all of them hold lesion."""
    (pair,) = hnscc.plan(random_run(tmp_path, small_study(repeats=2), patients=patients).root)["pairs"]
    assert pair["reason"] == reason and (pair["seen_from"] is None) == (reason is not None)
    assert pair["repeats_needed"]["reason"] == reason


def test_a_pair_that_hardly_overlaps_lesion_gets_no_number(tmp_path):
    """Half of the trainings of both collapsed: 4 patients and 2 repeats were said to suffice."""
    study = small_study(repeats=4)
    run = random_run(tmp_path, study, patients=24)
    masks = np.load(run.fold(0).truth)["masks"]
    for trial in trials_of(study):
        shown = np.zeros(masks.shape)
        shown[:, 0, 0] = trial.repeat % 2 or trial.variant == "pet"
        add_trial(run, study, trial, levels_of(shown))
    (pair,) = hnscc.plan(run.root)["pairs"]
    assert pair["reason"].startswith("both hardly overlap the lesions (median test Dice 0.0")
    assert pair["patients_needed"]["value"] is pair["smallest_study"] is pair["seen_from"] is None


@pytest.mark.slow
def test_a_single_collapsed_training_is_told(tmp_path):
    study = small_study(repeats=4)
    run = random_run(tmp_path, study, patients=24)
    masks = np.load(run.fold(0).truth)["masks"]
    trial = next(trial for trial in trials_of(study) if trial.variant == "pet")
    add_trial(run, study, trial, levels_of(np.zeros(masks.shape)))
    plan = hnscc.plan(run.root)
    assert plan["pairs"][0]["collapsed"] == {"pet": 1}
    assert "1 of the trainings of pet collapsed, and counts in every number above" in "\n".join(
        lines_of_plan(plan)
    )


@pytest.mark.slow
def test_a_given_design_sees_what_the_pilot_of_that_size_sees(finished):
    """At the pilot's own size it is the table's number; a larger study sees less, within the pilot's uncertainty."""
    (own,), (larger,) = (hnscc.plan(finished.root, see=0.02, repeats=n)["pairs"] for n in (5, 50))
    assert own["planned"]["seen_from"] == pytest.approx(own["seen_from"], rel=0.01), "but for degrees"
    assert own["of_twice_repeats"] < own["of_twice_patients"], "equal variants whose trainings differ most"
    planned = larger["planned"]
    assert (planned["patients"], planned["repeats_a"], planned["repeats_b"]) == (larger["patients"], 50, 50)
    assert planned["seen_from_low"] < planned["seen_from"] < planned["seen_from_high"]
    assert planned["seen_from"] < own["seen_from"]
    assert planned["chance_low"] < planned["chance"] < planned["chance_high"]
    (needed,) = hnscc.plan(finished.root, see=planned["seen_from"])["pairs"]
    assert needed["repeats_needed"]["value"] == 50, "the two ways to ask agree"


@pytest.mark.parametrize(("size", "words"), [({"patients": 3}, "at least 4"), ({"repeats": 1}, "at least 2")])
def test_a_size_that_is_not_tested_is_refused(finished, size, words):
    with pytest.raises(InputError, match=words):
        hnscc.plan(finished.root, **size)


def test_one_variant_is_no_pilot(tmp_path):
    run = random_run(tmp_path, small_study(("pet",), repeats=2), patients=12)
    with pytest.raises(InputError, match="no difference between variants"):
        hnscc.plan(run.root)


def test_half_width_is_what_check_tells_and_needs_no_second_variant(finished, tmp_path):
    found = hnscc.plan(finished.root, half_width=0.02)["repeats_for_width"]
    study = load_study(finished.study)
    assert found["half_width"] == 0.02
    for name, each in repeats_shown(read_trials(finished, study)).items():
        needed = asdict(each.repeats_for_width(0.02))
        assert found["variants"][name] == {"pilot": needed.pop("pilot_repeats")} | needed
        assert each.scores and found["variants"][name]["repeats"] >= 6
    alone = random_run(tmp_path, small_study(("pet",), repeats=4), patients=12)
    told = CliRunner().invoke(app, ["plan", str(alone.root), "--half-width", "0.02"])
    assert told.exit_code == 0 and "To see" not in told.output
    aim = "the median test Dice within 0.02 to either side (95 %), which half of such sets reach, needs about"
    assert f"repeats: pet: {aim}" in told.output
    before = CliRunner().invoke(app, ["plan", str(alone.root), "--precision", "0.02"])
    assert before.output == told.output, "what the option was called before still works"
    assert "--precision" not in CliRunner().invoke(app, ["plan", "--help"]).output
    other = CliRunner().invoke(app, ["status", str(alone.root), "--precision", "0.02"])
    assert other.exit_code == 2 and "half-width" not in other.output, "no option that status had"


def test_of_several_pairs_it_is_told_that_holm_is_not_in_the_forecast(tmp_path):
    """A difference that 80 of 100 studies find holds up in about half of these where six pairs are compared."""
    run = random_run(tmp_path, small_study(("pet", "mri", "ct"), repeats=2), patients=12)
    told = CliRunner().invoke(app, ["plan", str(run.root)])
    assert "in 80 of 100 studies (p below 0.05 of a pair by itself: after Holm's correction" in told.output


def test_the_command_tells_it_in_sentences_and_as_json(finished):
    told = CliRunner().invoke(app, ["plan", str(finished.root), "--see", "0.1"])
    assert told.exit_code == 0
    assert "To see a difference of 0.1 in pooled Dice in 80 of 100 studies:" in told.output
    assert "patients with lesion, at 5 repeats: about" in told.output
    found = json.loads(
        CliRunner().invoke(app, ["plan", str(finished.root), "--see", "0.05", "--json"]).output
    )
    assert found == hnscc.plan(finished.root, see=0.05)


@pytest.mark.parametrize(
    "asked, found",
    [
        ({"see": 0.0}, "0"),
        ({"see": float("nan")}, "nan"),
        ({"power": 1.0}, "1"),
        ({"half_width": -0.02}, "-0.02"),
        ({"half_width": 0.0}, "0"),
        ({"half_width": "0.02"}, "'0.02'"),
    ],
)
def test_numbers_beyond_the_limits_of_the_command_are_refused_in_python_too(finished, asked, found):
    """A half width of -0.02 was answered as 0.02, one of 0 divided by it."""
    with pytest.raises(InputError) as caught:
        hnscc.plan(finished.root, **asked)
    (name,) = asked
    assert (
        caught.value.where == f"--{name.replace('_', '-')}, in Python {name}" and caught.value.found == found
    )
    if name == "half_width":
        with pytest.raises(InputError) as caught:
            hnscc.check(str(finished.study), finished.root, **asked)
        assert caught.value.where == "--half-width, in Python half_width"
