"""Errors of a GPU in a real local Ray, whose workers are made to meet them (tests/cluster/faults)."""

import json
import os

import processes
import pytest
import yaml
from stores import make_store, study_of

from hnscc.study.run_folder import RunFolder
from hnscc.training.records import read_record

FAULTS = processes.ROOT / "tests" / "cluster" / "faults"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), patients=12)


@pytest.fixture
def faults(tmp_path):
    """The environment of processes that meet the faults which a test sets in it."""
    path = f"{FAULTS}:{processes.ROOT}"
    environment = {"PYTHONPATH": path, "FAULTS": str(tmp_path / "faults.json")}

    def _set(**faults):
        (tmp_path / "faults.json").write_text(json.dumps({"log": str(tmp_path / "log"), **faults}))
        return environment

    return _set


def run(home, folder, store, resources, *arguments, environment):
    """Four trials of six epochs: what was printed, and the records by trial."""
    settings = {"training": {"epochs": 6}, "resources": resources}
    study = folder / "study.yaml"
    study.write_text(yaml.safe_dump(study_of(store.location, **settings).model_dump(mode="json")))
    command = (study, "--out", folder / "run", *arguments)
    out, _ = processes.run(home, "rayjobs.study", *command, environment=environment)
    return out, {each.root.name: read_record(each) for each in RunFolder(folder / "run").recorded}


def test_a_process_that_lost_its_gpu_ends_and_another_goes_on_with_its_trial(home, store, tmp_path, faults):
    """On a GPU most errors of CUDA stay until the process ends: no other trial may be tried in it."""
    environment = faults(gpu_lost="pet-f0-r00")
    out, records = run(home, tmp_path, store, {"cpus": os.cpu_count()}, environment=environment)
    assert "4 trials completed, 0 failed, 0 missing" in out
    assert "pet-f0-r00: its process died; it goes on after epoch 1" in out
    first, second = records.pop("pet-f0-r00").attempts
    assert (first.from_epoch, second.from_epoch) == (1, 2)
    assert first.pid != second.pid
    assert first.pid not in {each.pid for record in records.values() for each in record.attempts}


def test_a_library_that_finds_no_memory_gives_its_trial_a_larger_share(home, store, tmp_path, faults):
    """cuBLAS says so in a RuntimeError of its own."""
    environment = faults(cublas="pet-f0-r00")
    with processes.running_cluster(home, gpus=1, environment=environment) as (address, token):
        resources = {"cpus": 1, "gpus": 0.25}
        _, records = run(home, tmp_path, store, resources, "--address", address, environment=token)
    attempts = [(each.gpus, each.ended) for each in records["pet-f0-r00"].attempts]
    assert attempts == [(0.25, "OutOfMemoryError"), (0.5, None)]
    assert {record.status for record in records.values()} == {"completed"}
