"""What is around a training process stays as it was, and need not be all that usual machines have."""

import os
import subprocess
import sys
from collections.abc import Sequence

import processes
import pytest
from stores import make_store, study_of

from hnscc.study.loading import dump_study
from hnscc.training.hardware import may_have_gpu

# A user of a number alone, as in `docker run --user 12345`.
NOBODY = ["unshare", "--user", "--map-user=12345"]
TRIED = """
import os, sys
from hnscc.study.variant_schema import Network
from hnscc.training.network import check_network

before = dict(os.environ)
check_network(Network(architecture="paper", width=2), 1, 32, [2], loss="binary_cross_entropy")
assert dict(os.environ) == before
assert "torch._dynamo" not in sys.modules
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

RUN = """
import sys
from hnscc.commands.cli import run_command

print(run_command(), "torch" in sys.modules)
"""


def python(
    code: str, tmp_path, *before: str, arguments: Sequence[object] = (), **changed: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(processes.ROOT),
        "TMPDIR": str(tmp_path),
    } | changed
    return subprocess.run(
        [*before, sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_without_a_home_ray_is_imported_all_the_same(tmp_path):
    """It ended in a traceback: `Could not determine home directory.`"""
    if subprocess.run([*NOBODY, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine makes no user of a number alone (unshare --user)")
    done = python("import rayjobs.scheduling, os; print(os.environ['HOME'])", tmp_path, *NOBODY)
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path)), done.stderr


@pytest.mark.slow
def test_trying_a_network_leaves_no_folder_and_no_variable(tmp_path):
    """PyTorch's compiler, which nothing here uses, left an empty folder `torchinductor_USER`, and took two seconds."""
    done = python(TRIED, tmp_path, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
@pytest.mark.skipif(may_have_gpu(), reason="beside a GPU the driving process asks PyTorch itself")
def test_the_process_that_drives_a_run_never_loads_pytorch(tmp_path, tmp_path_factory):
    """It did at the end of every run, two seconds long, to record deaths of which there were none."""
    study = tmp_path / "study.yaml"
    study.write_text(dump_study(study_of(make_store(tmp_path, patients=10, size=16).location, repeats=1)))
    done = python(RUN, tmp_path_factory.mktemp("r"), arguments=["run", study, "--out", tmp_path / "run"])
    assert done.stdout.splitlines()[-1:] == ["0 False"], done.stderr


@pytest.mark.slow
def test_a_ray_of_ones_own_leaves_the_callers_environment_as_it_was(tmp_path_factory):
    """Its token stayed, by which the caller's own Ray was then closed to others; and so did a setting of malloc."""
    done = python(CONNECTED, tmp_path_factory.mktemp("r"), HOME=os.environ.get("HOME", "/"))
    assert done.returncode == 0, done.stderr


# A machine's folders as one process alone sees them: it mounts in a name space of its own, once it has loaded what it
# tries, for that may lie below what it hides.
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
FULL = "mount -t tmpfs -o size=1m none {0} && head -c 2m /dev/zero > {0}/all 2> /dev/null"
TRIED_WITH_MOUNTS = """
import subprocess, sys, tempfile
from data_prep.workers import worker_pool
from rayjobs.surroundings import folder_for_ray

subprocess.run(["sh", "-c", sys.argv[1]])
try:
    with worker_pool(2) if sys.argv[2] == "prepare" else folder_for_ray() as given:
        print(given)
except Exception as error:
    print(error)
"""


def with_mounts(mounts: str, what: str, tmpdir: str = "") -> str:
    """What is printed by what is tried (Ray's folder, or the processes of `prepare`) where these mounts are."""
    if subprocess.run([*OWN_MOUNTS, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount in a name space of his own (unshare --user --mount)")
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(processes.ROOT), "TMPDIR": tmpdir, "RAY_TMPDIR": ""}
    done = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-c", TRIED_WITH_MOUNTS, mounts, what],
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.stdout


def test_row_13_a_tmpdir_without_room_is_gone_round(tmp_path):
    """Ray waited for half a minute, and then a traceback said that it timed out."""
    assert with_mounts(FULL.format(tmp_path), "Ray", str(tmp_path)).startswith("/tmp/hnscc-")


def test_row_13_that_no_folder_has_room_says_what_each_lacks(tmp_path):
    long = str(tmp_path / ("x" * 80))
    told = with_mounts(FULL.format("/tmp"), "Ray", long)
    assert "Ray finds no folder for its sockets and logs." in told
    assert f"TMPDIR: a path of {len(long)} characters; /tmp: 0 MiB free" in told
    assert "with 16 MiB free, whose path is absolute, in ASCII, and has at most 39 characters" in told
    assert "found:      /tmp: 0 MiB free\n" in with_mounts(FULL.format("/tmp"), "Ray")


@pytest.mark.parametrize("what", ["Ray", "prepare"])
@pytest.mark.parametrize(
    "mounts, why",
    [
        ("mount -t tmpfs -o ro none /dev/shm", "Read-only file system"),
        (FULL.format("/dev/shm"), "No space left on device"),
    ],
    ids=["read-only", "full"],
)
def test_row_13_memory_that_processes_cannot_share_is_one_message_at_once(what, mounts, why):
    """As in a container that is read-only: prepare ended in a traceback, and Ray after half a minute."""
    told = with_mounts(mounts, what)
    assert told.startswith("Processes can share no memory on this machine.\n  where:      /dev/shm\n")
    assert f"found:      {why}\n" in told and "--shm-size" in told
