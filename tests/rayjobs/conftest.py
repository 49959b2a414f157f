"""What the tests of the cluster files need of pytest: the command, and the place that it is called from."""

import sys

import pytest
from cluster_files import ROOT

from hnscc.commands.cli import main


@pytest.fixture
def stand_in_project(monkeypatch, tmp_path_factory):
    """Where `ray up` is called; a home folder without a token of this machine's user."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def hnscc(capsys, monkeypatch):
    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hnscc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, error = capsys.readouterr()
        return ended.value.code or 0, out, error

    return run
