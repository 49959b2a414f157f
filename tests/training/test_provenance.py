"""What provenance.json says of each command, and of the code: the commit of its own checkout, or why there is none."""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from importlib.metadata import version

import pytest

from hnscc.base.errors import InputError
from hnscc.base.files import write_json
from hnscc.study.run_folder import RunFolder
from hnscc.training import provenance
from hnscc.training.hardware import hardware
from hnscc.training.provenance import add_invocation, commit_of


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of one commit, with a file of code, looked at by a user whose git has no settings."""
    if not shutil.which("git"):
        pytest.skip("git is not installed here")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    root = tmp_path / "checkout"
    (root / "hnscc").mkdir(parents=True)
    (root / "hnscc" / "code.py").write_text("pass\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "-m", "first")
    return root


def git(root, *asked):
    return subprocess.run(["git", "-C", root, *asked], check=True, capture_output=True, text=True).stdout


def test_the_commit_is_that_of_the_checkout_and_says_whether_it_was_edited(checkout):
    code, head = checkout / "hnscc" / "code.py", git(checkout, "rev-parse", "HEAD").strip()
    assert commit_of(code) == head
    code.write_text("pass  # edited\n")
    assert commit_of(code) == f"{head}+changes"


def test_code_of_no_checkout_has_no_commit(tmp_path):
    (tmp_path / "code.py").write_text("pass\n")
    assert commit_of(tmp_path / "code.py") is None


def test_code_that_is_installed_in_another_projects_checkout_has_no_commit(checkout):
    """It had that of the other project, which never held this code."""
    (checkout / ".gitignore").write_text(".venv\n")
    installed = checkout / ".venv" / "lib" / "code.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("pass\n")
    assert commit_of(installed) is None


def test_where_git_refuses_the_reason_stands_in_place_of_the_commit(checkout, monkeypatch):
    """A checkout of another user, as in a container: it was as if the code was of no checkout."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("LANGUAGE", "de")
    found = commit_of(checkout / "hnscc" / "code.py")
    assert found is not None and found.startswith("unknown: git says fatal: ")
    assert "ownership" in found and str(checkout) not in found


def test_where_there_is_no_git_that_stands_in_place_of_the_commit(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (
        commit_of(checkout / "hnscc" / "code.py") == "unknown: git cannot be run (No such file or directory)"
    )


@pytest.mark.parametrize(
    ("name", "names"),
    [("GIT_DIR", "other/.git"), ("GIT_WORK_TREE", "other"), ("GIT_INDEX_FILE", "other/.git/index")],
)
def test_a_hook_of_another_repository_does_not_give_its_commit(checkout, tmp_path, monkeypatch, name, names):
    head = git(checkout, "rev-parse", "HEAD").strip()
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv(name, str(tmp_path / names))
    assert commit_of(checkout / "hnscc" / "code.py") == head


def test_an_invocation_is_added_after_earlier_ones_which_stay_as_another_version_wrote_them(
    tmp_path, monkeypatch
):
    """The folders of who gave the command, and of its program, are nobody's business."""
    earlier = {"started": "2025-01-01T00:00:00+00:00", "of_another_version": [1]}
    run = RunFolder(tmp_path)
    write_json(run.provenance, {"invocations": [earlier]})
    monkeypatch.setattr("sys.argv", ["/home/person/bin/hnscc", "run", "study.yaml"])
    monkeypatch.setattr(provenance, "LIBRARIES", ("torch", "no-such-library"))
    add_invocation(run)
    first, now = json.loads(run.provenance.read_text())["invocations"]
    assert first == earlier
    started = datetime.fromisoformat(now.pop("started"))
    assert started.utcoffset() == timedelta(0) and abs(started.timestamp() - time.time()) < 600
    assert now.pop("versions") == {
        **{"python": ".".join(map(str, sys.version_info[:3])), "torch": version("torch")},
        "no-such-library": None,
    }
    assert now == {
        **{"process": os.getpid(), "command": ["hnscc", "run", "study.yaml"]},
        **{"commit": commit_of(), "hardware": hardware()},
    }


DAMAGED = {
    "{ not whole": "text that is no JSON, or cut short",
    "[" * 100_000: "text that is no JSON, or cut short",
    "[]": "JSON without such a list",
    '{"invocations": ["x"]}': "a list whose entry 1 of 1 is no invocation",
    '{"invocations": [{}, {"versions": 1}]}': "a list whose entry 2 of 2 is no invocation",
    '{"invocations": [{"versions": 1}]}': "a list whose entry 1 of 1 is no invocation",
}


@pytest.mark.parametrize("content", DAMAGED, ids=[each[:40] for each in DAMAGED])
def test_a_damaged_provenance_is_refused_and_kept(tmp_path, content):
    run = RunFolder(tmp_path)
    run.provenance.write_text(content)
    with pytest.raises(InputError, match="provenance is damaged") as caught:
        add_invocation(run)
    assert caught.value.found == DAMAGED[content]
    assert run.provenance.read_text() == content
