"""`hnscc doctor`: the shipped files pass once they are filled in; what it prints, and what it exits with."""

import json
from pathlib import Path

import pytest
from cluster_files import AWS, FILLED_IN, ONPREM, changed, line_of

pytestmark = pytest.mark.usefixtures("stand_in_project")


@pytest.fixture
def filled_in(tmp_path_factory):
    """cluster.yaml as a user has filled it in, in a folder of its own."""
    file = tmp_path_factory.mktemp("filled") / "cluster.yaml"
    file.write_text(FILLED_IN)
    return file


@pytest.mark.parametrize("name", ["cluster.yaml", "deploy/onprem.yaml"])
def test_the_shipped_files_pass_once_filled_in(hnscc, filled_in, name):
    name = filled_in if name == "cluster.yaml" else name
    code, out, _ = hnscc("doctor", "--cluster", name)
    assert code == 0, out
    assert out.endswith(f"{name}: every field and safeguard is in order\n")
    assert all(": note: " in line for line in out.splitlines()[:-1])


def test_what_the_user_must_fill_in_is_named(hnscc):
    lines = hnscc("doctor", "--cluster", "cluster.yaml")[1].splitlines()
    named = {int(line.split(":")[1]) for line in lines if "FILL-IN" in line}
    assert named == {n for n, line in enumerate(AWS.splitlines(), 1) if "-FILL-IN" in line}


def test_a_file_that_is_still_to_be_filled_in_is_not_in_order(hnscc, tmp_path):
    code, out, error = hnscc("doctor", "--cluster", "cluster.yaml")
    assert (code, error) == (2, "")
    assert out.splitlines()[-1] == "cluster.yaml: 4 places still to be filled in"
    lines = [line for line in out.splitlines()[:-1] if ": note: " not in line]
    assert [int(line.split(":")[1]) for line in lines] == [
        number for number, line in enumerate(AWS.splitlines(), 1) if "-FILL-IN" in line
    ]
    assert all(
        " is still to be filled in; expected what is yours; do: replace FILL-IN" in each for each in lines
    )
    code, out, _ = hnscc("doctor", "--cluster", "cluster.yaml", "--json")
    told = json.loads(out)
    assert (code, told["fine"], told["cluster"]["problems"]) == (2, False, [])
    assert len(told["cluster"]["to_fill_in"]) == 4
    # One that is left is enough, in a key as well; the file's comments do not count.
    (tmp_path / "left.yaml").write_text(changed(FILLED_IN, "~/hnscc/code/hnscc: hnscc", "~/FILL-IN: hnscc"))
    code, out, _ = hnscc("doctor", "--cluster", tmp_path / "left.yaml")
    assert code == 2
    assert out.endswith("left.yaml: 1 place still to be filled in\n")
    # What is wrong besides is told beside it.
    (tmp_path / "wrong.yaml").write_text(changed(AWS, "Encrypted: true", "Encrypted: false"))
    code, out, _ = hnscc("doctor", "--cluster", tmp_path / "wrong.yaml")
    assert code == 2
    assert out.endswith("wrong.yaml: 1 problem, and 4 places still to be filled in\n")


def test_five_problems_are_five_lines(hnscc, tmp_path):
    text = FILLED_IN
    for old, new in (
        ("RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 ray", "RAY_USAGE_STATS_ENABLED=0 ray"),
        ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0"),
        ("hnscc: hnscc\n", "hnscc: data/cohort\n"),
        ("HttpTokens: required", "HttpTokens: optional"),
    ):
        text = changed(text, old, new)
    text = changed(text, "region: eu", "regoin: eu")  # no region is the sixth
    text = changed(text, "regoin: eu", "region: eu-north-1\n  regoin: eu")
    (tmp_path / "cluster.yaml").write_text(text)
    code, out, error = hnscc("doctor", "--cluster", tmp_path / "cluster.yaml")
    assert (code, error) == (2, "")
    marks = ["regoin", "HttpTokens: optional", "data/cohort", "0.0.0.0", "ray start --address"]
    lines = [line for line in out.splitlines() if ": note: " not in line]
    assert len(lines) == 6
    for line, mark in zip(lines[:5], marks, strict=True):
        assert line.startswith(f"{tmp_path}/cluster.yaml:{line_of(text, mark)}: ")
        assert "; expected " in line
        assert "; do: " in line
    assert lines[5].endswith("5 problems")
    code, out, _ = hnscc("doctor", "--cluster", tmp_path / "cluster.yaml", "--json")
    told = json.loads(out)
    assert (code, told["fine"], told["working_dir"]) == (2, False, None)
    assert [each["line"] for each in told["cluster"]["problems"]] == [line_of(text, mark) for mark in marks]
    assert {"line", "problem", "expected", "do"} == told["cluster"]["problems"][0].keys()


def test_what_is_not_looked_at_is_noted(hnscc, tmp_path):
    """Of Ray's other providers: fields and machines. Tokens, dashboards and versions are looked at all the same."""
    text = ONPREM.replace("type: local", "type: gcp").replace("RAY_AUTH_MODE=token ", "")
    (tmp_path / "gcp.yaml").write_text(text)
    code, out, _ = hnscc("doctor", "--cluster", tmp_path / "gcp.yaml")
    assert code == 2
    note = "note: the fields of this provider and of its machines were not looked at"
    assert f":{line_of(text, 'type: gcp')}: {note}" in out
    asked = [line for line in out.splitlines() if "does not ask for a token" in line]
    starts = [line_of(text, "ray start --head"), line_of(text, "ray start --address")]
    assert [int(line.split(":")[1]) for line in asked] == starts


def test_files_that_cannot_be_read_and_nothing_to_do(hnscc, tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00a: 1")
    for arguments in (["--cluster", tmp_path / "none.yaml"], ["--cluster", tmp_path / "bytes.yaml"], []):
        code, out, error = hnscc("doctor", *arguments)
        assert (code, out) == (2, "")
        assert error.startswith("error: ")
        assert error.count("what to do:") == 1


def test_a_token_that_others_can_read_is_noted(hnscc, filled_in):
    token = Path.home() / ".ray/auth_token"
    assert "no token on this machine yet" in hnscc("doctor", "--cluster", filled_in)[1]
    token.parent.mkdir()
    token.write_text("0" * 32)
    token.chmod(0o644)
    code, out, _ = hnscc("doctor", "--cluster", filled_in)
    assert code == 0
    assert "others on this machine can read the token" in out
    token.chmod(0o600)
    assert "token" not in hnscc("doctor", "--cluster", filled_in)[1]


def test_a_mount_that_is_not_here_is_noted(hnscc, filled_in, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, _ = hnscc("doctor", "--cluster", filled_in)
    assert code == 0
    assert f"{filled_in}:{line_of(AWS, 'constraints.txt: ')}: note: what this mount copies is not here" in out
