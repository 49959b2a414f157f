"""The order of the files; and what several need of Ray: one home folder and one running cluster for all of them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

# Files whose tests take a minute or more, most of it in Ray.
LONGEST = ["test_search_runs.py", "test_study.py"]


def pytest_collection_modifyitems(items):
    """The longest files first: where two processes share the files, both end at about the same time."""
    order = {name: position for position, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Ray keeps files in the home folder: a private one."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def cluster(home):
    """A running cluster with a token and one GPU that is declared, not real: its address and environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    ray = Path(sys.executable).parent / "ray"
    command = [ray, "start", "--head", "--block", f"--port={port}", "--num-gpus=1"]
    command += [f"--num-cpus={os.cpu_count()}", "--include-dashboard=false", "--disable-usage-stats"]
    environment = os.environ | {"HOME": str(home), "OMP_NUM_THREADS": "1"} | token
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"127.0.0.1:{port}", token
    process.terminate()
    process.wait(timeout=60)
