"""The order of the files; and what several need: the command, and of Ray one home folder and one running cluster."""

import sys

import pytest
from processes import running_cluster

from hnscc.commands.cli import main

# Files whose tests take a minute or more, most of it in Ray.
LONGEST = ["test_search_runs.py", "test_study.py"]


def pytest_collection_modifyitems(items):
    """The longest files first: where two processes share the files, both end at about the same time."""
    order = {name: position for position, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONGEST)))


@pytest.fixture
def hnscc(capsys, monkeypatch):
    """Run the command in this process: exit code, standard output, standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hnscc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, error = capsys.readouterr()
        return ended.value.code or 0, out, error

    return run


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Ray keeps files in the home folder: a private one."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def cluster(home):
    """A running cluster with a token and one GPU that is declared, not real: its address and environment."""
    with running_cluster(home, gpus=1) as running:
        yield running
