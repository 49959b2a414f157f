"""What `auto` chooses on a machine, and what is recorded of it: no GPU is needed."""

import os
import platform
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hnscc.study.presets import CORRECTED
from hnscc.study.variant_schema import Training
from hnscc.training.devices import resolve_device, resolve_unasked
from hnscc.training.hardware import hardware, resources_here, tell_once
from hnscc.training.records import Attempt


def test_what_auto_chooses_here():
    training = Training(**CORRECTED["training"])
    device, precision = resolve_device(training)
    assert device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert precision in ("fp32", "bf16")
    named = training.model_copy(update={"device": "cpu", "precision": "fp32"})
    assert resolve_device(named) == ("cpu", "fp32")


@pytest.mark.parametrize(
    ("has", "precision"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx512_f": True}, "fp32")],
)
def test_auto_takes_bf16_where_the_processor_computes_in_it(monkeypatch, has, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    training = Training(**CORRECTED["training"] | {"device": "cpu", "precision": "auto"})
    assert resolve_device(training) == resolve_unasked(training) == ("cpu", precision)


@pytest.mark.parametrize("kind", [RuntimeError, AssertionError])
def test_a_gpu_that_auto_cannot_take_is_told_once_with_why_and_what_to_do(
    monkeypatch, tmp_path, capsys, kind
):
    """A study for the GPU was trained on the processor, and nothing that was printed named a device."""

    def _init():
        raise kind("The NVIDIA driver on your system is too old (found version 11040).")

    tell_once.cache_clear()
    monkeypatch.setattr("hnscc.training.hardware.GPU_FILES", (str(tmp_path),))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", _init)
    training = Training(**CORRECTED["training"])
    asked = [training, training.model_copy(update={"precision": "fp32"})]
    assert [resolve_device(each)[0] for each in asked] == ["cpu", "cpu"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "`device: auto` trains on its processor" in line and "set training.device to cpu" in line
    assert f"PyTorch {torch.__version__}: The NVIDIA driver on your system is too old" in line
    assert resolve_device(training.model_copy(update={"device": "cpu"}))[0] == "cpu"
    tell_once.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device(asked[1])[0] == "cuda"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("major", "precision"), [(7, "fp32"), (8, "bf16")])
def test_auto_takes_no_format_that_the_gpu_would_emulate(monkeypatch, major, precision):
    """A V100 or T4 (7.0, 7.5) computes bf16 by float32, slower than that; an A100 (8.0) has it. What the processor
    computes in, here the other one, does not count."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": precision == "fp32"})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(major=major, name="a GPU")
    )
    # What torch would find by trying: the emulation works.
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)
    for device in ("cuda", "auto"):
        training = Training(**CORRECTED["training"] | {"device": device, "precision": "auto"})
        assert resolve_device(training) == ("cuda", precision)


def test_the_hardware_names_gpu_driver_and_libraries(monkeypatch, tmp_path):
    driver = tmp_path / "version"
    driver.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)\n"
        "GCC version:  gcc version 12.2.0\n"
    )
    monkeypatch.setattr("hnscc.training.hardware.DRIVER", driver)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda each: ["NVIDIA L4", "NVIDIA H100"][each])
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    found = hardware()
    assert found["gpus"] == "NVIDIA L4, NVIDIA H100"
    assert (found["gpu_driver"], found["cuda"], found["cudnn"]) == ("580.65.06", "13.0", "91002")
    assert found["cpus"] and found["machine"]
    attempt = Attempt(node="n", pid=1, gpus=1.0, from_epoch=1, hardware=found)
    assert Attempt.model_validate(attempt.model_dump(mode="json")) == attempt
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: None)
    driver.write_text("NVRM version: none\nGCC version:  gcc version 12.2.0\n")
    assert (hardware()["gpu_driver"], hardware()["cudnn"]) == (None, None)
    driver.unlink()
    assert hardware()["gpu_driver"] is None


@pytest.mark.parametrize(
    ("loaded", "driver", "gpus"),
    [(True, False, 2.0), (False, True, 2.0), (False, False, 0.0)],
)
def test_pytorch_is_asked_for_gpus_where_it_is_loaded_or_there_is_a_driver(
    monkeypatch, tmp_path, loaded, driver, gpus
):
    """It takes seconds to load. One of the device files is enough. CPU are the cores of the affinity, here one."""
    modules = SimpleNamespace(modules={"torch": torch} if loaded else {})
    monkeypatch.setattr("hnscc.training.hardware.sys", modules)
    files = [tmp_path / "none", *([tmp_path] if driver else [])]
    monkeypatch.setattr("hnscc.training.hardware.GPU_FILES", files)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    assert resources_here() == {"CPU": 1.0, "GPU": gpus}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have no such line")
def test_the_processor_is_named_as_the_system_names_it(monkeypatch):
    system = Path("/proc/cpuinfo").read_text()
    assert hardware()["processor"] == re.search(r"^model name\s*: (.+)$", system, re.MULTILINE)[1].strip()

    def _gone(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", _gone)
    monkeypatch.setattr(platform, "processor", lambda: "x86_64")
    assert hardware()["processor"] == "x86_64"


def test_without_a_gpu_the_hardware_names_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert sorted(hardware()) == ["cpus", "machine", "processor", "system"]
    assert hardware()["cpus"] == os.cpu_count()
