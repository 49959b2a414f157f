"""What the tests of the cluster files need of pytest: the place that commands are called from."""

import pytest
from cluster_files import ROOT


@pytest.fixture
def stand_in_project(monkeypatch, tmp_path_factory):
    """Where `ray up` is called; a home folder without a token of this machine's user."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
