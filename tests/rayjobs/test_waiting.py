"""What Ray gives to trials that ask: places on GPUs, which nothing else keeps, a wait that is told, and addresses."""

import os
import subprocess
import sys
import time
from pathlib import Path

import processes
import pytest
import yaml
from stores import make_store, study_of

from hnscc.base.errors import InputError
from hnscc.study.loading import dump_study
from hnscc.study.run_folder import RunFolder
from hnscc.training.records import read_record
from rayjobs.cluster import Wait
from rayjobs.surroundings import given_or_set, refuse_silent


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), patients=12).location


def asking(store, resources, device="cpu"):
    return study_of(store, training={"device": device, "epochs": 2}, resources=resources)


PLACE = """
import time
import ray
from rayjobs.cluster import machines_of_cluster
from rayjobs.gpu_shares import share_for
from rayjobs.requests import trials_per_gpu

ray.init(address="local", num_cpus=4, num_gpus=2, include_dashboard=False, log_to_driver=False)
share = share_for(2**30, 80 * 2**30, trials_per_gpu(machines_of_cluster(), 1, 100))

@ray.remote(num_cpus=1, num_gpus=share)
class Trial:
    def gpu(self):
        return ray.get_gpu_ids()

trials = [Trial.remote() for _ in range(4)]
print(sorted(int(each[0]) for each in ray.get([trial.gpu.remote() for trial in trials])))
"""
ASK = """
import os, sys, time
import ray
import rayjobs.cluster
from hnscc.study.loading import load_study

rayjobs.cluster._resolved_there = lambda training, counted: ((str(os.getpid()), "fp32"), None)
study = load_study(sys.argv[1])
ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False)
resolve = rayjobs.cluster.resolve_on_cluster(study)
pids = [int(resolve(study.variants["pet"].training)[0]) for _ in range(3)]
until = time.monotonic() + 30
while time.monotonic() < until and any(os.path.exists(f"/proc/{pid}") for pid in pids):
    time.sleep(0.1)
print(len(set(pids)), [os.path.exists(f"/proc/{pid}") for pid in pids])
"""


def script(home: Path, text: str, *arguments) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", text, *map(str, arguments)],
        env=environment | processes.LOCAL_RAY | {"HOME": str(home)},
        cwd=processes.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_four_trials_of_little_memory_are_placed_on_both_gpus(home):
    """By memory alone Ray would put all of them on the first."""
    assert script(home, PLACE).endswith("[0, 0, 1, 1]\n")


@pytest.mark.slow
def test_no_process_that_answered_keeps_a_gpu(home, store, tmp_path):
    """What it has of the GPU's memory lies outside of all shares."""
    study = asking(store, {"cpus": 1}, "auto")
    (tmp_path / "study.yaml").write_text(dump_study(study))
    assert script(home, ASK, tmp_path / "study.yaml").endswith("3 [False, False, False]\n")


def test_a_wait_is_told_after_ten_seconds_and_then_each_time_that_it_has_doubled(monkeypatch):
    now, said = [100.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    wait = Wait(said.append)
    for second in range(1, 61):
        now[0] = 100.0 + second
        wait.tell("a GPU")
    assert said == [f"waiting for a GPU, for {seconds} s so far" for seconds in (10, 20, 40)]


HOLD = """
import sys, time
import ray

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")

@ray.remote(num_cpus=0, num_gpus=0.8)
class Other:
    def hold(self):
        return True

other = Other.remote()
ray.get(other.hold.remote())
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_study_that_waits_for_a_gpu_says_for_what_and_how_long_and_then_trains(
    cluster, home, store, tmp_path
):
    """Another job holds most of the cluster's GPU, declared and not there, and then ends."""
    address, token = cluster
    environment = os.environ | {"HOME": str(home)} | token
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, address],
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == "held\n"
    study = asking(store, {"cpus": 1, "gpus": 0.5})
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study.model_dump(mode="json")))
    arguments = (tmp_path / "study.yaml", "--out", tmp_path / "run", "--address", address)
    running = processes.start(home, "rayjobs.study", *arguments, environment=token)
    told, until = "", time.monotonic() + 400
    for line in running.stdout:  # a slow machine is waited for before, to ask what it has
        told += line
        if "no trial is being trained" in line or time.monotonic() > until:
            break
    holder.communicate("now\n", timeout=60)
    rest, error = running.communicate(timeout=300)
    assert running.returncode == 0, error
    assert "waiting for a machine with 1 CPUs and 0.5 GPUs free: no trial is being trained, for 1" in told
    assert "4 trials completed" in rest
    assert read_record(RunFolder(tmp_path / "run").trial("pet-f0-r00")).attempts[0].gpus == 0.5


def test_what_is_no_address_is_refused():
    """Ray was left to join it for many minutes."""
    with pytest.raises(InputError, match=r"No Ray cluster can be joined[^$]*10\.0\.0\.5:6379x"):
        refuse_silent("10.0.0.5:6379x")


def test_an_address_of_blanks_is_none(monkeypatch):
    """With one, RAY_ADDRESS was left aside, and Ray was started here."""
    monkeypatch.setenv("RAY_ADDRESS", " 10.0.0.5:6379\n")
    assert given_or_set(" ") == given_or_set(None) == "10.0.0.5:6379"
    monkeypatch.setenv("RAY_ADDRESS", " ")
    assert given_or_set("") is given_or_set(" ") is None
