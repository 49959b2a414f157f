"""YAML of study files: what it means, where each setting stands, and one clear error for everything else."""

import math
import os
import string
import subprocess
import sys

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hnscc.base.errors import InputError
from hnscc.study.loading import load_study
from hnscc.study.yaml_text import read_yaml, write_yaml

TEXT = """\
name: x
training:
  epochs: 3
  network: {architecture: paper,
            width: 4}
variants:
  pet: &pet
    modalities: [pet]
  both:
    <<: *pet
    modalities:
      - pet
      - mri
"""


def refused(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        read_yaml(text, "study.yaml")
    assert "Traceback" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("-2.5e3", -2500.0),
        ("1.e2", 100.0),
        (".5", 0.5),
        ("1_000", 1000),
        ("0x1F", 31),
        ("[=, <<]", ["=", "<<"]),
        ("0", 0),
        ("010", "010"),
        ("-0_17", "-0_17"),
        ("+007", "+007"),
        ("08", "08"),
        ("-7", -7),
        ("yes", True),
        ("Off", False),
        ("true", True),
        ("~", None),
        ("", None),
        ("null", None),
        ("'1e-3'", "1e-3"),
        ('"yes"', "yes"),
        *((each, each) for each in "yYnN"),
        ("1:30.5", "1:30.5"),
        ("1__000.5", 1000.5),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("pet", "pet"),
        ("!!float 3", 3.0),
        ("!!str 3", "3"),
        ("[1, a]", [1, "a"]),
        ("{a: 1}", {"a": 1}),
    ],
)
def test_a_value_means_what_the_user_means(written, meant):
    value = read_yaml(f"key: {written}\n", "study.yaml").value["key"]
    assert (value, type(value)) == (meant, type(meant))


def test_infinities_are_numbers_for_the_schema_to_refuse():
    value = read_yaml("[.inf, -.INF, .nan, 1e999]", "study.yaml").value
    assert value[:2] == [math.inf, -math.inf]
    assert math.isnan(value[2])
    assert value[3] == math.inf


def test_keys_are_text_as_written():
    assert read_yaml("{1: a, no: b, null: c, 1e3: d}", "x").value == {
        "1": "a",
        "no": "b",
        "null": "c",
        "1e3": "d",
    }


def test_each_setting_has_the_line_of_its_key():
    lines = read_yaml(TEXT, "study.yaml").lines
    assert lines["name",] == 1
    assert lines["training", "network"] == 4
    assert lines["training", "network", "width"] == 5
    assert lines["variants", "both", "modalities"] == 11
    assert lines["variants", "both", "modalities", 1] == 13
    assert read_yaml("a:\n- b: 1\n  c: 2\n- d\n", "study.yaml").lines["a", 0] == 2


def test_merged_keys_stand_where_they_were_written_and_own_ones_count_before_them():
    text = "a: &a {p: 1, q: 1}\nb: &b {q: 2, r: 2}\nc:\n  r: 3\n  <<: [*a, *b]\nd:\n  <<: {p: 4}\n"
    document = read_yaml(text, "study.yaml")
    assert document.value["c"] == {"p": 1, "q": 1, "r": 3}
    assert document.value["d"] == {"p": 4}
    assert (document.lines["c", "q"], document.lines["c", "r"]) == (1, 4)
    # PyYAML is the other judge of what a merge means.
    assert document.value == yaml.safe_load(text)
    assert list(document.value["c"]) == list(yaml.safe_load(text)["c"])
    assert read_yaml("a: &x 1\nb: &x 2\nc: *x\n", "study.yaml").value["c"] == 2, "of two the last before it"


