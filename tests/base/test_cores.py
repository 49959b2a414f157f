"""The cores that a process may use: its affinity and its control groups count (row 12)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hnscc.base.cores import cores, cpu_quota, threads

ASK = "from hnscc.base.cores import cores; print(cores())"
V1 = Path("/sys/fs/cgroup/cpu")


def asked(*before: str, **how) -> int:
    done = subprocess.run(
        [*before, sys.executable, "-c", ASK], capture_output=True, text=True, check=True, **how
    )
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system knows no affinity")
def test_a_process_bound_to_one_core_counts_one():
    first = min(os.sched_getaffinity(0))
    assert asked(preexec_fn=lambda: os.sched_setaffinity(0, {first})) == 1


def test_a_real_control_group_of_one_and_a_half_cores_counts_one(tmp_path):
    group = V1 / f"hnscc-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "cpu.cfs_quota_us").write_text("150000")
    except OSError as error:
        pytest.skip(f"no control group of version 1 can be made here: {error.strerror}")
    try:
        assert asked(preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid()))) == 1
    finally:
        group.rmdir()


def tree(root: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (root / "own").write_text(own)
    return root / "own", root / "cgroup"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "250000 100000"}, 2.5),
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/job/step\n", {"job/step/cpu.max": "max 100000", "job/cpu.max": "400000 100000"}, 4.0),
        ("0::/job/step\n", {"job/step/cpu.max": "50000 100000", "job/cpu.max": "400000 100000"}, 0.5),
        # In a container the path is that of the machine, and the container's own files lie at the top.
        ("0::/docker/abc\n", {"cpu.max": "100000 100000"}, 1.0),
        (
            "5:cpu,cpuacct:/job\n3:memory:/other\n",
            {"cpu,cpuacct/job/cpu.cfs_quota_us": "300000", "cpu,cpuacct/job/cpu.cfs_period_us": "100000"},
            3.0,
        ),
        (
            "1:cpu:/docker/abc\n0::/\n",
            {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"},
            2.0,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("2:cpuset:/job\n", {"cpuset/job/cpu.cfs_quota_us": "1"}, None),
        ("0::/\n", {"cpu.max": "damaged"}, None),
    ],
)
def test_quotas_by_hand(tmp_path, own, files, expected):
    assert cpu_quota(*tree(tmp_path, own, files)) == expected


def test_a_system_without_control_groups_sets_no_limit(tmp_path):
    assert cpu_quota(tmp_path / "none", tmp_path) is None
    assert 1 <= cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    "asked, expected", [("1", 1), ("3", 3), ("", cores()), ("0", cores()), ("2,1", 2), ("1.5", cores())]
)
def test_threads_are_those_that_openmp_is_told(monkeypatch, asked, expected):
    """hnscc predict took one for each core, whatever OMP_NUM_THREADS said: beside other work, twice as long."""
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads() == expected


def test_threads_are_cores_where_openmp_is_told_nothing(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads() == cores()
