"""What provenance.json says of the code: the commit of its checkout, of no other, and why where git does not say it."""

import os
import shutil
import subprocess

import pytest

from hnscc.training.provenance import commit_of

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed here")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of one commit, with a file of code, looked at by a user whose git has no settings."""
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


def test_a_hook_of_another_repository_does_not_give_its_commit(checkout, tmp_path, monkeypatch):
    head = git(checkout, "rev-parse", "HEAD").strip()
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert commit_of(checkout / "hnscc" / "code.py") == head
