"""Ranges and what they give: configurations that can be trained, or one clear error."""

import math

import pytest
import yaml
from searches import error_of, searched

from hnscc.base.errors import InputError
from hnscc.searching.configurations import columns_of
from hnscc.study.identity import trial_seeds
from hnscc.study.loading import load_study, parse_study
from hnscc.study.range_checks import check_search
from hnscc.study.ranges import (
    base_of,
    nested,
    number_kept,
    rungs_of,
    variants_to_try,
    winners_file,
    with_configurations,
)
from hnscc.study.trials import Trial
from hnscc.study.variant_schema import Variant
from rayjobs.proposals import proposer


def test_ranges_of_every_kind_give_variants_that_can_be_trained():
    study = searched()
    check_search(study)
    for settings in proposer(study)([], 6):
        variant = with_configurations(study, [settings]).variants["c00"]
        assert isinstance(variant, Variant)
        assert variant.training.learning_rate == settings["training.learning_rate"]
        assert isinstance(variant.training.batch_size, int)
        assert 4 <= variant.training.batch_size <= 16
        assert variant.modalities == ("pet", "mri")
        # What no range names is as the study says.
        assert variant.training.epochs == base_of(study).training.epochs


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_proposals_are_distinct_the_same_again_and_go_on_where_they_were(method):
    study = searched({"method": method, "configurations": 12, "budget": {"trials": 60}})
    whole = proposer(study)
    first = whole([], 4)
    told = [(settings, 0.1 * position) for position, settings in enumerate(first)]
    second = whole(told, 4)
    assert len({str(each) for each in first + second}) == 8
    again = proposer(study, first)
    assert (again([], 4), again(told, 4)) == (first, second)
    other = proposer(searched({"method": method, "configurations": 12}, seed=1))([], 4)
    assert other != first


def test_grid_proposes_every_combination_once():
    ranges = {"training.batch_size": [4, 8], "augmentation.copies": [0, "fresh"]}
    study = searched({"method": "grid", "ranges": ranges, "configurations": None})
    assert proposer(study)([], 4) == [
        {"training.batch_size": size, "augmentation.copies": copies}
        for size in (4, 8)
        for copies in (0, "fresh")
    ]


