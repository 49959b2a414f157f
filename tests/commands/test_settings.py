"""`hnscc settings` as a user meets it."""

import json
from functools import partial
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/reference/settings.md"


@pytest.fixture
def settings(hnscc):
    """Run `hnscc settings` in this process: exit code, standard output, standard error."""
    return partial(hnscc, "settings")


def test_all_settings_are_printed(settings):
    code, out, _ = settings()
    assert code == 0
    for path in ("name", "split.validation_unit", "training.network.width", "search.budget.hours"):
        assert f"\n{path}: " in f"\n{out}"
    assert max(map(len, out.splitlines())) <= 120


def test_one_setting_has_type_defaults_meaning_and_source(settings):
    _, out, _ = settings("training.batch_size")
    assert out.splitlines() == [
        "training.batch_size: whole number, at least 1",
        "    default: 16 (as_written: 32)",
        "    So many slices make one step of training; a single one that is left joins the last step. (the",
        "    paper's code)",
    ]
    first, second, *_ = settings("split")[1].splitlines()
    assert first == "split: section" and "default" not in second


def test_a_branch_as_json(settings):
    code, out, _ = settings("training.network", "--json")
    found = {row["path"].rpartition(".")[2]: row for row in json.loads(out)}
    assert code == 0
    assert list(found) == ["network", "architecture", "encoder", "encoder_weights", "width"]
    assert (found["architecture"]["corrected"], found["architecture"]["as_written"]) == ("unet", "paper")
    assert (found["width"]["corrected"], found["width"]["as_written"]) == (None, 16)
    assert found["width"]["source"] == "the paper's code"
    assert (found["network"]["corrected"], found["network"]["as_written"]) == (None, None), (
        "a section has none"
    )


def test_the_page_of_documentation(settings):
    assert settings("--markdown")[1] == PAGE.read_text()


@pytest.mark.parametrize(
    ("key", "said", "do"),
    [
        ("architecture", "training.network.architecture?", "hnscc settings training.network.architecture"),
        ("training.epoch", "training.epochs?", "hnscc settings training.epochs"),
        ("validation", "split.validation or augmentation.validation?", "hnscc settings split.validation"),
        (
            "training.network.depth",
            "of training.network: architecture, encoder",
            "hnscc settings training.network",
        ),
        ("xyz", "one of name, store", "`hnscc settings` prints all of them"),
    ],
)
def test_an_unknown_key_names_the_nearest_path(settings, key, said, do):
    code, out, error = settings(key)
    assert (code, out) == (2, "")
    assert said in error
    assert f"found:      {key}" in error
    assert f"what to do: {do}\n" in error
