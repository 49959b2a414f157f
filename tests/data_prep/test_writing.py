"""Folders that cannot be written to, full disks, killed processes: one message each, and nothing half-written."""

import contextlib
import os
import platform
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from scans import cohort, prepare

from data_prep.phantom.phantom import make_phantom
from hnscc.base.errors import InputError, StorageError
from hnscc.base.folders import at_work, make_unfinished
from hnscc.cohort.store import open_store
from hnscc.cohort.store_building import discard

COMMAND = [sys.executable, "-m", "hnscc.commands.cli"]
# Of a store of `scans`, or a cohort of 12 patients: more than fits into the limits below.
PREPARE, PHANTOM = ["prepare", "--size", "256", "--workers"], ["phantom", "--patients", "12"]


@contextlib.contextmanager
def small_files():
    """No file grows beyond 60 kB, in this process and in those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refused_to_write(name: str, manifest: Path, out: Path) -> InputError | StorageError:
    """The error of what the command does, in this process: in workers, others below meet it."""
    with pytest.raises((InputError, StorageError)) as caught:
        if name == "prepare":
            prepare(manifest, out, size=256, workers=1)
        else:
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr("data_prep.phantom.phantom.cores", lambda: 1)
                make_phantom(out, patients=12)
    return caught.value


def command(name: str, manifest: Path, out: Path, workers: int = 2) -> list[str]:
    first, *options = [*PREPARE, str(workers)] if name == "prepare" else PHANTOM
    return [first, *([str(manifest)] if name == "prepare" else []), str(out), *options]


@pytest.mark.parametrize("name", ["prepare", "phantom"])
@pytest.mark.parametrize("out", ["file/new", "file/below/new", "/proc/new", "/sys/new"])
def test_a_folder_that_cannot_be_written_to_is_told(tmp_path, name, out):
    """As root, no permission hinders; a file in place of a folder, /proc and /sys do."""
    manifest = cohort(tmp_path, 2)
    (tmp_path / "file").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    error = refused_to_write(name, manifest, tmp_path / out)
    assert error.exit_code == 2
    assert "Nothing can be written there" in error.problem and str((tmp_path / out).parent) in error.where
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
@pytest.mark.parametrize("name", ["prepare", "phantom"])
def test_a_read_only_folder_is_told(tmp_path, name):
    manifest = cohort(tmp_path, 2)
    (tmp_path / "out").mkdir(mode=0o555)
    error = refused_to_write(name, manifest, tmp_path / "out" / "new")
    assert error.exit_code == 2 and error.found == "Permission denied"


@pytest.mark.parametrize("name", ["prepare", "phantom"])
def test_a_read_only_disk_is_told(tmp_path, mounted, name):
    manifest, folder = cohort(tmp_path, 2), mounted("ro")
    error = refused_to_write(name, manifest, folder / "new")
    assert error.exit_code == 2 and error.found == "Read-only file system" and error.where == str(folder)


@pytest.mark.quick(2)
@pytest.mark.parametrize("name", ["prepare", "phantom"])
@pytest.mark.parametrize("size", ["4k", "300k"])
def test_a_full_disk_is_told_and_nothing_is_left(tmp_path, mounted, name, size):
    """Full at the first file, and full while scans are written."""
    manifest, folder = cohort(tmp_path, 6), mounted(f"size={size}")
    error = refused_to_write(name, manifest, folder / "new")
    assert error.exit_code == 1 and "The disk is full" in error.problem and "make room" in error.do
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["prepare", pytest.param("phantom", marks=pytest.mark.slow)])
def test_files_that_may_not_grow_are_told_and_nothing_is_left(hnscc, tmp_path, name):
    """In this process, or a worker of the phantom's."""
    manifest, out = cohort(tmp_path, 6), tmp_path / "out"
    out.mkdir()
    with small_files():
        code, _, error = hnscc(*command(name, manifest, out / "new", workers=1))
    assert code == 1, error
    assert error.count("error: ") == 1 and "Traceback" not in error
    assert "what to do:" in error
    assert "File too large" in error and "ulimit -f" in error
    assert list(out.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prepare", "phantom"])
def test_a_command_of_two_workers_whose_files_may_not_grow_ends_at_once(tmp_path, name):
    manifest, out = cohort(tmp_path, 6), tmp_path / "out"
    out.mkdir()
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # noqa: E731
    arguments = [*COMMAND, *command(name, manifest, out / "new")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, preexec_fn=limit)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
    assert "what to do:" in done.stderr
    assert "File too large" in done.stderr and "ulimit -f" in done.stderr
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name", ["prepare", pytest.param("phantom", marks=pytest.mark.slow)])
def test_a_killed_worker_is_told_and_nothing_is_left(tmp_path, name):
    manifest, out = cohort(tmp_path, 6), tmp_path / "out"
    out.mkdir()
    running = subprocess.Popen(
        [*COMMAND, *command(name, manifest, out / "new")], stderr=subprocess.PIPE, text=True
    )
    os.kill(_worker_of(running.pid), signal.SIGKILL)
    _, error = running.communicate(timeout=120)
    assert running.returncode == 1, error
    assert error.count("error: ") == 1 and "Traceback" not in error
    assert "process" in error and "killed" in error and "memory" in error
    assert list(out.iterdir()) == []


NO_THREAD = """
import resource, threading
from pathlib import Path
from data_prep.workers import run_each
from hnscc.base.errors import WorkerError

threading.stack_size(64 << 20)
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (32 << 20)  # room for all but one more thread
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    run_each(abs, [-1, -2], name=str, workers=2, progress=lambda *done: None)
except WorkerError as error:
    print(error)
"""


def test_memory_too_little_for_the_pool_itself_is_told_and_no_process_is_left():
    """Its processes and the command waited for one another for ever, without a word."""
    told = subprocess.run([sys.executable, "-c", NO_THREAD], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0 and told.stderr == "" and "Memory ran out" in told.stdout


def _worker_of(pid: int) -> int:
    """The first worker process that this process has started; not the one that watches over shared memory."""
    for _ in range(1200):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in map(int, children):
            with contextlib.suppress(FileNotFoundError):  # one that has ended in the meantime
                if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
                    return child
        time.sleep(0.05)
    raise AssertionError("no worker was started")


def test_a_store_that_cannot_be_replaced_stays_as_it_was(tmp_path, mounted):
    manifest, folder = cohort(tmp_path, 6), mounted("size=420k")
    store = prepare(manifest, folder / "s.zarr", size=16, workers=1)
    with pytest.raises(StorageError, match="The disk is full"):
        prepare(manifest, folder / "s.zarr", size=256, workers=1, overwrite=True)
    assert open_store(folder / "s.zarr") == store
    assert [path.name for path in folder.iterdir()] == ["s.zarr"]


def test_what_a_killed_prepare_left_is_deleted_and_what_another_one_makes_stays(tmp_path):
    """A folder whose lock nobody holds (tests/base/test_folders.py kills its process), and one that is being made."""
    manifest, folder = cohort(tmp_path, 2), tmp_path / "stores"
    folder.mkdir()
    with at_work(running := make_unfinished(folder, ".s.zarr")):
        left = make_unfinished(folder, ".s.zarr")
        left.with_name(f"{left.name}.lock").write_text(platform.node())
        prepare(manifest, folder / "s.zarr", size=16, workers=1)
        assert {path.name for path in folder.iterdir()} == {"s.zarr", running.name, f"{running.name}.lock"}


def test_a_store_that_is_given_up_is_gone_though_a_thread_still_writes_into_it(tmp_path):
    """Zarr writes by threads, and one of them may outlive the failure of another."""
    folder, ends = tmp_path / "s.unfinished", time.monotonic() + 0.5

    def write() -> None:
        number = 0
        while time.monotonic() < ends:
            number += 1
            with contextlib.suppress(OSError):
                (folder / "scans").mkdir(parents=True, exist_ok=True)
                (folder / "scans" / str(number)).write_bytes(b"0")

    writing = threading.Thread(target=write)
    writing.start()
    while not folder.exists():
        time.sleep(0.001)
    discard(folder)
    writing.join()
    assert not folder.exists()


@pytest.mark.slow
def test_a_script_that_its_own_processes_would_run_again_is_told_so(tmp_path):
    """They said that memory ran out."""
    script = tmp_path / "script.py"
    called = f"hnscc.prepare({str(cohort(tmp_path))!r}, {str(tmp_path / 's.zarr')!r}, size=16, workers=2)"
    script.write_text(f"import hnscc\n\n{called}\n")
    own = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, script], env=own, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode and not (tmp_path / "s.zarr").exists()
    assert "A process that is being started would start others." in ended.stderr
    assert "call this under `if __name__ == '__main__':`" in ended.stderr and "Memory ran" not in ended.stderr