def test_tpe_learns_where_scores_are_high():
    """Of 40 told scores the best lie around 1e-3; most of what comes next does too, unlike random choices."""
    ranges = {"training.learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}}
    study = searched({"method": "tpe", "ranges": ranges, "configurations": 60, "budget": {"trials": 200}})
    propose = proposer(study)
    first = propose([], 40)
    near = lambda settings: abs(_magnitude(settings) + 3)  # noqa: E731
    second = propose([(each, 1 - near(each)) for each in first], 20)
    assert sum(map(near, second)) / 20 < 0.5 * sum(map(near, first)) / 40


def _magnitude(settings) -> float:
    return math.log10(settings["training.learning_rate"])


@pytest.mark.parametrize(
    "network", [{"architecture": "unet", "encoder": "resnet18"}, {"architecture": "paper", "width": 2}]
)
def test_settings_that_are_valid_only_together_can_be_searched(network):
    """Beside the paper's network, which has no encoder, neither is valid alone."""
    ranges = {
        "training.network.architecture": ["unet", "fpn"],
        "training.network.encoder": ["resnet18", "resnet34"],
    }
    study = searched({"ranges": ranges, "configurations": 4}, training={"network": network})
    check_search(study)
    assert len(with_configurations(study, proposer(study)([], 4)).variants) == 4


def test_when_stopping_decides_and_how_many_go_on_by_hand():
    """After a ninth and a third of the epochs, rounded: 5.6 and 16.7 of 50; never at the end. A third, rounded up."""
    assert [rungs_of(epochs) for epochs in (50, 9, 2, 1)] == [[6, 17], [1, 3], [1], []]
    assert [number_kept(reached) for reached in (2, 4, 7, 9)] == [2, 2, 3, 3]


def test_networks_and_sizes_of_batches_are_tried_before_anything_is_trained():
    """Two networks, both ends of the sizes of batches, and three numbers of copies; no learning rate."""
    tried = variants_to_try(searched())
    named = {
        (each.training.network.architecture, each.training.batch_size, each.augmentation.copies)
        for each in tried
    }
    assert len(named) == len(tried) == 12 and {size for _, size, _ in named} == {4, 16}
    assert {each.training.learning_rate for each in tried} == {0.001}


def test_a_range_of_shares_holds_more_than_its_whole_numbers():
    ranges = {"augmentation.flip_left_right": {"low": 0.0, "high": 1.0}}
    check_search(searched({"ranges": ranges, "configurations": 5}, augmentation={"copies": 2}))


@pytest.mark.parametrize("budget", [{"hours": 1.0}, {"gpu_hours": 1.0}, {"trials": 14.0}])
def test_one_limit_is_a_budget_and_the_first_repeats_may_be_all(budget):
    """Twice six configurations, and two trainings more to decide."""
    check_search(searched({"budget": budget, "repeats": {"first": 2, "most": 2}}))


@pytest.mark.parametrize(
    ("name", "winners"),
    [
        ("s", "s_winners"),
        ("x" * 60, "x" * 52 + "_winners"),
        ("x" * 52 + "_winners", "x" * 51 + "_winners"),
    ],
)
def test_the_study_of_the_winners_has_another_name_of_at_most_60_letters(name, winners):
    written = winners_file(searched(name=name), {"c00": {"training.batch_size": 4}}, {"c00": ""})
    assert yaml.safe_load(written)["name"] == winners


def test_too_few_different_configurations_is_said():
    ranges = {"training.learning_rate": {"low": 0.10001, "high": 0.10004}}
    study = searched({"ranges": ranges, "configurations": 5})
    assert "The ranges hold no more configurations" in error_of(lambda: proposer(study)([], 5))


COPIES = {"augmentation.copies": [2, 3]}
MANY = [each / 1000 for each in range(1, 71)]


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({"training.learning_rat": [1e-3, 1e-2]}, "training.learning_rat"),
        ({"seed": [1, 2]}, "There is no such setting"),
        ({"training.learning_rate": [1e-3, -1.0]}, "expected:   above 0\n"),
        ({"training.learning_rate": [1e-3, "fast"]}, "search.ranges.training.learning_rate"),
        ({"training.batch_size": {"low": 2.5, "high": 8}}, "search.ranges.training.batch_size"),
        (COPIES | {"augmentation.flip_left_right": {"low": 0.2, "high": 1.4}}, "at most 1"),
        # More combinations than are tried: each value alone.
        ({"training.adam_epsilon": MANY, "training.learning_rate": [*MANY, -1.0]}, "expected:   above 0\n"),
        ({"augmentation.flip_left_right": {"low": 0.2, "high": 0.4}}, "copies: 0 alters no slice"),
        ({"training.network.encoder": ["resnet18", "resnet34"], "training.network.width": [2, 4]}, "width"),
        (
            {"training.monitor": ["soft_jaccard_pooled", "soft_jaccard_batch_mean"]},
            "changes what the score means",
        ),
        (COPIES | {"augmentation.validation": [True, False]}, "changes what the score means"),
        ({"training.device": ["cpu", "cuda"]}, "says how it is computed"),
        ({"training.learning_rate": {"low": 0.1, "hgh": 0.2}}, "low, high, log"),
        (
            {"training": {"learning_rate": {"low": 0.1, "high": 0.2}}},
            "for a path such as training.learning_rate",
        ),
        (
            {"training.network": [{"architecture": "unet"}, 3], "training.network.width": [2, 4]},
            "same setting",
        ),
    ],
)
def test_a_bad_range_is_one_clear_error(ranges, said):
    assert said in error_of(lambda: check_search(searched({"ranges": ranges, "configurations": 2})))


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (
            {"budget": {"trials": 10}, "repeats": {"first": 2}},
            "at least 14: first repeats of 6 configurations",
        ),
        ({"budget": {"trials": 5}, "stopping": "median"}, "The budget is too small"),
        ({"budget": {}}, "a budget has trials, hours or gpu_hours"),
        ({"configurations": None}, "needs the number of configurations"),
        ({"method": "grid"}, "takes no number of configurations"),
        ({"method": "grid", "configurations": None}, "is a range"),
        ({"method": "bayes"}, "search.method"),
        ({"rangs": {}}, "search.rangs is unknown"),
        ({"ranges": {"training.learning_rate": {"low": 1.0, "high": 0.1}}}, "low lies below high"),
        ({"ranges": {"training.learning_rate": {"low": 0.0, "high": 0.1, "log": True}}}, "low above 0"),
        ({"ranges": {"training.learning_rate": {"low": 0.1, "high": 0.1}}}, "low lies below high"),
        ({"ranges": {"training.batch_size": [4]}}, "at least two different values"),
        ({"ranges": {"training.batch_size": [4, 8]}, "configurations": 3}, "at most 2"),
        (
            {"ranges": {"training.batch_size": [4, 8, 16], "training.patience": [1, 2]}, "configurations": 7},
            "at most 6",
        ),
        ({"repeats": {"first": 9, "most": 4}}, "most is at least first"),
        ({"ranges": {"training.batch_size": {"low": 4, "high": 6}}, "configurations": 4}, "at most 3"),
    ],
)
def test_a_bad_search_is_one_clear_error(search, said):
    assert said in error_of(lambda: check_search(searched(search)))


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ({"split": {"folds": 3}}, "folds 3"),
        ({"protocol": "as_written"}, "soft_jaccard_batch_mean"),
        ({"augmentation": {"copies": 2, "validation": True}}, "validation True"),
        ({"variants": {"pet": {}}}, "A study with a search has variants"),
    ],
)
def test_studies_that_cannot_be_searched_are_refused(study, said):
    assert said in error_of(lambda: check_search(searched(**study)))