def test_lists_may_be_nested_as_deep_as_is_said():
    assert read_yaml("a: " + "[" * 20 + "]" * 20, "study.yaml").value["a"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a', which is given twice"),
        ("a:\n  b: 1\n  'b': 2\n", 3, "given twice"),
        ("a: 1\n? [b]\n: 2\n", 2, "as a key"),
        ("a: 1\n? {b: 1}\n: 2\n", 2, "as a key"),
        ("a:\n\tb: 1\n", 2, "\\t"),
        ("a: 1\n  b: 2\n", 2, "mapping values are not allowed"),
        ("a: [1, 2\n", 2, "expected"),
        ("a: 1\nb: *c\n", 2, "undefined alias"),
        ("a: 1\n---\nb: 2\n", 2, "single document"),
        ("a: 1\nb: !!python/object/apply:os.getcwd []\n", 2, "the tag"),
        ("a: 1\nb: !!binary YQ==\n", 2, "the tag"),
        ("a: 1\nb: !!set {a, b}\n", 2, "the tag"),
        ("a: 1\nb: !!int x\n", 2, "'x' as int"),
        ("a: 1\nb: !!bool maybe\n", 2, "'maybe' as bool"),
        ("a: 1\n<<: 3\n", 2, "no mapping"),
        ("a: &a [*a]\n", 1, "an alias within itself"),
        ("a: &a {<<: *a}\n", 1, "an alias within itself"),
        ("a: " + "[" * 21 + "]" * 21, 1, "more than 20 levels"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text, line, said):
    error = refused(text)
    assert error.where == f"study.yaml, line {line}"
    assert said in error.found


@pytest.mark.parametrize(
    "text",
    [
        "[\n" * 3000,
        "[" * 500,
        "{a: " * 3000,
        "- " * 3000,
        "\x00\x01",
        '"\\U99999999"',
        "%YAML 9.9\n---\na: 1",
        "\ud800",
    ],
    ids=[
        "brackets",
        "brackets in a line",
        "braces",
        "dashes",
        "binary",
        "no character",
        "version",
        "surrogate",
    ],
)
def test_rubbish_is_one_clear_error(text):
    refused(text)


def test_aliases_of_aliases_do_not_fill_the_memory():
    rows = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 19))]
    assert "more than 100000 values" in refused("\n".join(rows)).found


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00rubbish", b"\x89PNG\r\n\x1a\n\x00", b"", b"- a\n", b"only text"]
)
def test_a_file_that_is_no_study_is_refused(tmp_path, content):
    file = tmp_path / "study.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_study(file)
    assert str(file) in caught.value.where


WORDS = [
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "&x ",
    "*x",
    "<<: ",
    "!!int ",
    "!",
    "? ",
    "|",
    ">",
    "%",
    "'",
]
WORDS += [
    '"',
    "\\U99999999",
    "#",
    "---\n",
    "...\n",
    "\t",
    "1e-3",
    "~",
    "0b",
    "é",
    "\u2028",
    "\r",
    "yes",
    "variants: ",
    "training: ",
]
YAMLISH = st.lists(st.sampled_from(WORDS), max_size=25).map("".join)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(), YAMLISH, st.binary().map(lambda raw: raw.decode("latin-1"))))
def test_no_text_raises_anything_but_input_error(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError):
        load_study(file)


NAMES = st.text(string.ascii_lowercase + string.digits + "_", min_size=1, max_size=20)
PRINTED = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30)
PLAIN = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), PRINTED
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(NAMES, PLAIN, min_size=1, max_size=5))
@example({"0000": "000¡¡¡¡¡¡¡¡¡¡𐀀𐀀𐀀0 0"})
def test_what_is_written_is_read_back(value):
    assert write_yaml(value).isascii()
    assert read_yaml(write_yaml(value), "x").value == value


# PyYAML leaves `1e5`, `y` and `n` without quotes, which it reads as text and other readers do not.
SAFE_NAMES = st.text("abcdfghijklmnopqrstuvwxyz0123456789_", min_size=2, max_size=20)
SETTINGS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | SAFE_NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SAFE_NAMES, inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(SAFE_NAMES, SETTINGS, min_size=1, max_size=6))
def test_it_is_written_as_pyyaml_writes_it(value):
    """Run folders hold study.yaml as PyYAML wrote it, and other programs read it so."""
    assert write_yaml(value) == yaml.safe_dump(value, sort_keys=False)


def test_a_study_is_read_as_utf_8_whatever_the_locale_says(tmp_path):
    """It was read by the locale's encoding: where that is ASCII, a comment in German was an error."""
    study = tmp_path / "s.yaml"
    study.write_bytes(b"# f\xc3\xbcr Z\xc3\xbcrich\nname: s\n")
    code = "import sys; from hnscc.study.loading import load_study; load_study(sys.argv[1])"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}
    environment |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", code, str(study)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stderr
    assert "store" in said and "cannot be read" not in said
