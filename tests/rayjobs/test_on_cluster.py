"""On one running cluster, whose GPU is declared and not there: what it can never give is refused, a GPU that cannot be
measured is not shared, and the process that trains tells of a trial while it goes on."""

import contextlib
import socket
import time
from dataclasses import replace

import pytest
import ray
import torch
import yaml
from ray import tune
from stores import make_store, study_of

import rayjobs.study
import rayjobs.worker
from hnscc.study.trials import trials_of
from hnscc.training.ready import make_run_ready
from rayjobs.cluster import connected, resolve_on_cluster
from rayjobs.gpu_shares import gpu_shares
from rayjobs.worker import TrialWorker

pytestmark = pytest.mark.slow

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU that works can be measured")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), patients=12).location


def test_a_worker_reports_while_its_trial_predicts(cluster, monkeypatch, tmp_path):
    """Every report puts off the end of a trial that is taken to hang (`resources.hung_after`)."""
    monkeypatch.setattr(rayjobs.worker, "REPORT_SECONDS", 0.0)
    store = make_store(tmp_path / "store", patients=10, size=16)
    study = study_of(store.location, repeats=1, training={"epochs": 1})
    run = make_run_ready(study, tmp_path / "run")
    (trial, *_) = trials_of(study)
    asked = {"trial": vars(trial), "gpus": 0.0, "attempts": [], "pause_after": None}
    signs = -(-len(run.folds[0].scored_at) // 32) + len(run.folds[0].spacing_mm)
    address, environment = cluster
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    until = time.monotonic() + 60
    while time.monotonic() < until:  # the cluster may have been started only now
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", int(address.split(":")[1]))),
        ):
            break
        time.sleep(0.2)
    with connected(address):
        worker = tune.with_parameters(TrialWorker, ready=run, token=None)({"assignment": asked})
        told = [worker.train()]
        while not told[-1]["done"]:
            told.append(worker.train())
    assert not ray.is_initialized()
    assert [each["epoch"] for each in told] == [0, *[1] * (1 + signs), 1]
    assert told[-1]["failed"] is None and told[-1]["val_dice"] >= 0


@without_gpu
def test_a_gpu_that_cannot_be_measured_is_not_shared(cluster, store, tmp_path, capsys):
    """Whatever fails on a GPU, the trial itself is left to say so."""
    study = study_of(store)
    run = make_run_ready(study, tmp_path / "run")
    run = replace(run, computed_by=dict.fromkeys(study.variants, ("cuda", "fp32")))
    with connected(cluster[0]):
        shares = gpu_shares(run, {"pet": trials_of(study)[0]})
    assert "pet: its GPU memory cannot be measured" in capsys.readouterr().out
    assert shares == {"pet": 1.0}


@without_gpu
def test_a_gpu_that_ray_counts_and_pytorch_cannot_use_is_told_once(cluster, store, capsys):
    """Where `device: auto` then is cpu, a whole study would be trained on processors without a word."""
    study = study_of(store, training={"device": "auto"})
    with connected(cluster[0]):
        resolve = resolve_on_cluster(study)
        assert [resolve(study.variants[name].training)[0] for name in ("pet", "pet_mri")] == ["cpu", "cpu"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "`device: auto` trains on its processor" in line and f"(PyTorch {torch.__version__}: " in line


def test_what_a_cluster_can_never_give_is_refused_by_check_and_run(cluster, here, hnscc, store, tmp_path):
    """Its one GPU is declared; two for a trial are not there, and PyTorch finds none."""
    address, _ = cluster
    for name, resources, device, problem in (
        ("two", {"cpus": 1, "gpus": 2}, "cpu", "No machine has the GPUs that a trial asks for."),
        ("real", {"cpus": 1}, "cuda", "This machine has no GPU that PyTorch can use"),
    ):
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            yaml.safe_dump(
                study_of(store, training={"device": device}, resources=resources).model_dump(mode="json")
            )
        )
        arguments = (path, "--out", tmp_path / name, "--address", address)
        for code, _, error in (hnscc("check", *arguments), here(rayjobs.study.main, *arguments)):
            assert code == 2
            assert problem in error
            assert "Traceback" not in error
        assert not (tmp_path / name).exists()
