"""The order of the files; and what several need: the command, a module's `main` in this process, and of Ray one home
folder and one running cluster.

A command in a process of its own (`processes.run`) costs four seconds of imports before it does anything. So only what
depends on the process is tested in one: kills, Ctrl-C, locks between processes, the environment at its start. All else
is called in the process of the tests (`hnscc`, `here`). Shared by all tests of a process of pytest, which must leave
them as they are: `home`, `cluster`.
"""

import sys

import pytest
from processes import running_cluster, set_local_ray

from hnscc.commands.cli import main

# Files whose tests take longest, those with the most waiting for Ray first.
LONGEST = [
    "test_search_runs.py",
    "test_study.py",
    "test_surroundings.py",
    "test_in_use.py",
    "test_requests.py",
    "test_gpu_errors.py",
    "test_on_cluster.py",
    "test_brief.py",
    "test_report.py",
]


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


@pytest.fixture
def here(home, monkeypatch, capsys):
    """Call the `main` of a module in this process, a Ray that it starts included: exit code, standard output, standard
    error. RAY_ADDRESS and its like are not set; the token is that of `cluster`."""
    set_local_ray(monkeypatch, home)

    def call(main, *arguments) -> tuple[int, str, str]:
        code = main([*map(str, arguments)])
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Ray keeps files in the home folder: a private one."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def cluster(home):
    """A running cluster with a token and one GPU that is declared, not real: its address and environment."""
    with running_cluster(home, gpus=1) as running:
        yield running
