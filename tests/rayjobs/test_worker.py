"""The process that trains: what it tells of a trial while it goes on."""

import contextlib
import socket
import time

import ray
from ray import tune
from stores import make_store, study_of

import rayjobs.worker
from hnscc.study.plan import plan_trials
from hnscc.training.prepare import prepare_run
from rayjobs.cluster import connected
from rayjobs.worker import TrialWorker


def test_a_worker_reports_while_its_trial_predicts(cluster, monkeypatch, tmp_path):
    """Every report puts off the end of a trial that is taken to hang (`resources.hung_after`)."""
    monkeypatch.setattr(rayjobs.worker, "REPORT_SECONDS", 0.0)
    store = make_store(tmp_path / "store", patients=10, size=16)
    study = study_of(store.location, repeats=1, training={"epochs": 1})
    run = prepare_run(study, tmp_path / "run")
    (trial, *_) = plan_trials(study)
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
        worker = tune.with_parameters(TrialWorker, prepared=run, token=None)({"assignment": asked})
        told = [worker.train()]
        while not told[-1]["done"]:
            told.append(worker.train())
    assert not ray.is_initialized()
    assert [each["epoch"] for each in told] == [0, *[1] * (1 + signs), 1]
    assert told[-1]["failed"] is None and told[-1]["val_dice"] >= 0
