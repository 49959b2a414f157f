"""What trials ask for: refused at once where no machine will ever have it, told while all that have it are busy."""

import time

import pytest
import torch
from stores import make_store, study_of

import hnscc.commands.check
from hnscc.base.errors import InputError
from hnscc.study.loading import dump_study
from hnscc.training.devices import resolve_unasked
from rayjobs.gpu_shares import share_for
from rayjobs.requests import (
    check_request,
    check_study_requests,
    resolve_here,
    trials_at_once,
    trials_per_gpu,
    with_share,
)

GIB = 2**30
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has what is asked for")
SMALL, BIG = {"CPU": 4.0, "GPU": 1.0}, {"CPU": 64.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), patients=12).location


def asking(store, resources, device="cpu"):
    return study_of(store, training={"device": device, "epochs": 2}, resources=resources)


@without_gpu
@pytest.mark.parametrize("call", [hnscc.check, hnscc.run])
@pytest.mark.parametrize(
    ("device", "gpus", "problem"),
    [
        ("cuda", "auto", "No machine has a GPU, and the trials are to be trained on one."),
        ("cuda", 1, "No machine has a GPU, and the trials are to be trained on one."),
        ("cuda", 0, "The trials are to be trained on a GPU, and reserve none."),
        ("auto", 0.5, "No machine has the GPUs that a trial asks for."),
        ("cpu", 2, "No machine has the GPUs that a trial asks for."),
    ],
)
def test_a_gpu_that_is_not_there_is_refused_at_once(
    store, tmp_path, monkeypatch, call, device, gpus, problem
):
    """Ray would wait for one for ever, without a word; `check` would say that all is well."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    study = asking(store, {"cpus": 1, "gpus": gpus}, device).model_dump(mode="json")
    began = time.monotonic()
    with pytest.raises(InputError) as refused:
        call(study, tmp_path / "run")
    assert refused.value.problem == problem
    assert time.monotonic() - began < 20
    assert not (tmp_path / "run").exists()


@without_gpu
def test_a_single_trial_without_ray_asks_for_the_gpu_too(store, tmp_path, capfd):
    from hnscc.commands.train import main

    (tmp_path / "study.yaml").write_text(dump_study(asking(store, {"cpus": 1}, "cuda")))
    assert main([str(tmp_path / "study.yaml"), "pet-f0-r00", "--out", str(tmp_path / "run")]) == 2
    assert "This machine has no GPU that PyTorch can use" in capfd.readouterr().err


def test_more_cores_than_the_machine_has_are_refused_by_check_as_by_run(store, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    study = asking(store, {"cpus": 4096}).model_dump(mode="json")
    for call in (hnscc.check, hnscc.run):
        with pytest.raises(InputError, match="No machine has the CPUs"):
            call(study, tmp_path / "run")


@pytest.mark.parametrize(
    ("cpus", "gpus", "machines", "problem"),
    [
        (4, 1, [SMALL, BIG], None),
        (64, 0, [SMALL, BIG], None),
        (1, 0.5, [], None),  # nobody knows yet
        (8, 1, [SMALL, BIG], "No machine has both the CPUs and the GPUs that a trial asks for."),
        (8, 2, [SMALL, BIG], "No machine has the GPUs that a trial asks for."),
        (65, 0, [SMALL, BIG], "No machine has the CPUs that a trial asks for."),
    ],
)
def test_one_machine_must_have_all_that_a_trial_asks_for(cpus, gpus, machines, problem):
    if problem is None:
        check_request(cpus, gpus, machines)
    else:
        with pytest.raises(InputError) as refused:
            check_request(cpus, gpus, machines)
        assert refused.value.problem == problem


def test_the_advice_of_every_refusal_works(store):
    """Followed, each leads to a study that is accepted."""
    for machines, resources, device, followed in (
        ([BIG], {"cpus": 1}, "cuda", ({"cpus": 1}, "auto")),
        ([SMALL], {"cpus": 1, "gpus": 0}, "cuda", ({"cpus": 1, "gpus": "auto"}, "cuda")),
        ([SMALL, BIG], {"cpus": 8, "gpus": 1}, "cuda", ({"cpus": 4, "gpus": 1}, "cuda")),
        ([SMALL], {"cpus": 1, "gpus": 2}, "auto", ({"cpus": 1, "gpus": 1}, "auto")),
    ):
        with pytest.raises(InputError):
            check_study_requests(asking(store, resources, device), machines)
        check_study_requests(asking(store, followed[0], followed[1]), machines)


def test_what_any_variant_asks_for_is_asked_of_one_machine(store):
    """Nobody knows the machines yet; no GPU is needed; one of two variants is on a GPU, whose machine needs cores."""
    check_study_requests(asking(store, {"cpus": 1}, "cuda"), [])
    check_study_requests(asking(store, {"cpus": 1, "gpus": 0}, "cpu"), [BIG])
    variants = {name: {"modalities": ["pet"], "training": {"device": name}} for name in ("cpu", "cuda")}
    for cpus, problem in ((4, None), (8, "No machine has both")):
        study = study_of(store, resources={"cpus": cpus}, variants=variants)
        if problem is None:
            check_study_requests(study, [SMALL, BIG])
            continue
        with pytest.raises(InputError, match=problem):
            check_study_requests(study, [SMALL, BIG])


def test_no_share_of_a_gpu_means_the_processor(store, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    study = asking(store, {"cpus": 1, "gpus": 0}, "auto")
    training = study.variants["pet"].training
    assert resolve_here(study)(training) == ("cpu", "fp32")
    assert resolve_here(asking(store, {"cpus": 1}, "auto"))(training) == ("cuda", "fp32")
    given = training.model_copy(update={"device": "cuda"})
    assert with_share(study, given) == given and with_share(study, training).device == "cpu"


def test_machines_that_are_not_up_are_taken_at_the_settings_word(store):
    for device, expected in (("cuda", "cuda"), ("auto", "cpu"), ("cpu", "cpu")):
        training = asking(store, {"cpus": 1}, device).variants["pet"].training
        assert resolve_unasked(training) == (expected, "fp32")
    automatic = training.model_copy(update={"device": "cuda", "precision": "auto"})
    assert resolve_unasked(automatic) == ("cuda", "bf16")


@pytest.mark.parametrize(
    ("machines", "cpus", "trials", "most"),
    [
        ([{"CPU": 4, "GPU": 2}], 1, None, 2),
        ([{"CPU": 16, "GPU": 1}], 1, 100, 16),
        ([{"CPU": 16, "GPU": 4}], 2, 100, 2),
        ([{"CPU": 4, "GPU": 3}], 1, 100, 1),
        ([{"CPU": 2, "GPU": 4}], 1, 100, 1),
        ([{"CPU": 64, "GPU": 2}], 1, 5, 2),  # five trials: two and two, then the fifth
        ([{"CPU": 64, "GPU": 8}], 1, 3, 1),
        ([{"CPU": 64, "GPU": 1}, {"CPU": 8, "GPU": 4}, {"CPU": 96}], 1, 100, 2),
        ([{"CPU": 8}], 1, 100, 10_000),
        ([], 1, 100, 10_000),
    ],
)
def test_trials_per_gpu_by_hand(machines, cpus, trials, most):
    assert trials_per_gpu(machines, cpus, trials) == most


@pytest.mark.parametrize(
    ("machine", "resources", "device", "number"),
    [
        ({"CPU": 16, "GPU": 0}, {"cpus": 1}, "cpu", 16),
        ({"CPU": 16, "GPU": 1}, {"cpus": 1, "gpus": 1}, "cuda", 1),
        ({"CPU": 16, "GPU": 1}, {"cpus": 1, "gpus": 1}, "cpu", 1),  # reserved, though it is not used
        ({"CPU": 16, "GPU": 2}, {"cpus": 1, "gpus": 0.6}, "cuda", 2),  # 0.4 are no share
        ({"CPU": 16, "GPU": 2}, {"cpus": 1, "gpus": 0.25}, "cuda", 8),
        ({"CPU": 16, "GPU": 4}, {"cpus": 1, "gpus": 2}, "cuda", 2),
        ({"CPU": 16, "GPU": 2}, {"cpus": 1, "gpus": "auto"}, "cuda", 2),
        ({"CPU": 16, "GPU": 2}, {"cpus": 1, "gpus": "auto"}, "cpu", 16),
        ({"CPU": 16, "GPU": 2}, {"cpus": 1, "gpus": 0}, "cpu", 16),
        ({"CPU": 16}, {"cpus": 0.1}, "cpu", 160),  # 16 // 0.1 is 159
        ({"CPU": 3}, {"cpus": 4}, "cpu", 1),
    ],
)
def test_trials_at_once_by_hand(store, machine, resources, device, number):
    assert trials_at_once(machine, asking(store, resources), {device}) == number


def test_check_promises_no_more_trials_at_once_than_there_are_gpus(store, tmp_path, monkeypatch):
    """With one GPU and a trial that takes it whole, fifteen of sixteen cores wait."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(hnscc.commands.check, "resources_here", lambda: {"CPU": 16.0, "GPU": 1.0})
    for gpus, number in ((1, 1), (0.5, 2), (0, 16)):
        study = asking(store, {"cpus": 1, "gpus": gpus}).model_dump(mode="json")
        assert hnscc.check(study, tmp_path / "run")["time"]["side_by_side"] == number


def test_processors_cap_the_trials_of_a_gpu_as_memory_does():
    """80 GiB hold 34 trials of 2 GiB; 2 processors to a GPU hold 2."""
    assert share_for(2 * GIB, 80 * GIB, 2) == 0.5
    assert share_for(2 * GIB, 80 * GIB, 3) == 0.3333
    assert share_for(2 * GIB, 80 * GIB, 100) == share_for(2 * GIB, 80 * GIB)
