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
from hnscc.training.model import check_network

before = dict(os.environ)
check_network(Network(architecture="paper", width=2), 1, 32, [2], loss="binary_cross_entropy")
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


# A machine's folders as this process alone sees them: mounts in a name space of its own.
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
FULL = "mount -t tmpfs -o size=1m none {0} && head -c 2m /dev/zero > {0}/all 2> /dev/null;"


def with_mounts(mounts: str, command: str) -> subprocess.CompletedProcess:
    if subprocess.run([*OWN_MOUNTS, "mount -t tmpfs none /mnt"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount in a name space of his own (unshare --user --mount)")
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(processes.ROOT)}
    return subprocess.run(
        [*OWN_MOUNTS, f'{mounts} exec "$@"', "sh", sys.executable, "-c", command],
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


FOLDER = """
import os, tempfile
from rayjobs.surroundings import folder_for_ray
try:
    with folder_for_ray() as folder:
        print(folder)
except Exception as error:
    print(error)
"""


def test_row_13_a_tmpdir_without_room_is_gone_round(tmp_path):
    """Ray waited for half a minute, and then a traceback said that it timed out."""
    done = with_mounts(f"export TMPDIR={tmp_path}; {FULL.format(tmp_path)}", FOLDER)
    assert done.stdout.startswith("/tmp/hnscc-"), done.stdout + done.stderr


def test_row_13_that_no_folder_has_room_says_what_each_lacks(tmp_path):
    long = tmp_path / ("x" * 80)
    long.mkdir()
    done = with_mounts(f"export TMPDIR={long}; {FULL.format('/tmp')}", FOLDER)
    assert "Ray finds no folder for its sockets and logs." in done.stdout, done.stdout + done.stderr
    assert f"TMPDIR: a path of {len(str(long))} characters; /tmp: 0 MiB free" in done.stdout
    assert "with 16 MiB free, whose path has at most 39 characters" in done.stdout
    done = with_mounts(f"unset TMPDIR RAY_TMPDIR; {FULL.format('/tmp')}", FOLDER)
    assert "found:      /tmp: 0 MiB free\n" in done.stdout


POOL = """
from data_prep.workers import worker_pool
try:
    with worker_pool(2):
        print("no error")
except Exception as error:
    print(error)
"""


@pytest.mark.parametrize("command", [FOLDER, POOL], ids=["Ray", "prepare"])
@pytest.mark.parametrize(
    "mounts, why",
    [
        ("mount -t tmpfs -o ro none /dev/shm;", "Read-only file system"),
        (FULL.format("/dev/shm"), "No space left on device"),
    ],
    ids=["read-only", "full"],
)
def test_row_13_memory_that_processes_cannot_share_is_one_message_at_once(command, mounts, why):
    """As in a container that is read-only: prepare ended in a traceback, and Ray after half a minute."""
    done = with_mounts(mounts, command)
    assert done.stdout.startswith("Processes can share no memory on this machine.\n  where:      /dev/shm\n")
    assert f"found:      {why}\n" in done.stdout and "--shm-size" in done.stdout, done.stdout + done.stderr
