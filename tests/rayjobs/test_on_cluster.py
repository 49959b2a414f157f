"""On one running cluster, whose GPU is declared and not there: what it can never give is refused, a GPU that cannot be
measured is not shared, and the process that trains tells of a trial while it goes on, and of a machine that must not
train it."""

import contextlib
import importlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import ray
import torch
import yaml
from ray import tune
from stores import make_store, study_of

import rayjobs.scheduling
import rayjobs.study
import rayjobs.worker
from hnscc.base.errors import InputError
from hnscc.study.identity import hash_of_weights
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of
from hnscc.training.hardware import tell_once
from hnscc.training.ready import make_run_ready
from rayjobs import shared
from rayjobs.cluster import connected, resolve_on_cluster
from rayjobs.gpu_shares import gpu_shares
from rayjobs.scheduling import train_trials
from rayjobs.shared import prove_shared
from rayjobs.surroundings import refuse_silent
from rayjobs.worker import TrialWorker

pytestmark = pytest.mark.slow

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU that works can be measured")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), patients=12).location


def assigned(trial, weights=None):
    """What a worker is told of a trial. weights: the hash of the file of encoder weights."""
    return {"trial": vars(trial), "gpus": 0.0, "weights": weights, "attempts": [], "pause_after": None}


def last_report(worker):
    """The report that ends the worker's trial."""
    return next(report for report in iter(worker.train, None) if report["done"])


def test_a_worker_reports_while_its_trial_predicts(cluster, monkeypatch, tmp_path):
    """Every report puts off the end of a trial that is taken to hang (`resources.hung_after`)."""
    monkeypatch.setattr(rayjobs.worker, "REPORT_SECONDS", 0.0)
    store = make_store(tmp_path / "store", patients=10, size=16)
    study = study_of(store.location, repeats=1, training={"epochs": 1})
    run = make_run_ready(study, tmp_path / "run")
    (trial, *_) = trials_of(study)
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
        worker = tune.with_parameters(TrialWorker, ready=run, token=None)({"assignment": assigned(trial)})
        told = [worker.train()]
        while not told[-1]["done"]:
            told.append(worker.train())
    assert not ray.is_initialized()
    assert [each["epoch"] for each in told] == [0, *[1] * (1 + signs), 1]
    assert told[-1]["failed"] is None and told[-1]["val_dice"] >= 0


def test_a_machine_that_does_not_answer_in_time_is_not_told_to_share_its_disk(cluster, tmp_path, monkeypatch):
    """It was told that it does not share the run folder, and to put that elsewhere."""
    monkeypatch.setattr(shared, "ANSWER_SECONDS", 0)
    with (
        connected(cluster[0]),
        pytest.raises(InputError, match="does not answer") as late,
        prove_shared(RunFolder(tmp_path / "run")),
    ):
        pass
    assert "share the run folder" not in str(late.value)


@pytest.fixture
def here_alone(tmp_path, monkeypatch):
    """Writes a module that this process can load and no machine of a cluster that it has joined: there it is missing as
    hnscc is on a machine without it."""
    monkeypatch.syspath_prepend(tmp_path)

    def written():
        (tmp_path / "here_alone.py").write_text(
            "from rayjobs.worker import TrialWorker\n"
            "class Worker(TrialWorker):\n    pass\n"
            "def answer(*asked):\n    pass\n"
        )
        return importlib.import_module("here_alone")

    yield written
    sys.modules.pop("here_alone", None)


def test_a_machine_that_lacks_hnscc_is_named_when_asked_and_when_it_is_to_train(
    cluster, store, tmp_path, monkeypatch, here_alone
):
    """The first gave a traceback of Ray's; by the second each trial failed, for its process had died six times."""
    run = make_run_ready(study_of(store, repeats=1, training={"epochs": 1}), tmp_path / "run")
    trials = trials_of(run.study)
    with connected(cluster[0]):
        module = here_alone()
        monkeypatch.setattr(shared, "_answer", module.answer)
        monkeypatch.setattr(rayjobs.scheduling, "TrialWorker", module.Worker)
        with pytest.raises(InputError, match="cannot load hnscc") as asked, prove_shared(run.folder):
            pass
        with pytest.raises(InputError, match="cannot load hnscc") as trained:
            train_trials(run, trials, None, all_trials=trials, left=trials, pause_after={})
        machine = f"machine {ray.util.get_node_ip_address()}"
    assert asked.value.where == trained.value.where == machine
    assert asked.value.found == trained.value.found == "ModuleNotFoundError: No module named 'here_alone'"
    assert run.not_completed() == list(trials)


