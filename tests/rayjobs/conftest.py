"""The folder and the home folder in which the tests of the cluster files call commands."""

import pytest
from cluster_files import ROOT


@pytest.fixture
def stand_in_project(monkeypatch, tmp_path_factory):
    """Change to the folder where `ray up` is called, with a home folder that has no token of this machine's user."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
