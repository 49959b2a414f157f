"""What is changed inside Ray is there in this version of it, and a Ray of one's own goes by it."""

import inspect
import os
import subprocess
import sys

import pytest
from ray._private import node, parameter, services, worker

from rayjobs.inside_ray import without_onlookers

MEND = "rayjobs/inside_ray.py changes what this Ray does not have: find what took its place, or take it out"
# Their Python files, as the commands of their processes name them.
ONLOOKERS = (
    "autoscaler/_private/monitor.py",
    "autoscaler/v2/monitor.py",
    "log_monitor.py",
    "dashboard/dashboard.py",
)
# Its own processes alone: others on this machine may have a Ray with all of them.
START = """
import os, subprocess
from rayjobs.cluster import connected
with connected(None):
    command = ["ps", "-ww", "--ppid", str(os.getpid()), "-o", "pgid=,args="]
    print(subprocess.run(command, capture_output=True, text=True).stdout)
"""


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (worker.init, ("parameter", "RayParams")),
        (node.Node.start_api_server, ("services", "start_api_server")),
        (node.Node.start_head_processes, ("no_monitor",)),
        (node.Node.start_ray_processes, ("include_log_monitor",)),
        (services.get_node_to_connect_for_driver, ("find_node_ids",)),
        (services.start_ray_process, ("ConsolePopen",)),
    ],
)
def test_ray_looks_up_what_is_changed_or_asked(function, names):
    assert set(names) <= set(inspect.unwrap(function).__code__.co_names), MEND


def test_what_was_changed_is_put_back():
    before = parameter.RayParams, services.start_api_server, services.ConsolePopen
    with pytest.raises(ZeroDivisionError), without_onlookers():
        assert parameter.RayParams is not before[0]
        raise ZeroDivisionError
    assert (parameter.RayParams, services.start_api_server, services.ConsolePopen) == before


@pytest.mark.parametrize(
    "gone", ["parameter.RayParams", "services.start_api_server", "services.ConsolePopen"]
)
def test_what_a_ray_does_not_have_is_not_changed(monkeypatch, gone):
    """It was an AttributeError before the first trial, with whichever Ray does not have it."""
    monkeypatch.delattr(f"ray._private.{gone}")
    with without_onlookers():
        pass


def test_a_parameter_that_a_ray_does_not_have_is_not_given(monkeypatch):
    monkeypatch.setattr(parameter, "RayParams", lambda num_cpus, no_monitor=None: (num_cpus, no_monitor))
    with without_onlookers():
        assert parameter.RayParams(num_cpus=2) == (2, True)


@pytest.mark.slow
def test_a_ray_of_ones_own_starts_no_process_that_only_looks_on():
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "raylet" in done.stdout
    assert not [each for each in ONLOOKERS if each in done.stdout]
    groups = [line.split()[0] for line in done.stdout.splitlines() if "/ray/core/" in line]
    assert len(groups) == len(set(groups) - {str(os.getpgid(0))}) == 2, (
        "a signal to this group would end them"
    )
