"""What is expected of a wrong value: in words of a study file, and none of pydantic's."""

from typing import Any

import pytest
from small_settings import SMALL, refused

from hnscc.base.errors import InputError
from hnscc.study.loading import load_study, parse_study
from hnscc.study.settings_page import all_settings
from hnscc.study.yaml_text import write_yaml

WRONG: tuple[Any, ...] = (
    *("some text", "", "\ud800", 3, 1.5, -7, 10**30, float("nan"), None, True),
    *([], ["a", 1], [None], {}, {"a": 1}, {"a": None}, {"a b": [3]}),
)
# Of pydantic, of Python and of regular expressions.
TERMS = (
    *("valid tuple", "dictionary", "instance of", "pattern", "field required", "input should", "should have"),
    *("item after validation", "type=", "nonetype", "unable to parse", "a valid", "not permitted"),
    *("equal to", "greater than", "less than", "value error", "string", "boolean", "integer"),
    *("^[", "none;", "true;", "{'"),
)
SEARCH = {
    "method": "random",
    "ranges": {"training.learning_rate": {"low": 0.001, "high": 0.1}},
    "configurations": 4,
    "budget": {"trials": 90},
}


def study_with(path: str, value: Any) -> dict[str, Any]:
    """The values of a small study whose setting of this path, of the reference, is `value`."""
    names = ["pet" if name == "NAME" else name for name in path.replace("PATH", "RANGED").split(".")]
    searched = names[0] in ("search", "modalities")
    raw: dict[str, Any] = SMALL if not searched else {"name": "x", "store": "s", "modalities": ["pet"]}
    raw = {**raw, "search": SEARCH} if searched else {**raw}
    if path.startswith("repeats."):
        raw["repeats"] = {"paired": True} if names[1] in ("number", "paired") else {"max": 10, "until": 0.1}
    below = raw
    for name in names[:-1]:
        name = "training.learning_rate" if name == "RANGED" else name
        below[name] = {**below.get(name, {})}
        below = below[name]
    below["training.learning_rate" if names[-1] == "RANGED" else names[-1]] = value
    return raw


@pytest.mark.parametrize("section", ["augmentation", "training"])
@pytest.mark.parametrize("value", [None, "x", [1]])
def test_a_section_that_is_none_is_told_once_whatever_variants_lay_over_it(section, value):
    """All that the section of each variant lacked was told too, as missing from the study file."""
    of_variant = {"augmentation": {"copies": 2}, "training": {"epochs": 2}}
    raw = {**SMALL, section: value, "variants": {"pet": {"modalities": ["pet"], **of_variant}}}
    with pytest.raises(InputError, match=rf"The setting {section} is not valid\.") as caught:
        parse_study(raw)
    assert caught.value.expected == "a section: keys and values below it" and "fault" not in str(caught.value)


@pytest.mark.parametrize("path", [row.path for row in all_settings()])
def test_no_wrong_value_of_any_setting_is_told_in_pydantics_terms(path):
    messages = []
    for value in WRONG:
        try:
            parse_study(study_with(path, value))
        except InputError as error:
            messages.append(str(error))
    assert messages, "no value was refused"
    assert not {term: message for message in messages for term in TERMS if term in message.lower()}


@pytest.mark.parametrize(
    ("settings", "expected", "found"),
    [
        ({"variants": {"pet": {"modalities": "pet"}}}, "a list, such as [pet]", "'pet'"),
        ({"variants": {"pet": {"modalities": []}}}, "at least 1 name", "[]"),
        ({"split": 3}, "a section: keys and values below it", "3"),
        ({"variants": {}}, "at least 1 name", "{}"),
        ({"variants": ["pet", None]}, "a section: keys and values below it", "[pet, null]"),
        (
            {"variants": {"pet mri": {"modalities": ["pet"]}}},
            "small letters, digits and _, beginning with a letter or digit",
            "'pet mri'",
        ),
        ({"name": "my study"}, "letters, digits, _ and ., beginning with a letter or digit", "'my study'"),
        ({"name": "x" * 61}, "at most 60 characters", f"'{'x' * 61}'"),
        ({"store": None}, "text", "null"),
        ({"repeats": {"max": 3, "until": 0.1}}, "at least 6", "3"),
        *(
            (
                {"repeats": value},
                "a whole number; or a section, such as {max: 50, until: 0.02} or {paired: true}",
                said,
            )
            for value, said in {"3": "'3'", "until 0.02": "'until 0.02'", 2.5: "2.5", True: "true"}.items()
        ),
        ({"seed": 2**63}, "below 9223372036854775808", "9223372036854775808"),
        ({"training": {"epochs": "3"}}, "a whole number", "'3'"),
        ({"training": {"learning_rate": 0}}, "above 0", "0"),
        ({"training": {"learning_rate": {"a": 1}}}, "a number", "{a: 1}"),
        ({"training": {"learning_rate": float("inf")}}, "a finite number", "inf"),
        ({"augmentation": {"validation": 1}}, "true or false", "1"),
        ({"augmentation": {"flip_up_down": 2.5}}, "at most 1", "2.5"),
        ({"augmentation": {"copies": None}}, "a whole number; or: 'fresh'", "null"),
        ({"split": {"unit": "slice"}}, "'patient'", "'slice'"),
        ({"training": {"network": {"architecture": "unet", "encoder": ""}}}, "at least 1 character", "''"),
    ],
)
def test_what_is_expected_and_found_is_said_as_the_study_file_writes_it(settings, expected, found):
    message = refused(**settings)
    assert f"  expected:   {expected}\n  found:      {found}\n" in message
    assert "correct it in the study file; `hnscc settings` describes every setting" in message


@pytest.mark.parametrize("values", [3, None, "log"])
def test_what_a_range_may_be_is_said(values):
    message = refused(search=SEARCH | {"ranges": {"training.epochs": values}})
    assert "search.ranges.training.epochs is not valid" in message
    assert "expected:   a list such as [1, 2], or a section with low and high\n" in message


def test_modalities_at_the_top_of_the_file_are_named_so(tmp_path):
    """They were named by a variant, of a search by one that no file has: variants.searched.modalities."""
    file = tmp_path / "study.yaml"
    file.write_text(write_yaml({"name": "x", "store": "s", "modalities": "pet", "search": SEARCH}))
    with pytest.raises(InputError, match="The setting modalities is not valid") as caught:
        load_study(file)
    assert caught.value.where == f"{file}, line 3"
