"""Errors of a GPU in a real Ray, whose workers are made to meet them (tests/cluster/faults)."""

import json
import os

import processes
import pytest
import yaml
from stores import make_store, study_of

from hnscc.study.run_folder import RunFolder
from hnscc.training.records import read_record

pytestmark = pytest.mark.slow

FAULTS = processes.ROOT / "tests" / "cluster" / "faults"


@pytest.fixture(scope="module")
def trained(home, tmp_path_factory):
    """Four trials of two epochs, one after the other: what was printed, and the records by trial. The first trial loses
    its GPU, which is declared to Ray and not there; the last finds no memory on it."""
    folder = tmp_path_factory.mktemp("faults")
    faults = {"log": str(folder / "log"), "gpu_lost": "pet-f0-r00", "cublas": "pet_mri-f0-r01"}
    (folder / "faults.json").write_text(json.dumps(faults))
    path = f"{FAULTS}:{processes.ROOT}"
    environment = {"PYTHONPATH": path, "FAULTS": str(folder / "faults.json")}
    settings = {"training": {"epochs": 2}, "resources": {"cpus": os.cpu_count(), "gpus": 0.25}}
    study = study_of(make_store(folder, patients=12).location, **settings)
    (folder / "study.yaml").write_text(yaml.safe_dump(study.model_dump(mode="json")))
    with processes.running_cluster(home, gpus=1, environment=environment) as (address, token):
        command = (folder / "study.yaml", "--out", folder / "run", "--address", address)
        out, _ = processes.run(home, "rayjobs.study", *command, environment=token)
    return out, {each.root.name: read_record(each) for each in RunFolder(folder / "run").recorded}


def test_all_trials_end_well(trained):
    out, records = trained
    assert "4 trials completed, 0 failed, 0 missing" in out
    assert {record.status for record in records.values()} == {"completed"}


def test_a_process_that_lost_its_gpu_ends_and_another_goes_on_with_its_trial(trained):
    """On a GPU most errors of CUDA stay until the process ends: no other trial may be tried in it."""
    out, records = trained
    assert "pet-f0-r00: its process died; it goes on after epoch 1" in out
    first, second = records["pet-f0-r00"].attempts
    assert (first.from_epoch, second.from_epoch) == (1, 2)
    assert first.pid != second.pid
    others = [record for name, record in records.items() if name != "pet-f0-r00"]
    assert first.pid not in {each.pid for record in others for each in record.attempts}


def test_a_library_that_finds_no_memory_gives_its_trial_a_larger_share(trained):
    """cuBLAS says so in a RuntimeError of its own."""
    attempts = [(each.gpus, each.ended) for each in trained[1]["pet_mri-f0-r01"].attempts]
    assert attempts == [(0.25, "OutOfMemoryError"), (0.5, None)]
