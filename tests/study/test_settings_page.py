"""The reference of settings: complete, true to schema and presets, and near to what a user mistypes."""

import pytest

from hnscc.study.loading import parse_study
from hnscc.study.paper import CITATION
from hnscc.study.presets import AS_WRITTEN, CORRECTED, PRESETS, merge, preset_of
from hnscc.study.settings_page import (
    all_settings,
    defaults_of,
    names_in,
    nearest,
    settings_below,
    to_markdown,
)

ROWS = {row.path: row for row in all_settings()}
SMALL = {"name": "x", "store": "x.zarr", "variants": {"pet": {"modalities": ["pet"]}}}


def leaves(value: object, path: str = ""):
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, f"{path}.{name}" if path else name)
    else:
        yield path, value


def test_every_setting_is_documented_once_in_a_sentence_with_its_source():
    assert len(ROWS) == len(all_settings())
    for row in ROWS.values():
        assert row.meaning.endswith("."), row
        assert len(row.meaning) <= 140, row
        assert row.source in {
            "paper 2.1",
            "paper 2.2",
            "paper 2.3",
            "paper 2.4",
            "the paper's code",
            "ours",
        }, row
        assert "J Med Biol Eng 2023" in CITATION


@pytest.mark.parametrize("protocol", ["corrected", "as_written"])
def test_defaults_are_what_a_study_without_the_setting_gets(protocol):
    resolved = parse_study({**SMALL, "protocol": protocol}).model_dump(
        mode="json", exclude={"variants", "name", "store"}
    )
    found = dict(leaves(resolved))
    assert len(found) > 35
    for path, value in found.items():
        assert ROWS[path].defaults[protocol] == value, path


def test_every_protocol_that_a_file_may_name_has_a_preset_of_its_name(monkeypatch):
    """A preset more trains by its own settings: it is not taken for another."""
    assert ROWS["protocol"].type == " or ".join(PRESETS)
    assert [preset_of(name)["protocol"] for name in PRESETS] == list(PRESETS)
    monkeypatch.setitem(PRESETS, "third", {"protocol": "third"})
    assert preset_of("third") == {"protocol": "third"}
    assert preset_of("unknown") == preset_of(["third"]) == CORRECTED


def test_every_key_of_the_presets_and_of_a_study_file_is_in_the_reference():
    for preset in (CORRECTED, merge(CORRECTED, AS_WRITTEN)):
        assert {path for path, _ in leaves(preset)} <= ROWS.keys()
    for path in ("name", "store", "modalities", "variants", "variants.NAME.modalities", "repeats.until"):
        assert path in ROWS
    assert {
        "search.method",
        "search.budget.gpu_hours",
        "search.ranges.PATH.log",
        "search.repeats.most",
    } <= ROWS.keys()


@pytest.mark.parametrize(
    ("path", "type_", "defaults"),
    [
        ("training.epochs", "whole number, at least 1", "200"),
        ("training.batch_size", "whole number, at least 1", "16 (as_written: 32)"),
        ("training.precision", "auto, fp32 or bf16", "auto"),
        (
            "training.network.width",
            "whole number, at least 1, at most 256, or null",
            "null (as_written: 16)",
        ),
        ("training.network", "section", ""),
        ("split.test", "number, above 0, below 1", "0.19"),
        ("augmentation.copies", "whole number, at least 0, at most 1000, or fresh", "0"),
        ("augmentation.validation", "true or false", "false (as_written: true)"),
        ("sampling.max_positive", "whole number, at least 1, or null", "null"),
        ("resources.gpus", "number, at least 0, or auto", "auto"),
        ("repeats", "whole number, at least 1, at most 10000, or section", "50"),
        ("repeats.max", "whole number, at least 6, at most 10000", "none: must be given"),
        ("search.budget", "section", "none: must be given"),
        ("search.level", "number, above 0, below 1", "0.05"),
        ("variants.NAME.modalities", "list of text", "the file's own"),
        ("store", "text", "none: must be given"),
    ],
)
def test_types_and_defaults_in_words(path, type_, defaults):
    assert ROWS[path].type == type_
    assert ROWS[path].required == (defaults == "none: must be given")
    assert defaults_of(ROWS[path]) == defaults


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [
        ("architecture", ("training.network.architecture",)),
        ("training.architecture", ("training.network.architecture",)),
        ("training.epoch", ("training.epochs",)),
        ("epoch", ("training.epochs",)),
        ("sede", ("seed",)),
        ("batch", ("training.batch_size",)),
        ("training.batch", ("training.batch_size",)),  # as a study file may have it: none was found
        ("split.size", ()),
        ("tolerxnc", ("evaluation.tolerance_mm",)),  # 7 letters of 8 and of 12: 14 / 20 is alike enough
        ("validation", ("split.validation", "augmentation.validation")),
        ("search.first", ("search.repeats.first",)),
        ("resources.gpu", ("resources.gpus",)),
        ("xyz", ()),
        ("", ()),
    ],
)
def test_the_nearest_path_of_an_unknown_one(unknown, meant):
    assert nearest(unknown) == meant


def test_a_branch_is_the_setting_and_all_below_it():
    assert [row.path for row in settings_below("training.network")] == [
        "training.network",
        "training.network.architecture",
        "training.network.encoder",
        "training.network.encoder_weights",
        "training.network.width",
    ]
    assert [row.path for row in settings_below("training.epochs")] == ["training.epochs"]
    assert settings_below("training.epoch") == ()
    assert names_in("split") == ("unit", "folds", "test", "validation", "validation_unit")
    assert names_in("")[:2] == ("name", "store")


def test_the_page_has_a_row_of_seven_bars_for_every_setting():
    rows = [line for line in to_markdown().splitlines() if line.startswith("| `")]
    assert all(line.count("|") == 7 for line in rows)
    sections = {row.path for row in all_settings() if row.section and "." not in row.path}
    assert {line.split("`")[1] for line in rows} == ROWS.keys() - sections
