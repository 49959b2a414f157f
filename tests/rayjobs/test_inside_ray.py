"""What is changed inside Ray is there in this version of it, and a Ray of one's own goes by it."""

import inspect
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
START = """
import subprocess, time
from rayjobs.cluster import connected
with connected(None):
    print(subprocess.run(["ps", "-A", "-ww", "-o", "ppid=,args="], capture_output=True, text=True).stdout)
"""


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (worker.init, ("parameter", "RayParams")),
        (node.Node.start_api_server, ("services", "start_api_server")),
        (node.Node.start_head_processes, ("no_monitor",)),
        (node.Node.start_ray_processes, ("include_log_monitor",)),
    ],
)
def test_ray_looks_up_what_is_changed(function, names):
    assert set(names) <= set(inspect.unwrap(function).__code__.co_names), MEND


def test_what_was_changed_is_put_back():
    before = parameter.RayParams, services.start_api_server
    with pytest.raises(ZeroDivisionError), without_onlookers():
        assert parameter.RayParams is not before[0]
        raise ZeroDivisionError
    assert (parameter.RayParams, services.start_api_server) == before


@pytest.mark.slow
def test_a_ray_of_ones_own_starts_no_process_that_only_looks_on():
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "raylet" in done.stdout