def test_a_cluster_may_be_asked_from_any_thread(cluster):
    """As `hnscc.check` does in a program with windows."""
    asked = []

    def _ask() -> None:
        with connected(cluster[0]):
            asked.append(ray.is_initialized())

    thread = threading.Thread(target=_ask)
    thread.start()
    thread.join()
    assert asked == [True]


def test_a_cluster_of_another_ray_is_told_in_one_message(cluster, monkeypatch):
    monkeypatch.setattr(ray, "__version__", "2.0.0")
    with (
        pytest.raises(InputError, match="another version of Ray or of Python") as told,
        connected(cluster[0]),
    ):
        pass
    assert "Ray: 2.0.0" in told.value.found


OUTSIDE = "import sys; from rayjobs.surroundings import refuse_silent; refuse_silent(sys.argv[1])"
OWN_PROCESSES = ("unshare", "--fork", "--pid", "--mount-proc")


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*OWN_PROCESSES, "true"], capture_output=True).returncode,
    reason="a process can have no processes of its own around it here",
)
def test_a_machine_outside_of_the_cluster_is_told_so(cluster):
    """From a laptop, Ray looked for itself there for a minute, and the message then did not say why."""
    address, environment = cluster
    done = subprocess.run(
        [*OWN_PROCESSES, sys.executable, "-c", OUTSIDE, address],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert "This machine is not one of the cluster's" in done.stderr
    refuse_silent(address)


def test_storage_that_is_unmounted_between_two_trials_is_told(cluster, store, tmp_path):
    """A process looked at its first trial alone, and trained the later ones beneath the mount point."""
    study = study_of(store, repeats=1, training={"epochs": 1})
    run = make_run_ready(study, tmp_path / "run")
    first, second = trials_of(study)
    with connected(cluster[0]), prove_shared(run.folder) as token:
        worker = tune.with_parameters(TrialWorker, ready=run, token=token)({"assignment": assigned(first)})
        assert last_report(worker)["failed"] is None
        run.folder.root.rename(tmp_path / "unmounted")
        run.folder.root.mkdir()
        worker.reset({"assignment": assigned(second)})
        assert "does not share the run folder" in str(last_report(worker)["told"])
    assert not list(run.folder.root.iterdir())


def test_a_machine_with_another_file_of_encoder_weights_is_told(cluster, store, tmp_path):
    """Each machine reads its own file at that path: trials of two files stood in the same tables."""
    file = tmp_path / "encoder.safetensors"
    network = {"architecture": "unet", "encoder": "resnet18", "encoder_weights": str(file)}
    study = study_of(store, repeats=1, variants={"pet": {"modalities": ["pet"]}})
    run = make_run_ready(study, tmp_path / "run")
    study = study_of(
        store, repeats=1, variants={"pet": {"modalities": ["pet"]}}, training={"network": network}
    )
    run, (trial,) = replace(run, study=study), trials_of(study)
    file.write_bytes(b"of the machine that starts the run")
    started = hash_of_weights(str(file))
    with connected(cluster[0]):
        train_trials(run, [trial], None, all_trials=[trial], left=[trial], pause_after={})
        assert "no whole safetensors file" in run.state(trial).record.error, "the same file is read"
        file.write_bytes(b"of another machine")
        asked = {"assignment": assigned(trial, started)}
        worker = tune.with_parameters(TrialWorker, ready=run, token=None)(asked)
        told = last_report(worker)["told"]
    assert isinstance(told, InputError) and "another file of encoder weights" in told.problem
    assert (started in told.expected, hash_of_weights(str(file)) in told.found) == (True, True)


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
    tell_once.cache_clear()
    study = study_of(store, training={"device": "auto"})
    with connected(cluster[0]):
        resolves = [resolve_on_cluster(study) for _ in range(2)]  # a search asks in two places
        assert [resolve(study.variants["pet"].training)[0] for resolve in resolves] == ["cpu", "cpu"]
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