def test_epochs_can_be_searched_only_where_nobody_is_stopped_by_them():
    ranges = {"training.epochs": [10, 20]}
    check_search(searched({"ranges": ranges, "configurations": 2}))
    for stopping in ("median", "successive_halving"):
        study = searched({"ranges": ranges, "configurations": 2, "stopping": stopping})
        with pytest.raises(InputError, match="cannot be stopped by their epochs"):
            check_search(study)


def test_a_setting_whose_name_begins_as_that_of_another_is_not_within_it():
    ranges = {"training.network.encoder": ["a", "b"], "training.network.encoder_weights": ["c", "d"]}
    check_search(searched({"ranges": ranges, "configurations": 4}))


def test_a_study_without_a_search_is_refused():
    study = parse_study({"name": "s", "store": "none.zarr", "variants": {"pet": {"modalities": ["pet"]}}})
    assert "The study has no search" in error_of(lambda: check_search(study))


def test_repeats_of_all_configurations_share_their_seeds_and_none_with_the_winners_study(tmp_path):
    study = with_configurations(searched(), proposer(searched())([], 6))
    assert base_of(study) == base_of(searched()), "and not the first configuration"
    seeds = [trial_seeds(study, Trial(name, 0, repeat)) for name in ("c00", "c05") for repeat in (0, 1)]
    assert seeds[0] == seeds[2] != seeds[1] == seeds[3]
    settings = {"training.learning_rate": 0.002, "augmentation.copies": "fresh"}
    path = tmp_path / "winners.yaml"
    path.write_text(winners_file(study, {"c05": settings}, {"c05": "the winner"}))
    winners = load_study(path)
    assert (winners.repeats, winners.search, list(winners.variants)) == (7, None, ["c05"])
    assert winners.variants["c05"].training.learning_rate == 0.002
    assert winners.variants["c05"].training.batch_size == base_of(study).training.batch_size
    assert yaml.safe_load(path.read_text())["variants"]["c05"] == nested(settings)
    assert trial_seeds(winners, Trial("c05", 0, 0))["trial"] != seeds[2]["trial"]


def test_columns_are_named_by_the_setting_and_by_its_path_where_two_end_alike():
    study = searched()
    assert list(columns_of(study).values()) == ["learning_rate", "batch_size", "network", "copies"]
    ranges = {"training.epochs": [5, 6], "training.network.width": [2, 4]}
    same = searched(
        {"ranges": ranges, "configurations": 2}, training={"network": {"architecture": "paper", "width": 2}}
    )
    # `epochs` is a column of every search already.
    assert list(columns_of(same).values()) == ["training_epochs", "width"]


def test_the_winners_study_is_taken_whatever_was_searched_beside_no_copies(tmp_path):
    """What changes nothing beside `copies: 0` is refused in a study file, so it must not be written into one."""
    ranges = {"augmentation.copies": [0, 2], "augmentation.rotate_degrees": [5.0, 30.0]}
    study = searched({"ranges": ranges}, augmentation={"translate": 0.3})
    none, two = ({"augmentation.copies": copies, "augmentation.rotate_degrees": 5.0} for copies in (0, 2))
    path = tmp_path / "winners.yaml"
    for chosen in ({"c00": none}, {"c00": none, "c01": two}):
        path.write_text(winners_file(study, chosen, dict.fromkeys(chosen, "")))
        winners = load_study(path)
        assert "rotate_degrees" not in yaml.safe_load(path.read_text())["variants"]["c00"]["augmentation"]
    augmentation = winners.variants["c01"].augmentation
    assert (augmentation.copies, augmentation.rotate_degrees, augmentation.translate) == (2, 5.0, 0.3)


def test_what_the_search_of_too_few_configurations_advises_is_taken():
    """`method: grid` was advised, which refuses the number of configurations that stands there; to a grid that costs
    too much, fewer configurations, whose number it refuses too."""
    ranges = {"training.batch_size": [4, 8, 16], "augmentation.copies": [0, 2]}
    few = {"ranges": ranges, "configurations": 7, "budget": {"trials": 60}}
    told = error_of(lambda: check_search(searched(few)))
    assert "`method: grid` without `configurations`" in told
    grid = few | {"method": "grid", "configurations": None}
    check_search(searched(grid))
    check_search(searched(grid | {"budget": {"trials": 8}}))
    told = error_of(lambda: check_search(searched(grid | {"budget": {"trials": 7.5}})))
    assert "at least 8: first repeats of 6 configurations, and 2 to decide" in told
    assert "leave values out of the ranges" in told and "fewer configurations" not in told
