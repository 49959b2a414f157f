"""What is around a training process stays as it was, and need not be all that usual machines have."""

import os
import subprocess
import sys

import processes
import pytest

# A user of a number alone, as in `docker run --user 12345`.
NOBODY = ["unshare", "--user", "--map-user=12345"]
TRIED = """
import os
from hnscc.study.variant_schema import Network
from hnscc.training.model import check_model

before = dict(os.environ)
check_model(Network(architecture="paper", width=2), 1, 32, [2], loss="binary_cross_entropy")
assert dict(os.environ) == before
"""
CONNECTED = """
import os
import hnscc
import rayjobs.cluster
from rayjobs.cluster import connected

before = dict(os.environ)
for _ in range(2):
    with connected(None):
        import ray

        assert "RAY_AUTH_TOKEN" in os.environ
        assert ray.get(ray.remote(lambda: 7).remote()) == 7
left = {name for name in os.environ if os.environ[name] != before.get(name)}
assert not left & {"RAY_AUTH_TOKEN", "GLIBC_TUNABLES"}, left
"""


def python(code: str, tmp_path, *before: str, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(processes.ROOT),
        "TMPDIR": str(tmp_path),
    } | changed
    return subprocess.run(
        [*before, sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_without_a_home_ray_is_imported_all_the_same(tmp_path):
    """It ended in a traceback: `Could not determine home directory.`"""
    if subprocess.run([*NOBODY, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine makes no user of a number alone (unshare --user)")
    done = python("import rayjobs.scheduling, os; print(os.environ['HOME'])", tmp_path, *NOBODY)
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path)), done.stderr


def test_trying_a_network_leaves_no_folder_and_no_variable(tmp_path):
    """PyTorch's compiler, which nothing here uses, left an empty folder `torchinductor_USER`."""
    done = python(TRIED, tmp_path, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [*tmp_path.iterdir()] == []


def test_a_ray_of_ones_own_leaves_the_callers_environment_as_it_was(tmp_path_factory):
    """Its token stayed, by which the caller's own Ray was then closed to others; and so did a setting of malloc."""
    done = python(CONNECTED, tmp_path_factory.mktemp("r"), HOME=os.environ.get("HOME", "/"))
    assert done.returncode == 0, done.stderr
